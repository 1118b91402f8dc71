"""`manage.py cleanup`: forget what nobody would believe any more."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from anibridge.lib.console import print_rows
from catalogue import cleanup


class Command(BaseCommand):
    help = "Drop availability records that are long out of date; the schedule does it once a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count, drop nothing")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = [asdict(done) for done in cleanup.cleanup(dry_run=options["dry_run"])]
        print_rows(
            self.stdout,  # type: ignore[arg-type]
            rows,
            ("site_id", "unavailable", "orphans"),
            as_json=options["json"],
        )
