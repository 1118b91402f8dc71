"""Sites of series pages in the classic layout or the newer one, told apart page by page."""

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar
from urllib.parse import quote

from bs4.element import Tag

from anibridge.lib.text import shorten
from catalogue.errors import Blocked, LayoutChanged, NotFound, SiteUnavailable
from catalogue.sites import classic, classic_index, playlink, signs, v2
from catalogue.sites.base import (
    Answer,
    EpisodeFacts,
    EpisodePage,
    IndexEntry,
    RecentEpisode,
    SiteAdapter,
    TitleFacts,
)
from catalogue.sites.languages import LanguageWords
from catalogue.sites.links import EPISODE_LINK, SEASON_LINK, episode_of, path_of, slug_of
from catalogue.sites.page import Page, value_of

_HEAD_BYTES = 65536
_COMMON_PATHS = (
    "redirect|r|login|registrierung|account|captcha|support|search|suche|ajax|api|genre|katalog|jahr|"
    "neue-episoden|user|dmca"
)


class SeriesSite(SiteAdapter):
    """A site of this family. Call `check` on an answer before `parse_…`: it tells why a page is not one.

    Which layout a page is in, the page itself says. Which layout's paths are asked for is said by `newer_first`;
    with `both_spellings`, `alternatives` has those of the other.
    """

    root: ClassVar[str]
    """What the path of every title begins with, without the slash behind."""
    overviews: ClassVar[tuple[str, ...]]
    """First path segments of the site's own pages besides those of titles."""
    index_paths: ClassVar[tuple[str, ...]]
    """Where the index may be, first the likeliest."""
    newer_first: ClassVar[bool] = False
    both_spellings: ClassVar[bool] = False
    """Whether the site may know the other layout's paths only; where it may not, what is missing is asked for once."""
    words: ClassVar[LanguageWords]
    has_films: ClassVar[bool] = True
    # Opaque, percent-decoded: letters of any script and what may stand in a path segment; no «%», «/» or «..».
    slug_pattern = re.compile(r"(?!\.)(?!.*\.\.)[\w\-.~!'()*,;:@&=+$]{1,200}")

    @property
    def classic_prefix(self) -> str:
        return f"{self.root}/stream/"

    @property
    def newer_prefix(self) -> str:
        return f"{self.root}/"

    # -- paths

    def index_path(self) -> str:
        return self.index_paths[0]

    def title_path(self, slug: str) -> str:
        prefix = self.newer_prefix if self.newer_first else self.classic_prefix
        return prefix + quote(self.check_slug(slug), safe="-._~!'()*,;:@&=+$")

    def season_path(self, slug: str, season: int) -> str:
        films = "/staffel-0" if self.newer_first else "/filme"
        return self.title_path(slug) + (f"/staffel-{season:d}" if season else films)

    def episode_path(self, slug: str, season: int, episode: int) -> str:
        kind = "episode" if season or self.newer_first else "film"
        return f"{self.season_path(slug, season)}/{kind}-{episode:d}"

    def alternatives(self, path: str) -> tuple[str, ...]:
        """The same page as the other layout spells it."""
        if path in self.index_paths:
            return tuple(other for other in self.index_paths if other != path)
        if not self.both_spellings:
            return ()
        if path.startswith(self.classic_prefix):
            rest = path.removeprefix(self.classic_prefix)
            rest = re.sub(r"/filme(?:/film-(?=\d+$)|$)", _newer_film, rest)
            return (self.newer_prefix + rest,)
        if path.startswith(self.newer_prefix):
            rest = path.removeprefix(self.newer_prefix)
            rest = re.sub(r"/staffel-0(?:/episode-(?=\d+$)|$)", _classic_film, rest)
            return (self.classic_prefix + rest,)
        return ()

    def slug_in(self, url: str) -> str:
        """The slug that a link to a title has, in either spelling; empty for any other link."""
        slug = slug_of(url, self.classic_prefix) or slug_of(url, self.newer_prefix)
        return slug if self.slug_pattern.fullmatch(slug) else ""

    # -- pages

    def parse_index(self, chunks: Iterable[bytes]) -> Iterator[IndexEntry]:
        """Each title once, after the page has arrived whole; a title listed twice is merged into one."""
        return classic_index.parse(
            self._watched(chunks),
            prefix=self.classic_prefix,
            item_prefix=self.newer_prefix,
            slug_pattern=self.slug_pattern,
            where=f"{self.display_name}'s index",
        )

    def _watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks as they come; at the end Blocked or SiteUnavailable if they were another page that says so."""
        head, tail, listed = b"", b"", False
        marks = (self.classic_prefix.encode(), b"series-item", b"data-alternative-title")
        for chunk in chunks:
            head += chunk[: _HEAD_BYTES - len(head)]
            listed = listed or any(mark in tail + chunk for mark in marks)
            tail = (tail + chunk)[-max(map(len, marks)) :]
            yield chunk
        if not listed:
            self._explain(head.decode(errors="replace"))

    def parse_title(self, answer: Answer) -> TitleFacts:
        page = Page(answer.text, answer.url)
        return v2.parse_title(page) if v2.is_written_in(page) else classic.parse_title(page)

    def parse_season(self, answer: Answer, season: int) -> tuple[EpisodeFacts, ...]:
        page = Page(answer.text, answer.url)
        if v2.is_written_in(page):
            return v2.parse_season(page, season, self.words)
        return classic.parse_season(page, season, self.words)

    def parse_episode(
        self, answer: Answer, *, season: int | None = None, episode: int | None = None
    ) -> EpisodePage:
        page = Page(answer.text, answer.url)
        if v2.is_written_in(page):
            return v2.parse_episode(page, self.words, answer.url)
        return classic.parse_episode(page, self.words)

    def recent_path(self) -> str | None:
        return "/neue-episoden"

    def parse_recent(self, answer: Answer) -> tuple[RecentEpisode, ...]:
        page = Page(answer.text, answer.url)
        is_classic = page.has(classic.RECENT)
        languages = classic.languages_beside if is_classic else v2.languages_beside
        found: dict[tuple[str, int, int], RecentEpisode] = {}
        for link in page.all(f'a[href*="{self.newer_prefix}"]'):
            if (place := self._place(link)) is not None and place not in found:
                found[place] = RecentEpisode(*place, languages(link, self.words))
        if not found and not is_classic:
            raise LayoutChanged(f"no episode link and no «{classic.RECENT}» on {page.where}")
        return tuple(found.values())

    def _place(self, link: Tag) -> tuple[str, int, int] | None:
        """(slug, season, episode) that a link leads to."""
        path = path_of(value_of(link, "href"))
        place = episode_of(path)
        slug = self.slug_in(EPISODE_LINK.sub("", path)) if place else ""
        return (slug, *place) if place and slug else None

    # -- answers that are something else

    def check(self, answer: Answer) -> None:
        """Raises for what is not a page of titles or episodes; looks for content before it looks for error words."""
        signs.check_status(answer, self.display_name)
        if not signs.is_whole(answer.text):
            if signs.is_challenge(answer.text):
                raise Blocked(f"{self.display_name} asks for a browser check")
            raise SiteUnavailable(f"{self.display_name} sent a page that is empty or cut short")
        page = Page(answer.text, answer.url)
        path = path_of(answer.url)
        if page.has(*classic.CONTENT, *v2.CONTENT):
            return
        # Nothing marks the newer layout's list of recent episodes but the episodes.
        if path == self.recent_path() and any(map(self._place, page.all("a[href]"))):
            return
        if message := page.maybe("div.messageAlert.danger"):
            raise NotFound(f"{self.display_name} says: {shorten(message, 160)}")
        self._explain(answer.text, page)
        own = page.has(
            *(f'{part} a[href^="{self.root}"]' for part in ("header", "nav")),
            *(f'a[href="/{overview}"]' for overview in self.overviews),
        )
        if own and (SEASON_LINK.search(path) or EPISODE_LINK.search(path)):
            raise NotFound(f"{self.display_name} has nothing at {shorten(path, 160)}")
        raise LayoutChanged(f"unexpected page at {page.where} (domain moved?)")

    def _explain(self, text: str, page: Page | None = None) -> None:
        """Raises for a page without content whose words say why."""
        if signs.is_challenge(text):
            raise Blocked(f"{self.display_name} asks for a browser check")
        if signs.is_maintenance(text):
            raise SiteUnavailable(f"{self.display_name} is under maintenance")
        page = page or Page(text)
        # A log-in form in the header, or one that waits in a dialogue, stands on every page.
        forms = page.all("form input[type=password]")
        if any(not field.find_parent(_is_scaffolding) for field in forms):
            raise Blocked(f"{self.display_name} demands a login")

    def read_play_link(self, answer: Answer, base_url: str) -> str:
        """The host's URL. Raises SiteError for a link that is too old: the episode's page has a new one."""
        own = "|".join((self.root.strip("/"), *self.overviews, _COMMON_PATHS))
        return playlink.read(
            answer,
            base_url,
            site=self.display_name,
            own_paths=re.compile(rf"/(?:$|(?:{own})(?:/|$))"),
            base_urls=self.base_urls,
        )


def _newer_film(found: re.Match[str]) -> str:
    return "/staffel-0/episode-" if found.group().endswith("-") else "/staffel-0"


def _classic_film(found: re.Match[str]) -> str:
    return "/filme/film-" if found.group().endswith("-") else "/filme"


def _is_scaffolding(tag: Tag) -> bool:
    return tag.name in ("header", "nav", "footer") or "modal" in value_of(tag, "class").split()
