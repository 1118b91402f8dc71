"""Deleting what jobs wrote that were deleted with their files.

The job's row says first that its files are to go (`clear_at`, in the transaction that took it off the list), so nothing
is forgotten when a process dies before they are gone. Whoever deletes them has the row for LEASE: a second one that
came late could meet a file that another download has put in the same place.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from downloads import files
from downloads.models import Job, JobFile, Layout

logger = logging.getLogger(__name__)

AT_ONCE = 20
"""Jobs whose files are deleted while somebody waits; where there are more, all are a worker's."""
LEASE = timedelta(minutes=10)
_TAKEN = 200
"""Jobs that a worker takes at a time: their files are gone long before the lease is over."""
_IN_ONE_QUERY = 500


def moment(*, at_once: bool) -> datetime:
    """What `clear_at` is to be for a job that is deleted now: its files go `at_once` by the caller, or by a worker."""
    return timezone.now() + (LEASE if at_once else timedelta())


def run() -> int:
    """Delete all that waits for it and that nobody is at; returns of how many jobs. Two runs at once are fine."""
    done = 0
    while jobs := _take():
        clear(jobs)
        done += len(jobs)
    return done


@transaction.atomic
def _take() -> list[Job]:
    now = timezone.now()
    due = Job.objects.select_for_update(skip_locked=True).filter(clear_at__lte=now)
    jobs = list(due.order_by("clear_at", "pk")[:_TAKEN])
    until = now + LEASE
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(clear_at=until)
    for job in jobs:
        job.clear_at = until
    return jobs


def clear(jobs: Sequence[Job]) -> None:
    """Delete what these jobs wrote, and folders of their own once they are empty. Nothing else, ever."""
    paths: dict[int, list[Path]] = {job.pk: [] for job in jobs}
    rows = JobFile.objects.filter(job__in=list(paths)).exclude(path="")
    for job_id, path in rows.values_list("job", "path"):
        paths[job_id].append(Path(path))
    others = _of_others({str(path) for its in paths.values() for path in its})
    for job in jobs:
        _delete(job, [path for path in paths[job.pk] if str(path) not in others])
    for until in {job.clear_at for job in jobs if job.clear_at is not None}:
        done = [job.pk for job in jobs if job.clear_at == until]
        Job.objects.filter(pk__in=done, clear_at=until).update(clear_at=None)


def _of_others(paths: Iterable[str]) -> set[str]:
    """Those of the files that a download on the list has as well: it has taken the place, and they are its own now."""
    names, found = sorted(paths), set[str]()
    for start in range(0, len(names), _IN_ONE_QUERY):
        some = JobFile.objects.filter(path__in=names[start : start + _IN_ONE_QUERY])
        found |= set(some.filter(job__removed_at=None).values_list("path", flat=True))
    return found


def _delete(job: Job, paths: Sequence[Path]) -> None:
    for path in paths:
        files.delete(path)
    for folder in {path.parent for path in paths}:
        if job.layout == Layout.RELEASE:
            files.drop_empty(folder, base=Path(job.save_path))
        else:  # the film's folder, or the season's
            files.delete_folder(folder)
