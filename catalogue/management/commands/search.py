"""`manage.py search "title"`: what a client's search would find."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from anibridge.lib.console import print_rows
from catalogue import search


class Command(BaseCommand):
    help = "Search as Torznab does; availability that is not known yet is probed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("query", help="a title, also with numbers: «Sintel S01E01»")
        parser.add_argument("--season", type=int)
        parser.add_argument("--episode", type=int)
        parser.add_argument("--site", action="append", help="only this site; may be given again")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        title, season, episode = search.split_query(options["query"])
        if options["season"] is not None:
            season, episode = options["season"], options["episode"]
        elif options["episode"] is not None:
            raise CommandError("--episode needs --season")
        answered = search.search(title, season=season, episode=episode, sites=options["site"])
        rows = [
            {
                "site": entry.site_id,
                "release": entry.release.name,
                "language": entry.language,
                "host": entry.host,
                "size_bytes": entry.size_bytes,
                "estimated": entry.estimated,
                "infohash": entry.release.infohash,
                "magnet": entry.release.magnet,
            }
            for entry in answered.entries
        ]
        print_rows(
            self.stdout,  # type: ignore[arg-type]
            rows,
            ("site", "release", "language", "host", "size_bytes", "estimated", "infohash"),
            as_json=options["json"],
        )
        for site_id, trouble in answered.troubles.items():
            self.stderr.write(f"{site_id}: {trouble}")
