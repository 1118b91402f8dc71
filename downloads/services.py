"""Use cases over jobs: what a client, the admin or the command line asks for."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from downloads import dispatch, files, outbox, torrents, transitions
from downloads.detection import DownloadType
from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import ErrandAction, Job, JobStatus, JobTorrent, Layout
from downloads.orders import LINK_SITE
from downloads.orders import Order as Order
from downloads.sweeper import sweep as sweep

logger = logging.getLogger(__name__)
S = JobStatus


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
        elif job.status in {S.FAILED, S.CANCELLED} or _file_is_gone(job):
            job = _start_over(job, reason="added again")
        _wake(job)
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
    return columns | fields | {"source_site": identity.site, "magnet_metadata": metadata}


def _wake(job: Job) -> None:
    """Whoever has to do something about a queued job: a worker of ours, or the dispatcher."""
    if job.status != S.QUEUED:
        return
    if job.download_type == DownloadType.EPISODE:
        dispatch.nudge(job.pk)
    elif job.downloader_id is None:
        dispatch.nudge_dispatch()
    elif Job.objects.local().filter(pk=job.pk).exists():
        dispatch.nudge(job.pk)


def _start_over(job: Job, *, reason: str) -> Job:
    """From nothing; whoever has it drops it first, what was fetched stays there for a resume."""
    outbox.tell(job, ErrandAction.DELETE, delete_files=False)
    return transitions.start_over(job.pk, reason=reason)


def _file_is_gone(job: Job) -> bool:
    if job.status != S.COMPLETED or (job.result_path and Path(job.result_path).exists()):
        return False
    # What lies on another machine was never seen here: that it cannot be seen now says nothing.
    return not outbox.is_elsewhere(job) or job.files.exists()


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

    Raises IllegalTransition for one that is under way or lies finished where it should.
    """
    job = Job.objects.get(pk=job_id)
    if job.status == S.COMPLETED and not _file_is_gone(job):
        raise IllegalTransition("its file is there; delete it first to fetch it again")
    if job.status in {S.QUEUED, S.DOWNLOADING}:
        raise IllegalTransition(f"it is {job.status} already")
    with transaction.atomic():
        job = _start_over(job, reason="retry")
        _wake(job)
    return job


def retry_many(job_ids: Iterable[int]) -> tuple[int, int]:
    """Retry each; returns how many were queued and how many are not in a state to."""
    queued = refused = 0
    for job_id in job_ids:
        try:
            retry(job_id)
            queued += 1
        except IllegalTransition:
            refused += 1
    return queued, refused


def cancel(job_id: int) -> Job:
    """Stop a job for good; its worker notices within a second or two and clears its unfinished files."""
    with transaction.atomic():
        job = transitions.move(job_id, S.CANCELLED, reason="cancelled")
        outbox.tell(job, ErrandAction.CANCEL)
    if not job.started_at:
        files.drop_partial(job_id)
    return job


def pause(job_id: int) -> Job:
    """Stop a job for now; what it has fetched stays for when it is resumed."""
    with transaction.atomic():
        job = transitions.move(job_id, S.PAUSED, reason="paused")
        outbox.tell(job, ErrandAction.PAUSE)
    return job


def resume(job_id: int) -> Job:
    """Let a paused job go on; one that is under way already is left alone."""
    job = Job.objects.get(pk=job_id)
    if job.status != S.PAUSED:
        return job
    with transaction.atomic():
        job = transitions.move(job_id, S.QUEUED, reason="resumed")
        outbox.tell(job, ErrandAction.RESUME)
        _wake(job)
    return job


def remove(job_id: int, *, delete_files: bool) -> None:
    """Delete a job, running or not; unfinished files always go, finished ones when asked. Twice is fine."""
    with transaction.atomic():
        before = Job.objects.filter(pk=job_id).values_list("status", "removed_at").first()
        job = transitions.remove(job_id, delete_files=delete_files)
        if before is not None and before[1] is None:
            if before[0] == S.COMPLETED:
                outbox.tell(job, ErrandAction.DELETE, delete_files=delete_files)
            else:
                outbox.tell(job, ErrandAction.CANCEL)
    if delete_files:
        delete_result(job)
    files.drop_partial(job_id)


def delete_result(job: Job) -> None:
    """Delete what the job wrote, and folders of its own once they are empty. Nothing else, ever."""
    paths = [Path(file.path) for file in job.files.all() if file.path]
    for path in paths:
        files.delete(path)
    for folder in {path.parent for path in paths}:
        if job.layout == Layout.RELEASE:
            files.drop_empty(folder, base=Path(job.save_path))
        else:  # the film's folder, or the season's
            files.delete_folder(folder)
