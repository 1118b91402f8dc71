"""Megakino: films, and serials with a page for each season. Its pages name the hosts themselves, in German only.

Two variants of the theme are read, told apart on each page. The site moves often: only paths count, never hosts.
"""

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar
from urllib.parse import quote, quote_plus, unquote, urlsplit

from anibridge.lib.text import shorten
from catalogue.errors import Blocked, LayoutChanged, NotFound, SiteError, SiteUnavailable
from catalogue.sites import megakino_players as players
from catalogue.sites import signs, sitemap
from catalogue.sites.base import (
    GERMAN_DUB,
    Answer,
    EpisodeFacts,
    EpisodePage,
    IndexEntry,
    IndexPage,
    RecentEpisode,
    SiteAdapter,
    TitleFacts,
)
from catalogue.sites.page import Page, number_of, value_of

_TITLE = (
    "div.pmovie__original-title",
    "div.pmovie__genres",
    "div.pmovie__year",
    "div.page__text",
    ".tabs-block__select",
    "select.se-select",
    "ul.ep-menu",
)
_SERIAL = ("select.se-select", "select.mr-select[id^=ep]", "ul.ep-menu")
_SEARCH_FORM = ("input[name=story]", "input[name=do][value=search]")
_MESSAGE = ("div.message-info", "div.berrors", "div.alert")
_CARDS = "a.poster[href]"
# Folders are categories: a card of a film may well lead to «/krimi/123-….html».
_TITLE_PATH = re.compile(r"(?:/[\w%-]{1,80}){0,3}/([0-9]{1,9}-[^/?#]+)\.html", re.ASCII)
_SLUG = re.compile(r"(?!.*\.\.)[0-9]{1,9}-[\w\-.~!'()*,;:@&=+$]{1,180}")
_SAFE = "-._~!'()*,;:@&=+$"
_SLUG_SEASON = re.compile(
    r"(?<=[^-])-+(?:([0-9]{1,3})-staffel|staffel-([0-9]{1,3}))(?:-.*)?", re.IGNORECASE
)
_NAME_SEASON = re.compile(
    r"(?<=\S)[\s\-–—:,|(\[]+(?:(\d{1,3})\.?\s*Staffel|Staffel\s*(\d{1,3}))\b.*",
    re.ASCII | re.IGNORECASE,
)
_NO_HITS = re.compile(r"Suche ergab leider keine Ergebnisse", re.IGNORECASE)
_REFUSED = re.compile(r"Suche ist ausgesetzt", re.IGNORECASE)
_SHORTEST_TERM = 4
_LONGEST_TERM = 100
_LONGEST_NAME = 300
_HEAD_BYTES = 65536
_LONGEST_GATE = 8192


class Megakino(SiteAdapter):
    """Call `check` on an answer before `parse_…`: it tells why a page is not one.

    A film is episode 0 of season 0. A serial's page is one season, the one its name ends with or else the first.
    """

    key = "megakino"
    display_name = "Megakino"
    base_urls: ClassVar[tuple[str, ...]] = ("https://megakino.to",)
    release_group = "MEGAKINO"
    original_language = "German"
    languages: ClassVar[tuple[str, ...]] = (GERMAN_DUB,)
    slug_pattern = _SLUG
    links_are_direct = True
    fallback = True
    lists_films = True
    has_films = True

    def index_path(self) -> str:
        return "/sitemap.xml"

    def parse_index(self, chunks: Iterable[bytes]) -> Iterator[IndexEntry | IndexPage]:
        """Titles and further maps as they come. Names are made of slugs: the map has no others.

        A map may be without any title: there are some for other pages.
        """
        head = _Head(chunks)
        seen: set[str] = set()
        try:
            for place in sitemap.parse(head, where=f"{self.display_name}'s sitemap"):
                if place.is_map:
                    yield IndexPage(place.path)
                elif (slug := slug_of(place.path)) and slug not in seen:
                    seen.add(slug)
                    yield IndexEntry(slug, name_of(slug))
        except (sitemap.NoSitemap, SiteUnavailable):
            self._explain(head.text())
            raise

    def title_path(self, slug: str) -> str:
        """The likeliest path: the slug does not tell the folder, and `alternatives` has the others."""
        folder = "films" if self.own_season(self.check_slug(slug)) is None else "serials"
        return f"/{folder}/{quote(slug, safe=_SAFE)}.html"

    def alternatives(self, path: str) -> tuple[str, ...]:
        """A serial may lack the mark of one, and one variant of the site has no folders at all."""
        folder, _, page = path.removeprefix("/").partition("/")
        if folder not in ("films", "serials") or not page:
            return ()
        other = "serials" if folder == "films" else "films"
        return f"/{page}", f"/{other}/{page}"

    def name_of(self, slug: str) -> str:
        return name_of(slug)

    def own_season(self, slug: str) -> int | None:
        found = _SLUG_SEASON.search(slug)
        return _number(found) if found else None

    def parse_title(self, answer: Answer) -> TitleFacts:
        page = _title_page(answer)
        written = _name(page)
        name = _without_season(written)
        season = _season(page, answer.url)
        originals = re.split(r"\s+/\s+", page.maybe("div.pmovie__original-title") or "")
        kinds = [kind.strip() for kind in (page.maybe("div.pmovie__genres") or "").split("/")]
        made = page.maybe("div.pmovie__year")
        return TitleFacts(
            name=name,
            alternatives=tuple(
                dict.fromkeys(one for one in originals if one and one not in (name, written))
            ),
            year=number_of(page.maybe("span[itemprop=dateCreated]"), r"\b(\d{4})\b")
            or number_of(made, r"\b((?:19|20)\d{2})\b"),
            description=page.maybe("div.page__text[itemprop=description]")
            or page.maybe("div.page__text"),
            cover=page.maybe("img[itemprop=image]", "data-src")
            or page.maybe("img[itemprop=image]", "src"),
            # The first is the category: «Filme / Drama».
            genres=tuple(kind for kind in kinds[1:] if kind),
            seasons=(0 if season is None else season,),
            minutes=number_of(made, r"\b(\d{1,4})\s*[Mm]in"),
            canonical_path=_path(page.maybe("link[rel=canonical]", "href") or "") or None,
        )

    def season_path(self, slug: str, season: int) -> str:
        return self.title_path(slug)

    def parse_season(self, answer: Answer, season: int) -> tuple[EpisodeFacts, ...]:
        """The episodes that the page lists, or the film as the only row of season 0."""
        return tuple(
            EpisodeFacts(season, episode, languages=frozenset(link.language for link in links))
            for episode, links in self._episodes(answer, season).items()
        )

    def episode_path(self, slug: str, season: int, episode: int) -> str:
        return self.title_path(slug)

    def parse_episode(
        self, answer: Answer, *, season: int | None = None, episode: int | None = None
    ) -> EpisodePage:
        """The ways to play; raises NotFound for an episode that the page does not list. Without a number, its first."""
        episodes = self._episodes(answer, season)
        if episode is None:
            return EpisodePage(links=next(iter(episodes.values()), ()))
        if episode not in episodes:
            raise NotFound(f"no episode {episode} on {shorten(answer.url, 160)}")
        return EpisodePage(links=episodes[episode])

    def _episodes(self, answer: Answer, season: int | None) -> players.Episodes:
        page = _title_page(answer)
        own = _season(page, answer.url)
        shown = own or 0
        if season is not None and season != shown:
            what = f"season {own}" if own is not None else "a film"
            raise NotFound(f"asked for season {season}, {page.where} is {what}")
        return {0: players.of_film(page)} if own is None else players.of_serial(page, own)

    def check(self, answer: Answer) -> None:
        """Raises for what is neither a title nor a list; looks for content before it looks for error words."""
        signs.check_status(answer, self.display_name)
        if not signs.is_whole(answer.text):
            self._explain(answer.text)
            raise SiteUnavailable(f"{self.display_name} sent a page that is empty or cut short")
        page = Page(answer.text, answer.url)
        wants_title = bool(slug_of(_path(answer.url)))
        if page.has(*_TITLE) or (page.has("#dle-content", _CARDS) and not wants_title):
            return
        own = page.has("#dle-content", _CARDS, *_SEARCH_FORM)
        words = page.text()
        if own and not wants_title and (_NO_HITS.search(words) or _REFUSED.search(words)):
            return
        self._explain(answer.text)
        if own and wants_title and page.has(*_MESSAGE):
            raise NotFound(f"{self.display_name} has nothing at {shorten(_path(answer.url), 160)}")
        raise LayoutChanged(f"unexpected page at {page.where} (domain moved?)")

    def _explain(self, text: str) -> None:
        """Raises for a page without content whose words say why."""
        if signs.is_challenge(text):
            raise Blocked(f"{self.display_name} asks for a browser check")
        if len(text) <= _LONGEST_GATE and "location.replace" in text and "yg=token" in text:
            raise Blocked(f"{self.display_name} has a site gate: it lets in browsers only")
        if signs.is_maintenance(text):
            raise SiteUnavailable(f"{self.display_name} is under maintenance")

    def read_play_link(self, answer: Answer, base_url: str) -> str:
        raise LayoutChanged(f"{self.display_name} has no play links: its pages name the hosts")

    def suggest_paths(self, term: str) -> tuple[str, ...]:
        """The site's own search, first page. None for what it is known to refuse."""
        term = " ".join(term.split())[:_LONGEST_TERM]
        if len(term) < _SHORTEST_TERM:
            return ()
        fixed = "do=search&subaction=search&search_start=&full_search=0&result_from="
        return (f"/index.php?{fixed}&story={quote_plus(term)}",)

    def parse_suggest(self, answer: Answer) -> tuple[IndexEntry, ...]:
        """The titles found; raises SiteError when the site refused to search."""
        page = Page(answer.text, answer.url)
        cards = list(page.all(f"#dle-content {_CARDS}"))
        if not cards:
            words = page.text()
            if found := _REFUSED.search(words):
                raise SiteError(f"{self.display_name} says: {shorten(words[found.start() :], 160)}")
            if _NO_HITS.search(words):
                return ()
            cards = list(page.all(_CARDS)) if not page.has("#dle-content") else []
        found_titles: dict[str, IndexEntry] = {}
        for card in cards:
            if slug := slug_of(_path(value_of(card, "href"))):
                heading = card.select_one(".poster__title")
                name = _without_season(value_of(heading)) if heading else ""
                found_titles.setdefault(slug, IndexEntry(slug, name or name_of(slug)))
        if not found_titles and not page.has("#dle-content", _CARDS):
            raise LayoutChanged(f"nothing at «#dle-content» or «{_CARDS}» on {page.where}")
        return tuple(found_titles.values())

    def recent_path(self) -> str:
        return "/films/"

    def parse_recent(self, answer: Answer) -> tuple[RecentEpisode, ...]:
        """The newest films. A card of a serial does not say which of its episodes is new."""
        page = Page(answer.text, answer.url)
        page.element("#dle-content")
        slugs = [
            slug
            for href in page.each(f"#dle-content {_CARDS}", "href")
            if (slug := slug_of(_path(href))) and self.own_season(slug) is None
        ]
        german = frozenset({GERMAN_DUB})
        return tuple(RecentEpisode(slug, 0, 0, german) for slug in dict.fromkeys(slugs))


class _Head:
    """Chunks as they come, with the first of them kept: a page in place of a map says at its top why it came."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._head = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._head += chunk[: _HEAD_BYTES - len(self._head)]
            yield chunk

    def text(self) -> str:
        """The beginning of the document, read further where too little of it was wanted so far."""
        for _ in self:
            if len(self._head) >= _HEAD_BYTES:
                break
        return self._head.decode(errors="replace")


def slug_of(path: str) -> str:
    """The slug that a path of the site leads to, percent-decoded once; empty for any other path."""
    found = _TITLE_PATH.fullmatch(path.partition("?")[0])
    slug = unquote(found.group(1), errors="replace") if found else ""
    return slug if _SLUG.fullmatch(slug) else ""


def name_of(slug: str) -> str:
    """A name made of a slug's words, without its number and its season; umlauts stay as the slug writes them."""
    words = _SLUG_SEASON.sub("", slug).partition("-")[2]
    return " ".join(word.capitalize() for word in words.split("-") if word) or slug


def _title_page(answer: Answer) -> Page:
    page = Page(answer.text, answer.url)
    if not page.has(*_TITLE):
        if not slug_of(_path(answer.url)) and page.has(_CARDS):
            raise NotFound(f"the title's address leads to {page.where}, which is a list")
        raise LayoutChanged(f"nothing at «{', '.join(_TITLE)}» on {page.where}")
    _name(page)
    return page


def _name(page: Page) -> str:
    written = page.maybe("meta[itemprop=name]", "content") or page.maybe("article h1")
    return (written or page.must("h1"))[:_LONGEST_NAME]


def _without_season(name: str) -> str:
    return _NAME_SEASON.sub("", name[:_LONGEST_NAME])


def _season(page: Page, url: str) -> int | None:
    """The one season that a serial's page is about; None for a film."""
    canonical = _path(page.maybe("link[rel=canonical]", "href") or "")
    paths = (_path(url), canonical)
    marks = [_NAME_SEASON.search(_name(page)), *(_SLUG_SEASON.search(slug_of(p)) for p in paths)]
    for mark in marks:
        if mark is not None:
            return _number(mark)
    category = (page.maybe("div.pmovie__genres") or "").casefold()
    in_folder = any(path.startswith("/serials/") for path in paths)
    if not (in_folder or category.startswith("serie") or page.has(*_SERIAL)):
        return None
    named = players.seasons(page)
    return named[0] if len(named) == 1 and named[0] else 1


def _number(mark: re.Match[str]) -> int:
    """The season of a mark; a season 0 would be a film's."""
    return int(mark.group(1) or mark.group(2)) or 1


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
