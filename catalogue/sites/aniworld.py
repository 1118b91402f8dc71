"""AniWorld: the classic layout. Dubs are told from subtitles by the flag's file name, never by its title."""

import logging
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar
from urllib.parse import quote, urljoin, urlsplit
from zoneinfo import ZoneInfo

from bs4.element import Tag

from anibridge.lib.text import shorten
from catalogue.errors import Blocked, LayoutChanged, NotFound, SiteError, SiteUnavailable
from catalogue.sites import classic_index, signs
from catalogue.sites.base import (
    ENGLISH_DUB,
    ENGLISH_SUB,
    GERMAN_DUB,
    GERMAN_SUB,
    Answer,
    EpisodeFacts,
    EpisodePage,
    HostLink,
    IndexEntry,
    RecentEpisode,
    SiteAdapter,
    TitleFacts,
)
from catalogue.sites.page import Page, number_of, value_of

log = logging.getLogger(__name__)

BERLIN = ZoneInfo("Europe/Berlin")

_CONTENT = (
    "div.series-title",
    "table.seasonEpisodesList",
    "div.changeLanguageBox",
    'li[class*="episodeLink"]',
    "span.episodeGermanTitle",
    "#seriesContainer",
    "div.newEpisodeList",
)
_EPISODE_SIGNS = (
    "div.changeLanguageBox",
    "div.hosterSiteVideo",
    "span.episodeGermanTitle",
    "small.episodeEnglishTitle",
)
_ROWS = "table.seasonEpisodesList tbody tr"
_SEASON_LINK = re.compile(r"/(?:staffel-(\d{1,5})|(filme))/?$", re.ASCII)
_EPISODE_LINK = re.compile(
    r"/(?:staffel-(\d{1,5})/episode-(\d{1,5})|filme/film-(\d{1,5}))/?$", re.ASCII
)
_PLAY_PATH = re.compile(r"/redirect/[A-Za-z0-9_-]{1,200}")
_PUBLISHED = re.compile(
    r"Veröffentlicht.{0,60}?(\d{1,2})\.(\d{1,2})\.(\d{4}),?\s+(\d{1,2}):(\d{2})\s*Uhr", re.ASCII
)
_HEAD_BYTES = 65536
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_OWN_PATHS = re.compile(
    r"/(?:$|(?:anime|animes|animes-alphabet|redirect|login|registrierung|account|captcha|support|search|ajax|"
    r"genre|katalog|neue-episoden|beliebte-animes|user|dmca)(?:/|$))"
)


class AniWorld(SiteAdapter):
    """AniWorld's classic layout. Call `check` on an answer before `parse_…`: it tells why a page is not one."""

    key = "aniworld"
    display_name = "AniWorld"
    base_urls: ClassVar[tuple[str, ...]] = ("https://aniworld.to",)
    release_group = "ANIWORLD"
    original_language = "Japanese"
    languages: ClassVar[tuple[str, ...]] = (GERMAN_DUB, GERMAN_SUB, ENGLISH_SUB, ENGLISH_DUB)
    # Opaque, percent-decoded: letters of any script and what may stand in a path segment; no «%», «/» or «..».
    slug_pattern = re.compile(r"(?!\.)(?!.*\.\.)[\w\-.~!'()*,;:@&=+$]{1,200}")

    prefix: ClassVar[str] = "/anime/stream/"
    flags: ClassVar[dict[str, str]] = {
        "german": GERMAN_DUB,
        "japanese-english": ENGLISH_SUB,
        "japanese-german": GERMAN_SUB,
        "english": ENGLISH_DUB,
    }
    language_keys: ClassVar[dict[str, str]] = {
        "1": GERMAN_DUB,
        "2": ENGLISH_SUB,
        "3": GERMAN_SUB,
        "4": ENGLISH_DUB,
    }

    def index_path(self) -> str:
        return "/animes-alphabet"

    def parse_index(self, chunks: Iterable[bytes]) -> Iterator[IndexEntry]:
        """Each title once, after the page has arrived whole; a title listed twice is merged into one."""
        return classic_index.parse(
            self._watched(chunks),
            prefix=self.prefix,
            slug_pattern=self.slug_pattern,
            where=f"{self.display_name}'s index {self.index_path()}",
        )

    def _watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks as they come; at the end Blocked or SiteUnavailable if they were another page that says so."""
        head, tail, listed, prefix = b"", b"", False, self.prefix.encode()
        for chunk in chunks:
            head += chunk[: _HEAD_BYTES - len(head)]
            listed = listed or prefix in tail + chunk
            tail = chunk[-len(prefix) :]
            yield chunk
        if not listed:
            self._explain(head.decode(errors="replace"))

    def title_path(self, slug: str) -> str:
        return self.prefix + quote(self.check_slug(slug), safe="-._~!'()*,;:@&=+$")

    def parse_title(self, answer: Answer) -> TitleFacts:
        page = Page(answer.text, answer.url)
        heading = "div.series-title h1"
        name = page.maybe(f"{heading}[itemprop=name] > span") or page.must(f"{heading} span")
        page.element("#stream")
        links = page.each("#stream > ul:first-of-type li a", "href")
        found = [match for link in links if (match := _SEASON_LINK.search(_path(link)))]
        if links and not found:
            raise LayoutChanged(
                f"no season link at «#stream > ul:first-of-type li a» on {page.where}"
            )
        imdb = page.maybe("a.imdb-link", "data-imdb") or ""
        return TitleFacts(
            name=name,
            alternatives=classic_index.split_alternatives(
                page.maybe(heading, "data-alternativetitles") or ""
            ),
            year=number_of(page.maybe("span[itemprop=startDate]"), r"\b(\d{4})\b"),
            end_year=number_of(page.maybe("span[itemprop=endDate]"), r"\b(\d{4})\b"),
            imdb_id=imdb if re.fullmatch(r"tt\d{6,10}", imdb, re.ASCII) else None,
            description=page.maybe("p.seri_des", "data-full-description")
            or page.maybe("p.seri_des"),
            cover=page.maybe("div.seriesCoverBox img", "data-src")
            or page.maybe("div.seriesCoverBox img", "src"),
            genres=tuple(page.each("div.genres li a[itemprop=genre]")),
            seasons=tuple(sorted({int(match.group(1) or 0) for match in found})),
        )

    def season_path(self, slug: str, season: int) -> str:
        return self.title_path(slug) + (f"/staffel-{season:d}" if season else "/filme")

    def parse_season(self, answer: Answer, season: int) -> tuple[EpisodeFacts, ...]:
        page = Page(answer.text, answer.url)
        page.element("table.seasonEpisodesList")
        shown = page.maybe("table.seasonEpisodesList tbody", "id") or ""
        number = number_of(shown, r"^season(\d+)$")
        films = season == 0 and page.has('table.seasonEpisodesList a[href*="/film-"]')
        if number is not None and number != season and not films:
            raise NotFound(f"asked for season {season}, {page.where} shows season {number}")
        rows = list(page.all(_ROWS))
        facts = {fact.episode: fact for row in rows if (fact := self._row(row, season))}
        if rows and not facts:
            raise LayoutChanged(f"no episode number in any of «{_ROWS}» on {page.where}")
        if len(facts) < len(rows):
            log.debug("%d of %d rows used on %s", len(facts), len(rows), page.where)
        return tuple(facts.values())

    def _row(self, row: Tag, season: int) -> EpisodeFacts | None:
        meta = row.select_one("meta[itemprop=episodeNumber]")
        number = number_of(value_of(meta, "content")) if meta else None
        if number is None:
            number = number_of(value_of(row, "data-episode-season-id"))
        for link in row.select("a[href]") if number is None else ():
            number = number_of(value_of(link, "href"), r"/(?:film|episode)-(\d+)")
            if number is not None:
                break
        if number is None:
            return None
        german = row.select_one("td.seasonEpisodeTitle strong")
        english = row.select_one("td.seasonEpisodeTitle span")
        return EpisodeFacts(
            season=season,
            episode=number,
            german_title=value_of(german) if german else "",
            english_title=value_of(english) if english else "",
            languages=self._languages(row.select("td.editFunctions img.flag")),
        )

    def episode_path(self, slug: str, season: int, episode: int) -> str:
        kind = "episode" if season else "film"
        return f"{self.season_path(slug, season)}/{kind}-{episode:d}"

    def parse_episode(self, answer: Answer) -> EpisodePage:
        page = Page(answer.text, answer.url)
        if not page.has(*_EPISODE_SIGNS):
            raise LayoutChanged(f"nothing at «{', '.join(_EPISODE_SIGNS)}» on {page.where}")
        keys = self._language_map(page)
        items = list(page.all('li[class*="episodeLink"]'))
        links = [link for item in items if (link := self._host_link(item, keys))]
        if items and not any(_play_path(item) for item in items):
            raise LayoutChanged(
                f"no play link at «li[class*=episodeLink]» with «data-link-target» on {page.where}"
            )
        return EpisodePage(
            german_title=page.maybe("span.episodeGermanTitle") or "",
            english_title=page.maybe("small.episodeEnglishTitle") or "",
            links=tuple(links),
            published_at=_published(page.text()),
        )

    def _language_map(self, page: Page) -> dict[str, str]:
        """Key → label as this page's own selector says; the site's usual keys where it has no selector."""
        buttons = list(page.all("div.changeLanguageBox img[data-lang-key]"))
        if not buttons:
            return self.language_keys
        return {
            value_of(button, "data-lang-key"): label
            for button in buttons
            if (label := self._label(button))
        }

    def _host_link(self, item: Tag, keys: dict[str, str]) -> HostLink | None:
        key, path = value_of(item, "data-lang-key"), _play_path(item)
        heading, icon = item.select_one("h4"), item.select_one("i.icon[title]")
        host = value_of(heading) if heading else ""
        if not host and icon:
            host = value_of(icon, "title").removeprefix("Hoster ")
        if key not in keys:
            _log_once(f"{self.display_name}: unknown language key «{shorten(key, 40)}»")
            return None
        return HostLink(keys[key], host, path) if host and path else None

    def _languages(self, flags: Iterable[Tag]) -> frozenset[str]:
        return frozenset(label for flag in flags if (label := self._label(flag)))

    def _label(self, flag: Tag) -> str | None:
        source = value_of(flag, "src")
        if source.startswith("data:") or not source:
            source = value_of(flag, "data-src")
        name = _path(source).rpartition("/")[2].partition(".")[0].lower()
        if name not in self.flags:
            _log_once(f"{self.display_name}: unknown language flag «{shorten(name, 40)}»")
        return self.flags.get(name)

    def recent_path(self) -> str | None:
        return "/neue-episoden"

    def parse_recent(self, answer: Answer) -> tuple[RecentEpisode, ...]:
        page = Page(answer.text, answer.url)
        found: dict[tuple[str, int, int], RecentEpisode] = {}
        for link in page.all(f'a[href*="{self.prefix}"]'):
            path = _path(value_of(link, "href"))
            match = _EPISODE_LINK.search(path)
            slug = classic_index.slug_of(path[: match.start()], self.prefix) if match else ""
            if match is None or not self.slug_pattern.fullmatch(slug):
                continue
            season, episode = int(match.group(1) or 0), int(match.group(2) or match.group(3))
            row = link.find_parent(class_="row")
            languages = self._languages(row.select("img.flag") if row else ())
            found.setdefault(
                (slug, season, episode), RecentEpisode(slug, season, episode, languages)
            )
        if not found and not page.has("div.newEpisodeList"):
            raise LayoutChanged(f"no episode link and no «div.newEpisodeList» on {page.where}")
        return tuple(found.values())

    def check(self, answer: Answer) -> None:
        """Raises for what is not a page of titles or episodes; looks for content before it looks for error words."""
        signs.check_status(answer, self.display_name)
        if not signs.is_whole(answer.text):
            if signs.is_challenge(answer.text):
                raise Blocked(f"{self.display_name} asks for a browser check")
            raise SiteUnavailable(f"{self.display_name} sent a page that is empty or cut short")
        page = Page(answer.text, answer.url)
        if page.has(*_CONTENT):
            return
        if message := page.maybe("div.messageAlert.danger"):
            raise NotFound(f"{self.display_name} says: {shorten(message, 160)}")
        self._explain(answer.text, page)
        path = _path(answer.url)
        own = page.has('header a[href^="/anime"]', 'nav a[href^="/anime"]', 'a[href="/animes"]')
        if own and (_SEASON_LINK.search(path) or _EPISODE_LINK.search(path)):
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
        """The host's URL. A host may share the catalogue's address, so host and path decide what is the site's own."""
        if answer.status in (301, 302, 303, 307, 308):
            return self._target(answer, base_url)
        signs.check_status(answer, self.display_name)
        if signs.is_challenge(answer.text):
            raise Blocked(f"{self.display_name} asks for a browser check before it plays")
        if signs.wants_confirmation(answer.text):
            raise Blocked("link needs manual confirmation")
        raise LayoutChanged(f"the play link answered HTTP {answer.status} and led nowhere")

    def _target(self, answer: Answer, base_url: str) -> str:
        location = answer.headers.get("location", "").strip().replace(" ", "%20")
        if not location or _UNPRINTABLE.search(location):
            raise LayoutChanged("the play link redirects to no address")
        try:
            target = urljoin(answer.url or base_url, location)
            parts, address = urlsplit(target), _address(target)
            own = {_address(base_url), _address(answer.url)}
        except ValueError as error:
            raise LayoutChanged("the play link redirects to no address") from error
        if parts.scheme not in ("http", "https") or address is None:
            raise LayoutChanged("the play link redirects to no address")
        if address in own:
            if signs.wants_confirmation(parts.path) or "/login" in parts.path:
                raise Blocked("link needs manual confirmation")
            if _OWN_PATHS.match(parts.path or "/"):
                raise SiteError("the play link leads back to the catalogue")
        return target


def _is_scaffolding(tag: Tag) -> bool:
    return tag.name in ("header", "nav", "footer") or "modal" in value_of(tag, "class").split()


def _address(url: str) -> tuple[str, int] | None:
    """Host and port, so that two spellings of one address are equal; None for what has no host."""
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    return parts.hostname.removeprefix("www."), parts.port or (
        80 if parts.scheme == "http" else 443
    )


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _play_path(item: Tag) -> str:
    """The play link's path. A link elsewhere keeps its path only: nothing leaves the configured site."""
    watch = item.select_one("a.watchEpisode[href]")
    for target in (value_of(item, "data-link-target"), value_of(watch, "href") if watch else ""):
        if _PLAY_PATH.fullmatch(path := _path(target)):
            return path
    return ""


def _published(text: str) -> datetime | None:
    """When the page says it was published, on Berlin's clock, as UTC."""
    if (found := _PUBLISHED.search(text)) is None:
        return None
    day, month, year, hour, minute = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _log_once(message: str) -> None:
    log.warning("%s; its links are left out", message)
