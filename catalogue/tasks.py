"""Celery's way into the catalogue. Every task may be delivered twice, late or never."""

import logging
from collections.abc import Callable

from celery import shared_task
from django.db.models import Q
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from catalogue import refresh, search, services
from catalogue.models import Site

logger = logging.getLogger(__name__)


@shared_task(name="catalogue.refresh_due", soft_time_limit=600)
def refresh_due() -> None:
    """Refresh the index of every enabled site whose TTL is over."""
    for site in Site.objects.answering(timezone.now()):
        if site.index_is_due:
            _report(site.site_id, refresh.refresh_index)
        if site.recent_polled_at is None:
            _report(site.site_id, services.poll_recent)


@shared_task(name="catalogue.refresh_index", soft_time_limit=600)
def refresh_index(site_id: str) -> None:
    """Refresh one site's index now."""
    _report(site_id, refresh.refresh_index)


@shared_task(name="catalogue.poll_recent", soft_time_limit=600)
def poll_recent() -> None:
    """Look for new episodes on every enabled site."""
    ready = Site.objects.answering(timezone.now()).filter(Q(index_size__gt=0))
    for site_id in list(ready.values_list("site_id", flat=True)):
        _report(site_id, services.poll_recent)


@shared_task(name="catalogue.probe", soft_time_limit=120)
def probe(site_id: str, slug: str, season: int, episode: int | None) -> None:
    """Finish a probe that a search had no time for."""
    _report(site_id, lambda key: search.probe_now(key, slug, season, episode))


def _report(site_id: str, work: Callable[[str], object]) -> None:
    """Run `work`; an expected failure is one line in the log and stands in the site's row already."""
    try:
        work(site_id)
    except AniBridgeError as error:
        logger.warning("%s: %s", site_id, error)
