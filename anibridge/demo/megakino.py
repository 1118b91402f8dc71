"""The demo as Megakino lays it out: films, and one page for each season of a series, all of it in German.

`Megakino` is the variant with folders and a map of maps, `MegakinoB` the one without either. Nothing leads through
the site: its pages name the hosts. Two pages are there for their trouble only: `COMING_SOON` and `GATE`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar

from anibridge.demo import megakino_pages as html
from anibridge.demo.megakino_pages import Post
from anibridge.demo.model import GERMAN_DUB, DemoCatalogue, Season, Title
from anibridge.demo.pages import Reply, cover_of
from anibridge.demo.titles import extra_titles

FIRST_NUMBER = 122
"""With it «Tears of Steel» is 123, as in the vectors of release identities."""
FIRST_EXTRA = 900_000
GATE = "800-hinter-dem-tor"
"""A slug without a title: its page demands a cookie first."""
COMING_SOON = Title(
    slug="der-letzte-leuchtturm",
    name="Der letzte Leuchtturm",
    alternatives=("The Last Lighthouse",),
    year=2027,
    end_year=None,
    description="Demnächst im Kino: Ein Leuchtturmwärter soll abgelöst werden, von einer Lampe.",
    genres=("Drama",),
    seasons=(Season(0, ()),),
)
"""A film of which there is only the trailer."""


def posts(catalogue: DemoCatalogue) -> Iterator[Post]:
    """The site's pages: what the catalogue has in German, and what is only announced."""
    number = FIRST_NUMBER
    for title in (*catalogue.titles.values(), COMING_SOON):
        for season, is_film in _parts(title):
            german = tuple(one for one in season.episodes if GERMAN_DUB in one.languages)
            if not german and season.episodes:
                continue
            links = {
                episode.number: tuple(
                    link
                    for link in catalogue.links_of(title, season.number, episode)
                    if link.language == GERMAN_DUB
                )
                for episode in german
            }
            marked = len(title.seasons) > 1
            yield Post(number, title, None if is_film else season.number, links, marked)
            number += 1


def _parts(title: Title) -> Iterable[tuple[Season, bool]]:
    """The seasons that have a page of their own, or the one that holds a film. Specials have none."""
    numbered = [season for season in title.seasons if season.number]
    alone = title.season(0) is not None and sum(len(one.episodes) for one in numbered) <= 1
    if alone:
        return [((numbered or list(title.seasons))[0], True)]
    return [(season, False) for season in numbered]


class Megakino:
    """The variant with folders; `extra` generated titles stand in the map and nowhere else."""

    folders: ClassVar[bool] = True
    per_page: ClassVar[int] = 20

    def __init__(self, catalogue: DemoCatalogue, extra: int = 0) -> None:
        self.catalogue = catalogue
        self.extra = extra
        self.posts = {post.slug: post for post in posts(catalogue)}
        self._routes: tuple[tuple[re.Pattern[str], Callable[..., Reply]], ...] = tuple(
            (re.compile(pattern, re.ASCII), handler)
            for pattern, handler in (
                (r"/", self._home),
                (r"/(films|serials)/(?:page/(\d{1,3})/)?", self._list),
                (r"((?:/[a-z]+)?/([0-9]+-[^/]+)\.html)", self._post),
                (r"/sitemap\.xml", self._sitemap),
                (r"/uploads/(news|category)_pages\.xml", self._child_map),
                (r"/uploads/posts/([a-z0-9-]+)\.png", cover_of),
            )
        )

    def respond(self, method: str, path: str, query: Mapping[str, str]) -> Reply:
        """The answer to any request below the site's root; `query` holds form fields too."""
        if path == "/index.php" and query.get("do") == "search":
            return self._search(query)
        for pattern, handler in self._routes if method in ("GET", "HEAD") else ():
            if found := pattern.fullmatch(path):
                return handler(*found.groups())
        return _missing()

    def path(self, post: Post) -> str:
        """Where a post's page is."""
        folder = ("serials/" if post.season else "films/") if self.folders else ""
        return f"/{folder}{post.slug}.html"

    def _home(self) -> Reply:
        cards = [self._card(post) for post in self.posts.values()]
        return Reply(html.listing("Demo catalogue", cards[:3], cards[: self.per_page]))

    def _list(self, folder: str, page: str | None) -> Reply:
        wanted = [one for one in self.posts.values() if bool(one.season) == (folder == "serials")]
        start = (int(page or 1) - 1) * self.per_page
        cards = [self._card(post) for post in wanted[::-1][max(start, 0) :][: self.per_page]]
        promo = [self._card(post) for post in list(self.posts.values())[:3]]
        return Reply(html.listing("Serien" if folder == "serials" else "Filme", promo, cards))

    def _post(self, path: str, slug: str) -> Reply:
        if slug == GATE:
            return Reply(html.gate())
        post = self.posts.get(slug)
        if post is None or path != self.path(post):
            return _missing()
        related = [self._card(one) for one in self.posts.values() if one is not post][:4]
        players = html.players_a(post) if self.folders else html.players_b(post)
        return Reply(html.title_page(post, self.path(post), players, related))

    def _search(self, query: Mapping[str, str]) -> Reply:
        words = query.get("story", "").strip()
        if len(words) < html.SHORTEST_SEARCH:
            return Reply(html.search_refused())
        titles = {title.slug for title in self.catalogue.search(words)}
        found = [post for post in self.posts.values() if post.title.slug in titles]
        page = query.get("search_start") or "1"
        start = (int(page) - 1) * self.per_page if page.isascii() and page.isdecimal() else 0
        cards = [self._card(post) for post in found[max(start, 0) :][: self.per_page]]
        promo = [self._card(post) for post in list(self.posts.values())[:3]]
        return Reply(html.search_results(promo, cards))

    def _sitemap(self) -> Reply:
        maps = ("/uploads/category_pages.xml", "/uploads/news_pages.xml")
        return _xml(html.sitemap_index(maps))

    def _child_map(self, kind: str) -> Reply:
        if kind == "category":
            return _xml(html.sitemap([("/films/", None), ("/serials/", None), ("/krimi/", None)]))
        return _xml(html.sitemap(self._places()))

    def _places(self) -> Iterator[tuple[str, str | None]]:
        """Every page of a title with its picture, where it has one."""
        for post in self.posts.values():
            yield self.path(post), html.cover_path(post)
        folder = "films/" if self.folders else ""
        for number, (slug, _, _) in enumerate(extra_titles(self.extra), FIRST_EXTRA):
            yield f"/{folder}{number}-{slug}.html", None

    def _card(self, post: Post) -> str:
        return html.card(post, self.path(post), heading="h3" if self.folders else "h4")


class MegakinoB(Megakino):
    """The variant without folders: one flat map, shorter lists, other players."""

    folders = False
    per_page = 10

    def _sitemap(self) -> Reply:
        return _xml(html.sitemap(self._places()))


def _missing() -> Reply:
    return Reply(html.document("Fehler", "<h1>404</h1><p>Seite nicht gefunden.</p>"), status=404)


def _xml(body: str) -> Reply:
    return Reply(body, content_type="application/xml")
