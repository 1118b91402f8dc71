"""`manage.py serve_downloader`: a downloader of its own in front of a qBittorrent, which registers itself."""

import asyncio
import os
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from anibridge.lib.errors import AniBridgeError
from downloads.downloaders.base import Place
from downloads.downloaders.serving import Announcement, Service, serve
from downloads.registry import checked_url


class Command(BaseCommand):
    help = (
        "Serve a qBittorrent to AniBridge through the batch protocol: listens, registers itself (again and again "
        "until AniBridge answers) and ends on SIGTERM. Needs no database."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="listen here (default %(default)s)")
        parser.add_argument("--port", type=int, default=8020, help="0 for a free one")
        parser.add_argument("--qbittorrent", required=True, help="http://host:port of its Web UI")
        parser.add_argument("--username", default="")
        parser.add_argument(
            "--password", default="", help="better: the variable QBITTORRENT_PASSWORD"
        )
        parser.add_argument("--anibridge", default="", help="register there: http://host:port")
        parser.add_argument(
            "--api-key", default="", help="AniBridge's key (default: that of this installation)"
        )
        parser.add_argument("--name", default="qbittorrent-service")
        parser.add_argument("--base-url", default="", help="how AniBridge reaches this service")
        parser.add_argument("--priority", type=int, default=50, help="only counts the first time")
        parser.add_argument(
            "--key", default="", help="what callers must send as X-Api-Key (default: nothing)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            place = Place(
                name=options["name"],
                base_url=checked_url(options["qbittorrent"]),
                username=options["username"],
                secret=options["password"] or os.environ.get("QBITTORRENT_PASSWORD", ""),
            )
            anibridge = checked_url(options["anibridge"]) if options["anibridge"] else ""
        except AniBridgeError as error:
            raise CommandError(str(error)) from None
        if anibridge and not options["base_url"] and options["host"] in ("0.0.0.0", "::", ""):  # noqa: S104
            raise CommandError("say with --base-url how AniBridge reaches this service")

        def announce(port: int) -> Announcement | None:
            if not anibridge:
                return None
            return Announcement(
                anibridge=anibridge,
                api_key=options["api_key"] or settings.API_KEY,
                name=options["name"],
                base_url=options["base_url"] or f"http://{options['host']}:{port}",
                priority=options["priority"],
                own_key=options["key"],
            )

        def ready(port: int) -> None:
            self.stdout.write(f"listening on http://{options['host']}:{port}")
            self.stdout.flush()

        async def run() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(signum, stop.set)
            service = Service(place, key=options["key"])
            await serve(
                service,
                host=options["host"],
                port=options["port"],
                announce=announce,
                stop=stop,
                ready=ready,
            )

        try:
            asyncio.run(run())
        except OSError as error:
            where = f"{options['host']}:{options['port']}"
            raise CommandError(f"cannot listen on {where}: {error.strerror or error}") from None
        self.stdout.write("stopped")
