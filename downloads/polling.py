"""Asking downloaders how their jobs go, and bringing our rows to what is true.

A job is watched as long as it is not over: also while it is paused, queued at its downloader, or in error since the
downloader did not answer – so what finished while nobody looked is found. An answer counts only if the job is still
as it was when the question was asked.
"""

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Least
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from downloads import contacts, dispatch, inside, placing, transitions
from downloads.contacts import contact
from downloads.downloaders.base import LONGEST_ETA, MAX_BATCH, DownloaderAway, Report, State
from downloads.files import safe_part
from downloads.models import Downloader, Errand, Job, JobFile, JobQuerySet, JobStatus
from downloads.placing import Found

logger = logging.getLogger(__name__)
S = JobStatus

GRACE = 3
"""Polls in a row that a downloader may miss before its jobs are shown as in error."""
MISSES = 2
"""Polls in a row in which a downloader may not know a job: it may have been told a moment ago."""
MAX_DISPATCHES = 3
"""How often a job is handed over before its loss is final."""
LEASE = timedelta(minutes=10)
WATCHED = (S.QUEUED, S.DOWNLOADING, S.PAUSED, S.DOWNLOADER_ERROR)
TARGETS = {
    State.DOWNLOADING: S.DOWNLOADING,
    State.CHECKING: S.DOWNLOADING,
    State.PAUSED: S.PAUSED,
    State.ERROR: S.FAILED,
    State.COMPLETED: S.COMPLETED,
}


def due() -> list[int]:
    """The downloaders that have jobs to be asked about."""
    busy = _watched().values("downloader")
    return list(Downloader.objects.remote().filter(pk__in=busy).values_list("pk", flat=True))


def poll(downloader_id: int) -> bool:
    """Ask one downloader about all of its jobs. False when somebody else does that already, or it did not answer."""
    downloader = Downloader.objects.remote().filter(pk=downloader_id).first()
    if downloader is None or not _lease(downloader):
        return False
    try:
        jobs = list(_watched().filter(downloader=downloader).order_by("pk"))
        if not jobs:
            return True  # nothing was asked, so nothing is known about its health
        with contact(downloader) as adapter:
            for start in range(0, len(jobs), MAX_BATCH):
                page = jobs[start : start + MAX_BATCH]
                reports = adapter.status(list(dict.fromkeys(job.remote_id for job in page)))
                for job in page:
                    take(downloader, job, reports.get(job.remote_id, Report(State.UNKNOWN)))
                inside.learn(downloader, adapter, page, reports)
    except DownloaderAway as error:
        _missed(downloader, error)
        return False
    finally:
        Downloader.objects.filter(pk=downloader.pk).update(polling_until=None)
    return True


def _watched() -> JobQuerySet:
    """Jobs that a downloader has, and about which nothing is on its way to it."""
    told = Errand.objects.unsettling().exclude(job=None).values("job")
    jobs = Job.objects.present().filter(status__in=WATCHED).exclude(downloader=None)
    return jobs.exclude(remote_id="").exclude(pk__in=told)


def _lease(downloader: Downloader) -> bool:
    now = timezone.now()
    free = Downloader.objects.filter(Q(polling_until=None) | Q(polling_until__lte=now))
    return bool(free.filter(pk=downloader.pk).update(polling_until=now + LEASE))


def _missed(downloader: Downloader, error: DownloaderAway) -> None:
    """One missed poll says little. After some in a row the jobs say so too; the next answer brings them back."""
    Downloader.objects.filter(pk=downloader.pk).update(
        failures=Least(F("failures") + 1, contacts.MOST_FAILURES)
    )
    downloader.refresh_from_db(fields=["failures"])
    if downloader.failures < GRACE:
        return
    text = contacts.reason(downloader, f"it does not answer: {error}")
    for job in _watched().filter(downloader=downloader, status__in=(S.QUEUED, S.DOWNLOADING)):
        _bring(job, S.DOWNLOADER_ERROR, reason=text, error_message=text)


def take(downloader: Downloader, job: Job, report: Report) -> None:
    """Bring one job to what its downloader said. A job that has changed since it was asked is left alone."""
    if report.state is State.NOT_FOUND:
        _not_found(downloader, job)
        return
    to = TARGETS.get(report.state)
    if report.state is State.QUEUED:
        to = S.QUEUED if job.status == S.QUEUED else S.DOWNLOADING
    elif to is None:  # a word that nobody knows changes nothing, except that somebody answers
        to = S.DOWNLOADING if job.status == S.DOWNLOADER_ERROR else JobStatus(job.status)
    found = None
    values = _progress(job, report)
    if to == S.COMPLETED:
        found = placing.find(downloader, report, save_path=job.save_path, name=safe_part(job.name))
        values |= _finished(job, report, found)
    elif to == S.FAILED:
        values["error_message"] = contacts.reason(
            downloader, report.reason or "it stopped with an error"
        )
    else:
        values["error_message"] = ""
    _bring(job, to, reason=_reason(downloader, to, values), found=found, **values)


def _reason(downloader: Downloader, to: JobStatus, values: dict[str, Any]) -> str:
    texts = {
        S.COMPLETED: f"{downloader.name} has it"
        + (f"; {values['error_message']}" if values.get("error_message") else ""),
        S.FAILED: str(values.get("error_message", "")),
        S.PAUSED: f"it was stopped at {downloader.name}",
    }
    return texts.get(to, f"{downloader.name} is fetching it")


def _progress(job: Job, report: Report) -> dict[str, Any]:
    """What the row says about a running download. The speed is the downloader's, or measured between two polls."""
    now = timezone.now()
    size = report.size or job.total_bytes
    done = report.downloaded
    if done is None:
        done = int(report.progress * size) if size else job.downloaded_bytes
    speed = report.speed
    if speed is None and job.polled_at is not None:
        seconds = (now - job.polled_at).total_seconds()
        speed = int(max(done - job.downloaded_bytes, 0) / seconds) if seconds > 0 else 0
    running = report.state is State.DOWNLOADING
    speed = min(speed or 0, 2**40) if running else 0
    eta = report.eta
    if eta is None and speed and size:
        eta = int(max(size - done, 0) / speed)
    values: dict[str, Any] = {
        "progress": report.progress,
        "downloaded_bytes": done,
        "total_bytes": size,
        "speed": speed,
        "eta": min(eta, LONGEST_ETA) if running and eta is not None else None,
        "polled_at": now,
        "misses": 0,
    }
    if done > job.downloaded_bytes:
        values["active_at"] = now
    # A magnet without a name, or a link to a .torrent file, is called by its hash until somebody knows better.
    if report.name and job.name in (job.infohash, job.remote_id):
        values["name"] = report.name[:255]
    return values


def _finished(job: Job, report: Report, found: Found) -> dict[str, Any]:
    seen = sum(size for _, size in found.videos)
    size = report.size or seen or job.total_bytes or 0
    return {
        "progress": 1.0,
        "downloaded_bytes": size,
        "total_bytes": size,
        "speed": 0,
        "eta": None,
        "result_path": found.path,
        "completed_at": timezone.now(),
        "error_message": found.note,
    }


def _not_found(downloader: Downloader, job: Job) -> None:
    misses = job.misses + 1
    if misses < MISSES:
        Job.objects.filter(pk=job.pk, remote_id=job.remote_id).update(misses=misses)
        return
    text = f"{downloader.name} no longer knows this download"
    with transaction.atomic():
        if not _unchanged(job):
            return
        if job.status == S.PAUSED:  # handed over again when it is resumed
            Job.objects.filter(pk=job.pk).update(downloader=None, remote_id="", misses=0)
        elif job.dispatches >= MAX_DISPATCHES:
            text = f"{contacts.reason(downloader, 'it no longer knows this download')}, for the {job.dispatches}. time"
            _walk(job, S.FAILED, reason=text, error_message=text)
        else:
            values = {"downloader": None, "remote_id": "", "misses": 0, "polled_at": None}
            if job.status == S.QUEUED:
                Job.objects.filter(pk=job.pk).update(**values)
            else:
                _walk(job, S.QUEUED, reason=f"{text}; it is handed over again", **values)
            dispatch.nudge_dispatch()


@transaction.atomic
def _bring(
    job: Job, to: JobStatus, *, reason: str, found: Found | None = None, **values: Any
) -> None:
    if not _unchanged(job):
        return
    if found is not None:
        JobFile.objects.filter(job=job).delete()
        JobFile.objects.bulk_create(
            JobFile(job=job, season=job.season, episode=None, path=str(path), size_bytes=size)
            for path, size in found.videos
        )
    if job.status == to:
        Job.objects.filter(pk=job.pk).update(**values, updated_at=timezone.now())
    else:
        _walk(job, to, reason=reason, **values)


def _unchanged(job: Job) -> bool:
    """Whether the row, locked, is still what the downloader was asked about, and nothing is on its way to it."""
    now = Job.objects.select_for_update().filter(pk=job.pk).first()
    return (
        now is not None
        and now.removed_at is None
        and (now.status, now.downloader_id, now.remote_id)
        == (job.status, job.downloader_id, job.remote_id)
        and not Errand.objects.unsettling().filter(job=job).exists()
    )


def _walk(job: Job, to: JobStatus, *, reason: str, **values: Any) -> None:
    """Move along the steps that design.md §4 draws: what was paused here and finished there was queued and
    downloading in between."""
    try:
        for step in _way(JobStatus(job.status), to):
            transitions.move(job.pk, step, reason=reason, **(values if step == to else {}))
    except AniBridgeError as error:
        logger.info("job %s: %s", job.pk, error)


def _way(start: JobStatus, to: JobStatus) -> list[JobStatus]:
    for between in ([], [S.QUEUED], [S.DOWNLOADING], [S.QUEUED, S.DOWNLOADING]):
        steps = [*between, to]
        if all(
            after in transitions.ALLOWED[before]
            for before, after in zip([start, *between], steps, strict=True)
        ):
            return steps
    return [to]  # not drawn at all: the move says so
