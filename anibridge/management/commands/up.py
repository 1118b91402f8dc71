"""`manage.py up`: everything on this machine, under one supervisor, until Ctrl-C."""

import signal
import socket
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from anibridge import processes
from anibridge.celery import app as celery_app
from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError, Misconfigured
from catalogue.models import Site
from downloads.models import Heartbeat

READY_SECONDS = 180
"""The first start generates the demo's videos; later ones take a few seconds."""


class Stop(Exception):
    """Somebody asked us to stop."""


class Command(BaseCommand):
    help = (
        "Start web, workers, beat and (with ANIBRIDGE_DEMO) the demo catalogue; stop with Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--console",
            action="store_true",
            help="log to the console instead of the data directory",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        try:
            with processes.only_one():
                self._run(console=options["console"])
        except Misconfigured as error:
            raise CommandError(str(error)) from None
        except Stop:
            self.stdout.write("Stopped.")

    def _run(self, *, console: bool) -> None:
        self._prepare()
        marker = processes.run_dir() / "demo"
        if settings.DEMO:
            # Tells commands in other shells that the demo is on (settings.py reads it).
            marker.write_text(str(settings.DEMO_PORT))
        supervisor = processes.start(processes.write_config(console=console))
        try:
            self._wait_until_ready(supervisor)
            self._tell()
            supervisor.wait()
            raise CommandError("the supervisor ended by itself; see logs/supervisor.log")
        finally:
            # A second Ctrl-C must not leave processes behind.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            processes.stop(supervisor)
            marker.unlink(missing_ok=True)

    def _prepare(self) -> None:
        processes.require_free_port(settings.HOST, settings.PORT, "ANIBRIDGE_PORT")
        if settings.DEMO:
            processes.require_free_port("127.0.0.1", settings.DEMO_PORT, "ANIBRIDGE_DEMO_PORT")
        call_command("prepare", stdout=self.stdout)
        # Rows of a run that was killed would look alive for half a minute.
        Heartbeat.objects.filter(name__contains=f"@{socket.gethostname()}").delete()

    def _wait_until_ready(self, supervisor: Any) -> None:
        self.stdout.write("Starting …")
        self.stdout.flush()
        own = f"http://{_reachable(settings.HOST)}:{settings.PORT}"
        demo = f"http://127.0.0.1:{settings.DEMO_PORT}/healthz"
        refreshed = False
        deadline = time.monotonic() + READY_SECONDS
        with http.session(
            trusted=(own.removeprefix("http://"), f"127.0.0.1:{settings.DEMO_PORT}")
        ) as s:
            while time.monotonic() < deadline:
                if supervisor.poll() is not None:
                    raise CommandError("the supervisor did not start; see logs/supervisor.log")
                time.sleep(0.3)
                if not (_answers(s, f"{own}/readyz") and (not settings.DEMO or _answers(s, demo))):
                    continue
                if not refreshed:
                    celery_app.send_task("catalogue.refresh_due")
                    refreshed = True
                if not settings.DEMO or Site.objects.filter(pk="demo", index_size__gt=0).exists():
                    return
        raise CommandError(
            f"not ready after {READY_SECONDS} s; see {settings.DATA_DIR / 'logs'} and {own}/readyz"
        )

    def _tell(self) -> None:
        base = (
            settings.PUBLIC_URL.rstrip("/") or f"http://{_reachable(settings.HOST)}:{settings.PORT}"
        )
        key = settings.API_KEY_FILE if settings.API_KEY_FILE.exists() else "ANIBRIDGE_API_KEY"
        password = (
            settings.ADMIN_PASSWORD_FILE
            if settings.ADMIN_PASSWORD_FILE.exists()
            else "ANIBRIDGE_ADMIN_PASSWORD"
        )
        lines = [
            f"AniBridge {settings.VERSION} is ready.",
            f"  Dashboard    {base}/   (user {settings.ADMIN_USER}, password in {password})",
            f"  Torznab      {base}/torznab   (API path /api, API key in {key})",
            f"  qBittorrent  {base}/   (same user and password)",
            f"  Health       {base}/readyz",
            f"  Downloads    {settings.DOWNLOAD_DIR}",
            f"  Logs         {settings.DATA_DIR / 'logs'}",
        ]
        if settings.DEMO:
            lines.append(f"  Demo site    http://127.0.0.1:{settings.DEMO_PORT}/")
        self.stdout.write("\n".join([*lines, "Stop with Ctrl-C."]))
        self.stdout.flush()


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stop


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104


def _answers(session: http.GuardedSession, url: str) -> bool:
    try:
        return http.fetch(url, session=session, timeout=3).status == 200
    except AniBridgeError:
        return False
