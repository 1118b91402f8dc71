"""Megakino's adapter against saved pages of both variants, against the demo over HTTP, and against anything else."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anibridge.demo import megakino as demo
from anibridge.demo.server import build_app, in_thread
from anibridge.demo.titles import catalogue
from catalogue.errors import (
    Blocked,
    LayoutChanged,
    NotFound,
    RateLimited,
    SiteError,
    SiteUnavailable,
    UnsafeSlug,
)
from catalogue.fetching import SiteClient
from catalogue.matching import score
from catalogue.sites.base import (
    Answer,
    IndexEntry,
    IndexPage,
    RecentEpisode,
)
from catalogue.sites.megakino import name_of, slug_of
from tests.catalogue.sites.hostile import STATUSES, mutated, unexpected
from tests.catalogue.sites.megakino import (
    BASE,
    FILM,
    GERMAN,
    LIST,
    PAGES,
    SERIAL,
    answer,
    saved,
    site,
    whole,
)

# -- slugs, names and paths


def test_a_slug_has_no_folder_and_no_ending():
    assert slug_of("/films/123-tears-of-steel.html") == "123-tears-of-steel"
    assert slug_of("/krimi/123-tears-of-steel.html?x=1") == "123-tears-of-steel"
    assert slug_of("/123-tears-of-steel.html") == "123-tears-of-steel"
    for path in ("/films/", "/films/tears.html", "/1-a%2Fb.html", "/1-...html", "1-x.html", ""):
        assert slug_of(path) == ""


@pytest.mark.parametrize(
    ("slug", "name", "season"),
    [
        ("123-tears-of-steel", "Tears Of Steel", None),
        ("55-24-2-staffel", "24", 2),
        ("55-kaeptn-gruenspan-12-staffel", "Kaeptn Gruenspan", 12),
        ("7-x-staffel-3", "X", 3),
        ("7-x-2-staffel-german", "X", 2),
        ("9-die-staffel", "Die Staffel", None),
        ("9-x-0-staffel", "X", 1),
    ],
)
def test_a_slug_tells_a_name_and_a_season(slug, name, season):
    assert (name_of(slug), site.own_season(slug)) == (name, season)


def test_names_of_slugs_are_found_by_the_real_ones():
    assert score("Käpt'n Grünspan & die Möwen", name_of("1-kaeptn-gruenspan-die-moewen")).accepted
    # The season is asked for beside the title: as a part of the name it would stand in the way.
    assert score("Die Bernsteinfüchsin", name_of("88-die-bernsteinfuechsin-2-staffel")).exact


def test_the_folder_is_guessed_and_the_others_are_tried():
    assert site.title_path("123-tears-of-steel") == "/films/123-tears-of-steel.html"
    path = site.title_path("8-x-2-staffel")
    assert path == "/serials/8-x-2-staffel.html"
    assert site.alternatives(path) == ("/8-x-2-staffel.html", "/films/8-x-2-staffel.html")
    assert site.alternatives("/films/") == site.alternatives("/sitemap.xml") == ()
    assert site.episode_path("8-x-2-staffel", 2, 5) == site.season_path("8-x-2-staffel", 2) == path
    assert site.title_path("1-straße") == "/films/1-stra%C3%9Fe.html"


@pytest.mark.parametrize(
    "slug", ["", "x", "tears-of-steel", "1-", "1-a/b", "1-..", "1-a%2f", "1-a b", "1-" + "a" * 300]
)
def test_unsafe_slugs_never_reach_a_path(slug):
    with pytest.raises(UnsafeSlug):
        site.title_path(slug)


# -- titles


def test_a_films_page_gives_its_facts():
    facts = site.parse_title(saved("film.html"))
    assert facts.name == '404: Größe & "Glück"'
    assert facts.alternatives == ("404: Size & Luck", "The 404 Movie")
    assert (facts.year, facts.minutes, facts.imdb_id, facts.seasons) == (2021, 98, None, (0,))
    assert facts.description == "Demnächst im Kino? Nein: schon da & gut."
    assert facts.genres == ("Drama", "Science-Fiction")
    assert facts.cover == "/uploads/posts/2021-05/404.webp"
    assert facts.canonical_path == FILM


def test_a_serials_page_is_one_season_under_the_serials_name():
    facts = site.parse_title(saved("serial.html", SERIAL))
    assert (facts.name, facts.alternatives) == ("Die Bernsteinfüchsin", ("Kohaku no Kitsune",))
    assert (facts.seasons, facts.year, facts.minutes) == ((2,), 2019, 24)
    facts = site.parse_title(saved("serial-b.html", "/88-x.html"))
    assert (facts.name, facts.seasons) == ("Die Bernsteinfüchsin", (2,))


def test_a_page_without_its_extras_still_has_a_name():
    facts = site.parse_title(saved("film-b.html", "/4711-x.html"))
    assert (facts.name, facts.year, facts.minutes) == ("Kein Rückweg", 1999, 101)
    assert facts.seasons == (0,)
    assert (facts.alternatives, facts.genres, facts.cover) == ((), (), None)


@pytest.mark.parametrize(
    ("body", "path", "seasons"),
    [
        ("<select class='se-select'></select>", "/1-x.html", (1,)),
        ("<div class='page__text'>x</div>", "/serials/1-x.html", (1,)),
        ("<div class='pmovie__genres'>Serien / Krimi</div>", "/krimi/1-x.html", (1,)),
        ("<div class='page__text'>x</div>", "/serials/1-x-3-staffel.html", (3,)),
        ("<ul class='ep-menu'><li id='serie-4_1'></li></ul>", "/1-x.html", (4,)),
        ("<ul class='ep-menu'><li id='serie-0_1'></li></ul>", "/1-x.html", (1,)),
        ("<div class='pmovie__genres'>Filme / Krimi</div>", "/krimi/1-x.html", (0,)),
    ],
)
def test_what_makes_a_serial_and_which_season_it_is(body, path, seasons):
    assert site.parse_title(answer(whole(f"<h1>X</h1>{body}"), path=path)).seasons == seasons


def test_a_title_page_without_a_name_names_the_selector():
    with pytest.raises(LayoutChanged, match="h1"):
        site.parse_title(answer(whole("<div class='page__text'>x</div>")))


def test_a_name_without_end_is_cut():
    text = whole(f"<meta itemprop='name' content='X{'-' * 10**6}'><div class='page__text'>x</div>")
    assert len(site.parse_title(answer(text)).name) == 300


# -- search and the newest


def test_a_search_names_its_term_and_does_not_ask_what_is_refused():
    assert site.suggest_paths(" Größe  & Glück ") == (
        "/index.php?do=search&subaction=search&search_start=&full_search=0&result_from="
        "&story=Gr%C3%B6%C3%9Fe+%26+Gl%C3%BCck",
    )
    assert site.suggest_paths("Ich ") == ()


def test_search_results_are_the_cards_of_the_list_only():
    page = saved("search.html", "/index.php?do=search")
    site.check(page)
    assert site.parse_suggest(page) == (
        IndexEntry("4711-404-der-film", "404: Größe & Glück"),
        IndexEntry("88-die-bernsteinfuechsin-2-staffel", "Die Bernsteinfüchsin"),
        IndexEntry("12-ohne-namen", "Ohne Namen"),
    )
    page = saved("search-b.html", "/index.php?do=search")
    site.check(page)
    assert site.parse_suggest(page) == (IndexEntry("4711-404-der-film", "404: Größe"),)


def test_no_hits_are_an_answer_and_a_refusal_is_none():
    page = saved("no-hits.html", "/index.php?do=search")
    site.check(page)
    assert site.parse_suggest(page) == ()
    page = saved("refused.html", "/index.php?do=search")
    site.check(page)
    with pytest.raises(SiteError, match="weniger als 4 Zeichen"):
        site.parse_suggest(page)
    with pytest.raises(LayoutChanged, match="dle-content"):
        site.parse_suggest(answer(whole("<p>x</p>"), path="/index.php?do=search"))


def test_the_newest_films_are_those_of_the_list():
    page = saved("films.html", site.recent_path())
    site.check(page)
    assert site.parse_recent(page) == (
        RecentEpisode("4711-404-der-film", 0, 0, GERMAN),
        RecentEpisode("12-x", 0, 0, GERMAN),
    )


# -- what an answer that is not the page looks like


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *(("film.html", FILM), ("serial.html", SERIAL), ("film-b.html", "/4711-x.html")),
        *(("serial-b.html", "/88-x.html"), ("coming-soon.html", FILM), ("films.html", LIST)),
    ],
)
def test_real_pages_pass_although_they_hold_error_words(name, path):
    assert site.check(saved(name, path)) is None


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (saved("gate.html"), Blocked, "site gate"),
        (answer(saved("gate.html").text.replace("</html>", "")), Blocked, "site gate"),
        (saved("challenge.html"), Blocked, "browser check"),
        (answer("<title>DDoS-Guard</title>", 503), Blocked, "browser check"),
        (answer(whole("<h1>Wartungsarbeiten</h1>")), SiteUnavailable, "maintenance"),
        (answer("", 502), SiteUnavailable, "502"),
        (answer("", 429), RateLimited, "limits"),
        (answer("", 404), NotFound, "404"),
        (answer(""), SiteUnavailable, "cut short"),
        (answer(saved("film.html").text[:2000]), SiteUnavailable, "cut short"),
        (saved("missing.html"), NotFound, "nothing at /films/4711"),
        # Without a word of it, a page that lost all that a title has is no title that is missing.
        (saved("films.html"), LayoutChanged, "unexpected page"),
        (answer(whole("<p>Diese Domain steht zum Verkauf</p>")), LayoutChanged, "domain moved"),
        (answer(whole("<p>parked</p>"), path="/"), LayoutChanged, "domain moved"),
    ],
)
def test_check_says_what_an_answer_is(bad, error, words):
    with pytest.raises(error, match=words):
        site.check(bad)


def test_a_title_that_leads_to_a_list_is_not_there():
    front = saved("films.html", "/")
    site.check(front)
    with pytest.raises(NotFound, match="list"):
        site.parse_title(front)


# -- the demo, over HTTP


@pytest.fixture(params=["megakino", "megakino-b"])
def client(request, library) -> Iterator[SiteClient]:
    with in_thread(build_app(library, site=request.param, rate=0, extra_titles=3)) as url:
        yield SiteClient("megakino", site, (url,), 5.0, site.languages)


def read_index(client: SiteClient) -> dict[str, str]:
    found, paths = {}, [site.index_path()]
    for path in paths:
        for entry in client.index(lambda chunks: list(site.parse_index(chunks)), path=path):
            if isinstance(entry, IndexPage):
                paths.append(entry.path)
            else:
                found[entry.slug] = entry.name
    return found


def test_every_title_of_the_map_can_be_read_down_to_its_hosts(client):
    posts = {post.slug: post for post in demo.posts(catalogue())}
    found = read_index(client)
    assert len(found) == len(posts) + 3
    assert found["123-tears-of-steel"] == "Tears Of Steel"
    for slug, post in posts.items():
        facts = client.title(slug)
        season = post.season or 0
        assert (facts.name, facts.year) == (post.title.name, post.title.year)
        assert facts.seasons == (season,)
        assert facts.canonical_path.endswith(f"/{slug}.html")
        assert site.own_season(slug) in (None, season)
        numbers = list(post.links) if post.season else [0]
        assert [row.episode for row in client.season(slug, season)] == numbers
        for number in numbers[:2]:
            links = post.links.get(number, ()) if post.season else post.film_links
            page = client.episode(slug, season, number)
            assert [(link.host, link.language) for link in page.links] == [
                (link.host.name, link.language) for link in links
            ]
            for shown, link in zip(page.links, links, strict=True):
                assert client.host_url(shown) == client.base_urls[0] + link.host_path


def test_what_the_site_lacks_is_not_found(client):
    for ask in (
        lambda: client.title("1-no-such-title"),
        lambda: client.season("123-tears-of-steel", 1),
        lambda: client.season("127-die-baeckerei-am-ende-der-strasse-2-staffel", 1),
        lambda: client.episode("127-die-baeckerei-am-ende-der-strasse-2-staffel", 2, 9),
        lambda: client.title(next(slug for slug in read_index(client) if "erfunden" in slug)),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_gate_is_reported(client):
    with pytest.raises(Blocked, match="site gate"):
        client.title(demo.GATE)


def test_the_demos_search_and_newest_films_are_read(client):
    (path,) = site.suggest_paths("Möwen")
    assert [entry.slug for entry in client.page(path, site.parse_suggest)] == [
        "129-kaeptn-gruenspan-die-moewen-1-staffel",
        "130-kaeptn-gruenspan-die-moewen-2-staffel",
    ]
    (path,) = site.suggest_paths("gibt es nicht")
    assert client.page(path, site.parse_suggest) == ()
    with pytest.raises(SiteError, match="ausgesetzt"):
        client.page(path.replace("gibt+es+nicht", "abc"), site.parse_suggest)
    recent = client.page(site.recent_path(), site.parse_recent)
    assert RecentEpisode("123-tears-of-steel", 0, 0, GERMAN) in recent


# -- hostile input

SAVED_TEXTS = [path.read_text() for path in sorted(PAGES.iterdir())]
JUNK = (
    *('href="http://[/films/1-x.html"', "<select class=se-select>", "-9999999-staffel"),
    *('data-link="https://["', "<li id=serie-99999_99999>", " - ² Staffel", "</loc>"),
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text() | mutated(SAVED_TEXTS, JUNK),
    status=STATUSES,
    path=st.sampled_from([FILM, SERIAL, LIST, "/1-x.html"]) | st.text(),
)
def test_whatever_a_site_sends_only_expected_errors_come_out(text, status, path):
    page = Answer(BASE + path, status, {"location": path, "retry-after": text[:20]}, text)
    reads = (
        site.check,
        site.parse_title,
        lambda page: site.parse_season(page, 1),
        lambda page: site.parse_season(page, 0),
        lambda page: site.parse_episode(page, season=2, episode=1),
        site.parse_episode,
        site.parse_suggest,
        site.parse_recent,
        lambda page: site.read_play_link(page, BASE),
        lambda page: list(site.parse_index([text.encode(errors="surrogatepass")])),
    )
    assert unexpected(reads, page) == []
