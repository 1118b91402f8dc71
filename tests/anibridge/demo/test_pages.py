"""The demo's pages, as the documented readers of the classic layout look at them."""

import io
import json
import re
from html import unescape

import av
import pytest
from bs4 import BeautifulSoup

from anibridge.demo.layouts import LAYOUTS
from anibridge.demo.model import DASH_HOST, HLS_HOST, Fault
from anibridge.demo.pages import Reply, episode_path, season_path
from anibridge.demo.titles import catalogue, extra_titles, video_of
from anibridge.demo.videos import (
    DASH_VIDEOS,
    FILM_1080,
    HLS_VIDEOS,
    SHORT_720,
    VIDEOS,
    expected_seconds,
)

site = LAYOUTS["demo"](catalogue(), 0)


def get(path: str, **query: str) -> Reply:
    return site.respond("GET", path, query)


def soup(path: str) -> BeautifulSoup:
    return BeautifulSoup(get(path).body, "lxml")


def test_the_index_row_has_the_documented_shape():
    row = soup("/animes-alphabet").select_one(
        '#seriesContainer div.genre ul li a[href$="/kaeptn-gruenspan-die-moewen"]'
    )
    assert row.text == "Käpt'n Grünspan & die Möwen"
    assert row["title"] == "Käpt'n Grünspan & die Möwen Stream anschauen"
    assert row["data-alternative-title"] == '"Captain Verdigris & the Gulls", "Kaputen Gurinshupan"'


def test_text_of_a_title_is_escaped_everywhere():
    for path in ("/", "/animes-alphabet", "/neue-episoden"):
        assert "Grünspan &amp; die" in get(path).body
    body = get("/anime/stream/kaeptn-gruenspan-die-moewen").body
    assert "<ohne>" not in body
    assert "&lt;ohne&gt;" in body


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layouts_covers_are_pictures(name: str):
    layout = LAYOUTS[name](catalogue(), 0)
    pages = {
        "/", "/anime/stream/sintel", "/serie/stream/sintel", "/serie/sintel", "/films/", "/serials/",
        *re.findall(r'href="[^"]*?(/[^"]*sintel[^"]*)"', "".join(layout.respond("GET", path, {}).body for path in ("/", "/films/"))),
    }  # fmt: skip
    bodies = "".join(layout.respond("GET", path, {}).body for path in sorted(pages))
    shown = set(re.findall(r'="(?:data-)?[^"]*?(/[^"?]+\.png)', bodies)) - {"/templates/no-img.png"}
    assert shown, name
    for path in shown:
        reply = layout.respond("GET", path, {})
        assert (reply.status, reply.content_type) == (200, "image/png")
        with av.open(io.BytesIO(reply.picture)) as picture:
            stream = picture.streams.video[0]
            assert (stream.width, stream.height) == (220, 330)


@pytest.mark.parametrize("path", ["/animes-alphabet", "/anime/stream/sintel", "/neue-episoden"])
def test_pages_are_whole_and_the_same_at_every_call(path):
    assert get(path) == get(path)
    assert get(path).body.rstrip().endswith("</html>")


def test_extra_titles_stand_in_the_index_and_nowhere_else():
    large = LAYOUTS["demo"](catalogue(), 500)
    body = BeautifulSoup(large.respond("GET", "/animes-alphabet", {}).body, "lxml")
    assert len(body.select("#seriesContainer a")) == len(catalogue().titles) + 500
    slug = next(iter(extra_titles(1)))[0]
    assert "nicht gefunden" in large.respond("GET", f"/anime/stream/{slug}", {}).body


def test_a_series_page_has_the_documented_selectors():
    page = soup("/anime/stream/sintel")
    assert page.select_one("div.series-title h1[itemprop=name] > span").text == "Sintel"
    assert page.select_one("span[itemprop=startDate] a").text == "2010"
    assert page.select_one("a.imdb-link")["data-imdb"] == "tt1727587"
    assert "Drachen" in page.select_one("p.seri_des")["data-full-description"]
    assert [a.text for a in page.select("#stream > ul:first-child li a")] == ["Filme", "1"]
    assert page.select_one("meta[itemprop=numberOfSeasons]")["content"] == "2"
    rows = page.select('tbody#season1 tr[itemtype="http://schema.org/Episode"]')
    assert rows[0].select_one("meta[itemprop=episodeNumber]")["content"] == "1"
    flags = [img["src"].rpartition("/")[2] for img in rows[0].select("td.editFunctions img.flag")]
    assert flags == ["german.svg", "japanese-german.svg", "english.svg"]


def test_film_rows_lack_the_number_and_the_german_title():
    row = soup("/anime/stream/sintel/filme").select_one("tbody#season0 tr")
    assert row.select_one("meta") is None
    assert row["data-episode-season-id"] == "1"
    assert row.select_one("a[itemprop=url]")["href"] == "/anime/stream/sintel/filme/film-1"
    assert row.select_one("strong").text == ""


def test_items_of_other_languages_are_hidden_but_there():
    page = soup("/anime/stream/sintel/staffel-1/episode-1")
    keys = [img["data-lang-key"] for img in page.select("div.changeLanguageBox img")]
    assert keys == ["1", "3", "4"]
    items = page.select("ul.row li[class*=episodeLink]")
    assert [item.get("style", "") != "" for item in items] == [False] * 3 + [True] * 6
    for item in items:
        assert item["data-link-target"] == item.select_one("a.watchEpisode")["href"]


def test_what_is_not_there_answers_as_the_real_site_does():
    assert (get("/anime/stream/nope").status, get("/anime/stream/sintel/staffel-9").status) == (
        200,
        200,
    )
    assert soup("/anime/stream/nope").select_one("div.messageAlert.danger")
    missing = soup("/anime/stream/sintel/staffel-9")
    assert not missing.select("#stream, table")
    assert get("/anime/stream/caminandes/filme").status == 404
    assert get("/redirect/1").status == 404
    announced = soup("/anime/stream/die-baeckerei-am-ende-der-strasse/staffel-3")
    assert announced.select_one("table.seasonEpisodesList")
    assert not announced.select("tbody tr")


def test_the_searches_answer_json_with_entities_in_it():
    reply = site.respond("POST", "/ajax/search", {"keyword": "grünspan"})
    rows = json.loads(reply.body)
    assert rows[0] == {
        "title": "Käpt&#039;n <em>Grünspan</em> &amp; die Möwen",
        "description": rows[0]["description"],
        "link": "/anime/stream/kaeptn-gruenspan-die-moewen",
    }
    assert any(not row["link"].startswith("/anime/stream/") for row in rows)
    older = json.loads(get("/ajax/seriesSearch", keyword="Gulls").body)
    assert [unescape(row["name"]) for row in older] == ["Käpt'n Grünspan & die Möwen"]
    assert json.loads(get("/ajax/seriesSearch", keyword=" ").body) == []


def test_the_catalogue_holds_the_odd_cases_it_promises():
    titles = catalogue().titles
    assert titles["sintel"].season(1).episode(1).languages[0] == "German Dub"
    assert [s.number for s in titles["kaeptn-gruenspan-die-moewen"].seasons] == [1, 2, 4]
    assert len(titles["sternenfaehre-morgenroete"].season(1).episodes) > 99
    assert titles["die-baeckerei-am-ende-der-strasse"].season(3).episodes == ()
    assert titles["kaeptn-gruenspan-die-moewen"].season(2).episode(2).hosts == ()
    assert {title.name for title in titles.values()} >= {
        "Sintel",
        "Tears of Steel",
        "Big Buck Bunny",
    }


def test_every_way_to_fail_has_an_episode_and_one_episode_has_them_all():
    first = {hosts[0].fault for hosts in _all_hosts() if len(hosts) > 1 and hosts[-1].fault is None}
    assert first == {*Fault, None}
    broken = [hosts for hosts in _all_hosts() if hosts and all(host.fault for host in hosts)]
    assert len(broken) == 1
    assert {host.fault for host in broken[0]} == set(Fault)


@pytest.mark.parametrize(("host", "generated"), [(HLS_HOST, HLS_VIDEOS), (DASH_HOST, DASH_VIDEOS)])
def test_hls_and_dash_are_only_offered_where_they_are_generated(host, generated):
    videos = {link.episode.video for link in catalogue().links.values() if link.host.name == host}
    assert videos
    assert videos <= set(generated)


def test_an_episodes_video_says_how_long_it_has_to_be():
    assert video_of("sintel", 1, 1) == FILM_1080
    assert expected_seconds(video_of("sintel", 1, 1)) > 600
    assert expected_seconds(video_of("caminandes", 1, 3)) == SHORT_720.seconds > 90
    assert {link.episode.video for link in catalogue().links.values()} == set(VIDEOS)
    with pytest.raises(KeyError):
        video_of("sintel", 1, 2)


def test_every_link_of_the_catalogue_is_a_path_of_the_site():
    for title in catalogue().titles.values():
        for season in title.seasons:
            assert get(season_path(title.slug, season.number)).status == 200
            for episode in season.episodes[:2]:
                assert get(episode_path(title.slug, season.number, episode.number)).status == 200


def _all_hosts():
    for title in catalogue().titles.values():
        for season in title.seasons:
            for episode in season.episodes:
                yield episode.hosts
