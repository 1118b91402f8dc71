"""Jobs in the words of qBittorrent 5.1.0: the same keys, the same types. Numbers that clients decode as integers are
integers; what there is none of has the value that qBittorrent uses for «none».
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from anibridge.lib.masking import masked_text
from downloads import files
from qbshim import states
from qbshim.paths import shown
from qbshim.rows import Row

UNKNOWN_ETA: Final = 8_640_000
STICKY_TRACKERS: Final = ("** [DHT] **", "** [PeX] **", "** [LSD] **")
DISABLED, NOT_CONTACTED, WORKING, NOT_WORKING = 0, 1, 2, 4
NORMAL: Final = 1
"""The priority of a file of which nobody has said another one."""
GLOBAL_LIMIT, NO_LIMIT = -2, -1

_MIB = 2**20
NOMINAL_SIZES: Final = {"episode": 400 * _MIB, "film": 1_500 * _MIB, "season": 12 * 400 * _MIB}
"""Shown until a host says how long the file is: clients show size × (1 - progress) as what is left, and divide by it."""


def name_of(row: Row) -> str:
    """The name under which clients know a job."""
    return row.task_name or row.name


def tracker_of(row: Row) -> str:
    """What is listed as the tracker: some clients delete a torrent that has no working one."""
    return tracker_url(row.source_site, row.infohash)


def tracker_url(site: str, infohash: str) -> str:
    """One for each torrent. With one for all of them, `sync/maindata` would have to name every torrent again whenever
    one comes or goes."""
    return f"http://anibridge.invalid/{site}/{infohash}/announce"


_NEVER_DIFFERENT: dict[str, Any] = {
    "download_path": "",
    "f_l_piece_prio": False,
    "inactive_seeding_time_limit": GLOBAL_LIMIT,
    "infohash_v2": "",
    "max_inactive_seeding_time": NO_LIMIT,
    "max_seeding_time": NO_LIMIT,
    "num_incomplete": 0,
    "num_leechs": 0,
    "popularity": 0,
    "ratio": 0,
    "reannounce": 0,
    "seeding_time": 0,
    "seeding_time_limit": GLOBAL_LIMIT,
    "seq_dl": False,
    "super_seeding": False,
    "trackers_count": 1,
    "up_limit": 0,
    "uploaded": 0,
    "uploaded_session": 0,
    "upspeed": 0,
}
"""What only a torrent engine has: the values that a real server gives for a torrent without it."""

_EFFECTIVE: Final = {
    "ratio_limit": "max_ratio",
    "seeding_time_limit": "max_seeding_time",
    "inactive_seeding_time_limit": "max_inactive_seeding_time",
}
"""The limit of a torrent → the limit that counts for it, which is the same where it has one of its own."""


def info(row: Row, *, now: float, priority: int) -> dict[str, Any]:
    """One item of `torrents/info`. Asks neither the database nor the file system."""
    state = states.state_of(row, now)
    size, done = _sizes(row)
    finished = states.is_done(row)
    moving = _comes(row, state)
    completed_at = -1 if row.completed_at is None else row.completed_at
    item = _NEVER_DIFFERENT | {
        "added_on": _added(row),
        "amount_left": size - done,
        "auto_tmm": _follows_category(row),
        # One host has all of it. Of what is finished qBittorrent does not count copies any more.
        "availability": int(moving) or -int(finished),
        "category": row.category,
        "comment": masked_text(row.error_message),
        "completed": done,
        "completion_on": completed_at,
        "content_path": _content_path(row),
        "dl_limit": row.rate_limit or 0,
        "dlspeed": row.speed if moving else 0,
        "downloaded": done,
        "downloaded_session": done,
        "eta": _eta(row, moving=moving),
        "force_start": row.forced and not finished,
        "has_metadata": states.knows_contents(row),
        "hash": row.infohash,
        "infohash_v1": row.infohash,
        "last_activity": _last_activity(row),
        "magnet_uri": _magnet(row),
        "max_ratio": NO_LIMIT,
        "name": name_of(row),
        "num_complete": int(moving),
        "num_seeds": int(moving),
        "priority": priority,
        "private": False if states.knows_contents(row) else None,
        "progress": _progress(row),
        "ratio_limit": GLOBAL_LIMIT,
        "root_path": _root_path(row),
        "save_path": shown(row.save_path),
        "seen_complete": _seen_complete(row),
        "size": size,
        "state": state,
        "tags": ", ".join(row.tags),
        "time_active": _time_active(row, now),
        "total_size": size,
        "tracker": tracker_of(row),
    }
    if row.kept:
        item |= {key: value for key, value in row.kept.items() if key in item}
        item["trackers_count"] += len(row.kept.get("trackers", ()))
        item |= {
            _EFFECTIVE[key]: max(row.kept[key], NO_LIMIT) for key in _EFFECTIVE if key in row.kept
        }
    if finished:
        # A limit that is reached at once: Sonarr moves instead of copying, and removes the item afterwards.
        item["ratio_limit"] = item["max_ratio"] = 0
    return item


def properties(row: Row, *, now: float) -> dict[str, Any]:
    """The answer of `torrents/properties`. Says in the comment why a job failed, or that its file is gone."""
    size, done = _sizes(row)
    moving = _comes(row, states.state_of(row, now))
    active = _time_active(row, now)
    return {
        "addition_date": _added(row),
        "comment": masked_text(row.error_message) or _missing(row),
        "completion_date": -1 if row.completed_at is None else row.completed_at,
        "created_by": "AniBridge",
        "creation_date": _added(row),
        "dl_limit": row.rate_limit or NO_LIMIT,
        "dl_speed": row.speed if moving else 0,
        "dl_speed_avg": done // active if active else -1,
        "download_path": (row.kept or {}).get("download_path", ""),
        "eta": _eta(row, moving=moving),
        "has_metadata": states.knows_contents(row),
        "hash": row.infohash,
        "infohash_v1": row.infohash,
        "infohash_v2": "",
        "is_private": False,
        "last_seen": _seen_complete(row),
        "name": name_of(row),
        "nb_connections": int(moving),
        "nb_connections_limit": 1,
        "peers": 0,
        "peers_total": 0,
        "piece_size": 0,
        "pieces_have": 0,
        "pieces_num": 0,
        "popularity": 0,
        "private": False if states.knows_contents(row) else None,
        "progress": _progress(row),
        "reannounce": 0,
        "save_path": shown(row.save_path),
        "seeding_time": 0,
        "seeds": int(moving),
        "seeds_total": int(moving),
        "share_ratio": 0,
        "time_elapsed": active,
        "total_downloaded": done,
        "total_downloaded_session": done,
        "total_size": size,
        "total_uploaded": 0,
        "total_uploaded_session": 0,
        "total_wasted": 0,
        "up_limit": (row.kept or {}).get("up_limit") or NO_LIMIT,
        "up_speed": 0,
        "up_speed_avg": 0,
    }


def trackers(row: Row) -> list[dict[str, Any]]:
    """What `includeTrackers` adds to an item: the one of ours, which works unless the job was given up, and those that a
    client added, which nobody asks."""
    failed = row.status in states.STATUSES[states.ERROR]
    own = _tracker(tracker_of(row), 0, NOT_WORKING if failed else WORKING)
    own["msg"] = masked_text(row.error_message) if failed else ""
    added = (row.kept or {}).get("trackers", ())
    return [own] + [_tracker(url, tier, NOT_CONTACTED) for url, tier in added]


def web_seeds(row: Row) -> list[dict[str, str]]:
    """The answer of `torrents/webseeds`: those that a client added."""
    return [{"url": url} for url in (row.kept or {}).get("web_seeds", ())]


def tracker_list(row: Row) -> list[dict[str, Any]]:
    """The answer of `torrents/trackers`: the three that qBittorrent always has, and `trackers`."""
    return [_tracker(url, -1, DISABLED) for url in STICKY_TRACKERS] + trackers(row)


def categories(listed: Mapping[str, tuple[Path, str | bool | None]]) -> dict[str, dict[str, Any]]:
    """The answer of `torrents/categories`. The path is the folder that is used, also when it is the default one: Sonarr
    looks whether it exists. A folder for unfinished files is there when a client has said something about one."""
    found: dict[str, dict[str, Any]] = {}
    for name, (folder, download_path) in listed.items():
        found[name] = {"name": name, "savePath": shown(folder)}
        if download_path is not None:
            found[name]["download_path"] = download_path
    return found


def _tracker(url: str, tier: int, status: int) -> dict[str, Any]:
    return {
        "msg": "",
        "num_downloaded": 0,
        "num_leeches": 0,
        "num_peers": 0,
        "num_seeds": 0,
        "status": status,
        "tier": tier,
        "url": url,
    }


def size_of(row: Row) -> int:
    """Bytes, as far as they are known; else what such a thing usually has."""
    if states.is_done(row):
        return row.total_bytes or row.downloaded_bytes
    return row.total_bytes or NOMINAL_SIZES[_kind(row)]


def _sizes(row: Row) -> tuple[int, int]:
    """The size and how much of it is here. The second follows the progress, which never goes back: the bytes of a
    job start from zero at the next host."""
    size = size_of(row)
    return size, size if states.is_done(row) else min(int(size * row.progress), size)


def _kind(row: Row) -> str:
    if row.is_pack:
        return "season"
    return "film" if row.season == row.episode == 0 else "episode"


def _comes(row: Row, state: str) -> bool:
    """Whether bytes are coming, from somebody who has all of it."""
    return state in states.MOVING and bool(row.downloaded_bytes or row.progress)


def _progress(row: Row) -> float:
    """A whole number at both ends, as qBittorrent writes it."""
    return int(row.progress) if row.progress in (0, 1) else row.progress


def _eta(row: Row, *, moving: bool) -> int:
    return UNKNOWN_ETA if not moving or row.eta is None else min(row.eta, UNKNOWN_ETA)


def _content_path(row: Row) -> str:
    """Where the file or the season's folder lies; until then where it will. Never the save path itself."""
    return shown(row.result_path or f"{row.save_path}/{files.safe_part(row.name)}")


def _root_path(row: Row) -> str:
    """The folder that a torrent has for itself; empty when its files lie in the save path."""
    if not states.is_done(row) or not row.result_path:
        return ""
    folder = Path(row.result_path) if row.is_pack else Path(row.result_path).parent
    # A file that was moved away stays where it was last seen, perhaps in another category's folder: that is not its own.
    is_own = row.is_pack or Path(row.save_path) in folder.parents
    return shown(folder) if is_own and str(folder) != row.save_path else ""


def _follows_category(row: Row) -> bool:
    """Whether its files go where its category goes: as a client said, else whether they lie in its usual folder."""
    if row.auto_tmm is not None:
        return row.auto_tmm
    return row.save_path == str(files.category_folder(row.category))


def _missing(row: Row) -> str:
    gone = states.is_done(row) and not (row.result_path and Path(row.result_path).exists())
    return "the file is no longer where it was placed" if gone else ""


def _magnet(row: Row) -> str:
    if row.magnet:
        return row.magnet
    return f"magnet:?xt=urn:btih:{row.infohash}&dn={quote(row.name, safe='')}"


def _added(row: Row) -> int:
    return row.created_at if row.added_on is None else row.added_on


def _last_activity(row: Row) -> int:
    return row.completed_at or row.active_at or row.created_at


def _seen_complete(row: Row) -> int:
    """When somebody last had all of it: the host that bytes came from."""
    return row.completed_at or (row.active_at if row.downloaded_bytes else None) or -1


def _time_active(row: Row, now: float) -> int:
    """Seconds for which it was being fetched, in all: a pause does not count, and ends nothing."""
    running = row.status in states.STATUSES[states.DOWNLOADING]
    if not running or row.started_at is None:
        return row.active_seconds
    return row.active_seconds + max(int(now) - row.started_at, 0)
