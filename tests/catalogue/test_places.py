"""The client's numbers and the site's: specials and absolute numbers, against real pages and a real metadata service."""

from typing import Any

import pytest

from catalogue import search
from catalogue.index import current
from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.search import Ids
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import (
    AvailabilityRecordFactory,
    SiteFactory,
    TitleFactory,
    TitleMappingFactory,
)
from tests.catalogue.skyhook import SkyHook

PATIENT = 30.0
GIRL = "404: Mädchen nicht gefunden"
FILMS = "/anime/stream/404-maedchen-nicht-gefunden/filme"
ENGLISH = "404 Girl Not Found"


@pytest.fixture
def girl(skyhook: SkyHook) -> SkyHook:
    """The service counts the specials the other way round, with one in between that the site does not have."""
    skyhook.add(
        404,
        ENGLISH,
        (0, 1, None, "Teapot"),
        (0, 2, None, "I Am a Short Without a Film"),
        (0, 3, None, "Gateway Timeout"),
        (1, 1, 1, "Not Found"),
    )
    return skyhook


def told(found: search.Answered) -> set[tuple[int, int, tuple[int, int] | None]]:
    return {(one.season, one.episode, one.alias) for one in found.entries}


# --- specials


def test_a_special_is_fetched_by_the_sites_number_and_called_by_the_clients(
    indexed: FaultySite, girl: SkyHook
):
    found = search.search(ids=Ids(tvdb=404), season=0, episode=3, budget=PATIENT)
    assert told(found) == {(0, 1, (0, 3))}
    (name,) = {one.release.name for one in found.entries if one.language == "German Sub"}
    assert name == "404.Girl.Not.Found.S00E03.Japanese.GerSubbed.1080p.WEB.H264-DEMO"
    assert {one.release.identity.episode for one in found.entries} == {1}


def test_a_special_is_found_by_the_title_too(indexed: FaultySite, girl: SkyHook):
    found = search.search(ENGLISH, season=0, episode=1, budget=PATIENT)
    assert told(found) == {(0, 2, (0, 1))}
    assert found.show.tvdb_id == 404


def test_a_special_that_the_site_does_not_have_is_not_another(indexed: FaultySite, girl: SkyHook):
    for episode in (2, 9):
        found = search.search(ENGLISH, season=0, episode=episode, budget=PATIENT)
        assert (found.entries, found.troubles) == ([], {})
        assert "none of its films" in found.sites["demo"].titles[0].note


def test_without_the_service_the_sites_own_number_counts(indexed: FaultySite):
    found = search.search(ENGLISH, season=0, episode=2, budget=PATIENT)
    assert told(found) == {(0, 2, None)}
    assert "metadata" in found.troubles


def test_a_show_that_the_service_does_not_know_keeps_the_sites_numbers(
    indexed: FaultySite, skyhook: SkyHook
):
    found = search.search(ENGLISH, season=0, episode=2, budget=PATIENT)
    assert (told(found), found.troubles) == ({(0, 2, None)}, {})


def test_season_zero_has_every_film_that_is_a_special(indexed: FaultySite, girl: SkyHook):
    found = search.search(ENGLISH, season=0, budget=PATIENT)
    assert told(found) == {(0, 1, (0, 3)), (0, 2, (0, 1))}


def test_an_equal_number_needs_no_alias(indexed: FaultySite, skyhook: SkyHook):
    skyhook.add(404, ENGLISH, (0, 1, None, "Gateway Timeout"))
    found = search.search(ENGLISH, season=0, episode=1, budget=PATIENT)
    assert told(found) == {(0, 1, None)}


def test_the_list_of_films_is_asked_for_once(indexed: FaultySite, girl: SkyHook):
    for episode in (1, 2, 3):
        search.search(ENGLISH, season=0, episode=episode, budget=PATIENT)
    assert indexed.asked().count(FILMS) == 1


def test_a_title_without_films_has_no_specials(indexed: FaultySite, skyhook: SkyHook):
    skyhook.add(5, "Caminandes", (0, 1, None, "Llama Extra"))
    for _ in range(2):
        assert search.search("Caminandes", season=0, episode=1, budget=PATIENT).entries == []
    assert len(indexed.asked()) == 1


def test_films_that_cannot_be_read_are_no_specials_and_told(indexed: FaultySite, girl: SkyHook):
    indexed.fail(FILMS, 503)
    found = search.search(ENGLISH, season=0, episode=1, budget=PATIENT)
    assert found.entries == []
    assert "503" in found.troubles["demo"]
    indexed.site.refresh_from_db()
    assert indexed.site.failures == 1


def test_a_special_is_found_by_its_words(indexed: FaultySite, girl: SkyHook):
    found = search.search(f"{ENGLISH} Gateway Timeout", budget=PATIENT)
    assert told(found) == {(0, 1, (0, 3))}
    assert {one.asked for one in found.entries} == {ENGLISH}


def test_without_the_service_words_are_compared_with_the_films(indexed: FaultySite):
    found = search.search(f"{ENGLISH} Teapot", budget=PATIENT)
    assert told(found) == {(0, 2, None)}


@pytest.mark.parametrize("words", ["Making Of Everything", "The Second Coming"])
def test_words_that_are_no_special_are_looked_up_as_they_are(
    indexed: FaultySite, girl: SkyHook, words: str
):
    assert search.search(f"Caminandes {words}", budget=PATIENT).entries == []
    found = search.search(f"{ENGLISH} {words}", budget=PATIENT)
    assert {one.asked for one in found.entries} == {f"{ENGLISH} {words}"}
    assert 0 not in {one.season for one in found.entries}


@pytest.mark.parametrize(
    "query", [ENGLISH, f"{ENGLISH} Season 2", f"{ENGLISH} 2023", f"{ENGLISH} 02"]
)
def test_a_season_a_year_and_a_number_are_no_words_of_a_special(
    indexed: FaultySite, skyhook: SkyHook, query: str
):
    search.search(query, budget=PATIENT)
    assert FILMS not in indexed.asked()


def test_a_film_on_its_own_is_no_special(indexed: FaultySite, skyhook: SkyHook):
    search.search("Sintel", season=0, episode=0, budget=PATIENT)
    assert skyhook.asked == []


# --- absolute numbers


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory(site_id="demo")


def show(site: Site, name: str, counts: dict[int, int], *, read: bool = True, **facts: object):
    """A title with episodes; `read` says that the pages of its seasons were."""
    title = TitleFactory(site=site, name=name, **facts)
    TitleMappingFactory(site=site, name=name, slug=title.slug)
    for season, highest in counts.items():
        for language in site.default_languages:
            for episode in [*range(1, highest + 1), *([None] if read else [])]:
                AvailabilityRecordFactory(
                    site=site, slug=title.slug, season=season, episode=episode, language=language
                )
    current.forget()
    return title


def places(found: search.Answered) -> set[tuple[int, int, int | None]]:
    return {(one.season, one.episode, one.absolute) for one in found.entries}


def test_the_services_numbers_count_first(site: Site, skyhook: SkyHook):
    skyhook.add(7, "Long Story", (1, 1, 1, ""), (2, 1, 2, ""), (2, 2, 3, ""))
    show(site, "Long Story", {1: 3, 2: 3})
    assert places(search.search("Long Story 03")) == {(2, 2, 3)}
    assert places(search.search(ids=Ids(tvdb=7), absolute=3)) == {(2, 2, 3)}
    assert search.search("Long Story 04").entries == []


def test_without_the_service_the_sites_seasons_are_counted(site: Site):
    show(site, "Long Story", {1: 3, 2: 3})
    assert places(search.search("Long Story 02")) == {(1, 2, 2)}
    assert places(search.search("Long Story 05")) == {(2, 2, 5)}
    assert search.search("Long Story 07").entries == []


def test_a_service_without_absolute_numbers_leaves_the_counting_to_the_site(
    site: Site, skyhook: SkyHook
):
    skyhook.add(7, "Long Story", (1, 1, None, ""))
    show(site, "Long Story", {1: 3, 2: 3})
    assert places(search.search("Long Story 05")) == {(2, 2, 5)}


def test_a_season_whose_page_was_never_read_is_not_counted(site: Site):
    show(site, "Long Story", {1: 3, 2: 3}, read=False)
    assert search.search("Long Story 05").entries == []


def test_the_last_season_that_a_page_named_is_open_at_its_end(site: Site):
    show(site, "Long Story", {1: 3}, seasons=[0, 1, 2])
    AvailabilityRecordFactory(site=site, slug="long-story", season=2, episode=4)
    assert places(search.search("Long Story 07")) == {(2, 4, 7)}


def test_a_title_of_one_season_needs_no_count(site: Site):
    show(site, "Long Story", {1: 3}, read=False, seasons=[1])
    assert places(search.search("Long Story 03")) == {(1, 3, 3)}


def test_a_number_that_a_title_is_called_by_is_none(site: Site):
    show(site, "Mob Story 100", {1: 3}, seasons=[1])
    assert {one.absolute for one in search.search("Mob Story 100").entries} == {None}
    assert places(search.search("Mob Story 100 03")) == {(1, 3, 3)}


def test_an_absolute_number_is_searched_like_any_episode(indexed: FaultySite, skyhook: SkyHook):
    name = "Käpt'n Grünspan & die Möwen"
    skyhook.add(9, "Captain Verdigris & the Gulls", (1, 3, 3, ""), (2, 1, 4, ""))
    found = search.search(ids=Ids(tvdb=9), absolute=4, budget=PATIENT)
    assert places(found) == {(2, 1, 4)}
    assert {one.origin for one in found.entries} == {"probe"}
    assert indexed.asked("staffel-1") == []
    assert search.search(name, absolute=99, budget=PATIENT).entries == []
    assert AvailabilityRecord.objects.filter(season=2, episode=1, is_available=True).exists()
    assert Title.objects.filter(slug="kaeptn-gruenspan-die-moewen").exists()


def test_the_seasons_that_come_before_a_number_are_read(indexed: FaultySite):
    Title.objects.filter(slug="404-maedchen-nicht-gefunden").update(seasons=[0, 1, 2])
    found = search.search("404 Maedchen nicht gefunden 05", budget=PATIENT)
    assert places(found) == {(2, 1, 5)}
    assert len(indexed.asked("staffel-1")) >= 1
    assert places(search.search("404 Maedchen nicht gefunden 06", budget=PATIENT)) == {(2, 2, 6)}
    assert indexed.asked("staffel-1") == []


def test_a_season_page_that_is_broken_counts_nothing(indexed: FaultySite):
    Title.objects.filter(slug="404-maedchen-nicht-gefunden").update(seasons=[0, 1, 2])
    indexed.fail("/anime/stream/404-maedchen-nicht-gefunden/staffel-1")
    found = search.search("404 Maedchen nicht gefunden 05", budget=PATIENT)
    assert found.entries == []
    assert "demo" in found.troubles


def test_what_nobody_can_count_yet_is_learnt(indexed: FaultySite, sent: list[Any]):
    asked = ("catalogue.learn_title", "demo", "big-buck-bunny")
    assert search.search("Big Buck Bunny 01", budget=PATIENT).entries == []
    assert asked in sent
    Title.objects.filter(slug="big-buck-bunny").update(seasons=[0, 1])
    assert places(search.search("Big Buck Bunny 01", budget=PATIENT)) == {(1, 1, 1)}


@pytest.mark.parametrize("number", [0, -1, 10**9])
def test_numbers_that_count_nothing_find_nothing(site: Site, number: int):
    show(site, "Long Story", {1: 3}, seasons=[1])
    assert search.search("Long Story", absolute=number).entries == []
