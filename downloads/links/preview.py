"""What a change of the rules would do, before it is saved. Reads only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from django.db.models import Q

from downloads.links import rules
from downloads.links.rules import Judge, Trials, Verdict
from downloads.models import FilterRule, Link, RuleScope

MAX_SAMPLE: Final = 1000
MAX_LISTED: Final = 100
SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Changed:
    """A link whose verdict would be another. `reason` is why it is, or would be, held back."""

    id: int
    title: str
    source: str
    state: str
    reason: str


@dataclass
class Preview:
    """The verdicts on the newest links, before and after. The lists hold at most MAX_LISTED, the numbers count all."""

    sampled: int = 0
    passing_before: int = 0
    passing_after: int = 0
    newly_passing_count: int = 0
    newly_failing_count: int = 0
    newly_passing: list[Changed] = field(default_factory=list)
    newly_failing: list[Changed] = field(default_factory=list)
    troubles: list[dict[str, str]] = field(default_factory=list)
    is_complete: bool = True
    """False when the time was over before all of the sample was looked at."""


def preview(
    drafts: Sequence[FilterRule], *, without: Collection[int] = (), sample: int = 200
) -> Preview:
    """How the newest links would fare with `drafts` added and the rules `without` left out.

    A draft that has the id of a saved rule takes its place. Looks at links that the changed rules are about, at most
    MAX_SAMPLE of them and for at most SECONDS.
    """
    before = rules.saved()
    replaced = {draft.pk for draft in drafts if draft.pk} | set(without)
    after = [rule for rule in before if rule.pk not in replaced] + list(drafts)
    touched = [*drafts, *FilterRule.objects.filter(pk__in=replaced)]
    trials = Trials(until=monotonic() + SECONDS)
    old, new = Judge(before, trials), Judge(after, trials)
    done = Preview()
    for link in _sample(touched, min(sample, MAX_SAMPLE)):
        verdicts = [judge.verdict(link.title, link.source, link.feed_id) for judge in (old, new)]
        if trials.ran_out:
            done.is_complete = False
            break
        _count(done, link, *verdicts)
    done.troubles = [
        {"pattern": pattern, "detail": detail} for pattern, detail in trials.troubles.items()
    ]
    return done


def _sample(touched: Sequence[FilterRule], size: int) -> list[Link]:
    """The newest links that one of these rules is about; of any source when there is none."""
    links = Link.objects.order_by("-pk")
    if touched and not any(rule.scope == RuleScope.ALL for rule in touched):
        about = Q()
        for rule in touched:
            about |= Q(feed=rule.feed_id) if rule.scope == RuleScope.FEED else Q(source=rule.source)
        links = links.filter(about)
    return list(links.only("pk", "title", "source", "feed", "state")[:size])


def _count(done: Preview, link: Link, old: Verdict, new: Verdict) -> None:
    done.sampled += 1
    done.passing_before += old.passes
    done.passing_after += new.passes
    if old.passes == new.passes:
        return
    reason = old.reason if new.passes else new.reason
    changed = Changed(link.pk, link.title, link.source, link.state, reason)
    if new.passes:
        done.newly_passing_count += 1
        into = done.newly_passing
    else:
        done.newly_failing_count += 1
        into = done.newly_failing
    if len(into) < MAX_LISTED:
        into.append(changed)
