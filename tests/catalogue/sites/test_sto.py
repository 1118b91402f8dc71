"""s.to's adapter: saved pages in either layout, the demo's over HTTP, and everything that is no such page."""

import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue.errors import (
    Blocked,
    LayoutChanged,
    NotFound,
    RateLimited,
    SiteError,
    SiteUnavailable,
    UnsafeSlug,
)
from catalogue.sites.aniworld import AniWorld
from catalogue.sites.base import (
    ENGLISH_DUB,
    ENGLISH_SUB,
    GERMAN_DUB,
    GERMAN_SUB,
    Answer,
    EpisodeFacts,
    HostLink,
    IndexEntry,
    RecentEpisode,
)
from catalogue.sites.classic_index import beyond_name
from catalogue.sites.sto import Sto, spellings
from catalogue.sites.v2 import play_path, split_heading
from tests.catalogue.sites.hostile import STATUSES, mutated, unexpected

PAGES = Path(__file__).parent / "pages" / "sto"
BASE = "https://s.to"
SERIES = "/serie/die-sturmwarte"
SUGGEST = "/api/search/suggest"
site = Sto()


def saved(name: str, path: str = SERIES) -> Answer:
    return Answer(BASE + path, 200, {"content-type": "text/html"}, (PAGES / name).read_text())


def answer(text: str = "", status: int = 200, path: str = SERIES, **headers: str) -> Answer:
    return Answer(BASE + path, status, headers, text)


def whole(body: str) -> str:
    return f"<!DOCTYPE html><html><head><title>x</title></head><body>{body}</body></html>"


# -- index


def test_the_newer_index_gives_the_items_of_its_list_and_no_other_link():
    assert list(site.parse_index([(PAGES / "index.html").read_bytes()])) == [
        IndexEntry("die-sturmwarte", "Die Sturmwarte", ("the storm station", "Sturmwarte, Die", "doppelt")),
        IndexEntry("9-1-1-co", "9-1-1 & Co."),
        IndexEntry("kuestenlicht-2021", "Küstenlicht (2021)", ('"coast" light of kuestenlicht',)),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_index_reads_the_same_however_it_is_cut_into_chunks(size):
    body = (PAGES / "index.html").read_bytes()
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert list(site.parse_index(chunks)) == list(site.parse_index([body]))


def test_an_index_of_the_classic_layout_is_read_as_well():
    row = '<a data-alternative-title="B, C" href="/serie/stream/x">A</a>'
    assert list(site.parse_index([whole(row).encode()])) == [IndexEntry("x", "A", ("B", "C"))]
    newer = row.replace("/stream", "")
    assert list(site.parse_index([whole(newer).encode()])) == [IndexEntry("x", "A", ("B", "C"))]


def test_links_in_the_navigation_alone_are_no_index():
    with pytest.raises(LayoutChanged):
        list(site.parse_index([whole('<nav><a href="/serie/zufall">Zufall</a></nav>').encode()]))


@pytest.mark.parametrize(
    ("searchable", "name", "rest"),
    [
        ("", "A", ""),
        ("die sturmwarte", "Die Sturmwarte", ""),
        ("die sturmwarte  | storm station", "Die Sturmwarte", "storm station"),
        ("storm station", "Die Sturmwarte", "storm station"),
        ("sturmwarte", "Die Sturmwarte", ""),
        ("die sturmwarte - !", "Die Sturmwarte", ""),
        ("x " * 200, "Die Sturmwarte", ""),
    ],
)
def test_a_searchable_string_is_a_name_only_where_it_says_something_new(searchable, name, rest):
    assert beyond_name(searchable, name) == rest


# -- title, season, episode


def test_a_series_page_gives_its_facts_hidden_ones_too():
    facts = site.parse_title(saved("series.html"))
    assert facts.name == "Die Sturmwarte (US)"
    assert (facts.year, facts.end_year, facts.imdb_id) == (2018, None, "tt12345678")
    assert facts.description == 'Wind & Wetter: "404", nicht gefunden.'
    assert facts.cover == "/media/images/channel/desktop/die-sturmwarte.jpg?format=webp"
    assert facts.genres == ("Drama", "Krimi", "See & Sand")
    assert facts.seasons == (0, 1, 4)
    assert facts.alternatives == ()


def test_an_ended_series_has_its_last_year():
    text = saved("series.html").text.replace("- NA", '- <a href="/jahr/2022">2022</a>')
    assert site.parse_title(answer(text)).end_year == 2022


@pytest.mark.parametrize(
    ("lost", "named"), [("<h1", "h1.fw-bold"), ("/staffel-", "season-nav a"), ("season-nav", "h1")]
)
def test_a_lost_must_have_names_its_selector(lost, named):
    text = saved("series.html").text
    text = re.sub(r"data-season-pill=\S+", "", text).replace(lost, "<x")
    if named == "h1":
        text = text.replace("episode-table", "x").replace("season-nav", "x")
    with pytest.raises(LayoutChanged, match=re.escape(named)):
        site.parse_title(answer(text))


def test_a_season_tells_subtitles_from_dubs_by_the_exact_flag(caplog):
    rows = site.parse_season(saved("series.html"), 1)
    assert rows == (
        EpisodeFacts(1, 1, "Flut (Teil 1)", "High Tide (Part 1)", frozenset({GERMAN_DUB, GERMAN_SUB})),
        EpisodeFacts(1, 2, "", "Ebb & Flow", frozenset({ENGLISH_DUB})),
        EpisodeFacts(1, 101, "Hundertundeins", "", frozenset({GERMAN_SUB})),
    )  # fmt: skip


def test_an_unknown_flag_is_logged_once(caplog):
    text = saved("series.html").text.replace("japanese-klingon", "valyrian")
    with caplog.at_level(logging.WARNING, "catalogue"):
        for _ in range(3):
            site.parse_season(answer(text), 1)
    assert [record.getMessage() for record in caplog.records] == [
        "s.to: unknown language flag «valyrian»; its links are left out"
    ]


def test_films_are_season_0():
    rows = site.parse_season(saved("films.html"), 0)
    assert rows == (EpisodeFacts(0, 1, "", "The Long Night [Movie]"),)
    with pytest.raises(NotFound, match="season 0"):
        site.parse_season(saved("films.html"), 1)


def test_an_announced_season_is_empty_and_unreadable_rows_are_a_failure():
    assert site.parse_season(saved("announced-season.html"), 4) == ()
    text = saved("announced-season.html").text.replace("<tr>", '<tr class="episode-row">')
    with pytest.raises(LayoutChanged, match="episode-table"):
        site.parse_season(answer(text), 4)
    with pytest.raises(LayoutChanged, match="episode-table"):
        site.parse_season(answer(text.replace("<table", "<div")), 4)


def test_an_episode_page_gives_every_link_that_stays_on_the_site_and_has_a_language():
    page = site.parse_episode(saved("episode.html", SERIES + "/staffel-1/episode-102"))
    assert (page.german_title, page.english_title) == ("Ebbe (Teil 2)", "Low Tide (Part 2)")
    assert page.links == (
        HostLink(GERMAN_DUB, "VOE", "/r?t=eyJpdiI6IjEi.Zm9v-_%3D"),
        HostLink(ENGLISH_DUB, "Filemoon", "/r?t=two&x=1"),
        HostLink(GERMAN_SUB, "Vidoza HD", "/r?t=three"),
        HostLink(ENGLISH_DUB, "VOE", "/r?t=four"),
    )
    assert page.published_at == datetime(2025, 2, 14, 19, 15, tzinfo=UTC)


def test_a_token_is_not_shown_when_a_link_is():
    assert "secret" not in repr(HostLink(GERMAN_DUB, "VOE", "/r?t=secret"))


def test_links_that_all_leave_the_site_are_a_changed_layout_that_names_no_token():
    text = saved("episode.html").text.replace('url="/r', 'url="https://s.example/r')
    text = text.replace("https://s.to/r", "https://s.example/r")
    with pytest.raises(LayoutChanged, match="data-play-url") as caught:
        site.parse_episode(answer(text))
    assert "t=" not in str(caught.value)


def test_a_season_in_place_of_an_episode_is_not_found():
    with pytest.raises(NotFound):
        site.parse_episode(saved("series.html", SERIES + "/staffel-1/episode-99"))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/r?t=a", "/r?t=a"),
        ("//s.to/r?t=a", "/r?t=a"),
        ("http://www.s.to/r?t=a", "/r?t=a"),
        ("/redirect/12", "/redirect/12"),
        *((bad, "") for bad in ("", "/r", "/r?t=", "/r?x=a", "/rr?t=a", "https://s.to:8443/r?t=a")),
        *((bad, "") for bad in ("javascript:/r?t=a", "//x/r?t=a", "/\\x/r?t=a", "http://[/r?t=a")),
        *((bad, "") for bad in ("/r?t=a b", "/r?t=ä", "https://s.to:x/r?t=a", "ftp://s.to/r?t=a")),
    ],
)
def test_a_play_link_stays_on_the_site(url, path):
    assert play_path(url, BASE + SERIES) == path


@pytest.mark.parametrize(
    ("heading", "titles"),
    [
        ("Nur Deutsch", ("Nur Deutsch", "")),
        ("Eins (One)", ("Eins", "One")),
        ("(Only)", ("", "Only")),
        ("A (b) c (D)", ("A (b) c", "D")),
        ("Smile :) (Smile :))", ("Smile :)", "Smile :)")),
        ("", ("", "")),
        (")", (")", "")),
    ],
)
def test_a_heading_falls_into_two_titles(heading, titles):
    assert split_heading(heading) == titles


# -- the classic layout


def test_classic_pages_are_told_by_themselves():
    facts = site.parse_title(saved("classic-series.html"))
    assert (facts.name, facts.seasons) == ("Die Sturmwarte", (0, 1))
    assert facts.alternatives == ("The Storm Station", "Warte, Sturm")
    rows = site.parse_season(saved("classic-series.html"), 1)
    assert rows[0].languages == {GERMAN_DUB, ENGLISH_DUB, GERMAN_SUB}
    assert [(link.language, link.path) for link in site.parse_episode(saved("classic-episode.html")).links] == [
        (GERMAN_DUB, "/redirect/1"),
        (ENGLISH_DUB, "/redirect/2"),
        (GERMAN_SUB, "/redirect/3"),
    ]  # fmt: skip


def test_keys_mean_what_they_mean_on_their_own_site():
    aniworld = AniWorld()
    classic = aniworld.parse_episode(saved("classic-episode.html")).links
    assert [link.language for link in classic] == [GERMAN_DUB, ENGLISH_SUB, GERMAN_SUB, ENGLISH_DUB]
    newer = aniworld.parse_episode(saved("episode.html")).links
    # Neither the flag of the third nor the label of the fourth says anything on AniWorld.
    assert [link.language for link in newer] == [GERMAN_DUB, ENGLISH_SUB]


@pytest.mark.parametrize(
    ("newer", "classic"),
    [
        ("/serie/x", "/serie/stream/x"),
        ("/serie/x/staffel-2", "/serie/stream/x/staffel-2"),
        ("/serie/x/staffel-0", "/serie/stream/x/filme"),
        ("/serie/x/staffel-2/episode-10", "/serie/stream/x/staffel-2/episode-10"),
        ("/serie/x/staffel-0/episode-1", "/serie/stream/x/filme/film-1"),
        ("/serien?by=alpha", "/serien-alphabet"),
    ],
)
def test_each_layouts_paths_are_known_by_the_others(newer, classic):
    assert site.alternatives(newer) == (classic,)
    assert site.alternatives(classic) == (newer,)


def test_paths_of_the_newer_layout_are_asked_for_first():
    assert site.index_path() == "/serien?by=alpha"
    assert site.episode_path("käpt'n", 0, 3) == "/serie/k%C3%A4pt'n/staffel-0/episode-3"
    assert site.alternatives("/neue-episoden") == ()
    assert AniWorld().alternatives("/anime/stream/x/filme/film-2") == ()
    with pytest.raises(UnsafeSlug):
        site.episode_path("../x", 1, 1)


# -- recent


def test_the_newer_recent_list_is_any_link_to_an_episode():
    page = saved("recent.html", "/neue-episoden")
    site.check(page)
    assert site.parse_recent(page) == (
        RecentEpisode("die-sturmwarte", 1, 102, frozenset({ENGLISH_DUB})),
        RecentEpisode("kuestenlicht-2021", 0, 2),
        RecentEpisode("a", 1, 1),
        RecentEpisode("b", 2, 3),
    )
    with pytest.raises(LayoutChanged):
        site.parse_recent(answer(whole("<ul></ul>")))
    with pytest.raises(LayoutChanged):
        site.check(saved("recent.html", "/elsewhere"))


# -- suggest


def suggestions(body: object) -> tuple[IndexEntry, ...]:
    text = body if isinstance(body, str) else json.dumps(body)
    page = answer(text, path=SUGGEST + "?term=x")
    site.check(page)
    return site.parse_suggest(page)


def test_suggestions_are_series_only_and_unescaped_once():
    found = suggestions(
        {
            "shows": [
                {"name": "Tom &amp; <em>J&quot;rry</em>", "url": "/serie/tom-j", "image": None},
                {"name": "Tom", "url": "https://s.to/serie/stream/Tom-J"},
                {"name": "Staffel", "url": "/serie/tom-j/staffel-1"},
                {"name": "", "url": "/serie/x"},
                {"name": "Böse", "url": "/serie/..%2fx"},
                {"name": 5, "url": ["x"]},
                "x",
            ],
            "people": [{"name": "Tom", "url": "/person/tom"}],
        }
    )
    assert found == (IndexEntry("tom-j", 'Tom & J"rry'),)


def test_the_older_answer_is_a_list_with_bare_slugs():
    found = suggestions([{"name": "Tom &amp; J", "link": "tom-j", "cover": "/c.png"}])
    assert found == (IndexEntry("tom-j", "Tom & J"),)


def test_suggestions_are_bounded():
    rows = [{"name": "x" * 1000, "url": f"/serie/{n}"} for n in range(500)]
    found = suggestions({"shows": rows})
    assert len(found) == 100
    assert len(found[0].name) == 300


@pytest.mark.parametrize("body", ["{", "[" * 200_000, '{"shows": 5}', '{"people": []}', "{}", "[1"])
def test_an_answer_without_a_list_of_shows_is_a_changed_layout(body):
    with pytest.raises(LayoutChanged):
        suggestions(body)


def test_a_page_in_place_of_suggestions_says_why():
    with pytest.raises(Blocked):
        site.check(answer(whole('<i class="cf-challenge">'), path=SUGGEST))
    with pytest.raises(RateLimited):
        site.check(answer("{}", 429, path=SUGGEST))


@pytest.mark.parametrize(
    ("term", "ways"),
    [
        ("Sintel", ("Sintel",)),
        ("S.W.A.T.", ("S.W.A.T.", "SWAT")),
        ("911", ("911", "9-1-1")),
        ("9-1-1: Lone Star", ("9-1-1: Lone Star", "911 Lone Star", "9-1-1 Lone Star")),
        ("Babylon 5", ("Babylon 5",)),
        ("Winter 2012", ("Winter 2012",)),
        (" Käpt'n  Blau ", ("Käpt'n Blau", "Käptn Blau")),
        ("!?", ()),
        ("", ()),
    ],
)
def test_a_term_is_spelled_in_the_ways_that_a_search_may_want(term, ways):
    assert spellings(term) == ways
    assert len(site.suggest_paths(term)) == len(ways)


def test_a_term_is_pasted_safely_and_cut():
    assert site.suggest_paths("a&b=/?#")[0] == SUGGEST + "?term=a%26b%3D%2F%3F%23"
    assert len(site.suggest_paths("x" * 9000)[0]) < 200
    assert site.alternatives(SUGGEST + "?term=a%26b") == ("/ajax/seriesSearch?keyword=a%26b",)


# -- play links


def play(location: str = "", status: int = 302, text: str = "", path: str = "/r?t=secret") -> str:
    return site.read_play_link(answer(text, status, path, location=location), BASE)


def test_a_play_link_gives_the_hosts_address():
    assert play("https://voe.example/e/1") == "https://voe.example/e/1"


@pytest.mark.parametrize("status", [400, 403, 404, 410, 419, 422])
def test_a_stale_token_asks_for_the_page_to_be_read_anew(status):
    with pytest.raises(SiteError, match="read the episode's page anew") as caught:
        play(status=status, text="<h1>no</h1>")
    assert caught.value.retryable
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (403, "<title>Just a moment...</title>", Blocked),
        (401, "", Blocked),
        (429, "", RateLimited),
        (503, "", SiteUnavailable),
        (200, '<div class="cf-turnstile"></div>', Blocked),
        (200, "<h1>Sicherheitsabfrage</h1>", Blocked),
        (200, "<p>Hallo</p>", LayoutChanged),
    ],
)
def test_other_answers_to_a_play_link_have_their_own_errors(status, text, error):
    with pytest.raises(error):
        play(status=status, text=text)


@pytest.mark.parametrize("path", ["/", "/r?t=other", "/serie/x", "/serien", "https://www.s.to/"])
def test_a_play_link_back_to_the_catalogue_is_no_host(path):
    with pytest.raises(SiteError, match="back to the catalogue"):
        play(path)


def test_a_play_link_that_is_sent_on_to_a_mirror_is_to_be_asked_there():
    with pytest.raises(SiteUnavailable, match=r"serienstream\.to") as caught:
        play("https://serienstream.to/r?t=secret")
    assert "secret" not in str(caught.value)


# -- hostile input

SAVED_TEXTS = [path.read_text() for path in sorted(PAGES.glob("*.html"))]
JUNK = (
    *("<li class=series-item>", 'data-play-url="http://[/r?t=x"'),
    *("<table class=episode-table>", "window.location='//['"),
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text() | mutated(SAVED_TEXTS, JUNK), status=STATUSES, header=st.text())
def test_whatever_a_site_sends_only_expected_errors_come_out(text, status, header):
    page = Answer(BASE + SERIES, status, {"location": header, "retry-after": header}, text)
    reads = (
        site.check,
        site.parse_title,
        lambda page: site.parse_season(page, 1),
        lambda page: site.parse_season(page, 0),
        site.parse_episode,
        site.parse_recent,
        site.parse_suggest,
        lambda page: site.suggest_paths(page.text),
        lambda page: site.read_play_link(page, BASE),
        lambda page: list(site.parse_index([text.encode(errors="surrogatepass")])),
    )
    assert unexpected(reads, page) == []


@settings(max_examples=60, deadline=None)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("/serie/x"),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["shows", "name", "url", "link"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_whatever_json_a_search_answers_only_expected_errors_come_out(body):
    try:
        found = site.parse_suggest(answer(json.dumps(body)))
    except LayoutChanged:
        return
    assert all(site.check_slug(entry.slug) and entry.name for entry in found)
