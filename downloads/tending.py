"""What is to be done with files that are in place: bringing them to another folder, and looking at them again.

A wish stands in the job's row (`moving_to`, `checking`); whoever holds the job's lock carries it out, and only while no
worker fetches it. A message is a nudge as everywhere: the sweeper finds what was left lying.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError, Cancelled
from downloads import checking, dispatch, files, moving, outbox, transitions
from downloads.errors import NotARename, StillWritten, UnknownJob, Unmovable
from downloads.models import Downloader, Job, JobFile, JobStatus, Layout

logger = logging.getLogger(__name__)
S = JobStatus

AT_ONCE = 20
"""Jobs whose files are renamed while somebody waits; further ones are a worker's."""
_IN_ONE_QUERY = 500
MAX_TRIES = 5
"""Beginnings of one move or check. A disk that fails, or a worker that dies of it, must not go on for ever."""


def relocate(job_id: int, folder: Path) -> None:
    """Have a job's files lie below `folder` from now on.

    Where that takes only new names it is done here; what has to be copied is copied by a worker, and until then every
    path in the database says where the files still are. What is being fetched is moved when it is done. Raises
    UnknownJob, Unmovable, OutsideRoot.
    """
    files.root_of(folder)
    if not _wish_move(job_id, folder):
        return
    try:
        carry(job_id, may_copy=False)
    except StillWritten:
        logger.info("job %s is moved as soon as nobody else has its files", job_id)
    if Job.objects.to_tend().filter(pk=job_id).exists():
        dispatch.nudge_tending()


@transaction.atomic
def _wish_move(job_id: int, folder: Path) -> bool:
    """Write down where the files shall lie. Whether there is something to be done for it now."""
    job = _locked(job_id)
    if job.layout == Layout.LIBRARY or outbox.is_elsewhere(job):
        raise Unmovable(_why_fixed(job))
    target, now = str(folder), timezone.now()
    if job.moving_to == target or (target == job.save_path and not job.moving_to):
        return bool(job.moving_to) and job.status != S.DOWNLOADING
    paths = job.files.exclude(path="").values_list("path", flat=True)
    # A worker writes a file down before it puts it in place.
    fetching = job.status == S.DOWNLOADING
    placed = any(fetching or Path(path).exists() for path in paths)
    if not placed and not job.moving_to:
        gone = moving.path_of_gone(job, folder)
        Job.objects.filter(pk=job.pk).update(save_path=target, updated_at=now, **gone)
        return False
    Job.objects.filter(pk=job.pk).update(moving_to=target, tending_tries=0, updated_at=now)
    return not fetching


def relocate_many(job_ids: Sequence[int], folder: Path) -> dict[int, str]:
    """The same for many: a few of them here, the rest by a worker, those that have no files yet in one statement.

    Returns why a job stays where it is, for those that do. Raises OutsideRoot.
    """
    files.root_of(folder)
    refusals: dict[int, str] = {}
    here: list[int] = []
    for start in range(0, len(job_ids), _IN_ONE_QUERY):
        some = list(job_ids[start : start + _IN_ONE_QUERY])
        stay = _refusals(some)
        refusals |= stay
        with transaction.atomic():
            Job.objects.filter(pk__in=some).hold()
            moved = _relocate_bare(some, folder)
            rest = [job_id for job_id in some if job_id not in moved and job_id not in stay]
            room = AT_ONCE - len(here)
            here += rest[:room]
            later = Job.objects.present().filter(pk__in=rest[room:])
            later = later.exclude(save_path=str(folder), moving_to="")
            later.update(moving_to=str(folder), tending_tries=0, updated_at=timezone.now())
    for job_id in here:
        with suppress(UnknownJob, Unmovable):  # deleted, or given away, in this very moment
            relocate(job_id, folder)
    if Job.objects.to_tend().exists():
        dispatch.nudge_tending()
    return refusals


def _refusals(job_ids: Sequence[int]) -> dict[int, str]:
    fixed = Q(layout=Layout.LIBRARY) | Q(downloader__in=_remote())
    jobs = Job.objects.present().filter(fixed, pk__in=job_ids).select_related("downloader")
    return {job.pk: _why_fixed(job) for job in jobs}


def _why_fixed(job: Job) -> str:
    if job.layout == Layout.LIBRARY:
        return "its files lie in a library, under the names that the library wants"
    return f"{job.downloader} has its files; they are moved there"


def _relocate_bare(job_ids: Sequence[int], folder: Path) -> set[int]:
    """Those of the jobs that wait and have no files yet: only a column changes."""
    bare = Job.objects.present().filter(pk__in=job_ids, moving_to="", layout=Layout.RELEASE)
    # Whoever begins to fetch one changes its row, and then this leaves it alone.
    bare = bare.exclude(status__in=(S.DOWNLOADING, S.COMPLETED)).exclude(downloader__in=_remote())
    bare = bare.exclude(_has_files())
    moved = set(bare.values_list("pk", flat=True))
    bare.filter(pk__in=moved).update(save_path=str(folder), updated_at=timezone.now())
    return moved


def recheck(job_ids: Sequence[int]) -> None:
    """Have the files of jobs looked at by a worker. Nothing for what has none yet, for what a worker is just writing, and
    for what lies at another downloader."""
    asked = 0
    for start in range(0, len(job_ids), _IN_ONE_QUERY):
        jobs = Job.objects.present().filter(pk__in=job_ids[start : start + _IN_ONE_QUERY])
        jobs = jobs.exclude(status=S.DOWNLOADING).exclude(downloader__in=_remote())
        jobs = jobs.filter(Q(status=S.COMPLETED) | _has_files())
        with transaction.atomic():
            chosen = Job.objects.filter(pk__in=jobs.hold())
            asked += chosen.update(checking=True, tending_tries=0, updated_at=timezone.now())
    if asked:
        dispatch.nudge_tending()


def _has_files() -> Q:
    return Q(Exists(JobFile.objects.filter(job=OuterRef("pk")).exclude(path="")))


def _remote() -> QuerySet[Downloader, Any]:
    return Downloader.objects.remote().values("pk")


def _locked(job_id: int) -> Job:
    job = Job.objects.present().select_for_update().filter(pk=job_id).first()
    if job is None:
        raise UnknownJob(f"there is no job {job_id}")
    return job


def run() -> int:
    """Carry out every wish there is, one after the other; returns how many jobs there were. Others may do the same."""
    seen = set[int]()
    while True:
        waiting = Job.objects.to_tend().exclude(pk__in=list(seen)[-500:]).order_by("pk")
        job_id = next(
            (pk for pk in waiting.values_list("pk", flat=True)[:1000] if pk not in seen), None
        )
        if job_id is None:
            return len(seen)
        seen.add(job_id)
        carry_if_free(job_id)


def carry_if_free(job_id: int) -> None:
    """`carry`, unless somebody else has the job's files."""
    try:
        carry(job_id)
    except StillWritten:
        logger.info("job %s: somebody else has its files", job_id)


def carry(job_id: int, *, may_copy: bool = True) -> None:
    """Do what is wished of one job's files, until nothing is left to do. Raises StillWritten while somebody else has them."""
    if not Job.objects.to_tend().filter(pk=job_id).exists():
        return
    try:
        with files.own_partial(job_id) as notes:
            while (job := _begun(job_id)) is not None:
                if not _carried(job, notes, may_copy=may_copy):
                    return
    except OSError as error:  # not even the lock can be had
        logger.warning("job %s: %s", job_id, error)


def _begun(job_id: int) -> Job | None:
    job = Job.objects.to_tend().filter(pk=job_id).first()
    if job is None:
        return None
    if job.tending_tries >= MAX_TRIES:
        _give_up(job, f"it failed {MAX_TRIES} times")
        return None
    Job.objects.filter(pk=job_id).update(tending_tries=F("tending_tries") + 1)
    job.tending_tries += 1
    return job


def _carried(job: Job, notes: Path, *, may_copy: bool) -> bool:
    """One wish. Whether to look for the next one at once."""
    try:
        if job.moving_to:
            moving.bring(job, notes=notes, may_copy=may_copy)
        elif may_copy:
            checking.look(job)
        else:  # takes long as well
            return False
    except NotARename:
        Job.objects.filter(pk=job.pk).update(tending_tries=0)
        return False
    except Cancelled as error:  # deleted, claimed, or wanted elsewhere by now
        logger.info("%s", error)
    except AniBridgeError as error:
        _give_up(job, str(error))
    except OSError as error:
        logger.warning("job %s: %s", job.pk, error)
        if job.tending_tries >= MAX_TRIES:
            _give_up(job, f"{error.strerror or error}")
        return False
    return True


def _give_up(job: Job, reason: str) -> None:
    """Leave the files where they are, and say so."""
    logger.warning("job %s: its files are left alone: %s", job.pk, reason)
    with transaction.atomic():
        same = Job.objects.filter(pk=job.pk, moving_to=job.moving_to)
        if not same.update(
            moving_to="", checking=False, tending_tries=0, updated_at=timezone.now()
        ):
            return
        what = f"were not brought to {job.moving_to}" if job.moving_to else "could not be checked"
        transitions.remark(job.pk, f"its files {what}: {reason}")
