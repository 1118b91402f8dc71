"""Telling downloaders what their jobs have come to: pause, resume, limit, cancel, delete. Repeated until they have heard it."""

import logging
from collections.abc import Sequence

from django.utils import timezone

from downloads import dispatch, outbox, transitions
from downloads.contacts import contact
from downloads.downloaders.base import MAX_BATCH, Adapter, DownloaderAway, NotReached
from downloads.models import Downloader, Errand, ErrandAction, Job

logger = logging.getLogger(__name__)
A = ErrandAction

MOST_ANSWERED = 20
"""How often a downloader may answer an errand with an error of its own before it is dropped; being unreachable does
not count."""


def run() -> int:
    """Deliver what is due, some of it; returns how many errands are done. The next run is nudged as long as this one gets
    somewhere. Two runs at once are fine."""
    now = timezone.now()
    done = 0
    waiting = Errand.objects.controls().due(now).values_list("downloader", flat=True)
    for downloader in Downloader.objects.filter(pk__in=waiting.order_by()):
        if downloader.is_backing_off(now):
            continue
        try:
            done += _deliver(downloader)
        except Exception:  # what is wrong with one must not keep the others waiting
            logger.exception("a bug: %s is not told what is due", downloader.name)
    if done and Errand.objects.controls().due(timezone.now()).exists():
        dispatch.nudge_delivery()
    return done


def _deliver(downloader: Downloader) -> int:
    errands = [one for one in _next(downloader) if outbox.lease(one)]
    if not errands:
        return 0
    done = 0
    try:
        with contact(downloader) as adapter:
            for group in _groups(errands):
                done += _carry_out(adapter, group)
    except DownloaderAway as error:
        for errand in errands:  # those that are done are gone
            _not_delivered(errand, str(error), heard=not isinstance(error, NotReached))
    return done


def _next(downloader: Downloader) -> list[Errand]:
    """For each download the oldest errand only: a later one must not overtake it."""
    own = Errand.objects.controls().filter(downloader=downloader)
    due = set(own.due(timezone.now()).values_list("pk", flat=True)[: 10 * MAX_BATCH])
    oldest: dict[str, Errand] = {}
    for errand in own.order_by("pk")[: 100 * MAX_BATCH]:
        oldest.setdefault(errand.remote_id, errand)
    return [one for one in oldest.values() if one.pk in due]


def _groups(errands: Sequence[Errand]) -> list[list[Errand]]:
    """Cancels together, everything else one by one."""
    cancels = [one for one in errands if one.action == A.CANCEL]
    batches = [cancels[n : n + MAX_BATCH] for n in range(0, len(cancels), MAX_BATCH)]
    return batches + [[one] for one in errands if one.action != A.CANCEL]


def _carry_out(adapter: Adapter, group: Sequence[Errand]) -> int:
    first = group[0]
    gone = dict.fromkeys((one.remote_id for one in group), True)
    if first.action == A.CANCEL:
        gone = dict(adapter.cancel(list(gone)))
    elif first.action == A.DELETE:
        adapter.delete(first.remote_id, delete_files=first.delete_files)
    elif first.action == A.PAUSE:
        adapter.pause(first.remote_id)
    elif first.action == A.LIMIT:
        _limit(adapter, first)
    else:
        adapter.resume(first.remote_id)
    done = 0
    for errand in group:
        if gone.get(errand.remote_id, False):
            done += outbox.done(errand)
        else:
            _not_delivered(errand, "it did not say that it is gone", heard=True)
    return done


def _limit(adapter: Adapter, errand: Errand) -> None:
    """The limit is the one that the job has now: whoever changes it meanwhile leaves another errand."""
    has_it = Job.objects.present().filter(pk=errand.job_id or 0, remote_id=errand.remote_id)
    limits = list(has_it.values_list("rate_limit", flat=True))
    if not limits:
        return
    kept = adapter.limit(errand.remote_id, limits[0])
    text = f"{errand.downloader} limits no single download" if not kept and limits[0] else ""
    if has_it.exclude(limit_note=text).update(limit_note=text) and text:
        transitions.remark(errand.job_id or 0, text)


def _not_delivered(errand: Errand, reason: str, *, heard: bool) -> None:
    if heard and errand.attempts >= MOST_ANSWERED:
        logger.error("«%s» is given up after %d tries: %s", errand, errand.attempts, reason)
        outbox.done(errand)
    else:
        outbox.put_back(errand, reason, heard=heard)
