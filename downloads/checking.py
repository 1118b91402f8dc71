"""Looking at a job's files again: whether they are there, whole, and what they should be."""

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from anibridge.lib import media
from downloads import files, finishing, services, transitions
from downloads.errors import JobLost
from downloads.models import Job, JobFile, JobStatus

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 1.0


@dataclass(slots=True)
class Findings:
    """What a look at a job's files has come to; `broken` with the reason."""

    good: list[JobFile] = field(default_factory=list)
    missing: list[JobFile] = field(default_factory=list)
    broken: list[tuple[JobFile, str]] = field(default_factory=list)


def look(job: Job) -> None:
    """Check every file of a job, and draw the conclusions. The caller holds the job's lock. Raises JobLost.

    A broken file is deleted and fetched again. One that is not there may have been moved away on purpose: a finished
    job then says so (its `result_path` is empty) and is fetched again when somebody starts it.
    """
    found = Findings()
    for row in job.files.all():
        if not row.path:
            continue
        path = Path(row.path)
        if not path.is_file():
            found.missing.append(row)
            continue
        reason = _why_broken(job, row, path)
        if reason:
            found.broken.append((row, reason))
        else:
            found.good.append(row)
    _conclude(job, found)


def _why_broken(job: Job, row: JobFile, path: Path) -> str:
    """Empty for a file that is as it was when it was put in place."""
    size = path.stat().st_size
    if size != row.size_bytes:
        return f"{path.name} has {size} bytes instead of {row.size_bytes}"
    if job.checksum and job.episode is not None:
        algorithm, _, wanted = job.checksum.partition(":")
        digest = finishing.hashed(path, hashlib.new(algorithm, usedforsecurity=False))
        return "" if digest == wanted else f"the {algorithm} of {path.name} is another one"
    if row.duration_seconds is None:  # no video
        return ""
    try:
        media.verify_video(
            path,
            min_seconds=min(SHORTEST_SECONDS, row.duration_seconds),
            expected_seconds=row.duration_seconds,
        )
    except media.NotMedia as error:
        return f"{path.name}: {error}"
    return ""


def _conclude(job: Job, found: Findings) -> None:
    text = _told(job, found)
    for row, _ in found.broken:
        files.delete(Path(row.path))
    with transaction.atomic():
        now = Job.objects.select_for_update().filter(pk=job.pk).first()
        if now is None or now.removed_at is not None or not now.checking:
            raise JobLost(f"job {job.pk} is not to be looked at any more")
        done = now.status == JobStatus.COMPLETED
        values = {"checking": False, "tending_tries": 0, "updated_at": timezone.now()}
        if done:
            values["result_path"] = _result_path(now, found)
        Job.objects.filter(pk=job.pk).update(**values)
        JobFile.objects.filter(pk__in=[row.pk for row, _ in found.broken]).delete()
        transitions.remark(job.pk, text)
        if done and found.broken:
            services.retry(job.pk)


def _result_path(job: Job, found: Findings) -> str:
    if found.broken or found.missing:
        return ""
    if not found.good:  # finished before files were written down one by one
        return job.result_path if Path(job.result_path).exists() else ""
    if job.result_path:
        return job.result_path
    first = Path(found.good[0].path)
    return str(first if job.episode is not None else first.parent)


def _told(job: Job, found: Findings) -> str:
    parts = [reason for _, reason in found.broken]
    parts += [f"{Path(row.path).name} is not there" for row in found.missing]
    if not parts:
        return "its files were checked and are whole" if found.good else "it has no files to check"
    return "checked: " + "; ".join(parts[:10])
