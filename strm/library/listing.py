"""What a source has of a title right now. Asks the network; nothing is written here.

The catalogue's sites are asked here. What a site id does not say (playlists) brings a source of its own:
`SOURCES["playlist"] = listing_of`, set by whoever knows these.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

from django.utils import timezone

from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.text import shorten
from catalogue.errors import SiteUnavailable, UnknownSite
from catalogue.fetching import client_for
from catalogue.models import Site
from catalogue.releases import MAX_NUMBER
from catalogue.sites.base import EpisodeFacts, TitleFacts

logger = logging.getLogger(__name__)

MAX_SEASONS: Final = 100
MAX_EPISODES: Final = 5_000
MAX_URL: Final = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """Which title is asked for, and its languages, preferred first; none are the source's own."""

    site: str
    slug: str
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An episode in the language that it is wanted in; season 0, episode 0 is a film on its own."""

    season: int
    episode: int
    language: str
    title: str = ""

    @property
    def is_film(self) -> bool:
        return self.season == 0 and self.episode == 0


@dataclass(slots=True)
class Listing:
    """A title as its source has it. `unread` are seasons that could not be asked for: nobody knows what is in them."""

    name: str
    year: int | None = None
    imdb_id: str = ""
    description: str = ""
    genres: tuple[str, ...] = ()
    cover: str = ""
    """Its whole address."""
    trusted: tuple[str, ...] = ()
    """Addresses that the operator typed himself: a cover may come from these, private or not."""
    entries: list[Entry] = field(default_factory=list)
    unread: dict[int, str] = field(default_factory=dict)

    @property
    def is_film(self) -> bool:
        return bool(self.entries) and all(entry.is_film for entry in self.entries)


Source = Callable[[Wish], Listing]
"""Raises AniBridgeError when nothing can be said about the title."""

SOURCES: dict[str, Source] = {}
"""Site id → who lists its titles; the catalogue lists all others."""


def listing_of(wish: Wish) -> Listing:
    """What there is of a title. Raises what its source raises."""
    return SOURCES.get(wish.site, from_catalogue)(wish)


def from_catalogue(wish: Wish) -> Listing:
    """The title's page, and that of each of its seasons. A season in trouble is `unread`.

    Raises UnknownSite, NotFound for a title that is gone, and SiteError.
    """
    site = Site.objects.filter(pk=wish.site, enabled=True).first()
    if site is None:
        raise UnknownSite(f"there is no site «{wish.site}», or it is switched off")
    if site.is_backing_off(timezone.now()):
        raise SiteUnavailable(f"{site} is left alone for a while: {site.last_error}")
    client = client_for(site)
    facts = client.title(wish.slug)
    listing = _of_facts(facts, site)
    wanted = wish.languages or client.languages
    for season in facts.seasons[:MAX_SEASONS] or (0,):
        try:
            rows = client.season(wish.slug, season)[:MAX_EPISODES]
        except Cancelled:
            raise
        except AniBridgeError as error:
            logger.info("%s %s season %s: %s", wish.site, wish.slug, season, error)
            listing.unread[season] = shorten(str(error))
            continue
        listing.entries += _entries(rows, wanted)
    return listing


def _of_facts(facts: TitleFacts, site: Site) -> Listing:
    return Listing(
        name=facts.name,
        year=facts.year,
        imdb_id=facts.imdb_id or "",
        description=facts.description or "",
        genres=facts.genres,
        cover=_joined(site.base_url, facts.cover or ""),
        trusted=(site.base_url,),
    )


def _joined(base: str, address: str) -> str:
    """Pages write the address of a cover relative to their site."""
    try:
        url = urljoin(base, address.strip()) if address else ""
    except ValueError:
        return ""
    return url if len(url) <= MAX_URL else ""


def _entries(rows: Collection[EpisodeFacts], languages: Sequence[str]) -> list[Entry]:
    """One entry per episode, in the first language that it has; episodes in none of them are left out."""
    found: dict[tuple[int, int], Entry] = {}
    for row in rows:
        language = next((one for one in languages if one in row.languages), None)
        if language is None or not 0 <= row.episode < MAX_NUMBER:
            continue
        entry = Entry(row.season, row.episode, language, _title(row, language))
        found.setdefault((row.season, row.episode), entry)
    return list(found.values())


def _title(row: EpisodeFacts, language: str) -> str:
    names = (row.german_title, row.english_title)
    return next(filter(None, names if language.startswith("German") else names[::-1]), "")
