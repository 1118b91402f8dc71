"""From a query to the releases that answer it."""

import hashlib
from collections.abc import Collection

from django.conf import settings
from django.core.cache import cache

from anibridge.lib.text import shorten
from catalogue.errors import UnknownSite
from catalogue.models import Site
from catalogue.search import Ids, ResultEntry, search
from catalogue.search import feed as newest
from catalogue.sites import SITES
from torznab import categories, items
from torznab.items import Item
from torznab.query import Query

ANCHOR_SECONDS = 600
"""How long a client may take to turn all the pages of a feed."""


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
    season, episode, ids = query.season, query.episode, query.ids
    if not categories.asks_for_episodes(query.categories):
        # Films alone: a series' sites have none, and asking them would only cost them requests.
        sites = [site_id for site_id in sites if SITES[site_id].lists_films]
        if not sites or season or episode or query.absolute is not None:
            return []
        # A film's TMDB number is a series' as well: only the IMDb id is the same everywhere.
        season, episode, ids = 0, 0, Ids(imdb=ids.imdb)
    return search(
        query.title,
        season=season,
        episode=episode,
        absolute=query.absolute,
        ids=ids,
        sites=sorted(sites),
    ).entries


def _feed(query: Query, sites: Collection[str], client: str) -> list[Item]:
    """What became available most recently. Nothing at all yet: the connectivity item."""
    # What arrives while a client turns the pages would push the end of one page onto the next.
    place = _anchor_key(query, sites, client)
    page = newest(
        offset=query.offset,
        limit=query.limit,
        sites=sorted(sites),
        where=categories.condition(query.categories),
        up_to=cache.get(place) if query.offset else None,
    )
    if page and not query.offset:
        cache.set(place, page[0].place, ANCHOR_SECONDS)
    if not (page or query.offset) and settings.TORZNAB_RETURN_TEST_RESULT:
        item = items.connectivity(query.categories)
        return [item] if item else []
    return [items.of_entry(entry) for entry in page]


def _anchor_key(query: Query, sites: Collection[str], client: str) -> str:
    """One per client and feed. A digest: whatever a client calls itself, it fits every cache."""
    told = repr((client, sorted(sites), sorted(query.categories)))
    return "torznab-page-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
