"""Which titles pass: exclude rules win, and a scope that has include rules lets pass what one of them matches.

A link is judged by the rules for all links, those of its source and those of its feed. Any exclude rule of these that
matches holds it back. Each of the three scopes that has include rules must be satisfied by one of them, so «1080p» for
all and «Show A», «Show B» for one feed let pass the 1080p releases of both shows. Without rules everything passes.

A rule that takes too long on a title counts against the link, whichever its kind: an include rule did not match, an
exclude rule may have. After a few such titles it is not tried again in the same round; its row says so.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic
from typing import Final

from django.db import transaction
from django.utils import timezone

from anibridge.lib.text import shorten
from downloads.links import nudges
from downloads.links.patterns import Pattern, Problem, TooSlow, Unusable, problem
from downloads.models import FilterRule, Link, LinkState, RuleKind, RuleScope

MAX_RULES: Final = 300
SLOW_TITLES: Final = 5
"""So often may a rule take too long before it is set aside for the rest of the round."""
RECONSIDERED: Final = 1000
"""So many links, the newest, are judged again when the rules have changed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a link passes; if not, why in words, and which rule it was where it was one."""

    passes: bool
    reason: str = ""
    rule_id: int | None = None


PASSES: Final = Verdict(True)


@dataclass
class Trials:
    """Patterns that are tried on titles; each pair once, however many judges ask."""

    until: float | None = None
    """By the monotonic clock; nothing is tried any more after that."""
    ran_out: bool = False
    slow: Counter[str] = field(default_factory=Counter)
    troubles: dict[str, str] = field(default_factory=dict)
    """Pattern → what is wrong with it, in words."""
    _known: dict[tuple[str, bool, str], bool | None] = field(default_factory=dict)

    def matches(self, rule: FilterRule, title: str) -> bool | None:
        """Whether the rule's pattern is in the title; None when that takes too long."""
        key = (rule.pattern, rule.case_sensitive, title)
        if key not in self._known:
            self._known[key] = self._try(rule, title)
        return self._known[key]

    def _try(self, rule: FilterRule, title: str) -> bool | None:
        if self.until is not None and monotonic() > self.until:
            self.ran_out = True
        if self.ran_out or self.slow[rule.pattern] >= SLOW_TITLES:
            return None
        try:
            return _compiled(rule.pattern, rule.case_sensitive).is_in(title)
        except TooSlow:
            self.slow[rule.pattern] += 1
            detail = f"took more than 50 ms on «{shorten(title, 100)}»; write it simpler"
        except Unusable as error:
            self.slow[rule.pattern] = SLOW_TITLES
            detail = f"cannot be used any more: {error}"
        self.troubles.setdefault(rule.pattern, detail)
        return None


@lru_cache(maxsize=2 * MAX_RULES)
def _compiled(pattern: str, case_sensitive: bool) -> Pattern:
    """Kept between rounds: compiling takes a hundred times as long as trying."""
    return Pattern(pattern, case_sensitive=case_sensitive)


class Judge:
    """A set of rules, as it was when the judge was made."""

    def __init__(self, rules: Iterable[FilterRule], trials: Trials | None = None) -> None:
        self.trials = Trials() if trials is None else trials
        self._rules = [rule for rule in rules if rule.enabled]
        self._about: dict[tuple[str, int | None], _About] = {}

    def verdict(self, title: str, source: str, feed_id: int | None) -> Verdict:
        """What the rules say about a link with this title from this source."""
        about = self._about.get((source, feed_id))
        if about is None:
            about = self._about[source, feed_id] = self._rules_about(source, feed_id)
        for rule in about.excludes:
            found = self.trials.matches(rule, title)
            if found is None:
                return _held(f"{_named(rule)} could not be tried on this title", rule)
            if found:
                return _held(f"{_named(rule)} matches", rule)
        for scope, includes in about.includes:
            found_any = [self.trials.matches(rule, title) for rule in includes]
            if True not in found_any:
                slow = " (some could not be tried on it)" if None in found_any else ""
                return _held(f"no include rule {_SCOPES[scope]} matches{slow}")
        return PASSES

    def _rules_about(self, source: str, feed_id: int | None) -> "_About":
        mine = [rule for rule in self._rules if applies(rule, source, feed_id)]
        wanted = [rule for rule in mine if rule.kind == RuleKind.INCLUDE]
        by_scope = [(scope, [one for one in wanted if one.scope == scope]) for scope in RuleScope]
        return _About(
            excludes=[rule for rule in mine if rule.kind == RuleKind.EXCLUDE],
            includes=[(scope, some) for scope, some in by_scope if some],
        )


@dataclass(frozen=True, slots=True)
class _About:
    """The rules for one source, and the include rules among them by scope."""

    excludes: list[FilterRule]
    includes: list[tuple[RuleScope, list[FilterRule]]]


_SCOPES: Final = {
    RuleScope.ALL: "for all links",
    RuleScope.SOURCE: "for its source",
    RuleScope.FEED: "for its feed",
}


def applies(rule: FilterRule, source: str, feed_id: int | None) -> bool:
    """Whether a rule is about links of this source."""
    if rule.scope == RuleScope.FEED:
        return feed_id is not None and rule.feed_id == feed_id
    return rule.scope == RuleScope.ALL or rule.source == source


def saved() -> list[FilterRule]:
    """The rules that are in force."""
    return list(FilterRule.objects.filter(enabled=True).order_by("pk")[:MAX_RULES])


def note_troubles(judge: Judge) -> None:
    """Write down which rules took too long, so that their owner can see it."""
    for pattern, detail in judge.trials.troubles.items():
        FilterRule.objects.filter(pattern=pattern).update(
            last_error=detail, last_error_at=timezone.now()
        )


def pattern_problem(rule: FilterRule) -> Problem | None:
    """Why a rule's pattern cannot be saved. Patterns that are saved already are not looked at again."""
    if rule.pk and FilterRule.objects.filter(pk=rule.pk, pattern=rule.pattern).exists():
        return None
    return problem(rule.pattern)


def room_problem(rule: FilterRule) -> str:
    """Why no further rule can be saved; empty when it can."""
    if rule.pk or FilterRule.objects.count() < MAX_RULES:
        return ""
    return f"there are {MAX_RULES} rules already; several patterns can be one: (this|that)"


@transaction.atomic
def changed() -> int:
    """Have links that were held back judged again, since the rules are others now; returns how many.

    The newest RECONSIDERED of the last 30 days. What is a download already stays one.
    """
    ids = list(Link.objects.held_back(timezone.now()).values_list("pk", flat=True)[:RECONSIDERED])
    count = 0
    for start in range(0, len(ids), 500):
        count += Link.objects.filter(
            pk__in=ids[start : start + 500], state=LinkState.FILTERED
        ).update(state=LinkState.NEW, reason="", rule=None)
    if count:
        nudges.process()
    return count


def _named(rule: FilterRule) -> str:
    return f"the {rule.kind} rule «{shorten(str(rule), 100)}»"


def _held(reason: str, rule: FilterRule | None = None) -> Verdict:
    return Verdict(False, shorten(reason, 300), rule.pk if rule else None)
