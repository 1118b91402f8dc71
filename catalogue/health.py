"""Which sites answer: failures in a row, the pause they earn, the last error in words."""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from anibridge.lib.text import shorten
from catalogue.errors import Blocked, LayoutChanged, RateLimited, SiteError
from catalogue.models import BACK_OFF_MINUTES, Site

logger = logging.getLogger(__name__)

LONGEST_PAUSE = timedelta(days=1)


@transaction.atomic
def failed(site_id: str, error: SiteError, *, since: datetime | None = None) -> None:
    """Note a failure: the next pause of the ladder, or longer when the site itself asked for more.

    `since` is when the request began: requests that were under way together fail together, and one outage is
    one step.
    """
    site = Site.objects.select_for_update(no_key=True).filter(pk=site_id).first()
    if site is None:
        return
    now = timezone.now()
    asked = now + _asked_pause(error)
    if _is_older(since, site) or (site.back_off_until and site.back_off_until > now):
        if asked > max(now, site.back_off_until or now):
            site.back_off_until = asked
            site.save(update_fields=["back_off_until"])
        return
    site.failures = min(site.failures + 1, len(BACK_OFF_MINUTES))
    until = max(asked, now + timedelta(minutes=BACK_OFF_MINUTES[site.failures - 1]))
    site.back_off_until = until if until > now else None
    site.last_error = shorten(str(error), 1000)
    site.last_error_at = now
    site.save(update_fields=["failures", "back_off_until", "last_error", "last_error_at"])
    logger.warning("%s: %s; next try in %s", site_id, site.last_error, until - now)


def answered(site_id: str, *, since: datetime | None = None) -> None:
    """Note a success: one step down the ladder, and no pause.

    What began before the last failure (`since`) says nothing about the time after it.
    """
    for site in Site.objects.filter(pk=site_id, failures__gt=0):
        if _is_older(since, site):
            continue
        unchanged = Site.objects.filter(
            pk=site_id, failures=site.failures, last_error_at=site.last_error_at
        )
        unchanged.update(failures=site.failures - 1, back_off_until=None)


def told(site_id: str, outcomes: Collection[SiteError | None], *, since: datetime) -> None:
    """Note what several requests of one moment say together: an error for each that failed, None for an answer.

    One answer shows that the site is up; a refusal counts all the same, since it is meant for us. A page that
    cannot be read is written down, but no outage: the site may be fine with every other title.
    """
    errors = [outcome for outcome in outcomes if outcome is not None]
    refused = [error for error in errors if isinstance(error, Blocked | RateLimited)]
    down = [error for error in errors if not isinstance(error, LayoutChanged)]
    if refused or (down and len(errors) == len(outcomes)):
        failed(site_id, (refused or down)[0], since=since)
    elif len(errors) < len(outcomes):
        answered(site_id, since=since)
    elif errors:
        Site.objects.filter(pk=site_id).update(
            last_error=shorten(str(errors[0]), 1000), last_error_at=timezone.now()
        )


def _is_older(since: datetime | None, site: Site) -> bool:
    """Whether a request from then began before the site's last failure was known."""
    return since is not None and site.last_error_at is not None and site.last_error_at >= since


def _asked_pause(error: SiteError) -> timedelta:
    """What the site asked for with Retry-After."""
    seconds = error.retry_after if isinstance(error, RateLimited) else None
    return min(timedelta(seconds=max(seconds or 0.0, 0.0)), LONGEST_PAUSE)
