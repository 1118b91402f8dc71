"""Which jobs a client sees in a list, in which order: `torrents/info`.

A list of any length costs the same few queries and no look at the disk.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from downloads.errors import UnknownJob
from downloads.models import Job, JobStatus
from qbshim import contents, order, rendering, rows, serializers, states
from qbshim.errors import ParameterInvalid
from qbshim.rows import Row

T = TypeVar("T")
LONGEST_PAGE = 500
_STATUS = rows.FIELDS.index("status")
_COMPLETED = JobStatus.COMPLETED.value


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
    with_files: bool = False

    @property
    def is_page(self) -> bool:
        """Whether it is a short slice that the rows alone determine, without anything worked out per item."""
        return 0 < self.limit <= LONGEST_PAGE and self.is_plain and not self.hashes

    @property
    def is_plain(self) -> bool:
        """Whether the database alone can find the items and put them in order."""
        worked_out = self.sort or self.filter in states.FILTERS or self.tag is not None
        return not (worked_out or self.with_trackers or self.with_files)


def text(query: Query) -> str:
    """The answer of `torrents/info`. Raises ParameterInvalid for a sort key that no item has."""
    if not query.is_plain:
        return rendering.encode(torrents(query))
    found = _page(query) if query.is_page else _sliced(_values(query), query)
    if any(values[_STATUS] != _COMPLETED for values in found):
        return rendering.info(found, order.current.get())
    return rendering.info(found, {})


def torrents(query: Query) -> list[dict[str, Any]]:
    """The same as objects."""
    now = time.time()
    found = _matching(query, now)
    places = order.current.get() if any(not states.is_done(row) for row in found) else {}
    items = [serializers.info(row, now=now, priority=places.get(row.pk, 0)) for row in found]
    if query.with_trackers:
        for item, row in zip(items, found, strict=True):
            item["trackers"] = serializers.trackers(row)
    if query.with_files:
        return _with_files(items, found, query)
    return _sliced(_sorted(items, query), query)


def _with_files(
    items: list[dict[str, Any]], found: Sequence[Row], query: Query
) -> list[dict[str, Any]]:
    """The files of those only that are answered."""
    for item in items:
        item["files"] = []
    answered = _sliced(_sorted(items, query), query)
    by_hash = {row.infohash: row for row in found}
    files = contents.of_many([by_hash[item["hash"]] for item in answered])
    for item in answered:
        item["files"] = files[by_hash[item["hash"]].pk]
    return answered


def one(infohash: str) -> Row:
    """The torrent that a client means by one hash, in any case. Raises UnknownJob."""
    found = rows.fetch("j.infohash = %s", [infohash.strip().lower()[:64]])
    if not found:
        raise UnknownJob("there is no such torrent")
    return found[0]


def count() -> int:
    """How many there are."""
    return Job.objects.present().count()


def _conditions(query: Query) -> tuple[str, list[Any]]:
    """What of a query the database can decide."""
    conditions, params = ["TRUE"], list[Any]()
    if query.private:  # nothing here is a private torrent
        conditions.append("FALSE")
    if query.category is not None:
        conditions.append("j.category = %s")
        params.append(query.category[:200])
    wanted = states.FILTERS.get(query.filter)
    if wanted is not None:
        statuses = sorted({one.value for state in wanted for one in states.STATUSES[state]})
        conditions.append(f"j.status IN ({_marks(statuses)})")
        params += statuses
    return " AND ".join(conditions), params


def _page(query: Query) -> list[tuple[Any, ...]]:
    """Dashboards ask for a few of many: only those few are read in full."""
    where, params = _conditions(query)
    total = 0
    if query.offset:
        jobs = Job.objects.present()
        if query.private:
            jobs = jobs.none()
        total = jobs.count() if query.category is None else jobs.filter(category=query.category).count()  # fmt: skip
    start = _start(query.offset, total)
    return rows.fetch_values(where, params, page=f"LIMIT {int(query.limit)} OFFSET {int(start)}")


def _values(query: Query) -> list[tuple[Any, ...]]:
    where, params = _conditions(query)
    if not query.hashes:
        return rows.fetch_values(where, params)
    found = []
    hashes = [text[:64] for text in query.hashes]
    for begin in range(0, len(hashes), rows.AT_ONCE):
        some = hashes[begin : begin + rows.AT_ONCE]
        found += rows.fetch_values(f"{where} AND j.infohash IN ({_marks(some)})", [*params, *some])
    return found


def _matching(query: Query, now: float) -> list[Row]:
    found = [rows.of(values) for values in _values(query)]
    wanted = states.FILTERS.get(query.filter)
    if wanted is not None:
        found = [row for row in found if states.state_of(row, now) in wanted]
    if query.tag is None:
        return found
    tag = query.tag.strip()
    return [row for row in found if (tag in row.tags if tag else not row.tags)]


def _marks(values: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(values)) or "NULL"


def _sorted(items: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    """By one key. `reverse` without a key does nothing, as in qBittorrent."""
    if query.sort and items:
        if query.sort not in items[0]:
            raise ParameterInvalid("'sort' parameter is invalid")
        if query.sort not in ("trackers", "files"):
            # «private» is nothing at all of a torrent whose files are not known yet.
            items.sort(key=partial(_value, query.sort), reverse=query.reverse)
    return items


def _value(key: str, item: dict[str, Any]) -> Any:
    return False if item[key] is None else item[key]


def _start(offset: int, size: int) -> int:
    """qBittorrent's rule: a negative offset counts from the end, one that points nowhere is none."""
    start = offset + size if offset < 0 else offset
    return start if 0 <= start < size else 0


def _sliced(items: list[T], query: Query) -> list[T]:
    start = _start(query.offset, len(items))
    return items[start : start + query.limit] if query.limit > 0 else items[start:]
