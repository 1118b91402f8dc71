"""`manage.py strm_library [--dry-run] [--json]`: bring the library of .strm files in step with what is chosen."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from anibridge.lib.console import print_rows
from anibridge.lib.errors import AniBridgeError
from strm.library import syncing


class Command(BaseCommand):
    help = (
        "Write, rename and remove the library's .strm files as the chosen titles' sites list them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        waiting = Console(stderr=True)  # shows nothing where it is no terminal
        try:
            with waiting.status("asking the sites"):
                done = syncing.sync(dry_run=options["dry_run"])
        except AniBridgeError as error:
            raise CommandError(str(error)) from None
        print_rows(
            self.stdout,  # type: ignore[arg-type]
            [one.row() for one in done],
            ("action", "path", "title", "detail"),
            as_json=options["json"],
        )
        if any(one.action == syncing.TROUBLE for one in done):
            raise CommandError(
                "not every title could be brought in step: nothing of it was removed"
            )
