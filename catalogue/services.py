"""Use cases over sites: which there are, and what their newest episodes are."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from anibridge.lib.errors import Misconfigured
from anibridge.lib.text import shorten
from catalogue import availability, health, learning
from catalogue.errors import LayoutChanged, NotFound, SiteError, SiteUnavailable, UnknownSite
from catalogue.fetching import SiteClient, client_for
from catalogue.models import AvailabilityRecord, Site, base_url_problem
from catalogue.releases import MAX_NUMBER
from catalogue.sites import SITES
from catalogue.sites.base import RecentEpisode

logger = logging.getLogger(__name__)

PROBES_PER_POLL = 48
"""New episodes looked at in one poll; what is left comes with the next."""
POLL_SECONDS = 240.0
"""No further episode is begun after this: the task that polls has other sites to see to."""
MAX_RECENT = 500
OUTAGE = 3
"""Episodes in a row that the site does not deliver before the poll gives up; one alone must not block the others."""
LAST_PRIORITY = 32767


@transaction.atomic
def sync_sites() -> list[Site]:
    """Give every registered adapter its row and apply what the operator set; safe at every start.

    A site is switched on when CATALOGUE_SITES begins to name it and off when it ceases to; in between the
    owner's own switch counts. Raises Misconfigured for a name that no adapter has, and for an address that is none.
    """
    listed = [str(name) for name in settings.CATALOGUE_SITES or ()]
    unknown = [name for name in listed if name not in SITES]
    if unknown:
        raise Misconfigured(
            f"CATALOGUE_SITES names {', '.join(unknown)}; there are: {', '.join(sorted(SITES))}"
        )
    for key in SITES:
        _sync_site(key, listed=key in listed)
    return list(Site.objects.all())


def _sync_site(key: str, *, listed: bool) -> None:
    adapter = SITES[key]
    named = settings.SITE_BASE_URLS.get(key) or ""
    if named and (problem := base_url_problem(named, named=True)):
        raise Misconfigured(f"{key.upper()}_BASE_URL: «{shorten(named, 100)}» {problem}")
    site, _ = Site.objects.get_or_create(
        site_id=key,
        defaults={
            "display_name": adapter.display_name,
            "base_url": named or adapter.base_urls[0],
            "mirrors": list(adapter.base_urls[1:]),
            "search_priority": _free_priority(),
        },
    )
    changed: list[str] = []
    if named and site.base_url != named:
        site.base_url = named
        changed.append("base_url")
    if listed != site.listed:
        if listed and not site.enabled and _is_taken(site):
            # Free while the site was off, another site's by now.
            site.search_priority = _free_priority()
            changed.append("search_priority")
        site.listed = site.enabled = listed
        changed += ["listed", "enabled"]
    if changed:
        site.save(update_fields=changed)


def _is_taken(site: Site) -> bool:
    others = Site.objects.enabled().exclude(pk=site.pk)
    return others.filter(search_priority=site.search_priority).exists()


def _free_priority() -> int:
    """Ten after the last, room for the owner to put another between; where there is none left, the last free."""
    taken = set(Site.objects.values_list("search_priority", flat=True))
    after = max(taken, default=0) + 10
    return after if after <= LAST_PRIORITY else max(set(range(LAST_PRIORITY + 1)) - taken)


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll of a site's newest episodes found."""

    site_id: str
    listed: int
    probed: int


def poll_recent(site_id: str) -> Polled:
    """Read a site's list of newest episodes and look at the ones not yet known, so that the feed has them.

    An episode whose page cannot be read does not stop the others. Raises SiteError when the site cannot be
    asked, or none of the pages could be read; UnknownSite when there is no such site.
    """
    site = Site.objects.filter(pk=site_id).first()
    if site is None:
        raise UnknownSite(f"there is no site «{shorten(site_id, 40)}»")
    client = client_for(site)
    path = client.adapter.recent_path()
    if path is None:
        return Polled(site_id, 0, 0)
    began = timezone.now()
    try:
        recent = _recent(client, path)
        probed = _probe_new(site, client, recent)
    except SiteError as error:
        health.failed(site_id, error, since=began)
        raise
    finally:
        # Also after a failure: whether to ask again soon is for the back-off to say.
        Site.objects.filter(pk=site_id).update(recent_polled_at=timezone.now())
    health.answered(site_id, since=began)
    return Polled(site_id, len(recent), probed)


def _recent(client: SiteClient, path: str) -> list[RecentEpisode]:
    try:
        found = client.page(path, client.adapter.parse_recent)
    except NotFound as error:
        raise LayoutChanged(f"the list of new episodes has moved: {error}") from error
    return [one for one in found[:MAX_RECENT] if one.season < MAX_NUMBER > one.episode]


def _probe_new(site: Site, client: SiteClient, recent: list[RecentEpisode]) -> int:
    """Look at what is new, oldest first: `first_seen_at` then has the order of the site's own list."""
    until = time.monotonic() + POLL_SECONDS
    probed = 0
    failures: list[SiteError] = []  # in a row
    for item, languages in reversed(_unknown(site, client, recent)):
        if probed >= PROBES_PER_POLL or time.monotonic() > until:
            break
        began = timezone.now()
        try:
            findings = availability.probe_episode(
                client, item.slug, item.season, item.episode, languages
            )
        except (LayoutChanged, SiteUnavailable) as error:
            failures.append(error)
            logger.warning(
                "%s: %s S%02dE%02d: %s", site.pk, item.slug, item.season, item.episode, error
            )
            if sum(isinstance(one, SiteUnavailable) for one in failures) >= OUTAGE:
                raise
            continue
        failures.clear()
        probed += 1
        availability.record(site.pk, findings, checked_at=began)
        if item.season == 0 and any(one.available for one in findings):
            # The feed has only its name: without its year a client takes it for any film of that name.
            learning.nudge([(site.pk, item.slug)])
    if failures and not probed:
        raise failures[-1]
    return probed


def _unknown(
    site: Site, client: SiteClient, recent: Iterable[RecentEpisode]
) -> list[tuple[RecentEpisode, tuple[str, ...]]]:
    """The episodes of the list with the languages in which they are not known, in its order. One query.

    A «not there» is known for as long as it is believed: it may be from the day before the episode came out.
    """
    listed = list(recent)
    believed = timezone.now() - availability.ttl(site, available=False)
    rows = AvailabilityRecord.objects.filter(
        site=site,
        slug__in={item.slug for item in listed},
        season__in={item.season for item in listed},
        episode__in={item.episode for item in listed},
    ).values_list("slug", "season", "episode", "language", "is_available", "checked_at")
    known = {
        (slug, season, episode, language)
        for slug, season, episode, language, there, checked_at in rows
        if there or checked_at > believed
    }
    unknown = []
    for item in listed:
        # Where the list does not say which languages, every one of the site may be new.
        offered = [one for one in client.languages if one in item.languages or not item.languages]
        languages = tuple(
            one for one in offered if (item.slug, item.season, item.episode, one) not in known
        )
        if languages:
            unknown.append((item, languages))
    return unknown
