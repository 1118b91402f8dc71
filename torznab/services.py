"""From a query to the releases that answer it."""

import hashlib
import time
from collections.abc import Collection
from typing import Final

from django.conf import settings
from django.core.cache import cache

from anibridge.lib import turns
from anibridge.lib.text import shorten
from catalogue import feed, grabs, verifying
from catalogue.errors import UnknownSite
from catalogue.models import Site
from catalogue.search import Answered, Ids, films, search
from catalogue.sites import SITES
from torznab import categories, items, offering, overload, render
from torznab.errors import ReleaseGone
from torznab.offering import Offer, Place, Where
from torznab.query import Query

ANCHOR_SECONDS: Final = 600
"""How long a client may take to turn all the pages of a feed."""

LEAST_SECONDS: Final = 0.5
"""What films are looked for at least, where episodes took the time of a search."""


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
    where = _where(base_url)
    if query.is_feed:
        with turns.turn():
            elements = _feed(query, sites, client, where)
        test = items.connectivity(query.categories) if _is_untouched(query, elements) else None
        return [render.of_item(offering.linked(test, where))] if test else elements
    with overload.slot(), turns.turn():
        return [offering.element(offer, where) for offer in _found(query, sites)]


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
    """What is asked for among episodes, among films, or among both, as a person asks who searches everywhere."""
    numbered = bool(query.season or query.episode or query.absolute is not None)
    if not categories.asks_for_episodes(query.categories):
        return Answered() if numbered else _films(query, sites, settings.SEARCH_BUDGET_SECONDS)
    answered = search(
        query.title,
        season=query.season,
        episode=query.episode,
        absolute=query.absolute,
        ids=query.ids,
        sites=sorted(sites),
    )
    everything = query.title and query.season is None and not numbered
    if everything and categories.asks_for_films(query.categories):
        left = settings.SEARCH_BUDGET_SECONDS - answered.milliseconds / 1000
        among_films = _films(query, sites, max(left, LEAST_SECONDS))
        there = {(one.is_film, one.release.identity) for one in answered.entries}
        answered.entries += [
            one for one in among_films.entries if (one.is_film, one.release.identity) not in there
        ]
        answered.entries.sort(key=lambda one: one.standing)
    return answered


def _films(query: Query, sites: Collection[str], seconds: float) -> Answered:
    # A film's TMDB number is a series' as well: only the IMDb id is the same everywhere.
    imdb = Ids(imdb=query.ids.imdb)
    return films(query.title, year=query.year, ids=imdb, sites=sorted(sites), budget=seconds)


def _feed(query: Query, sites: Collection[str], client: str, where: Where) -> list[bytes]:
    """What became available most recently."""
    # What arrives while a client turns the pages would push the end of one page onto the next.
    anchor = _anchor_key(query, sites, client)
    variants = _variants()
    # Each record is as many items as there are variants; a page may begin in the middle of a record.
    first, skipped = divmod(query.offset, len(variants))
    contents = feed.look(
        feed.Page(
            offset=first,
            limit=-(-(skipped + query.limit) // len(variants)),
            sites=frozenset(sites),
            where=categories.condition(query.categories),
            up_to=cache.get(anchor, (None,))[0] if query.offset else None,
        )
    )
    elements, place = offering.page(contents, variants, where)
    if place and not query.offset and len(elements) >= query.limit:
        _anchor(anchor, place)
    return elements[skipped : skipped + query.limit]


def _anchor(key: str, place: Place) -> None:
    """Remember where a client's first page began; written only when that moved, or when it would be forgotten soon."""
    told = (place, int(time.time() // ANCHOR_SECONDS))
    if cache.get(key) != told:
        cache.set(key, told, 2 * ANCHOR_SECONDS)


def _is_untouched(query: Query, elements: Collection[bytes]) -> bool:
    """Whether there is nothing at all yet, which a client's test would take for a failure."""
    return not elements and not query.offset and settings.TORZNAB_RETURN_TEST_RESULT


def _where(base_url: str) -> Where:
    return Where(
        base_url=base_url.rstrip("/"),
        verified=settings.TORZNAB_LINK_MODE == "verify",
        day=grabs.today(),
    )


def _anchor_key(query: Query, sites: Collection[str], client: str) -> str:
    """One per client and feed. A digest: whatever a client calls itself, it fits every cache."""
    told = repr((client, sorted(sites), sorted(query.categories)))
    return "torznab-page-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
