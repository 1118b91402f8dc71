"""Items: a result of the catalogue as the indexer tells it, and the one that answers a client's test."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from catalogue.releases import Identity, Release, resolution
from catalogue.search import ResultEntry
from torznab import categories

MIB: Final = 2**20
# MiB per minute that streams of a quality usually have; all within Sonarr's default limits (720p 3 to 130, 1080p 4 to
# 130, 2160p from 35, below 2 to 100), also for episodes that are much shorter or longer than assumed.
TYPICAL_RATES: Final = {"2160p": 100, "1080p": 30, "720p": 15}
LEAST_RATE: Final = 8
EPISODE_MINUTES: Final = 40
FILM_MINUTES: Final = 100
LONGEST_MINUTES: Final = 24 * 60

CONNECTIVITY_SITE: Final = "connectivity"
"""Never the id of a site, so whoever adds the test item's magnet is told that there is no such site."""
CONNECTIVITY_DATE: Final = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Item:
    """One release in a feed. `guid` and `published` never change for the same release."""

    site: str
    slug: str
    guid: str
    title: str
    published: datetime
    size: int
    categories: tuple[int, ...]
    infohash: str
    magnet: str
    spoken: str
    subtitles: str
    season: int | None
    episode: int | None
    year: int | None = None
    tvdb_id: int | None = None
    imdb: str = ""
    """Digits only."""
    files: int = 1
    page: str = ""
    """Where a person can read about it."""
    link: str = ""
    """What is fetched in place of the magnet; empty where the magnet itself is offered."""


def of_entry(entry: ResultEntry, *, strm: bool = False, tvdb_id: int | None = None) -> Item:
    """The item of a search result: the video, or the `.strm` file that plays it.

    The latter claims the same size, because clients judge the quality by it.
    """
    release = entry.release
    if strm:
        release = replace(release, identity=replace(release.identity, strm=True))
    film, episodes = entry.is_film, entry.episodes or 1
    known, seconds = entry.size_bytes, entry.duration_seconds
    item = _item(
        release,
        published=entry.first_seen_at,
        size=size_of(known, seconds, entry.height, film=film, episodes=episodes),
        listed=categories_of(entry),
    )
    imdb = entry.imdb_id.removeprefix("tt")
    return replace(item, year=entry.year, tvdb_id=tvdb_id, imdb=imdb, files=episodes)


def categories_of(entry: ResultEntry) -> tuple[int, ...]:
    """The categories that its item carries."""
    return categories.carried(film=entry.is_film, height=entry.height)


def connectivity(asked: Collection[int]) -> Item | None:
    """A release that does not exist, so that a client's test of a new installation finds something.

    It has the asked categories; None when a release here can have none of them, which its owner should notice.
    """
    listed = categories.known(asked)
    if asked and not listed:
        return None
    film = not categories.asks_for_episodes(asked)
    number = 0 if film else 1
    release = Release(
        Identity(CONNECTIVITY_SITE, "connectivity-test", number, number, "German Dub"),
        title="AniBridge Connectivity Test",
        group="ANIBRIDGE",
        height=1080,
        year=CONNECTIVITY_DATE.year,
    )
    return _item(
        release,
        published=CONNECTIVITY_DATE,
        size=size_of(None, None, release.height, film=film),
        listed=tuple(sorted(listed)) or categories.carried(film=film, height=release.height),
    )


def size_of(
    known: int | None,
    seconds: float | None,
    height: int | None,
    *,
    film: bool = False,
    episodes: int = 1,
) -> int:
    """Bytes: as measured, else what a stream of this quality usually has. Never 0: clients read that as unknown.

    Of a pack, `known` and `seconds` are those of all its `episodes`.
    """
    if known and known > 0:
        return known
    minutes = float(FILM_MINUTES if film else EPISODE_MINUTES * episodes)
    if seconds and math.isfinite(seconds) and seconds > 0:
        minutes = min(seconds / 60, LONGEST_MINUTES * episodes)
    return max(int(minutes * TYPICAL_RATES.get(resolution(height), LEAST_RATE) * MIB), 1)


def _item(release: Release, *, published: datetime, size: int, listed: tuple[int, ...]) -> Item:
    identity = release.identity
    parts = [identity.site, identity.slug, str(identity.season)]
    parts += ["" if identity.episode is None else str(identity.episode), identity.language]
    # The site's own numbers first; another name for the same special is another item to a client.
    parts += ["alias-s{}e{}".format(*release.alias)] if release.alias else []
    # A series' film offered as one is another item than the special that it is as well.
    parts += ["film"] if release.film and not identity.is_film else []
    parts += ["strm"] if identity.strm else []
    film = release.is_film
    season, episode = release.alias or (identity.season, identity.episode)
    return Item(
        site=identity.site,
        slug=identity.slug,
        guid=":".join(parts),
        title=release.shown_name,
        published=published,
        size=size,
        categories=listed,
        infohash=release.infohash,
        magnet=release.magnet,
        spoken=release.spoken,
        subtitles=release.subtitles,
        season=None if film else season,
        episode=None if film else episode,
    )
