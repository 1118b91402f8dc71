"""`manage.py doctor`: what is in order, what is not, and what to do about it."""

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError

from anibridge import processes
from anibridge.celery import app as celery_app
from anibridge.lib import ytdlp
from anibridge.lib.errors import AniBridgeError
from catalogue.models import Site
from downloads import heartbeats

Finding = tuple[str, bool, str]


class Command(BaseCommand):
    help = "Check folders, database, broker, processes, ffmpeg and sites; exit code 1 when something is wrong."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = [finding for check in CHECKS for finding in _safely(check)]
        if options["json"]:
            rows = [{"check": n, "ok": ok, "detail": text} for n, ok, text in findings]
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            for name, ok, text in findings:
                mark = self.style.SUCCESS("ok  ") if ok else self.style.ERROR("FAIL")
                self.stdout.write(f"{mark} {name:<12} {text}")
        if not all(ok for _, ok, _ in findings):
            raise CommandError("something is not in order")


def _safely(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    name = check.__name__.strip("_")
    try:
        yield from check()
    except (DatabaseError, OperationalError, OSError, AniBridgeError) as error:
        yield name, False, str(error).strip()


def _folders() -> Iterator[Finding]:
    for name, folder, variable in (
        ("data", settings.DATA_DIR, "ANIBRIDGE_DATA_DIR"),
        ("downloads", settings.DOWNLOAD_DIR, "ANIBRIDGE_DOWNLOAD_DIR"),
        *(("library", root, "DOWNLOAD_LIBRARY_ROOTS") for root in settings.DOWNLOAD_LIBRARY_ROOTS),
    ):
        try:
            processes.require_writable(folder, variable)
        except AniBridgeError as error:
            yield name, False, str(error)
        else:
            free = shutil.disk_usage(folder).free
            enough = free > settings.DOWNLOAD_RESERVE
            yield name, enough, f"{folder} is writable, {free / 2**30:.1f} GiB free"


def _database() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    told = f"{connection.vendor}: " + (
        f"{len(plan)} migrations are missing: run manage.py migrate" if plan else "up to date"
    )
    yield "database", not plan, told


def _broker() -> Iterator[Finding]:
    with celery_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
        yield "broker", True, broker.as_uri()


def _processes() -> Iterator[Finding]:
    silent = heartbeats.silent()
    yield (
        "processes",
        not silent,
        (
            f"no sign of life from {', '.join(silent)}: is `manage.py up` running?"
            if silent
            else "workers and beat are alive"
        ),
    )


def _ffmpeg() -> Iterator[Finding]:
    found = ytdlp.find_ffmpeg()
    yield "ffmpeg", found is not None, found or "not found: install ffmpeg"


def _sites() -> Iterator[Finding]:
    sites = list(Site.objects.enabled())
    if not sites:
        yield (
            "sites",
            False,
            "none is enabled: name one in CATALOGUE_SITES or enable it in the admin",
        )
    for site in sites:
        trouble = site.last_error if site.failures else site.index_warning
        if not site.index_size:
            trouble = trouble or "its index was not read yet"
        yield site.site_id, not trouble, trouble or f"{site.index_size} titles, {site.base_url}"


CHECKS = (_folders, _database, _broker, _processes, _ffmpeg, _sites)
