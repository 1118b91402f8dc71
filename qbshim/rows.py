"""Jobs as this API reads them: one flat row of plain values, from one statement of our own.

The ORM would make two objects and six datetimes of what here becomes text again at once: for a list of a hundred that is
most of the time. The same columns, in the same order, are what `qbshim.triggers` has the database write into the change
log, so a row can be read back as it was (`Row.before`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from django.db import connection

from downloads.models import Job, Subfolder
from qbshim.models import ClientTask


class Column(NamedTuple):
    """A column and how it is read: `text` and numbers as they are, `time` as whole seconds of Unix time."""

    name: str
    kind: str = ""


JOB: Final = (
    Column("id"), Column("infohash"), Column("name"), Column("status"), Column("source_site"),
    Column("season"), Column("episode"), Column("category"), Column("save_path"), Column("result_path"),
    Column("progress", "float"), Column("downloaded_bytes"), Column("total_bytes"), Column("speed"), Column("eta"),
    Column("error_message"), Column("forced", "bool"), Column("rate_limit"), Column("queue_place"),
    Column("active_at", "time"), Column("created_at", "time"), Column("started_at", "time"),
    Column("completed_at", "time"), Column("removed_at", "time"),
    Column("subfolder"), Column("moving_to"), Column("checking", "bool"), Column("active_seconds"),
)  # fmt: skip
TASK: Final = (
    Column("name"), Column("tags", "json"), Column("added_on", "time"), Column("auto_tmm", "bool"),
    Column("kept", "json"),
)  # fmt: skip
"""What clients said that can change; the magnet cannot."""


@dataclass(slots=True)
class Row:
    """A job and what a client said about it. The last six are None, empty or nothing for a job from elsewhere."""

    pk: int
    infohash: str
    name: str
    status: str
    source_site: str
    season: int
    episode: int | None
    category: str
    save_path: str
    result_path: str
    progress: float
    downloaded_bytes: int
    total_bytes: int | None
    speed: int
    eta: int | None
    error_message: str
    forced: bool
    rate_limit: int | None
    queue_place: int
    active_at: int | None
    created_at: int
    started_at: int | None
    completed_at: int | None
    removed_at: int | None
    subfolder: str
    moving_to: str
    checking: bool
    active_seconds: int
    task_name: str | None = None
    tags: Sequence[str] = ()
    added_on: int | None = None
    auto_tmm: bool | None = None
    kept: Mapping[str, Any] | None = None
    magnet: str = ""

    @property
    def is_pack(self) -> bool:
        """Whether it may be several files: a season, or a torrent of somebody else's."""
        return self.episode is None

    @property
    def has_folder(self) -> bool:
        """Whether its files lie in a folder of their own below the save path."""
        if self.subfolder == Subfolder.USUAL:
            return self.is_pack
        return self.subfolder == Subfolder.ALWAYS

    @classmethod
    def before(cls, old: str) -> "Row":
        """The job as a row of the change log has it, without what clients said."""
        values = json.loads(old)
        values[_PROGRESS], values[_FORCED] = float(values[_PROGRESS]), bool(values[_FORCED])
        values[_CHECKING] = bool(values[_CHECKING])
        return cls(*values)

    def task_before(self, old: str | None) -> None:
        """Put in what clients said as a row of the change log has it; None for nothing."""
        if old is None:
            self.task_name, self.tags, self.added_on, self.magnet = None, (), None, ""
            self.auto_tmm, self.kept = None, None
        else:
            name, tags, added_on, auto_tmm, kept = json.loads(old)
            self.task_name, self.tags, self.added_on = name, json.loads(tags), added_on
            self.auto_tmm, self.kept = _flag(auto_tmm), json.loads(kept) or None

    def task_as_of(self, other: "Row") -> None:
        """Put in what clients said from another row of the same job."""
        for name in _SAID:
            setattr(self, name, getattr(other, name))


FIELDS: Final = tuple(Row.__dataclass_fields__)
"""In the order in which they are read."""
_SAID = FIELDS[len(JOB) :]
_NAMES = [column.name for column in JOB]
_PROGRESS, _FORCED, _CHECKING = (_NAMES.index(name) for name in ("progress", "forced", "checking"))
_JOBS, _TASKS = Job._meta.db_table, ClientTask._meta.db_table
AT_ONCE: Final = 500
"""Values in one statement: databases limit its parameters."""


def expression(column: Column, row: str, *, exact: bool = False) -> str:
    """How a column of `row` (an alias, OLD, NEW) is read. `exact` is for JSON, which would round a fraction."""
    name = f"{row}.{column.name}"
    is_sqlite = connection.vendor == "sqlite"
    if column.kind == "time":
        if is_sqlite:
            return f"CAST(strftime('%%s', {name}) AS INTEGER)"
        return f"FLOOR(date_part('epoch', {name}))::bigint"
    if column.kind == "json":
        return name if is_sqlite else f"{name}::text"
    if exact and column.kind == "float" and is_sqlite:
        return f"printf('%%!.17g', {name})"
    return name


def fetch(where: str = "", params: Sequence[Any] = (), *, page: str = "") -> list[Row]:
    """Present jobs, newest first. `where` is SQL over `j` (the job) and `t` (its task), `page` what follows the order."""
    return [of(values) for values in fetch_values(where, params, page=page)]


def fetch_values(
    where: str = "", params: Sequence[Any] = (), *, page: str = ""
) -> list[tuple[Any, ...]]:
    """The same as the database gave it, for `of`; the fields are those of Row."""
    condition = "j.removed_at IS NULL" + (f" AND ({where})" if where else "")
    rest = f"WHERE {condition} ORDER BY j.created_at DESC, j.id DESC {page}"
    return _read(rest, params, few=bool(params or page))


def of(values: tuple[Any, ...]) -> Row:
    """The row of what the database gave."""
    row = Row(*values)
    row.forced = bool(row.forced)
    row.tags = json.loads(row.tags) if row.tags else ()  # type: ignore[arg-type]
    row.magnet = row.magnet or ""
    row.checking, row.auto_tmm = bool(row.checking), _flag(row.auto_tmm)
    row.kept = json.loads(row.kept) if row.kept and row.kept != "{}" else None  # type: ignore[arg-type, comparison-overlap]
    return row


def _read(rest: str, params: Sequence[Any], *, few: bool = True) -> list[tuple[Any, ...]]:
    # Nothing of a client's is ever part of the text: values are parameters.
    columns, tasks = selection(few=few)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {_JOBS} j {tasks} {rest}", list(params))  # noqa: S608
        return cursor.fetchall()


def selection(*, few: bool) -> tuple[str, str]:
    """SQL for the columns of a Row of the job `j`, and for the join of its task, `t`, which some of them are of.

    `few`: whether most rows of the tables will not be read.
    """
    return _selection(connection.vendor, few)


@lru_cache(maxsize=4)
def _selection(vendor: str, few: bool) -> tuple[str, str]:
    columns = [expression(column, "j") for column in JOB] + [expression(one, "t") for one in TASK]
    tasks = _TASKS
    if few and vendor == "postgresql":
        # Else it reads the whole table for a hundred rows, at eight times the cost.
        tasks = f"LATERAL (SELECT * FROM {_TASKS} WHERE job_id = j.id OFFSET 0)"  # noqa: S608
    return f"{', '.join(columns)}, t.magnet", f"LEFT JOIN {tasks} t ON t.job_id = j.id"


def _flag(value: object) -> bool | None:
    """A database without a type of its own for it gives 0 and 1."""
    return None if value is None else bool(value)
