"""How much is being fetched and how much was: three queries, however many downloads there are."""

from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from downloads.models import Job, JobStatus

S = JobStatus
_SIZE = Coalesce("total_bytes", "downloaded_bytes")


def stats(now: datetime | None = None) -> dict[str, Any]:
    """Counts of what is listed by status and source, speed, and bytes. What was deleted counts in `bytes` only.

    `bytes.today` is the size of what was completed since midnight in the installation's time zone, `bytes.total` of
    what was ever completed, as far as it is remembered; `bytes.remaining` is what running and waiting downloads lack,
    of those whose size is known.
    """
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    statuses = dict.fromkeys(S.values, 0)
    sources: dict[str, dict[str, Any]] = {}
    for row in _by_source_and_status():
        statuses[row["status"]] += row["count"]
        source = sources.setdefault(
            row["source_site"],
            {"count": 0, "statuses": dict.fromkeys(S.values, 0), "speed": 0, "bytes": 0},
        )
        source["statuses"][row["status"]] = row["count"]
        source["count"] += row["count"]
        source["speed"] += row["speed"] or 0
        source["bytes"] += row["bytes"] or 0
    done = Job.objects.filter(completed_at__isnull=False, status=S.COMPLETED).aggregate(
        total=Sum(_SIZE, default=0),
        today=Sum(_SIZE, filter=Q(completed_at__gte=midnight), default=0),
        count_today=Count("pk", filter=Q(completed_at__gte=midnight)),
    )
    lacking = Job.objects.present().filter(
        status__in=(S.QUEUED, S.DOWNLOADING, S.PAUSED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR),
        total_bytes__gt=F("downloaded_bytes"),
    )
    remaining = lacking.aggregate(sum=Sum(F("total_bytes") - F("downloaded_bytes"), default=0))
    return {
        "count": sum(statuses.values()),
        "statuses": statuses,
        "speed": sum(source["speed"] for source in sources.values()),
        "completed_today": done["count_today"],
        "bytes": {
            "today": done["today"],
            "total": done["total"],
            "remaining": remaining["sum"],
        },
        "sources": [{"source_site": name, **source} for name, source in sorted(sources.items())],
    }


def _by_source_and_status() -> Any:
    return (
        Job.objects.present()
        .order_by()
        .values("source_site", "status")
        .annotate(
            count=Count("pk"),
            speed=Sum("speed", filter=Q(status=S.DOWNLOADING)),
            bytes=Sum("downloaded_bytes"),
        )
    )
