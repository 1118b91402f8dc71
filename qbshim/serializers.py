"""Jobs in the words of qBittorrent 5.1.0: the same keys, the same types. Numbers that clients decode as integers are
integers; what there is none of has the value that qBittorrent uses for «none».
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings

from downloads import files
from downloads.models import Job, JobStatus
from qbshim import states
from qbshim.models import ClientTask
from qbshim.paths import shown

UNKNOWN_ETA = 8_640_000
TRACKER = "http://anibridge.invalid/announce"
"""What is listed as the tracker. Some clients delete a torrent that has no working one."""
STICKY_TRACKERS = ("** [DHT] **", "** [PeX] **", "** [LSD] **")
NOT_CONTACTED, WORKING, NOT_WORKING = 0, 2, 4
GLOBAL_LIMIT, NO_LIMIT = -2, -1

_MIB = 2**20
NOMINAL_SIZES = {"episode": 400 * _MIB, "film": 1_500 * _MIB, "season": 12 * 400 * _MIB}
"""Shown until a host says how long the file is: clients show size × (1 - progress) as what is left, and divide by it."""


def task_of(job: Job) -> ClientTask | None:
    """What a client said about a job; None when it came another way. No query if it was selected with the job."""
    return getattr(job, "client_task", None)


def name_of(job: Job) -> str:
    """The name under which clients know a job."""
    task = task_of(job)
    return task.name if task else job.name


def tags_of(job: Job) -> list[str]:
    task = task_of(job)
    return task.tags if task else []


_NEVER_DIFFERENT: dict[str, Any] = {
    "auto_tmm": False,
    "availability": 0,
    "download_path": "",
    "f_l_piece_prio": False,
    "force_start": False,
    "inactive_seeding_time_limit": GLOBAL_LIMIT,
    "infohash_v2": "",
    "max_inactive_seeding_time": NO_LIMIT,
    "max_seeding_time": NO_LIMIT,
    "num_incomplete": 0,
    "num_leechs": 0,
    "popularity": 0,
    "private": False,
    "ratio": 0,
    "reannounce": 0,
    "seeding_time": 0,
    "seeding_time_limit": GLOBAL_LIMIT,
    "seq_dl": False,
    "super_seeding": False,
    "tracker": TRACKER,
    "trackers_count": 1,
    "up_limit": 0,
    "uploaded": 0,
    "uploaded_session": 0,
    "upspeed": 0,
}
"""What only a torrent engine has: the values that a real server gives for a torrent without it."""


def info(job: Job, *, now: datetime, priority: int) -> dict[str, Any]:
    """One item of `torrents/info`. Asks neither the database nor the file system."""
    state = states.state_of(job, now)
    size, done = _sizes(job)
    finished = job.status == JobStatus.COMPLETED
    moving = state == states.DOWNLOADING
    return _NEVER_DIFFERENT | {
        "added_on": _added(job),
        "amount_left": size - done,
        "category": job.category,
        "comment": job.error_message,
        "completed": done,
        "completion_on": _unix(job.completed_at),
        "content_path": _content_path(job),
        "dl_limit": settings.DOWNLOAD_RATE_LIMIT,  # ours is per download
        "dlspeed": job.speed if moving else 0,
        "downloaded": done,
        "downloaded_session": done,
        "eta": _eta(job, moving=moving),
        "has_metadata": _has_metadata(job),
        "hash": job.infohash,
        "infohash_v1": job.infohash,
        "last_activity": _last_activity(job),
        "magnet_uri": _magnet(job),
        "max_ratio": 0 if finished else NO_LIMIT,
        "name": name_of(job),
        "num_complete": int(moving),
        "num_seeds": int(moving),
        "priority": priority,
        "progress": _progress(job),
        # A limit that is reached at once: Sonarr moves instead of copying, and removes the item afterwards.
        "ratio_limit": 0 if finished else GLOBAL_LIMIT,
        "root_path": shown(job.result_path) if finished and job.episode is None else "",
        "save_path": shown(job.save_path),
        "seen_complete": _unix(job.completed_at),
        "size": size,
        "state": state,
        "tags": ", ".join(tags_of(job)),
        "time_active": _time_active(job, now),
        "total_size": size,
    }


def properties(job: Job, *, now: datetime) -> dict[str, Any]:
    """The answer of `torrents/properties`. Says in the comment why a job failed, or that its file is gone."""
    size, done = _sizes(job)
    moving = states.state_of(job, now) == states.DOWNLOADING
    active = _time_active(job, now)
    return {
        "addition_date": _added(job),
        "comment": job.error_message or _missing(job),
        "completion_date": _unix(job.completed_at),
        "created_by": "AniBridge",
        "creation_date": _added(job),
        "dl_limit": settings.DOWNLOAD_RATE_LIMIT or NO_LIMIT,
        "dl_speed": job.speed if moving else 0,
        "dl_speed_avg": done // active if active else 0,
        "download_path": "",
        "eta": _eta(job, moving=moving),
        "has_metadata": _has_metadata(job),
        "hash": job.infohash,
        "infohash_v1": job.infohash,
        "infohash_v2": "",
        "is_private": False,
        "last_seen": _last_activity(job),
        "name": name_of(job),
        "nb_connections": int(moving),
        "nb_connections_limit": 1,
        "peers": 0,
        "peers_total": 0,
        "piece_size": 0,
        "pieces_have": 0,
        "pieces_num": 0,
        "popularity": 0,
        "private": False,
        "progress": _progress(job),
        "reannounce": 0,
        "save_path": shown(job.save_path),
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
        "up_limit": NO_LIMIT,
        "up_speed": 0,
        "up_speed_avg": 0,
    }


def file_list(job: Job) -> list[dict[str, Any]]:
    """The answer of `torrents/files`: the files that are in place, relative to the save path; before that none."""
    rows = [file for file in job.files.all() if file.path]
    listed = []
    for index, file in enumerate(rows):
        row = {
            "availability": 1,
            "index": index,
            "name": _relative(job, Path(file.path)),
            "piece_range": [0, 0],
            "priority": 1,
            "progress": 1,
            "size": file.size_bytes,
        }
        if index == 0:  # qBittorrent says it once
            row["is_seed"] = job.status == JobStatus.COMPLETED
        listed.append(row)
    return listed


def tracker_list(job: Job) -> list[dict[str, Any]]:
    """The answer of `torrents/trackers`. Ours works, unless the job was given up: then it says why."""
    failed = job.status in states.STATUSES[states.ERROR]
    own = _tracker(TRACKER, 0, NOT_WORKING if failed else WORKING)
    own["msg"] = job.error_message if failed else ""
    return [_tracker(url, -1, NOT_CONTACTED) for url in STICKY_TRACKERS] + [own]


def categories(folders: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The answer of `torrents/categories`. The path is the folder that is used, also when it is the default one:
    Sonarr looks whether it exists."""
    return {name: {"name": name, "savePath": shown(folder)} for name, folder in folders.items()}


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


def _sizes(job: Job) -> tuple[int, int]:
    """The size and how much of it is here. The second follows the progress, which never goes back: the bytes of a
    job start from zero at the next host, and count only the episode under way in a season."""
    if job.status == JobStatus.COMPLETED:
        size = job.total_bytes or job.downloaded_bytes
        return size, size
    size = job.total_bytes or NOMINAL_SIZES[_kind(job)]
    return size, min(int(size * job.progress), size)


def _kind(job: Job) -> str:
    if job.episode is None:
        return "season"
    return "film" if job.season == job.episode == 0 else "episode"


def _has_metadata(job: Job) -> bool:
    return job.status == JobStatus.COMPLETED or bool(job.downloaded_bytes)


def _progress(job: Job) -> float:
    """A whole number at both ends, as qBittorrent writes it."""
    return int(job.progress) if job.progress in (0, 1) else job.progress


def _eta(job: Job, *, moving: bool) -> int:
    return UNKNOWN_ETA if not moving or job.eta is None else min(job.eta, UNKNOWN_ETA)


def _content_path(job: Job) -> str:
    """Where the file or the season's folder lies; until then where it will. Never the save path itself."""
    return shown(job.result_path or f"{job.save_path}/{files.safe_part(job.name)}")


def _relative(job: Job, path: Path) -> str:
    if path.is_relative_to(job.save_path):
        return str(path.relative_to(job.save_path))
    return path.name if job.episode is not None else f"{path.parent.name}/{path.name}"


def _missing(job: Job) -> str:
    gone = job.status == JobStatus.COMPLETED and not (
        job.result_path and Path(job.result_path).exists()
    )
    return "the file is no longer where it was placed" if gone else ""


def _magnet(job: Job) -> str:
    task = task_of(job)
    if task and task.magnet:
        return task.magnet
    return f"magnet:?xt=urn:btih:{job.infohash}&dn={quote(job.name, safe='')}"


def _added(job: Job) -> int:
    task = task_of(job)
    return _unix(task.added_on if task else job.created_at)


def _last_activity(job: Job) -> int:
    return _unix(job.completed_at or job.active_at or job.created_at)


def _time_active(job: Job, now: datetime) -> int:
    if job.started_at is None:
        return 0
    end = now if job.status == JobStatus.DOWNLOADING else job.completed_at or job.updated_at
    return max(int((end - job.started_at).total_seconds()), 0)


def _unix(moment: datetime | None) -> int:
    return -1 if moment is None else int(moment.timestamp())
