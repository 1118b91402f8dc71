"""Searching the demo catalogue over HTTP, and what is remembered of it."""

import threading
from datetime import timedelta

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from kombu.exceptions import OperationalError

from catalogue import availability, search
from catalogue.errors import SiteUnavailable, UnknownSite
from catalogue.index import current
from catalogue.models import AvailabilityRecord, Site, TitleMapping
from catalogue.search import split_query, split_season
from catalogue.sites.base import ENGLISH_DUB, ENGLISH_SUB, GERMAN_DUB, GERMAN_SUB
from tests.anibridge.lib.servers import Handler, Server, stalling
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import (
    AvailabilityRecordFactory,
    SiteFactory,
    TitleFactory,
    TitleMappingFactory,
)

CAPTAIN = "Käpt'n Grünspan & die Möwen"
PATIENT = 30.0


def seen_of(answered: search.Answered) -> set[tuple[int, int, str]]:
    return {(one.season, one.episode, one.language) for one in answered.entries}


def age(**filters: object) -> None:
    """What is remembered grows two minutes older."""
    AvailabilityRecord.objects.filter(**filters).update(
        checked_at=timezone.now() - timedelta(minutes=2)
    )


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("Sintel", ("Sintel", None, None)),
        ("Sintel S01E02", ("Sintel", 1, 2)),
        ("Sintel.S01.E02.German.1080p", ("Sintel", 1, 2)),
        ("Sintel s3", ("Sintel", 3, None)),
        ("Sintel 2x03", ("Sintel", 2, 3)),
        ("Sintel Staffel 2 Folge 3", ("Sintel", 2, 3)),
        ("Sintel - Season 2, Episode 13", ("Sintel", 2, 13)),
        ("Sintel Season 2", ("Sintel Season 2", None, None)),
        ("Mob Psycho 100", ("Mob Psycho 100", None, None)),
        ("", ("", None, None)),
    ],
)
def test_a_free_text_query_is_split_where_it_numbers_an_episode(query, parts):
    assert split_query(query) == parts


def test_an_endless_query_is_read_to_a_bound():
    assert len(split_query("- " * 50_000)[0]) < 500


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("Nebelwerk Season 2", ("Nebelwerk", 2)),
        ("Nebelwerk: 2nd Season", ("Nebelwerk", 2)),
        ("Nebelwerk Second Season", ("Nebelwerk", 2)),
        ("Nebelwerk (Staffel II)", ("Nebelwerk", 2)),
        ("Nebelwerk - 2. Staffel", ("Nebelwerk", 2)),
        ("Nebelwerk Season 1", ("Nebelwerk", 1)),
        ("Nebelwerk", None),
        ("Nebelwerk Final Season", None),
        ("Season 2", None),
        ("Nebelwerk Part 2", None),
        ("", None),
    ],
)
def test_a_season_in_words_ends_a_title(query, parts):
    assert split_season(query) == parts


def test_a_season_search_finds_every_episode_and_says_what_is_estimated(indexed: FaultySite):
    answered = search.search("Nebelwerk", season=1, budget=PATIENT)
    assert answered.troubles == {}
    fog = [one for one in answered.entries if one.slug == "nebelwerk"]
    assert {(one.episode, one.language) for one in fog} == {
        (number, language) for number in range(1, 5) for language in (GERMAN_DUB, GERMAN_SUB)
    }
    assert {one.episode for one in fog if not one.estimated} == {1}
    assert {one.height for one in fog} == {720}
    assert "Nebelwerk.S01E04.German.720p.WEB.H264-DEMO" in {one.release.name for one in fog}


def test_the_same_search_again_asks_the_site_nothing(
    indexed: FaultySite, django_assert_max_num_queries
):
    first = search.search("Nebelwerk", season=1, budget=PATIENT)
    indexed.asked()
    current.get()
    with django_assert_max_num_queries(3):
        again = search.search("Nebelwerk", season=1)
    assert again.entries == first.entries
    assert indexed.asked() == []


def test_a_season_page_is_read_again_after_a_minute_but_nothing_is_probed_twice(
    indexed: FaultySite,
):
    search.search("Caminandes", season=1, budget=PATIENT)
    indexed.asked()
    age()
    search.search("Caminandes", season=1, budget=PATIENT)
    assert indexed.asked() == ["/anime/stream/caminandes/staffel-1"]


def test_a_missing_season_is_asked_for_once(indexed: FaultySite):
    for _ in range(3):
        assert search.search("Sintel", season=7, budget=PATIENT).entries == []
    assert indexed.asked() == ["/anime/stream/sintel/staffel-7"]


def test_an_announced_season_is_no_trouble(indexed: FaultySite):
    answered = search.search("Die Bäckerei am Ende der Straße", season=3, budget=PATIENT)
    assert (answered.entries, answered.troubles) == ([], {})


def test_an_episode_that_is_asked_for_is_probed_though_it_was_estimated(indexed: FaultySite):
    search.search("Caminandes", season=1, budget=PATIENT)
    estimated = AvailabilityRecord.objects.get(slug="caminandes", episode=2, language=GERMAN_DUB)
    assert estimated.estimated
    answered = search.search("Caminandes", season=1, episode=2, budget=PATIENT)
    assert {one.estimated for one in answered.entries} == {False}
    assert {one.host for one in answered.entries} == {"Filemoon"}
    indexed.asked()
    search.search("Caminandes", season=1, episode=2, budget=PATIENT)
    assert indexed.asked() == []


def test_a_language_that_an_episode_lacks_is_remembered_too(indexed: FaultySite):
    for _ in range(2):
        found = search.search(CAPTAIN, season=1, episode=1, budget=PATIENT)
    assert seen_of(found) == {(1, 1, GERMAN_DUB), (1, 1, ENGLISH_SUB)}
    assert indexed.asked("/episode-1") == [
        "/anime/stream/kaeptn-gruenspan-die-moewen/staffel-1/episode-1"
    ]
    absent = AvailabilityRecord.objects.get(episode=1, language=ENGLISH_DUB)
    assert absent.reason == "not offered in English Dub"


def test_an_episode_whose_hosts_are_all_broken_is_not_offered_by_its_season(
    indexed: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(availability, "HOST_SECONDS", 0.3)
    assert search.search("Nebelwerk", season=1, episode=3, budget=PATIENT).entries == []
    found = search.search("Nebelwerk", season=1, budget=PATIENT)
    assert 3 not in {one.episode for one in found.entries}
    assert Site.objects.get().failures == 0  # a broken host is no broken site


def test_what_was_not_there_is_probed_anew_when_its_season_lists_it_later(indexed: FaultySite):
    site = indexed.site
    lost = availability.Finding(
        "caminandes", 1, 2, GERMAN_DUB, False, reason="nothing uploaded yet"
    )
    yesterday = timezone.now() - timedelta(days=1)
    availability.record(site.pk, [lost], checked_at=yesterday)
    found = search.search("Caminandes", season=1, budget=PATIENT)
    again = [one for one in found.entries if (one.episode, one.language) == (2, GERMAN_DUB)]
    assert [one.estimated for one in again] == [False]


def test_what_is_still_not_there_stays_away_from_the_feed(
    indexed: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(availability, "HOST_SECONDS", 0.3)
    lost = availability.Finding("nebelwerk", 1, 3, GERMAN_DUB, False, reason="no host has a stream")
    yesterday = timezone.now() - timedelta(days=1)
    availability.record(indexed.site.pk, [lost], checked_at=yesterday)
    search.search("Nebelwerk", season=1, budget=PATIENT)
    assert (3, GERMAN_DUB) not in {(one.episode, one.language) for one in search.feed(limit=500)}


def test_a_season_in_the_words_is_the_season_that_is_searched(indexed: FaultySite):
    found = search.search(f"{CAPTAIN} 2nd Season", budget=PATIENT)
    assert {one.season for one in found.entries} == {2}
    assert {one.asked for one in found.entries} == {CAPTAIN}
    same = search.search(f"{CAPTAIN} Season 2", season=2)
    assert same.entries == found.entries


def test_a_season_in_the_words_that_contradicts_the_number_finds_nothing(indexed: FaultySite):
    assert search.search(f"{CAPTAIN} Season 2", season=1, budget=PATIENT).entries == []
    assert indexed.asked() == []


def test_a_title_that_is_called_a_season_is_taken_by_its_name(db):
    site = SiteFactory(site_id="demo")
    for name in ("Harbour", "Harbour Season 2"):
        title = TitleFactory(site=site, name=name)
        TitleMappingFactory(site=site, name=name, slug=title.slug)
        AvailabilityRecordFactory(site=site, slug=title.slug, season=1, episode=1)
    found = search.search("Harbour Season 2", season=1, episode=1, budget=0)
    assert [(one.slug, one.asked) for one in found.entries] == [
        ("harbour-season-2", "Harbour Season 2")
    ]


def test_a_film_alone_is_found_without_a_season(indexed: FaultySite):
    found = search.search("Das Haus der tausend Lampen", budget=PATIENT)
    assert {(one.season, one.episode) for one in found.entries} == {(0, 1)}
    indexed.asked()
    assert search.search("Das Haus der tausend Lampen").entries == found.entries
    assert indexed.asked() == []


def test_a_search_without_a_season_shows_what_is_known_of_every_season(indexed: FaultySite):
    AvailabilityRecordFactory(site=indexed.site, slug="caminandes", season=4, episode=9)
    found = search.search("Caminandes", budget=PATIENT)
    assert {one.season for one in found.entries} == {4}
    assert "/anime/stream/caminandes/staffel-4" in indexed.asked()


@pytest.mark.parametrize("numbers", [(-1, 1), (10**12, None), (1, 10**12)])
def test_numbers_that_no_site_uses_find_nothing(indexed: FaultySite, numbers):
    season, episode = numbers
    assert search.search("Sintel", season=season, episode=episode).entries == []
    assert indexed.asked() == []


def test_a_slow_site_is_finished_by_a_worker(indexed: FaultySite, sent):
    indexed.server.routes["/anime/stream/sintel/staffel-1"] = stalling(
        b"<html>", {"Content-Type": "text/html"}, threading.Event()
    )
    answered = search.search("Sintel", season=1, budget=0.2)
    assert answered.entries == []
    assert "a worker goes on" in answered.troubles["demo"]
    assert sent == [("catalogue.probe", "demo", "sintel", 1, None)]
    del indexed.server.routes["/anime/stream/sintel/staffel-1"]
    assert search.probe_now("demo", "sintel", 1, None) > 0
    assert seen_of(search.search("Sintel", season=1)) == {
        (1, 1, language) for language in (GERMAN_DUB, GERMAN_SUB, ENGLISH_DUB)
    }


def test_what_came_before_the_time_was_up_is_answered(indexed: FaultySite, sent):
    left = threading.Event()
    page = "/anime/stream/sintel/staffel-1/episode-1"
    search.search("Sintel", season=1, budget=PATIENT)
    sent.clear()
    # The German sample is still good; of the others every trace is gone.
    AvailabilityRecord.objects.exclude(language=GERMAN_DUB).delete()
    AvailabilityRecord.objects.filter(episode=None).delete()
    season = indexed.server.routes.layout.respond("GET", page.rpartition("/")[0], {})
    two = season.body.replace("</tbody>", _row(2) + "</tbody>")
    indexed.fail("/anime/stream/sintel/staffel-1", 200, two.encode())
    indexed.server.routes[page] = stalling(b"<html>", {"Content-Type": "text/html"}, left)
    found = search.search("Sintel", season=1, budget=1.0)
    assert seen_of(found) == {(1, 1, GERMAN_DUB), (1, 2, GERMAN_DUB)}
    assert sent == [("catalogue.probe", "demo", "sintel", 1, None)]


def _row(number: int) -> str:
    return (
        f'<tr itemtype="http://schema.org/Episode"><td><meta itemprop="episodeNumber" content="{number}">'
        '</td><td class="editFunctions"><img class="flag" src="/public/img/german.svg"></td></tr>'
    )


def test_without_a_broker_the_search_still_answers(
    indexed: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    tries = []

    def send_task(*args: object, **options: object) -> None:
        tries.append(args)
        raise OperationalError("nobody listens")

    monkeypatch.setattr("catalogue.probing.current_app.send_task", send_task)
    answered = search.search("Nebelwerk", season=1, budget=0)
    assert answered.entries == []
    assert len(tries) == 1  # two titles were late; a dead broker is waited for once


def test_a_site_that_is_down_leaves_the_other_whole(indexed: FaultySite):
    down = SiteFactory(site_id="aniworld", search_priority=1)
    TitleMappingFactory(site=down, name="Sintel", slug="sintel")
    remembered = AvailabilityRecordFactory(site=down, slug="sintel", season=1, episode=9)
    current.forget()
    found = search.search("Sintel", season=1, budget=PATIENT)
    assert [one.site_id for one in found.entries] == ["aniworld", *["demo"] * 3]
    assert found.entries[0].episode == remembered.episode
    assert list(found.troubles) == ["aniworld"]
    down.refresh_from_db()
    assert (down.failures, down.back_off_until) == (1, None)


def test_one_site_that_hangs_and_one_that_fails_leave_the_third_its_answer(
    indexed: FaultySite, other_server: Server, sent
):
    """The budget is up before the hanging site's own time-out: the answer does not wait for either."""
    hanging = SiteFactory(
        site_id="aniworld", search_priority=1, base_url=other_server.url(""),
        search_timeout_seconds=30,
    )  # fmt: skip
    left = threading.Event()
    other_server.routes["/anime/stream/sintel/staffel-1/episode-1"] = stalling(
        b"<html>", {"Content-Type": "text/html"}, left
    )
    failing = SiteFactory(site_id="sto", search_priority=2, base_url="http://127.0.0.1:9")
    for site in (hanging, failing):
        TitleMappingFactory(site=site, name="Sintel", slug="sintel")
    current.forget()
    found = search.search("Sintel", season=1, episode=1, budget=6)
    assert {one.site_id for one in found.entries} == {"demo"}
    assert "a worker goes on" in found.troubles["aniworld"]
    assert "127.0.0.1:9" in found.troubles["sto"]
    assert ("catalogue.probe", "aniworld", "sintel", 1, 1) in sent
    assert left.wait(10), "the hanging request was not called off"
    failing.refresh_from_db()
    assert failing.failures == 1


def test_many_failures_of_one_search_are_one_step(indexed: FaultySite):
    site = indexed.site
    site.base_url = "http://127.0.0.1:1"
    site.save()
    search.search("Nebelwerk", season=1, budget=PATIENT)  # two titles of that name
    site.refresh_from_db()
    assert (site.failures, site.back_off_until) == (1, None)
    search.search("Nebelwerk", season=1, budget=PATIENT)
    site.refresh_from_db()
    assert site.failures == 2
    assert site.back_off_until > timezone.now()


def test_a_site_that_backs_off_is_not_asked_and_answers_from_memory(indexed: FaultySite):
    AvailabilityRecordFactory(site=indexed.site, slug="sintel", season=1, episode=5)
    indexed.site.back_off_until = timezone.now() + timedelta(minutes=5)
    indexed.site.last_error = "it was down"
    indexed.site.save()
    found = search.search("Sintel", season=1, budget=PATIENT)
    assert [one.episode for one in found.entries] == [5]
    assert "it was down" in found.troubles["demo"]
    assert indexed.asked() == []


def test_a_page_that_cannot_be_read_is_told_but_stops_nothing(indexed: FaultySite):
    odd = b"<html><body>an unexpected page</body></html>"
    indexed.fail("/anime/stream/sintel/staffel-1", 200, odd)
    found = search.search("Sintel", season=1, budget=PATIENT)
    assert "unexpected page" in found.troubles["demo"]
    indexed.site.refresh_from_db()
    assert "unexpected page" in indexed.site.last_error
    assert (indexed.site.failures, indexed.site.back_off_until) == (0, None)


def test_a_missing_title_counts_as_an_answer(indexed: FaultySite):
    indexed.site.failures = 2
    indexed.site.save()
    TitleMappingFactory(site=indexed.site, name="Gone Since", slug="gone-since")
    current.forget()
    assert search.search("Gone Since", season=1, budget=PATIENT).troubles == {}
    indexed.site.refresh_from_db()
    assert indexed.site.failures == 1


def test_a_bug_in_an_adapter_costs_only_its_own_answers(
    indexed: FaultySite, monkeypatch: pytest.MonkeyPatch, caplog
):
    def broken(self: object, answer: object, season: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("catalogue.sites.demo.DemoSite.parse_season", broken)
    found = search.search("Sintel", season=1, budget=PATIENT)
    assert found.troubles == {"demo": "an error in AniBridge: see the log"}
    assert "ZeroDivisionError" in caplog.text


def test_the_threads_of_a_probe_never_touch_the_database(
    indexed: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    threads: set[str] = set()
    real = BaseDatabaseWrapper.cursor

    def cursor(self: BaseDatabaseWrapper) -> object:
        threads.add(threading.current_thread().name)
        return real(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", cursor)
    assert search.search("Nebelwerk", season=1, budget=PATIENT).entries
    assert threads == {threading.current_thread().name}


def test_a_site_without_an_adapter_is_passed_over(indexed: FaultySite):
    stranger = SiteFactory(site_id="stranger", search_priority=1)
    TitleMappingFactory(site=stranger, name="Sintel", slug="sintel")
    AvailabilityRecordFactory(site=stranger, slug="sintel")
    current.forget()
    found = search.search("Sintel", season=1, budget=PATIENT)
    assert {one.site_id for one in found.entries} == {"demo"}
    assert {one.site_id for one in search.feed()} == {"demo"}
    with pytest.raises(UnknownSite):
        search.probe_now("stranger", "sintel", 1, None)


def test_results_come_by_site_and_then_newest_first(db):
    for priority, site_id in ((20, "aniworld"), (10, "demo")):
        site = SiteFactory(
            site_id=site_id, search_priority=priority, default_languages=[GERMAN_DUB]
        )
        for slug in ("twins", "twins-2009"):
            TitleMappingFactory(site=site, name="Twins", title_key=slug, slug=slug)
        for episode in (1, 2):
            for slug in ("twins", "twins-2009"):
                AvailabilityRecordFactory(site=site, slug=slug, season=1, episode=episode)
    found = search.search("Twins", season=1, budget=0).entries
    assert [one.site_id for one in found] == ["demo"] * 4 + ["aniworld"] * 4
    for of_site in (found[:4], found[4:]):
        moments = [one.first_seen_at for one in of_site]
        assert moments == sorted(moments, reverse=True)


def test_late_work_raises_what_the_site_said_and_keeps_what_it_found(indexed: FaultySite):
    indexed.fail("/anime/stream/caminandes/staffel-1/episode-1", 500)
    AvailabilityRecordFactory(site=indexed.site, slug="caminandes", season=1, episode=3)
    with pytest.raises(SiteUnavailable):
        search.probe_now("demo", "caminandes", 1, None)
    german = AvailabilityRecord.objects.filter(slug="caminandes", language=GERMAN_DUB)
    assert sorted(german.values_list("episode", flat=True)) == [1, 2, 3]
    indexed.site.refresh_from_db()
    assert indexed.site.failures == 1


def test_late_work_for_a_site_that_was_switched_off_is_refused(indexed: FaultySite):
    Site.objects.update(enabled=False)
    with pytest.raises(UnknownSite):
        search.probe_now("demo", "sintel", 1, None)
    assert indexed.asked() == []


def test_the_feed_is_newest_first_in_pages(db, django_assert_max_num_queries):
    site = SiteFactory(site_id="demo")
    title = TitleFactory(site=site)
    made = [AvailabilityRecordFactory(site=site, slug=title.slug) for _ in range(5)]
    AvailabilityRecordFactory(site=site, slug=title.slug, absent=True)
    AvailabilityRecordFactory(site=site, slug=title.slug, episode=None)
    newest = [row.episode for row in reversed(made)]
    with django_assert_max_num_queries(3):
        assert [one.episode for one in search.feed(limit=2)] == newest[:2]
    assert [one.episode for one in search.feed(offset=2, limit=10)] == newest[2:]
    assert search.feed(limit=0) == search.feed(offset=-3, limit=-1) == []
    assert {one.title for one in search.feed()} == {title.name}
    assert search.feed(sites=["aniworld"]) == []


def test_a_switched_off_site_answers_nothing(indexed: FaultySite):
    AvailabilityRecordFactory(site=indexed.site, slug="sintel")
    Site.objects.update(enabled=False)
    assert search.search("Sintel", season=1, budget=PATIENT).entries == search.feed() == []


def test_a_redirect_to_a_private_address_is_not_followed(indexed: FaultySite, other_server):
    indexed.fail("/anime/stream/sintel/staffel-1", 302, Location=other_server.url("/secret"))
    found = search.search("Sintel", season=1, budget=PATIENT)
    assert "may not be reached" in found.troubles["demo"]
    assert other_server.paths == []


def test_a_search_in_the_dark_asks_nobody(db):
    assert search.search("Sintel").entries == []
    assert TitleMapping.objects.count() == 0


def test_a_stalling_answer_runs_into_the_sites_own_timeout(indexed: FaultySite):
    indexed.site.search_timeout_seconds = 0.3
    indexed.site.save()

    def drip(handler: Handler) -> None:
        handler.begin({"Content-Type": "text/html"})
        for _ in range(100):
            handler.wfile.write(b"<p>")
            handler.wfile.flush()
            threading.Event().wait(0.05)

    indexed.server.routes["/anime/stream/sintel/staffel-1"] = drip
    found = search.search("Sintel", season=1, budget=PATIENT)
    assert "took longer than 0.3 s" in found.troubles["demo"]
