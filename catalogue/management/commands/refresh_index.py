"""`manage.py refresh_index [site …]`: renew title indexes now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from anibridge.lib.console import print_rows
from anibridge.lib.errors import AniBridgeError
from catalogue import refresh
from catalogue.models import Site


class Command(BaseCommand):
    help = "Fetch the title index of the named sites, or of all enabled ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sites", nargs="*", help="site ids (default: all enabled)")
        parser.add_argument(
            "--force", action="store_true", help="take an index that is suspiciously small"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        sites = options["sites"] or list(Site.objects.enabled().values_list("pk", flat=True))
        if not sites:
            raise CommandError(
                "no site is enabled: name one in CATALOGUE_SITES or enable it in the admin"
            )
        rows: list[dict[str, Any]] = []
        failed = False
        waiting = Console(stderr=True)  # shows nothing where it is no terminal
        for site_id in dict.fromkeys(sites):
            try:
                with waiting.status(f"reading the index of {site_id}"):
                    done = refresh.refresh_index(site_id, force=options["force"])
            except AniBridgeError as error:
                failed = True
                rows.append({"site": site_id, "outcome": "failed", "detail": str(error)})
            else:
                outcome = "kept" if done.kept else "refreshed"
                rows.append(
                    {"site": site_id, "outcome": outcome, "titles": done.titles, "names": done.names,
                     "detail": done.kept}
                )  # fmt: skip
        print_rows(
            self.stdout,  # type: ignore[arg-type]
            rows,
            ("site", "outcome", "titles", "names", "detail"),
            as_json=options["json"],
        )
        if failed:
            raise CommandError("not every index could be refreshed")
