"""How a site's failures add up to a pause."""

from datetime import timedelta

import pytest
from django.utils import timezone

from catalogue import health
from catalogue.errors import Blocked, LayoutChanged, RateLimited, SiteUnavailable
from catalogue.models import BACK_OFF_MINUTES, Site
from tests.catalogue.factories import SiteFactory

DOWN = SiteUnavailable("it was down")
NOW = timezone.now()


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory(site_id="demo")


def state() -> tuple[int, bool]:
    site = Site.objects.get()
    return site.failures, site.back_off_until is not None


def pause() -> float:
    """Minutes from the last failure to the next try, rounded."""
    site = Site.objects.get()
    until = site.back_off_until or site.last_error_at
    return round((until - site.last_error_at).total_seconds() / 60)


def let_it_pass() -> None:
    Site.objects.update(back_off_until=NOW - timedelta(seconds=1))


def test_pauses_grow_to_a_day_and_stay_there(site: Site):
    pauses = []
    for _ in range(len(BACK_OFF_MINUTES) + 2):
        health.failed("demo", DOWN)
        pauses.append(pause())
        let_it_pass()
    assert pauses == [*BACK_OFF_MINUTES, 1440, 1440]
    assert Site.objects.get().last_error == "it was down"


def test_a_success_steps_down_one_level_and_ends_the_pause(site: Site):
    for _ in range(3):
        health.failed("demo", DOWN)
        let_it_pass()
    health.answered("demo")
    assert state() == (2, False)
    health.failed("demo", DOWN)
    assert pause() == 5


def test_a_success_without_a_failure_changes_nothing(site: Site, django_assert_num_queries):
    with django_assert_num_queries(1):
        health.answered("demo")
    assert state() == (0, False)


def test_a_failure_in_a_pause_adds_nothing(site: Site):
    health.failed("demo", DOWN)
    health.failed("demo", DOWN)
    health.failed("demo", DOWN)
    assert state() == (2, True)


def test_requests_that_were_under_way_together_are_one_outage(site: Site):
    began = timezone.now()
    for _ in range(5):
        health.failed("demo", DOWN, since=began)
    assert state() == (1, False)
    health.failed("demo", DOWN, since=timezone.now())
    assert state() == (2, True)


def test_a_success_that_began_before_the_failure_does_not_end_the_pause(site: Site):
    began = timezone.now()
    health.failed("demo", RateLimited("slow down", retry_after=600))
    health.answered("demo", since=began)
    assert state() == (1, True)
    health.answered("demo", since=timezone.now())
    assert state() == (0, False)


@pytest.mark.parametrize(("asked", "minutes"), [(600.0, 10), (10.0**9, 1440), (None, 0), (-5.0, 0)])
def test_the_sites_own_wish_counts_up_to_a_day(site: Site, asked, minutes):
    health.failed("demo", RateLimited("slow down", retry_after=asked))
    assert pause() == minutes


def test_a_longer_wish_counts_in_a_pause_too(site: Site):
    began = timezone.now()
    health.failed("demo", DOWN, since=began)
    health.failed("demo", RateLimited("slow down", retry_after=3600), since=began)
    assert state() == (1, True)
    assert pause() == 60


def test_one_answer_among_failures_shows_that_the_site_is_up(site: Site):
    Site.objects.update(failures=2)
    health.told("demo", [DOWN, None, DOWN], since=timezone.now())
    assert state() == (1, False)


@pytest.mark.parametrize("refusal", [Blocked("a browser check"), RateLimited("slow down")])
def test_a_refusal_counts_among_answers(site: Site, refusal):
    health.told("demo", [None, refusal, None], since=timezone.now())
    assert state() == (1, False)


def test_failures_alone_are_a_failure(site: Site):
    health.told("demo", [DOWN, LayoutChanged("odd page")], since=timezone.now())
    assert state() == (1, False)
    assert Site.objects.get().last_error == "it was down"


def test_an_odd_page_alone_is_written_down_and_no_outage(site: Site):
    health.told("demo", [LayoutChanged("odd page")], since=timezone.now())
    assert state() == (0, False)
    assert Site.objects.get().last_error == "odd page"


def test_nothing_at_all_says_nothing(site: Site):
    Site.objects.update(failures=2)
    health.told("demo", [], since=timezone.now())
    assert state() == (2, False)


def test_a_site_that_is_gone_is_nobodys_failure(db):
    health.failed("demo", DOWN)
    health.answered("demo")
    health.told("demo", [DOWN], since=NOW)
    assert not Site.objects.exists()
