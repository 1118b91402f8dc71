"""The newer layout of series pages: s.to's, and perhaps AniWorld's one day."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urljoin, urlsplit

from bs4.element import Tag

from catalogue.errors import LayoutChanged, NotFound
from catalogue.sites.base import EpisodeFacts, EpisodePage, HostLink, TitleFacts
from catalogue.sites.languages import LanguageWords, icon_name
from catalogue.sites.links import address_of, episode_of, season_of
from catalogue.sites.moments import published
from catalogue.sites.page import Page, number_of, value_of
from catalogue.sites.playlink import TOKEN_PATH

CONTENT = (
    "nav#season-nav",
    "nav#episode-nav",
    "table.episode-table",
    "#episode-links",
    "button[data-play-url]",
    "li.series-item",
)
"""One of these stands on every page that is worth reading, but for the list of recent episodes."""

_TITLE = "h1.h2.mb-1.fw-bold"
_PILLS = "nav#season-nav a[href]"
_TABLE = "table.episode-table"
_BUTTONS = (
    "#episode-links button.link-box, #episode-links .link-wrapper > button, button[data-play-url]"
)
_HEADING = re.compile(r"S\d{1,5}E\d{1,5}\s*:\s*(.*)", re.ASCII)
_YEARS = re.compile(r"\b\d{4}\s*[-–]\s*(\d{4})\b", re.ASCII)
_QUOTED = re.compile(r"""["']([^"']{1,2000})["']""")
_PRINTABLE = re.compile(r"[!-\[\]-~]{1,4000}")
_CLASSIC_PLAY_PATH = re.compile(r"/redirect/[A-Za-z0-9_-]{1,200}")
_COVER = "/media/images/channel/"


def is_written_in(page: Page) -> bool:
    """Whether this page is in the newer layout. Asked of each page: a site may be half-way between the two."""
    return page.has(*CONTENT)


def parse_title(page: Page) -> TitleFacts:
    name = page.maybe(_TITLE) or page.must("h1.fw-bold")
    page.element("nav#season-nav")
    pills = list(page.all(_PILLS))
    seasons = {number for pill in pills if (number := _season_of(pill)) is not None}
    if pills and not seasons:
        raise LayoutChanged(f"no season link at «{_PILLS}» on {page.where}")
    start = page.first('p.small.text-muted.mb-2 a[href*="/jahr/"]')
    line = start.find_parent("p") if start else None
    end = _YEARS.search(value_of(line)) if line else None
    imdb = re.search(
        r"/title/(tt\d{6,10})\b", page.maybe('a[href*="imdb.com/title/"]', "href") or "", re.ASCII
    )
    return TitleFacts(
        name=name,
        year=number_of(value_of(start) if start else None, r"\b(\d{4})\b"),
        end_year=int(end.group(1)) if end else None,
        imdb_id=imdb.group(1) if imdb else None,
        description=page.maybe("span.description-text"),
        cover=page.maybe(f'img[data-src*="{_COVER}"]', "data-src")
        or page.maybe(f'img[src*="{_COVER}"]', "src"),
        genres=_group(page, "Genre"),
        seasons=tuple(sorted(seasons)),
    )


def _season_of(pill: Tag) -> int | None:
    season = season_of(value_of(pill, "href"))
    return season if season is not None else number_of(value_of(pill, "data-season-pill"), r"^\d+$")


def _group(page: Page, label: str) -> tuple[str, ...]:
    """The names behind a label. Those that the page hides until they are asked for count as well."""
    for group in page.all("li.series-group"):
        heading = group.select_one("strong")
        if heading and value_of(heading).startswith(label):
            names = (value_of(link) for link in group.select("a.link-light"))
            return tuple(dict.fromkeys(name for name in names if name))
    return ()


def parse_season(page: Page, season: int, words: LanguageWords) -> tuple[EpisodeFacts, ...]:
    """The rows in page order; NotFound when the page shows another season."""
    page.element(_TABLE)
    rows = list(page.all(f"{_TABLE} tbody tr"))
    facts: dict[int, EpisodeFacts] = {}
    others: set[int] = set()
    unread = 0
    for row in rows:
        shown, number = _place(row)
        if shown is not None and shown != season:
            others.add(shown)
        elif number is not None:
            facts.setdefault(number, _row(row, season, number, words))
        else:
            # A row of words in place of episodes says that there are none yet.
            unread += row.has_attr("onclick") or "episode-row" in value_of(row, "class").split()
    if others and not facts:
        raise NotFound(f"asked for season {season}, {page.where} shows season {min(others)}")
    if unread and not facts:
        raise LayoutChanged(f"no episode number in any of «{_TABLE} tbody tr» on {page.where}")
    return tuple(facts.values())


def _place(row: Tag) -> tuple[int | None, int | None]:
    """(season, episode) of a row: by its link, else by what its first cell says."""
    clicked = _QUOTED.search(value_of(row, "onclick"))
    links = [clicked.group(1)] if clicked else []
    links += [value_of(link, "href") for link in row.select("a[href]")]
    for link in links:
        if (place := episode_of(link)) is not None:
            return place
    cell = row.select_one(".episode-number-cell")
    return None, number_of(value_of(cell)) if cell else None


def _row(row: Tag, season: int, number: int, words: LanguageWords) -> EpisodeFacts:
    german, english = row.select_one(".episode-title-ger"), row.select_one(".episode-title-eng")
    return EpisodeFacts(
        season=season,
        episode=number,
        german_title=value_of(german) if german else "",
        english_title=value_of(english) if english else "",
        languages=_languages(row.select(".episode-language-cell :is(svg, img)"), words),
    )


def parse_episode(page: Page, words: LanguageWords, page_url: str) -> EpisodePage:
    """The links of every language. Raises NotFound for the table of a season that came in the episode's place."""
    buttons = list(page.all(_BUTTONS))
    if not buttons and not page.has("#episode-links"):
        if page.has(_TABLE):
            raise NotFound(f"{page.where} shows a season and no episode")
        raise LayoutChanged(f"nothing at «#episode-links» on {page.where}")
    german, english = _titles(page)
    links: dict[HostLink, None] = {}
    playable = False
    for button in buttons:
        path = play_path(value_of(button, "data-play-url"), page_url)
        host, language = value_of(button, "data-provider-name"), _language(button, words)
        playable = playable or bool(path)
        if path and host and language:
            links[HostLink(language, host, path)] = None
    if buttons and not playable:
        raise LayoutChanged(
            f"no play link of the site's own at «button» with «data-play-url» on {page.where}"
        )
    return EpisodePage(german, english, tuple(links), published(page.text()))


def _titles(page: Page) -> tuple[str, str]:
    for heading in page.all("h1, h2, h3"):
        if found := _HEADING.match(value_of(heading)):
            return split_heading(found.group(1))
    return "", ""


def split_heading(text: str) -> tuple[str, str]:
    """«German (English)» as two titles, either of which may hold parentheses of its own.

    A best guess: the season's table has the two apart.
    """
    text = text.strip()
    if not text.endswith(")"):
        return text, ""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if depth == 0:
            return text[:place].strip(), text[place + 1 : -1].strip()
    german, bracket, english = text.rpartition(" (")
    return (german.strip(), english[:-1].strip()) if bracket else (text, "")


def _language(button: Tag, words: LanguageWords) -> str | None:
    """By the flag in the button, else by its id, else by its label: the first that is there decides.

    A label alone says least: a site's subtitles may be called what another's dub is called.
    """
    for name in map(icon_name, button.select("svg, img")):
        if name:
            return words.of_flag(name)
    if key := value_of(button, "data-language-id"):
        return words.of_key(key)
    return words.of_label(value_of(button, "data-language-label"))


def languages_beside(link: Tag, words: LanguageWords) -> frozenset[str]:
    """The languages in the item of the list of recent episodes that the link stands in, and no other link."""
    item = link.find_parent(["li", "tr", "article"]) or link
    places = {episode_of(value_of(other, "href")) for other in item.select("a[href]")} - {None}
    return _languages((item if len(places) == 1 else link).select("svg, img"), words)


def _languages(icons: Iterable[Tag], words: LanguageWords) -> frozenset[str]:
    names = filter(None, map(icon_name, icons))
    return frozenset(label for name in names if (label := words.of_flag(name)))


def play_path(url: str, page_url: str) -> str:
    """The path and token of a play link on the page's own host; empty for a link that leaves it, or is none.

    The token is opaque: it comes out letter by letter as it stands on the page.
    """
    if not _PRINTABLE.fullmatch(url):
        return ""
    try:
        target = urljoin(page_url, url)
        parts = urlsplit(target)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not _same_host(target, page_url):
        return ""
    if _CLASSIC_PLAY_PATH.fullmatch(parts.path):
        return parts.path
    tokens = [value for name, value in parse_qsl(parts.query) if name == "t"]
    return f"{TOKEN_PATH}?{parts.query}" if parts.path == TOKEN_PATH and tokens else ""


def _same_host(one: str, other: str) -> bool:
    """Also between http and https: behind a proxy, a site may not know that it is read over the latter."""
    first, second = address_of(one), address_of(other)
    if first is None or second is None:
        return False
    usual = {80, 443}
    return first[0] == second[0] and (first[1] == second[1] or {first[1], second[1]} <= usual)
