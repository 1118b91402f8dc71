"""`manage.py serve_demo`: the catalogue stand-in with its generated videos."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from anibridge.demo import cli
from anibridge.lib.errors import AniBridgeError


class Command(BaseCommand):
    """Serves until SIGTERM or SIGINT; needs no database."""

    help = "Serve the demo catalogue: open films, invented series, generated videos."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_arguments(parser, settings.DEMO_VIDEOS)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            cli.run(argparse.Namespace(**options), self._line)
        except AniBridgeError as error:
            raise CommandError(str(error)) from error

    def _line(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
