"""Speaking to a downloader, and what that says about it: its health is written down where it was noticed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Least
from django.utils import timezone

from anibridge.lib.errors import Misconfigured
from downloads.downloaders import ADAPTERS
from downloads.downloaders.base import Adapter, DownloaderAway, LoginRefused, Place
from downloads.models import Downloader

logger = logging.getLogger(__name__)

BACK_OFF = (15, 60, 300, 900, 1800, 3600)
"""Seconds without anything new, by how often it failed; one step down on success (design.md §6, for sites)."""
MOST_FAILURES = 30_000


@contextmanager
def contact(downloader: Downloader) -> Iterator[Adapter]:
    """One conversation. Raises DownloaderAway, noted as a setback; getting through is noted as well."""
    try:
        with opened(downloader) as adapter:
            yield adapter
    except DownloaderAway as error:
        note_setback(downloader, error)
        raise
    note_success(downloader)


@contextmanager
def opened(downloader: Downloader) -> Iterator[Adapter]:
    """One conversation of which the caller notes how it went. Raises DownloaderAway."""
    try:
        place = Place(
            name=downloader.name,
            base_url=downloader.base_url,
            endpoint=downloader.download_endpoint,
            username=downloader.username,
            secret=downloader.secret,
        )
        adapter = ADAPTERS[downloader.kind](place)
    except Misconfigured as error:
        raise LoginRefused(str(error)) from error
    try:
        yield adapter
    finally:
        adapter.close()


def note_setback(downloader: Downloader, error: Exception) -> None:
    """It did not answer: it gets nothing new for a while, longer each time."""
    now = timezone.now()
    pause = BACK_OFF[min(downloader.setbacks, len(BACK_OFF) - 1)]
    Downloader.objects.filter(pk=downloader.pk).update(
        setbacks=Least(F("setbacks") + 1, MOST_FAILURES),
        last_error=str(error),
        last_error_at=now,
        back_off_until=now + timedelta(seconds=pause),
    )
    downloader.refresh_from_db(
        fields=["setbacks", "last_error", "last_error_at", "back_off_until", "failures"]
    )
    logger.warning("downloader %s: %s; nothing new for %d s", downloader.name, error, pause)


def note_success(downloader: Downloader, *, forgive: bool = True) -> None:
    """It answered: the pause is over. A line of setbacks is forgotten step by step, and only for real work: a
    service may be in the best of health and take nothing."""
    steps = 1 if forgive else 0
    setbacks = max(min(downloader.setbacks, len(BACK_OFF)) - steps, 0)
    if downloader.setbacks and not setbacks:
        logger.info("downloader %s answers again", downloader.name)
    Downloader.objects.filter(pk=downloader.pk).update(
        failures=0,
        setbacks=setbacks,
        back_off_until=None,
        last_seen_at=timezone.now(),
        last_error="" if not setbacks else F("last_error"),
    )
    downloader.setbacks, downloader.failures, downloader.back_off_until = setbacks, 0, None


def reason(downloader: Downloader, error: Exception | str) -> str:
    """«<downloader>: <reason>», as jobs and the admin show it."""
    return f"{downloader.name}: {error}"
