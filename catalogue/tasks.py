"""Celery's way into the catalogue. Every task may be delivered twice, late or never."""

import logging
from collections.abc import Callable

from billiard.exceptions import SoftTimeLimitExceeded
from celery import shared_task
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from catalogue import cleanup, learning, refresh, search, services
from catalogue.models import Site

logger = logging.getLogger(__name__)


@shared_task(name="catalogue.refresh_due", soft_time_limit=600)
def refresh_due() -> None:
    """Refresh the index of every enabled site whose TTL is over; a site's first one brings its new episodes too.

    Names that were learnt from pages since the last time become searchable with it.
    """
    learning.publish()
    for site_id in _answering():
        # Read anew: the sites before it took their time, and another worker may have been here.
        site = Site.objects.filter(pk=site_id).first()
        if site is None or site.is_backing_off(timezone.now()):
            continue
        indexed = not site.index_is_due or _report(site_id, refresh.refresh_index)
        if indexed and site.recent_polled_at is None:
            _report(site_id, services.poll_recent)


@shared_task(name="catalogue.refresh_index", soft_time_limit=600)
def refresh_index(site_id: str) -> None:
    """Refresh one site's index now."""
    _report(site_id, refresh.refresh_index)


@shared_task(name="catalogue.poll_recent", soft_time_limit=600)
def poll_recent() -> None:
    """Look for new episodes on every enabled site that has an index."""
    for site_id in _answering(index_size__gt=0):
        _report(site_id, services.poll_recent)


@shared_task(name="catalogue.probe", soft_time_limit=120)
def probe(site_id: str, slug: str, season: int, episode: int | None) -> None:
    """Finish a probe that a search had no time for, unless the site has begun to back off since."""
    if site_id in _answering(pk=site_id):
        _report(site_id, lambda key: search.probe_now(key, slug, season, episode))


@shared_task(name="catalogue.learn_title", soft_time_limit=120)
def learn_title(site_id: str, slug: str) -> None:
    """Read what a title's page says, unless the site has begun to back off since a search hit the title."""
    if site_id in _answering(pk=site_id):
        _report(site_id, lambda key: learning.learn(key, slug))


def _answering(**conditions: object) -> list[str]:
    ready = Site.objects.answering(timezone.now()).filter(**conditions)
    return list(ready.values_list("pk", flat=True))


def _report(site_id: str, work: Callable[[str], object]) -> bool:
    """Run `work` and tell whether it succeeded. No failure of one site keeps the next from its turn.

    An expected one is one line in the log and stands in the site's row already; a bug has its traceback there.
    """
    try:
        work(site_id)
    except AniBridgeError as error:
        logger.warning("%s: %s", site_id, error)
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        logger.exception("%s: a bug in AniBridge or in the site's adapter", site_id)
    else:
        return True
    return False


@shared_task(name="catalogue.cleanup", soft_time_limit=600)
def clean_up() -> None:
    """Drop availability records that are long out of date."""
    cleanup.cleanup()
