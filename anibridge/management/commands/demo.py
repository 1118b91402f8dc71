"""`manage.py demo`: the whole journey, step by step, against a running AniBridge or one of its own."""

import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from anibridge.demo import house, journey
from anibridge.lib.errors import AniBridgeError


class Command(BaseCommand):
    help = "Search, grab, download, check and remove a demo episode over HTTP, as Sonarr would."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--url", help="an AniBridge that runs (default: the one of this data directory)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        url = options["url"] or f"http://127.0.0.1:{settings.PORT}"
        try:
            if options["url"] or (settings.DEMO and house.answers(url)):
                self._line("server", f"{url} is running")
                self._walk(self._ours(url.rstrip("/")))
            else:
                with tempfile.TemporaryDirectory(prefix="anibridge-demo-") as folder:
                    self._line(
                        "server", f"none with the demo is running here: starting one in {folder}"
                    )
                    with house.running(
                        settings.BASE_DIR, Path(folder) / "data", videos=settings.DEMO_VIDEOS
                    ) as access:
                        self._line("server", f"{access.base_url} is ready")
                        self._walk(access)
        except AniBridgeError as error:
            raise CommandError(str(error)) from None
        self._line("done", "the whole journey works")

    def _ours(self, url: str) -> journey.Access:
        return journey.Access(url, settings.API_KEY, settings.ADMIN_USER, settings.ADMIN_PASSWORD)

    def _line(self, step: str, found: str) -> None:
        self.stdout.write(f"  {step:<10} {found}")
        self.stdout.flush()

    def _walk(self, access: journey.Access) -> None:
        bar = _Bar(self._line) if not self.stdout.isatty() else _LiveBar()
        with bar:
            journey.walk(access, tell=self._tell(bar), show=bar.show)

    def _tell(self, bar: "_Bar | _LiveBar") -> journey.Tell:
        def tell(step: str, found: str) -> None:
            bar.pause()
            self._line(step, found)

        return tell


class _Bar:
    """Progress as plain lines, one per tenth, where nobody watches a terminal."""

    def __init__(self, line: Any) -> None:
        self._line, self._tenth = line, -1

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def show(self, progress: float, speed: int) -> None:
        tenth = int(progress * 10)
        if tenth != self._tenth:
            self._tenth = tenth
            self._line("download", f"{progress:4.0%}  {speed / 1e6:.1f} MB/s")

    def pause(self) -> None:
        return None


class _LiveBar:
    """A bar that moves."""

    def __init__(self) -> None:
        self._console = Console()
        self._progress: Progress | None = None

    def __enter__(self) -> "_LiveBar":
        return self

    def __exit__(self, *exc: object) -> None:
        self.pause()

    def show(self, progress: float, speed: int) -> None:
        if self._progress is None:
            columns = (
                TextColumn("  download  "), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
                TextColumn("{task.fields[speed]}"),
            )  # fmt: skip
            self._progress = Progress(*columns, console=self._console)
            self._progress.add_task("download", total=1.0, speed="")
            self._progress.start()
        task = self._progress.task_ids[0]
        self._progress.update(task, completed=progress, speed=f"{speed / 1e6:.1f} MB/s")

    def pause(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
