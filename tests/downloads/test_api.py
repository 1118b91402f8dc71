"""`/api/v1/downloads`: who may, lists, and how a download is shown."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from catalogue.models import Site
from downloads import services, transitions
from downloads.models import Downloader, Job, JobStatus
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.downloads.orders import order
from tests.downloads.rest import DOWNLOADS, KEYS, created, listed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]


# --- who may -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/stats", "/1", "/1/files"])
def test_nothing_is_told_without_a_key(client: Client, path: str):
    answer = client.get(DOWNLOADS + path)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_signed_in_user_may_read_and_needs_the_csrf_token_to_write(admin_user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    assert browser.get(DOWNLOADS).status_code == 200
    assert (
        browser.post(
            DOWNLOADS, {"url": "https://files.example/film.mkv"}, "application/json"
        ).status_code
        == 403
    )
    assert not Job.objects.exists()


# --- lists -------------------------------------------------------------------------------------------


def test_a_download_has_exactly_the_keys_of_the_design(api: APIClient):
    job = JobFactory(running=True, category="tv")
    body = api.get(DOWNLOADS).json()
    assert set(body) == {"count", "next", "previous", "results"}
    (row,) = body["results"]
    assert set(row) == KEYS
    assert row == api.get(f"{DOWNLOADS}/{job.pk}").json()
    assert row == api.get(f"{DOWNLOADS}/{job.infohash.upper()}").json()
    assert (row["hash"], row["progress"], row["category"]) == (job.infohash, 0.25, "tv")
    assert row["created_at"].endswith("Z")
    assert datetime.fromisoformat(row["created_at"]) == job.created_at


@pytest.mark.parametrize("reference", ["999999", "f" * 40, "nonsense", "1%00", "١", "-1", "9" * 30])
def test_an_unknown_one_is_a_404_in_our_shape(api: APIClient, reference: str):
    answer = api.get(f"{DOWNLOADS}/{reference}")
    assert answer.status_code == 404
    assert answer.json() == {"code": "not_found", "detail": "there is no such download"}


def test_what_was_deleted_is_not_listed(api: APIClient):
    job = JobFactory()
    services.remove(job.pk, delete_files=False)
    assert listed(api) == []
    assert api.get(f"{DOWNLOADS}/{job.pk}").status_code == 404


def test_the_newest_come_first(api: APIClient):
    older, newer = JobFactory(), JobFactory()
    assert listed(api) == [newer.pk, older.pk]


def test_each_filter_narrows_the_list(api: APIClient):
    qb = Downloader.objects.create(name="box", kind="qbittorrent")
    failed = JobFactory(failed=True, name="Old.Story.S01", category="tv", source_site="sto")
    paused = JobFactory(paused=True, name="New.Story.S02", category="a,b")
    link = JobFactory(
        name="New.Film", download_type="http", url="https://a.test/x", source_site="link"
    )
    given = JobFactory(name="Given", download_type="magnet", downloader=qb, source_site="link")
    everything = {failed.pk, paused.pk, link.pk, given.pk}

    def found(**query: Any) -> set[int]:
        return set(listed(api, **query))

    assert found() == everything
    assert found(status="failed") == {failed.pk}
    assert found(status="failed,paused") == found(status=["failed", "paused"])
    assert found(status="failed,paused") == {failed.pk, paused.pk}
    assert found(category="a,b") == {paused.pk}
    assert found(category="") == {link.pk, given.pk}
    assert found(source_site="sto,link") == {failed.pk, link.pk, given.pk}
    assert found(download_type="http") == {link.pk}
    assert found(downloader="box") == {given.pk}
    assert found(downloader="builtin") == {failed.pk, paused.pk}
    assert found(downloader="") == {link.pk}
    assert found(name="story new") == {paused.pk}
    assert found(name="  ") == everything
    assert found(hash=f"{failed.infohash.upper()},{link.infohash}") == {failed.pk, link.pk}
    assert found(id=f"{given.pk}") == {given.pk}
    assert found(status="failed", category="a,b") == set()
    assert found(_="1763650000", status="") == everything  # what somebody else put there


def test_the_time_of_creation_narrows_the_list(api: APIClient):
    day = datetime(2026, 3, 1, tzinfo=UTC)
    before = JobFactory(created_at=day - timedelta(seconds=1))
    at = JobFactory(created_at=day)
    assert listed(api, created_since="2026-03-01T00:00:00Z") == [at.pk]
    assert listed(api, created_until="2026-03-01T00:00:00Z") == [before.pk]
    assert listed(api, created_since="2026-03-01") == [at.pk]
    # «+» in a URL is a blank
    answer = api.get(f"{DOWNLOADS}?created_since=2026-03-01T01:00:00+01:00")
    assert [row["id"] for row in answer.json()["results"]] == [at.pk]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "finished"}, "status"),
        ({"download_type": "ftp"}, "download_type"),
        ({"hash": "abc"}, "hash"),
        ({"id": "one"}, "id"),
        ({"id": str(2**63)}, "id"),
        ({"created_since": "yesterday"}, "created_since"),
        ({"created_since": "0001-01-01T00:00:00+14:00"}, "created_since"),
        ({"created_until": "9999-12-31T23:59:59-14:00"}, "created_until"),
        ({"ordering": "save_path"}, "ordering"),
        ({"ordering": "name;drop"}, "ordering"),
        ({"name": "x" * 201}, "name"),
        ({"category": "x\0"}, "category"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_name(
    api: APIClient, query: dict[str, str], field: str
):
    answer = api.get(DOWNLOADS, query)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


def test_the_list_can_be_sorted(api: APIClient):
    b = JobFactory(name="b", total_bytes=5, progress=0.5)
    a = JobFactory(name="a", total_bytes=None, progress=0.1)
    c = JobFactory(name="c", total_bytes=9, progress=0.9)
    assert listed(api, ordering="name") == [a.pk, b.pk, c.pk]
    assert listed(api, ordering="-progress") == [c.pk, b.pk, a.pk]
    assert listed(api, ordering="total_bytes") == [b.pk, c.pk, a.pk], "unknown sizes come last"
    assert listed(api, ordering="-total_bytes") == [c.pk, b.pk, a.pk], "also the other way round"
    assert listed(api, ordering="queue") == listed(api, ordering="id") == [b.pk, a.pk, c.pk]


def test_pages_are_numbered_and_counted(api: APIClient):
    jobs = [JobFactory() for _ in range(5)]
    first = api.get(DOWNLOADS, {"page_size": 2, "ordering": "id"}).json()
    assert (first["count"], first["previous"]) == (5, None)
    second = api.get(first["next"]).json()
    assert [row["id"] for row in second["results"]] == [jobs[2].pk, jobs[3].pk]
    assert api.get(DOWNLOADS, {"page_size": 2, "page": 9}).status_code == 404


@pytest.mark.parametrize("ordering", ["", "-created_at", "name", "-total_bytes", "eta", "id"])
def test_anchored_pages_are_whole_in_both_directions(api: APIClient, ordering: str):
    moment = timezone.now()
    for number in range(11):
        JobFactory(
            created_at=moment - timedelta(seconds=number // 3),  # some share theirs
            name=f"name {number % 4}",
            total_bytes=None if number % 3 == 0 else number // 2,
            eta=None if number % 2 else 7,
        )
    query = {"ordering": ordering} if ordering else {}
    whole = listed(api, **query)
    pages, url = [], f"{DOWNLOADS}?cursor=&page_size=3&ordering={ordering}"
    if not ordering:
        url = f"{DOWNLOADS}?cursor=&page_size=3"
    while url:
        body = api.get(url).json()
        assert "count" not in body
        pages.append([row["id"] for row in body["results"]])
        url, back = body["next"], body["previous"]
    assert [pk for page in pages for pk in page] == whole
    assert [len(page) for page in pages] == [3, 3, 3, 2]
    for expected in reversed(pages[:-1]):
        body = api.get(back).json()
        assert [row["id"] for row in body["results"]] == expected
        back = body["previous"]
    assert back is None


def test_an_anchored_page_does_not_shift_when_something_is_added(api: APIClient):
    jobs = [JobFactory() for _ in range(4)]
    first = api.get(DOWNLOADS, {"cursor": "", "page_size": 2}).json()
    JobFactory()
    services.remove(jobs[3].pk, delete_files=False)
    second = api.get(first["next"]).json()
    assert [row["id"] for row in second["results"]] == [jobs[1].pk, jobs[0].pk]


@pytest.mark.parametrize(
    "cursor", ["x", "%00", "é", "a" * 2000, "WzEsMiwzXQ", "W10", "bnVsbA", "W1siYSJdXQ"]
)
def test_a_cursor_that_was_made_up_is_refused(api: APIClient, cursor: str):
    answer = api.get(f"{DOWNLOADS}?cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize(
    "said",
    [
        ["created_at", 1, 0, "0001-01-01T00:00:00+00:00", 1],
        ["created_at", 1, 0, "2026-01-01T00:00:00", 1],
        ["created_at", 1, 0, None, 1],
        ["created_at", 1, 0, 5, 1],
        ["created_at", 1, 0, "2026-01-01T00:00:00Z", 2**70],
        ["created_at", 1, 0, "2026-01-01T00:00:00Z", None],
        ["created_at", 1, 0, "2026-01-01T00:00:00Z", {"a": 1}],
        ["name", 0, 0, "x", 1],
    ],
)
def test_a_cursor_with_values_that_cannot_be_is_refused(api: APIClient, said: list[Any]):
    from base64 import urlsafe_b64encode

    cursor = urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    answer = api.get(DOWNLOADS, {"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


def test_a_list_of_any_length_costs_the_same_queries(
    api: APIClient, django_assert_num_queries: Any
):
    qb = Downloader.objects.create(name="box", kind="qbittorrent")
    for number in range(30):
        JobFactory(downloader=qb if number % 2 else None)
    with django_assert_num_queries(3):
        api.get(DOWNLOADS, {"page_size": 500})
    with django_assert_num_queries(2):
        api.get(DOWNLOADS, {"page_size": 500, "cursor": ""})


# --- what is shown -----------------------------------------------------------------------------------


def test_the_link_of_an_episode_leads_back_to_it(api: APIClient, demo: Site):
    job, _ = services.enqueue(order(provider="VOE"))
    shown = api.get(f"{DOWNLOADS}/{job.pk}").json()
    assert shown["url"].startswith(f"magnet:?xt=urn:btih:{job.infohash}&dn=Sintel.S01E01")
    assert created(api, {"url": shown["url"]}, 200)["id"] == job.pk


def test_who_has_it_is_named(api: APIClient):
    box = Downloader.objects.create(name="box", kind="qbittorrent")
    JobFactory(download_type="magnet", downloader=box)
    JobFactory(download_type="magnet")
    JobFactory()
    rows = api.get(DOWNLOADS, {"ordering": "id"}).json()["results"]
    assert [row["downloader"] for row in rows] == ["box", None, "builtin"]


def test_keys_in_addresses_are_masked(api: APIClient):
    url = "https://john:hunter2@files.test/a.mkv?token=abc123&x=1"
    job = JobFactory(
        download_type="http",
        url=url,
        source_site="link",
        failed=True,
        error_message=f"could not read {url}: refused",
    )
    text = api.get(f"{DOWNLOADS}/{job.pk}").content.decode()
    assert "hunter2" not in text
    assert "abc123" not in text
    assert "https://john:***@files.test/a.mkv?token=***&x=1" in text
    job.refresh_from_db()
    assert job.url == url
    transitions.move(job.pk, JobStatus.QUEUED, reason=f"again: {url}")
    Job.objects.update(refusals={"box": f"not {url}"})
    for part in ("history", "settings", "files"):
        text = api.get(f"{DOWNLOADS}/{job.pk}/{part}").content.decode()
        assert "hunter2" not in text
        assert "abc123" not in text


def test_files_history_and_settings_have_addresses_of_their_own(api: APIClient):
    file = JobFileFactory()
    job = file.job
    (row,) = api.get(f"{DOWNLOADS}/{job.pk}/files").json()
    assert (row["path"], row["size_bytes"]) == (file.path, file.size_bytes)
    queued, _ = services.enqueue(order(rate_limit=5000))
    services.pause(queued.pk)
    history = api.get(f"{DOWNLOADS}/{queued.pk}/history").json()
    assert [(one["old"], one["new"]) for one in history] == [("", "queued"), ("queued", "paused")]
    kept = api.get(f"{DOWNLOADS}/{queued.pk}/settings").json()
    assert (kept["queue_position"], kept["rate_limit"], kept["forced"]) == (1, 5000, False)
    assert api.get(f"{DOWNLOADS}/{job.pk}/settings").json()["queue_position"] is None
