"""A job's status in qBittorrent's words, and the filters of `torrents/info` over them."""

from datetime import datetime, timedelta

from downloads.models import Job, JobStatus

S = JobStatus

STALLED_AFTER = timedelta(seconds=120)
"""Without a byte for so long a download counts as stalled; clean-up tools act on that."""

META_DL, QUEUED_DL, DOWNLOADING, STALLED_DL = "metaDL", "queuedDL", "downloading", "stalledDL"
STOPPED_DL, STOPPED_UP, ERROR, MISSING = "stoppedDL", "stoppedUP", "error", "missingFiles"

STATUSES: dict[str, frozenset[JobStatus]] = {
    META_DL: frozenset({S.DOWNLOADING}),
    QUEUED_DL: frozenset({S.QUEUED}),
    DOWNLOADING: frozenset({S.DOWNLOADING}),
    STALLED_DL: frozenset({S.DOWNLOADING}),
    STOPPED_DL: frozenset({S.PAUSED, S.CANCELLED}),
    STOPPED_UP: frozenset({S.COMPLETED}),
    ERROR: frozenset({S.FAILED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR}),
    MISSING: frozenset({S.COMPLETED}),
}
"""From a state to the statuses that can show as it."""

_ALL = frozenset(STATUSES)
_STOPPED = frozenset({STOPPED_DL, STOPPED_UP})
_ACTIVE = frozenset({DOWNLOADING, META_DL})
_RUNNING = _ACTIVE | {STALLED_DL, QUEUED_DL}

FILTERS: dict[str, frozenset[str]] = {
    "downloading": _RUNNING | {STOPPED_DL},
    "seeding": frozenset(),
    "completed": frozenset({STOPPED_UP}),
    "paused": _STOPPED,
    "stopped": _STOPPED,
    "resumed": _RUNNING,
    "running": _RUNNING,
    "active": _ACTIVE,
    "inactive": _ALL - _ACTIVE,
    "stalled": frozenset({STALLED_DL}),
    "stalled_uploading": frozenset(),
    "stalled_downloading": frozenset({STALLED_DL}),
    "checking": frozenset(),
    "moving": frozenset(),
    "errored": frozenset({ERROR, MISSING}),
}
"""Both dialects' names; any other name, as in qBittorrent, filters nothing."""


def state_of(job: Job, now: datetime) -> str:
    """The state that a client sees.

    A finished job stays `stoppedUP` when its file is gone, as qBittorrent's does until a recheck: Sonarr moves the
    file away and then removes the item only while it is in that state.
    """
    if job.status == S.DOWNLOADING:
        if job.active_at is None or now - job.active_at > STALLED_AFTER:
            return STALLED_DL
        return DOWNLOADING if job.downloaded_bytes or job.progress else META_DL
    if job.status == S.COMPLETED:
        return STOPPED_UP if job.result_path else MISSING
    if job.status == S.QUEUED:
        return QUEUED_DL
    return STOPPED_DL if job.status in STATUSES[STOPPED_DL] else ERROR
