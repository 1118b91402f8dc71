"""When a series' films were made: learnt once, told by searches, and what the feed has them by."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from catalogue import filmyears, learning, search
from catalogue.index import current
from catalogue.metadata import Show
from catalogue.models import Film, Title
from catalogue.sites.base import EpisodeFacts
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import FilmFactory, TitleFactory
from tests.catalogue.skyhook import SkyHook

PATIENT = 30.0
GIRL = "404-maedchen-nicht-gefunden"
NAMED = "404 Girl Not Found Gateway Timeout"
SHOW = "404: Mädchen nicht gefunden"
FILMS = f"/anime/stream/{GIRL}/filme"
LAMPS = "das-haus-der-tausend-lampen"


def years(slug: str = GIRL) -> dict[int, int | None]:
    return dict(Film.objects.filter(title__slug=slug).values_list("number", "year"))


def rename(indexed: FaultySite, old: str, new: str) -> None:
    """The list of films says another name from now on."""
    page = indexed.server.routes.layout.respond("GET", FILMS, {}).body
    assert old in page
    indexed.fail(FILMS, 200, page.replace(old, new).encode())


def unasked() -> Show | None:
    pytest.fail("asked the service for what is known")


def test_the_service_is_asked_once_for_the_years_of_all_films(
    indexed: FaultySite, skyhook: SkyHook
):
    skyhook.add(404, SHOW, (0, 3, None, "Gateway Timeout"), (0, 7, None, "Teapot"), year=2016)
    learning.learn("demo", GIRL)
    assert years() == {1: 2016, 2: 2016}
    assert len(skyhook.asked) == 2, "which show it is, and its episodes"


def test_a_film_that_no_special_is_called_like_has_no_year(indexed: FaultySite, skyhook: SkyHook):
    skyhook.add(404, SHOW, (0, 3, None, "Gateway Timeout 2"), (1, 2, None, "Teapot"))
    learning.learn("demo", GIRL)
    assert years() == {1: None, 2: None}


def test_a_year_in_brackets_needs_no_service():
    films = [EpisodeFacts(0, 1, "", "The Long Fog (2014) [Movie]"), EpisodeFacts(0, 2, "", "[OVA]")]
    told = filmyears.of_series(films, series="Fogworks", names=["Fogworks"], show=unasked)
    assert told == {1: 2014}


def test_a_film_that_is_called_like_its_series_is_not_looked_for_among_its_specials():
    films = [EpisodeFacts(0, 1, "Nebelwerk", "Fogworks")]
    assert filmyears.of_series(films, series="X", names=["Fogworks"], show=unasked) == {}


def test_a_title_that_is_nothing_but_a_film_gives_it_its_year(
    indexed: FaultySite, skyhook: SkyHook
):
    learning.learn("demo", LAMPS)
    film = Film.objects.get(title__slug=LAMPS)
    assert (film.year, film.alone) == (2018, True)
    assert skyhook.asked == []
    learning.learn("demo", GIRL)
    assert not Film.objects.filter(title__slug=GIRL, alone=True).exists()


def test_a_series_is_learnt_although_the_service_is_silent(indexed: FaultySite, skyhook: SkyHook):
    skyhook.status = 503
    assert learning.learn("demo", GIRL)
    assert years() == {1: None, 2: None}
    assert not learning.is_due(Title.objects.get(slug=GIRL).learned_at)


def test_a_year_stays_while_nobody_tells_another_and_goes_with_the_films_name(
    indexed: FaultySite, skyhook: SkyHook
):
    skyhook.add(404, SHOW, (0, 3, None, "Gateway Timeout"), (0, 7, None, "Teapot"), year=2016)
    learning.learn("demo", GIRL)
    learning.publish()
    skyhook.shows.clear()
    cache.clear()
    rename(indexed, "Gateway Timeout", "Long Wait")
    learning.learn("demo", GIRL)
    assert years() == {1: None, 2: 2016}
    skyhook.add(404, SHOW, (0, 7, None, "Teapot"), year=2017)
    cache.clear()
    learning.learn("demo", GIRL)
    assert years() == {1: None, 2: 2017}


def test_another_year_is_no_reason_to_renew_an_index(indexed: FaultySite, skyhook: SkyHook):
    learning.learn("demo", GIRL)
    assert learning.publish() == 1
    skyhook.add(404, SHOW, (0, 3, None, "Gateway Timeout"), year=2016)
    cache.clear()
    learning.learn("demo", GIRL)
    assert years()[1] == 2016
    assert learning.publish() == 0


def test_a_site_that_offers_no_films_is_not_asked_for_a_list(indexed: FaultySite, monkeypatch):
    monkeypatch.setattr("catalogue.sites.demo.DemoSite.has_films", False)
    learning.learn("demo", GIRL)
    assert FILMS not in indexed.asked()
    assert years() == {}


def test_a_search_knows_the_learnt_year_without_the_service(indexed: FaultySite, skyhook: SkyHook):
    skyhook.add(404, SHOW, (0, 3, None, "Gateway Timeout"), year=2016)
    learning.learn("demo", GIRL)
    skyhook.shows.clear()
    skyhook.asked.clear()
    cache.clear()
    found = search.films(NAMED, budget=PATIENT)
    assert {one.year for one in found.entries} == {2016}
    assert search.films(f"{NAMED} 2011", budget=PATIENT).entries == []
    assert skyhook.asked == []


def test_a_year_that_only_a_search_knows_is_left_to_be_learnt(
    indexed: FaultySite, skyhook: SkyHook, sent: list[Any]
):
    learning.learn("demo", GIRL)
    cache.clear()
    note = ("catalogue.learn_title", "demo", GIRL)
    search.films(NAMED, budget=PATIENT)
    assert note not in sent
    skyhook.add(404, SHOW, (0, 3, None, "Gateway Timeout"), year=2016)
    cache.clear()
    search.films(NAMED, budget=PATIENT)
    assert note in sent
    learning.learn("demo", GIRL)
    sent.clear()
    cache.clear()
    search.films(NAMED, budget=PATIENT)
    assert note not in sent


def test_the_years_of_many_titles_are_one_query(db: None, django_assert_num_queries):
    titles = [TitleFactory(name=f"Story {n}") for n in range(5)]
    for title in titles:
        FilmFactory(title=title, number=1, english_title="First")
        FilmFactory(title=title, number=2, english_title="Second", year=None)
    keys = [(title.site_id, title.slug) for title in titles]
    with django_assert_num_queries(1):
        told = filmyears.learnt(keys)
    assert told == {key: {(1, "", "First"): 2016} for key in keys}
    with django_assert_num_queries(0):
        assert filmyears.learnt([]) == {}


def test_a_film_goes_from_a_search_into_the_feed_as_the_same_release(
    indexed: FaultySite, skyhook: SkyHook
):
    skyhook.add(404, SHOW, (0, 3, None, "Gateway Timeout"), year=2016)
    found = search.films(f"{NAMED} 2016", budget=PATIENT).entries
    assert found
    # Nobody has learnt yet how it is called.
    assert not [one for one in search.feed(limit=500) if one.is_film]
    learning.learn("demo", GIRL)
    learning.publish()
    current.forget()
    told = {one.record_id: one for one in search.feed(limit=500) if one.is_film}
    again = search.films("Gateway Timeout", budget=PATIENT).entries
    assert {one.record_id for one in again} == told.keys() == {one.record_id for one in found}
    for one in again:
        assert told[one.record_id].release == one.release
        assert told[one.record_id].release.name.startswith("Gateway.Timeout.2016.")
        assert told[one.record_id].first_seen_at == one.first_seen_at


def test_the_series_of_films_without_years_are_learnt_again_after_an_upgrade(db: None):
    before = timezone.now()
    series, other = TitleFactory(learned_at=before), TitleFactory(learned_at=before)
    FilmFactory(title=series, year=None)
    migration = import_module("catalogue.migrations.0002_films_in_the_feed")
    migration.learn_again(apps, SimpleNamespace(connection=connection))
    learned = dict(Title.objects.values_list("pk", "learned_at"))
    assert learned == {series.pk: None, other.pk: before}
