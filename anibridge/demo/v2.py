"""The demo's pages in s.to's newer layout. Links are written out in full in one place and short in the next, as there."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property

from anibridge.demo.model import (
    ENGLISH_DUB,
    GERMAN_DUB,
    GERMAN_SUB,
    DemoCatalogue,
    Episode,
    Season,
    Title,
)
from anibridge.demo.pages import ORIGIN, Reply, cover_of, esc
from anibridge.demo.titles import extra_titles

# Key, icon and label: s.to's own numbers, not AniWorld's.
LANGUAGES = {
    GERMAN_DUB: (1, "german", "Deutsch"),
    ENGLISH_DUB: (2, "english", "Englisch"),
    GERMAN_SUB: (3, "english-german", "Deutsch Sub"),
}
EDITION = 2
"""Play links of an earlier edition have run out."""

_PER_PAGE = 24
_SHOWN_NAMES = 3


def play_token(link: int, edition: int = EDITION) -> str:
    """The token of a play link: the same at every start, and nothing to be read from it."""
    digest = hashlib.sha256(f"play|{edition}|{link}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().replace("=", "%3D")


class Newer:
    """s.to's newer layout over a catalogue that speaks its languages; `extra` titles stand in the index only."""

    def __init__(self, catalogue: DemoCatalogue, extra: int = 0) -> None:
        self.catalogue = catalogue.speaking(tuple(LANGUAGES))
        self.extra = extra
        series = r"/serie/([^/]+)"
        self._routes: tuple[tuple[re.Pattern[str], Callable[..., Reply]], ...] = tuple(
            (re.compile(pattern, re.ASCII), handler)
            for pattern, handler in (
                (r"/|/beliebte-serien", self._home),
                (r"/serien", self._index),
                (r"/neue-episoden", self._recent),
                (rf"{series}/?", self._title),
                (rf"{series}/staffel-(\d{{1,5}})/?", self._season),
                (rf"{series}/staffel-(\d{{1,5}})/episode-(\d{{1,5}})/?", self._episode),
                (r"/storage/flags/([a-z-]+)\.svg", _flag),
                (r"/media/images/channel/[a-z0-9]+/([a-z0-9-]+)\.png", cover_of),
            )
        )
        self._asked: dict[str, Callable[[Mapping[str, str]], Reply]] = {
            "/r": self._play,
            "/api/search/suggest": self._suggest,
            "/suche": self._search,
        }

    @cached_property
    def _tokens(self) -> dict[str, str | None]:
        """Token as it arrives → the host's path; None for one that has run out."""
        found: dict[str, str | None] = {}
        for link in self.catalogue.links.values():
            found[play_token(link.id).replace("%3D", "=")] = link.host_path
            found[play_token(link.id, EDITION - 1).replace("%3D", "=")] = None
        return found

    def respond(self, method: str, path: str, query: Mapping[str, str]) -> Reply:
        if method not in ("GET", "HEAD"):
            return not_found()
        if path in self._asked:
            return self._asked[path](query)
        for pattern, handler in self._routes:
            if found := pattern.fullmatch(path):
                return handler(*found.groups())
        return not_found()

    def _home(self) -> Reply:
        cards = "".join(_card(title) for title in self.catalogue.titles.values())
        return Reply(document("Demo catalogue", f'<div class="row">{cards}</div>'))

    def _index(self) -> Reply:
        rows = [(t.slug, t.name, t.alternatives) for t in self.catalogue.titles.values()]
        rows += extra_titles(self.extra)
        rows.sort(key=lambda row: row[1].casefold())
        items = "\n".join(_index_item(*row) for row in rows)
        content = (
            f'<h1 class="h3">Alle Serien</h1><ul class="series-list list-unstyled">\n{items}\n</ul>'
        )
        return Reply(document("Alle Serien", content))

    def _recent(self) -> Reply:
        items = []
        for number, (title, season, episode) in enumerate(self.catalogue.recent()):
            link = episode_path(title.slug, season.number, episode.number)
            icons = "".join(_icon(language) for language in episode.languages)
            items.append(
                f'<li class="list-group-item"><a href="{_either(link, number)}">{esc(title.name)} '
                f"S{season.number:02}E{episode.number:02}</a> {icons}</li>"
            )
        content = f'<ul class="list-group">{"".join(items)}</ul>'
        return Reply(document("Neue Episoden", content))

    def _title(self, slug: str) -> Reply:
        title = self.catalogue.titles.get(slug)
        if title is None:
            return not_found()
        first = next((s for s in title.seasons if s.number), title.seasons[0])
        return Reply(series_page(title, first))

    def _season(self, slug: str, number: str) -> Reply:
        title = self.catalogue.titles.get(slug)
        season = title.season(int(number)) if title else None
        return Reply(series_page(title, season)) if title and season else not_found()

    def _episode(self, slug: str, season: str, number: str) -> Reply:
        title = self.catalogue.titles.get(slug)
        found = title.season(int(season)) if title else None
        episode = found.episode(int(number)) if found else None
        if title is None or found is None or episode is None:
            return not_found()
        return Reply(episode_page(self.catalogue, title, found, episode))

    def _play(self, query: Mapping[str, str]) -> Reply:
        token = query.get("t", "")
        if token not in self._tokens:
            return not_found()
        target = self._tokens[token]
        if target is None:
            return Reply(document("Link abgelaufen", "<h1>403</h1>"), status=403)
        return Reply("", status=302, headers={"Location": target})

    def _suggest(self, query: Mapping[str, str]) -> Reply:
        shows = [
            {"name": esc(title.name), "url": f"/serie/{title.slug}", "image": _cover(title)}
            for title in self.catalogue.search(query.get("term", ""))
        ]
        # The real order says little, so this one is no help either.
        shows.reverse()
        found = {"shows": shows, "people": [], "genres": [{"name": "Drama", "url": "/genre/drama"}]}
        return Reply(json.dumps(found), content_type="application/json")

    def _search(self, query: Mapping[str, str]) -> Reply:
        page = query.get("page", "1")
        start = (int(page) - 1) * _PER_PAGE if re.fullmatch(r"[1-9]\d{0,3}", page, re.ASCII) else 0
        titles = self.catalogue.search(query.get("term", ""))[start : start + _PER_PAGE]
        cards = "".join(map(_card, titles)) or "<p>Keine Ergebnisse</p>"
        return Reply(document("Suche", f'<div class="row search-results-list">{cards}</div>'))


def season_path(slug: str, season: int) -> str:
    return f"/serie/{slug}/staffel-{season}"


def episode_path(slug: str, season: int, episode: int) -> str:
    return f"{season_path(slug, season)}/episode-{episode}"


def not_found() -> Reply:
    return Reply(document("Nicht gefunden", '<h1 class="h3">404</h1>'), status=404)


def document(title: str, content: str) -> str:
    """A whole page around some content."""
    return f"""<!DOCTYPE html>
<html lang="de">
<head>
<meta charset="utf-8">
<meta name="csrf-token" content="demo">
<title>{esc(title)} | Demo catalogue</title>
</head>
<body>
<header><nav class="navbar"><a class="nav-link" href="/serien?by=alpha">Serien A-Z</a>
<a class="nav-link" href="/neue-episoden">Neue Episoden</a></nav>
<form action="/suche"><input name="term"></form></header>
<main class="container">
{content}
</main>
<footer><p>Nothing here is a real site: open films, invented series, generated test videos.</p></footer>
</body>
</html>
"""


def series_page(title: Title, season: Season) -> str:
    """A title's header with the table of one season, or of the films."""
    parts = (_header(title), _season_nav(title, season), _table(title, season))
    return document(title.name, "\n".join(parts))


def _header(title: Title) -> str:
    imdb = (
        f' • <a href="https://www.imdb.com/title/{title.imdb}/" target="_blank">IMDb</a>'
        if title.imdb
        else ""
    )
    end = (
        f'<a href="/jahr/{title.end_year}" class="link-light">{title.end_year}</a>'
        if title.end_year
        else "NA"
    )
    people = "".join(
        _group(label, "person", (title.people[role],))
        for role, label in (
            ("director", "Regisseur"),
            ("actor", "Besetzung"),
            ("creator", "Produzent"),
        )
        if role in title.people
    )
    return f"""<div class="show-header"><img class="img-fluid" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" data-src="{esc(_cover(title))}?format=webp" alt="{esc(title.name)}">
<h1 class="h2 mb-1 fw-bold">
    {esc(title.name)}
</h1>
<p class="small text-muted mb-2"><a href="/jahr/{title.year}" class="link-light">{title.year}</a> - {end} • FSK {title.fsk}{imdb}</p>
<div class="series-description"><span class="description-text">{esc(title.description)}</span></div>
<ul class="list-unstyled">{people}{_group("Genre", "genre", title.genres)}</ul></div>"""


def _group(label: str, kind: str, names: tuple[str, ...]) -> str:
    """A labelled list of names; those beyond the first few are hidden but there."""
    links = [
        f'<a class="link-light" href="/{kind}/{esc(name.lower().replace(" ", "-"))}">{esc(name)}</a>'
        for name in names
    ]
    shown, hidden = links[:_SHOWN_NAMES], links[_SHOWN_NAMES:]
    more = f'<span class="d-none">, {", ".join(hidden)}</span>' if hidden else ""
    return f'<li class="series-group"><strong class="me-1">{label}:</strong>{", ".join(shown)}{more}</li>'


def _season_nav(title: Title, current: Season) -> str:
    pills = []
    for season in sorted(title.seasons, key=lambda season: season.number):
        active = " active" if season is current else ""
        link = _either(season_path(title.slug, season.number), season.number)
        pills.append(
            f'<a class="nav-link{active}" data-season-pill="{season.number}" href="{link}">{season.number or "Filme"}</a>'
        )
    return f'<nav id="season-nav" class="nav nav-pills">{"".join(pills)}</nav>'


def _episode_nav(title: Title, season: Season, current: Episode) -> str:
    links = "".join(
        f'<a class="nav-link{" active" if episode is current else ""}" '
        f'href="{esc(episode_path(title.slug, season.number, episode.number))}">{episode.number}</a>'
        for episode in season.episodes
    )
    return f'<nav id="episode-nav" class="nav nav-pills">{links}</nav>'


def _table(title: Title, season: Season) -> str:
    rows = "\n".join(_row(title, season, episode) for episode in season.episodes)
    return f"""<section class="episode-section"><table class="table episode-table">
<thead><tr><th>#</th><th>Titel</th><th>Hoster</th><th>Sprache</th></tr></thead>
<tbody>
{rows}
</tbody></table></section>"""


def _row(title: Title, season: Season, episode: Episode) -> str:
    link = _either(episode_path(title.slug, season.number, episode.number), episode.number)
    hosts = "".join(
        f'<img src="/storage/hosts/{esc(host.name.lower())}.webp" alt="{esc(host.name)}">'
        for host in episode.hosts
    )
    icons = "".join(map(_icon, episode.languages)) if episode.hosts else ""
    return f"""<tr class="episode-row" onclick="window.location='{link}'">
<th scope="row" class="episode-number-cell">{episode.number}</th>
<td class="episode-title-cell"><strong class="episode-title-ger">{esc(episode.german)}</strong> <span class="episode-title-eng">{esc(episode.english)}</span></td>
<td class="episode-watch-cell">{hosts}</td>
<td class="episode-language-cell">{icons}</td></tr>"""


def episode_page(catalogue: DemoCatalogue, title: Title, season: Season, episode: Episode) -> str:
    """An episode's page with a button for every host and language."""
    links = list(catalogue.links_of(title, season.number, episode))
    buttons = "\n".join(
        _button(link.id, link.language, link.host.name, number) for number, link in enumerate(links)
    )
    # The player opens the first link by itself, so that its token is on the page twice.
    player = f'<iframe src="/r?t={play_token(links[0].id)}"></iframe>' if links else ""
    when = f"{episode.published:%d.%m.%Y, %H:%M} Uhr"
    return document(
        f"{title.name} S{season.number:02}E{episode.number:02}",
        f"""{_season_nav(title, season)}
{_episode_nav(title, season, episode)}
<h2 class="h4 mb-1">S{season.number:02}E{episode.number:02}: {esc(episode.german)} ({esc(episode.english)})</h2>
<p class="small">Veröffentlicht am {when}</p>
{player}
<div id="episode-links" class="row">
{buttons}
</div>""",
    )


def _button(link: int, language: str, host: str, number: int) -> str:
    key, _, label = LANGUAGES[language]
    url = _either(f"/r?t={play_token(link)}", number)
    name = esc(host)
    return f"""<div class="link-wrapper"><button type="button" class="link-box btn" data-link-id="{link}" data-play-url="{url}" data-provider-name="{name}" data-language-id="{key}" data-language-label="{label}">{_icon(language)} <span>{name}</span></button></div>"""


def _icon(language: str) -> str:
    name, label = LANGUAGES[language][1:]
    return f'<svg class="watch-language svg-flag-{name}" aria-label="{label}"><use href="#icon-flag-{name}"></use></svg>'


def _index_item(slug: str, name: str, alternatives: tuple[str, ...]) -> str:
    searchable = " ".join((name, *alternatives)).lower()
    return f'<li class="series-item" data-search="{esc(searchable)}"><a href="/serie/{esc(slug)}">{esc(name)}</a></li>'


def _card(title: Title) -> str:
    return f'<div class="col"><a class="show-card" href="/serie/{esc(title.slug)}">{esc(title.name)}</a></div>'


def _either(path: str, number: int) -> str:
    """A link, written out in full at every other place."""
    return esc(ORIGIN + path if number % 2 else path)


def _cover(title: Title) -> str:
    return f"/media/images/channel/desktop/{title.slug}.png"


def _flag(name: str) -> Reply:
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><title>{html.escape(name)}</title></svg>'
    return Reply(picture, content_type="image/svg+xml")
