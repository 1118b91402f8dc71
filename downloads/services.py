"""Use cases over jobs: what a client, the admin or the command line asks for."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalogue.releases import Identity
from downloads import dispatch, files, heartbeats, transitions
from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import Job, JobStatus

logger = logging.getLogger(__name__)
S = JobStatus


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants fetched: a release of ours and where it should lie."""

    infohash: str
    name: str
    identity: Identity
    category: str = ""
    save_path: Path | None = None
    provider: str = ""
    paused: bool = False
    size_bytes: int | None = None


def enqueue(order: Order) -> tuple[Job, bool]:
    """Queue a release; asking twice gives the same job. Returns it and whether it is new.

    A job that failed or was cancelled starts over, and so does a finished one whose file is gone.
    """
    identity = order.identity
    with transaction.atomic():
        try:
            job, created = Job.objects.present().get_or_create(
                infohash=order.infohash,
                defaults={
                    "name": order.name[:255],
                    "source_site": identity.site,
                    "slug": identity.slug,
                    "season": identity.season,
                    "episode": identity.episode,
                    "language": identity.language,
                    "provider": order.provider,
                    "magnet_metadata": {
                        "site": identity.site,
                        "slug": identity.slug,
                        "season": identity.season,
                        "episode": identity.episode,
                        "language": identity.language,
                        "mode": "strm" if identity.strm else "download",
                    },
                    "category": order.category,
                    "save_path": str(order.save_path or files.category_folder(order.category)),
                    "status": S.PAUSED if order.paused else S.QUEUED,
                    "total_bytes": order.size_bytes,
                },
            )
        except IntegrityError:  # the same release was added in this very moment
            job, created = Job.objects.present().get(infohash=order.infohash), False
        if created:
            transitions.created(job)
        elif job.status in {S.FAILED, S.CANCELLED} or _file_is_gone(job):
            job = transitions.start_over(job.pk, reason="added again")
        if job.status == S.QUEUED:
            dispatch.nudge(job.pk)
    return job, created


def _file_is_gone(job: Job) -> bool:
    return job.status == S.COMPLETED and not (job.result_path and Path(job.result_path).exists())


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
        job = transitions.start_over(job_id, reason="retry")
        dispatch.nudge(job_id)
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
    job = transitions.move(job_id, S.CANCELLED, reason="cancelled")
    if not job.started_at:
        files.drop_partial(job_id)
    return job


def pause(job_id: int) -> Job:
    """Stop a job for now; what it has fetched stays for when it is resumed."""
    return transitions.move(job_id, S.PAUSED, reason="paused")


def resume(job_id: int) -> Job:
    """Let a paused job go on; one that is under way already is left alone."""
    job = Job.objects.get(pk=job_id)
    if job.status != S.PAUSED:
        return job
    with transaction.atomic():
        job = transitions.move(job_id, S.QUEUED, reason="resumed")
        dispatch.nudge(job_id)
    return job


def remove(job_id: int, *, delete_files: bool) -> None:
    """Delete a job, running or not; unfinished files always go, finished ones when asked. Twice is fine."""
    job = transitions.remove(job_id, delete_files=delete_files)
    if delete_files:
        delete_result(job)
    files.drop_partial(job_id)


def delete_result(job: Job) -> None:
    """Delete what the job wrote, and the folder of a pack once it is empty. Nothing else, ever."""
    paths = [Path(file.path) for file in job.files.all() if file.path]
    for path in paths:
        files.delete(path)
    if job.episode is None:  # a season has a folder of its own, also when not all of it arrived
        for folder in {path.parent for path in paths} - {Path(job.save_path)}:
            files.delete_folder(folder)


def sweep() -> list[int]:
    """Bring silent jobs back to the queue and nudge what is due; returns the ids that were nudged.

    This is what makes every message optional. Only as many are nudged as there are free slots: a long queue
    must not fill the broker with messages about the same jobs.
    """
    transitions.release_stale()
    running = Job.objects.filter(status=S.DOWNLOADING).count()
    slots = max(heartbeats.alive("downloads"), 1) * settings.DOWNLOAD_CONCURRENCY
    free = max(slots - running, 0)
    due = list(Job.objects.due(timezone.now()).values_list("pk", flat=True)[:free])
    for job_id in due:
        dispatch.nudge(job_id)
    _clear_leftovers()
    return due


def _clear_leftovers() -> None:
    """Partial files of jobs that are gone or over: left by a worker that died in between."""
    folder = settings.DOWNLOAD_DIR / files.PARTIAL
    if not folder.is_dir():
        return
    ids = [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()]
    live = set(
        Job.objects.present()
        .filter(pk__in=ids)
        .exclude(status__in=(S.COMPLETED, S.CANCELLED))
        .values_list("pk", flat=True)
    )
    for job_id in ids:
        if job_id not in live:
            files.drop_partial(job_id)
