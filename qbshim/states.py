"""A job's status in qBittorrent's words, and the filters of `torrents/info` over them."""

from typing import Final

from downloads.models import JobStatus
from downloads.orders import LINK_SITE
from qbshim.rows import Row

S = JobStatus

STALLED_AFTER: Final = 120
"""Seconds. Without a byte for so long a download counts as stalled; clean-up tools act on that."""

META_DL, QUEUED_DL, DOWNLOADING, STALLED_DL = "metaDL", "queuedDL", "downloading", "stalledDL"
FORCED_META_DL, FORCED_DL = "forcedMetaDL", "forcedDL"
STOPPED_DL, STOPPED_UP, ERROR, MISSING = "stoppedDL", "stoppedUP", "error", "missingFiles"
CHECKING_DL, CHECKING_UP, RELOCATING = "checkingDL", "checkingUP", "moving"

_AT_REST = frozenset(S) - {S.DOWNLOADING}

STATUSES: dict[str, frozenset[JobStatus]] = {
    META_DL: frozenset({S.DOWNLOADING}),
    FORCED_META_DL: frozenset({S.DOWNLOADING}),
    QUEUED_DL: frozenset({S.QUEUED}),
    DOWNLOADING: frozenset({S.DOWNLOADING}),
    FORCED_DL: frozenset({S.DOWNLOADING}),
    STALLED_DL: frozenset({S.DOWNLOADING}),
    STOPPED_DL: frozenset({S.PAUSED, S.CANCELLED}),
    STOPPED_UP: frozenset({S.COMPLETED}),
    ERROR: frozenset({S.FAILED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR}),
    MISSING: frozenset({S.COMPLETED}),
    # Only what a client has wished: a new file is verified and put in place while it counts as being downloaded.
    CHECKING_DL: _AT_REST - {S.COMPLETED},
    CHECKING_UP: frozenset({S.COMPLETED}),
    RELOCATING: _AT_REST,
}
"""From a state to the statuses that can show as it."""

_ALL = frozenset(STATUSES)
_STOPPED = frozenset({STOPPED_DL, STOPPED_UP})
MOVING: Final = frozenset({DOWNLOADING, FORCED_DL})
"""The states in which bytes come."""
_ACTIVE = MOVING | {META_DL, FORCED_META_DL}
_RUNNING = _ACTIVE | {STALLED_DL, QUEUED_DL}

FILTERS: dict[str, frozenset[str]] = {
    "downloading": _RUNNING | {STOPPED_DL, CHECKING_DL},
    "seeding": frozenset({CHECKING_UP}),
    "completed": frozenset({STOPPED_UP, CHECKING_UP}),
    "paused": _STOPPED,
    "stopped": _STOPPED,
    "resumed": _RUNNING,
    "running": _RUNNING,
    "active": _ACTIVE,
    "inactive": _ALL - _ACTIVE,
    "stalled": frozenset({STALLED_DL}),
    "stalled_uploading": frozenset(),
    "stalled_downloading": frozenset({STALLED_DL}),
    "checking": frozenset({CHECKING_DL, CHECKING_UP}),
    "moving": frozenset({RELOCATING}),
    "errored": frozenset({ERROR, MISSING}),
}
"""Both dialects' names; any other name, as in qBittorrent, filters nothing."""

_SIMPLE: dict[str, str] = {
    S.QUEUED.value: QUEUED_DL,
    S.PAUSED.value: STOPPED_DL,
    S.CANCELLED.value: STOPPED_DL,
    S.FAILED.value: ERROR,
    S.NO_DOWNLOADER.value: ERROR,
    S.DOWNLOADER_ERROR.value: ERROR,
}
_COMPLETED, _DOWNLOADING = S.COMPLETED.value, S.DOWNLOADING.value


def state_of(row: Row, now: float) -> str:
    """The state that a client sees at `now` (Unix time).

    A finished job stays `stoppedUP` when its file is gone, as qBittorrent's does until a recheck: Sonarr moves the
    file away and then removes the item only while it is in that state.
    """
    if (row.moving_to or row.checking) and row.status != _DOWNLOADING:
        if row.moving_to:
            return RELOCATING
        return CHECKING_UP if row.status == _COMPLETED else CHECKING_DL
    simple = _SIMPLE.get(row.status)
    if simple is not None:
        return simple
    if row.status == _COMPLETED:
        return STOPPED_UP if row.result_path else MISSING
    if row.active_at is None or now - row.active_at > STALLED_AFTER:
        return STALLED_DL
    if row.progress or knows_contents(row):
        return FORCED_DL if row.forced else DOWNLOADING
    return FORCED_META_DL if row.forced else META_DL


def knows_contents(row: Row) -> bool:
    """Whether it is known what is inside. Of somebody else's torrent it is as soon as its .torrent file or its downloader
    says how much that is (a magnet's `xl` only claims it); of a release of ours when bytes come."""
    if is_done(row) or row.downloaded_bytes:
        return True
    return row.source_site == LINK_SITE and bool(row.total_bytes) and "xl=" not in row.magnet


def is_done(row: Row) -> bool:
    """Whether it is finished, with its file or without."""
    return row.status == _COMPLETED
