"""A site adapter for an imaginary site, example.tv: the smallest one that does everything.

Its pages are plain: a list of titles, a page per title with a list of episodes, a page per episode with a list of
hosts, and play links that redirect to the host.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urljoin

from catalogue.errors import LayoutChanged, NotFound, SiteError, SiteUnavailable
from catalogue.sites.base import (
    GERMAN_DUB,
    Answer,
    EpisodeFacts,
    EpisodePage,
    HostLink,
    IndexEntry,
    SiteAdapter,
    TitleFacts,
)
from catalogue.sites.page import Page


class ExampleTv(SiteAdapter):
    """Reads example.tv. No network in here: AniBridge fetches, this class reads."""

    key = "example_tv"
    display_name = "Example TV"
    base_urls = ("https://example.tv",)
    release_group = "EXAMPLE"
    original_language = "English"
    languages = (GERMAN_DUB,)
    slug_pattern = re.compile(r"[a-z0-9-]{1,100}")

    def index_path(self) -> str:
        return "/titles"

    def parse_index(self, chunks: Iterable[bytes]) -> Iterator[IndexEntry]:
        text = b"".join(chunks).decode("utf-8", "replace")
        if "</html>" not in text:
            # A page that was cut short must never replace a good index.
            raise SiteUnavailable("the list of titles was cut short")
        entries = [
            IndexEntry(slug=str(link["href"]).rsplit("/", 1)[-1], name=link.get_text(strip=True))
            for link in Page(text).all("ul.titles a[href^='/title/']")
        ]
        if not entries:
            raise LayoutChanged("there is nothing at «ul.titles a» on the list of titles")
        yield from entries

    def title_path(self, slug: str) -> str:
        return f"/title/{quote(slug)}"

    def parse_title(self, answer: Answer) -> TitleFacts:
        return TitleFacts(name=Page(answer.text).must("h1"), seasons=(1,))

    def season_path(self, slug: str, season: int) -> str:
        return self.title_path(slug)

    def parse_season(self, answer: Answer, season: int) -> tuple[EpisodeFacts, ...]:
        if season != 1:
            raise NotFound("example.tv has one season of everything")
        return tuple(
            EpisodeFacts(season=1, episode=int(number), languages=frozenset({GERMAN_DUB}))
            for number in Page(answer.text).each("ol.episodes li b")
        )

    def episode_path(self, slug: str, season: int, episode: int) -> str:
        return f"/title/{quote(slug)}/{episode}"

    def parse_episode(
        self, answer: Answer, *, season: int | None = None, episode: int | None = None
    ) -> EpisodePage:
        links = Page(answer.text).all("ul.hosts a[href^='/go/']")
        return EpisodePage(
            links=tuple(
                HostLink(GERMAN_DUB, link.get_text(strip=True), str(link["href"])) for link in links
            )
        )

    def check(self, answer: Answer) -> None:
        if answer.status == 404:
            raise NotFound("example.tv has no such page")
        if answer.status != 200:
            raise SiteUnavailable(f"example.tv answered {answer.status}")

    def read_play_link(self, answer: Answer, base_url: str) -> str:
        if answer.status in (301, 302, 303, 307, 308) and answer.headers.get("location"):
            return urljoin(answer.url, answer.headers["location"])
        raise SiteError("the play link does not lead to a host")
