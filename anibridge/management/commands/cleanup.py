"""`manage.py cleanup`: forget what nobody needs any more. The schedule does the same once a day."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from anibridge.lib.console import print_rows, size
from anibridge.tasks import clear_sessions
from catalogue import cleanup as catalogue
from downloads import cleanup as downloads
from downloads.links import processing
from strm import cleanup as strm

COLUMNS = ("part", "what", "count", "size", "detail")


def _catalogue(dry_run: bool) -> Iterator[dict[str, Any]]:
    for done in catalogue.cleanup(dry_run=dry_run):
        yield {"what": "not available", "count": done.unavailable, "detail": done.site_id}
        yield {"what": "of titles that are gone", "count": done.orphans, "detail": done.site_id}


def _downloads(dry_run: bool) -> Iterator[dict[str, Any]]:
    for done in downloads.cleanup(dry_run=dry_run):
        yield {"what": done.what, "count": done.count, "bytes": done.bytes}


def _links(dry_run: bool) -> Iterator[dict[str, Any]]:
    yield {"what": "links", "count": processing.forget(dry_run=dry_run)}


def _strm(dry_run: bool) -> Iterator[dict[str, Any]]:
    for what, count in strm.forget(dry_run=dry_run).items():
        yield {"what": what.replace("_", " "), "count": count}


def _sessions(dry_run: bool) -> Iterator[dict[str, Any]]:
    count = Session.objects.filter(expire_date__lt=timezone.now()).count()
    if not dry_run:
        clear_sessions()
    yield {"what": "sessions that ended", "count": count}


PARTS: Final[dict[str, Callable[[bool], Iterator[dict[str, Any]]]]] = {
    "catalogue": _catalogue,
    "downloads": _downloads,
    "links": _links,
    "strm": _strm,
    "sessions": _sessions,
}


class Command(BaseCommand):
    help = "Drop unfinished files that nobody goes on with, and records that are long out of date."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--part", action="append", choices=tuple(PARTS), help="only this; may be repeated"
        )
        parser.add_argument("--dry-run", action="store_true", help="count, drop nothing")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        rows: list[dict[str, Any]] = [
            {"part": part, "bytes": None, "detail": "", **row}
            for part in options["part"] or PARTS
            for row in PARTS[part](options["dry_run"])
        ]
        if not options["json"]:
            for row in rows:
                row["size"] = "" if row["bytes"] is None else size(row["bytes"])
        print_rows(self.stdout, rows, COLUMNS, as_json=options["json"])  # type: ignore[arg-type]
