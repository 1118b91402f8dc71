"""What downloads may forget: unfinished files that nobody goes on with, and the records of what is long gone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone

from downloads import files, heartbeats, sweeper
from downloads.models import Heartbeat, Job, JobEvent

BATCH = 500


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How many of something went, or would go; `bytes` where it is files."""

    what: str
    count: int
    bytes: int | None = None


def cleanup(*, dry_run: bool = False, now: datetime | None = None) -> list[Cleaned]:
    """Drop unfinished files that nobody goes on with, and records older than DOWNLOAD_KEEP_RECORD_DAYS.

    What is still on the list stays on it, however old; of its history the newest entry does. Safe to run at any time
    and twice at once.
    """
    now = now or timezone.now()
    old = now - timedelta(days=settings.DOWNLOAD_KEEP_RECORD_DAYS)
    removed = Job.objects.filter(removed_at__lt=old, clear_at=None).exclude(errands__isnull=False)
    silent = Heartbeat.objects.filter(beat_at__lt=now - heartbeats.FORGOTTEN_AFTER)
    return [
        _partial_files(dry_run),
        Cleaned("removed downloads", _drop(removed, dry_run)),
        Cleaned("old history", _drop(_old_events(old), dry_run)),
        Cleaned("processes that are gone", _drop(silent, dry_run)),
    ]


def _partial_files(dry_run: bool) -> Cleaned:
    leftovers = sweeper.leftovers()
    size = sum(_size(files.partial_folder(job_id)) for job_id in leftovers)
    if not dry_run:
        for job_id in leftovers:
            files.drop_partial(job_id)
    return Cleaned("unfinished files", len(leftovers), size)


def _old_events(old: datetime) -> QuerySet[JobEvent]:
    """Without the newest of each job: it says how it came to be what it is."""
    newest = JobEvent.objects.order_by().values("job").annotate(newest=Max("pk")).values("newest")
    return JobEvent.objects.filter(at__lt=old).exclude(pk__in=newest)


def _drop(rows: QuerySet, dry_run: bool) -> int:
    """In batches: one long DELETE would hold SQLite's only write lock."""
    if dry_run:
        return rows.count()
    dropped = 0
    while ids := list(rows.order_by().values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=ids).delete()
        dropped += len(ids)
    return dropped


def _size(folder: Path) -> int:
    return sum(_sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                yield path.stat().st_size
        except OSError:  # gone in this very moment
            continue
