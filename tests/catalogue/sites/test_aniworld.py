"""AniWorld's adapter against saved pages in the documented shape, and against everything that is not such a page."""

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
from catalogue.sites.classic_index import split_alternatives
from tests.catalogue.sites.hostile import STATUSES, mutated, unexpected

PAGES = Path(__file__).parent / "pages" / "aniworld"
BASE = "https://aniworld.to"
SERIES = "/anime/stream/die-bernsteinfuechsin"
site = AniWorld()


def saved(name: str, path: str = SERIES) -> Answer:
    return Answer(BASE + path, 200, {"content-type": "text/html"}, (PAGES / name).read_text())


def answer(text: str = "", status: int = 200, path: str = SERIES, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(BASE + path, status, named, text)


def whole(body: str, title: str = "x") -> str:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>"


# -- index


def test_the_index_gives_each_title_once_with_its_other_names():
    entries = list(site.parse_index([(PAGES / "index.html").read_bytes()]))
    assert entries == [
        IndexEntry(
            "die-bernsteinfuechsin",
            "Die Bernsteinfüchsin",
            (
                "The Amber Fox, Again",
                "Kohaku no Kitsune",
                "Bernsteinfüchsin",
                "Amber Vixen",
                "Kohaku",
            ),
        ),
        IndexEntry("tom-jerrys-erbe", "Tom & Jörry's Erbe"),
        IndexEntry("404-straße", "404 <Straße>"),
    ]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_index_reads_the_same_however_it_is_cut_into_chunks(size):
    body = (PAGES / "index.html").read_bytes()
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert list(site.parse_index(chunks)) == list(site.parse_index([body]))


@pytest.mark.parametrize("share", [0, 0.3, 0.95])
def test_a_truncated_index_gives_nothing_and_may_be_tried_again(share):
    body = (PAGES / "index.html").read_bytes()
    with pytest.raises(SiteUnavailable, match="cut short") as caught:
        list(site.parse_index([body[: int(len(body) * share)]]))
    assert caught.value.retryable


def test_an_index_without_a_title_is_a_changed_layout_that_names_the_link():
    with pytest.raises(LayoutChanged, match="/anime/stream/"):
        list(site.parse_index([whole('<a href="/serie/x">X</a>').encode()]))


def test_a_challenge_in_place_of_the_index_is_reported_as_one():
    with pytest.raises(Blocked, match="browser check"):
        list(site.parse_index([(PAGES / "challenge.html").read_bytes()]))


def test_a_login_form_in_front_of_a_long_list_is_no_login_wall():
    filler = "<p>" + "x" * 200_000 + '</p><form><input type="password"></form>'
    body = whole(filler + '<a href="/anime/stream/x">X</a>').encode()
    assert list(site.parse_index([body])) == [IndexEntry("x", "X")]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        (" , ,", ()),
        ("One, Two,Two", ("One", "Two")),
        ("\"A, B\", 'C, D', E", ("A, B", "C, D", "E")),
        ("Rock 'n' Roll, \"Baker's\"", ("Rock 'n' Roll", "Baker's")),
        ("'Tis, 'Twas", ("'Tis", "'Twas")),
        ('"Open, End', ("Open", "End")),
    ],
)
def test_alternatives_are_split_at_commas_outside_quotes(text, names):
    assert split_alternatives(text) == names


# -- title, season, episode


def test_a_series_page_gives_its_facts():
    facts = site.parse_title(saved("series.html"))
    assert facts.name == "Die Bernsteinfüchsin"
    assert facts.alternatives == ("The Amber Fox, Again", "Kohaku no Kitsune")
    assert (facts.year, facts.end_year, facts.imdb_id) == (2019, None, "tt1234567")
    assert facts.description == 'Eine Füchsin & ihr "Freund" fehlen: 404, nicht gefunden.'
    assert facts.cover == "/public/img/cover/die-bernsteinfuechsin.jpg"
    assert facts.genres == ("Fantasy", "Ger")
    assert facts.seasons == (0, 1, 3)


def test_a_series_page_without_its_extras_still_has_a_name():
    text = whole(
        '<div class="series-title"><h1 itemprop="name"><span>X</span></h1></div><div id="stream"><ul></ul></div>'
    )
    facts = site.parse_title(answer(text))
    assert (facts.name, facts.year, facts.imdb_id, facts.seasons) == ("X", None, None, ())


def test_a_series_page_without_a_name_names_the_selector_and_the_page():
    with pytest.raises(LayoutChanged, match=r"div\.series-title h1.*bernsteinfuechsin"):
        site.parse_title(answer(whole("<h1>?</h1>")))


def test_a_season_page_reads_languages_from_the_flags_file_names(caplog):
    rows = site.parse_season(saved("series.html"), 1)
    assert rows == (
        EpisodeFacts(
            1,
            1,
            "Größe & Glück",
            "Size & Luck [Episode 001]",
            frozenset({GERMAN_DUB, ENGLISH_SUB}),
        ),
        EpisodeFacts(1, 102, "", "What's Left", frozenset({GERMAN_SUB, ENGLISH_DUB})),
    )


def test_film_rows_take_their_number_from_the_row_or_from_the_link():
    rows = site.parse_season(saved("films.html"), 0)
    assert [(row.season, row.episode, row.english_title) for row in rows] == [
        (0, 1, "The Fox at Sea [Movie]"),
        (0, 2, "Picnic [OVA]"),
    ]


def test_an_announced_season_is_empty_and_a_missing_table_is_a_failure():
    assert site.parse_season(saved("announced-season.html"), 3) == ()
    with pytest.raises(LayoutChanged, match="seasonEpisodesList"):
        site.parse_season(saved("missing-season.html"), 9)


def test_another_seasons_table_is_not_taken_for_the_one_asked_for():
    with pytest.raises(NotFound, match="season 2"):
        site.parse_season(saved("series.html"), 2)


def test_an_episode_page_gives_every_link_hidden_ones_too():
    page = site.parse_episode(saved("episode.html", SERIES + "/staffel-1/episode-1"))
    assert (page.german_title, page.english_title) == ("Größe & Glück", "Size & Luck")
    assert page.links == (
        HostLink(GERMAN_DUB, "VOE", "/redirect/1001"),
        HostLink(GERMAN_DUB, "Filemoon", "/redirect/1002"),
        HostLink(GERMAN_DUB, "VOE", "/redirect/1003"),
        HostLink(ENGLISH_SUB, "Vidoza HD", "/redirect/1004"),
        HostLink(GERMAN_SUB, "Streamtape", "/redirect/1005"),
        HostLink(ENGLISH_SUB, "Doodstream", "/redirect/1007"),
    )
    assert page.published_at == datetime(2024, 7, 5, 19, 30, tzinfo=UTC)


def test_without_a_language_box_the_sites_own_keys_hold():
    text = re.sub(
        r'<div class="changeLanguage">.*?</div></div>', "", saved("episode.html").text, flags=re.S
    )
    links = site.parse_episode(answer(text)).links
    assert [link.language for link in links] == [
        *(GERMAN_DUB, GERMAN_DUB, GERMAN_DUB, ENGLISH_SUB, ENGLISH_DUB, ENGLISH_SUB)
    ]


def test_an_episode_without_uploads_has_no_links():
    page = site.parse_episode(
        answer(whole('<div class="hosterSiteVideo"><ul class="row"></ul></div>'))
    )
    assert (page.links, page.published_at) == ((), None)


def test_links_that_lead_nowhere_are_a_changed_layout():
    item = '<div class="hosterSiteVideo"><ul><li class="episodeLink1" data-lang-key="1"><h4>VOE</h4></li></ul></div>'
    with pytest.raises(LayoutChanged, match="data-link-target"):
        site.parse_episode(answer(whole(item)))


def test_the_recent_list_gives_each_episode_once():
    assert site.parse_recent(saved("recent.html", "/neue-episoden")) == (
        RecentEpisode("die-bernsteinfuechsin", 3, 2, frozenset({GERMAN_DUB})),
        RecentEpisode("tom-jerrys-erbe", 0, 1),
    )


# -- slugs


@pytest.mark.parametrize("slug", ["sintel", "Re-Zero", "404", "käpt'n_2.5", "a" * 200, "x~y"])
def test_slugs_are_opaque(slug):
    assert site.check_slug(slug) == slug


@pytest.mark.parametrize(
    "slug",
    [
        *("", ".", "..", "a/b", "a..b", "../x", "a?b", "a#b", "a%2fb", "%2e%2e", "a b", "a\tb"),
        *("a\n", "a\x00b", "a\x7fb", "a\\b", "a\u2028b", "a|b", "<a>", "a" * 201, "a\u202eb"),
    ],
)
def test_unsafe_slugs_never_reach_a_path(slug):
    for path in (
        site.title_path,
        lambda s: site.season_path(s, 1),
        lambda s: site.episode_path(s, 1, 1),
    ):
        with pytest.raises(UnsafeSlug):
            path(slug)


# -- what an answer that is not the page looks like


@pytest.mark.parametrize(
    "page", ["series.html", "films.html", "announced-season.html", "episode.html", "recent.html"]
)
def test_real_pages_pass_although_they_hold_error_words(page):
    assert site.check(saved(page)) is None


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (answer("<title>Just a moment...</title>", 403), Blocked, "browser check"),
        (answer("<title>DDoS-Guard</title>", 503), Blocked, "browser check"),
        (saved("challenge.html"), Blocked, "browser check"),
        (answer("<p>no", 403), Blocked, "refuses access"),
        (answer(whole("<h1>Wartungsarbeiten</h1>"), 503), SiteUnavailable, "maintenance"),
        (answer(whole("<p>Wir aktualisieren</p>")), SiteUnavailable, "maintenance"),
        (answer("", 502), SiteUnavailable, "502"),
        (answer("", 404), NotFound, "404"),
        (answer(""), SiteUnavailable, "cut short"),
        (answer(saved("series.html").text[:2000]), SiteUnavailable, "cut short"),
        (answer(whole('<form><input type="password"></form>')), Blocked, "login"),
        (saved("unknown-series.html"), NotFound, "nicht gefunden"),
        (answer(whole("<p>Diese Domain steht zum Verkauf</p>")), LayoutChanged, "domain moved"),
    ],
)
def test_check_says_what_an_answer_is(bad, error, words):
    with pytest.raises(error, match=words):
        site.check(bad)


def test_a_missing_season_is_not_found():
    text = saved("missing-season.html").text
    with pytest.raises(NotFound, match="staffel-9"):
        site.check(answer(text, path=SERIES + "/staffel-9"))


@pytest.mark.parametrize(
    ("header", "seconds"), [("30", 30), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", None)]
)
def test_a_rate_limit_says_how_long_to_wait(header, seconds):
    with pytest.raises(RateLimited) as caught:
        site.check(answer("", 429, retry_after=header))
    assert caught.value.retry_after == seconds


# -- play links


def play(location: str, status: int = 302, base: str = BASE) -> str:
    return site.read_play_link(
        Answer(f"{base}/redirect/1", status, {"location": location}, ""), base
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_play_link_gives_the_hosts_address(status):
    assert play("https://voe.example/e/abc", status) == "https://voe.example/e/abc"


def test_a_host_may_share_the_catalogues_address():
    base = "http://127.0.0.1:8001"
    assert play("/host/voe/1", base=base) == f"{base}/host/voe/1"
    assert play(f"{base}/host/voe/1", base=base) == f"{base}/host/voe/1"


@pytest.mark.parametrize(
    "path", ["/", "/redirect/2", "/anime/stream/x", "https://www.aniworld.to/"]
)
def test_a_play_link_back_to_the_catalogue_is_no_host(path):
    with pytest.raises(SiteError, match="back to the catalogue"):
        play(path)


@pytest.mark.parametrize("path", ["/login", "/captcha?next=1"])
def test_a_play_link_to_a_check_is_blocked(path):
    with pytest.raises(Blocked, match="manual confirmation"):
        play(path)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "ftp://x/y",
        "javascript:alert(1)",
        "http://[",
        "http://x:y/",
        "http:///x",
        "https://x/\x00",
    ],
)
def test_a_play_link_to_no_address_is_a_changed_layout(location):
    with pytest.raises(LayoutChanged, match="no address"):
        play(location)


@pytest.mark.parametrize("word", ["Captcha", "Verifizierung", "Sicherheitsabfrage"])
def test_an_interstitial_needs_manual_confirmation(word):
    with pytest.raises(Blocked, match="manual confirmation"):
        site.read_play_link(answer(whole(f"<h1>{word}</h1>"), path="/redirect/1"), BASE)


def test_other_answers_to_a_play_link_have_their_own_errors():
    with pytest.raises(LayoutChanged, match="led nowhere"):
        site.read_play_link(answer(whole("<p>Hallo</p>")), BASE)
    with pytest.raises(NotFound):
        site.read_play_link(answer("", 404), BASE)
    with pytest.raises(RateLimited):
        site.read_play_link(answer("", 429), BASE)


# -- hostile input

SAVED_TEXTS = [path.read_text() for path in sorted(PAGES.glob("*.html"))]
JUNK = (
    'href="http://[/anime/stream/x"',
    "<table class=seasonEpisodesList>",
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
        lambda page: site.read_play_link(page, BASE),
        lambda page: list(site.parse_index([text.encode(errors="surrogatepass")])),
    )
    assert unexpected(reads, page) == []
