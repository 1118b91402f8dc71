"""Which jobs a client sees in a list, in which order: `torrents/info` and what `sync/maindata` builds on.

A list of any length costs the same few queries and no look at the disk.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Sum
from django.utils import timezone

from downloads.models import Job, JobQuerySet, JobStatus
from qbshim import paths, serializers, services, states
from qbshim.errors import ParameterInvalid

T = TypeVar("T")
LONGEST_PAGE = 500


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of `torrents/info`. None means «not asked»; an empty category or tag means «without one»."""

    filter: str = "all"
    category: str | None = None
    tag: str | None = None
    hashes: Sequence[str] = ()
    sort: str = ""
    reverse: bool = False
    limit: int = 0
    offset: int = 0
    private: bool = False
    with_trackers: bool = False

    @property
    def is_page(self) -> bool:
        """Whether it is a short slice that the rows alone determine, without anything worked out per item."""
        worked_out = self.hashes or self.sort or self.reverse or self.filter in states.FILTERS
        return 0 < self.limit <= LONGEST_PAGE and self.tag is None and not worked_out


def torrents(query: Query | None = None) -> list[dict[str, Any]]:
    """The items that a query asks for. Raises ParameterInvalid for a sort key that no item has."""
    query = query or Query()
    now = timezone.now()
    jobs = _page(query) if query.is_page else _jobs(query)
    wanted = states.FILTERS.get(query.filter)
    if wanted is not None:
        jobs = [job for job in jobs if states.state_of(job, now) in wanted]
    places = _places() if any(job.status != JobStatus.COMPLETED for job in jobs) else {}
    items = [serializers.info(job, now=now, priority=places.get(job.pk, 0)) for job in jobs]
    if query.with_trackers:
        for item, job in zip(items, jobs, strict=True):
            item["trackers"] = serializers.tracker_list(job)
    return items if query.is_page else _sliced(_sorted(items, query), query)


def _rows(query: Query) -> JobQuerySet:
    jobs = services.listed()
    if query.private:  # nothing here is a private torrent
        return jobs.none()
    return jobs if query.category is None else jobs.filter(category=query.category)


def _page(query: Query) -> list[Job]:
    """Dashboards ask for a few of many: only those few are read in full."""
    rows = _rows(query)
    chosen = _sliced(list(rows.values_list("pk", flat=True)), query)
    return list(rows.filter(pk__in=chosen))


def _jobs(query: Query) -> list[Job]:
    jobs = _rows(query)
    wanted = states.FILTERS.get(query.filter)
    if wanted is not None:
        jobs = jobs.filter(status__in=set().union(*(states.STATUSES[state] for state in wanted)))
    found = services.select(query.hashes or None, jobs)
    if query.tag is None:
        return found
    if not query.tag:
        return [job for job in found if not serializers.tags_of(job)]
    return [job for job in found if query.tag in serializers.tags_of(job)]


def _places() -> dict[int, int]:
    """The 1-based place of each unfinished job, first come first."""
    unfinished = Job.objects.present().exclude(status=JobStatus.COMPLETED).order_by("pk")
    return {pk: place for place, pk in enumerate(unfinished.values_list("pk", flat=True), 1)}


def _sorted(items: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    if query.sort and items:
        if query.sort not in items[0]:
            raise ParameterInvalid("'sort' parameter is invalid")
        items.sort(key=lambda item: item[query.sort])
    if query.reverse:
        items.reverse()
    return items


def _sliced(items: list[T], query: Query) -> list[T]:
    """qBittorrent's rules: a negative offset counts from the end, one that points nowhere is none."""
    size = len(items)
    offset = query.offset + size if query.offset < 0 else query.offset
    if not 0 <= offset < size:
        offset = 0
    return items[offset : offset + query.limit] if query.limit > 0 else items[offset:]


def speed() -> int:
    """Bytes a second, all running downloads together; those that stalled count nothing."""
    since = timezone.now() - states.STALLED_AFTER
    running = Job.objects.present().filter(status=JobStatus.DOWNLOADING, active_at__gte=since)
    return running.aggregate(total=Sum("speed"))["total"] or 0


def transfer() -> dict[str, Any]:
    """The answer of `transfer/info`. Nothing is ever sent, and there is no DHT to have nodes."""
    return {
        "connection_status": "connected",
        "dht_nodes": 0,
        "dl_info_data": _fetched(),
        "dl_info_speed": speed(),
        "dl_rate_limit": 0,
        "last_external_address_v4": "",
        "last_external_address_v6": "",
        "up_info_data": 0,
        "up_info_speed": 0,
        "up_rate_limit": 0,
    }


def server_state() -> dict[str, Any]:
    """What `sync/maindata` says about the server beside `transfer`."""
    state = transfer()
    return {
        **state,
        "alltime_dl": state["dl_info_data"],
        "alltime_ul": 0,
        "average_time_queue": 0,
        "free_space_on_disk": _free_space(),
        "global_ratio": "0",
        "queued_io_jobs": 0,
        "queueing": False,
        "read_cache_hits": "0",
        "read_cache_overload": "0",
        "refresh_interval": 1500,
        "total_buffers_size": 0,
        "total_peer_connections": 0,
        "total_queued_size": 0,
        "total_wasted_session": 0,
        "use_alt_speed_limits": False,
        "use_subcategories": False,
        "write_cache_overload": "0",
    }


def _fetched() -> int:
    """Bytes of all jobs there ever were: deleting one does not take back what it fetched."""
    return Job.objects.aggregate(total=Sum("downloaded_bytes"))["total"] or 0


def _free_space() -> int:
    folder = paths.root()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
