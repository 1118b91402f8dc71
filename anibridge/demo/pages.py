"""The demo's pages in AniWorld's classic layout: a path in, an answer out, no network.

`Classic.respond` is the whole site but for the hosts and their videos. Where the site is known to answer 200 for
something that it does not have, so does this.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from anibridge.demo import covers
from anibridge.demo.model import (
    ENGLISH_DUB,
    ENGLISH_SUB,
    GERMAN_DUB,
    GERMAN_SUB,
    DemoCatalogue,
    Episode,
    Season,
    Title,
)
from anibridge.demo.titles import extra_titles

LANGUAGE_KEYS = {GERMAN_DUB: 1, ENGLISH_SUB: 2, GERMAN_SUB: 3, ENGLISH_DUB: 4}
_FLAGS = {
    GERMAN_DUB: ("german", "Deutsch/German"),
    # The real page titles this flag just «Englisch»: only the file name tells subtitles from a dub.
    ENGLISH_SUB: ("japanese-english", "Englisch"),
    GERMAN_SUB: ("japanese-german", "mit deutschem Untertitel"),
    ENGLISH_DUB: ("english", "Englisch"),
}
_LABELS = {"director": "Regisseure", "actor": "Schauspieler", "creator": "Produzenten"}
_PREFIX = "/anime/stream/"

ORIGIN = "http://origin.invalid"
"""Stands in a reply for the scheme and host that were asked, where the real pages write a link out in full."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; a `Location` header may be a path, and the body may hold ORIGIN. A `picture` is sent instead of it."""

    body: str
    status: int = 200
    content_type: str = "text/html"
    headers: Mapping[str, str] = field(default_factory=dict)
    picture: bytes = b""


class Layout(Protocol):
    """A site's pages."""

    def respond(self, method: str, path: str, query: Mapping[str, str]) -> Reply:
        """The answer to any request below the site's root; `query` holds form fields too."""


def esc(text: object) -> str:
    """Safe in text and in attributes, with the entities that the real pages use."""
    return html.escape(str(text)).replace("&#x27;", "&#039;")


def season_path(slug: str, season: int) -> str:
    return f"{_PREFIX}{slug}/" + (f"staffel-{season}" if season else "filme")


def episode_path(slug: str, season: int, episode: int) -> str:
    return season_path(slug, season) + (f"/episode-{episode}" if season else f"/film-{episode}")


class Classic:
    """The classic layout over a catalogue; `extra` generated titles stand in the index and nowhere else."""

    def __init__(self, catalogue: DemoCatalogue, extra: int = 0) -> None:
        self.catalogue = catalogue
        self.extra = extra
        self._routes: tuple[tuple[str, re.Pattern[str], Callable[..., Reply]], ...] = tuple(
            (method, re.compile(pattern, re.ASCII), handler)
            for method, pattern, handler in (
                ("GET", r"/", self._home),
                ("GET", r"/animes-alphabet|/animes", self._index),
                ("GET", r"/neue-episoden", self._recent),
                ("GET", r"/anime/stream/([^/]+)/?", self._title),
                ("GET", r"/anime/stream/([^/]+)/staffel-(\d{1,5})/?", self._season),
                ("GET", r"/anime/stream/([^/]+)/filme/?", self._films),
                (
                    "GET",
                    r"/anime/stream/([^/]+)/staffel-(\d{1,5})/episode-(\d{1,5})",
                    self._episode,
                ),
                ("GET", r"/anime/stream/([^/]+)/filme/film-(\d{1,5})", self._film),
                ("GET", r"/redirect/(\d{1,12})", self._redirect),
                ("POST", r"/ajax/search", self._search),
                ("GET", r"/ajax/seriesSearch", self._series_search),
                ("GET", r"/public/img/([a-z-]+)\.svg", _flag),
                ("GET", r"/public/img/cover/([a-z0-9-]+)\.png", cover_of),
            )
        )

    def respond(self, method: str, path: str, query: Mapping[str, str]) -> Reply:
        method = "GET" if method == "HEAD" else method
        for allowed, pattern, handler in self._routes:
            if method == allowed and (found := pattern.fullmatch(path)):
                if allowed == "POST" or path.startswith("/ajax/"):
                    return handler(query)
                return handler(*found.groups())
        return Reply(document("Seite nicht gefunden", "<h1>404</h1>"), status=404)

    def _home(self) -> Reply:
        body = '<h1>Demo catalogue</h1><p>Open films, invented series, generated videos.</p><ul class="homeList">'
        for title in self.catalogue.titles.values():
            body += f'<li><a href="{_PREFIX}{esc(title.slug)}">{esc(title.name)}</a></li>'
        return Reply(document("Demo catalogue", body + "</ul>"))

    def _index(self) -> Reply:
        rows = [(t.slug, t.name, t.alternatives) for t in self.catalogue.titles.values()]
        rows.extend(extra_titles(self.extra))
        rows.sort(key=lambda row: (_letter(row[1]), row[1].casefold()))
        parts = []
        for letter, group in groupby(rows, key=lambda row: _letter(row[1])):
            items = "\n".join(_index_row(*row) for row in group)
            parts.append(
                f'<div class="genre"><div class="seriesGenreList"><h3>{letter}</h3></div><ul>\n{items}\n</ul></div>'
            )
        content = f'<div id="seriesContainer" class="seriesList">{"".join(parts)}</div>'
        return Reply(document("Alle Animes alphabetisch", content))

    def _recent(self) -> Reply:
        rows = []
        for title, season, episode in self.catalogue.recent():
            flags = "".join(_flag_image(language) for language in episode.languages)
            rows.append(
                f'<div class="row"><div class="col-md-12"><a href="{esc(episode_path(title.slug, season.number, episode.number))}">'
                f'<strong>{esc(title.name)}</strong> <span class="listTag bigListTag blue2">St.{season.number}</span> '
                f'<span class="listTag bigListTag blue1">Ep. {episode.number}</span></a> {flags}'
                f'<span class="elementFloatRight">{episode.published:%d.%m.%Y}</span></div></div>'
            )
        return Reply(
            document("Neue Episoden", f'<div class="newEpisodeList">{"".join(rows)}</div>')
        )

    def _title(self, slug: str) -> Reply:
        title = self.catalogue.titles.get(slug)
        if title is None:
            return unknown_series()
        first = next((s for s in title.seasons if s.number), title.seasons[0])
        return Reply(series_page(title, first))

    def _season(self, slug: str, number: str) -> Reply:
        title = self.catalogue.titles.get(slug)
        if title is None:
            return unknown_series()
        season = title.season(int(number)) if int(number) else None
        return Reply(series_page(title, season)) if season else nothing_here()

    def _films(self, slug: str) -> Reply:
        title = self.catalogue.titles.get(slug)
        if title is None:
            return unknown_series()
        films = title.season(0)
        if films is None:
            return Reply(document("Seite nicht gefunden", "<h1>404</h1>"), status=404)
        return Reply(series_page(title, films))

    def _episode(self, slug: str, season: str, number: str) -> Reply:
        title = self.catalogue.titles.get(slug)
        if title is None:
            return unknown_series()
        found = title.season(int(season))
        episode = found.episode(int(number)) if found else None
        if found is None or episode is None:
            return nothing_here()
        return Reply(episode_page(self.catalogue, title, found, episode))

    def _film(self, slug: str, number: str) -> Reply:
        return self._episode(slug, "0", number)

    def _redirect(self, number: str) -> Reply:
        link = self.catalogue.links.get(int(number))
        if link is None:
            return Reply(document("Seite nicht gefunden", "<h1>404</h1>"), status=404)
        return Reply("", status=302, headers={"Location": link.host_path})

    def _search(self, form: Mapping[str, str]) -> Reply:
        words = form.get("keyword", "")
        found: list[dict[str, str]] = [
            {
                "title": _marked(title.name, words),
                "description": esc(title.description[:80]),
                "link": f"{_PREFIX}{title.slug}",
            }
            for title in self.catalogue.search(words)
        ]
        # The real answer holds season and help pages as well; a reader has to leave them out.
        found += [
            {**row, "title": f"{row['title']} Staffel 1", "link": f"{row['link']}/staffel-1"}
            for row in found[:1]
        ]
        found.append({"title": "Hilfe &amp; Support", "description": "", "link": "/support/fragen"})
        return Reply(json.dumps(found), content_type="application/json")

    def _series_search(self, query: Mapping[str, str]) -> Reply:
        found = [
            {
                "name": esc(title.name),
                "link": title.slug,
                "description": esc(title.description),
                "cover": _cover_path(title),
                "productionYear": f"({title.year} - {title.end_year or 'Heute'})",
            }
            for title in self.catalogue.search(query.get("keyword", ""))
        ]
        return Reply(json.dumps(found), content_type="application/json")


def cover_of(slug: str) -> Reply:
    """A title's cover."""
    return Reply("", content_type="image/png", picture=covers.cover(slug))


def unknown_series() -> Reply:
    """The soft 404: status 200."""
    words = "Die gewünschte Serie wurde nicht gefunden oder ist im Moment deaktiviert."
    return Reply(document("Demo catalogue", f'<div class="messageAlert danger">{words}</div>'))


def nothing_here() -> Reply:
    """What a missing season or episode looks like: a page of the site with nothing on it."""
    return Reply(document("Demo catalogue", '<div class="container"><p></p></div>'))


def document(title: str, content: str) -> str:
    """A whole page around some content."""
    return f"""<!DOCTYPE html>
<html lang="de">
<head>
<meta charset="utf-8">
<title>{esc(title)} | Demo catalogue</title>
</head>
<body>
<header><nav class="primary-navigation"><ul>
<li><a href="/">Start</a></li>
<li><a href="/animes">Alle Animes</a></li>
<li><a href="/animes-alphabet">A-Z</a></li>
<li><a href="/neue-episoden">Neue Episoden</a></li>
</ul></nav></header>
<div id="wrapper">
{content}
</div>
<footer><p>Nothing here is a real site: open films, invented series, generated test videos.</p></footer>
</body>
</html>
"""


def series_page(title: Title, season: Season) -> str:
    """A title's header with one season's (or the films') table."""
    parts = (_series_header(title), _season_nav(title, season), _season_table(title, season))
    return document(f"{title.name} Staffel {season.number}", "\n".join(parts))


def _series_header(title: Title) -> str:
    # Quoted as the real attribute has it, and only then escaped.
    others = ", ".join(f'"{name}"' if " " in name else name for name in title.alternatives)
    end = title.end_year or "Heute"
    imdb = (
        f'<a class="imdb-link" data-imdb="{title.imdb}" href="https://www.imdb.com/title/{title.imdb}">IMDB</a>'
        if title.imdb
        else ""
    )
    genres = "".join(
        f'<li><a href="/genre/{esc(g.lower().replace(" ", "-"))}" itemprop="genre">{esc(g)}</a></li>'
        for g in title.genres
    )
    people = "".join(
        f'<li itemprop="{role}"><strong>{_LABELS[role]}: </strong><a href="#"><span itemprop="name">{esc(name)}</span></a></li>'
        for role, name in title.people.items()
    )
    short = esc(title.description[:40])
    return f"""<section class="SeriesSection"><div class="backdrop" style="background-image: url({esc(_cover_path(title))})"></div>
<div class="container row" itemscope itemtype="http://schema.org/TVSeries">
<div class="seriesCoverBox"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" data-src="{esc(_cover_path(title))}" alt="{esc(title.name)}, Cover"></div>
<div class="series-meta col-md-6-5 col-sm-6 col-xs-12">
<div class="series-title">
<h1 itemprop="name" title="Animes Stream: {esc(others)}" data-alternativetitles="{esc(others)}"><span>{esc(title.name)}</span></h1>
<small>(<span itemprop="startDate"><a href="/animes/jahr/{title.year}">{title.year}</a></span> - <span itemprop="endDate"><a href="/animes/jahr/{end}">{end}</a></span>)</small>
<div class="fsk fsk{title.fsk}" data-fsk="{title.fsk}"><span>Ab: {title.fsk}</span></div>
{imdb}
</div>
<p class="seri_des" itemprop="accessibilitySummary" data-description-type="review" data-full-description="{esc(title.description)}">{short} … <span class="fullDesc">mehr anzeigen</span></p>
<div class="cast"><ul>{people}</ul></div>
<div class="genres"><ul>{genres}</ul></div>
</div></div></section>"""


def _season_nav(title: Title, current: Season) -> str:
    items = []
    for season in sorted(title.seasons, key=lambda s: s.number):
        label = str(season.number) if season.number else "Filme"
        hint = f"Staffel {season.number}" if season.number else "Alle Filme"
        active = ' class="active"' if season.number == current.number else ""
        items.append(
            f'<li><a{active} href="{esc(season_path(title.slug, season.number))}" title="{hint}">{label}</a></li>'
        )
    rows = "".join(
        f'<li><a href="{esc(episode_path(title.slug, current.number, e.number))}" data-episode-id="{_row_id(title, current, e)}">{e.number}</a></li>'
        for e in current.episodes
    )
    return f"""<div class="hosterSiteDirectNav" id="stream"><ul><li><span><strong>Staffeln:</strong></span></li>{"".join(items)}</ul>
<ul><li><span><strong>Episoden:</strong></span></li>{rows}</ul>
<meta itemprop="numberOfSeasons" content="{len(title.seasons)}"></div>"""


def _season_table(title: Title, season: Season) -> str:
    rows = "\n".join(_episode_row(title, season, episode) for episode in season.episodes)
    return f"""<table class="seasonEpisodesList" data-season-id="{season.number}">
<thead><tr><th>Folge</th><th>Titel</th><th>Hoster</th><th>Sprache</th></tr></thead>
<tbody id="season{season.number}">
{rows}
</tbody></table>"""


def _episode_row(title: Title, season: Season, episode: Episode) -> str:
    link = esc(episode_path(title.slug, season.number, episode.number))
    if season.number:
        meta = f'<meta itemprop="episodeNumber" content="{episode.number}">'
        label = f"Folge {episode.number}"
    else:
        meta, label = "", f"Film {episode.number}"
    hosts = "".join(
        f'<i class="icon {esc(host.name)}" title="{esc(host.name)}"></i>' for host in episode.hosts
    )
    flags = "".join(_flag_image(lang) for lang in episode.languages) if episode.hosts else ""
    return f"""<tr class="" data-episode-id="{_row_id(title, season, episode)}" data-episode-season-id="{episode.number}" itemprop="episode" itemscope itemtype="http://schema.org/Episode">
<td class="season{season.number}EpisodeID">{meta}<a itemprop="url" href="{link}">{label}</a></td>
<td class="seasonEpisodeTitle"><a href="{link}"><strong>{esc(episode.german)}</strong> - <span>{esc(episode.english)}</span></a></td>
<td><a href="{link}">{hosts}</a></td>
<td class="editFunctions"><a href="{link}">{flags}</a></td></tr>"""


def episode_page(catalogue: DemoCatalogue, title: Title, season: Season, episode: Episode) -> str:
    """An episode's page: languages, hosts of every language (all but the first hidden), time of publishing."""
    links = list(catalogue.links_of(title, season.number, episode))
    shown = list(dict.fromkeys(link.language for link in links))
    box = "".join(_language_button(language, first=language == shown[0]) for language in shown)
    items = "\n".join(
        _host_item(link.id, link.language, link.host.name, visible=link.language == shown[0])
        for link in links
    )
    when = f"{episode.published:%d.%m.%Y %H:%M} Uhr"
    return document(
        f"{episode.german or episode.english} - {title.name}",
        f"""{_season_nav(title, season)}
<div class="hosterSiteTitle" data-episode="{episode.number}" data-season="{season.number}">
<h2><span class="episodeGermanTitle">{esc(episode.german)}</span> <small class="episodeEnglishTitle">{esc(episode.english)}</small></h2>
<p class="descriptionSpoiler">{esc(title.description)}</p>
<span class="releaseDate">Veröffentlicht am <strong>{when}</strong></span>
</div>
<div class="hosterSiteVideo">
<div class="changeLanguage"><div class="changeLanguageBox">{box}</div></div>
<ul class="row">
{items}
</ul></div>""",
    )


def _language_button(language: str, *, first: bool) -> str:
    flag, name = _FLAGS[language]
    selected = "selectedLanguage" if first else ""
    return f'<img class="{selected}" src="/public/img/{flag}.svg" data-lang-key="{LANGUAGE_KEYS[language]}" alt="{name}" title="{name}">'


def _host_item(number: int, language: str, host: str, *, visible: bool) -> str:
    style = "" if visible else ' style="display: none;"'
    name = esc(host)
    return f"""<li class="col-md-3 col-xs-12 col-sm-6 episodeLink{number}" data-lang-key="{LANGUAGE_KEYS[language]}" data-link-id="{number}" data-link-target="/redirect/{number}" data-external-embed="false"{style}>
<div class="generateInlinePlayer"><a class="watchEpisode" itemprop="url" href="/redirect/{number}" target="_blank"><i class="icon {name}" title="Hoster {name}"></i><h4>{name}</h4><div class="hosterSiteVideoButton">Video öffnen</div></a></div></li>"""


def _flag_image(language: str) -> str:
    flag, name = _FLAGS[language]
    return f'<img class="flag" src="/public/img/{flag}.svg" alt="{name}, Flagge" title="{name}">'


def _index_row(slug: str, name: str, alternatives: Iterable[str]) -> str:
    others = ", ".join(f'"{other}"' if " " in other else other for other in alternatives)
    return f'<li><a data-alternative-title="{esc(others)}" href="{_PREFIX}{esc(slug)}" title="{esc(name)} Stream anschauen">{esc(name)}</a></li>'


def _row_id(title: Title, season: Season, episode: Episode) -> int:
    return sum(map(ord, title.slug)) * 1000 + season.number * 200 + episode.number


def _cover_path(title: Title) -> str:
    return f"/public/img/cover/{title.slug}.png"


def _letter(name: str) -> str:
    return name[0].upper() if name[0].isascii() and name[0].isalpha() else "#"


def _marked(name: str, words: str) -> str:
    """The name with the words that were searched for in <em>, as the real search answers."""
    start = name.casefold().find(words.casefold().strip())
    end = start + len(words.strip())
    if start < 0 or not words.strip():
        return esc(name)
    return f"{esc(name[:start])}<em>{esc(name[start:end])}</em>{esc(name[end:])}"


def _flag(name: str) -> Reply:
    return _svg(f'<rect width="30" height="20" fill="#999"/><title>{esc(name)}</title>', 30, 20)


def _svg(content: str, width: int, height: int) -> Reply:
    body = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{content}</svg>'
    )
    return Reply(body, content_type="image/svg+xml")
