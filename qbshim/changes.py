"""Reading the change log: what has changed since an answer, and what was there before.

An answer holds what was committed when it was made, and nothing else; its mark says so exactly. On SQLite writers
follow one another, so the number of the last row is enough. On PostgreSQL a transaction may commit after one with higher
numbers was seen; its snapshot says which transactions were not yet visible. So no change is lost between two answers and
no time has to be waited for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from downloads.models import Job, JobStatus
from qbshim import rows, triggers
from qbshim.models import Change, ChangeKind
from qbshim.rows import Row

KEPT_SECONDS = 1800
"""How long rows stay. Twice what an answer may be old, and clocks of two machines may differ by the rest."""
VALID_SECONDS = 600
"""After so long without a question a client is given the whole again."""
_LOG = Change._meta.db_table
_RUNNING = (
    f"SELECT id FROM {Job._meta.db_table} "  # noqa: S608
    f"WHERE removed_at IS NULL AND status = '{JobStatus.DOWNLOADING.value}'"
)
"""Of what runs, the times change without anybody writing them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What was visible: the last row, and on PostgreSQL the snapshot and the transaction that asked."""

    last: int
    snapshot: str = ""
    own: int = 0

    def stored(self) -> list[Any]:
        """For a JSON column."""
        return [self.last, self.snapshot, self.own]


@dataclass(slots=True)
class Changes:
    """What changed since a mark. The maps go from a job to the `old` of its first change, None for a new one.

    `current` has the jobs of both maps and those that run, as they are at the present moment; deleted ones too, as long
    as their row is there.
    """

    jobs: dict[int, str | None] = field(default_factory=dict)
    tasks: dict[int, str | None] = field(default_factory=dict)
    current: dict[int, Row] = field(default_factory=dict)
    reorders: bool = False
    labels: bool = False
    settings: bool = False
    reset: bool = False

    @property
    def only_jobs(self) -> bool:
        """Whether nothing else has changed, so that they say it all."""
        return not (self.reorders or self.labels or self.settings or self.reset)

    def note(self, kind: int, job_id: int, old: str | None) -> None:
        """Put in the first change of one thing."""
        if kind == ChangeKind.JOB:
            self.jobs[job_id] = old
        elif kind == ChangeKind.TASK:
            self.tasks[job_id] = old
        elif kind == ChangeKind.LABEL:
            self.labels = True
        elif kind == ChangeKind.SETTING:
            self.settings = True
        else:
            self.reset = True


@contextmanager
def snapshot() -> Iterator[None]:
    """Reads within see one moment of the database, without holding up writers. Nothing may be written."""
    if connection.in_atomic_block:  # somebody else's transaction; only tests do that
        yield
        return
    # Not `atomic`: that begins by taking the writers' lock on SQLite, and needs a second statement on PostgreSQL.
    is_sqlite = connection.vendor == "sqlite"
    begin = "DEFERRED" if is_sqlite else "ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    with connection.cursor() as cursor:
        cursor.execute(f"BEGIN {begin}")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def mark() -> Mark:
    """The present moment; within `snapshot`, that one."""
    with connection.cursor() as cursor:
        cursor.execute(_present())
        return Mark(*cursor.fetchone())


def since(before: Mark) -> tuple[Mark, Changes]:
    """The present moment, and what the answer with the other mark did not hold.

    One statement: what it finds is of one moment also without `snapshot`.
    """
    unseen, params = _unseen(before)
    columns, tasks = rows.selection(few=True)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT m.*, f.job_id, c.kind, c.old, f.reorders, {columns} FROM ({_present()}) m "  # noqa: S608
            "LEFT JOIN (SELECT MIN(id) AS id, job_id, MAX(CAST(reorders AS INTEGER)) AS reorders "
            f"FROM {_LOG} WHERE {unseen} GROUP BY kind, job_id "
            f"UNION ALL SELECT NULL, r.id, 0 FROM ({_RUNNING}) r) f ON 1 = 1 "
            f"LEFT JOIN {_LOG} c ON c.id = f.id "
            f"LEFT JOIN {Job._meta.db_table} j ON j.id = f.job_id {tasks}",
            params,
        )
        fetched = cursor.fetchall()
    found, width = Changes(), 3 if connection.vendor == "postgresql" else 1
    for values in fetched:
        job_id, kind, old, reorders = values[width : width + 4]
        if kind is not None:
            found.note(kind, job_id, old)
            found.reorders |= bool(reorders)
        if values[width + 4] is not None and job_id not in found.current:
            found.current[job_id] = rows.of(values[width + 4 :])
    now = Mark(*fetched[0][:width])
    # The oldest rows are pruned first. Where the last one is gone and others are there, an earlier database was put back.
    found.reset |= 0 < now.last < before.last
    return now, found


def _present() -> str:
    """SQL for the columns of a Mark."""
    last = f"SELECT COALESCE(MAX(id), 0) AS last FROM {_LOG}"  # noqa: S608
    if connection.vendor == "sqlite":
        return last
    return (
        f"SELECT ({last}) AS last, pg_current_snapshot()::text AS snapshot, "
        "COALESCE(pg_current_xact_id_if_assigned()::text::bigint, 0) AS own"
    )


def _unseen(before: Mark) -> tuple[str, list[Any]]:
    """SQL for the rows of the log that were not visible then, and its parameters."""
    if not before.snapshot:
        return "id > %s", [before.last]
    late, params = _committed_later(before)
    return f"id > %s OR ({late})", [before.last, *params]


def _committed_later(before: Mark) -> tuple[str, list[Any]]:
    """SQL for the rows of transactions that were under way then."""
    oldest = int(before.snapshot.partition(":")[0])
    late = (
        "xid >= %s AND xid <> %s AND NOT pg_visible_in_snapshot(xid::text::xid8, %s::pg_snapshot)"
    )
    return late, [oldest, before.own, before.snapshot]


def reordered_since(before: Mark) -> bool:
    """Whether the places in the queue may have changed since then."""
    # Two looks, each along an index: what nobody has written for a while is asked about with every list.
    newer = f"SELECT 1 FROM {_LOG} WHERE reorders AND id > %s ORDER BY id LIMIT 1"  # noqa: S608
    statement, params = f"SELECT ({newer}) IS NOT NULL", list[Any]([before.last])
    if before.snapshot:
        late, more = _committed_later(before)
        found = f"SELECT 1 FROM {_LOG} WHERE reorders AND {late} ORDER BY xid LIMIT 1"  # noqa: S608
        statement, params = f"{statement} OR ({found}) IS NOT NULL", params + more
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return bool(cursor.fetchone()[0])


_kept = False


def are_kept() -> bool:
    """Whether the database writes changes down. Asked once: what is there is only taken away by a migration."""
    global _kept
    _kept = _kept or triggers.are_there()
    return _kept


def prune(now: float) -> int:
    """Delete the rows that no answer that still counts can need; returns how many."""
    return Change.objects.filter(at__lt=int(now) - KEPT_SECONDS).delete()[0]
