"""Giving links to downloaders: batches to the most preferred one that can, and what it does not take to the next.

Each hand-over is an errand that is committed before it is sent (`downloads.outbox`). What became of one whose end is
not known is found out by asking the downloader for the hash; only then is anything sent again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from downloads import contacts, dispatch, handing, preparing, transitions
from downloads.detection import DownloadType
from downloads.downloaders.base import MAX_BATCH, DownloaderAway
from downloads.models import Downloader, Errand, ErrandAction, Job, JobStatus

logger = logging.getLogger(__name__)
S = JobStatus

MAX_BATCHES = 40
"""In one run; the next is nudged. Each batch leaves the queue, so this only bounds how long a run takes."""
RECALL_AT_ONCE = 200
BLOCKED_SECONDS = 10.0
MAX_DEFERRALS = 12
"""How often a job is offered to downloaders that then do not answer, before it fails."""
TYPES = (DownloadType.HTTP, DownloadType.TORRENT, DownloadType.MAGNET)


@dataclass(slots=True)
class Tally:
    """What one run did: the jobs that somebody has now, and those that nobody took."""

    given: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


def run() -> Tally:
    """Give every link that waits to somebody, as far as that is possible now. Two runs at once are fine."""
    handing.resolve()
    recall()
    tally = Tally()
    batches = 0
    for download_type in TYPES:
        try:
            while batches < MAX_BATCHES and (jobs := _waiting(download_type)):
                batches += 1
                _give(download_type, jobs, tally)
        except Exception:  # what is wrong with one type must not keep the others waiting
            logger.exception("a bug: %s links wait", download_type)
    if batches >= MAX_BATCHES:
        dispatch.nudge_dispatch()
    return tally


def _waiting(download_type: DownloadType) -> list[Job]:
    unresolved = Errand.objects.submits().exclude(job=None).values("job")
    waiting = Job.objects.dispatchable(timezone.now()).filter(download_type=download_type)
    return list(waiting.exclude(pk__in=unresolved)[:MAX_BATCH])


def _give(download_type: DownloadType, jobs: Sequence[Job], tally: Tally) -> None:
    """The cascade for one batch of one type."""
    capable = list(Downloader.objects.capable(download_type))
    pending = [job for job in jobs if not capable or preparing.prepare(job)]
    # A link to a .torrent file may have led to a magnet: its turn comes with the magnets.
    pending = [job for job in pending if job.download_type == download_type]
    offered: set[int] = set()
    for downloader in capable:
        asked = [job for job in pending if downloader.name not in job.refusals]
        if not asked or downloader.is_backing_off(timezone.now()):
            continue
        blocked = _blocked(downloader, asked)
        asked = [job for job in asked if job.pk not in blocked]
        offered |= {job.pk for job in asked}
        outcome = _offer(downloader, asked)
        tally.given += outcome.taken
        gone = {job.pk for job in asked} - {job.pk for job in outcome.left}
        pending = [job for job in pending if job.pk not in gone]
    for job in pending:
        tally.left.append(job.pk)
        _settle(job, download_type, capable, was_offered=job.pk in offered)


def _offer(downloader: Downloader, jobs: Sequence[Job]) -> handing.Outcome:
    if not downloader.is_builtin:
        return handing.hand_over(downloader, jobs)
    # Nothing is sent: the row is all that a worker of ours needs.
    outcome = handing.Outcome()
    for job in jobs:
        waiting = Job.objects.present().filter(pk=job.pk, status=S.QUEUED, downloader=None)
        now = timezone.now()
        if waiting.update(downloader=downloader, error_message="", updated_at=now):
            outcome.taken.append(job.pk)
            dispatch.nudge(job.pk)
    return outcome


def _blocked(downloader: Downloader, jobs: Sequence[Job]) -> set[int]:
    """Jobs whose former download there is yet to be dropped: handed over before that, they would go with it."""
    ids = {job.pk: handing.hashes_of(job) for job in jobs}
    every = [one for found in ids.values() for one in found]
    drops = Errand.objects.filter(
        downloader=downloader, action__in=(ErrandAction.CANCEL, ErrandAction.DELETE)
    )
    open_ids = set(drops.filter(remote_id__in=every).values_list("remote_id", flat=True))
    open_jobs = set(drops.filter(job__in=list(ids)).values_list("job", flat=True))
    return {pk for pk, found in ids.items() if pk in open_jobs or open_ids.intersection(found)}


def _settle(
    job: Job, download_type: DownloadType, capable: Sequence[Downloader], *, was_offered: bool
) -> None:
    """What becomes of a job that nobody took: no downloader, all refused, or some do not answer now."""
    if not capable:
        text = f"no downloader takes {download_type} links; add one that does, or enable it"
        _move(job, S.NO_DOWNLOADER, text)
        return
    open_to_it = [one for one in capable if one.name not in job.refusals]
    if not open_to_it:
        names = (one.name for one in capable)
        _move(job, S.FAILED, "; ".join(f"{name}: {job.refusals[name]}" for name in names))
        return
    away = [one for one in open_to_it if one.is_backing_off(timezone.now())]
    if not away:  # it only waits until a former download is dropped
        later = timezone.now() + timedelta(seconds=BLOCKED_SECONDS)
        Job.objects.filter(pk=job.pk, status=S.QUEUED, downloader=None).update(not_before=later)
        return
    text = "; ".join(contacts.reason(one, one.last_error) for one in away)
    if was_offered and job.deferrals >= MAX_DEFERRALS:
        _move(job, S.FAILED, f"{text}; given up after {job.deferrals + 1} tries")
        return
    _move(job, S.DOWNLOADER_ERROR, text, deferrals=F("deferrals") + int(was_offered))


def _move(job: Job, to: JobStatus, text: str, **values: Any) -> None:
    still = Job.objects.present().filter(pk=job.pk, status=S.QUEUED, downloader=None)
    if not still.exists():  # somebody paused it, or gave it to a downloader
        return
    try:
        transitions.move(job.pk, to, reason=text, error_message=text, **values)
    except AniBridgeError as error:
        logger.info("job %s: %s", job.pk, error)


def recall(download_types: Sequence[DownloadType] = TYPES) -> int:
    """Queue again what had no downloader, or none that answered, now that there is one. A bounded number at once;
    the next run goes on. Returns how many."""
    recalled = 0
    answering: dict[int, bool] = {}
    for download_type in download_types:
        jobs = Job.objects.present().filter(download_type=download_type).order_by("pk")
        waiting = jobs.filter(status=S.NO_DOWNLOADER)
        silent = jobs.filter(status=S.DOWNLOADER_ERROR, downloader=None)
        capable = list(Downloader.objects.capable(download_type))
        if not capable or not (waiting | silent).exists():
            continue
        for one in capable:
            if one.pk not in answering:
                answering[one.pk] = _answers(one)
        chosen = waiting | silent if any(answering[one.pk] for one in capable) else waiting
        names = ", ".join(one.name for one in capable)[:300]
        for job_id in list(chosen.values_list("pk", flat=True)[:RECALL_AT_ONCE]):
            try:
                transitions.move(job_id, S.QUEUED, reason=f"{download_type} links go to {names}")
                recalled += 1
            except AniBridgeError as error:
                logger.info("job %s: %s", job_id, error)
    if recalled >= RECALL_AT_ONCE:
        dispatch.nudge_dispatch()
    return recalled


def _answers(downloader: Downloader) -> bool:
    """Whether it may be given something. One that failed before is asked for its health first, not with a job."""
    if downloader.is_builtin:
        return True
    if downloader.is_backing_off(timezone.now()):
        return False
    if not downloader.setbacks:
        return True
    try:
        with contacts.opened(downloader) as adapter:
            adapter.health()
    except DownloaderAway as error:
        contacts.note_setback(downloader, error)
        return False
    contacts.note_success(downloader, forgive=False)
    return True
