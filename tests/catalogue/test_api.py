"""`/api/v1/sites` and `/api/v1/search` over HTTP, with the demo catalogue behind them."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from anibridge.celery import app
from catalogue.models import Site
from catalogue.refresh import refresh_index

SITE_FIELDS = {
    "site_id", "display_name", "base_url", "mirrors", "search_priority", "default_languages",
    "enabled", "search_timeout_seconds", "index_ttl_hours", "availability_ttl_hours",
    "unavailable_ttl_hours", "index_size", "index_refreshed_at", "index_warning", "failures",
    "back_off_until", "last_error", "last_error_at",
}  # fmt: skip


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=django_settings.API_KEY)
    return client


@pytest.fixture
def queue() -> Iterator[Any]:
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("default")
        queue.clear()
        yield queue
        queue.clear()
        queue.close()


def tasks(queue: Any) -> list[tuple[str, list[Any]]]:
    found = []
    while queue.qsize():
        message = queue.get(block=False)
        found.append((message.headers["task"], message.payload[0]))
        message.ack()
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/sites", "/api/v1/search?q=x"])
def test_nothing_is_told_without_a_key(client: Client, path: str):
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"
    assert client.get("/api/schema/").status_code == 401


@pytest.mark.django_db
def test_a_wrong_key_is_refused(client: Client):
    answer = client.get("/api/v1/sites", headers={"X-Api-Key": "wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


@pytest.mark.django_db
def test_the_key_may_stand_in_the_query_and_a_signed_in_user_needs_none(
    client: Client, admin_client: Client
):
    key = django_settings.API_KEY
    assert client.get("/api/v1/sites", {"apikey": key}).status_code == 200
    assert admin_client.get("/api/v1/sites").status_code == 200


def test_a_signed_in_user_needs_the_csrf_token_to_write(demo_site: Site, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    answer = client.patch("/api/v1/sites/demo", {"enabled": False}, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    demo_site.refresh_from_db()
    assert demo_site.enabled


def test_sites_are_listed_with_their_health(api: APIClient, demo_site: Site):
    answer = api.get("/api/v1/sites").json()
    assert set(answer) == {"count", "next", "previous", "results"}
    (site,) = answer["results"]
    assert set(site) == SITE_FIELDS
    assert (site["site_id"], site["enabled"], site["failures"]) == ("demo", True, 0)


def test_an_unknown_site_is_a_404_in_our_shape(api: APIClient, demo_site: Site):
    answer = api.get("/api/v1/sites/nosuch")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.django_db(transaction=True)
def test_a_change_is_saved_and_nothing_else(api: APIClient, demo_site: Site, queue: Any):
    Site.objects.update(index_size=11)
    answer = api.patch(
        "/api/v1/sites/demo", {"search_timeout_seconds": 2.5, "default_languages": ["German Dub"]}
    )
    assert answer.status_code == 200, answer.content
    demo_site.refresh_from_db()
    assert demo_site.search_timeout_seconds == 2.5
    assert demo_site.default_languages == ["German Dub"]
    assert demo_site.index_size == 11


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"base_url": "http://192.168.1.5"}, "base_url"),
        ({"base_url": "ftp://example.org"}, "base_url"),
        ({"base_url": "https://user:secret@example.org"}, "base_url"),
        ({"mirrors": ["http://10.0.0.1"]}, "mirrors"),
        ({"mirrors": "https://example.org"}, "mirrors"),
        ({"default_languages": ["Klingon Dub"]}, "default_languages"),
        ({"search_timeout_seconds": 0}, "search_timeout_seconds"),
        ({"search_priority": -1}, "search_priority"),
        ({"enabled": "perhaps"}, "enabled"),
    ],
)
def test_what_a_site_cannot_be_is_refused_by_field(
    api: APIClient, demo_site: Site, change: dict[str, Any], field: str
):
    before = Site.objects.filter(pk="demo").values().get()
    answer = api.patch("/api/v1/sites/demo", change)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "detail", "fields"}
    assert list(answer.json()["fields"]) == [field]
    assert Site.objects.filter(pk="demo").values().get() == before


def test_two_enabled_sites_cannot_share_a_priority(api: APIClient, demo_site: Site):
    Site.objects.create(
        site_id="aniworld", display_name="AniWorld", base_url="https://a.test", search_priority=20
    )
    answer = api.patch("/api/v1/sites/aniworld", {"enabled": True, "search_priority": 10})
    assert answer.status_code == 400
    assert not Site.objects.get(pk="aniworld").enabled


def test_what_a_site_learnt_cannot_be_written(api: APIClient, demo_site: Site):
    api.patch("/api/v1/sites/demo", {"failures": 5, "index_size": 99, "site_id": "other"})
    demo_site.refresh_from_db()
    assert (demo_site.site_id, demo_site.failures, demo_site.index_size) == ("demo", 0, 0)


@pytest.mark.parametrize("method", ["post", "delete", "put"])
def test_sites_are_neither_added_nor_deleted(api: APIClient, demo_site: Site, method: str):
    for path in ("/api/v1/sites", "/api/v1/sites/demo"):
        assert getattr(api, method)(path, {}).status_code == 405
    assert Site.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_switching_a_site_on_has_its_index_read(api: APIClient, demo_site: Site, queue: Any):
    Site.objects.update(enabled=False)
    api.patch("/api/v1/sites/demo", {"enabled": True})
    assert tasks(queue) == [("catalogue.refresh_index", ["demo"])]
    api.patch("/api/v1/sites/demo", {"enabled": False})
    assert tasks(queue) == []


@pytest.mark.django_db(transaction=True)
def test_a_refresh_is_queued(api: APIClient, demo_site: Site, queue: Any):
    answer = api.post("/api/v1/sites/demo/refresh")
    assert (answer.status_code, answer.json()) == (202, {"status": "queued"})
    assert tasks(queue) == [("catalogue.refresh_index", ["demo"])]


def test_check_now_says_how_it_went_and_counts(api: APIClient, demo_site: Site):
    done = api.post("/api/v1/sites/demo/check").json()
    assert (done["site_id"], done["ok"]) == ("demo", True)
    Site.objects.update(base_url="http://127.0.0.1:9")
    done = api.post("/api/v1/sites/demo/check").json()
    assert not done["ok"]
    assert "127.0.0.1:9" in done["detail"]
    demo_site.refresh_from_db()
    assert (demo_site.failures, demo_site.last_error) == (1, done["detail"])


def test_a_search_shows_releases_and_magnets(api: APIClient, demo_site: Site):
    refresh_index("demo")
    answer = api.get("/api/v1/search", {"q": "Caminandes S01E01"}).json()
    assert answer["count"] == len(answer["results"]) == 2
    first = answer["results"][0]
    assert first["release"].startswith("Caminandes.S01E01.")
    assert first["infohash"] in first["magnet"]
    assert (first["height"], first["codec"], first["estimated"]) == (720, "h264", False)
    assert first["matched"]["value"] == answer["results"][1]["matched"]["value"] == 16.5
    assert first["origin"] == "probe"
    again = api.get("/api/v1/search", {"q": "Caminandes", "season": 1, "episode": 1}).json()
    assert [row["infohash"] for row in again["results"]] == [
        row["infohash"] for row in answer["results"]
    ]
    assert again["results"][0]["origin"] == "cache"


def test_a_search_says_how_its_answer_came_about(api: APIClient, demo_site: Site):
    refresh_index("demo")
    told = api.get("/api/v1/search", {"q": "Caminandes S01E01"}).json()["explained"]
    (site,) = told["sites"]
    assert (site["site"], site["probed"], site["cached"]) == ("demo", 2, 0)
    assert site["titles"][0]["slug"] == "caminandes"
    assert told["milliseconds"] >= site["milliseconds"] > 0


def test_the_command_and_the_api_show_the_same(api: APIClient, demo_site: Site):
    refresh_index("demo")
    asked = {"q": "Caminandes S01E01"}
    api.get("/api/v1/search", asked)
    out = StringIO()
    call_command("search", asked["q"], "--json", stdout=out)
    assert (
        json.loads(out.getvalue())[0].keys()
        == api.get("/api/v1/search", asked).json()["results"][0].keys()
    )


def test_a_film_is_asked_for_as_one(api: APIClient, demo_site: Site):
    refresh_index("demo")
    rows = api.get("/api/v1/search", {"q": "Sintel 2010", "film": "true"}).json()["results"]
    assert {(row["film"], row["season"], row["episode"], row["year"]) for row in rows} == {
        (True, 0, 1, 2010)
    }
    assert "Sintel.2010.German.1080p.WEB.H264-DEMO" in {row["release"] for row in rows}


def test_a_search_can_be_narrowed_to_a_site(api: APIClient, demo_site: Site):
    refresh_index("demo")
    asked = {"q": "Caminandes S01E01"}
    assert api.get("/api/v1/search", {**asked, "site": "demo"}).json()["count"] == 2
    assert api.get("/api/v1/search", {**asked, "site": "aniworld,sto"}).json()["count"] == 0


def test_a_search_names_the_site_that_failed(api: APIClient, demo_site: Site):
    refresh_index("demo")
    Site.objects.update(base_url="http://127.0.0.1:9")
    answer = api.get("/api/v1/search", {"q": "Sintel S01E01"})
    assert answer.status_code == 200
    assert "127.0.0.1:9" in answer.json()["explained"]["troubles"]["demo"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "x" * 301}, "q"),
        ({"tvdb": "0"}, "tvdb"),
        ({"imdb": "nm12345"}, "imdb"),
        ({"q": "x", "season": "one"}, "season"),
        ({"q": "x", "season": "-1"}, "season"),
        ({"q": "x", "episode": "1"}, "season"),
        ({"q": "x", "season": "1", "episode": "9999999"}, "episode"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_by_field(
    api: APIClient, demo_site: Site, query: dict[str, str], field: str
):
    answer = api.get("/api/v1/search", query)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


@pytest.mark.django_db
def test_broken_json_is_a_400_in_our_shape(api: APIClient, demo_site: Site):
    answer = api.generic("PATCH", "/api/v1/sites/demo", b"{nope", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.django_db
def test_the_schema_is_complete_and_without_warnings(admin_client: Client, capsys):
    answer = admin_client.get("/api/schema/", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    text = answer.content.decode()
    for path in ("/api/v1/sites", "/api/v1/sites/{site_id}/check", "/api/v1/search"):
        assert path in text
    assert "Warning" not in capsys.readouterr().err


@pytest.mark.django_db
def test_the_docs_page_needs_a_sign_in_and_loads_nothing_from_elsewhere(
    client: Client, admin_client: Client
):
    assert client.get("/api/docs/").status_code == 401
    page = admin_client.get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "cdn." not in page
