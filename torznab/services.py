"""From a query to the releases that answer it."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace

from django.conf import settings
from django.core.cache import cache
from django.urls import reverse

from anibridge.lib.text import shorten
from catalogue import grabs, verifying
from catalogue.errors import UnknownSite
from catalogue.models import Site
from catalogue.search import Answered, Ids, search
from catalogue.search import feed as newest
from catalogue.sites import SITES, get_adapter
from torznab import categories, items, overload
from torznab.errors import ReleaseGone
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


def find(query: Query, *, sites: Collection[str], client: str, base_url: str) -> list[Item]:
    """One page of what answers the query. `client` tells those apart who turn the pages of a feed.

    Items are fetched through links below `base_url`, unless TORZNAB_LINK_MODE offers their magnets. A site in
    trouble takes nothing from the others; it is the dashboard that tells of it, not the feed.
    """
    if query.limit == 0 or query.unanswerable:
        return []
    if query.is_feed:
        found = _feed(query, sites, client)
    else:
        with overload.slot():
            found = _found(query, sites)
    return _linked(found, base_url)


def verify(text: str) -> str:
    """The magnet that a grab token stands for, once its release was seen to be there.

    Raises InvalidGrabLink or GrabLinkExpired for the token, ReleaseGone for the release.
    """
    magnet, meant = grabs.read(text)
    if meant.identity is None:
        return magnet
    if meant.identity.site == items.CONNECTIVITY_SITE:
        raise ReleaseGone(
            "this release only shows that the indexer answers; there is nothing to fetch"
        )
    with overload.slot():
        proof = verifying.verify(meant.identity)
    if not proof.there:
        raise ReleaseGone(f"{meant.name} is not there: {proof.reason}")
    return magnet


def _variants() -> tuple[bool, ...]:
    """Whether each release is offered as a video, as a `.strm` file, or as both."""
    return {"no": (False,), "both": (False, True), "only": (True,)}[settings.STRM_FILES_MODE]


def _found(query: Query, sites: Collection[str]) -> list[Item]:
    answered = _searched(query, sites)
    tvdb_id = answered.show.tvdb_id if answered.show and query.ids else None
    found = (
        items.of_entry(entry, strm=strm, tvdb_id=tvdb_id)
        for entry in answered.entries
        for strm in _variants()
    )
    wanted = [item for item in found if categories.is_asked(item.categories, query.categories)]
    return wanted[query.offset : query.offset + query.limit]


def _searched(query: Query, sites: Collection[str]) -> Answered:
    season, episode, ids = query.season, query.episode, query.ids
    if not categories.asks_for_episodes(query.categories):
        # Films alone: a series' sites have none, and asking them would only cost them requests.
        sites = [site_id for site_id in sites if SITES[site_id].lists_films]
        if not sites or season or episode or query.absolute is not None:
            return Answered()
        # A film's TMDB number is a series' as well: only the IMDb id is the same everywhere.
        season, episode, ids = 0, 0, Ids(imdb=ids.imdb)
    return search(
        query.title,
        season=season,
        episode=episode,
        absolute=query.absolute,
        ids=ids,
        sites=sorted(sites),
    )


def _feed(query: Query, sites: Collection[str], client: str) -> list[Item]:
    """What became available most recently. Nothing at all yet: the connectivity item."""
    # What arrives while a client turns the pages would push the end of one page onto the next.
    place = _anchor_key(query, sites, client)
    variants = _variants()
    # Each record is as many items as there are variants; a page may begin in the middle of a record.
    first, skipped = divmod(query.offset, len(variants))
    page = newest(
        offset=first,
        limit=-(-(skipped + query.limit) // len(variants)),
        sites=sorted(sites),
        where=categories.condition(query.categories),
        up_to=cache.get(place) if query.offset else None,
    )
    if page and not query.offset:
        cache.set(place, page[0].place, ANCHOR_SECONDS)
    if not (page or query.offset) and settings.TORZNAB_RETURN_TEST_RESULT:
        item = items.connectivity(query.categories)
        return [item] if item else []
    found = [items.of_entry(entry, strm=strm) for entry in page for strm in variants]
    return found[skipped : skipped + query.limit]


def _linked(found: list[Item], base_url: str) -> list[Item]:
    """The items with what a client fetches and reads about them; addresses of the sites in one query."""
    if not found:
        return found
    bases = dict(Site.objects.values_list("site_id", "base_url"))
    verified = settings.TORZNAB_LINK_MODE == "verify"
    linked = []
    for item in found:
        link = ""
        if verified:
            path = reverse("torznab:grab", args=[grabs.token(item.magnet, item.infohash)])
            link = base_url.rstrip("/") + path
        linked.append(replace(item, link=link, page=_page(item, bases)))
    return linked


def _page(item: Item, bases: Mapping[str, str]) -> str:
    """The title's page on its site."""
    base = bases.get(item.site, "")
    return base.rstrip("/") + get_adapter(item.site).title_path(item.slug) if base else ""


def _anchor_key(query: Query, sites: Collection[str], client: str) -> str:
    """One per client and feed. A digest: whatever a client calls itself, it fits every cache."""
    told = repr((client, sorted(sites), sorted(query.categories)))
    return "torznab-page-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
