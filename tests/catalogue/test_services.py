"""Which sites there are, and their newest episodes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from anibridge.lib.errors import Misconfigured
from catalogue import availability, services, tasks
from catalogue.availability import Finding
from catalogue.errors import LayoutChanged, RateLimited, SiteUnavailable, UnknownSite
from catalogue.models import AvailabilityRecord, Site
from catalogue.sites import SITES
from catalogue.sites.base import GERMAN_DUB, RecentEpisode
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import AvailabilityRecordFactory, SiteFactory

RECENT = "/neue-episoden"
EPISODE = "/anime/stream/caminandes/staffel-1/episode-"


@pytest.fixture
def named(settings, db: None):
    """What the operator has set."""
    settings.CATALOGUE_SITES = []
    settings.SITE_BASE_URLS = {}
    return settings


def enabled() -> set[str]:
    return set(Site.objects.enabled().values_list("pk", flat=True))


def list_recent(monkeypatch: pytest.MonkeyPatch, *episodes: int) -> None:
    """The site lists these episodes of Caminandes, newest first."""
    found = tuple(
        RecentEpisode("caminandes", 1, number, frozenset({GERMAN_DUB})) for number in episodes
    )
    monkeypatch.setattr("catalogue.sites.demo.DemoSite.parse_recent", lambda self, answer: found)


def feed() -> list[int]:
    return list(AvailabilityRecord.objects.feed().values_list("episode", flat=True))


def test_every_adapter_gets_a_row_that_is_off_until_it_is_named(named):
    assert {site.pk for site in services.sync_sites()} == set(SITES)
    assert enabled() == set()
    named.CATALOGUE_SITES = ["demo"]
    services.sync_sites()
    assert enabled() == {"demo"}
    named.CATALOGUE_SITES = []
    services.sync_sites()
    assert enabled() == set()


def test_the_owners_switch_and_address_survive_a_start(named):
    named.CATALOGUE_SITES = ["demo"]
    services.sync_sites()
    Site.objects.filter(pk="demo").update(enabled=False, base_url="https://moved.example")
    services.sync_sites()
    demo = Site.objects.get(pk="demo")
    assert (demo.enabled, demo.base_url) == (False, "https://moved.example")
    named.SITE_BASE_URLS = {"demo": "http://nas:8001"}
    services.sync_sites()
    demo.refresh_from_db()
    assert demo.base_url == "http://nas:8001"


def test_a_site_that_comes_back_to_a_taken_priority_gets_a_free_one(named):
    services.sync_sites()
    Site.objects.filter(pk="demo").update(search_priority=7)
    Site.objects.filter(pk="aniworld").update(search_priority=7, enabled=True)
    named.CATALOGUE_SITES = ["demo"]
    services.sync_sites()
    assert {"demo", "aniworld"} <= enabled()
    assert Site.objects.get(pk="aniworld").search_priority == 7


def test_the_last_priority_leaves_room_below(named):
    SiteFactory(site_id="stranger", search_priority=services.LAST_PRIORITY)
    priorities = [site.search_priority for site in services.sync_sites()]
    assert len(set(priorities)) == len(priorities)
    assert max(priorities) == services.LAST_PRIORITY


@pytest.mark.parametrize(
    ("sites", "addresses", "told"),
    [
        (["demo", "nowhere"], {}, "nowhere"),
        ([], {"demo": "demo.example"}, "DEMO_BASE_URL"),
        ([], {"demo": "https://demo.example/path"}, "DEMO_BASE_URL"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_start(named, sites, addresses, told):
    named.CATALOGUE_SITES, named.SITE_BASE_URLS = sites, addresses
    with pytest.raises(Misconfigured, match=told):
        services.sync_sites()


def test_a_poll_brings_new_episodes_in_the_sites_own_order(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    list_recent(monkeypatch, 2, 1)
    assert services.poll_recent("demo") == services.Polled("demo", 2, 2)
    assert feed() == [2, 1]
    assert Site.objects.get().recent_polled_at is not None


def test_a_poll_leaves_what_is_known_alone(faulty: FaultySite, monkeypatch: pytest.MonkeyPatch):
    list_recent(monkeypatch, 2, 1)
    for number in (1, 2):
        AvailabilityRecordFactory(site=faulty.site, slug="caminandes", episode=number)
    assert services.poll_recent("demo").probed == 0
    assert faulty.asked() == [RECENT]


def test_what_was_looked_for_before_it_came_out_is_found_by_the_poll(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    list_recent(monkeypatch, 2, 1)
    early = [Finding("caminandes", 1, n, GERMAN_DUB, False) for n in (1, 2)]
    availability.record("demo", early[:1], checked_at=timezone.now() - timedelta(hours=2))
    availability.record("demo", early[1:])
    assert services.poll_recent("demo").probed == 1
    assert feed() == [1]  # the other «not there» is still believed


def test_a_poll_looks_its_list_up_in_one_query(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries
):
    list_recent(monkeypatch, *range(300, 0, -1))
    for number in range(1, 301):
        AvailabilityRecordFactory(site=faulty.site, slug="caminandes", episode=number)
    with django_assert_max_num_queries(4):
        services.poll_recent("demo")


def test_a_poll_stops_at_its_share_and_goes_on_next_time(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(services, "PROBES_PER_POLL", 1)
    list_recent(monkeypatch, 2, 1)
    assert [services.poll_recent("demo").probed for _ in range(3)] == [1, 1, 0]


def test_a_poll_that_has_no_time_left_begins_nothing(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(services, "POLL_SECONDS", -1.0)
    list_recent(monkeypatch, 1)
    assert services.poll_recent("demo").probed == 0


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<html></html>"), (200, b"<html>odd</html>"), (500, b"")]
)
def test_one_bad_episode_does_not_stop_the_poll(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch, status, body
):
    list_recent(monkeypatch, 2, 1)
    faulty.fail(f"{EPISODE}1", status, body)
    services.poll_recent("demo")
    assert feed() == [2]
    assert Site.objects.get().failures == 0


def test_an_outage_stops_the_poll(faulty: FaultySite, monkeypatch: pytest.MonkeyPatch):
    list_recent(monkeypatch, *range(9, 0, -1))
    for number in range(1, 10):
        faulty.fail(f"{EPISODE}{number}", 500)
    with pytest.raises(SiteUnavailable):
        services.poll_recent("demo")
    assert len(faulty.asked(EPISODE)) == services.OUTAGE
    assert Site.objects.get().failures == 1


def test_a_refusal_stops_the_poll_at_once(faulty: FaultySite, monkeypatch: pytest.MonkeyPatch):
    list_recent(monkeypatch, 3, 2, 1)
    faulty.fail(f"{EPISODE}1", 429, Retry_After="600")
    with pytest.raises(RateLimited):
        services.poll_recent("demo")
    assert len(faulty.asked(EPISODE)) == 1
    assert Site.objects.get().is_backing_off(timezone.now())


def test_pages_that_have_all_changed_are_a_failure(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    list_recent(monkeypatch, 2, 1)
    for number in (1, 2):
        faulty.fail(f"{EPISODE}{number}", 200, b"<html>odd</html>")
    with pytest.raises(LayoutChanged):
        services.poll_recent("demo")
    assert Site.objects.get().failures == 1


def test_a_list_that_has_moved_is_a_failure(faulty: FaultySite):
    faulty.fail(RECENT, 404, b"<html></html>")
    with pytest.raises(LayoutChanged):
        services.poll_recent("demo")
    site = Site.objects.get()
    assert site.failures == 1
    assert site.recent_polled_at is not None


def test_a_site_without_a_list_of_new_episodes_has_none(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("catalogue.sites.demo.DemoSite.recent_path", lambda self: None)
    assert services.poll_recent("demo") == services.Polled("demo", 0, 0)
    assert faulty.asked() == []


def test_an_unknown_site_cannot_be_polled(db):
    with pytest.raises(UnknownSite):
        services.poll_recent("nowhere")


def test_the_due_task_refreshes_and_polls_a_new_site_once(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    list_recent(monkeypatch)
    tasks.refresh_due()
    assert faulty.asked() == ["/animes-alphabet", RECENT]
    tasks.refresh_due()
    assert faulty.asked() == []
    tasks.poll_recent()
    assert faulty.asked() == [RECENT]


def test_a_task_leaves_a_site_that_backs_off_alone(faulty: FaultySite):
    Site.objects.update(back_off_until=timezone.now() + timedelta(hours=1), index_size=1)
    tasks.refresh_due()
    tasks.poll_recent()
    tasks.probe("demo", "sintel", 1, None)
    assert faulty.asked() == []


def test_a_failing_index_is_not_followed_by_a_poll(faulty: FaultySite):
    faulty.fail("/animes-alphabet", 500)
    tasks.refresh_due()
    assert faulty.asked() == ["/animes-alphabet"]


def test_a_bug_with_one_site_leaves_the_next_its_turn(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch, caplog
):
    SiteFactory(site_id="aniworld", search_priority=1)
    asked = []

    def refresh_index(site_id: str) -> None:
        asked.append(site_id)
        raise ZeroDivisionError

    monkeypatch.setattr("catalogue.refresh.refresh_index", refresh_index)
    tasks.refresh_due()
    assert asked == ["aniworld", "demo"]
    assert "ZeroDivisionError" in caplog.text


def test_the_probe_task_finishes_a_search(faulty: FaultySite):
    tasks.probe("demo", "sintel", 1, 1)
    assert AvailabilityRecord.objects.filter(is_available=True).count() == 3
    faulty.asked()
    tasks.probe("demo", "sintel", 1, 1)
    assert faulty.asked() == []


def test_the_refresh_task_reads_the_index(faulty: FaultySite):
    tasks.refresh_index("demo")
    tasks.refresh_index("nowhere")
    assert Site.objects.get().index_size == 11
