"""How files of a library are called: the folders and names that Radarr and Sonarr themselves would give.

    Movie (2010)/Movie (2010).mkv
    Series/Season 01/Series - S01E05 - Title.mkv        Series/Specials/Series - S00E02.mkv

Pure: words in, parts of a path out. Every part is safe on every common file system and bounded in bytes.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeGuard

from anibridge.lib.text import without_controls
from downloads.errors import BadNaming

MAX_PART_BYTES = 200
"""Of a component without its extension; file systems take 255, and a mark or an extension is still to come."""

_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
"""Marks that change the direction of what follows, or show nothing: names that look like others."""
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\s*\.|\s*$)")
# What both *arrs put in the place of characters that Windows forbids.
_ARR = str.maketrans(
    {"\\": "+", "/": "+", "?": "!", "*": "-", "<": "", ">": "", "|": "", '"': ""}
)  # fmt: skip


def safe_part(text: str, *, limit: int = MAX_PART_BYTES) -> str:
    """One path component: no separators, control or invisible characters, leading dots or reserved names; NFC, and
    at most `limit` bytes. Never empty."""
    part = _INVISIBLE.sub("", without_controls(unicodedata.normalize("NFC", text)))
    part = " ".join(_FORBIDDEN.sub("_", part).split()).strip(". ")
    if not part or _RESERVED.match(part):
        part = f"_{part}"
    return shortened(part, limit)


def shortened(part: str, limit: int) -> str:
    """At most `limit` bytes, cut between characters, without a dot or blank at the end."""
    if len(part.encode()) <= limit:
        return part
    cut = part.encode()[:limit].decode("utf-8", "ignore")
    return cut.rstrip(". ") or "_"


@dataclass(frozen=True, slots=True)
class Naming:
    """What a library file is called after. `folder` takes the place of the film's or series' own folder."""

    kind: str
    title: str
    year: int | None = None
    season: int = 0
    episodes: tuple[int, ...] = ()
    episode_title: str = ""
    folder: str = ""

    @classmethod
    def read(cls, said: Mapping[str, Any], *, season: int, episode: int | None) -> "Naming":
        """From a job's `naming`; its own season and episode where that does not name any. Raises BadNaming."""
        kind, title = said.get("kind"), said.get("title")
        if kind not in ("movie", "episode"):
            raise BadNaming("«kind» must be movie or episode")
        if not isinstance(title, str) or not title.strip():
            raise BadNaming("a title is needed to name a file in a library")
        own = said.get("episodes", said.get("episode", episode))
        numbers = own if isinstance(own, list) else [own]
        if kind == "episode" and not all(_is_number(one) for one in [*numbers, season]):
            raise BadNaming("season and episode must be numbers to name a file in a library")
        place = said.get("season", season)
        year = said.get("year")
        return cls(
            kind=kind,
            title=title,
            year=year if _is_number(year) and 1800 <= year <= 2200 else None,
            season=place if _is_number(place) else season,
            episodes=tuple(sorted(set(numbers))) if kind == "episode" else (),
            episode_title=str(said.get("episode_title") or ""),
            folder=str(said.get("folder") or ""),
        )

    def path(self) -> PurePosixPath:
        """Below the library's root, without an extension."""
        return _movie(self) if self.kind == "movie" else _episode(self)


def _movie(naming: Naming) -> PurePosixPath:
    name = clean(naming.title)
    year = f" ({naming.year})" if naming.year else ""
    stem = shortened(name.removesuffix(year), MAX_PART_BYTES - len(year)) + year
    return _folder(naming, stem) / stem


def _episode(naming: Naming) -> PurePosixPath:
    series = clean(naming.title)
    season = f"Season {naming.season:02}" if naming.season else "Specials"
    number = f"S{naming.season:02}" + "-".join(f"E{one:02}" for one in naming.episodes)
    stem = f"{shortened(series, MAX_PART_BYTES - len(number) - 3)} - {number}"
    room = MAX_PART_BYTES - len(stem.encode()) - 3
    if naming.episode_title.strip() and room >= 8:
        stem += f" - {shortened(clean(naming.episode_title), room)}"
    return _folder(naming, series) / season / stem


def _folder(naming: Naming, usual: str) -> PurePosixPath:
    own = [safe_part(part) for part in naming.folder.split("/") if part.strip()]
    return PurePosixPath(*own) if own else PurePosixPath(usual)


def clean(title: str) -> str:
    """A title as one path component, with the *arrs' own replacements: «Alien: Romulus» → «Alien - Romulus»."""
    title = re.sub(r":\s+", " - ", title).replace(":", "-")
    return safe_part(title.translate(_ARR))


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100_000
