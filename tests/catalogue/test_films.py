"""Films: on sites that have them as titles, and in the lists of films that other sites have of their series."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from anibridge.demo.videos import VideoLibrary
from catalogue import feed, learning, search, services
from catalogue.index import current
from catalogue.models import Film, Site, Title, TitleMapping
from catalogue.releases import parse_magnet
from catalogue.search import Ids
from tests.catalogue.conftest import FaultySite, site_in_layout
from tests.catalogue.factories import TitleFactory, TitleMappingFactory
from tests.catalogue.skyhook import SkyHook

PATIENT = 30.0
LAMPS = "Das Haus der tausend Lampen"
GIRL = "404 Girl Not Found"
GERMAN_GIRL = "404: Mädchen nicht gefunden"
SLUG = "404-maedchen-nicht-gefunden"
FILMS = f"/anime/stream/{SLUG}/filme"


def titles(found: search.Answered) -> set[str]:
    """What stands before the language in the names of the releases."""
    names = (one.release.name for one in found.entries)
    return {name.partition(".German")[0].partition(".Japanese")[0] for name in names}


def places(found: search.Answered) -> set[tuple[str, int, int | None]]:
    return {(one.slug, one.season, one.episode) for one in found.entries}


def notes(found: search.Answered, site_id: str = "demo") -> set[str]:
    return {one.note for one in found.sites[site_id].titles if one.note}


def learn(*slugs: str) -> None:
    """What a worker does once a search has hit the titles, and the minute's task after it."""
    for slug in slugs:
        learning.learn("demo", slug)
    learning.publish()
    current.forget()


# --- films of a series


def test_a_series_film_is_offered_as_a_film_under_the_sites_number(indexed: FaultySite):
    found = search.films(f"{GIRL} Gateway Timeout 2016", budget=PATIENT)
    assert {one.release.name for one in found.entries} == {
        "404.Girl.Not.Found.Gateway.Timeout.2016.Japanese.GerSubbed.1080p.WEB.H264-DEMO",
        "404.Girl.Not.Found.Gateway.Timeout.2016.Japanese.EngSubbed.1080p.WEB.H264-DEMO",
    }
    for one in found.entries:
        identity = parse_magnet(one.release.magnet).identity
        assert (identity.slug, identity.season, identity.episode) == (SLUG, 0, 1)
        assert one.is_film
        assert one.alias is None
    assert found.troubles == {}


@pytest.mark.parametrize(
    "query",
    [
        f"{GIRL} Gateway Timeout",
        f"{GIRL}: Gateway Timeout",
        f"{GIRL} The Movie Gateway Timeout",
        f"{GERMAN_GIRL} - Gateway Timeout (2016)",
        f"{GIRL} Film 1 Gateway Timeout 2016",
    ],
)
def test_a_film_is_found_behind_its_series_name(indexed: FaultySite, query: str):
    assert places(search.films(query, budget=PATIENT)) == {(SLUG, 0, 1)}


@pytest.mark.parametrize(
    "query", [GIRL, f"{GIRL} 2023", f"{GIRL} Gateway", f"{GIRL} Movie", f"{GIRL} Season 2"]
)
def test_a_series_is_no_film_and_half_a_name_is_none(indexed: FaultySite, query: str):
    found = search.films(query, budget=PATIENT)
    assert found.entries == []
    assert notes(found) == {"none of its films is called so"}


def test_a_films_own_name_is_enough_once_it_was_learnt(indexed: FaultySite):
    assert search.films("Gateway Timeout 2016", budget=PATIENT).entries == []
    learn(SLUG)
    indexed.asked()
    assert titles(search.films("Gateway Timeout 2016", budget=PATIENT)) == {"Gateway.Timeout.2016"}
    assert titles(search.films("Gateway Timeout", budget=PATIENT)) == {"Gateway.Timeout"}


def test_a_series_is_never_found_by_the_name_of_its_film(indexed: FaultySite):
    learn(SLUG)
    found = search.search("Gateway Timeout", season=1, episode=1, budget=PATIENT)
    assert found.entries == []


def test_a_single_word_is_no_film_of_a_series_unless_the_year_says_so(
    indexed: FaultySite, skyhook: SkyHook
):
    learn(SLUG)
    found = search.films("Teapot 2016", budget=PATIENT)
    assert found.entries == []
    assert "a single word" in notes(found).pop()
    assert places(search.films(f"{GIRL} Teapot 2016", budget=PATIENT)) == {(SLUG, 0, 2)}
    skyhook.add(404, GERMAN_GIRL, (0, 7, None, "Teapot"), year=2016)
    cache.clear()
    assert titles(search.films("Teapot 2015", budget=PATIENT)) == {"Teapot.2015"}
    assert titles(search.films("Teapot", budget=PATIENT)) == {"Teapot.2016"}
    assert "is of 2016" in notes(search.films("Teapot 2010", budget=PATIENT))


def test_the_special_that_the_service_knows_tells_a_films_year(
    indexed: FaultySite, skyhook: SkyHook
):
    skyhook.add(404, GERMAN_GIRL, (0, 3, None, "Gateway Timeout"), year=2016)
    named = f"{GIRL} Gateway Timeout"
    assert titles(search.films(named, budget=PATIENT)) == {
        "404.Girl.Not.Found.Gateway.Timeout.2016"
    }
    assert places(search.films(f"{named} 2017", budget=PATIENT)) == {(SLUG, 0, 1)}
    found = search.films(f"{named} 2019", budget=PATIENT)
    assert found.entries == []
    assert notes(found) == {"is of 2016"}


def test_a_year_in_brackets_is_the_films_own(indexed: FaultySite):
    page = indexed.server.routes.layout.respond("GET", FILMS, {}).body
    dated = page.replace("Gateway Timeout [Movie]", "Gateway Timeout (2014) [Movie]")
    assert dated != page
    indexed.fail(FILMS, 200, dated.encode())
    assert titles(search.films(f"{GIRL} Gateway Timeout", budget=PATIENT)) == {
        "404.Girl.Not.Found.Gateway.Timeout.2014"
    }
    assert search.films(f"{GIRL} Gateway Timeout 2016", budget=PATIENT).entries == []


def test_the_list_of_films_is_asked_for_once(indexed: FaultySite):
    for _ in range(3):
        search.films(f"{GIRL} Gateway Timeout 2016", budget=PATIENT)
    assert indexed.asked().count(FILMS) == 1


def test_a_title_that_is_known_to_have_no_films_is_not_asked(indexed: FaultySite):
    learn("caminandes")
    indexed.asked()
    found = search.films("Caminandes 2013", budget=PATIENT)
    assert (found.entries, indexed.asked()) == ([], [])
    assert notes(found) == {"has no films"}


def test_a_list_that_cannot_be_read_is_told_and_stops_nothing(indexed: FaultySite):
    indexed.fail(FILMS, 503)
    found = search.films(f"{GIRL} Gateway Timeout 2016", budget=PATIENT)
    assert found.entries == []
    assert "503" in found.troubles["demo"]
    assert notes(found) == {"its list of films could not be read"}


def test_a_search_leaves_a_note_to_learn_what_might_have_told_more(indexed: FaultySite, sent):
    search.films(f"{GIRL} Gateway", budget=PATIENT)
    assert ("catalogue.learn_title", "demo", SLUG) in sent


# --- titles that are a film


def test_a_title_that_is_only_a_film_is_found_by_any_of_its_names(indexed: FaultySite):
    assert titles(search.films(f"{LAMPS} 2018", budget=PATIENT)) == {
        "Das.Haus.der.tausend.Lampen.2018"
    }
    assert titles(search.films("House of a Thousand Lamps", budget=PATIENT)) == {
        "House.of.a.Thousand.Lamps"
    }


def test_its_page_tells_the_year(indexed: FaultySite):
    learn("das-haus-der-tausend-lampen")
    assert titles(search.films(LAMPS, budget=PATIENT)) == {"Das.Haus.der.tausend.Lampen.2018"}
    # The client's own year is the one that it matches by.
    assert titles(search.films(LAMPS, year=2019, budget=PATIENT)) == {
        "Das.Haus.der.tausend.Lampen.2019"
    }
    found = search.films(f"{LAMPS} 2016", budget=PATIENT)
    assert found.entries == []
    assert notes(found) == {"is of 2018"}


def test_a_film_of_another_year_is_refused_before_anything_was_learnt(indexed: FaultySite):
    found = search.films("Sintel 1999", sites=["demo"], budget=PATIENT)
    assert found.entries == []
    assert notes(found) == {"its series is of 2010, and nobody says of when the film is"}
    assert indexed.asked() == ["/anime/stream/sintel/filme", "/anime/stream/sintel"]
    assert titles(search.films("Sintel 2011", sites=["demo"], budget=PATIENT)) >= {"Sintel.2011"}
    found = search.films(f"{LAMPS} 2016", budget=PATIENT)
    assert found.entries == []
    assert notes(found) == {"is of 2018"}, "a title that is nothing but a film"


@pytest.mark.parametrize(
    ("query", "episode"),
    [
        (GIRL, 1),
        (f"The {GIRL}", 1),
        (f"{GIRL} The Movie", 1),
        (f"{GIRL} Teapot", 2),
        (f"{GIRL} Returns", None),
        (f"{GIRL} The Last Chapter", None),
    ],
)
def test_a_series_with_a_film_of_its_name_has_others_as_well(
    indexed: FaultySite, query: str, episode: int | None
):
    page = indexed.server.routes.layout.respond("GET", FILMS, {}).body
    indexed.fail(FILMS, 200, page.replace("Gateway Timeout [Movie]", GIRL).encode())
    learn(SLUG)
    for asked in (query, f"{query} 2023"):
        found = places(search.films(asked, budget=PATIENT))
        assert found == ({(SLUG, 0, episode)} if episode else set())


def test_the_page_is_read_only_where_the_year_depends_on_it(indexed: FaultySite):
    search.films("Sintel", sites=["demo"], budget=PATIENT)
    search.films(f"{GIRL} Gateway Timeout 2016", budget=PATIENT)
    assert not {"/anime/stream/sintel", f"/anime/stream/{SLUG}"} & set(indexed.asked())
    learn("sintel")
    indexed.asked()
    assert search.films("Sintel 1999", sites=["demo"], budget=PATIENT).entries == []
    assert "/anime/stream/sintel" not in indexed.asked()


def test_a_page_that_cannot_be_read_leaves_a_single_word_too_little(indexed: FaultySite):
    indexed.fail("/anime/stream/sintel", 503)
    found = search.films("Sintel 2010", sites=["demo"], budget=PATIENT)
    assert found.entries == []
    assert "a single word" in notes(found).pop()
    assert "503" in found.troubles["demo"]
    page = "/anime/stream/das-haus-der-tausend-lampen"
    indexed.fail(page, 503)
    assert titles(search.films(f"{LAMPS} 2018", budget=PATIENT)) == {
        "Das.Haus.der.tausend.Lampen.2018"
    }


@pytest.mark.parametrize(
    ("of", "until", "asked", "meant"),
    [
        (2014, 2016, 2013, True),
        (2014, 2016, 2019, True),
        (2014, 2016, 2012, False),
        (2014, 2016, 2020, False),
        (2014, None, 2020, True),
        (2014, None, 1999, False),
        (None, None, 1999, True),
    ],
)
def test_a_film_that_is_called_like_its_series_is_of_its_time(
    indexed: FaultySite, of: int | None, until: int | None, asked: int, meant: bool
):
    page = indexed.server.routes.layout.respond("GET", FILMS, {}).body
    indexed.fail(FILMS, 200, page.replace("Gateway Timeout [Movie]", GIRL).encode())
    learn(SLUG)
    Title.objects.filter(slug=SLUG).update(year=of, end_year=until)
    found = search.films(f"{GIRL} {asked}", budget=PATIENT)
    assert places(found) == ({(SLUG, 0, 1)} if meant else set())
    assert notes(found) == (
        set() if meant else {f"its series is of {of}, and nobody says of when the film is"}
    )
    assert places(search.films(GIRL, budget=PATIENT)) == {(SLUG, 0, 1)}, "who names no year"


def test_a_title_with_a_single_film_is_that_film_whatever_the_film_is_called(
    indexed: FaultySite,
):
    page = "/anime/stream/das-haus-der-tausend-lampen/filme"
    body = indexed.server.routes.layout.respond("GET", page, {}).body
    other = body.replace("House of a Thousand Lamps", "Sennen no Ie")
    assert other != body
    indexed.fail(page, 200, other.encode())
    assert search.films(f"{LAMPS} 2018", budget=PATIENT).entries == []
    learn("das-haus-der-tausend-lampen")
    assert titles(search.films(f"{LAMPS} 2018", budget=PATIENT)) == {
        "Das.Haus.der.tausend.Lampen.2018"
    }


def test_a_learnt_imdb_id_finds_a_film(indexed: FaultySite):
    assert search.films(ids=Ids(imdb="tt1727587"), budget=PATIENT).entries == []
    learn("sintel")
    for spelling in ("tt1727587", "1727587"):
        found = search.films(ids=Ids(imdb=spelling), budget=PATIENT)
        assert places(found) == {("sintel", 0, 1)}
        assert titles(found) >= {"Sintel.2010"}
    assert search.films(ids=Ids(imdb="tt0133093"), budget=PATIENT).entries == []


def test_a_series_id_is_no_films_and_tmdb_numbers_are_not_looked_up(
    indexed: FaultySite, skyhook: SkyHook
):
    learn(SLUG)
    Title.objects.filter(slug=SLUG).update(imdb_id="tt0000404")
    skyhook.asked.clear()
    assert search.films(ids=Ids(imdb="tt0000404"), budget=PATIENT).entries == []
    assert search.films(ids=Ids(tmdb=404), budget=PATIENT).entries == []
    assert skyhook.asked == []


def test_a_name_that_ends_like_a_year_is_taken_by_its_name(indexed: FaultySite):
    title = TitleFactory(
        site=indexed.site, name="Woodwork 1984", slug="sintel-2", seasons=[0], year=2020
    )
    TitleMappingFactory(site=indexed.site, name="Woodwork 1984", slug="sintel-2")
    indexed.server.routes["/anime/stream/sintel-2/filme"] = indexed.server.routes.get(
        "/anime/stream/sintel/filme"
    )
    film = indexed.server.routes.get("/anime/stream/sintel/filme/film-1")
    indexed.server.routes["/anime/stream/sintel-2/filme/film-1"] = film
    current.forget()
    for query in ("Woodwork 1984", "Woodwork 1984 2020"):
        found = search.films(query, budget=PATIENT)
        assert {one.slug for one in found.entries} == {title.slug}, query
        assert "Woodwork.1984.2020" in titles(found)


# --- several sites


@pytest.fixture
def megakino(demo_site: Site, library: VideoLibrary, settings) -> Iterator[Site]:
    with site_in_layout("megakino", library, settings, priority=1) as site:
        yield site


@pytest.fixture
def both(megakino: Site, indexed: FaultySite) -> FaultySite:
    return indexed


def sites(found: search.Answered) -> set[str]:
    return {one.site_id for one in found.entries}


def test_neither_a_fallback_site_nor_another_hides_a_film(both: FaultySite):
    found = search.films("Sintel 2010", budget=PATIENT)
    assert sites(found) == {"demo", "megakino"}
    assert found.entries[0].site_id == "megakino", "preferred by its priority"
    assert sites(search.films("Sintel 2010", sites=["demo"], budget=PATIENT)) == {"demo"}
    assert sites(search.films("Sintel 2010", sites=["megakino"], budget=PATIENT)) == {"megakino"}


def test_a_film_of_another_year_is_refused_on_each_site_by_itself(both: FaultySite):
    Title.objects.filter(site="megakino", name__icontains="sintel").update(year=1999)
    assert sites(search.films("Sintel 2010", budget=PATIENT)) == {"demo"}
    assert sites(search.films("Sintel 1998", sites=["megakino"], budget=PATIENT)) == {"megakino"}


def test_a_film_that_is_new_on_a_site_is_learnt_for_the_feed(megakino: Site, sent):
    assert services.poll_recent("megakino").probed > 1
    new = {entry.slug for entry in feed.feed(sites={"megakino"})}
    assert {message[1:] for message in sent if message[0] == "catalogue.learn_title"} == {
        ("megakino", slug) for slug in new
    }
    for slug in new:
        learning.learn("megakino", slug)
    assert all(entry.year for entry in feed.feed(sites={"megakino"}))


@pytest.mark.parametrize("indexed_there", [True, False])
def test_a_film_among_titles_is_of_the_year_on_its_page(both: FaultySite, indexed_there: bool):
    """Before a worker has learnt it, and where only the site's own search has it."""
    assert not Title.objects.filter(site="megakino", learned_at__isnull=False).exists()
    if not indexed_there:
        Title.objects.filter(site="megakino").delete()
        TitleMapping.objects.filter(site="megakino").delete()
        current.forget()
    found = search.films("Sintel 1999", sites=["megakino"], budget=PATIENT)
    assert found.entries == []
    assert notes(found, "megakino") == {"is of 2010"}
    assert titles(search.films("Sintel 2011", sites=["megakino"], budget=PATIENT)) == {
        "Sintel.2011"
    }


def test_an_id_that_one_site_told_finds_the_film_on_the_others(both: FaultySite):
    learn("sintel")
    found = search.films(ids=Ids(imdb="tt1727587"), budget=PATIENT)
    assert sites(found) == {"demo", "megakino"}
    assert all(one.release.name.startswith("Sintel.2010.") for one in found.entries)


def test_what_is_only_alike_is_not_the_film_that_an_id_means(both: FaultySite):
    learn("sintel")
    Title.objects.filter(slug="sintel").update(name="Sintel and the Long Search for Scales")
    TitleMapping.objects.filter(site="demo", slug="sintel").delete()
    TitleMapping.objects.filter(site="megakino", name__icontains="sintel").update(
        name="Sintel and the Search for Scales", title_key="sintelandthesearchforscales"
    )
    current.forget()
    query = "Sintel and the Long Search for Scales 2010"
    assert sites(search.films(query, sites=["megakino"], budget=PATIENT)) == {"megakino"}
    assert sites(search.films(ids=Ids(imdb="tt1727587"), budget=PATIENT)) <= {"demo"}


@pytest.mark.parametrize("key", ["aniworld", "sto"])
def test_each_layouts_list_of_films_is_read(
    demo_site: Site, library: VideoLibrary, settings, key: str
):
    with site_in_layout(key, library, settings):
        query = f"{GERMAN_GIRL} Teapot 2016"
        assert places(search.films(query, sites=[key], budget=PATIENT)) <= {(SLUG, 0, 2)}
        found = search.films("Sintel 2010", sites=[key], budget=PATIENT)
        assert places(found) == {("sintel", 0, 1)}
        assert titles(found) >= {"Sintel.2010"}


def test_a_namesake_that_only_the_sites_own_search_has_is_of_its_series_time(
    demo_site: Site, library: VideoLibrary, settings
):
    with site_in_layout("sto", library, settings):
        Title.objects.filter(site="sto", slug="sintel").delete()
        TitleMapping.objects.filter(site="sto", slug="sintel").delete()
        current.forget()
        found = search.films("Sintel 1999", sites=["sto"], budget=PATIENT)
        assert found.entries == []
        reason = "its series is of 2010, and nobody says of when the film is"
        assert reason in notes(found, "sto")
        found = search.films("Sintel 2010", sites=["sto"], budget=PATIENT)
        assert titles(found) >= {"Sintel.2010"}


def test_a_serial_is_no_film(megakino: Site):
    assert search.films("Die Bäckerei am Ende der Straße", budget=PATIENT).entries == []


def test_a_site_of_films_is_searched_itself_though_another_has_the_film(
    both: FaultySite, monkeypatch
):
    """Its index has slugs for names; its own search knows the other ones as well."""
    asked = []
    real = type(search.get_adapter("megakino")).parse_suggest
    monkeypatch.setattr(
        "catalogue.sites.megakino.Megakino.parse_suggest",
        lambda self, answer: asked.append(answer.url) or real(self, answer),
    )
    search.films("Durian", budget=PATIENT)
    assert len(asked) == 1


def test_a_site_that_is_down_leaves_the_others_film(both: FaultySite):
    Site.objects.filter(pk="demo").update(base_url="http://127.0.0.1:1")
    found = search.films("Sintel 2010", budget=PATIENT)
    assert sites(found) == {"megakino"}
    assert "demo" in found.troubles


def test_a_film_search_takes_as_many_queries_as_ever(
    both: FaultySite, monkeypatch, django_assert_max_num_queries
):
    learn("sintel", SLUG, "das-haus-der-tausend-lampen")
    learning.learn("megakino", Title.objects.get(site="megakino", name="Sintel").slug)
    search.films("Sintel 2010", budget=PATIENT)
    monkeypatch.setattr("catalogue.index.LOOK_EVERY_SECONDS", 3600)
    # Sites, facts of titles and of series, their names, what is known of them.
    with django_assert_max_num_queries(5):
        assert search.films("Sintel 2010").entries
    assert Film.objects.count() == 4


def test_nothing_to_go_by_is_no_question(indexed: FaultySite, skyhook: SkyHook):
    assert search.films("", budget=PATIENT).entries == []
    assert search.films("", year=2010, budget=PATIENT).entries == []
    assert (indexed.asked(), skyhook.asked) == ([], [])
