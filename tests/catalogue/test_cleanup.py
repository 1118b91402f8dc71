from datetime import timedelta

import pytest
from django.utils import timezone

from catalogue.cleanup import cleanup
from catalogue.models import AvailabilityRecord, Site, Title

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def site() -> Site:
    site = Site.objects.create(
        site_id="demo", display_name="Demo", base_url="https://demo.test", index_size=1
    )
    Title.objects.create(site=site, slug="sintel", name="Sintel")
    return site


def record(days: float, *, available: bool, slug: str = "sintel", episode: int = 1) -> int:
    return AvailabilityRecord.objects.create(
        site_id="demo",
        slug=slug,
        season=1,
        episode=episode,
        language="German Dub",
        is_available=available,
        checked_at=NOW - timedelta(days=days),
    ).pk


def left() -> set[int]:
    return set(AvailabilityRecord.objects.values_list("pk", flat=True))


def test_an_old_not_there_goes_and_a_recent_one_stays():
    record(8, available=False, episode=1)
    recent = record(6, available=False, episode=2)
    (done,) = cleanup(now=NOW)
    assert (done.unavailable, done.orphans) == (1, 0)
    assert left() == {recent}


def test_a_site_may_keep_its_not_there_for_longer():
    Site.objects.update(unavailable_ttl_hours=24)
    kept = record(20, available=False, episode=1)
    record(25, available=False, episode=2)
    cleanup(now=NOW)
    assert left() == {kept}


def test_what_is_available_stays_while_its_title_does():
    kept = record(400, available=True)
    record(31, available=True, slug="gone")
    young = record(29, available=True, slug="gone", episode=2)
    (done,) = cleanup(now=NOW)
    assert done.orphans == 1
    assert left() == {kept, young}


def test_a_site_without_an_index_loses_nothing_that_was_available():
    Site.objects.update(index_size=0)
    kept = record(400, available=True, slug="anything")
    cleanup(now=NOW)
    assert left() == {kept}


def test_a_dry_run_only_counts():
    record(8, available=False)
    (done,) = cleanup(now=NOW, dry_run=True)
    assert (done.unavailable, done.orphans) == (1, 0)
    assert len(left()) == 1


def test_many_rows_go_in_batches(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("catalogue.cleanup.BATCH", 3)
    for episode in range(10):
        record(30, available=False, episode=episode)
    assert cleanup(now=NOW)[0].unavailable == 10
    assert left() == set()
