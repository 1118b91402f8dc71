"""Health and dashboard: the one place that may read every app."""

import logging
import os
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, connection
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from anibridge.celery import app as celery_app
from catalogue.models import AvailabilityRecord, Site
from downloads import heartbeats
from downloads.models import Heartbeat, Job, JobStatus
from strm import nowplaying

logger = logging.getLogger(__name__)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether work gets done: database, broker, and a sign of life from each kind of process.

    200 when all is well, else 503; either way the answer names each part. It tells no secret, so it is open.
    """
    checks = {
        name: _outcome(check)
        for name, check in (("database", _database), ("broker", _broker), ("workers", _workers))
    }
    ready = all(outcome == "ok" for outcome in checks.values())
    response = JsonResponse(
        {
            "status": "ready" if ready else "not ready",
            "version": settings.VERSION,
            "checks": checks,
        },
        status=200 if ready else 503,
    )
    # Django logs every 5xx as an error of ours; this one is an answer.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _outcome(check: Callable[[], str]) -> str:
    try:
        return check()
    except (DatabaseError, OperationalError, OSError) as error:
        logger.warning("not ready: %s: %s", check.__name__, error)
        return f"failed: {type(error).__name__}"  # the full text may name hosts and users


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _broker() -> str:
    folder = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("data_folder_in")
    if folder:
        return "ok" if os.access(folder, os.W_OK) else "failed: its folder cannot be written"
    with celery_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
    return "ok"


def _workers() -> str:
    silent = heartbeats.silent()
    return f"silent: {', '.join(silent)}" if silent else "ok"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that is malformed before any view sees it, in words that every client can read."""
    words = "Bad Request"
    if isinstance(exception, DisallowedHost):
        # Names of containers are a usual cause: other programs take an underscore, and nothing here says why we do not.
        words += ": the address names this machine in a way that is no host name. Letters, digits, dots and hyphens are; "
        words += "an underscore is not: give the container an alias without one."
    return HttpResponse(words, status=400, content_type="text/plain")


@require_safe
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    """What goes on: sites, downloads, processes, and what to enter in Prowlarr and Sonarr."""
    base_url = (settings.PUBLIC_URL or request.build_absolute_uri("/")).rstrip("/")
    context = {
        **admin.site.each_context(request),
        "title": "Dashboard",
        "base_url": base_url,
        "api_key_file": None if not settings.API_KEY_FILE.exists() else settings.API_KEY_FILE,
        "version": settings.VERSION,
        **_now(),
    }
    return render(request, "anibridge/dashboard.html", context)


@require_safe
@login_required
def dashboard_now(request: HttpRequest) -> HttpResponse:
    """The part of the dashboard that changes, for htmx to fetch every two seconds."""
    return render(request, "anibridge/_now.html", _now())


def _now() -> dict[str, Any]:
    counts = Job.objects.present().aggregate(
        running=Count("pk", filter=Q(status=JobStatus.DOWNLOADING)),
        queued=Count("pk", filter=Q(status=JobStatus.QUEUED)),
        completed=Count("pk", filter=Q(status=JobStatus.COMPLETED)),
        failed=Count("pk", filter=Q(status=JobStatus.FAILED)),
        speed=Sum("speed", filter=Q(status=JobStatus.DOWNLOADING), default=0),
    )
    return {
        "counts": counts,
        "jobs": Job.objects.present()[:12],
        "playing": nowplaying.playing(),
        "sites": Site.objects.all(),
        "episodes": AvailabilityRecord.objects.filter(
            is_available=True, episode__isnull=False
        ).count(),
        "processes": Heartbeat.objects.all(),
        "silent": heartbeats.silent(),
    }
