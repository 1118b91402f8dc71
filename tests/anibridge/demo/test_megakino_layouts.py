"""The demo's Megakino layouts, as the documented readers of the theme look at them."""

import pytest
from bs4 import BeautifulSoup

from anibridge.demo.layouts import LAYOUTS
from anibridge.demo.megakino import COMING_SOON, GATE
from anibridge.demo.pages import ORIGIN, Reply
from anibridge.demo.titles import catalogue

BOTH = ["megakino", "megakino-b"]
SITES = {name: LAYOUTS[name](catalogue(), 2) for name in BOTH}
FILM = "/films/123-tears-of-steel.html"
SERIAL = "/serials/126-die-baeckerei-am-ende-der-strasse-1-staffel.html"


def get(path: str, site: str = "megakino", **query: str) -> Reply:
    return SITES[site].respond("GET", path, query)


def soup(path: str, site: str = "megakino", **query: str) -> BeautifulSoup:
    return BeautifulSoup(get(path, site, **query).body, "lxml")


def places(path: str, site: str = "megakino") -> list[str]:
    found = BeautifulSoup(get(path, site).body, "xml").select("url > loc, sitemap > loc")
    return [loc.text.removeprefix(ORIGIN) for loc in found]


def test_the_map_is_one_of_maps_in_one_variant_and_flat_in_the_other():
    assert places("/sitemap.xml") == ["/uploads/category_pages.xml", "/uploads/news_pages.xml"]
    assert not any(path.endswith(".html") for path in places("/uploads/category_pages.xml"))
    with_folders, flat = places("/uploads/news_pages.xml"), places("/sitemap.xml", "megakino-b")
    assert FILM in with_folders
    assert SERIAL in with_folders
    assert {path.rpartition("/")[2] for path in with_folders} == {path[1:] for path in flat}
    assert sum("erfunden" in path for path in flat) == 2


def test_only_what_is_spoken_in_german_has_a_page():
    listed = " ".join(places("/uploads/news_pages.xml"))
    assert "sternenfaehre" not in listed
    assert "nebelwerk-2009" not in listed
    assert "die-baeckerei-am-ende-der-strasse-2-staffel" in listed
    options = soup(SERIAL.replace("126", "127").replace("-1-", "-2-")).select(".se-select option")
    assert [option["value"] for option in options] == ["ep1"]


def test_a_films_page_has_the_documented_selectors():
    page = soup(FILM)
    assert page.select_one("meta[itemprop=name]")["content"] == "Tears of Steel"
    assert page.select_one("div.pmovie__original-title").text == "Mango"
    assert page.select_one("div.pmovie__genres").text == "Filme / Science-Fiction"
    assert page.select_one("span[itemprop=dateCreated] a").text == "2012"
    assert page.select_one("div.pmovie__year").text.endswith(" min")
    assert page.select_one("link[rel=canonical]")["href"] == ORIGIN + FILM
    names = [span.text for span in page.select("div.tabs-block__select span")]
    frames = page.select("div.tabs-block__content iframe")
    sources = [frame.get("src") or frame["data-src"] for frame in frames]
    assert names == ["VOE", "Filemoon", "Streamtape"]
    assert all(
        source.startswith(f"{ORIGIN}/host/{name.lower()}/")
        for name, source in zip(names, sources, strict=True)
    )


def test_a_serials_page_lists_its_hosts_for_every_episode():
    page = soup(SERIAL)
    values = [option["value"] for option in page.select("select.se-select option")]
    assert values == [f"ep{number}" for number in range(1, 7)]
    for value in values:
        assert page.select(f"select#{value}.mr-select option")[0]["value"].startswith(ORIGIN)


def test_the_other_variant_has_its_own_players():
    tabs = soup("/123-tears-of-steel.html", "megakino-b").select(".tabs-block__select span")
    assert [tab["data-link"].startswith(ORIGIN) for tab in tabs] == [True, True, True, False]
    page = soup(SERIAL.removeprefix("/serials"), "megakino-b")
    assert len(page.select("ul.ep-menu > li")) == 6
    assert page.select_one("ul.ep-menu > li#serie-1_2 a[data-link]")


@pytest.mark.parametrize("site", BOTH)
def test_what_is_only_announced_has_a_trailer_and_nothing_else(site):
    slug = COMING_SOON.slug
    path = next(
        one
        for part in ("/uploads/news_pages.xml", "/sitemap.xml")
        for one in places(part, site)
        if slug in one
    )
    page = soup(path, site)
    assert [span.text for span in page.select(".tabs-block__select span")] == ["Trailer"]
    assert not page.select("iframe[src]")


@pytest.mark.parametrize("site", BOTH)
def test_searches_find_refuse_and_find_nothing(site):
    fixed = {"do": "search", "subaction": "search"}
    cards = soup("/index.php", site, story="tears", **fixed).select("#dle-content a.poster")
    assert [card.select_one(".poster__title").text for card in cards] == ["Tears of Steel"]
    assert "weniger als 4 Zeichen" in get("/index.php", site, story="abc", **fixed).body
    nothing = soup("/index.php", site, story="gibt es nicht", **fixed)
    assert "keine Ergebnisse" in nothing.text
    assert nothing.select("a.poster")
    assert not nothing.select("#dle-content a.poster")
    odd = get("/index.php", site, story="tears", search_start="-1²", **fixed)
    assert odd.status == 200


@pytest.mark.parametrize("site", BOTH)
def test_a_gate_stands_before_one_page_only(site):
    body = get(f"/films/{GATE}.html", site).body
    assert "yg=token" in body
    assert "location.replace" in body
    assert "yg=token" not in get("/", site).body


@pytest.mark.parametrize("path", ["/films/123-x.html", "/serials/123-tears-of-steel.html", "/x"])
def test_other_paths_are_missing(path):
    assert get(path).status == 404
    assert SITES["megakino"].respond("POST", FILM, {}).status == 404
