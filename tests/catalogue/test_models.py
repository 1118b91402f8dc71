"""What the rows themselves hold to."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalogue.models import AvailabilityRecord, Site
from catalogue.sites.base import ENGLISH_SUB, GERMAN_DUB
from tests.catalogue.factories import (
    AvailabilityRecordFactory,
    SiteFactory,
    TitleFactory,
    TitleMappingFactory,
)


@pytest.fixture
def site(db: None, settings) -> Site:
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = ["nas:8001"]
    settings.SITE_BASE_URLS = {"demo": "http://typed:9000"}
    return SiteFactory(site_id="demo", base_url="https://demo.example", search_priority=10)


def complaints(site: Site, **values: object) -> set[str]:
    for name, value in values.items():
        setattr(site, name, value)
    try:
        site.full_clean()
    except ValidationError as error:
        return set(error.message_dict)
    return set()


@pytest.mark.parametrize(
    "url",
    [
        "https://demo.example",
        "https://demo.example:8443/",
        "https://192.168.1.5",
        "http://nas:8001",
        "http://typed:9000",
    ],
)
def test_a_base_url_is_https_or_named_by_the_operator(site: Site, url: str):
    assert complaints(site, base_url=url) == set()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "demo.example",
        "http://demo.example",
        "http://nas:8002",
        "http://127.0.0.1",
        "ftp://demo.example",
        "file:///etc/passwd",
        "https://",
        "https://demo.example/anime",
        "https://demo.example?x=1",
        "https://user:secret@demo.example",
        "https://demo.example:99999",
        "https://[::1",
        "https://demo.example\n",
        "https://demo .example",
    ],
)
def test_any_other_base_url_is_refused(site: Site, url: str):
    assert complaints(site, base_url=url) == {"base_url"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mirrors", "https://mirror.example"),
        ("mirrors", {"a": "https://mirror.example"}),
        ("mirrors", ["http://mirror.example"]),
        ("mirrors", [7]),
        ("mirrors", ["https://mirror.example"] * 11),
        ("default_languages", "German Dub"),
        ("default_languages", ["Klingon Dub"]),
        ("default_languages", [["German Dub"]]),
        ("default_languages", [GERMAN_DUB, GERMAN_DUB]),
        ("search_timeout_seconds", 0),
        ("search_timeout_seconds", 1e9),
        ("index_ttl_hours", 0),
        ("availability_ttl_hours", 1e12),
        ("unavailable_ttl_hours", -1),
        ("search_timeout_seconds", "soon"),
    ],
)
def test_a_field_that_would_break_a_search_is_refused_by_name(site: Site, field, value):
    assert complaints(site, **{field: value}) == {field}


def test_a_sites_own_settings_pass(site: Site):
    assert not complaints(
        site,
        mirrors=["https://one.example", "http://nas:8001"],
        default_languages=[ENGLISH_SUB, GERMAN_DUB],
        availability_ttl_hours=None,
        unavailable_ttl_hours=0,
    )


def test_two_enabled_sites_never_share_a_priority(site: Site):
    other = SiteFactory(site_id="aniworld", base_url="https://x.example", enabled=False)
    assert complaints(other, search_priority=10) == set()
    assert complaints(other, enabled=True) == {"search_priority"}
    with pytest.raises(IntegrityError), transaction.atomic():
        other.save()
    assert complaints(site) == set()


@pytest.mark.parametrize("site_id", ["Demo", "1demo", "de-mo", "demo\n", "", "ä"])
def test_a_site_id_is_made_for_infohashes(site: Site, site_id: str):
    with pytest.raises(ValidationError):
        Site(site_id=site_id, display_name="x", base_url="https://x.example").full_clean()


def test_a_name_leads_to_a_slug_once_and_to_several_slugs(site: Site):
    TitleMappingFactory(site=site, title_key="twins", slug="twins")
    TitleMappingFactory(site=site, title_key="twins", slug="twins-2009")
    with pytest.raises(IntegrityError), transaction.atomic():
        TitleMappingFactory(site=site, title_key="twins", slug="twins")
    TitleFactory(site=site, slug="twins")
    with pytest.raises(IntegrityError), transaction.atomic():
        TitleFactory(site=site, slug="twins")


@pytest.mark.parametrize("episode", [3, None])
def test_an_episode_and_a_season_have_one_record_a_language(site: Site, episode):
    AvailabilityRecordFactory(site=site, episode=episode)
    AvailabilityRecordFactory(site=site, episode=episode, language=ENGLISH_SUB)
    with pytest.raises(IntegrityError), transaction.atomic():
        AvailabilityRecordFactory(site=site, episode=episode)


@pytest.mark.parametrize(
    "values",
    [
        {"episode": 1, "episodes": 3, "complete_since": timezone.now()},
        {"episode": None, "episodes": 3},
        {"episode": None, "episodes": 0, "complete_since": timezone.now()},
        {"episode": None, "complete_since": timezone.now()},
    ],
)
def test_only_a_season_is_complete_and_has_so_many_episodes_since_then(site: Site, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        AvailabilityRecordFactory(site=site, **values)
    whole = {"episode": None, "episodes": 3, "complete_since": timezone.now()}
    AvailabilityRecordFactory(site=site, **whole)


def test_sites_that_back_off_do_not_answer(site: Site):
    now = timezone.now()
    assert list(Site.objects.answering(now)) == [site]
    site.back_off_until = now + timedelta(minutes=1)
    site.save()
    assert list(Site.objects.answering(now)) == []
    assert list(Site.objects.answering(now + timedelta(minutes=1))) == [site]
    assert not site.index_is_due


def test_an_index_is_due_when_there_is_none_or_its_time_is_over(site: Site):
    assert site.index_is_due
    site.index_refreshed_at = timezone.now()
    assert not site.index_is_due
    site.index_refreshed_at -= timedelta(hours=site.index_ttl_hours)
    assert site.index_is_due


def test_rows_introduce_themselves(site: Site):
    record = AvailabilityRecordFactory(site=site, slug="sintel", season=1, episode=2)
    mapping = TitleMappingFactory(site=site, name="Sintel", slug="sintel")
    assert (str(record), str(mapping)) == ("sintel S01E02 German Dub", "Sintel → sintel")
    record.episode = None
    assert str(record) == "sintel S01 German Dub"
    assert str(TitleFactory(site=site, name="Sintel")) == "Sintel"


def test_the_feed_leaves_specials_out_since_a_client_would_take_the_sites_number_for_tvdbs(
    site: Site,
):
    Site.objects.update(enabled=True)
    kept = [
        AvailabilityRecordFactory(site=site, slug="sintel", season=1, episode=2),
        AvailabilityRecordFactory(site=site, slug="1-a-film", season=0, episode=0),
    ]
    AvailabilityRecordFactory(site=site, slug="sintel", season=0, episode=3)
    AvailabilityRecordFactory(site=site, slug="sintel", season=1, episode=None)
    AvailabilityRecordFactory(site=site, slug="sintel", season=1, episode=4, is_available=False)
    assert {row.pk for row in AvailabilityRecord.objects.feed()} == {row.pk for row in kept}
