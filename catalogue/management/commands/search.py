"""`manage.py search "title"`: what a client's search would find, and why."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from anibridge.lib.console import print_rows
from catalogue import search
from catalogue.search import Answered, Ids


class Command(BaseCommand):
    help = "Search as Torznab does; availability that is not known yet is probed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "query", nargs="?", default="", help="a title, also with numbers: «Sintel S01E01»"
        )
        parser.add_argument("--season", type=int)
        parser.add_argument("--episode", type=int)
        parser.add_argument("--absolute", type=int, help="counted through all seasons")
        parser.add_argument("--film", action="store_true", help="films only, named as such")
        parser.add_argument("--tvdb", type=int, metavar="ID", help="the show's TVDB id")
        parser.add_argument("--imdb", default="", metavar="ID", help="its IMDb id")
        parser.add_argument("--tmdb", type=int, metavar="ID", help="its TMDB id")
        parser.add_argument("--site", action="append", help="only this site; may be given again")
        parser.add_argument("--explain", action="store_true", help="say why these were found")
        parser.add_argument(
            "--json", action="store_true", help="with --explain: {results, explained}"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        answered = self._search(**options)
        rows = answered.rows()
        if options["json"] and options["explain"]:
            told = {"results": rows, "explained": answered.explained()}
            self.stdout.write(json.dumps(told, indent=2, default=str, ensure_ascii=False))
        else:
            print_rows(
                self.stdout,  # type: ignore[arg-type]
                rows,
                ("site", "release", "language", "host", "size_bytes", "estimated", "infohash"),
                as_json=options["json"],
            )
        if options["explain"] and not options["json"]:
            self._explain(answered)
        for site_id, trouble in answered.troubles.items():
            self.stderr.write(f"{site_id}: {trouble}")

    def _search(
        self, *, query: str, film: bool, site: list[str] | None, **options: Any
    ) -> Answered:
        title, season, episode = search.split_query(query)
        ids = Ids(tvdb=options["tvdb"], imdb=options["imdb"], tmdb=options["tmdb"])
        if not title and not ids:
            raise CommandError("name a title, or an id of one")
        if film:
            return search.films(query, ids=ids, sites=site)
        if options["season"] is not None:
            season, episode = options["season"], options["episode"]
        elif options["episode"] is not None:
            raise CommandError("--episode needs --season")
        return search.search(
            title,
            season=season,
            episode=episode,
            absolute=options["absolute"],
            ids=ids,
            sites=site,
        )

    def _explain(self, answered: Answered) -> None:
        told = answered.explained()
        if show := told["show"]:
            self.stdout.write(
                f"\nmetadata: «{show['title']}» ({show['year']}), TVDB {show['tvdb_id']}"
            )
        self.stdout.write(f"\nanswered in {told['milliseconds']:.0f} ms")
        for site in told["sites"]:
            self.stdout.write(
                f"\n{site['site']}: {site['milliseconds']:.0f} ms,"
                f" {site['probed']} probed, {site['cached']} from the cache"
            )
            rows = [
                {**one, "taken": "yes" if one["taken"] else one["note"] or one["reason"]}
                for one in site["titles"]
            ]
            print_rows(
                self.stdout,  # type: ignore[arg-type]
                rows,
                ("name", "slug", "query", "via", "value", "exact", "contained", "f1", "precision",
                 "recall", "ratio", "taken"),
                as_json=False,
            )  # fmt: skip
