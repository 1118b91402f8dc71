"""What a client asks: its parameters, read once and bounded.

Unknown parameters are ignored. Ids of databases (tvdbid, imdbid, …) cannot be looked up here, so caps does not declare
them and Sonarr goes straight to the title; a request that has nothing else to go by is answered with an empty feed,
never with the newest releases, which would be taken for the show that was meant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from anibridge.lib.text import shorten, without_controls
from catalogue.search import split_query
from torznab import categories
from torznab.errors import BadValue

MAX_LIMIT = 100
MAX_TITLE = 400
"""Longer titles are not compared by the catalogue either."""
MAX_SEASON = 1899
"""From 1900 on a season is a year: the daily form, which no site here numbers its episodes by."""
MAX_EPISODE = 99_999
IDS = ("tvdbid", "imdbid", "tmdbid", "rid", "tvmazeid", "traktid", "doubanid", "anidbid")
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
    """One search. Without a title it is the feed, or, where `unanswerable`, about something unknown here."""

    title: str
    season: int | None
    episode: int | None
    categories: frozenset[int]
    offset: int
    limit: int
    unanswerable: bool = False

    @property
    def is_feed(self) -> bool:
        return not self.title and not self.unanswerable


def read(function: Function, params: Mapping[str, str]) -> Query:
    """The query that the parameters are. Raises BadValue, naming the parameter.

    `season` and `ep` win against numbers in `q`.
    """
    title, season, episode, unanswerable = _subject(params)
    limit = _number(params, "limit")
    return Query(
        title=title,
        season=season,
        episode=episode,
        categories=_categories(params) or function.categories,
        offset=max(_number(params, "offset") or 0, 0),
        limit=MAX_LIMIT if limit is None else min(max(limit, 0), MAX_LIMIT),
        unanswerable=unanswerable,
    )


def _subject(params: Mapping[str, str]) -> tuple[str, int | None, int | None, bool]:
    """Title, season, episode, and whether they are about something that cannot be known here."""
    season = _number(params, "season")
    by_date = _AIR_DATE.fullmatch(params.get("ep", "").strip()) is not None
    episode = None if by_date else _number(params, "ep")
    asked = " ".join(without_controls(params.get("q", "")).split())[:MAX_TITLE]
    has_id = any(params.get(name, "").strip() for name in IDS)
    if not asked:
        # A query that is nothing but control characters is about something, too.
        told = by_date or has_id or bool(params.get("q", "").strip())
        return "", None, None, told or season is not None or episode is not None
    if has_id and asked.isdecimal():
        # Sonarr's absolute form: the id says which show, `q` only the number.
        return "", None, None, True
    title, found_season, found_episode = split_query(asked)
    if episode is None and season in (None, found_season):
        episode = found_episode
    if season is None:
        season = found_season
    for number, most in ((season, MAX_SEASON), (episode, MAX_EPISODE)):
        if number is not None and not 0 <= number <= most:
            return "", None, None, True
    return ("", None, None, True) if by_date else (title, season, episode, False)


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
