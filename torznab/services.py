"""From a query to the releases that answer it."""

import hashlib
from collections.abc import Collection

from django.conf import settings
from django.core.cache import cache

from anibridge.lib.text import shorten
from catalogue import grabs, verifying
from catalogue.errors import UnknownSite
from catalogue.models import Site
from catalogue.search import Answered, Ids, films, search
from catalogue.search import feed as newest
from catalogue.sites import SITES
from torznab import categories, items, offering, overload, render
from torznab.errors import ReleaseGone
from torznab.offering import Offer, Where
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


def find(query: Query, *, sites: Collection[str], client: str, base_url: str) -> list[bytes]:
    """One page of what answers the query, as elements of a feed. `client` tells those apart who turn its pages.

    Items are fetched through links below `base_url`, unless TORZNAB_LINK_MODE offers their magnets. A site in
    trouble takes nothing from the others; it is the dashboard that tells of it, not the feed.
    """
    if query.limit == 0 or query.unanswerable:
        return []
    if query.is_feed:
        offers = _feed(query, sites, client)
        test = items.connectivity(query.categories) if _is_untouched(query, offers) else None
        if test:
            return [render.of_item(offering.linked(test, _where(base_url)))]
    else:
        with overload.slot():
            offers = _found(query, sites)
    where = _where(base_url)
    return [offering.element(offer, where) for offer in offers]


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


def _found(query: Query, sites: Collection[str]) -> list[Offer]:
    answered = _searched(query, sites)
    tvdb_id = answered.show.tvdb_id if answered.show and query.ids else None
    found = [
        Offer(entry, strm, tvdb_id)
        for entry in answered.entries
        if categories.is_asked(items.categories_of(entry), query.categories)
        for strm in _variants()
    ]
    return found[query.offset : query.offset + query.limit]


def _searched(query: Query, sites: Collection[str]) -> Answered:
    if not categories.asks_for_episodes(query.categories):
        if query.season or query.episode or query.absolute is not None:
            return Answered()
        # A film's TMDB number is a series' as well: only the IMDb id is the same everywhere.
        imdb = Ids(imdb=query.ids.imdb)
        return films(query.title, year=query.year, ids=imdb, sites=sorted(sites))
    return search(
        query.title,
        season=query.season,
        episode=query.episode,
        absolute=query.absolute,
        ids=query.ids,
        sites=sorted(sites),
    )


def _feed(query: Query, sites: Collection[str], client: str) -> list[Offer]:
    """What became available most recently."""
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
    if page and not query.offset and len(page) * len(variants) >= query.limit:
        cache.set(place, page[0].place, ANCHOR_SECONDS)
    found = [Offer(entry, strm) for entry in page for strm in variants]
    return found[skipped : skipped + query.limit]


def _is_untouched(query: Query, offers: Collection[Offer]) -> bool:
    """Whether there is nothing at all yet, which a client's test would take for a failure."""
    return not offers and not query.offset and settings.TORZNAB_RETURN_TEST_RESULT


def _where(base_url: str) -> Where:
    return Where(
        base_url=base_url.rstrip("/"),
        verified=settings.TORZNAB_LINK_MODE == "verify",
        day=grabs.today(),
        sites=tuple(Site.objects.values_list("site_id", "base_url")),
    )


def _anchor_key(query: Query, sites: Collection[str], client: str) -> str:
    """One per client and feed. A digest: whatever a client calls itself, it fits every cache."""
    told = repr((client, sorted(sites), sorted(query.categories)))
    return "torznab-page-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
