"""Which sites answer: failures in a row, the pause they earn, the last error in words."""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from anibridge.lib.text import shorten
from catalogue.errors import RateLimited, SiteError
from catalogue.models import BACK_OFF_MINUTES, Site

logger = logging.getLogger(__name__)


@transaction.atomic
def failed(site_id: str, error: SiteError) -> None:
    """Note a failure: the next pause of the ladder, or longer when the site itself asked for more."""
    site = Site.objects.select_for_update().get(pk=site_id)
    now = timezone.now()
    if site.back_off_until and site.back_off_until > now:
        return  # several requests failed together: one outage is one step
    level = min(site.failures + 1, len(BACK_OFF_MINUTES))
    pause = BACK_OFF_MINUTES[level - 1] * 60.0
    if isinstance(error, RateLimited) and error.retry_after:
        pause = max(pause, min(error.retry_after, 24 * 3600))
    site.failures = level
    site.back_off_until = now + timedelta(seconds=pause) if pause else None
    site.last_error = shorten(str(error), 1000)
    site.last_error_at = now
    site.save(update_fields=["failures", "back_off_until", "last_error", "last_error_at"])
    logger.warning("%s: %s; next try in %.0f s", site_id, site.last_error, pause)


def answered(site_id: str) -> None:
    """Note a success: one step down the ladder, and no pause."""
    for site in Site.objects.filter(pk=site_id, failures__gt=0):
        Site.objects.filter(pk=site_id, failures=site.failures).update(
            failures=site.failures - 1, back_off_until=None
        )
