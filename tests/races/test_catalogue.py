"""The catalogue's rows and memory under many threads at once."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from catalogue import availability, health, index, learning, refresh, search, services
from catalogue.availability import Finding, record
from catalogue.errors import SiteUnavailable
from catalogue.index import Current, current
from catalogue.models import AvailabilityRecord, Site, Title, TitleMapping
from catalogue.sites.base import GERMAN_DUB, GERMAN_SUB, TitleFacts
from tests.catalogue.conftest import FaultySite, moved
from tests.catalogue.factories import SiteFactory, TitleMappingFactory
from tests.races.test_claims import at_once

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
THERE = Finding("sintel", 1, 1, GERMAN_DUB, True, "VOE", 1080, "h264")
GONE = Finding("sintel", 1, 1, GERMAN_DUB, False)


@pytest.fixture
def site() -> Site:
    return SiteFactory(site_id="demo")


@pytest.fixture
def faulty(demo_site: Site) -> Iterator[FaultySite]:
    with moved(demo_site) as site:
        yield site


def no_errors(results: list[object]) -> list[object]:
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def test_of_probes_at_once_the_latest_look_counts(site: Site):
    def note(number: int) -> None:
        finding = replace(THERE if number % 2 else GONE, height=number)
        record("demo", [finding], checked_at=NOW + timedelta(seconds=number))

    for _ in range(3):
        AvailabilityRecord.objects.all().delete()
        no_errors(at_once(note))
        row = AvailabilityRecord.objects.get()
        assert (row.height, row.checked_at) == (7, NOW + timedelta(seconds=7))


def test_a_probe_and_estimates_at_once_leave_the_probe(site: Site):
    def note(number: int) -> None:
        if number == 3:
            record("demo", [GONE], checked_at=NOW)
        else:
            guess = replace(THERE, estimated=True)
            record("demo", [guess], checked_at=NOW + timedelta(seconds=number - 3))

    for _ in range(3):
        AvailabilityRecord.objects.all().delete()
        no_errors(at_once(note))
        row = AvailabilityRecord.objects.get()
        # An estimate that is newer may come first; the probe is then the older look.
        assert (row.estimated, row.checked_at > NOW) in {(False, False), (True, True)}
        assert row.estimated == row.is_available


def test_a_season_recorded_from_both_ends_at_once_is_there_once(site: Site):
    season = [
        replace(THERE, episode=episode, language=language, estimated=episode > 1)
        for episode in range(1, 40)
        for language in (GERMAN_DUB, GERMAN_SUB)
    ]

    def note(number: int) -> None:
        for step in range(3):
            findings = season if number % 2 else season[::-1]
            record("demo", findings, checked_at=NOW + timedelta(seconds=10 * step + number))

    no_errors(at_once(note))
    assert AvailabilityRecord.objects.count() == len(season)
    probed = AvailabilityRecord.objects.filter(estimated=False)
    assert set(probed.values_list("episode", flat=True)) == {1}


def test_requests_that_fail_at_once_are_one_step(site: Site):
    began = timezone.now()
    no_errors(at_once(lambda n: health.failed("demo", SiteUnavailable("down"), since=began)))
    site.refresh_from_db()
    assert (site.failures, site.back_off_until) == (1, None)


def test_a_failure_among_successes_is_not_lost(site: Site):
    began = timezone.now()

    def tell(number: int) -> None:
        if number == 4:
            health.failed("demo", SiteUnavailable("down"), since=began)
        else:
            health.answered("demo", since=began)

    for _ in range(5):
        Site.objects.update(failures=0, last_error_at=None, back_off_until=None)
        no_errors(at_once(tell))
        site.refresh_from_db()
        assert site.failures == 1


def test_refreshes_at_once_leave_one_whole_index(faulty: FaultySite):
    results = no_errors(at_once(lambda n: refresh.refresh_index("demo"), threads=4))
    assert {done.titles for done in results} == {11}
    assert (Title.objects.count(), TitleMapping.objects.count()) == (11, 32)
    swapped = sum(not done.kept for done in results)
    faulty.site.refresh_from_db()
    assert (faulty.site.index_generation, faulty.site.index_size) == (swapped, 11)


def test_a_search_beside_refreshes_always_finds_its_title(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(index, "LOOK_EVERY_SECONDS", 0.0)
    refresh.refresh_index("demo")
    search.search("Caminandes", season=1, budget=20)

    def work(number: int) -> set[int]:
        if number == 0:
            refresh.refresh_index("demo")
            return {3}
        return {len(search.search("Caminandes", season=1).entries) for _ in range(10)}

    assert no_errors(at_once(work, threads=4)) == [{3}, {6}, {6}, {6}]
    for thread in threading.enumerate():
        if thread.name == "title-index":
            thread.join(10)


def test_the_same_search_at_once_asks_the_site_once(faulty: FaultySite):
    refresh.refresh_index("demo")
    current.get()
    season = "/anime/stream/caminandes/staffel-1"
    answer = faulty.server.routes.get(season)

    def hold(handler) -> None:
        # Long enough for every search to ask for itself; one that comes later finds the answer recorded.
        threading.Event().wait(0.3)
        handler.answer(*answer)

    faulty.server.routes[season] = hold
    found = no_errors(
        at_once(lambda n: search.search("Caminandes", season=1, budget=20), threads=4)
    )
    assert {len(one.entries) for one in found} == {6}
    assert faulty.asked(season) == [season, f"{season}/episode-1"]


def test_a_season_that_is_read_while_an_episode_of_it_breaks_is_never_whole_without_it(site: Site):
    episodes = [replace(THERE, episode=number, estimated=True) for number in (1, 2, 3)]
    page = replace(THERE, episode=None, estimated=True, listed=3)

    def note(number: int) -> None:
        moment = NOW + timedelta(seconds=number)
        if number % 2:
            gone = replace(GONE, episode=number % 3 + 1)
            record("demo", [gone], checked_at=moment)
        else:
            record("demo", [*episodes, page], checked_at=moment)

    for _ in range(5):
        AvailabilityRecord.objects.all().delete()
        no_errors(at_once(note))
        rows = AvailabilityRecord.objects.filter(is_available=True)
        there = set(rows.exclude(episode=None).values_list("episode", flat=True))
        whole = AvailabilityRecord.objects.get(episode=None)
        assert (whole.complete_since is not None) is (there == {1, 2, 3})


def test_the_first_searches_of_a_process_build_one_index(site: Site, caplog):
    TitleMappingFactory(site=site, name="Sintel")
    here = Current()
    built = no_errors(at_once(lambda n: here.get()))
    assert len({id(one) for one in built}) == 1


def test_starts_at_once_agree_on_the_sites(settings):
    settings.CATALOGUE_SITES, settings.SITE_BASE_URLS = ["demo"], {}
    no_errors(at_once(lambda n: services.sync_sites()))
    assert list(Site.objects.enabled().values_list("pk", flat=True)) == ["demo"]


def test_two_polls_at_once_record_each_episode_once(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(services, "PROBES_PER_POLL", 2)
    no_errors(at_once(lambda n: services.poll_recent("demo"), threads=2))
    rows = AvailabilityRecord.objects.values_list("slug", "season", "episode", "language")
    assert rows
    assert len(set(rows)) == len(rows)


def test_a_cache_read_beside_its_writers_is_never_torn(site: Site):
    season = [replace(THERE, episode=episode) for episode in range(1, 20)]
    record("demo", season, checked_at=NOW)

    def work(number: int) -> set[int]:
        if number % 2:
            record("demo", season, checked_at=NOW + timedelta(seconds=number))
            return {19}
        return {len(availability.cached([(site, "sintel")])["demo", "sintel"]) for _ in range(5)}

    assert no_errors(at_once(work)) == [{19}] * 8


def test_learning_and_refreshes_at_once_leave_facts_and_names(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    refresh.refresh_index("demo")
    before = set(TitleMapping.objects.values_list("slug", "title_key"))
    facts = TitleFacts("Sintel", ("The Dragon Girl",), year=2010)
    monkeypatch.setattr("catalogue.sites.demo.DemoSite.parse_title", lambda self, answer: facts)

    def work(number: int) -> None:
        if number % 2:
            learning.learn("demo", "sintel")
        else:
            refresh.refresh_index("demo")

    no_errors(at_once(work, threads=6))
    after = set(TitleMapping.objects.values_list("slug", "title_key"))
    assert after == before | {("sintel", "thedragongirl")}
    assert Title.objects.get(slug="sintel").year == 2010
