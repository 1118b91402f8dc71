"""Use cases over sites: which there are, and what their newest episodes are."""

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from anibridge.lib.errors import Misconfigured
from catalogue import availability, health
from catalogue.errors import SiteError
from catalogue.fetching import client_for
from catalogue.models import AvailabilityRecord, Site
from catalogue.sites import SITES, get_adapter

logger = logging.getLogger(__name__)

PROBES_PER_POLL = 48
"""New episodes looked at in one poll; what is left comes with the next."""


@transaction.atomic
def sync_sites() -> list[Site]:
    """Give every registered adapter its row and apply what the operator set; safe at every start.

    A site is switched on when CATALOGUE_SITES begins to name it and off when it ceases to; in between the
    owner's own switch counts. Raises Misconfigured for a name that no adapter has.
    """
    unknown = [name for name in settings.CATALOGUE_SITES if name not in SITES]
    if unknown:
        raise Misconfigured(
            f"CATALOGUE_SITES names {', '.join(unknown)}; there are: {', '.join(sorted(SITES))}"
        )
    for key, adapter in SITES.items():
        base_url = settings.SITE_BASE_URLS.get(key) or adapter.base_urls[0]
        site, _ = Site.objects.get_or_create(
            site_id=key,
            defaults={
                "display_name": adapter.display_name,
                "base_url": base_url,
                "mirrors": list(adapter.base_urls[1:]),
                "search_priority": _free_priority(),
            },
        )
        if settings.SITE_BASE_URLS.get(key):
            site.base_url = base_url
        listed = key in settings.CATALOGUE_SITES
        if listed != site.listed:
            site.listed = site.enabled = listed
        site.save(update_fields=["base_url", "listed", "enabled"])
    return list(Site.objects.all())


def _free_priority() -> int:
    """Ten after the last: room for the owner to put another between."""
    last = Site.objects.order_by("-search_priority").first()
    return last.search_priority + 10 if last else 10


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll of a site's newest episodes found."""

    site_id: str
    listed: int
    probed: int


def poll_recent(site_id: str) -> Polled:
    """Read a site's list of newest episodes and look at the ones not yet known, so that the feed has them.

    Raises SiteError when the site cannot be asked.
    """
    site = Site.objects.get(pk=site_id)
    adapter = get_adapter(site_id)
    path = adapter.recent_path()
    if path is None:
        return Polled(site_id, 0, 0)
    client = client_for(site)
    try:
        recent = client.page(path, adapter.parse_recent)
    except SiteError as error:
        health.failed(site_id, error)
        raise
    probed = 0
    # Oldest first: `first_seen_at` then has the order of the site's own list.
    for item in reversed(recent):
        if probed >= PROBES_PER_POLL:
            break
        known = AvailabilityRecord.objects.filter(
            site=site, slug=item.slug, season=item.season, episode=item.episode
        )
        if known.exists():
            continue
        probed += 1
        try:
            findings = availability.probe_episode(
                client, item.slug, item.season, item.episode, client.languages
            )
        except SiteError as error:
            health.failed(site_id, error)
            raise
        availability.record(site_id, findings)
    health.answered(site_id)
    Site.objects.filter(pk=site_id).update(recent_polled_at=timezone.now())
    return Polled(site_id, len(recent), probed)
