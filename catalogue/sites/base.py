"""What every site adapter is: paths and pages in, facts out. Pure: no network, no Django, no database.

The service fetches (base URL, mirrors, throttle, guard) and hands the answer to the adapter, which reads it.
A must-have field that is missing raises `LayoutChanged` naming the selector; a nice-to-have one is None.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from catalogue.errors import UnsafeSlug

GERMAN_DUB = "German Dub"
GERMAN_SUB = "German Sub"
ENGLISH_DUB = "English Dub"
ENGLISH_SUB = "English Sub"
LANGUAGES = (GERMAN_DUB, GERMAN_SUB, ENGLISH_DUB, ENGLISH_SUB)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One title of a site's index: its slug, its name and its other names."""

    slug: str
    name: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexPage:
    """A further page of the index, read like the first; `path` may hold a query, never a host."""

    path: str


@dataclass(frozen=True, slots=True)
class TitleFacts:
    """What a series page says. `seasons` holds the site's season numbers; 0 stands for films and specials."""

    name: str
    alternatives: tuple[str, ...] = ()
    year: int | None = None
    end_year: int | None = None
    imdb_id: str | None = None
    description: str | None = None
    cover: str | None = None
    genres: tuple[str, ...] = ()
    seasons: tuple[int, ...] = ()
    minutes: int | None = None
    """How long the film is, or an episode."""
    canonical_path: str | None = None
    """The path under which the page wants to be known, where it says so."""


@dataclass(frozen=True, slots=True)
class EpisodeFacts:
    """One row of a season page; `languages` are labels of LANGUAGES that the row's flags show."""

    season: int
    episode: int
    german_title: str = ""
    english_title: str = ""
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HostLink:
    """One way to play an episode: the host's display name and the path of the play link on the site.

    Where the adapter's `links_are_direct`, `path` is the host's own address. It may hold a token, so it stays out
    of `repr` and of logs, and is good only for a while.
    """

    language: str
    host: str
    path: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EpisodePage:
    """What an episode page says; `links` keeps the page's order. No links: nothing was uploaded yet."""

    german_title: str = ""
    english_title: str = ""
    links: tuple[HostLink, ...] = ()
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecentEpisode:
    """An episode on a site's list of what came last; `languages` is empty where the list does not say."""

    slug: str
    season: int
    episode: int
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as an adapter sees it; header names are lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    text: str


class SiteAdapter(ABC):
    """A catalogue site. Stateless: one instance serves every thread."""

    key: ClassVar[str]
    """The site id: `[a-z][a-z0-9_]*`; part of every infohash, so it never changes."""
    display_name: ClassVar[str]
    base_urls: ClassVar[tuple[str, ...]]
    """Default base URL, then mirrors. The database row may say otherwise."""
    release_group: ClassVar[str]
    original_language: ClassVar[str]
    """What is spoken where a language label says «Sub»: an English language name."""
    languages: ClassVar[tuple[str, ...]]
    """Labels that the site offers, preferred first."""
    slug_pattern: ClassVar[re.Pattern[str]]
    links_are_direct: ClassVar[bool] = False
    """Whether a HostLink holds the host's own http(s) address; the site has no play links to follow then."""
    fallback: ClassVar[bool] = False
    """Whether the site is asked only where no other has the title."""
    lists_films: ClassVar[bool] = False
    """Whether there are films among its titles: season 0, episode 0. Films of a series are specials and none of these."""
    has_films: ClassVar[bool] = False
    """Whether it is asked for films at all: it lists them among its titles, or its titles may have lists of films."""

    def check_slug(self, slug: str) -> str:
        """Returns the slug, or raises UnsafeSlug when it does not fit `slug_pattern`."""
        if not self.slug_pattern.fullmatch(slug):
            raise UnsafeSlug(f"«{slug[:80]}» is not a {self.display_name} title")
        return slug

    @abstractmethod
    def index_path(self) -> str:
        """Path of the page that lists every title."""

    @abstractmethod
    def parse_index(self, chunks: Iterable[bytes]) -> Iterator[IndexEntry | IndexPage]:
        """Yields each title once, while the page streams in. Raises LayoutChanged when the page is none or cut short.

        An IndexPage stands for titles that another page of the index lists; it is fetched and read the same way.
        """

    @abstractmethod
    def title_path(self, slug: str) -> str: ...

    @abstractmethod
    def parse_title(self, answer: Answer) -> TitleFacts: ...

    @abstractmethod
    def season_path(self, slug: str, season: int) -> str: ...

    @abstractmethod
    def parse_season(self, answer: Answer, season: int) -> tuple[EpisodeFacts, ...]:
        """The season's rows in page order; empty for an announced season."""

    @abstractmethod
    def episode_path(self, slug: str, season: int, episode: int) -> str: ...

    @abstractmethod
    def parse_episode(
        self, answer: Answer, *, season: int | None = None, episode: int | None = None
    ) -> EpisodePage:
        """The ways to play. Where one page holds several episodes, the numbers tell which; others ignore them."""

    @abstractmethod
    def check(self, answer: Answer) -> None:
        """Raises Blocked, RateLimited, SiteUnavailable or NotFound for an answer that is not the page asked for."""

    @abstractmethod
    def read_play_link(self, answer: Answer, base_url: str) -> str:
        """The host's URL out of the unfollowed answer to a play link; raises Blocked or SiteError."""

    def alternatives(self, path: str) -> tuple[str, ...]:
        """Other paths of the same page, to be tried in turn where the site has nothing at this one."""
        return ()

    def suggest_paths(self, term: str) -> tuple[str, ...]:
        """Paths that answer a search term with titles, the most literal spelling first; none where the site cannot."""
        return ()

    def parse_suggest(self, answer: Answer) -> tuple[IndexEntry, ...]:
        """The titles of such an answer, each once. The site's order says little: score them yourself."""
        return ()

    def recent_path(self) -> str | None:
        """Path of the list of recent episodes; None where the site has none."""
        return None

    def parse_recent(self, answer: Answer) -> tuple[RecentEpisode, ...]:
        """The list of recent episodes, newest first, each once."""
        return ()

    def name_of(self, slug: str) -> str:
        """What a title is called as far as its slug tells: for one that no index has any more, or not yet."""
        return slug.replace("-", " ").title()

    def own_season(self, slug: str) -> int | None:
        """The only season that the title can have, where the slug tells: for sites that list seasons one by one."""
        return None
