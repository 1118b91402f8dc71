"""The classic layout of series pages: AniWorld's, and that of the old s.to."""

import logging
import re
from collections.abc import Iterable, Mapping

from bs4.element import Tag

from catalogue.errors import LayoutChanged, NotFound
from catalogue.sites import classic_index
from catalogue.sites.base import EpisodeFacts, EpisodePage, HostLink, TitleFacts
from catalogue.sites.languages import LanguageWords, image_name
from catalogue.sites.links import path_of, season_of
from catalogue.sites.moments import published
from catalogue.sites.page import Page, number_of, value_of

log = logging.getLogger(__name__)

CONTENT = (
    "div.series-title",
    "table.seasonEpisodesList",
    "div.changeLanguageBox",
    'li[class*="episodeLink"]',
    "span.episodeGermanTitle",
    "#seriesContainer",
    "div.newEpisodeList",
)
"""One of these stands on every page that is worth reading."""
RECENT = "div.newEpisodeList"

_EPISODE_SIGNS = (
    "div.changeLanguageBox",
    "div.hosterSiteVideo",
    "span.episodeGermanTitle",
    "small.episodeEnglishTitle",
)
_ROWS = "table.seasonEpisodesList tbody tr"
_PLAY_PATH = re.compile(r"/redirect/[A-Za-z0-9_-]{1,200}")


def parse_title(page: Page) -> TitleFacts:
    heading = "div.series-title h1"
    name = page.maybe(f"{heading}[itemprop=name] > span") or page.must(f"{heading} span")
    page.element("#stream")
    links = page.each("#stream > ul:first-of-type li a", "href")
    seasons = {season for link in links if (season := season_of(link)) is not None}
    if links and not seasons:
        raise LayoutChanged(f"no season link at «#stream > ul:first-of-type li a» on {page.where}")
    imdb = page.maybe("a.imdb-link", "data-imdb") or ""
    return TitleFacts(
        name=name,
        alternatives=classic_index.split_alternatives(
            page.maybe(heading, "data-alternativetitles") or ""
        ),
        year=number_of(page.maybe("span[itemprop=startDate]"), r"\b(\d{4})\b"),
        end_year=number_of(page.maybe("span[itemprop=endDate]"), r"\b(\d{4})\b"),
        imdb_id=imdb if re.fullmatch(r"tt\d{6,10}", imdb, re.ASCII) else None,
        description=page.maybe("p.seri_des", "data-full-description") or page.maybe("p.seri_des"),
        cover=page.maybe("div.seriesCoverBox img", "data-src")
        or page.maybe("div.seriesCoverBox img", "src"),
        genres=tuple(page.each("div.genres li a[itemprop=genre]")),
        seasons=tuple(sorted(seasons)),
    )


def parse_season(page: Page, season: int, words: LanguageWords) -> tuple[EpisodeFacts, ...]:
    """The rows in page order; NotFound when the page shows another season."""
    page.element("table.seasonEpisodesList")
    shown = page.maybe("table.seasonEpisodesList tbody", "id") or ""
    number = number_of(shown, r"^season(\d+)$")
    films = season == 0 and page.has('table.seasonEpisodesList a[href*="/film-"]')
    if number is not None and number != season and not films:
        raise NotFound(f"asked for season {season}, {page.where} shows season {number}")
    rows = list(page.all(_ROWS))
    facts = {fact.episode: fact for row in rows if (fact := _row(row, season, words))}
    if rows and not facts:
        raise LayoutChanged(f"no episode number in any of «{_ROWS}» on {page.where}")
    if len(facts) < len(rows):
        log.debug("%d of %d rows used on %s", len(facts), len(rows), page.where)
    return tuple(facts.values())


def _row(row: Tag, season: int, words: LanguageWords) -> EpisodeFacts | None:
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
        languages=_languages(row.select("td.editFunctions img.flag"), words),
    )


def parse_episode(page: Page, words: LanguageWords) -> EpisodePage:
    if not page.has(*_EPISODE_SIGNS):
        raise LayoutChanged(f"nothing at «{', '.join(_EPISODE_SIGNS)}» on {page.where}")
    labels = _label_of_key(page, words)
    items = list(page.all('li[class*="episodeLink"]'))
    links = [link for item in items if (link := _host_link(item, labels, words))]
    if items and not any(_play_path(item) for item in items):
        raise LayoutChanged(
            f"no play link at «li[class*=episodeLink]» with «data-link-target» on {page.where}"
        )
    return EpisodePage(
        german_title=page.maybe("span.episodeGermanTitle") or "",
        english_title=page.maybe("small.episodeEnglishTitle") or "",
        links=tuple(links),
        published_at=published(page.text()),
    )


def languages_beside(link: Tag, words: LanguageWords) -> frozenset[str]:
    """The languages in the row of the list of recent episodes that the link stands in."""
    row = link.find_parent(class_="row")
    return _languages(row.select("img.flag") if row else (), words)


def _label_of_key(page: Page, words: LanguageWords) -> Mapping[str, str]:
    """Key → label as this page's own selector says; the site's usual keys where it has no selector."""
    buttons = list(page.all("div.changeLanguageBox img[data-lang-key]"))
    if not buttons:
        return words.keys
    return {
        value_of(button, "data-lang-key"): label
        for button in buttons
        if (label := words.of_flag(image_name(button)))
    }


def _host_link(item: Tag, labels: Mapping[str, str], words: LanguageWords) -> HostLink | None:
    key, path = value_of(item, "data-lang-key"), _play_path(item)
    heading, icon = item.select_one("h4"), item.select_one("i.icon[title]")
    host = value_of(heading) if heading else ""
    if not host and icon:
        host = value_of(icon, "title").removeprefix("Hoster ")
    label = words.look_up("key", labels, key)
    return HostLink(label, host, path) if label and host and path else None


def _languages(flags: Iterable[Tag], words: LanguageWords) -> frozenset[str]:
    return frozenset(label for flag in flags if (label := words.of_flag(image_name(flag))))


def _play_path(item: Tag) -> str:
    """The play link's path. A link elsewhere keeps its path only: nothing leaves the configured site."""
    watch = item.select_one("a.watchEpisode[href]")
    for target in (value_of(item, "data-link-target"), value_of(watch, "href") if watch else ""):
        if _PLAY_PATH.fullmatch(path := path_of(target)):
            return path
    return ""
