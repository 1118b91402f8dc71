"""The owner's pages."""

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from catalogue.models import AvailabilityRecord, Site
from catalogue.sites.base import GERMAN_DUB
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import (
    AvailabilityRecordFactory,
    SiteFactory,
    TitleFactory,
    TitleMappingFactory,
)

FORM = {
    "display_name": "Demo",
    "base_url": "https://demo.example",
    "mirrors": "[]",
    "search_priority": "10",
    "default_languages": f'["{GERMAN_DUB}"]',
    "enabled": "on",
    "search_timeout_seconds": "4.0",
    "index_ttl_hours": "24.0",
    "availability_ttl_hours": "",
    "unavailable_ttl_hours": "1.0",
}


@pytest.fixture(autouse=True)
def static_root() -> None:
    """WhiteNoise warns of a folder that is not there, and warnings are errors."""
    django_settings.STATIC_ROOT.mkdir(exist_ok=True)


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory(site_id="demo", base_url="https://old.example", search_priority=5)


def change(client: Client, site: Site, **values: str) -> str:
    """What the form answers; empty when it took the values."""
    url = reverse("admin:catalogue_site_change", args=[site.pk])
    answer = client.post(url, {**FORM, **values})
    return "" if answer.status_code == 302 else answer.content.decode()


def test_the_owner_changes_a_site(admin_client: Client, site: Site):
    page = admin_client.get(reverse("admin:catalogue_site_change", args=[site.pk]))
    assert page.status_code == 200
    assert change(admin_client, site) == ""
    site.refresh_from_db()
    assert (site.base_url, site.default_languages) == ("https://demo.example", [GERMAN_DUB])
    assert site.search_priority == 10


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"base_url": "http://demo.example"}, "use https, or name the host"),
        ({"mirrors": '["nonsense"]'}, "«nonsense»: must be an address"),
        ({"mirrors": "nonsense"}, "valid JSON"),
        ({"default_languages": '["Klingon"]'}, "must be a list of these"),
        ({"search_timeout_seconds": "0"}, "must be between 0.1 and 60"),
        ({"index_ttl_hours": "nan"}, "Enter a number"),
        ({"search_priority": "99999"}, "32767"),
    ],
)
def test_a_form_names_the_field_in_trouble(admin_client: Client, site: Site, values, told):
    assert told in change(admin_client, site, **values)
    site.refresh_from_db()
    assert site.base_url == "https://old.example"


def test_a_taken_priority_names_the_site_that_has_it(admin_client: Client, site: Site):
    SiteFactory(site_id="aniworld", display_name="The Other One", search_priority=10)
    page = change(admin_client, site)
    assert "The Other One has this priority already" in page
    assert "site_priority_unique" not in page
    assert change(admin_client, site, enabled="") == ""


def test_sites_are_neither_added_nor_deleted(admin_client: Client, site: Site):
    assert admin_client.get(reverse("admin:catalogue_site_add")).status_code == 403
    delete = reverse("admin:catalogue_site_delete", args=[site.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    assert Site.objects.exists()


@pytest.mark.parametrize("name", ["site", "title", "titlemapping", "availabilityrecord"])
def test_a_list_costs_no_query_a_row(
    admin_client: Client, site: Site, name: str, django_assert_max_num_queries
):
    for number in range(30):
        TitleFactory(site=site, name=f"Title {number}")
        TitleMappingFactory(site=site, name=f"Title {number}")
        AvailabilityRecordFactory(site=site)
    with django_assert_max_num_queries(12):
        page = admin_client.get(reverse(f"admin:catalogue_{name}_changelist"))
    assert page.status_code == 200


def test_what_is_learnt_is_there_to_look_at(admin_client: Client, site: Site):
    title, record = TitleFactory(site=site), AvailabilityRecordFactory(site=site)
    for name, row in (("title", title), ("availabilityrecord", record)):
        url = reverse(f"admin:catalogue_{name}_change", args=[row.pk])
        assert admin_client.get(url).status_code == 200
        assert admin_client.post(url, {}).status_code == 403
    delete = reverse("admin:catalogue_title_delete", args=[title.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403


def test_a_record_can_be_forgotten(admin_client: Client, site: Site):
    record = AvailabilityRecordFactory(site=site)
    url = reverse("admin:catalogue_availabilityrecord_delete", args=[record.pk])
    admin_client.post(url, {"post": "yes"})
    assert not AvailabilityRecord.objects.exists()


def test_an_index_is_refreshed_on_demand(admin_client: Client, faulty: FaultySite):
    SiteFactory(site_id="aniworld")  # nobody listens there

    def act() -> str:
        return admin_client.post(
            reverse("admin:catalogue_site_changelist"),
            {"action": "refresh_now", "_selected_action": ["demo", "aniworld"]},
            follow=True,
        ).content.decode()

    page = act()
    assert "11 titles, 32 names" in page
    assert "cannot be reached" in page
    links = b'<a href="/anime/stream/one">One</a>'
    faulty.fail("/animes-alphabet", 200, b"<html>" + links + b"</html>")
    assert "kept the old one" in act()
