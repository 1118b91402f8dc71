"""The place of each unfinished job: qBittorrent's `priority`, from 1."""

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from downloads.models import Job, JobStatus
from qbshim import changes
from qbshim.changes import Mark
from qbshim.rows import Row


class Place(NamedTuple):
    """Where an unfinished job stands; sorts as the queue does."""

    place: int
    pk: int
    infohash: str


def place_of(row: Row | None) -> Place | None:
    """Where the job of this row stands; None when it is finished or deleted."""
    if row is None or row.removed_at is not None or row.status == JobStatus.COMPLETED.value:
        return None
    return Place(row.queue_place, row.pk, row.infohash)


def read() -> list[Place]:
    """All unfinished jobs in order, as the database has them now."""
    statement = (
        f"SELECT queue_place, id, infohash FROM {Job._meta.db_table} "  # noqa: S608
        "WHERE removed_at IS NULL AND status <> %s ORDER BY queue_place, id"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [JobStatus.COMPLETED.value])
        return [Place(*values) for values in cursor.fetchall()]


def ranks(places: Iterable[Place]) -> dict[int, int]:
    """Job → its number."""
    return {place.pk: number for number, place in enumerate(places, 1)}


class Remembered:
    """The numbers of this process, read again when the order has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mark: Mark | None = None
        self._read_at = 0.0
        self._ranks: dict[int, int] = {}

    def get(self) -> dict[int, int]:
        """Job → number, as of now."""
        with self._lock:
            mark, found = self._mark, self._ranks
            fresh = time.monotonic() - self._read_at < changes.VALID_SECONDS
        if mark is not None and fresh and not changes.reordered_since(mark):
            return found
        # First the mark: what changes while the order is read is seen again next time.
        mark = changes.mark() if changes.are_kept() else None
        found = ranks(read())
        with self._lock:
            self._mark, self._read_at, self._ranks = mark, time.monotonic(), found
        return found

    def forget(self) -> None:
        """Start anew: another database, or a transaction that was taken back."""
        with self._lock:
            self._mark = None


current = Remembered()
