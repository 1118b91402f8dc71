"""Which titles a search means: ids, years, suggestions, fallback sites; real sites and a real metadata service."""

import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from anibridge.demo.videos import VideoLibrary
from anibridge.lib import turns
from catalogue import learning, search
from catalogue.index import current
from catalogue.models import Site, Title, TitleMapping
from catalogue.search import Ids
from tests.anibridge.lib.servers import stalling
from tests.catalogue.conftest import FaultySite, site_in_layout
from tests.catalogue.factories import (
    AvailabilityRecordFactory,
    SiteFactory,
    TitleFactory,
    TitleMappingFactory,
)
from tests.catalogue.skyhook import SkyHook

PATIENT = 30.0


def show(site: Site, name: str, slug: str = "", **facts: object) -> str:
    """A title with one episode that is known to be there."""
    title = TitleFactory(site=site, name=name, **({"slug": slug} if slug else {}), **facts)
    TitleMappingFactory(site=site, name=name, slug=title.slug)
    for language in site.default_languages:
        AvailabilityRecordFactory(
            site=site, slug=title.slug, season=1, episode=1, language=language
        )
    current.forget()
    return title.slug


def slugs(found: search.Answered) -> set[str]:
    return {one.slug for one in found.entries}


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory(site_id="demo")


# --- ids


@pytest.mark.parametrize(
    "ids", [Ids(tvdb=77), Ids(imdb="tt7654321"), Ids(imdb="7654321"), Ids(tmdb=55)]
)
def test_an_id_alone_finds_the_show_under_the_title_that_clients_know(
    site: Site, skyhook: SkyHook, ids: Ids
):
    skyhook.add(77, "Fogworks (2022)", imdbId="tt7654321", tmdbId=55)
    show(site, "Fogworks", "nebelwerk")
    found = search.search(ids=ids, season=1, episode=1)
    assert slugs(found) == {"nebelwerk"}
    assert {one.release.name.partition(".S01")[0] for one in found.entries} == {"Fogworks.2022"}
    assert found.troubles == {}
    assert found.show.tvdb_id == 77


def test_the_same_id_is_asked_of_the_service_once(site: Site, skyhook: SkyHook):
    skyhook.add(77, "Fogworks")
    show(site, "Fogworks")
    for _ in range(3):
        assert search.search(ids=Ids(tvdb=77), season=1, episode=1).entries
    assert len(skyhook.asked) == 1


def test_an_id_that_nobody_knows_finds_nothing(site: Site, skyhook: SkyHook):
    show(site, "Fogworks")
    found = search.search(ids=Ids(tvdb=1), season=1, episode=1)
    assert (found.entries, found.troubles) == ([], {})


def test_without_the_service_an_id_alone_finds_nothing_and_says_why(site: Site):
    show(site, "Fogworks")
    found = search.search(ids=Ids(tvdb=77), season=1, episode=1)
    assert found.entries == []
    assert "metadata" in found.troubles


def test_without_the_service_the_query_beside_an_id_is_enough(site: Site):
    show(site, "Fogworks")
    found = search.search("Fogworks", ids=Ids(tvdb=77), season=1, episode=1)
    assert slugs(found) == {"fogworks"}
    assert "metadata" in found.troubles


def test_a_slow_service_takes_only_its_share_of_the_time(site: Site, skyhook: SkyHook):
    show(site, "Fogworks")
    skyhook.add(77, "Fogworks")
    skyhook.held.clear()
    found = search.search("Fogworks", ids=Ids(tvdb=77), season=1, episode=1, budget=0.6)
    assert slugs(found) == {"fogworks"}
    assert "not answered yet" in found.troubles["metadata"]
    skyhook.held.set()
    found = search.search(ids=Ids(tvdb=77), season=1, episode=1, budget=PATIENT)
    assert slugs(found) == {"fogworks"}
    assert len(skyhook.asked) == 1, "the question went on while nobody waited"


def test_who_waits_for_the_service_has_no_place_meanwhile(site: Site, skyhook: SkyHook):
    skyhook.held.clear()
    free = []

    def watch() -> None:
        until = time.monotonic() + 8  # the service answers by itself after ten seconds
        while time.monotonic() < until:
            if skyhook.asked and turns.places.free == turns.AT_ONCE:
                free.append(turns.places.free)
                break
            time.sleep(0.01)
        skyhook.held.set()

    watching = threading.Thread(target=watch)
    with turns.turn():
        watching.start()
        search.search(ids=Ids(tvdb=77), season=1, episode=1, budget=PATIENT)
        watching.join()
    assert free == [turns.AT_ONCE]


def test_an_imdb_id_that_was_learnt_needs_no_service(site: Site):
    show(site, "Ganz anders genannt", "anders", imdb_id="tt0123456")
    for spelling in ("tt0123456", "0123456", "123456"):
        found = search.search(ids=Ids(imdb=spelling), season=1, episode=1)
        assert slugs(found) == {"anders"}
        assert found.sites["demo"].titles[0].via == "imdb"


def test_the_learnt_imdb_id_tells_titles_of_one_name_apart(site: Site, skyhook: SkyHook):
    skyhook.add(77, "Twins", imdbId="tt0000123")
    show(site, "Twins", "twins", imdb_id="tt0000123")
    show(site, "Twins", "twins-2", imdb_id="tt0000999")
    assert slugs(search.search(ids=Ids(tvdb=77), season=1, episode=1)) == {"twins"}


def test_a_query_that_is_found_gives_the_release_its_name(site: Site, skyhook: SkyHook):
    skyhook.add(77, "Fogworks")
    slug = show(site, "Fogworks")
    TitleMappingFactory(site=site, name="Nebelwerk", slug=slug)
    current.forget()
    found = search.search("Nebelwerk", ids=Ids(tvdb=77), season=1, episode=1)
    assert {one.asked for one in found.entries} == {"Nebelwerk"}
    found = search.search("Brumeusine", ids=Ids(tvdb=77), season=1, episode=1)
    assert {one.asked for one in found.entries} == {"Fogworks"}


def test_neither_query_nor_id_is_no_question(site: Site, skyhook: SkyHook):
    show(site, "Fogworks")
    assert search.search("", season=1).entries == []
    assert skyhook.asked == []


# --- titles of the same name


@pytest.mark.parametrize(
    ("query", "year", "meant"),
    [
        ("Nebelwerk 2022", None, {"nebelwerk"}),
        ("Nebelwerk (2009)", None, {"nebelwerk-2009"}),
        ("Nebelwerk 2010", None, {"nebelwerk-2009"}),
        ("Nebelwerk", 2021, {"nebelwerk"}),
        ("Nebelwerk", None, {"nebelwerk", "nebelwerk-2009"}),
        ("Nebelwerk 1990", None, {"nebelwerk", "nebelwerk-2009"}),
    ],
)
def test_a_year_tells_titles_of_one_name_apart(
    site: Site, skyhook: SkyHook, query: str, year: int | None, meant: set[str]
):
    show(site, "Nebelwerk", "nebelwerk", year=2022)
    show(site, "Nebelwerk", "nebelwerk-2009", year=2009)
    ids = Ids()
    if year:
        skyhook.add(77, "Nebelwerk", year=year)
        ids = Ids(tvdb=77)
    assert slugs(search.search(query, ids=ids, season=1, episode=1)) == meant


def test_a_year_without_facts_keeps_both(site: Site):
    show(site, "Nebelwerk", "nebelwerk")
    show(site, "Nebelwerk", "nebelwerk-2009")
    found = search.search("Nebelwerk 2022", season=1, episode=1)
    assert slugs(found) == {"nebelwerk", "nebelwerk-2009"}


def test_a_title_of_an_unknown_year_is_preferred_to_one_of_another(site: Site):
    show(site, "Nebelwerk", "nebelwerk")
    show(site, "Nebelwerk", "nebelwerk-2009", year=2009)
    assert slugs(search.search("Nebelwerk 2022", season=1, episode=1)) == {"nebelwerk"}


def test_the_demos_two_titles_are_told_apart_once_they_are_learnt(indexed: FaultySite):
    for slug in ("nebelwerk", "nebelwerk-2009"):
        learning.learn("demo", slug)
    found = search.search("Nebelwerk 2009", season=1, budget=PATIENT)
    assert slugs(found) == {"nebelwerk-2009"}
    assert {one.release.name.partition(".S01")[0] for one in found.entries} == {"Nebelwerk.2009"}


# --- a site's own search


@pytest.fixture
def sto(demo_site: Site, library: VideoLibrary, settings):
    demo_site.enabled = False
    demo_site.save()
    with site_in_layout("sto", library, settings) as site:
        TitleMapping.objects.filter(site=site, slug="caminandes").delete()
        current.forget()
        yield site


def test_what_the_index_lacks_is_asked_of_the_sites_own_search(sto: Site):
    found = search.search("Caminandes", season=1, budget=PATIENT)
    assert slugs(found) == {"caminandes"}
    assert {one.via for one in found.sites["sto"].titles if one.taken} == {"suggest"}
    assert found.sites["sto"].milliseconds > 0


def test_a_suggestion_that_is_another_title_is_not_taken(sto: Site):
    assert search.search("Lama", season=1, budget=PATIENT).entries == []


@pytest.mark.parametrize("query", ["Caminandes", "Nothing Of The Kind"])
def test_a_sites_own_search_is_asked_once_in_ten_minutes(sto: Site, monkeypatch, query: str):
    asked = []
    real = type(search.get_adapter("sto")).parse_suggest
    monkeypatch.setattr(
        "catalogue.sites.sto.Sto.parse_suggest",
        lambda self, answer: asked.append(answer.url) or real(self, answer),
    )
    for _ in range(3):
        search.search(query, season=1, episode=1, budget=PATIENT)
    assert len(asked) == 1


def test_what_the_index_has_is_not_asked_for(sto: Site, monkeypatch):
    def never(self: object, answer: object) -> None:
        raise AssertionError

    monkeypatch.setattr("catalogue.sites.sto.Sto.parse_suggest", never)
    assert search.search("Sintel", season=1, episode=1, budget=PATIENT).entries


def test_a_search_of_its_own_that_fails_is_told_and_steps_the_site_back(db, other_server, settings):
    site = SiteFactory(site_id="sto", base_url=other_server.url("").rstrip("/"))
    other_server.routes["/api/search/suggest"] = (503, {}, b"")
    found = search.search("Caminandes", season=1, budget=PATIENT)
    assert found.entries == []
    assert "503" in found.troubles["sto"]
    site.refresh_from_db()
    assert site.failures == 1


def test_a_search_of_its_own_that_is_slow_is_not_waited_for(db, other_server):
    SiteFactory(site_id="sto", base_url=other_server.url("").rstrip("/"))
    other_server.routes["/api/search/suggest"] = stalling(
        b"{", {"Content-Type": "application/json"}, threading.Event()
    )
    found = search.search("Caminandes", season=1, budget=0.4)
    assert found.troubles["sto"] == "has not answered yet"


def test_a_site_that_backs_off_is_not_asked_for_suggestions(db, other_server):
    SiteFactory(
        site_id="sto",
        base_url=other_server.url("").rstrip("/"),
        back_off_until=timezone.now() + timedelta(minutes=5),
    )
    search.search("Caminandes", season=1)
    assert other_server.paths == []


# --- fallback sites


@pytest.fixture
def megakino(demo_site: Site, library: VideoLibrary, settings):
    with site_in_layout("megakino", library, settings, priority=1) as site:
        yield site


def test_a_fallback_site_is_asked_only_where_no_other_has_the_title(
    megakino: Site, demo_site: Site
):
    TitleFactory(site=demo_site, slug="sintel", name="Sintel")
    TitleMappingFactory(site=demo_site, slug="sintel", name="Sintel")
    current.forget()
    found = search.search("Sintel", season=1, episode=1, budget=PATIENT)
    assert {one.site_id for one in found.entries} == {"demo"}
    assert "megakino" not in found.sites
    found = search.search("Caminandes", season=1, budget=PATIENT)
    assert {one.site_id for one in found.entries} == {"megakino"}


def test_a_fallback_site_alone_is_as_good_as_any(megakino: Site):
    found = search.search("Caminandes", season=1, sites=["megakino"], budget=PATIENT)
    assert slugs(found) == {"125-caminandes"}


def test_a_serial_of_one_season_a_page_is_searched_in_that_season_only(megakino: Site):
    query = "Die Bäckerei am Ende der Straße"
    second = search.search(query, season=2, budget=PATIENT)
    assert {one.season for one in second.entries} == {2}
    assert slugs(second) == {"127-die-baeckerei-am-ende-der-strasse-2-staffel"}
    notes = {one.note for one in second.sites["megakino"].titles if not one.taken}
    assert notes == {"is season 1", "is season 3"}
    every = search.search(query, budget=PATIENT)
    assert {one.season for one in every.entries} == {1, 2}


def test_a_film_of_a_fallback_site_is_found_with_its_year(megakino: Site):
    Title.objects.filter(site=megakino, name__icontains="sintel").update(year=2010)
    found = search.search("Sintel 2010", season=0, episode=0, budget=PATIENT)
    assert {one.release.name for one in found.entries} == {
        "Sintel.2010.German.1080p.WEB.H264-MEGAKINO"
    }
    plain = search.search("Sintel", season=0, episode=0, budget=PATIENT)
    assert {one.release.name for one in plain.entries} == {
        "Sintel.2010.German.1080p.WEB.H264-MEGAKINO"
    }


# --- reasons


def test_a_search_says_what_it_weighed(site: Site):
    show(site, "Fogworks")
    show(site, "Fogworks of the North")
    found = search.search("Fogworks", season=1, episode=1)
    (told,) = found.explained()["sites"]
    assert (told["site"], told["cached"], told["probed"], told["trouble"]) == ("demo", 2, 0, "")
    (title,) = told["titles"]
    assert (title["slug"], title["exact"], title["accepted"], title["taken"]) == (
        "fogworks", True, True, True,
    )  # fmt: skip
    assert title["value"] > 10


def test_a_search_without_an_answer_says_what_came_nearest(site: Site):
    show(site, "Mob Psycho 100")
    found = search.search("Mob Psycho 200", season=1)
    (near,) = found.sites["demo"].titles
    assert (near.slug, near.taken, near.score.reason) == (
        "mob-psycho-100", False, "numbers differ",
    )  # fmt: skip


def test_a_search_says_what_it_probed_and_for_how_long(indexed: FaultySite):
    first = search.search("Sintel", season=1, budget=PATIENT)
    assert {one.origin for one in first.entries} == {"probe"}
    assert first.sites["demo"].milliseconds > 0
    again = search.search("Sintel", season=1, budget=PATIENT)
    assert {one.origin for one in again.entries} == {"cache"}
    assert again.entries == first.entries
    assert again.sites["demo"].milliseconds == 0


def test_reasons_cost_no_query(site: Site, django_assert_num_queries, monkeypatch):
    monkeypatch.setattr("catalogue.index.LOOK_EVERY_SECONDS", 3600)
    for number in range(5):
        show(site, f"Fogworks {number + 2}")
    show(site, "Fogworks")
    search.search("Fogworks")
    # The sites, the titles' facts, what is known of them.
    with django_assert_num_queries(3):
        found = search.search("Fogworks", season=1, episode=1)
    assert found.entries
