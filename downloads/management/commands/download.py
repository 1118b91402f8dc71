"""`manage.py download …`: the queue on the command line."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from anibridge.lib.console import print_rows
from anibridge.lib.errors import AniBridgeError
from catalogue.releases import parse_magnet
from catalogue.sites import get_adapter
from downloads import services
from downloads.errors import IllegalTransition
from downloads.events import snapshot
from downloads.models import Job, JobStatus

COLUMNS = ("id", "status", "progress", "name", "source_site", "error_message")


class Command(BaseCommand):
    help = "Add, list, show, pause, resume, cancel, retry and delete downloads."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="action", required=True, parser_class=argparse.ArgumentParser
        )
        add = actions.add_parser("add", help="queue one of AniBridge's own magnet links")
        add.add_argument("magnet")
        add.add_argument("--category", default="")
        listing = actions.add_parser("list", help="the newest downloads")
        listing.add_argument("--status", choices=JobStatus.values)
        listing.add_argument("--limit", type=int, default=50)
        for name, text in (
            ("status", "one download with its history"),
            ("pause", "stop for now, keep what was fetched"),
            ("resume", "let a paused one go on"),
            ("cancel", "stop for good"),
            ("retry", "queue a failed or cancelled one again"),
            ("remove", "delete from the list"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("download", help="its id or infohash")
            if name == "remove":
                action.add_argument("--files", action="store_true", help="delete its files too")
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except IllegalTransition as error:
            raise CommandError(f"not possible: {error}") from None
        except AniBridgeError as error:
            raise CommandError(str(error)) from None

    def _add(self, options: dict[str, Any]) -> None:
        magnet = parse_magnet(options["magnet"])
        if magnet.identity is None:
            raise CommandError("only magnets of AniBridge's own releases can be fetched so far")
        get_adapter(magnet.identity.site).check_slug(magnet.identity.slug)
        order = services.Order(
            infohash=magnet.infohash,
            name=magnet.name or magnet.infohash,
            identity=magnet.identity,
            category=options["category"],
            provider=magnet.provider or "",
        )
        job, _ = services.enqueue(order)
        self._show([job], options)

    def _list(self, options: dict[str, Any]) -> None:
        jobs = Job.objects.present()
        if options["status"]:
            jobs = jobs.filter(status=options["status"])
        self._show(list(jobs[: options["limit"]]), options)

    def _status(self, options: dict[str, Any]) -> None:
        job = services.get(options["download"])
        self._show([job], options)
        if not options["json"]:
            for event in job.events.all():
                line = f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.old or '–'} → {event.new}"
                self.stdout.write(f"{line}  {event.reason}".rstrip())

    def _pause(self, options: dict[str, Any]) -> None:
        self._show([services.pause(services.get(options["download"]).pk)], options)

    def _resume(self, options: dict[str, Any]) -> None:
        self._show([services.resume(services.get(options["download"]).pk)], options)

    def _cancel(self, options: dict[str, Any]) -> None:
        self._show([services.cancel(services.get(options["download"]).pk)], options)

    def _retry(self, options: dict[str, Any]) -> None:
        services.retry(services.get(options["download"]).pk)
        self._show([services.get(options["download"])], options)

    def _remove(self, options: dict[str, Any]) -> None:
        job = services.get(options["download"])
        services.remove(job.pk, delete_files=options["files"])
        self.stdout.write(f"removed {job.name}")

    def _show(self, jobs: list[Job], options: dict[str, Any]) -> None:
        rows = [snapshot(job) for job in jobs]
        print_rows(self.stdout, rows, COLUMNS, as_json=options["json"])  # type: ignore[arg-type]
