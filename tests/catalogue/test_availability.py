"""What a probe finds, and what is remembered of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from catalogue import availability
from catalogue.availability import Finding, in_preferred_order, record
from catalogue.errors import RateLimited, SiteUnavailable
from catalogue.fetching import client_for
from catalogue.models import AvailabilityRecord, Site
from catalogue.sites.base import ENGLISH_SUB, GERMAN_DUB, GERMAN_SUB, EpisodeFacts, HostLink
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import SiteFactory

NOW = timezone.now()
THERE = Finding("sintel", 1, 1, GERMAN_DUB, True, "VOE", 1080, "h264", 10**9, 888.0)
GUESS = replace(THERE, height=480, host="Filemoon", estimated=True)
GONE = Finding("sintel", 1, 1, GERMAN_DUB, False, reason="no host has a stream")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory(site_id="demo", availability_ttl_hours=24, unavailable_ttl_hours=1)


def kept() -> AvailabilityRecord:
    return AvailabilityRecord.objects.get()


def hosts(names: str) -> list[HostLink]:
    return [HostLink(GERMAN_DUB, name, f"/redirect/{n}") for n, name in enumerate(names.split())]


def test_hosts_are_tried_in_the_operators_order(settings):
    settings.PROVIDER_ORDER = ["VOE", "Vidoza"]
    links = hosts("Strange VIDOZA-HD Other voe")
    assert [link.host for link in in_preferred_order(links)] == [
        "voe", "VIDOZA-HD", "Strange", "Other",
    ]  # fmt: skip
    assert in_preferred_order(links, prefer="Other")[0].host == "Other"


def test_a_probe_measures_the_first_host_that_works(demo_site: Site):
    found = availability.probe_episode(
        client_for(demo_site), "sintel", 1, 1, (GERMAN_DUB, ENGLISH_SUB)
    )
    german, english = found
    assert (german.available, german.host, german.height) == (True, "Filemoon", 1080)
    assert german.size_bytes > 0
    assert (english.available, english.reason) == (False, "not offered in English Sub")


@pytest.mark.parametrize(("episode", "host"), [(1, "Vidoza"), (2, "LoadX")], ids=["HLS", "DASH"])
def test_what_comes_in_parts_is_measured_by_its_playlist(demo_site: Site, episode: int, host: str):
    found = availability.probe_episode(
        client_for(demo_site), "die-baeckerei-am-ende-der-strasse", 2, episode, (GERMAN_SUB,)
    )
    facts = [(one.available, one.host, one.height, one.size_bytes) for one in found]
    assert facts == [(True, host, 720, None)]


def test_an_episode_without_links_was_not_uploaded_yet(demo_site: Site):
    found = availability.probe_episode(
        client_for(demo_site), "kaeptn-gruenspan-die-moewen", 2, 2, (GERMAN_DUB, GERMAN_SUB)
    )
    assert {one.reason for one in found} == {"nothing uploaded yet"}


def test_an_episode_that_the_site_does_not_have_is_not_there_in_any_language(demo_site: Site):
    found = availability.probe_episode(
        client_for(demo_site), "sintel", 1, 99, (GERMAN_DUB, GERMAN_SUB)
    )
    assert [(one.available, one.language) for one in found] == [
        (False, GERMAN_DUB),
        (False, GERMAN_SUB),
    ]


def test_a_site_that_leads_to_no_host_says_nothing_about_the_episode(faulty: FaultySite):
    def break_links(status: int, **headers: str) -> None:
        links = faulty.server.routes.layout.catalogue.links
        for number in links:
            faulty.fail(f"/redirect/{number}", status, **headers)

    client = client_for(faulty.site)
    break_links(500)
    with pytest.raises(SiteUnavailable):
        availability.probe_episode(client, "sintel", 1, 1, (GERMAN_DUB,))
    break_links(429, Retry_After="60")
    faulty.asked()
    with pytest.raises(RateLimited):
        availability.probe_episode(client, "sintel", 1, 1, (GERMAN_DUB,))
    assert len(faulty.asked("/redirect/")) == 1  # and the others are left in peace


def test_a_link_that_wants_a_person_gives_way_to_the_next_host(faulty: FaultySite):
    page = faulty.server.routes.layout.respond(
        "GET", "/anime/stream/sintel/staffel-1/episode-1", {}
    )
    client = client_for(faulty.site)
    links = client.episode("sintel", 1, 1).links
    first = in_preferred_order([one for one in links if one.language == GERMAN_DUB])[0]
    assert first.path in page.body
    faulty.fail(first.path, 200, b"<html><p>captcha</p></html>")
    found = availability.probe_episode(client, "sintel", 1, 1, (GERMAN_DUB,))
    assert [one.available for one in found] == [True]


def test_an_estimate_carries_the_samples_quality():
    rows = [
        EpisodeFacts(1, 1, languages=frozenset({GERMAN_DUB})),
        EpisodeFacts(1, 2, languages=frozenset({GERMAN_DUB, GERMAN_SUB})),
        EpisodeFacts(1, 3, languages=frozenset({GERMAN_SUB})),
    ]
    assert availability.estimate(rows, THERE, "sintel") == [
        replace(THERE, episode=2, estimated=True)
    ]


def test_an_older_look_never_replaces_a_newer_one(site: Site):
    record("demo", [THERE], checked_at=NOW)
    record("demo", [GONE], checked_at=NOW - MINUTE)
    assert (kept().is_available, kept().checked_at) == (True, NOW)


def test_a_newer_look_counts_and_a_return_is_seen_anew(site: Site):
    record("demo", [THERE], checked_at=NOW - 3 * MINUTE)
    record("demo", [replace(THERE, height=720)], checked_at=NOW - 2 * MINUTE)
    assert (kept().height, kept().first_seen_at) == (720, NOW - 3 * MINUTE)
    record("demo", [GONE], checked_at=NOW - MINUTE)
    assert (kept().is_available, kept().height, kept().reason) == (False, None, GONE.reason)
    record("demo", [THERE], checked_at=NOW)
    assert (kept().is_available, kept().first_seen_at, kept().reason) == (True, NOW, "")


def test_an_estimate_never_replaces_a_probe(site: Site):
    record("demo", [THERE], checked_at=NOW - MINUTE)
    assert record("demo", [GUESS], checked_at=NOW) == []
    assert (kept().height, kept().estimated, kept().checked_at) == (1080, False, NOW - MINUTE)


def test_a_probe_replaces_an_estimate_whatever_it_finds(site: Site):
    record("demo", [GUESS], checked_at=NOW - MINUTE)
    record("demo", [GONE], checked_at=NOW)
    assert (kept().is_available, kept().estimated) == (False, False)
    assert record("demo", [GUESS], checked_at=NOW + MINUTE) == []
    assert not kept().is_available


def test_an_estimate_prolongs_a_probe_that_has_run_out_with_what_was_measured(site: Site):
    record("demo", [THERE], checked_at=NOW - timedelta(hours=25))
    assert record("demo", [GUESS], checked_at=NOW) == []
    assert (kept().height, kept().host, kept().checked_at) == (1080, "VOE", NOW)
    assert kept().estimated  # its own probe is too old to be sure
    assert kept().first_seen_at == NOW - timedelta(hours=25)


def test_an_estimate_against_a_not_there_that_has_run_out_is_disputed(site: Site):
    record("demo", [GONE], checked_at=NOW - timedelta(hours=2))
    assert record("demo", [GUESS], checked_at=NOW) == [GUESS]
    assert not kept().is_available


def test_of_two_findings_about_the_same_the_probe_counts(site: Site):
    record("demo", [GUESS, GONE], checked_at=NOW)
    assert not kept().is_available
    record("demo", [THERE, replace(GUESS, height=240)], checked_at=NOW + MINUTE)
    assert kept().height == 1080


def test_a_season_has_a_record_of_its_own(site: Site):
    whole = replace(GUESS, episode=None)
    record("demo", [GONE, replace(GONE, episode=None)], checked_at=NOW - MINUTE)
    record("demo", [whole], checked_at=NOW)
    pack = AvailabilityRecord.objects.get(episode=None)
    assert (pack.is_available, pack.checked_at) == (True, NOW)
    assert list(AvailabilityRecord.objects.feed()) == []


def test_a_long_season_is_recorded_with_a_handful_of_queries(
    site: Site, django_assert_max_num_queries
):
    season = [
        replace(GUESS, episode=episode, language=language)
        for episode in range(2, 400)
        for language in (GERMAN_DUB, GERMAN_SUB)
    ]
    with django_assert_max_num_queries(21):
        record("demo", [THERE, *season], checked_at=NOW)
    with django_assert_max_num_queries(8):
        record("demo", [THERE, *season], checked_at=NOW + MINUTE)
    assert AvailabilityRecord.objects.filter(checked_at=NOW + MINUTE).count() == 797


def test_what_a_host_claims_beyond_reason_is_unknown(site: Site):
    record(
        "demo",
        [replace(THERE, size_bytes=10**40, height=10**12, vcodec="x" * 999, host="\0h" * 99)],
    )
    assert (kept().size_bytes, kept().height, len(kept().vcodec), len(kept().host)) == (
        None, None, 20, 60,
    )  # fmt: skip


def test_findings_about_a_site_that_is_gone_are_dropped(db):
    assert record("demo", [THERE]) == []


def test_the_cache_believes_a_not_there_for_less_time(site: Site):
    findings = [replace(THERE, episode=1), replace(GONE, episode=2), replace(GONE, episode=3)]
    record("demo", findings[:2], checked_at=NOW - timedelta(hours=2))
    record("demo", findings[2:], checked_at=NOW)
    found = availability.cached([(site, "sintel"), (site, "unknown")], season=1)
    assert [row.episode for row in found["demo", "sintel"]] == [1, 3]
    assert found["demo", "unknown"] == []


def test_the_cache_is_one_query_however_many_titles(site: Site, django_assert_num_queries):
    with django_assert_num_queries(1):
        availability.cached([(site, f"title-{n}") for n in range(30)], season=1, episode=2)


def test_episodes_of_films_come_in_order_and_after_their_season(site: Site):
    record("demo", [replace(THERE, season=0, episode=n) for n in (2, 0, None, 1)])
    found = availability.cached([(site, "sintel")])["demo", "sintel"]
    assert [row.episode for row in found] == [None, 0, 1, 2]
