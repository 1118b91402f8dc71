"""Releases as elements of a feed, remembered: clients ask for the same ones every few minutes.

Naming, signing and writing a release costs far more than finding it. What is remembered is a function of the release
and of where it is offered, so nothing in it can be out of date.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from django.urls import reverse

from catalogue import feed, grabs
from catalogue.results import ResultEntry
from catalogue.sites import get_adapter
from torznab import items, render
from torznab.items import Item

REMEMBERED: Final = 8192
"""Elements, each a little more than a kilobyte."""
PAGES_REMEMBERED: Final = 64
"""Pages of a feed, each a hundred kilobytes and more."""

Place = tuple[datetime, int]
"""Where an entry stands in the feed."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that is offered: as a video or as a `.strm` file, and what its client called the show."""

    entry: ResultEntry
    strm: bool = False
    tvdb_id: int | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """Where offers lead: below which address of ours.

    `verified`: through a link of ours instead of by magnet. `day` because links change from day to day.
    """

    base_url: str
    verified: bool
    day: int


@lru_cache(maxsize=REMEMBERED)
def element(offer: Offer, where: Where) -> bytes:
    """The offer as an element of a feed."""
    item = items.of_entry(offer.entry, strm=offer.strm, tvdb_id=offer.tvdb_id)
    return render.of_item(linked(item, where, offer.entry.site_url))


@lru_cache(maxsize=PAGES_REMEMBERED)
def page(
    contents: feed.Contents, variants: tuple[bool, ...], where: Where
) -> tuple[list[bytes], Place | None]:
    """A page of the feed as elements, and where it begins. `variants`: which releases are `.strm` files."""
    entries = feed.read(contents)
    elements = [element(Offer(entry, strm), where) for entry in entries for strm in variants]
    return elements, entries[0].place if entries else None


def linked(item: Item, where: Where, site_url: str = "") -> Item:
    """The item with what a client fetches, and with the page where a person can read about it."""
    link = ""
    if where.verified:
        token = grabs.token(item.magnet, item.infohash)
        link = where.base_url + reverse("torznab:grab", args=[token])
    path = get_adapter(item.site).title_path(item.slug) if site_url else ""
    return replace(item, link=link, page=site_url.rstrip("/") + path)
