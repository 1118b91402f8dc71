"""What a title says: series, numbers, year, picture, group, languages. Pure; guessit does most of it.

A number without a season is an absolute one («[Group] Show - 07» is the seventh of all), as wanted items and playlist
items know it. The bracketed shapes of fansub groups are taken apart before guessit sees them, since it reads
«S2 - 07v2» as an episode's title, «86 - 07» as two episodes and the last bracket as the group.
One title costs about 6 ms, a hostile one up to 0.3 s (both measured), so this is nothing for a request.
"""

import logging
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from guessit import guessit
from guessit.api import GuessitException

from anibridge.lib.text import shorten

logger = logging.getLogger(__name__)

MAX_LENGTH = 300
MAX_NUMBERS = 200
_OPTIONS = {"episode_prefer_number": True}
_GROUP = re.compile(r"^\s*[\[【](?P<group>[^\[\]【】]{1,60})[\]】]\s*")
_NOISE = re.compile(r"^(?:★[^★]{1,40}★|\[★[^\]]{1,40}\])\s*")
_SEASON = re.compile(
    r"(?i)[\s._-]+(?:S(?P<short>\d{1,2})|(?P<nth>\d{1,2})(?:st|nd|rd|th)\s+season|season\s+(?P<long>\d{1,2})"
    r"|staffel\s+(?P<german>\d{1,2}))\s*$"
)
_YEAR = re.compile(r"\s*\(((?:19|20)\d\d)\)\s*$")
_NUMBER = r"(?P<first>\d{1,4})(?P<half>\.5)?(?:v\d)?(?:\s?[-~]\s?(?P<last>\d{1,4})(?:v\d)?)?"
_TAIL = r"(?P<tail>\s*(?:END|Fin)?\s*(?:[\[(【].*)?(?:\.[A-Za-z0-9]{2,4})?)$"
_DASHED = re.compile(rf"(?s)^(?P<title>.+?)\s+-\s+(?:(?i:ep?\.?|#)\s?)?{_NUMBER}{_TAIL}")
_BRACKETED = re.compile(
    rf"(?s)^[\[【]?(?P<title>[^\[\]【】]+?)[\]】]?\s*[\[【](?:第)?{_NUMBER}(?:[话話集])?[\]】]{_TAIL}"
)
_SOURCES = {"Web": "web", "Blu-ray": "bluray", "HDTV": "hdtv", "DVD": "dvd"}


def parse(title: str) -> dict[str, Any]:
    """What the title says, as plain values; every key is there, empty where the title says nothing.

    `title, kind (episode|movie), season, episodes, absolute, year, date, resolution, source, codec, group, languages,
    subtitles`. Never raises: a title that cannot be read gives its own words as `title`.
    """
    text = shorten(title, MAX_LENGTH)
    shape = _fansub(text)
    found = _guess(shape.pop("rest") if shape else text)
    numbers = _numbers(found)
    said: dict[str, Any] = {
        "title": _text(found.get("title")) or text,
        "kind": "movie" if found.get("type") == "movie" and not shape else "episode",
        **numbers,
        "year": _number(found.get("year")),
        "date": found["date"].isoformat() if isinstance(found.get("date"), date) else None,
        "resolution": _text(found.get("screen_size")),
        "source": _SOURCES.get(_text(found.get("source")), _text(found.get("source")).lower()),
        "codec": _text(found.get("video_codec")),
        "group": _text(found.get("release_group")),
        "languages": _languages(found.get("language")),
        "subtitles": _languages(found.get("subtitle_language")),
    }
    return said | shape


def _guess(text: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = guessit(text, _OPTIONS)
    except GuessitException:  # its catch-all for a bug in it; the message asks to report it
        logger.info("a title that cannot be read: %s", text)
        return {}
    return found


def _fansub(text: str) -> dict[str, Any]:
    """What `[Group] Show - 07 [1080p]` and its relatives say by their form; empty for any other."""
    head = _GROUP.match(text)
    if head is None:
        return {}
    body = _NOISE.sub("", text[head.end() :])
    match = _DASHED.match(body) or _BRACKETED.match(body)
    if match is None:
        return {}
    title = match["title"].strip(" -_[]【】")
    season = None
    if marked := _SEASON.search(f" {title}"):
        season = int(next(value for value in marked.groups() if value))
        title = f" {title}"[: marked.start()].strip(" -_")
    year = _YEAR.search(title)
    if year:
        title = title[: year.start()].strip(" -_")
    numbers = _span(match)
    # Other spellings stand behind a slash: the last is the one in Latin letters.
    names = [name.strip() for name in re.split(r"\s*[/|／]\s*", title) if name.strip()]
    # «[Group] A Film - 2024 [1080p]»: four digits like a year are one.
    if not names or not numbers or 1930 <= numbers[0] <= 2100:
        return {}
    return {
        "title": names[-1],
        **({"year": int(year[1])} if year else {}),
        "season": season,
        "episodes": numbers if season is not None else [],
        "absolute": numbers if season is None else [],
        "group": head["group"].strip(),
        # A title that guessit knows, so that it looks for nothing but the rest in the rest.
        "rest": f"Show - 01 {match['tail']}",
    }


def _span(match: re.Match[str]) -> list[int | float]:
    first = int(match["first"])
    if match["half"]:
        return [first + 0.5]
    last = int(match["last"] or first)
    return list(range(first, last + 1)) if first <= last < first + MAX_NUMBERS else []


def _numbers(found: Mapping[str, Any]) -> dict[str, Any]:
    season = _list(found.get("season"))
    episodes = _list(found.get("episode"))
    absolute = _list(found.get("absolute_episode"))
    if not season and not found.get("date"):
        episodes, absolute = [], absolute or episodes
    return {
        "season": season[0] if len(season) == 1 else None,
        "episodes": episodes,
        "absolute": absolute,
    }


def _list(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, int) and 0 <= one < 100_000][:MAX_NUMBERS]


def _number(value: Any) -> int | None:
    return next(iter(_list(value)), None)


def _text(value: Any) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return shorten(str(first), MAX_LENGTH) if first else ""


def _languages(value: Any) -> list[str]:
    """IETF tags, «mul» for several."""
    values = value if isinstance(value, list) else [value] if value else []
    return sorted({str(one) for one in values})[:20]
