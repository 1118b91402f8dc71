"""What a client asks: its parameters, read once and bounded.

Unknown parameters are ignored. Of the ids of databases, tvdbid, imdbid and tmdbid are looked up, and any of them is
enough; the others are taken without a word. A request that has nothing to go by is answered with an empty feed, never
with the newest releases, which would be taken for the show that was meant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from anibridge.lib.text import shorten, without_controls
from catalogue.search import Ids, split_query
from torznab import categories
from torznab.errors import BadValue

MAX_LIMIT = 100
MAX_TITLE = 400
"""Longer titles are not compared by the catalogue either."""
MAX_SEASON = 1899
"""From 1900 on a season is a year: the daily form, which no site here numbers its episodes by."""
MAX_EPISODE = 99_999
YEARS = range(1870, 2100)
IDS = ("tvdbid", "imdbid", "tmdbid", "rid", "tvmazeid", "traktid", "doubanid", "anidbid")
_ID = re.compile(r"0*([1-9][0-9]{0,9})")
_IMDB = re.compile(r"(?:tt)?([0-9]{5,10})", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_AIR_DATE = re.compile(r"[0-9]{1,2}/[0-9]{1,2}")


class Function(Enum):
    """The searches. They differ in what they are about when no category is named."""

    SEARCH = "search"
    TV = "tvsearch"
    MOVIE = "movie"

    @property
    def categories(self) -> frozenset[int]:
        """What is asked for where the request does not say; empty for everything."""
        return {
            Function.SEARCH: frozenset[int](),
            Function.TV: frozenset({categories.TV}),
            Function.MOVIE: frozenset({categories.MOVIES}),
        }[self]


@dataclass(frozen=True, slots=True)
class Query:
    """One search. Without title and ids it is the feed, or, where `unanswerable`, about something unknown here.

    `absolute` is an episode counted through all seasons, as anime is.
    """

    title: str
    season: int | None
    episode: int | None
    categories: frozenset[int]
    offset: int
    limit: int
    unanswerable: bool = False
    absolute: int | None = None
    ids: Ids = field(default_factory=Ids)
    year: int | None = None
    """In which a film was made."""

    @property
    def is_feed(self) -> bool:
        return not self.title and not self.ids and not self.unanswerable


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a query is about, before its page and categories."""

    title: str = ""
    season: int | None = None
    episode: int | None = None
    absolute: int | None = None
    unanswerable: bool = False
    ids: Ids = field(default_factory=Ids)


_UNKNOWN = _Subject(unanswerable=True)


def read(function: Function, params: Mapping[str, str]) -> Query:
    """The query that the parameters are. Raises BadValue, naming the parameter.

    `season` and `ep` win against numbers in `q`.
    """
    # A film may be called by a number alone; no film is counted through seasons.
    subject = _subject(params, counted=function is not Function.MOVIE)
    year = _number(params, "year")
    limit = _number(params, "limit")
    return Query(
        title=subject.title,
        season=subject.season,
        episode=subject.episode,
        absolute=subject.absolute,
        ids=subject.ids,
        year=year if year in YEARS else None,
        unanswerable=subject.unanswerable,
        categories=_categories(params) or function.categories,
        offset=max(_number(params, "offset") or 0, 0),
        limit=MAX_LIMIT if limit is None else min(max(limit, 0), MAX_LIMIT),
    )


def _subject(params: Mapping[str, str], *, counted: bool) -> _Subject:
    """What the request is about; unanswerable where that cannot be known here."""
    season, by_date = _number(params, "season"), _AIR_DATE.fullmatch(params.get("ep", "").strip())
    episode = None if by_date else _number(params, "ep")
    asked = " ".join(without_controls(params.get("q", "")).split())[:MAX_TITLE]
    ids = _ids(params)
    numbered = season is not None or episode is not None
    digits = asked.isdecimal() and asked.isascii()
    if counted and digits and not numbered and _has_id(params):
        # Sonarr's absolute form: the id says which show, `q` only the number.
        if not ids or len(asked) > 5:
            return _UNKNOWN
        return _Subject(absolute=int(asked), ids=ids)
    if asked:
        asked, found_season, found_episode = split_query(asked)
        if episode is None and season in (None, found_season):
            episode = found_episode
        season = found_season if season is None else season
    elif not ids or params.get("q", "").strip():
        # A query that is nothing but control characters is about something, too.
        dated = bool(_number(params, "year"))
        told = by_date or numbered or dated or _has_id(params) or params.get("q", "").strip()
        return _UNKNOWN if told else _Subject()
    for number, most in ((season, MAX_SEASON), (episode, MAX_EPISODE)):
        if number is not None and not 0 <= number <= most:
            return _UNKNOWN
    return _UNKNOWN if by_date else _Subject(asked, season, episode, ids=ids)


def _has_id(params: Mapping[str, str]) -> bool:
    return any(params.get(name, "").strip() for name in IDS)


def _ids(params: Mapping[str, str]) -> Ids:
    """Those of the ids that can be looked up. One that is none is as good as not there: clients send 0 for it."""
    tvdb, tmdb = (_ID.fullmatch(params.get(name, "").strip()) for name in ("tvdbid", "tmdbid"))
    imdb = _IMDB.fullmatch(params.get("imdbid", "").strip())
    return Ids(
        tvdb=int(tvdb[1]) if tvdb else None,
        imdb=f"tt{imdb[1]}" if imdb and int(imdb[1]) else "",
        tmdb=int(tmdb[1]) if tmdb else None,
    )


def _number(params: Mapping[str, str], name: str) -> int | None:
    """A whole number; None when the parameter is absent or empty."""
    text = params.get(name, "").strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise BadValue(f"{name} must be a number, not «{shorten(text, 40)}»")
    return int(text)


def _categories(params: Mapping[str, str]) -> frozenset[int]:
    parts = [part.strip() for part in params.get("cat", "").split(",") if part.strip()]
    for part in parts:
        if not _NUMBER.fullmatch(part):
            raise BadValue(f"cat must be numbers with commas between, not «{shorten(part, 40)}»")
    return frozenset(map(int, parts))
