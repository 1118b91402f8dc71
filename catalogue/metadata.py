"""Which show an id means, and how its episodes are numbered: asked of a service with SkyHook's API, and remembered.

Everything here is a help, never a condition: when the service does not answer, callers go on without it.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings
from django.core.cache import cache

from anibridge.lib import http
from anibridge.lib.text import shorten, without_controls
from catalogue.errors import MetadataUnavailable

logger = logging.getLogger(__name__)

TIMEOUT = 8.0
MAX_BYTES = 16 * 2**20
MAX_EPISODES = 5000
KEPT_SECONDS = 6 * 3600
MISSING_SECONDS = 3600
SILENT_SECONDS = 120
"""A service that does not answer is left alone for so long: each search would wait for it otherwise."""


@dataclass(frozen=True, slots=True)
class ShowEpisode:
    """One episode as the *arrs number it."""

    season: int
    episode: int
    absolute: int | None
    title: str
    aired_at: datetime | None = None
    """Aware; None where it is not known, also for what is only announced."""


@dataclass(frozen=True, slots=True)
class Show:
    """A series and its episodes; a search's hit has none."""

    tvdb_id: int
    title: str
    year: int | None = None
    imdb_id: str = ""
    tmdb_id: int | None = None
    episodes: tuple[ShowEpisode, ...] = ()


def show(tvdb_id: int) -> Show | None:
    """The series with this TVDB id; None when there is none. Raises MetadataUnavailable."""
    return _show(_ask(f"/v1/tvdb/shows/en/{int(tvdb_id)}"), require_id=int(tvdb_id))


def find(term: str) -> tuple[Show, ...]:
    """Series for a title or for `tmdb:N`, `imdb:tt…`, best first as the service sorts them. Raises MetadataUnavailable."""
    answer = _ask(f"/v1/tvdb/search/en/?{urlencode({'term': shorten(term, 200)}, quote_via=quote)}")
    if not isinstance(answer, list):
        return ()
    return tuple(found for item in answer[:50] if (found := _show(item)) is not None)


def resolve(
    *, tvdb_id: int | None = None, imdb_id: str | None = None, tmdb_id: int | None = None
) -> Show | None:
    """The series that the ids mean: any of them is enough, TVDB first. Raises MetadataUnavailable.

    Clients send all ids they know; a service that lacks one of them is asked for the next.
    """
    if tvdb_id and (found := show(tvdb_id)):
        return found
    digits = re.fullmatch(r"(?:tt)?(\d{5,10})", imdb_id or "")
    terms = [f"imdb:tt{digits[1].zfill(7)}"] if digits else []
    terms += [f"tmdb:{tmdb_id}"] if tmdb_id else []
    for term in terms:
        if hits := find(term):
            return show(hits[0].tvdb_id) or hits[0]
    return None


def _ask(path: str) -> Any:
    """The JSON answer, from the cache while it is fresh; None for a 404."""
    base = settings.SKYHOOK_BASE_URL.rstrip("/")
    key = f"metadata:{base}{path}".replace(" ", "+")[:240]
    kept = cache.get(key)
    if kept is not None:
        return kept["answer"]
    silent = f"metadata-silent:{base}"
    if cache.get(silent):
        raise MetadataUnavailable(f"{urlsplit(base).netloc} did not answer a moment ago")
    try:
        with http.session(trusted=(base,)) as session:
            fetched = http.fetch(base + path, session=session, timeout=TIMEOUT, max_bytes=MAX_BYTES)
    except http.OutboundError as error:
        cache.set(silent, True, SILENT_SECONDS)
        raise MetadataUnavailable(f"the metadata service did not answer: {error}") from None
    if fetched.status == 404:
        cache.set(key, {"answer": None}, MISSING_SECONDS)
        return None
    if not fetched.ok:
        cache.set(silent, True, SILENT_SECONDS)
        raise MetadataUnavailable(f"the metadata service answered {fetched.status}")
    try:
        answer = json.loads(fetched.body)
    except ValueError:
        raise MetadataUnavailable("the metadata service did not answer with JSON") from None
    slim = _slim(answer)
    cache.set(key, {"answer": slim}, KEPT_SECONDS)
    return slim


def _slim(answer: Any) -> Any:
    """Only what is read: a long series is megabytes of pictures and summaries otherwise."""
    if isinstance(answer, list):
        return [_slim(item) for item in answer[:50] if isinstance(item, dict)]
    if not isinstance(answer, dict):
        return None
    wanted = ("tvdbId", "title", "firstAired", "imdbId", "tmdbId")
    numbers = (
        "seasonNumber", "episodeNumber", "absoluteEpisodeNumber", "title", "airDate", "airDateUtc",
    )  # fmt: skip
    episodes = answer.get("episodes")
    return {name: answer.get(name) for name in wanted} | {
        "episodes": [
            {name: episode.get(name) for name in numbers}
            for episode in (episodes if isinstance(episodes, list) else [])[:MAX_EPISODES]
            if isinstance(episode, dict)
        ]
    }


def _show(item: Any, *, require_id: int | None = None) -> Show | None:
    """A show out of a slim answer; None when it lacks what makes it one."""
    if not isinstance(item, dict):
        return None
    tvdb_id, title = _number(item.get("tvdbId")), _text(item.get("title"))
    if not tvdb_id or not title or (require_id is not None and tvdb_id != require_id):
        return None
    aired = re.match(r"(\d{4})-", _text(item.get("firstAired")))
    return Show(
        tvdb_id=tvdb_id,
        title=title,
        year=int(aired[1]) if aired else None,
        imdb_id=_text(item.get("imdbId")),
        tmdb_id=_number(item.get("tmdbId")),
        episodes=_episodes(item.get("episodes") or ()),
    )


def _episodes(items: Sequence[Any]) -> tuple[ShowEpisode, ...]:
    found = []
    for item in items:
        season, episode = _number(item.get("seasonNumber")), _number(item.get("episodeNumber"))
        if season is not None and episode is not None:
            absolute = _number(item.get("absoluteEpisodeNumber"))
            aired_at = _moment(item.get("airDateUtc")) or _moment(item.get("airDate"))
            found.append(
                ShowEpisode(season, episode, absolute or None, _text(item.get("title")), aired_at)
            )
    return tuple(found)


def _moment(value: Any) -> datetime | None:
    """«2011-04-18T01:00:00Z» or «2011-04-17»; a day alone begins at midnight in Greenwich."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**31 else None


def _text(value: Any) -> str:
    return without_controls(value)[:300].strip() if isinstance(value, str) else ""
