"""The one door through which a job's status changes. Every change is compare-and-set and leaves a JobEvent."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.expressions import CombinedExpression
from django.utils import timezone

from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import Job, JobEvent, JobStatus

logger = logging.getLogger(__name__)
S = JobStatus

ALLOWED: dict[str, frozenset[str]] = {
    S.QUEUED: frozenset(
        {S.DOWNLOADING, S.PAUSED, S.FAILED, S.CANCELLED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR}
    ),
    S.DOWNLOADING: frozenset(
        {S.QUEUED, S.PAUSED, S.COMPLETED, S.FAILED, S.CANCELLED, S.DOWNLOADER_ERROR}
    ),
    S.PAUSED: frozenset({S.QUEUED, S.CANCELLED}),
    S.COMPLETED: frozenset({S.QUEUED}),
    S.FAILED: frozenset({S.QUEUED}),
    S.CANCELLED: frozenset({S.QUEUED}),
    S.NO_DOWNLOADER: frozenset({S.QUEUED, S.FAILED, S.CANCELLED}),
    S.DOWNLOADER_ERROR: frozenset(
        {S.QUEUED, S.DOWNLOADING, S.PAUSED, S.COMPLETED, S.FAILED, S.CANCELLED}
    ),
}
"""design.md §4, drawn: from a status to the ones that may follow it."""

MAX_DEATHS = 5
"""A job that kills its worker must not do so for ever."""

_FRESH_START: dict[str, Any] = {
    "progress": 0.0,
    "downloaded_bytes": 0,
    "speed": 0,
    "eta": None,
    "error_message": "",
    "result_path": "",
    "host": "",
    "completed_at": None,
    "deaths": 0,
    "deferrals": 0,
    "downloader": None,
    "remote_id": "",
    "refusals": {},
    "dispatches": 0,
    "misses": 0,
    "polled_at": None,
    "limit_note": "",
}


def _event(job: Job, new: str, reason: str) -> None:
    JobEvent.objects.create(
        job=job, old=job.status, new=new, reason=reason, source_site=job.source_site
    )
    logger.info(
        "job %s (%s): %s → %s%s",
        job.pk,
        job.source_site,
        job.status,
        new,
        f": {reason}" if reason else "",
    )


def _locked(job_id: int) -> Job:
    try:
        return Job.objects.select_for_update().get(pk=job_id)
    except Job.DoesNotExist:
        raise UnknownJob(f"there is no job {job_id}") from None


def lock(job_ids: Iterable[int]) -> list[Job]:
    """Within a transaction: these jobs, deleted ones too, their rows locked in the order of ids (`JobQuerySet.hold` says
    why); ids of nobody are left out."""
    ids = list(job_ids)
    return list(Job.objects.select_for_update().filter(pk__in=ids).order_by("pk")) if ids else []


@dataclass(slots=True)
class Moved:
    """What became of many: the jobs that have the status now, new to them or not, and why others do not."""

    jobs: list[Job] = field(default_factory=list)
    refusals: dict[int, str] = field(default_factory=dict)


@transaction.atomic
def created(job: Job) -> None:
    """Record the first status of a job that was just saved."""
    JobEvent.objects.create(job=job, old="", new=job.status, source_site=job.source_site)


@transaction.atomic
def move(
    job_id: int, to: JobStatus, *, reason: str = "", token: int | None = None, **fields: Any
) -> Job:
    """Change a job's status and record why; repeating a finished move does nothing.

    `token` fences: with it the move only counts while that claim still holds, else IllegalTransition.
    `fields` are saved with the status. Raises IllegalTransition for a step that design.md does not draw.
    """
    job = _locked(job_id)
    if job.status == to:
        return job
    _require_step(job.status, to)
    if token is not None and (job.attempts != token or job.status != S.DOWNLOADING):
        raise IllegalTransition(f"job {job_id} was taken over by another worker")
    _write([job], to, reason, fields)
    return job


@transaction.atomic
def move_many(jobs: Sequence[Job], to: JobStatus, *, reason: str = "", **fields: Any) -> Moved:
    """`move` for jobs of `lock`, in a handful of statements, however many they are; who may not go there stays."""
    moved = Moved()
    going = []
    for job in jobs:
        try:
            if job.status != to:
                _require_step(job.status, to)
                going.append(job)
            moved.jobs.append(job)
        except IllegalTransition as error:
            moved.refusals[job.pk] = str(error)
    _write(going, to, reason, fields)
    return moved


def _require_step(status: str, to: JobStatus) -> None:
    if to not in ALLOWED[status]:
        raise IllegalTransition(f"a job that is {status} cannot become {to}")


def _write(jobs: Sequence[Job], to: JobStatus, reason: str, fields: dict[str, Any]) -> None:
    """The step itself, for locked jobs that may take it: events, rows, and the jobs as they were given."""
    now = timezone.now()
    JobEvent.objects.bulk_create(
        JobEvent(job=job, old=job.status, new=to, reason=reason, source_site=job.source_site)
        for job in jobs
    )
    values: dict[str, Any] = {"status": to, "speed": 0, "eta": None, "updated_at": now}
    if to != S.DOWNLOADING:
        values |= {"owner": "", "heartbeat_at": None, "rate_share": None, "space_needed": None}
    if to == S.QUEUED:
        values["not_before"] = now
    values |= fields
    by_status = defaultdict[str, list[int]](list)
    for job in jobs:
        by_status[job.status].append(job.pk)
    if to == S.DOWNLOADING:
        values.setdefault("started_at", now)
    ran = {job.pk: _ran(job, now) for job in jobs if job.status == S.DOWNLOADING}
    for old, ids in by_status.items():
        more = {"active_seconds": _with_more(ran)} if old == S.DOWNLOADING else {}
        # The status in the filter is what makes it compare-and-set where row locks do not exist (SQLite).
        Job.objects.filter(pk__in=ids, status=old).update(**values, **more)
        whose = f"job {ids[0]}" if len(ids) == 1 else f"{len(ids)} jobs from {ids[0]} on"
        logger.info("%s: %s → %s%s", whose, old, to, f": {reason}" if reason else "")
    for job in jobs:
        job.active_seconds += ran.get(job.pk, 0)
        for name, value in values.items():
            setattr(job, name, value)


def _ran(job: Job, now: datetime) -> int:
    """Seconds that a running job has been running since it was begun last."""
    return max(int((now - (job.started_at or now)).total_seconds()), 0)


def _with_more(ran: Mapping[int, int]) -> CombinedExpression:
    """`active_seconds` of each with what is added to it, for one statement."""
    cases = [When(pk=pk, then=Value(seconds)) for pk, seconds in ran.items() if seconds]
    return F("active_seconds") + Case(*cases, default=Value(0))


@transaction.atomic
def start_over(job_id: int, *, reason: str) -> Job:
    """Queue a job again from nothing: after a failure, a cancellation or the loss of its file."""
    job = _locked(job_id)
    _require_step(job.status, S.QUEUED)
    start_over_many([job], reason=reason)
    return job


@transaction.atomic
def start_over_many(jobs: Sequence[Job], *, reason: str) -> Moved:
    """`start_over` for jobs of `lock`, in a handful of statements."""
    again = F("retry_count") + 1
    return move_many(jobs, S.QUEUED, reason=reason, retry_count=again, **_FRESH_START)


@transaction.atomic
def claim(job_id: int, owner: str, **fields: Any) -> int | None:
    """Take a queued job for `owner`. Returns the fencing token, or None when another worker has it.

    One UPDATE decides, so a nudge that is delivered twice runs the job once. `fields` are saved with it.
    """
    now = timezone.now()
    won = (
        Job.objects.present()
        .local()
        .filter(pk=job_id, status=S.QUEUED, not_before__lte=now)
        .update(
            status=S.DOWNLOADING,
            owner=owner,
            heartbeat_at=now,
            active_at=now,
            started_at=now,
            attempts=F("attempts") + 1,
            updated_at=now,
            rate_share=None,
            space_needed=None,
            error_message="",
            **fields,
        )
    )
    if not won:
        return None
    job = Job.objects.get(pk=job_id)
    JobEvent.objects.create(
        job=job, old=S.QUEUED, new=S.DOWNLOADING, reason=owner, source_site=job.source_site
    )
    return job.attempts


def beat(job_id: int, token: int, **progress: Any) -> bool:
    """Write progress and a heartbeat if the claim still holds; False means: stop, it is not yours."""
    return bool(
        Job.objects.present()
        .filter(pk=job_id, status=S.DOWNLOADING, attempts=token)
        .update(heartbeat_at=timezone.now(), **progress)
    )


def defer(job_id: int, token: int, *, seconds: float, reason: str, count: int | None = None) -> Job:
    """Put a running job back for a while, since what is in its way may pass; what it has fetched stays.

    It counts as one deferral more, or leaves the number at `count`.
    """
    return move(
        job_id,
        S.QUEUED,
        token=token,
        reason=reason,
        error_message=reason,
        not_before=timezone.now() + timedelta(seconds=seconds),
        deferrals=F("deferrals") + 1 if count is None else count,
    )


def set_aside(job_id: int, token: int, *, needed: int, reason: str) -> Job:
    """Put a running job back until `needed` bytes are free: nothing failed, and what it has fetched stays."""
    return move(
        job_id, S.QUEUED, token=token, reason=reason, error_message=reason, space_needed=needed
    )


@transaction.atomic
def note(job_id: int, token: int, reason: str) -> None:
    """Record something that happened to a running job without changing what it is."""
    job = Job.objects.filter(pk=job_id, status=S.DOWNLOADING, attempts=token).first()
    if job is not None:
        _event(job, job.status, reason)


@transaction.atomic
def remark(job_id: int, reason: str) -> None:
    """Record something that happened to a job, running or not, without changing what it is."""
    job = Job.objects.filter(pk=job_id).first()
    if job is not None:
        _event(job, job.status, reason)


@transaction.atomic
def there_is_room(job_id: int) -> bool:
    """A queued job need not wait for room any more."""
    waiting = Job.objects.present().filter(pk=job_id, status=S.QUEUED)
    return bool(
        waiting.exclude(space_needed=None).update(
            space_needed=None, not_before=timezone.now(), updated_at=timezone.now()
        )
    )


def park(owner: str) -> int:
    """Return every job that `owner` runs to the queue, since it is about to stop. Returns how many."""
    parked = 0
    for job_id, token in list(
        Job.objects.filter(owner=owner, status=S.DOWNLOADING).values_list("pk", "attempts")
    ):
        try:
            move(job_id, S.QUEUED, reason="the worker is stopping", token=token)
            parked += 1
        except IllegalTransition:  # it ended on its own in the meantime
            continue
    return parked


def release_stale(now: datetime | None = None) -> list[int]:
    """Take running jobs from silent workers: back to the queue, or failed after MAX_DEATHS. Returns the queued."""
    since = (now or timezone.now()) - timedelta(seconds=settings.DOWNLOAD_SILENT_SECONDS)
    queued = []
    for job in list(Job.objects.stale(since)):
        deaths = job.deaths + 1
        try:
            if deaths >= MAX_DEATHS:
                text = f"{deaths} workers died while they fetched this; it is not tried again"
                move(job.pk, S.FAILED, reason=text, token=job.attempts, error_message=text)
            else:
                move(
                    job.pk,
                    S.QUEUED,
                    reason=f"{job.owner or 'its worker'} went silent",
                    token=job.attempts,
                    deaths=deaths,
                )
                queued.append(job.pk)
        except IllegalTransition:
            continue
    return queued


@transaction.atomic
def remove(job_id: int, *, delete_files: bool) -> Job:
    """Delete a job: it ends, frees its hash for a new one, and is no longer listed. Twice is fine."""
    job = _locked(job_id)
    remove_many([job], delete_files=delete_files)
    return job


@transaction.atomic
def remove_many(
    jobs: Sequence[Job], *, delete_files: bool, clear_at: datetime | None = None
) -> None:
    """`remove` for jobs of `lock`, in a handful of statements. `clear_at` is when whoever comes by may delete their
    files, unless that is done by then."""
    present = [job for job in jobs if job.removed_at is None]
    ending = [job for job in present if S.CANCELLED in ALLOWED[job.status]]
    move_many(ending, S.CANCELLED, reason="deleted")
    now = timezone.now()
    values = {
        "removed_at": now,
        "delete_files": delete_files,
        "clear_at": clear_at,
        "updated_at": now,
    }
    Job.objects.filter(pk__in=[job.pk for job in present]).update(**values)
    for job in present:
        for name, value in values.items():
            setattr(job, name, value)
