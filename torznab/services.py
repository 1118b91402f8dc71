"""From a query to the releases that answer it."""

import hashlib
import re
from collections.abc import Collection

from django.conf import settings
from django.core.cache import cache
from django.db.models import Q

from anibridge.lib.text import shorten
from catalogue.errors import UnknownSite
from catalogue.index import current
from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.search import ResultEntry, search
from catalogue.sites import SITES
from torznab import categories, items
from torznab.items import Item
from torznab.query import Query

ANCHOR_SECONDS = 600
"""How long a client may take to turn all the pages of a feed."""
# Sonarr writes absolute numbers with two digits at least; from 1900 on it is a year.
_ABSOLUTE = re.compile(r"(?P<title>.+) (?P<number>[0-9]{2,3}|1[0-8][0-9]{2})")


def sites_asked(site_id: str | None) -> frozenset[str]:
    """The ids of the sites a request is about: one, or all that are registered. Raises UnknownSite."""
    if site_id is None:
        return frozenset(SITES)
    if site_id not in SITES or not Site.objects.enabled().filter(pk=site_id).exists():
        raise UnknownSite(f"there is no site «{shorten(site_id, 40)}», or it is switched off")
    return frozenset({site_id})


def find(query: Query, *, sites: Collection[str], client: str) -> list[Item]:
    """One page of what answers the query. `client` tells those apart who turn the pages of a feed.

    A site in trouble takes nothing from the others; it is the dashboard that tells of it, not the feed.
    """
    if query.limit == 0 or query.unanswerable:
        return []
    if query.is_feed:
        return _feed(query, sites, client)
    found = [items.of_entry(entry) for entry in _entries(query, sites)]
    wanted = [item for item in found if categories.is_asked(item.categories, query.categories)]
    return wanted[query.offset : query.offset + query.limit]


def _entries(query: Query, sites: Collection[str]) -> list[ResultEntry]:
    if not categories.asks_for_episodes(query.categories):
        # No site has films of their own yet; asking them for episodes would only cost them requests.
        return []
    title, season, episode = query.title, query.season, query.episode
    if season is None and episode is None and (counted := _absolute(title, sites)):
        title, episode, sites = counted
        season = 1
    return search(title, season=season, episode=episode, sites=sorted(sites)).entries


def _absolute(asked: str, sites: Collection[str]) -> tuple[str, int, frozenset[str]] | None:
    """«Title 05» as title, episode and the sites on which that is episode 5 of season 1 beyond doubt.

    None when the number belongs to the title («Mob Psycho 100»), or when no site is known to have the title in a
    single season: a wrong episode would be imported as the right one.
    """
    parts = _ABSOLUTE.fullmatch(asked)
    if not parts:
        return None
    index = current.get()
    part_of_name = re.compile(rf"(?<![0-9]){parts['number']}(?![0-9])")
    if any(part_of_name.search(hit.name) for hit in index.search(asked, sites=sites)):
        return None
    meant = {
        (hit.site, hit.slug) for hit in index.search(parts["title"], sites=sites) if hit.score.exact
    }
    if not meant:
        return None
    known = Title.objects.filter(
        site_id__in={site for site, _ in meant}, slug__in={slug for _, slug in meant}
    ).values_list("site_id", "slug", "seasons")
    single = {(site, slug) for site, slug, seasons in known if set(seasons or ()) - {0} == {1}}
    certain = {site for site, _ in meant} - {site for site, _ in meant - single}
    return (parts["title"], int(parts["number"]), frozenset(certain)) if certain else None


def _feed(query: Query, sites: Collection[str], client: str) -> list[Item]:
    """What became available most recently. Nothing at all yet: the connectivity item."""
    rows = AvailabilityRecord.objects.feed().filter(
        categories.condition(query.categories), site_id__in=sites
    )
    # What arrives while a client turns the pages would push the end of one page onto the next.
    place = _anchor_key(query, sites, client)
    if query.offset and (anchor := cache.get(place)):
        moment, pk = anchor
        rows = rows.filter(Q(first_seen_at__lt=moment) | Q(first_seen_at=moment, pk__lte=pk))
    page = list(rows[query.offset : query.offset + query.limit])
    if page and not query.offset:
        cache.set(place, (page[0].first_seen_at, page[0].pk), ANCHOR_SECONDS)
    if not (page or query.offset) and settings.TORZNAB_RETURN_TEST_RESULT:
        item = items.connectivity(query.categories)
        return [item] if item else []
    return [items.of_entry(entry) for entry in _with_titles(page)]


def _anchor_key(query: Query, sites: Collection[str], client: str) -> str:
    """One per client and feed. A digest: whatever a client calls itself, it fits every cache."""
    told = repr((client, sorted(sites), sorted(query.categories)))
    return "torznab-page-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()


def _with_titles(rows: list[AvailabilityRecord]) -> list[ResultEntry]:
    named = Title.objects.filter(
        site_id__in={row.site_id for row in rows}, slug__in={row.slug for row in rows}
    ).values_list("site_id", "slug", "name")
    names = {(site, slug): name for site, slug, name in named}
    return [
        ResultEntry(
            site_id=row.site_id,
            priority_rank=0,
            slug=row.slug,
            title=names.get((row.site_id, row.slug)) or row.slug.replace("-", " ").title(),
            season=row.season,
            episode=row.episode or 0,
            language=row.language,
            host=row.host,
            height=row.height,
            vcodec=row.vcodec,
            size_bytes=row.size_bytes,
            duration_seconds=row.duration_seconds,
            estimated=row.estimated,
            first_seen_at=row.first_seen_at,
        )
        for row in rows
    ]
