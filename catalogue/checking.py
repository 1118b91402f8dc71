"""«Check now»: ask a site for one page and say how it went; the outcome counts for its health like any other."""

import time
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from catalogue import dispatch, health
from catalogue.errors import NotFound, SiteError
from catalogue.fetching import client_for
from catalogue.models import Site


@dataclass(frozen=True, slots=True)
class Checked:
    """How a check went: `detail` is words for the owner, `seconds` what the site took."""

    site_id: str
    ok: bool
    seconds: float
    detail: str


def check_now(site: Site) -> Checked:
    """Fetch the page that is polled anyway (the newest episodes, else the start page) and judge the answer.

    Also works for a site that backs off or is switched off: that is when its owner wants to know.
    """
    client = client_for(site)
    path = client.adapter.recent_path() or "/"
    since, started = timezone.now(), time.monotonic()
    try:
        client.page(path, lambda answer: None)
    except (SiteError, NotFound) as error:
        if isinstance(error, SiteError):
            health.failed(site.pk, error, since=since)
        return Checked(site.pk, False, time.monotonic() - started, str(error))
    health.answered(site.pk, since=since)
    seconds = time.monotonic() - started
    return Checked(site.pk, True, seconds, f"{site.base_url} answers")


def switched(site: Site) -> None:
    """A site was changed by its owner: what depends on it follows.

    Every process renews its title index when the set of enabled sites moves; a site that was switched on and
    has no fresh index is refreshed at once instead of at the next turn of the schedule.
    """
    if site.enabled and site.index_is_due:
        transaction.on_commit(lambda: dispatch.refresh_soon(site.pk), robust=True)
