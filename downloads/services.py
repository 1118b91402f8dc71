"""Use cases over jobs: what a client, the admin or the command line asks for.

A command is one for many: a handful of statements for each AT_ONCE jobs in a transaction of their own. To whom it cannot
be done, it is not, with the reason, and the others do not mind. The one for a single job is the same with one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from downloads import clearing, dispatch, files, outbox, torrents, transitions
from downloads.detection import DownloadType
from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import (
    Downloader,
    DownloaderKind,
    ErrandAction,
    Job,
    JobFile,
    JobStatus,
    JobTorrent,
)
from downloads.orders import LINK_SITE
from downloads.orders import Order as Order
from downloads.sweeper import sweep as sweep

S = JobStatus
AT_ONCE = 500
"""Jobs in one transaction: SQLite has one writer, and locked rows are ones that a worker waits for."""

STRM_BYTES = 512
"""About what a file of one line has, until it is written. Clients tell from the size how far a job is."""
USUAL_EPISODES = 12
"""Of a season, until its list is read."""


@dataclass(slots=True)
class Told:
    """What a command to many has come to: the jobs that are as it wants them, now or before, and why others are not.
    Who is in neither is not on the list."""

    jobs: dict[int, Job] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)

    def note(self, moved: transitions.Moved) -> None:
        self.jobs |= {job.pk: job for job in moved.jobs}
        self.refusals |= moved.refusals


def enqueue(order: Order) -> tuple[Job, bool]:
    """Queue an order of any kind; asking twice gives the same job. Returns it and whether it is new.

    A job that failed or was cancelled starts over, and so does a finished one whose file is gone.
    """
    torrent = torrents.read(order.torrent) if order.torrent else None
    with transaction.atomic():
        try:
            job, created = Job.objects.present().get_or_create(
                infohash=order.infohash, defaults=_columns(order)
            )
        except IntegrityError:  # the same release was added in this very moment
            job, created = Job.objects.present().get(infohash=order.infohash), False
        if created:
            transitions.created(job)
            if torrent is not None:
                JobTorrent.objects.create(
                    job=job, content=order.torrent, v1=torrent.v1, v2=torrent.v2
                )
        elif job.status in {S.FAILED, S.CANCELLED} or _without_files([job]):
            [job] = transitions.lock([job.pk])
            if job.removed_at is not None:  # deleted in this very moment
                return enqueue(order)
            _start_over([job], reason="added again")
        _wake([job])
    return job, created


def _columns(order: Order) -> dict[str, Any]:
    """A new job's row."""
    columns: dict[str, Any] = {
        "name": order.name[:255],
        "download_type": order.download_type.value,
        "url": order.url,
        "provider": order.provider,
        "magnet_metadata": {"mode": "download"},
        "category": order.category,
        "save_path": str(order.save_path or files.category_folder(order.category)),
        "layout": order.layout,
        "naming": dict(order.naming),
        "status": S.PAUSED if order.paused else S.QUEUED,
        "total_bytes": order.size_bytes,
        "rate_limit": order.rate_limit,
        "checksum": order.checksum,
        "source_site": LINK_SITE,
    }
    identity = order.identity
    if identity is None:
        return columns
    fields = {
        "slug": identity.slug,
        "season": identity.season,
        "episode": identity.episode,
        "language": identity.language,
    }
    mode = "strm" if identity.strm else "download"
    metadata = {"site": identity.site, **fields, "mode": mode}
    if identity.strm:  # how long the video is says nothing about the file that plays it
        columns["total_bytes"] = STRM_BYTES * (
            1 if identity.episode is not None else USUAL_EPISODES
        )
    return columns | fields | {"source_site": identity.site, "magnet_metadata": metadata}


def _wake(jobs: Iterable[Job]) -> None:
    """Whoever has to do something about queued jobs: the dispatcher, or a worker of ours, which wakes the next one."""
    queued = [job for job in jobs if job.status == S.QUEUED]
    links = [job for job in queued if job.download_type != DownloadType.EPISODE]
    if any(job.downloader_id is None for job in links):
        dispatch.nudge_dispatch()
    given = {job.downloader_id for job in links if job.downloader_id is not None}
    builtin = Downloader.objects.filter(pk__in=given, kind=DownloaderKind.BUILTIN)
    ours = set(builtin.values_list("pk", flat=True)) if given else set()
    for job in queued:
        if job.download_type == DownloadType.EPISODE or job.downloader_id in ours:
            dispatch.nudge(job.pk)
            return


def _start_over(jobs: Sequence[Job], *, reason: str) -> transitions.Moved:
    """Locked jobs from nothing; whoever has one drops it first, what was fetched stays there for a resume."""
    fresh = [job for job in jobs if S.QUEUED in transitions.ALLOWED[job.status]]
    outbox.tell_many(fresh, ErrandAction.DELETE, delete_files=False)
    return transitions.start_over_many(fresh, reason=reason)


def _without_files(jobs: Iterable[Job]) -> set[int]:
    """The finished ones whose files are gone. Looks at the disk."""
    gone = [
        job
        for job in jobs
        if job.status == S.COMPLETED and not (job.result_path and Path(job.result_path).exists())
    ]
    # What lies on another machine was never seen here: that it cannot be seen now says nothing.
    far = {job.pk for job in outbox.elsewhere(gone)}
    seen = JobFile.objects.filter(job__in=far).order_by().values_list("job", flat=True)
    unseen = far - set(seen.distinct()) if far else far
    return {job.pk for job in gone} - unseen


def get(reference: str | int) -> Job:
    """The present job with this id or (any case) infohash; raises UnknownJob."""
    text = str(reference).strip().lower()
    found = Job.objects.present()
    job = found.filter(infohash=text).first() if len(text) == 40 else None
    if job is None and text.isdecimal() and len(text) < 19:
        job = found.filter(pk=int(text)).first()
    if job is None:
        raise UnknownJob(f"there is no download «{text[:60]}»")
    return job


def retry(job_id: int) -> Job:
    """Queue a failed, cancelled or waiting job again, or one whose file is gone.

    Raises IllegalTransition for one that is under way or lies finished where it should, UnknownJob.
    """
    return _one(retry_many, job_id)


def retry_many(job_ids: Iterable[int]) -> Told:
    """`retry` for many."""
    lost: set[int] = set()

    def look(ids: Sequence[int]) -> None:
        lost.update(_without_files(Job.objects.filter(pk__in=ids, status=S.COMPLETED)))

    def work(jobs: Sequence[Job], told: Told) -> None:
        again = []
        for job in jobs:
            if job.status == S.COMPLETED and job.pk not in lost:
                told.refusals[job.pk] = "its file is there; delete it first to fetch it again"
            elif job.status in {S.QUEUED, S.DOWNLOADING}:
                told.refusals[job.pk] = f"it is {job.status} already"
            else:
                again.append(job)
        told.note(_start_over(again, reason="retry"))
        _wake(again)

    return _each(job_ids, work, before=look)


def cancel(job_id: int) -> Job:
    """Stop a job for good; its worker notices within a second or two and clears its unfinished files."""
    return _one(cancel_many, job_id)


def cancel_many(job_ids: Iterable[int]) -> Told:
    """`cancel` for many."""
    told = _move(job_ids, S.CANCELLED, ErrandAction.CANCEL)
    for job in told.jobs.values():
        if not job.started_at:
            files.drop_partial(job.pk)
    return told


def pause(job_id: int) -> Job:
    """Stop a job for now; what it has fetched stays for when it is resumed."""
    return _one(pause_many, job_id)


def pause_many(job_ids: Iterable[int]) -> Told:
    """`pause` for many."""
    return _move(job_ids, S.PAUSED, ErrandAction.PAUSE)


def _move(job_ids: Iterable[int], to: JobStatus, action: ErrandAction) -> Told:
    def work(jobs: Sequence[Job], told: Told) -> None:
        moved = transitions.move_many(jobs, to, reason=to.value)
        outbox.tell_many(moved.jobs, action)
        told.note(moved)

    return _each(job_ids, work)


def resume(job_id: int) -> Job:
    """Let a paused job go on; one that is under way already, or over, is left alone."""
    return _one(resume_many, job_id)


def resume_many(job_ids: Iterable[int]) -> Told:
    """`resume` for many."""

    def work(jobs: Sequence[Job], told: Told) -> None:
        paused = [job for job in jobs if job.status == S.PAUSED]
        transitions.move_many(paused, S.QUEUED, reason="resumed")
        outbox.tell_many(paused, ErrandAction.RESUME)
        _wake(paused)
        told.jobs |= {job.pk: job for job in jobs}

    return _each(job_ids, work)


def set_rate_limit(job_ids: Iterable[int], limit: int | None) -> Told:
    """Bytes a second for each of these jobs, None for no limit of their own. Who has it elsewhere is told."""

    def work(jobs: Sequence[Job], told: Told) -> None:
        changed = [job for job in jobs if job.rate_limit != limit]
        Job.objects.filter(pk__in=[job.pk for job in changed]).update(
            rate_limit=limit, limit_note="", updated_at=timezone.now()
        )
        for job in changed:
            job.rate_limit, job.limit_note = limit, ""
        outbox.tell_many((job for job in changed if not job.is_finished), ErrandAction.LIMIT)
        told.jobs |= {job.pk: job for job in jobs}

    return _each(job_ids, work)


def remove(job_id: int, *, delete_files: bool) -> None:
    """Delete a job, running or not; unfinished files always go, finished ones when asked. Twice is fine."""
    told = remove_many([job_id], delete_files=delete_files)
    if not told.jobs and not Job.objects.filter(pk=job_id).exists():
        raise UnknownJob(f"there is no job {job_id}")


def remove_many(job_ids: Iterable[int], *, delete_files: bool) -> Told:
    """`remove` for many. They are off the list at once; where they are many, their files go a little later."""
    ids = sorted(set(job_ids))
    at_once = len(ids) <= clearing.AT_ONCE

    def work(jobs: Sequence[Job], told: Told) -> None:
        done = [job for job in jobs if job.status == S.COMPLETED]
        rest = [job for job in jobs if job.status != S.COMPLETED]
        clear_at = clearing.moment(at_once=at_once) if delete_files else None
        transitions.remove_many(jobs, delete_files=delete_files, clear_at=clear_at)
        outbox.tell_many(done, ErrandAction.DELETE, delete_files=delete_files)
        outbox.tell_many(rest, ErrandAction.CANCEL)
        if jobs and not at_once:
            dispatch.nudge_clearing()
        told.jobs |= {job.pk: job for job in jobs}

    told = _each(ids, work)
    if at_once:
        if delete_files:
            clearing.clear(list(told.jobs.values()))
        for job_id in told.jobs:
            files.drop_partial(job_id)
    return told


def _each(
    job_ids: Iterable[int],
    work: Callable[[Sequence[Job], Told], None],
    *,
    before: Callable[[Sequence[int]], None] | None = None,
) -> Told:
    """Do `work` to those of the jobs that are on the list: locked, some at a time. `before` sees the same ids outside of
    the transaction."""
    told = Told()
    ids = sorted(set(job_ids))
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        if before is not None:
            before(some)
        with transaction.atomic():
            work([job for job in transitions.lock(some) if job.removed_at is None], told)
    return told


def _one(command: Callable[[Iterable[int]], Told], job_id: int) -> Job:
    told = command([job_id])
    if job_id in told.refusals:
        raise IllegalTransition(told.refusals[job_id])
    if job_id not in told.jobs:
        raise UnknownJob(f"there is no job {job_id}")
    return told.jobs[job_id]
