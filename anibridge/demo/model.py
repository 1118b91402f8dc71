"""What the demo's data is made of, and the ids under which its links and videos are found."""

import enum
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from anibridge.demo.videos import DASH_VIDEOS, HLS_VIDEOS, Video

GERMAN_DUB = "German Dub"
ENGLISH_SUB = "English Sub"
GERMAN_SUB = "German Sub"
ENGLISH_DUB = "English Dub"

HLS_HOST = "Vidoza"
DASH_HOST = "LoadX"


class Fault(enum.StrEnum):
    """A way in which a host is broken on purpose."""

    MISSING = "missing"
    """The host page is a 404."""
    NO_VIDEO = "no video"
    """A host page without any video."""
    FAKE_VIDEO = "fake video"
    """The video is an HTML page that calls itself video/mp4."""
    LOOP = "loop"
    """The host page redirects for ever."""
    SILENT = "silent"
    """The host takes the connection and never answers."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host of an episode, good unless `fault` says otherwise."""

    name: str
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode or film; no hosts means that nothing was uploaded yet."""

    number: int
    german: str
    english: str
    languages: tuple[str, ...]
    hosts: tuple[Host, ...]
    video: Video
    published: datetime
    """Aware, in Berlin: the page shows the clock on the wall there."""


@dataclass(frozen=True, slots=True)
class Season:
    """A season, or with number 0 the films; no episodes means announced."""

    number: int
    episodes: tuple[Episode, ...]

    def episode(self, number: int) -> Episode | None:
        return next((e for e in self.episodes if e.number == number), None)


@dataclass(frozen=True, slots=True)
class Title:
    """A series or a film; `end_year` is None while it runs."""

    slug: str
    name: str
    alternatives: tuple[str, ...]
    year: int
    end_year: int | None
    description: str
    genres: tuple[str, ...]
    seasons: tuple[Season, ...]
    fsk: int = 6
    imdb: str | None = None
    people: Mapping[str, str] = field(default_factory=dict)

    def season(self, number: int) -> Season | None:
        return next((s for s in self.seasons if s.number == number), None)


@dataclass(frozen=True, slots=True)
class Link:
    """One play link of an episode page, and the host page behind it."""

    id: int
    title: Title
    season: int
    episode: Episode
    language: str
    host: Host

    @property
    def host_path(self) -> str:
        return f"/host/{self.host.name.lower()}/{self.video_id}"

    @property
    def video_id(self) -> str:
        return f"{self.id:09x}"


def link_id(*parts: object) -> int:
    """A number that stays the same however many titles come and go around it."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:4])


class DemoCatalogue:
    """Every title with its links, found by slug, link id or host page."""

    def __init__(self, titles: tuple[Title, ...]) -> None:
        self.titles = {title.slug: title for title in titles}
        self.links: dict[int, Link] = {}
        for title in titles:
            for season in title.seasons:
                for episode in season.episodes:
                    for link in self.links_of(title, season.number, episode):
                        if link.id in self.links:
                            raise ValueError(f"two links share the id {link.id}")
                        self.links[link.id] = link

    @cached_property
    def hosted(self) -> dict[str, Link]:
        return {link.host_path: link for link in self.links.values()}

    def links_of(self, title: Title, season: int, episode: Episode) -> Iterator[Link]:
        """The episode's links in the order of its page: language by language, host by host."""
        for language in episode.languages:
            for host in episode.hosts:
                if host.name == HLS_HOST and episode.video not in HLS_VIDEOS:
                    raise ValueError(f"{episode.video.name} is not generated as HLS")
                if host.name == DASH_HOST and episode.video not in DASH_VIDEOS:
                    raise ValueError(f"{episode.video.name} is not generated as DASH")
                number = link_id(title.slug, season, episode.number, language, host.name)
                yield Link(number, title, season, episode, language, host)

    def speaking(self, languages: tuple[str, ...]) -> "DemoCatalogue":
        """The same titles as a site offers them that has only these languages; links keep their ids."""
        return DemoCatalogue(
            tuple(
                replace(title, seasons=tuple(_speaking(one, languages) for one in title.seasons))
                for title in self.titles.values()
            )
        )

    def recent(self, limit: int = 40) -> list[tuple[Title, Season, Episode]]:
        """The episodes published last, newest first; films are not among them, as on the real page."""
        rows = [
            (title, season, episode)
            for title in self.titles.values()
            for season in title.seasons
            for episode in season.episodes
            if season.number and episode.hosts
        ]
        return sorted(rows, key=lambda row: row[2].published, reverse=True)[:limit]

    def search(self, words: str) -> list[Title]:
        """Titles whose names hold the words."""
        needle = words.casefold().strip()
        return [
            title
            for title in self.titles.values()
            if needle
            and any(needle in name.casefold() for name in (title.name, *title.alternatives))
        ]


def _speaking(season: Season, languages: tuple[str, ...]) -> Season:
    return replace(season, episodes=tuple(_episode_in(one, languages) for one in season.episodes))


def _episode_in(episode: Episode, languages: tuple[str, ...]) -> Episode:
    spoken = tuple(one for one in episode.languages if one in languages)
    return replace(episode, languages=spoken, hosts=episode.hosts if spoken else ())
