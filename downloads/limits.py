"""How much of the line each download may take, and how many may run from one host or source.

Workers are processes on any number of machines, and what they share is the database. Each running job says once a
second how fast it is and what it was allowed; from these rows every worker works out its own new share in the same way
(`divide`), so that together they keep the limit without anybody being in charge.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from downloads.errors import SlotTaken
from downloads.models import Job, JobStatus, SpeedLimits

LIVELY = timedelta(seconds=15)
"""A job whose heartbeat is older is not counted: its worker is gone, or soon will be."""
SMALLEST_SHARE = 1024
HUNGRY = 0.8
"""Who uses so much of its share would take more; who uses less is slower by nature."""
GROWTH = 1.3
"""A slow one is left so much more than it uses, so that it shows when it becomes faster."""


@dataclass(frozen=True, slots=True)
class Taker:
    """A running download: its own limit, its speed, and the share that it was given last."""

    pk: int
    cap: int | None = None
    speed: int = 0
    share: int | None = None


def divide(limit: int, takers: Iterable[Taker]) -> dict[int, int]:
    """Shares of `limit` bytes a second that add up to it: equal ones, but nobody gets more than he can take.

    What a capped or a slow download leaves over goes to the others; without others, it may keep what it does not use.
    """
    those = list(takers)
    if not those:
        return {}
    fair = limit / len(those)
    shares = dict.fromkeys((one.pk for one in those), 0.0)
    left = _pour(float(limit), shares, {one.pk: _wish(one, limit, fair) for one in those})
    # What nobody wants goes to all who may have it: so whoever becomes faster can.
    _pour(left, shares, {one.pk: float(limit if one.cap is None else one.cap) for one in those})
    return {pk: max(int(share), SMALLEST_SHARE) for pk, share in shares.items()}


def _pour(amount: float, shares: dict[int, float], up_to: dict[int, float]) -> float:
    """Raise all shares evenly, each up to its mark, as far as the amount goes; returns what is left."""
    waiting = sorted(shares, key=lambda pk: up_to[pk] - shares[pk])
    for number, pk in enumerate(waiting):
        more = max(0.0, min(up_to[pk] - shares[pk], amount / (len(waiting) - number)))
        shares[pk] += more
        amount -= more
    return amount


def _wish(one: Taker, limit: int, fair: float) -> float:
    wish = float(limit)
    if one.share is not None and one.speed < HUNGRY * one.share:
        wish = max(one.speed * GROWTH, fair / 10)
    return wish if one.cap is None else min(wish, one.cap)


def speed_limits() -> SpeedLimits:
    """The limits as they are now; without a row, those of the environment."""
    return SpeedLimits.objects.filter(pk=SpeedLimits.ONLY).first() or SpeedLimits()


@transaction.atomic
def set_speed_limits(
    *,
    download_limit: int | None = None,
    alternative_download_limit: int | None = None,
    alternative_enabled: bool | None = None,
) -> SpeedLimits:
    """Change what is given, in bytes a second (0 is none); running downloads follow within seconds."""
    limits = _only_row()
    given = {
        "download_limit": download_limit,
        "alternative_download_limit": alternative_download_limit,
        "alternative_enabled": alternative_enabled,
    }
    for name, value in given.items():
        if value is not None:
            setattr(limits, name, value)
    limits.save()
    return limits


def share_of(job_id: int) -> int | None:
    """Bytes a second that a running job may take now; None for as many as come."""
    limit = speed_limits().effective
    if not limit:
        return Job.objects.filter(pk=job_id).values_list("rate_limit", flat=True).first() or None
    rows = running().values_list("pk", "rate_limit", "speed", "rate_share")
    takers = [Taker(pk, cap or None, speed, share) for pk, cap, speed, share in rows]
    return divide(limit, takers).get(job_id, SMALLEST_SHARE)


def running() -> models.QuerySet[Job]:
    """The jobs that our own workers carry right now."""
    since = timezone.now() - LIVELY
    return Job.objects.present().filter(status=JobStatus.DOWNLOADING, heartbeat_at__gte=since)


def lock() -> None:
    """Within a transaction: nobody else counts slots until it ends."""
    _only_row()


def _only_row() -> SpeedLimits:
    SpeedLimits.objects.get_or_create(pk=SpeedLimits.ONLY)
    return SpeedLimits.objects.select_for_update().get(pk=SpeedLimits.ONLY)


@transaction.atomic
def take_host(job_id: int, token: int, host: str) -> None:
    """Let a running job fetch from `host`; raises SlotTaken when as many as DOWNLOAD_PER_HOST do so already."""
    host = host[:255]
    if settings.DOWNLOAD_PER_HOST:
        lock()
        others = running().filter(host__iexact=host).exclude(pk=job_id).count()
        if others >= settings.DOWNLOAD_PER_HOST:
            raise SlotTaken(f"{others} downloads run from {host} already")
    Job.objects.filter(pk=job_id, attempts=token).update(host=host)
