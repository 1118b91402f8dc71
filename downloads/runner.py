"""Carrying one claimed job to its end: the engine or delivery does the work, and what came of it is decided here."""

import logging
from collections.abc import Callable, Mapping

from django.utils import timezone

from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.transfer import LONGEST_PATIENCE, Busy
from catalogue.errors import RateLimited
from downloads import deliveries, files, space, transitions
from downloads.detection import DownloadType
from downloads.engines import episode, targets
from downloads.engines import http as plain
from downloads.engines.base import Outcome, Run, drop_unwanted
from downloads.errors import (
    AllHostsFailed,
    DiskFull,
    IllegalTransition,
    JobLost,
    SlotTaken,
    StillWritten,
)
from downloads.models import Job, JobStatus

logger = logging.getLogger(__name__)

ENGINES: Mapping[str, Callable[[Run], Outcome]] = {
    DownloadType.EPISODE: episode.fetch,
    DownloadType.HTTP: plain.fetch,
}
DEFER_SECONDS = (10.0, 60.0, 300.0)
"""Pauses when the other side does not answer; after the last one the job fails, unless bytes came in between."""
MAX_WAITS = 48
"""How often a server may ask for patience before it is given up."""
SLOT_SECONDS = 5.0
PATIENCE = 5.0
"""Seconds that a former worker may take to let go of the file: it notices within one or two."""
ENOUGH_TO_COUNT = 1 << 20
"""Bytes of one run that show that the other side does deliver."""


def execute(job_id: int, token: int) -> None:
    """Carry a claimed job to COMPLETED or FAILED with words, or stop quietly when it is no longer ours.

    What may pass by itself puts it off: a silent site, a host that is asked enough already, a full disk. A bug is
    left to raise: the sweeper brings the job back and gives up after five such deaths.
    """
    run = Run(Job.objects.get(pk=job_id), token)
    try:
        targets.check(run.job)
        with http.cancellation(run.check), files.own_partial(job_id, patience=PATIENCE):
            outcome = _carry(run)
        _finish(run, outcome)
    except Cancelled:
        _let_go(job_id, token)
    except DiskFull as error:
        _set_aside(run, str(error), error.needed)
    except (SlotTaken, StillWritten) as error:
        _defer(run, SLOT_SECONDS, error, count=run.job.deferrals)
    except AniBridgeError as error:
        _put_off_or_fail(run, error)
    except OSError as error:
        if space.is_full(error):
            _set_aside(run, "the disk is full", run.rest + space.reserve())
        else:
            logger.warning("job %s failed: %s", job_id, error)
            _fail(run, f"the file could not be written: {error.strerror or error}")


def _carry(run: Run) -> Outcome:
    deliver = deliveries.of(run.job)
    if deliver is not None:
        return deliver(run)
    engine = ENGINES.get(run.job.download_type)
    if engine is None:
        raise AniBridgeError(f"nothing here can fetch «{run.job.download_type}» by itself")
    return engine(run)


def _finish(run: Run, outcome: Outcome) -> None:
    """Move the status when all files are in place: a client that reads «completed» finds everything."""
    job = run.job
    if outcome.missing:
        _fail(run, "not the whole season: " + "; ".join(outcome.missing))
        return
    size = sum(item.size_bytes for item in outcome.files)
    first = outcome.files[0].path
    is_pack = job.episode is None and job.download_type == DownloadType.EPISODE
    renamed = {"name": outcome.name[:255]} if outcome.name else {}
    try:
        transitions.move(
            job.pk,
            JobStatus.COMPLETED,
            token=run.token,
            reason="file in place",
            progress=1.0,
            downloaded_bytes=size,
            total_bytes=size,
            result_path=str(first.parent if is_pack else first),
            completed_at=timezone.now(),
            error_message="",
            **renamed,
        )
    except IllegalTransition:
        drop_unwanted(job.pk, outcome.files)
        raise JobLost(f"job {job.pk} is no longer ours") from None
    files.drop_partial(job.pk)


def _put_off_or_fail(run: Run, error: AniBridgeError) -> None:
    """Try again later: a site that restarts, or a network that is not up yet, is no reason to give up at once."""
    if isinstance(error, AllHostsFailed) or not error.retryable:
        logger.info("job %s failed: %s", run.job.pk, error)
        _fail(run, str(error))
        return
    before = 0 if run.throttle.count >= ENOUGH_TO_COUNT else run.job.deferrals
    asked = error.retry_after if isinstance(error, RateLimited | Busy) else None
    if before >= (len(DEFER_SECONDS) if asked is None else MAX_WAITS):
        _fail(run, str(error))
        return
    seconds = DEFER_SECONDS[min(before, len(DEFER_SECONDS) - 1)]
    if asked is not None:
        seconds = min(max(seconds, asked), LONGEST_PATIENCE)
    _defer(run, seconds, error, count=before + 1)


def _defer(run: Run, seconds: float, error: AniBridgeError, *, count: int) -> None:
    reason = f"{error}; next try in {seconds:.0f} s"
    try:
        transitions.defer(run.job.pk, run.token, seconds=seconds, reason=reason, count=count)
    except IllegalTransition:
        _let_go(run.job.pk, run.token)


def _set_aside(run: Run, message: str, needed: int) -> None:
    """No failure and no retry: it goes on by itself when there is room."""
    reason = f"{message}; it goes on when there is room"
    logger.warning("job %s waits: %s", run.job.pk, message)
    try:
        transitions.set_aside(run.job.pk, run.token, needed=needed, reason=reason)
    except IllegalTransition:
        _let_go(run.job.pk, run.token)


def _fail(run: Run, message: str) -> None:
    try:
        transitions.move(
            run.job.pk, JobStatus.FAILED, token=run.token, reason=message, error_message=message
        )
    except IllegalTransition:
        _let_go(run.job.pk, run.token)


def _let_go(job_id: int, token: int) -> None:
    """The job went on without us. Unfinished files stay for a resume, unless the job is over."""
    job = Job.objects.get(pk=job_id)
    logger.info(
        "job %s: stopped, it is %s now", job_id, "deleted" if job.removed_at else job.status
    )
    if job.removed_at is not None or job.status == JobStatus.CANCELLED:
        files.drop_partial(job_id)
