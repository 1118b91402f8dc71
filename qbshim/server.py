"""What is true of the installation as a whole: `transfer/info` and the `server_state` of `sync/maindata`."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.cache import cache
from django.db.models import Sum

from downloads import limits
from downloads.models import Job, JobStatus
from qbshim import paths, preferences, states
from qbshim.rows import Row

_SUMMED_EVERY = 10
"""Seconds for which the sum over all jobs there ever were is believed."""
_LOOKED_EVERY = 10.0
"""Seconds for which the free space is."""
_free: dict[Path, tuple[float, int]] = {}


def speed(rows: Iterable[Row], now: float) -> int:
    """Bytes a second, all running downloads together; those that stalled count nothing."""
    return sum(row.speed for row in rows if states.state_of(row, now) in states.MOVING)


def speed_now() -> int:
    """The same, of all that run."""
    since = time.time() - states.STALLED_AFTER
    running = Job.objects.present().filter(status=JobStatus.DOWNLOADING)
    rows = running.values_list("speed", "active_at")
    return sum(one for one, active in rows if active is not None and active.timestamp() >= since)


def transfer() -> dict[str, Any]:
    """The answer of `transfer/info`."""
    return _transfer(speed_now())


def state(speed: int) -> dict[str, Any]:
    """What `sync/maindata` says about the server."""
    wanted = preferences.stored()
    return {
        **_transfer(speed),
        "alltime_dl": fetched(),
        "alltime_ul": 0,
        "average_time_queue": 0,
        "free_space_on_disk": free_space(),
        "global_ratio": "0",
        "queued_io_jobs": 0,
        "queueing": preferences.given(wanted, "queueing_enabled"),
        "read_cache_hits": "0",
        "read_cache_overload": "0",
        "refresh_interval": preferences.given(wanted, "refresh_interval"),
        "total_buffers_size": 0,
        "total_peer_connections": 0,
        "total_queued_size": 0,
        "total_wasted_session": 0,
        "use_alt_speed_limits": limits.speed_limits().alternative_enabled,
        "use_subcategories": preferences.given(wanted, "use_subcategories"),
        "write_cache_overload": "0",
    }


def moving_parts(speed: int) -> dict[str, Any]:
    """What of `state` changes by itself. The rest is changed by somebody, which the change log says."""
    total = fetched()
    return {
        "alltime_dl": total,
        "dl_info_data": total,
        "dl_info_speed": speed,
        "free_space_on_disk": free_space(),
    }


def _transfer(speed: int) -> dict[str, Any]:
    """Nothing is ever sent, and there is no DHT to have nodes."""
    return {
        "connection_status": "connected",
        "dht_nodes": 0,
        "dl_info_data": fetched(),
        "dl_info_speed": speed,
        "dl_rate_limit": limits.speed_limits().effective,
        "last_external_address_v4": "",
        "last_external_address_v6": "",
        "up_info_data": 0,
        "up_info_speed": 0,
        "up_rate_limit": 0,
    }


def fetched() -> int:
    """Bytes of all jobs there ever were: deleting one does not take back what it fetched."""
    return int(cache.get_or_set("qbshim.fetched", _fetched, _SUMMED_EVERY) or 0)


def _fetched() -> int:
    return Job.objects.aggregate(total=Sum("downloaded_bytes"))["total"] or 0


def free_space() -> int:
    """Bytes that are free where downloads lie."""
    root = paths.root()
    at, free = _free.get(root, (float("-inf"), 0))
    if time.monotonic() - at < _LOOKED_EVERY:
        return free
    folder = root
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        free = 0
    _free.clear()
    _free[root] = (time.monotonic(), free)
    return free
