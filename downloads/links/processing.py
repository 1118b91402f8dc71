"""New links are looked at: the rules judge them, what passes becomes a job, titles are taken apart.

Any number of workers may do this at once, and any of them may die: a link leaves `new` in the transaction that makes
its job, and the job's hash makes the same thing one job.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.text import shorten
from downloads import services
from downloads.detection import DownloadType
from downloads.errors import UnsupportedLink
from downloads.links import rules, titles
from downloads.links.intake import TOUCH_AFTER
from downloads.links.rules import Judge, Verdict
from downloads.models import FilterRule, Job, Link, LinkMode, LinkState
from downloads.orders import NO_STREAM, Order, as_strm, link_identity, order_for

logger = logging.getLogger(__name__)
S = LinkState

PAGE: Final = 200
PER_RUN: Final = 2000
PARSE_SECONDS: Final = 20.0
KEPT: Final = timedelta(days=180)


def run() -> bool:
    """Look at links that are new, then at titles that nobody has read; whether there is more to do."""
    done = 0
    while done < PER_RUN and (count := _page()):
        done += count
    return parse_titles() or done >= PER_RUN


def _page() -> int:
    """Judge and dispatch the oldest that wait; how many left the state `new` by it."""
    links = list(Link.objects.waiting()[:PAGE])
    if not links:
        return 0
    # Anew for each page: a rule that was just saved is in force.
    judge = Judge(rules.saved())
    held: dict[Verdict, list[int]] = {}
    moved = 0
    for link in links:
        verdict = judge.verdict(link.title, link.source, link.feed_id)
        if verdict.passes:
            moved += _dispatch_or_reject(link.pk)
        else:
            held.setdefault(verdict, []).append(link.pk)
    for verdict, ids in held.items():
        moved += _hold(ids, verdict)
    rules.note_troubles(judge)
    return moved


def _hold(ids: list[int], verdict: Verdict) -> int:
    """Hold links back. A rule that was deleted while it was being applied is not named."""
    links = Link.objects.filter(pk__in=ids, state=S.NEW)
    held = {"state": S.FILTERED, "reason": verdict.reason}
    if verdict.rule_id and FilterRule.objects.filter(pk=verdict.rule_id).exists():
        try:
            with transaction.atomic():
                return links.update(**held, rule=verdict.rule_id)
        except IntegrityError:  # in this very moment
            logger.info("rule %s is gone", verdict.rule_id)
    return links.update(**held)


def _dispatch_or_reject(link_id: int) -> int:
    try:
        return int(_dispatch(link_id))
    # ValueError: whatever else is odd about one link must not stop those behind it.
    except (AniBridgeError, ValueError) as error:
        if not isinstance(error, AniBridgeError):
            logger.exception("link %s cannot be dispatched", link_id)
        return Link.objects.filter(pk=link_id, state=S.NEW).update(
            state=S.REJECTED, reason=shorten(str(error), 300)
        )


@transaction.atomic
def _dispatch(link_id: int) -> bool:
    """Make a job of a link that is still new; False when another worker was faster.

    What another link, or a client, has asked for before is not fetched again, not even when that failed, was cancelled
    or was deleted since: whoever decided that is not overruled by a repetition.
    """
    link = _locked(link_id)
    if link is None or link.state != S.NEW:
        return False
    order = order_of(link)
    earlier = Job.objects.filter(infohash=order.infohash).order_by("pk").last()
    if earlier is not None:
        _moved(link, S.DUPLICATE, earlier, f"«{shorten(earlier.name, 200)}» is the same")
        return True
    job, created = services.enqueue(order)
    _moved(link, S.DISPATCHED if created else S.DUPLICATE, job)
    return True


@transaction.atomic
def dispatch_now(link_id: int, mode: str = "") -> Link:
    """Make a job of a link, whatever the rules or its age say; one whose job failed or was cancelled starts over.

    `mode` takes the place of the link's own, from now on; the job that it had goes on as it is. Asking again changes nothing while that job is there. Raises UnsupportedLink, or Link.DoesNotExist.
    """
    link = _locked(link_id)
    if link is None:
        raise Link.DoesNotExist
    if not link.download_type:
        raise UnsupportedLink(link.reason or "this is nothing that can be fetched")
    link.mode = mode or link.mode
    job, _ = services.enqueue(order_of(link))
    _moved(link, S.DISPATCHED, job)
    return link


def order_of(link: Link) -> Order:
    """The order for a link, in its feed's category and as its mode wants it. Raises UnsupportedLink."""
    category = link.feed.category if link.feed else ""
    order = order_for(link.url, name=link.title, category=category)
    if link.mode == LinkMode.STRM:
        if link.download_type == DownloadType.TORRENT:
            raise UnsupportedLink(NO_STREAM)
        return as_strm(order)
    if link.download_type == DownloadType.TORRENT == order.download_type:
        return order
    if link.download_type == DownloadType.TORRENT and order.download_type == DownloadType.HTTP:
        # Its feed says that it is one; the address (…/download/123) does not.
        identity = link_identity(order.url, DownloadType.TORRENT)
        return replace(
            order,
            download_type=DownloadType.TORRENT,
            identity=identity,
            infohash=identity.infohash,
        )
    return order


def _locked(link_id: int) -> Link | None:
    rows = Link.objects.select_for_update(of=("self",)).select_related("feed")
    return rows.filter(pk=link_id).first()


def _moved(link: Link, state: LinkState, job: Job, reason: str = "") -> None:
    link.state, link.job, link.reason, link.rule = state, job, reason, None
    link.save(update_fields=["state", "job", "reason", "rule", "mode"])


def parse_titles(seconds: float = PARSE_SECONDS) -> bool:
    """Read titles that nobody has read, the newest first, for so long at most; whether some are left."""
    until = monotonic() + seconds
    while page := list(Link.objects.unparsed().only("pk", "title")[:50]):
        read: list[Link] = []
        for link in page:
            link.parsed = titles.parse(link.title)
            read.append(link)
            if monotonic() > until:
                break
        Link.objects.bulk_update(read, ["parsed"])
        if monotonic() > until:
            return Link.objects.unparsed().exists()
    return False


def forget(now: datetime | None = None, *, dry_run: bool = False) -> int:
    """Delete links that their sources have not named for half a year; how many they are.

    One that its feed may still list is kept, however old, since without its row it would be new again: a feed that
    answers «not changed», or is not asked any more, lists what it listed last.
    """
    unlisted = Q(feed=None) | Q(last_seen_at__lt=F("feed__listed_at") - 2 * TOUCH_AFTER)
    old = Link.objects.filter(unlisted, last_seen_at__lt=(now or timezone.now()) - KEPT)
    old = old.exclude(state=S.NEW)
    if dry_run:
        return old.count()
    count = 0
    while ids := list(old.values_list("pk", flat=True)[:1000]):
        count += Link.objects.filter(pk__in=ids).delete()[0]
    return count
