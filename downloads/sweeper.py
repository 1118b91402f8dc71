"""What makes every message optional: silent jobs come back, due ones get their nudge, leftovers go."""

import logging
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from downloads import dispatch, files, heartbeats, space, transitions
from downloads.models import Job, JobStatus

logger = logging.getLogger(__name__)
S = JobStatus


def sweep() -> list[int]:
    """Bring silent jobs back to the queue and nudge what is due; returns the ids that were nudged.

    Only as many are nudged as there are free slots, and forced ones: a long queue must not fill the broker with
    messages about the same jobs.
    """
    transitions.release_stale()
    _let_in_who_waits_for_room()
    running = Job.objects.local().filter(status=S.DOWNLOADING).count()
    slots = max(heartbeats.alive("downloads"), 1) * settings.DOWNLOAD_CONCURRENCY
    free = max(slots - running, 0)
    due = Job.objects.due(timezone.now())
    nudged = list(due.values_list("pk", flat=True)[: max(free, due.filter(forced=True).count())])
    for job_id in nudged:
        dispatch.nudge(job_id)
    if Job.objects.to_tend().exists():
        dispatch.nudge_tending()
    if Job.objects.filter(clear_at__lte=timezone.now()).exists():
        dispatch.nudge_clearing()
    clear_leftovers()
    return nudged


def _let_in_who_waits_for_room() -> None:
    waiting = Job.objects.present().filter(status=S.QUEUED).exclude(space_needed=None)
    full = set[int]()
    for job in waiting.in_order()[:200]:
        disk = space.disk_of(Path(job.save_path))
        if disk in full or not space.fits_now(job):
            # In order: small ones must not for ever take the room that a large one waits for.
            full.add(disk)
        elif transitions.there_is_room(job.pk):
            logger.info("job %s: there is room for it now", job.pk)


def clear_leftovers() -> None:
    """Drop the unfinished files of jobs that are gone, over, or left alone for long."""
    for job_id in leftovers():
        files.drop_partial(job_id)


def leftovers() -> list[int]:
    """Whose unfinished files may go: jobs that are gone or over, and those that nobody has gone on with for long."""
    folder = settings.DOWNLOAD_DIR / files.PARTIAL
    if not folder.is_dir():
        return []
    ids = [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()]
    found: list[int] = []
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        live = set(_still_wanted(some))
        found += [job_id for job_id in some if job_id not in live]
    return found


def _still_wanted(ids: list[int]) -> list[int]:
    old = timezone.now() - timedelta(hours=settings.DOWNLOAD_KEEP_PARTIAL_HOURS)
    unfinished = Job.objects.present().filter(pk__in=ids)
    # Who moves a finished job's files holds the lock that lies there.
    unfinished = unfinished.exclude(
        Q(moving_to="", checking=False), status__in=(S.COMPLETED, S.CANCELLED)
    )
    return list(
        unfinished.exclude(status__in=(S.PAUSED, S.FAILED), updated_at__lt=old).values_list(
            "pk", flat=True
        )
    )
