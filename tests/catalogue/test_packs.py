"""Season packs: when nothing of a season is missing, and who has to say so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from anibridge.demo.videos import VideoLibrary
from catalogue import availability, learning, packs, search, verifying
from catalogue.availability import Finding, record
from catalogue.metadata import Show, ShowEpisode
from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.releases import Identity, parse_magnet
from catalogue.results import ResultEntry
from catalogue.search import Ids
from catalogue.sites.base import ENGLISH_DUB, ENGLISH_SUB, GERMAN_DUB, GERMAN_SUB, EpisodeFacts
from tests.catalogue.conftest import FaultySite, site_in_layout
from tests.catalogue.factories import SiteFactory
from tests.catalogue.skyhook import SkyHook

PATIENT = 30.0
GIRL = "404 Girl Not Found"
SLUG = "404-maedchen-nicht-gefunden"
NOW = timezone.now()
MINUTE = timedelta(minutes=1)
EVERY = {GERMAN_DUB, GERMAN_SUB, ENGLISH_DUB, ENGLISH_SUB}


def whole(found: search.Answered) -> list[ResultEntry]:
    return [one for one in found.entries if one.episode is None]


def spoken(found: search.Answered) -> set[str]:
    return {one.language for one in whole(found)}


@pytest.fixture
def girl(indexed: FaultySite) -> FaultySite:
    """Its page was read: there is a second season, and the show goes on."""
    learning.learn("demo", SLUG)
    indexed.asked()
    return indexed


# --- what a season page lists


def rows(*numbers: int, spoken: tuple[str, ...] = (GERMAN_DUB,), season: int = 1):
    return [EpisodeFacts(season, number, languages=frozenset(spoken)) for number in numbers]


@pytest.mark.parametrize(
    ("listed", "count"),
    [
        (rows(1), 1),
        (rows(3, 1, 2), 3),
        (rows(1, 2, 2), 2),
        ([], None),
        (rows(1, 3), None),
        (rows(2, 3), None),
        (rows(0, 1, 2), None),
        ([*rows(1, 2), *rows(3, spoken=(GERMAN_SUB,))], None),
        ([*rows(1, 2), *rows(3, spoken=())], None),
        (rows(1, 2, season=0), None),
    ],
)
def test_a_list_is_whole_from_one_on_without_a_gap_and_all_in_the_language(listed, count):
    assert packs.listed(listed, GERMAN_DUB) == count


# --- what is recorded


THERE = Finding("sintel", 1, 1, GERMAN_DUB, True, "VOE", 1080, "h264", 10**9, 1200.0)
PAGE = replace(THERE, episode=None, size_bytes=None, duration_seconds=None, estimated=True)


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory(site_id="demo", availability_ttl_hours=24, unavailable_ttl_hours=1)


def season(count: int, **differs: object) -> list[Finding]:
    episodes = [replace(THERE, episode=number, **differs) for number in range(1, count + 1)]
    return [*episodes, replace(PAGE, listed=count)]


def kept() -> AvailabilityRecord:
    return AvailabilityRecord.objects.get(episode=None)


def test_a_season_is_whole_since_its_last_episode_came(site: Site):
    record("demo", season(2), checked_at=NOW)
    assert (kept().episodes, kept().complete_since) == (2, NOW)
    record("demo", season(2), checked_at=NOW + MINUTE)
    assert (kept().checked_at, kept().complete_since) == (NOW + MINUTE, NOW)
    record("demo", season(3), checked_at=NOW + 2 * MINUTE)
    assert (kept().episodes, kept().complete_since) == (3, NOW + 2 * MINUTE)


def test_a_season_is_no_longer_whole_once_an_episode_is_gone(site: Site):
    record("demo", season(3), checked_at=NOW)
    gone = Finding("sintel", 1, 2, GERMAN_DUB, False, reason="no host has a stream")
    record("demo", [gone], checked_at=NOW + MINUTE)
    assert (kept().is_available, kept().episodes, kept().complete_since) == (True, None, None)
    record("demo", season(3, estimated=True), checked_at=NOW + 2 * MINUTE)
    assert kept().complete_since is None
    record("demo", [replace(THERE, episode=2)], checked_at=NOW + 3 * MINUTE)
    assert (kept().episodes, kept().complete_since) == (3, NOW + 3 * MINUTE)


def test_what_another_language_or_season_lacks_is_its_own(site: Site):
    others = [replace(one, season=2) for one in season(2)]
    others += [replace(one, language=GERMAN_SUB) for one in season(2)]
    record("demo", season(2) + others, checked_at=NOW)
    gone = [
        Finding("sintel", 2, 1, GERMAN_DUB, False),
        Finding("sintel", 1, 1, GERMAN_SUB, False),
    ]
    record("demo", gone, checked_at=NOW + MINUTE)
    whole = AvailabilityRecord.objects.exclude(complete_since=None).get()
    assert (whole.season, whole.language) == (1, GERMAN_DUB)


def test_a_page_that_lists_less_than_there_was_is_not_whole(site: Site):
    record("demo", season(2), checked_at=NOW)
    record("demo", [replace(PAGE, listed=None)], checked_at=NOW + MINUTE)
    assert kept().complete_since is None
    record("demo", season(2), checked_at=NOW + 2 * MINUTE)
    record("demo", [replace(PAGE, available=False, listed=None)], checked_at=NOW + 3 * MINUTE)
    assert (kept().is_available, kept().complete_since) == (False, None)


def test_a_pack_promises_no_more_than_its_weakest_episode(site: Site):
    weak = replace(THERE, episode=2, height=576, vcodec="hevc")
    record("demo", [*season(3), weak], checked_at=NOW)
    record("demo", [weak], checked_at=NOW + MINUTE)
    assert (kept().height, kept().vcodec) == (576, "hevc")
    record("demo", [replace(weak, height=None)], checked_at=NOW + 2 * MINUTE)
    assert kept().height is None


@pytest.mark.parametrize(
    ("sizes", "lengths", "size", "length"),
    [
        ((100, 200, 300), (60.0, 60.0, 90.0), 600, 210.0),
        ((100, None, 300), (60.0, None, 90.0), 600, 225.0),
        ((None, None, None), (None, None, None), None, None),
    ],
)
def test_a_packs_size_is_that_of_all_episodes_an_unknown_one_is_as_the_others(
    site: Site, sizes, lengths, size, length
):
    known = enumerate(zip(sizes, lengths, strict=True), 1)
    episodes = [
        replace(THERE, episode=number, size_bytes=bytes_, duration_seconds=seconds)
        for number, (bytes_, seconds) in known
    ]
    record("demo", [*episodes, replace(PAGE, listed=3)], checked_at=NOW)
    assert (kept().size_bytes, kept().duration_seconds) == (size, length)


def test_a_season_of_a_thousand_episodes_is_settled_with_a_handful_of_queries(
    site: Site, django_assert_max_num_queries
):
    record("demo", season(1000), checked_at=NOW)
    with django_assert_max_num_queries(10):
        record("demo", season(1000), checked_at=NOW + MINUTE)
    assert kept().episodes == 1000


# --- who says that a season is over


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def shown(*episodes: tuple[int, int, datetime | None]) -> Show:
    return Show(1, "x", episodes=tuple(ShowEpisode(s, e, None, "", at) for s, e, at in episodes))


@pytest.mark.parametrize(
    ("show", "agreed"),
    [
        (None, None),
        (shown(), None),
        (shown((1, 1, LONG_AGO), (1, 2, LONG_AGO)), True),
        (shown((1, 2, LONG_AGO), (1, 1, LONG_AGO), (2, 1, None), (0, 1, None)), True),
        (shown((1, 1, LONG_AGO), (1, 2, NOW + MINUTE)), False),
        (shown((1, 1, LONG_AGO), (1, 2, None)), False),
        (shown((1, 1, LONG_AGO), (1, 2, LONG_AGO), (1, 3, LONG_AGO)), False),
        (shown((1, 1, LONG_AGO), (1, 2, LONG_AGO), (1, 3, None)), False),
        (shown((1, 1, LONG_AGO)), False),
        (shown((2, 1, LONG_AGO), (2, 2, LONG_AGO)), False),
    ],
)
def test_the_service_agrees_when_the_season_is_over_and_has_just_these_episodes(show, agreed):
    assert packs.agrees(show, 1, 2, NOW) is agreed


# --- what a search offers


def test_a_season_that_is_over_is_offered_whole_in_each_language(girl: FaultySite):
    found = search.search(GIRL, season=1, budget=PATIENT)
    assert spoken(found) == EVERY
    assert {(one.season, one.episodes) for one in whole(found)} == {(1, 4)}
    assert len(found.entries) == 4 * 4 + 4
    (pack,) = [one for one in whole(found) if one.language == GERMAN_SUB]
    assert pack.release.name == "404.Girl.Not.Found.S01.Japanese.GerSubbed.1080p.WEB.H264-DEMO"
    identity = Identity("demo", SLUG, 1, None, GERMAN_SUB)
    assert parse_magnet(pack.release.magnet).identity == identity
    single = next(one for one in found.entries if one.episode == 1)
    assert pack.size_bytes == 4 * single.size_bytes


def test_the_season_may_stand_in_the_words(girl: FaultySite):
    assert spoken(search.search(f"{GIRL} Season 1", budget=PATIENT)) == EVERY
    title, number, episode = search.split_query(f"{GIRL} S01")
    assert spoken(search.search(title, season=number, episode=episode, budget=PATIENT)) == EVERY


def test_a_pack_costs_no_query_and_keeps_its_date(
    girl: FaultySite, django_assert_max_num_queries, monkeypatch
):
    first = whole(search.search(GIRL, season=1, budget=PATIENT))
    monkeypatch.setattr("catalogue.index.LOOK_EVERY_SECONDS", 3600)
    with django_assert_max_num_queries(3):
        again = whole(search.search(GIRL, season=1))
    assert again == first
    assert {one.origin for one in again} == {"cache"}
    AvailabilityRecord.objects.update(checked_at=timezone.now() - 2 * MINUTE)
    later = whole(search.search(GIRL, season=1, budget=PATIENT))
    assert [one.first_seen_at for one in later] == [one.first_seen_at for one in first]


@pytest.mark.parametrize(
    "asked",
    [
        {"season": 1, "episode": 1},
        {"season": 0},
        {},
        {"absolute": 1},
        {"season": 2024},
    ],
)
def test_only_a_season_that_is_asked_for_comes_as_a_pack(girl: FaultySite, asked):
    search.search(GIRL, season=1, budget=PATIENT)
    assert whole(search.search(GIRL, budget=PATIENT, **asked)) == []


def test_a_language_in_which_an_episode_is_missing_has_no_pack(girl: FaultySite, skyhook: SkyHook):
    skyhook.add(404, GIRL, (2, 1, None, ""), (2, 2, None, ""))
    found = search.search(GIRL, season=2, budget=PATIENT)
    assert spoken(found) == {GERMAN_SUB, ENGLISH_SUB}
    assert {one.language for one in found.entries} == EVERY


def test_the_last_season_of_a_show_that_goes_on_is_not_offered_on_the_sites_word(
    girl: FaultySite,
):
    assert whole(search.search(GIRL, season=2, budget=PATIENT)) == []


def test_the_last_season_of_a_show_that_has_ended_is(indexed: FaultySite):
    assert whole(search.search("Caminandes", season=1, budget=PATIENT)) == []
    learning.learn("demo", "caminandes")
    assert spoken(search.search("Caminandes", season=1)) == {GERMAN_DUB, ENGLISH_DUB}
    Title.objects.update(end_year=timezone.now().year)
    assert whole(search.search("Caminandes", season=1)) == []


@pytest.mark.parametrize(
    ("episodes", "to_come", "offered"),
    [
        ((1, 2, 3, 4), (), True),
        ((1, 2, 3, 4), ((1, 4),), False),
        ((1, 2, 3, 4, 5), (), False),
        ((1, 2, 3), (), False),
    ],
)
@pytest.mark.parametrize("asked", [{"query": GIRL}, {"ids": Ids(tvdb=404)}])
def test_what_the_service_counts_decides(
    girl: FaultySite, skyhook: SkyHook, episodes, to_come, offered, asked
):
    told = [(1, number, None, "") for number in episodes]
    skyhook.add(404, GIRL, *told, year=2023, to_come=to_come)
    found = search.search(**asked, season=1, budget=PATIENT)
    assert (spoken(found) == EVERY) is offered
    assert bool(whole(found)) is offered
    assert len(found.entries) >= 16


def test_a_season_with_a_broken_episode_is_not_offered(
    indexed: FaultySite, skyhook: SkyHook, monkeypatch
):
    skyhook.add(9, "Nebelwerk", *[(1, number, None, "") for number in range(1, 5)])
    monkeypatch.setattr(availability, "HOST_SECONDS", 0.3)
    assert spoken(search.search("Nebelwerk", season=1, budget=PATIENT)) == {GERMAN_DUB, GERMAN_SUB}
    assert search.search("Nebelwerk", season=1, episode=3, budget=PATIENT).entries == []
    assert whole(search.search("Nebelwerk", season=1, budget=PATIENT)) == []


def test_a_pack_is_not_offered_on_the_strength_of_records_that_have_run_out(girl: FaultySite):
    search.search(GIRL, season=1, budget=PATIENT)
    long_ago = timezone.now() - timedelta(days=3)
    rows = AvailabilityRecord.objects.filter(slug=SLUG)
    rows.filter(episode=2, language=GERMAN_DUB).update(checked_at=long_ago)
    Site.objects.update(back_off_until=timezone.now() + timedelta(hours=1))
    assert spoken(search.search(GIRL, season=1)) == EVERY - {GERMAN_DUB}
    rows.filter(episode=None).update(checked_at=long_ago)
    assert whole(search.search(GIRL, season=1)) == []


def test_the_feed_has_no_packs(girl: FaultySite):
    search.search(GIRL, season=1, budget=PATIENT)
    assert None not in {one.episode for one in search.feed(limit=500)}


def test_a_site_that_lists_only_what_it_has_in_its_one_language_is_not_taken_at_its_word(
    demo_site: Site, library: VideoLibrary, settings, skyhook: SkyHook
):
    """The second season has four episodes, of which one was dubbed: it is all that this site shows of it."""
    bakery = "Die Bäckerei am Ende der Straße"
    with site_in_layout("megakino", library, settings):
        for number in (1, 2):
            found = search.search(bakery, season=number, sites=["megakino"], budget=PATIENT)
            assert found.entries
            assert whole(found) == []
        told = [(1, number, None, "") for number in range(1, 7)]
        told += [(2, number, None, "") for number in range(1, 5)]
        skyhook.add(7, bakery, *told)
        cache.clear()
        first = search.search(bakery, season=1, sites=["megakino"], budget=PATIENT)
        assert [(one.season, one.episodes) for one in whole(first)] == [(1, 6)]
        second = search.search(bakery, season=2, sites=["megakino"], budget=PATIENT)
        assert {one.episode for one in second.entries} == {1}


# --- the last look


def test_a_pack_is_proven_only_while_it_is_whole(girl: FaultySite):
    pack = Identity("demo", SLUG, 2, None, GERMAN_SUB)
    assert verifying.verify(pack, seconds=PATIENT).there
    lacking = verifying.verify(replace(pack, language=GERMAN_DUB), seconds=PATIENT)
    assert (lacking.there, lacking.reason) == (False, "the season is not whole in this language")
