"""The change log is written by the database itself: whoever changes a job, in whatever way, is in it.

Nobody has to remember to touch a time stamp, a bulk update counts as well, and the clocks of the machines on which
workers run do not matter. The triggers are no part of a migration, since rebuilding a table (as SQLite must for most
changes) would lose them without a word: they are dropped before a migration and made after it. Their names carry a
digest of what they do.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from downloads.models import Job, JobStatus, SpeedLimits
from qbshim.models import Category, Change, ChangeKind, ClientTask, Preference, Tag
from qbshim.rows import JOB, TASK, Column, expression

PREFIX = "qbshim_log_"
_LOG = Change._meta.db_table


@dataclass(frozen=True, slots=True)
class Watched:
    """A table whose changes are written down: which columns count, and what of the old row is kept."""

    table: str
    kind: ChangeKind
    job_id: str = ""
    columns: Sequence[Column] = ()
    reorders: bool = False


WATCHED = (
    Watched(Job._meta.db_table, ChangeKind.JOB, "id", JOB, reorders=True),
    Watched(ClientTask._meta.db_table, ChangeKind.TASK, "job_id", TASK),
    Watched(Category._meta.db_table, ChangeKind.LABEL),
    Watched(Tag._meta.db_table, ChangeKind.LABEL),
    Watched(Preference._meta.db_table, ChangeKind.SETTING),
    Watched(SpeedLimits._meta.db_table, ChangeKind.SETTING),
)


def ensure() -> None:
    """Have the triggers there, and no older ones. When any had to be made, every client starts from the whole."""
    tables = set(connection.introspection.table_names())
    if not tables.issuperset({_LOG, *(one.table for one in WATCHED)}) or not _have_columns():
        return  # an app is not migrated, or not as far as this version needs it
    wanted = dict(_wanted())
    there = _existing()
    if set(there) == set(wanted):
        return
    _drop({name: table for name, table in there.items() if name not in wanted})
    with connection.cursor() as cursor:
        for name, statements in wanted.items():
            for statement in () if name in there else statements:
                cursor.execute(statement, [])
    Change.objects.create(kind=ChangeKind.RESET, at=int(time.time()))


def drop() -> None:
    """Take the triggers away, so that their tables can be rebuilt."""
    _drop(_existing())


def are_there() -> bool:
    """Whether changes are written down."""
    return set(_existing()) == {name for name, _ in _wanted()}


def on_migration(*, plan: Sequence[Any] = (), **_: Any) -> None:
    """Before a migration that does something."""
    if plan:
        drop()


def after_migration(**_: Any) -> None:
    """After every migration, also one with nothing to do."""
    ensure()


def _have_columns() -> bool:
    for watched in WATCHED:
        with connection.cursor() as cursor:
            found = connection.introspection.get_table_description(cursor, watched.table)
        if not {column.name for column in found}.issuperset(one.name for one in watched.columns):
            return False
    return True


def _existing() -> dict[str, str]:
    """Trigger → table."""
    if connection.vendor == "sqlite":
        statement = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    else:
        statement = (
            "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace"
        )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return {name: table for name, table in cursor.fetchall() if name.startswith(PREFIX)}


def _drop(triggers: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        for name, table in triggers.items():
            if connection.vendor == "sqlite":
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            else:
                cursor.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
                cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")


def _wanted() -> Iterator[tuple[str, list[str]]]:
    """The name of each trigger and the statements that make it."""
    for watched in WATCHED:
        for event in ("INSERT", "UPDATE", "DELETE"):
            made = _statements(watched, event, "{name}")
            digest = hashlib.sha256("".join(made).encode()).hexdigest()[:12]
            name = f"{PREFIX}{watched.table[:24]}_{event.lower()}_{digest}"
            yield name, _statements(watched, event, name)


def _statements(watched: Watched, event: str, name: str) -> list[str]:
    row = "NEW" if event != "DELETE" else "OLD"
    is_sqlite = connection.vendor == "sqlite"
    values = [
        str(int(watched.kind)),
        f"{row}.{watched.job_id}" if watched.job_id else "NULL",
        "0" if is_sqlite else "pg_current_xact_id()::text::bigint",
        _reorders(watched, event),
        "CAST(strftime('%%s', 'now') AS INTEGER)" if is_sqlite else "EXTRACT(EPOCH FROM clock_timestamp())::bigint",
        _old(watched) if event != "INSERT" and watched.columns else "NULL",
    ]  # fmt: skip
    note = (
        f"INSERT INTO {_LOG} (kind, job_id, xid, reorders, at, old) "  # noqa: S608
        f"VALUES ({', '.join(values)});"
    )
    when = f"WHEN ({_differs(watched)})" if event == "UPDATE" and watched.columns else ""
    trigger = f"CREATE TRIGGER {name} AFTER {event} ON {watched.table} FOR EACH ROW {when}"
    if is_sqlite:
        return [f"{trigger} BEGIN {note} END"]
    body = f"BEGIN {note.replace('%%', '%')} RETURN NULL; END"
    return [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$",
        f"{trigger} EXECUTE FUNCTION {name}()",
    ]


def _old(watched: Watched) -> str:
    values = ", ".join(expression(column, "OLD", exact=True) for column in watched.columns)
    return f"json_array({values})" if connection.vendor == "sqlite" else f"json_build_array({values})::text"  # fmt: skip


def _differs(watched: Watched) -> str:
    """Heartbeats and the like change nothing that anybody is shown."""
    old = ", ".join(f"OLD.{column.name}" for column in watched.columns)
    operator = "IS NOT" if connection.vendor == "sqlite" else "IS DISTINCT FROM"
    return f"({old}) {operator} ({old.replace('OLD.', 'NEW.')})"


def _reorders(watched: Watched, event: str) -> str:
    """Whether the places of the unfinished change: one comes, one goes, or one is put elsewhere."""
    if not watched.reorders:
        return "FALSE"
    if event != "UPDATE":
        return "TRUE"
    done = f"'{JobStatus.COMPLETED.value}'"
    return (
        f"((OLD.status = {done}) <> (NEW.status = {done}) OR OLD.queue_place <> NEW.queue_place "
        "OR (OLD.removed_at IS NULL) <> (NEW.removed_at IS NULL))"
    )
