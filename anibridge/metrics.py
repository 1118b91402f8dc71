"""`/metrics` for Prometheus: asked from the database at each scrape, so every web process says the same.

Eight cheap questions. Labels are of few values each: statuses, sites, kinds of streams.
"""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import Count, Sum
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from catalogue.models import Site
from downloads import heartbeats
from downloads.models import Job, JobStatus
from strm import nowplaying


class Collected(Collector):
    """What AniBridge tells, asked at the moment of the scrape."""

    def collect(self) -> Iterable[Metric]:
        """All metrics; names end in their unit, as Prometheus wants them."""
        yield InfoMetricFamily("anibridge", "This installation.", {"version": settings.VERSION})
        yield from _jobs()
        yield from _sites()
        yield from _streams()
        silent = heartbeats.silent()
        up = GaugeMetricFamily(
            "anibridge_process_up",
            "Whether a kind of process gives a sign of life.",
            labels=["role"],
        )
        for role in heartbeats.ROLES:
            up.add_metric([role], role not in silent)
        yield up


def _jobs() -> Iterable[Metric]:
    count = GaugeMetricFamily("anibridge_jobs", "Downloads by status.", labels=["status"])
    fetched = GaugeMetricFamily(
        "anibridge_jobs_downloaded_bytes",
        "Bytes that the listed downloads have fetched, by status.",
        labels=["status"],
    )
    speed = GaugeMetricFamily(
        "anibridge_download_speed_bytes_per_second", "Speed of all running downloads together."
    )
    rows: dict[str, dict[str, Any]] = {
        row["status"]: dict(row)
        for row in Job.objects.present()
        .order_by()
        .values("status")
        .annotate(count=Count("pk"), bytes=Sum("downloaded_bytes"), speed=Sum("speed"))
    }
    for status in JobStatus.values:
        row = rows.get(status, {})
        count.add_metric([status], row.get("count", 0))
        fetched.add_metric([status], row.get("bytes") or 0)
    running = rows.get(JobStatus.DOWNLOADING, {})
    speed.add_metric([], running.get("speed") or 0)
    return count, fetched, speed


def _sites() -> Iterable[Metric]:
    up = GaugeMetricFamily(
        "anibridge_site_up",
        "Whether an enabled site answered when it was asked last.",
        labels=["site"],
    )
    failures = GaugeMetricFamily(
        "anibridge_site_failures",
        "Failures in a row, which earn a site its pause.",
        labels=["site"],
    )
    paused = GaugeMetricFamily(
        "anibridge_site_back_off_seconds", "How long it is left alone from now on.", labels=["site"]
    )
    titles = GaugeMetricFamily("anibridge_site_titles", "Titles of its index.", labels=["site"])
    now = timezone.now()
    for site in Site.objects.enabled():
        rest = (site.back_off_until - now).total_seconds() if site.back_off_until else 0.0
        up.add_metric([site.pk], site.failures == 0)
        failures.add_metric([site.pk], site.failures)
        paused.add_metric([site.pk], max(rest, 0.0))
        titles.add_metric([site.pk], site.index_size)
    return up, failures, paused, titles


def _streams() -> Iterable[Metric]:
    came = nowplaying.totals()
    active = GaugeMetricFamily(
        "anibridge_strm_playbacks_active",
        "Playbacks under way, by kind of stream.",
        labels=["kind"],
    )
    for kind in ("file", "hls", "dash", "unknown"):
        active.add_metric([kind], came.active.get(kind, 0))
    hosts = GaugeMetricFamily(
        "anibridge_strm_host_playbacks_active",
        "Playbacks under way, by the host that they come from.",
        labels=["host"],
    )
    for host, count in came.hosts.items():
        hosts.add_metric([host], count)
    return (
        active,
        hosts,
        CounterMetricFamily("anibridge_strm_playbacks", "Playbacks begun.", came.playbacks),
        CounterMetricFamily("anibridge_strm_sent_bytes", "Bytes sent to players.", came.bytes_sent),
        CounterMetricFamily("anibridge_strm_errors", "Errors that players noticed.", came.errors),
    )


class _Anything(BaseRenderer):
    """Prometheus asks for types of its own; which one it gets is decided below."""

    media_type = "*/*"
    format = "metrics"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        """An error, as words."""
        said = data.get("detail", "") if isinstance(data, dict) else ""
        return f"{said}\n".encode()


class MetricsView(APIView):
    """The metrics, opened by the API key or a signed-in user."""

    renderer_classes = (_Anything,)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """In Prometheus' text format, or in OpenMetrics where that is asked for."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Collected())
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(registry), content_type=content_type)
