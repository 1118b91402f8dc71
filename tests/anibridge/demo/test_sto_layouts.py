"""The demo's pages in s.to's two layouts, as the documented readers look at them."""

import json
import re
from html import unescape

import pytest
from bs4 import BeautifulSoup

from anibridge.demo.layouts import LAYOUTS
from anibridge.demo.pages import ORIGIN, Reply
from anibridge.demo.titles import catalogue
from anibridge.demo.v2 import EDITION, LANGUAGES, episode_path, play_token, season_path

newer = LAYOUTS["sto"](catalogue(), 3)
classic = LAYOUTS["sto-classic"](catalogue(), 3)
EPISODE = "/serie/sintel/staffel-1/episode-1"


def get(path: str, **query: str) -> Reply:
    return newer.respond("GET", path, query)


def soup(path: str, layout=newer) -> BeautifulSoup:
    return BeautifulSoup(layout.respond("GET", path, {}).body, "lxml")


@pytest.mark.parametrize("path", ["/serien", "/serie/sintel", EPISODE, "/neue-episoden", "/"])
def test_pages_are_whole_and_the_same_at_every_call(path):
    assert get(path) == get(path)
    assert get(path).status == 200
    assert get(path).body.rstrip().endswith("</html>")


def test_an_index_item_has_the_documented_shape():
    items = soup("/serien").select('li.series-item > a[href^="/serie/"]')
    assert len(items) == len(catalogue().titles) + 3
    item = next(item for item in items if item["href"].endswith("/kaeptn-gruenspan-die-moewen"))
    assert item.text == "Käpt'n Grünspan & die Möwen"
    assert item.parent["data-search"].startswith("käpt'n grünspan & die möwen captain verdigris")


def test_a_series_page_has_the_documented_selectors():
    page = soup("/serie/sintel")
    assert page.select_one("h1.h2.mb-1.fw-bold").text.strip() == "Sintel"
    line = page.select_one("p.small.text-muted.mb-2")
    assert line.select_one('a[href^="/jahr/"]').text == "2010"
    assert "FSK 12" in line.text
    assert "tt1727587" in line.select_one('a[href*="imdb.com/title/"]')["href"]
    assert "Drachen" in page.select_one("span.description-text").text
    pills = page.select("nav#season-nav a[data-season-pill]")
    assert [pill.text for pill in pills] == ["Filme", "1"]
    genres = page.find("strong", string="Genre:").find_parent("li", class_="series-group")
    assert len(genres.select("a.link-light")) == 5
    assert genres.select(".d-none a.link-light")
    row = page.select_one(".episode-section table.episode-table tbody tr.episode-row")
    assert EPISODE in row["onclick"]
    assert row.select_one("th.episode-number-cell").text == "1"
    uses = row.select("td.episode-language-cell svg use")
    assert [use["href"] for use in uses] == [
        f"#icon-flag-{name}" for name in ("german", "english-german", "english")
    ]
    assert "NA" in soup("/serie/die-baeckerei-am-ende-der-strasse").select_one("p.small").text


def test_an_episode_page_has_a_button_for_every_link():
    page = soup(EPISODE)
    buttons = page.select("#episode-links .link-wrapper > button.link-box")
    assert len(buttons) == 9
    assert {(b["data-language-id"], b["data-language-label"]) for b in buttons} == {
        (str(key), label) for key, _, label in LANGUAGES.values()
    }
    urls = [button["data-play-url"] for button in buttons]
    assert page.select_one("iframe")["src"] == urls[0]
    assert {url.startswith(ORIGIN) for url in urls} == {True, False}
    assert all(re.fullmatch(r"/r\?t=[\w-]{43}%3D", url.removeprefix(ORIGIN)) for url in urls)
    assert page.find("h2").text == "S01E01: Sintel (Sintel)"


def test_links_are_full_in_one_place_and_short_in_the_next():
    links = [a["href"] for a in soup("/neue-episoden").select("main a")]
    assert {link.startswith(ORIGIN) for link in links} == {True, False}


def test_a_token_leads_to_its_host_until_it_has_run_out():
    link = next(iter(catalogue().links.values()))
    token = play_token(link.id).replace("%3D", "=")
    assert (get("/r", t=token).status, get("/r", t=token).headers["Location"]) == (
        302,
        link.host_path,
    )
    assert get("/r", t=play_token(link.id, EDITION - 1).replace("%3D", "=")).status == 403
    assert get("/r", t="x").status == get("/r").status == 404


def test_suggestions_and_the_search_page_find_titles():
    found = json.loads(get("/api/search/suggest", term="grünspan").body)
    assert set(found) == {"shows", "people", "genres"}
    assert unescape(found["shows"][0]["name"]) == "Käpt'n Grünspan & die Möwen"
    assert found["shows"][0]["url"] == "/serie/kaeptn-gruenspan-die-moewen"
    assert "/serie/sintel" in get("/suche", term="sintel").body
    assert "/serie/sintel" not in get("/suche", term="sintel", page="2").body
    assert get("/suche", term="sintel", page="x").status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/serie/nope", "/serie/sintel/staffel-9", EPISODE.replace("-1", "-7"), "/redirect/1"),
        *("/serie/stream/sintel", "/serien-alphabet", "/anime/stream/sintel"),
    ],
)
def test_what_is_not_there_is_a_404(path):
    assert get(path).status == 404


@pytest.mark.parametrize("layout", [newer, classic], ids=["newer", "classic"])
def test_only_the_sites_own_languages_are_spoken(layout):
    body = layout.respond("GET", "/neue-episoden", {}).body
    assert "japanese" not in body
    assert "english-german" in body


def test_every_link_of_the_catalogue_is_a_path_of_the_site():
    for title in catalogue().titles.values():
        for season in title.seasons:
            assert get(season_path(title.slug, season.number)).status == 200
            for episode in season.episodes[:2]:
                assert get(episode_path(title.slug, season.number, episode.number)).status == 200


def test_the_classic_layout_has_s_tos_words_and_keys():
    body = "".join(
        classic.respond("GET", path, {}).body
        for path in ("/serien-alphabet", "/serien", "/serie/stream/sintel/staffel-1/episode-1")
    )
    assert "anime" not in body.lower()
    page = soup("/serie/stream/sintel/staffel-1/episode-1", classic)
    box = page.select("div.changeLanguageBox img")
    assert {(img["data-lang-key"], img["src"].rpartition("/")[2]) for img in box} == {
        ("1", "german.svg"),
        ("2", "english.svg"),
        ("3", "english-german.svg"),
    }
    for path in ("/serie/sintel", "/anime/stream/sintel", "/animes"):
        assert classic.respond("GET", path, {}).status == 404
    assert classic.respond("GET", "/serie/stream/sintel/filme", {}).status == 200
