"""`/api/v1/downloads`: lists, one download, and asking for more."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.releases import Identity, Release
from downloads import asking, services, transitions
from downloads.models import Downloader, Job, JobFile, JobStatus
from tests.catalogue.factories import SiteFactory
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.downloads.orders import order
from tests.downloads.rest import DOWNLOADS, KEYS, client, listed

pytestmark = pytest.mark.django_db
HASH = "5" * 40
FOREIGN = f"magnet:?xt=urn:btih:{HASH}&dn=Some.Film.2020&tr=udp%3A%2F%2Ftracker.example%3A80"
SINTEL = {"site": "demo", "slug": "sintel", "season": 1, "episode": 1, "language": "German Dub"}


@pytest.fixture
def api() -> APIClient:
    return client()


@pytest.fixture
def demo() -> Site:
    return SiteFactory(site_id="demo")


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> Path:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    return settings.DOWNLOAD_DIR


def created(api: APIClient, body: Any, status: int = 201) -> dict[str, Any]:
    answer = api.post(DOWNLOADS, body)
    assert answer.status_code == status, answer.content
    return answer.json()


def refused(api: APIClient, body: Any, status: int = 400) -> dict[str, Any]:
    answer = api.post(DOWNLOADS, body)
    assert answer.status_code == status, answer.content
    assert not Job.objects.exists()
    assert {"code", "detail"} <= set(answer.json()) <= {"code", "detail", "fields"}
    return answer.json()


# --- who may -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/stats", "/1", "/1/files"])
def test_nothing_is_told_without_a_key(client: Client, path: str):
    answer = client.get(DOWNLOADS + path)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_signed_in_user_may_read_and_needs_the_csrf_token_to_write(admin_user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    assert browser.get(DOWNLOADS).status_code == 200
    assert browser.post(DOWNLOADS, {"url": FOREIGN}, "application/json").status_code == 403
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


# --- asking ------------------------------------------------------------------------------------------


def test_an_episode_of_a_site_is_queued_once(api: APIClient, demo: Site):
    Title.objects.create(site=demo, slug="sintel", name="Sintel")
    AvailabilityRecord.objects.create(
        site=demo, slug="sintel", season=1, episode=1, language="German Dub", is_available=True,
        height=1080, vcodec="h264", checked_at=timezone.now(),
    )  # fmt: skip
    row = created(api, SINTEL | {"category": "tv", "language": "german"})
    assert set(row) == KEYS
    assert row["hash"] == Identity("demo", "sintel", 1, 1, "German Dub").infohash
    # The name is the one that a search would have given.
    assert row["name"] == "Sintel.S01E01.German.1080p.WEB.H264-DEMO"
    assert (row["status"], row["download_type"], row["source_site"]) == (
        "queued", "episode", "demo",
    )  # fmt: skip
    again = created(api, SINTEL, 200)
    assert again["id"] == row["id"]
    assert Job.objects.count() == 1


def test_a_season_and_a_strm_variant_are_identities_too(api: APIClient, demo: Site):
    season = created(api, SINTEL | {"episode": None})
    assert season["hash"] == Identity("demo", "sintel", 1, None, "German Dub").infohash
    strm = created(api, SINTEL | {"mode": "strm"})
    assert strm["hash"] == Identity("demo", "sintel", 1, 1, "German Dub", strm=True).infohash
    assert "demo_mode=strm" in strm["url"]


@pytest.mark.parametrize("field", ["url", "magnet"])
def test_a_magnet_of_ours_is_an_episode(api: APIClient, demo: Site, field: str):
    identity = Identity("demo", "sintel", 1, 1, "German Dub")
    magnet = Release(identity=identity, title="Sintel", group="DEMO", height=720).magnet
    row = created(api, {field: magnet})
    assert (row["download_type"], row["hash"]) == ("episode", identity.infohash)
    assert row["name"] == "Sintel.S01E01.German.720p.WEB.H264-DEMO"


def test_any_other_link_is_taken_as_what_it_is(api: APIClient):
    magnet = created(api, {"url": FOREIGN})
    assert (magnet["download_type"], magnet["hash"], magnet["name"]) == (
        "magnet", HASH, "Some.Film.2020",
    )  # fmt: skip
    film = created(api, {"url": "HTTPS://Files.Test/A%20Film.mkv#t=1", "name": "Mine"})
    assert (film["download_type"], film["url"]) == ("http", "https://files.test/A%20Film.mkv")
    assert (film["name"], film["downloader"]) == ("Mine", None)
    torrent = created(api, {"url": "https://t.test/x.torrent?k=1"})
    assert torrent["download_type"] == "torrent"


def test_everything_that_is_said_is_kept(api: APIClient, settings: Any, tmp_path: Path):
    settings.DOWNLOAD_LIBRARY_ROOTS = [tmp_path / "films"]
    first = created(api, {"url": "https://a.test/1.mkv"})
    row = created(
        api,
        {
            "url": "https://a.test/2.mkv", "category": "films/new", "save_path": "here/there",
            "paused": True, "priority": "top", "rate_limit": 4000, "checksum": f"SHA1:{'a' * 40}",
            "layout": "library", "naming": {"kind": "movie", "title": "Two", "year": 2001},
        },
    )  # fmt: skip
    job = Job.objects.get(pk=row["id"])
    assert (job.status, job.category, job.rate_limit) == ("paused", "films/new", 4000)
    assert job.save_path == str(settings.DOWNLOAD_DIR / "here/there")
    assert (job.checksum, job.layout, job.naming["title"]) == (f"sha1:{'a' * 40}", "library", "Two")
    assert job.queue_place < Job.objects.get(pk=first["id"]).queue_place


def test_a_category_has_its_own_folder_also_the_one_that_a_client_gave_it(
    api: APIClient, settings: Any
):
    from qbshim.models import Category

    Category.objects.create(name="tv", save_path="series")
    assert created(api, {"url": "https://a.test/1.mkv", "category": "tv"})["save_path"] == str(
        settings.DOWNLOAD_DIR / "series"
    )
    assert created(api, {"url": "https://a.test/2.mkv", "category": "x/y"})["save_path"] == str(
        settings.DOWNLOAD_DIR / "x" / "y"
    )


def test_asking_again_for_one_that_was_over_starts_it_anew(api: APIClient):
    row = created(api, {"url": FOREIGN})
    services.cancel(row["id"])
    again = created(api, {"url": FOREIGN}, 200)
    assert (again["id"], again["status"], again["retry_count"]) == (row["id"], "queued", 1)


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ({"url": "ftp://a.test/x"}, "unsupported_link", "ftp"),
        ({"url": "C:\\film.mkv"}, "unsupported_link", "cannot be fetched"),
        ({"url": HASH}, "unsupported_link", "bare hash"),
        ({"url": "http://"}, "unsupported_link", "no host"),
        ({"url": "magnet:?xt=urn:btih:xyz"}, "unsupported_link", "infohash"),
        ({"url": FOREIGN, "save_path": "../../etc"}, "outside_root", "inside the download folder"),
        ({"url": FOREIGN, "save_path": "/etc"}, "outside_root", "inside the download folder"),
        ({"url": FOREIGN, "save_path": ".incomplete/1"}, "outside_root", "inside"),
        ({"url": FOREIGN, "save_path": "x" * 300}, "outside_root", "inside"),
        ({"url": FOREIGN, "checksum": f"md5:{'0' * 32}"}, "bad_wish", "plain links"),
        (SINTEL | {"slug": "../../admin"}, "unsafe_slug", "not a Demo catalogue title"),
        (SINTEL | {"site": "nowhere"}, "unknown_site", "no site is called"),
        (SINTEL | {"site": "sto"}, "unknown_site", "not set up"),
        (SINTEL | {"language": "Klingon"}, "bad_wish", "Klingon"),
        (
            {"url": "https://a.test/x", "layout": "library", "naming": {"kind": "movie", "title": "x"}},
            "bad_naming",
            "DOWNLOAD_LIBRARY_ROOTS",
        ),
    ],
)  # fmt: skip
def test_what_can_never_be_fetched_says_why(
    api: APIClient, demo: Site, body: dict[str, Any], code: str, told: str
):
    answer = refused(api, body)
    assert answer["code"] == code
    assert told in answer["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": FOREIGN, "magnet": FOREIGN}, "url"),
        ({"url": FOREIGN, "site": "demo"}, "site"),
        ({"slug": "sintel"}, "site"),
        ({"slug": "sintel", "site": "demo", "season": 1, "language": "German Dub"}, "episode"),
        (SINTEL | {"season": -1}, "season"),
        (SINTEL | {"season": 2**40}, "season"),
        ({"url": ""}, "url"),
        ({"url": 5.5, "nme": "x"}, "nme"),
        ({"url": ["a"]}, "url"),
        ({"url": FOREIGN, "category": "a//b"}, "category"),
        ({"url": FOREIGN, "category": "a\\b"}, "category"),
        ({"url": FOREIGN, "rate_limit": 0}, "rate_limit"),
        ({"url": FOREIGN, "rate_limit": 2**63}, "rate_limit"),
        ({"url": FOREIGN, "rate_limit": "fast"}, "rate_limit"),
        ({"url": FOREIGN, "priority": "up"}, "priority"),
        ({"url": FOREIGN, "paused": "perhaps"}, "paused"),
        ({"url": FOREIGN, "checksum": "sha1:12"}, "checksum"),
        ({"url": FOREIGN, "layout": "library"}, "naming"),
        ({"url": FOREIGN, "naming": {"kind": "song", "title": "x"}}, "naming"),
        ({"url": FOREIGN, "naming": {"kind": "movie", "title": "x", "extra": 1}}, "naming"),
        ({"items": []}, "items"),
        ({"items": {}}, "items"),
        ({"items": [{"url": FOREIGN}], "category": "x"}, "items"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_field(
    api: APIClient, body: dict[str, Any], field: str
):
    answer = refused(api, body)
    assert field in answer["fields"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"5", b"null", b"\xff", b"[" * 100_000,
    b'{"url": NaN}', b'{"url": "\\ud800"}', b'{"url": "a\\u0000"}', b"9" * 5000])  # fmt: skip
def test_a_body_that_is_no_object_is_a_400(api: APIClient, body: bytes):
    answer = api.generic("POST", DOWNLOADS, body, "application/json")
    assert answer.status_code == 400, answer.content
    assert {"code", "detail"} <= set(answer.json())


def test_a_body_that_is_too_large_is_a_413(api: APIClient, settings: Any):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = api.post(DOWNLOADS, {"url": "https://a.test/" + "x" * 1000})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_many_are_answered_one_by_one(api: APIClient, demo: Site):
    services.enqueue(order())
    answer = created(
        api,
        {
            "items": [
                {"url": "https://u:secret@a.test/1.mkv?key=abc"},
                SINTEL,
                {"url": "ftp://a.test"},
                {"url": "https://u:secret@a.test/1.mkv?key=abc"},
                {"nme": "x"},
                "text",
            ]
        },
        200,
    )
    rows = answer["results"]
    assert [row["index"] for row in rows] == list(range(6))
    assert [row["status"] for row in rows] == [
        "created", "duplicate", "rejected", "duplicate", "rejected", "rejected",
    ]  # fmt: skip
    assert rows[0]["url"] == "https://u:***@a.test/1.mkv?key=***"
    assert rows[0]["id"] == rows[3]["id"]
    assert rows[0]["hash"] == Job.objects.get(pk=rows[0]["id"]).infohash
    assert "ftp" in rows[2]["reason"]
    assert "nme" in rows[4]["reason"]
    assert Job.objects.count() == 2


def test_too_many_at_once_are_refused(api: APIClient):
    answer = api.post(DOWNLOADS, {"items": [{"url": FOREIGN}] * 501})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not Job.objects.exists()


def test_a_save_path_that_leads_out_through_a_link_is_refused(
    api: APIClient, folders: Path, tmp_path: Path
):
    (folders / "way").symlink_to(tmp_path / "elsewhere")
    assert refused(api, {"url": FOREIGN, "save_path": "way/out"})["code"] == "outside_root"


def test_a_save_path_may_lie_in_a_library(api: APIClient, settings: Any, tmp_path: Path):
    settings.DOWNLOAD_LIBRARY_ROOTS = [tmp_path / "films"]
    row = created(api, {"url": FOREIGN, "save_path": str(tmp_path / "films" / "new")})
    assert row["save_path"] == str(tmp_path / "films" / "new")


def test_a_page_of_a_known_site_is_recognised(demo: Site):
    Site.objects.filter(pk="demo").update(base_url="http://127.0.0.1:8001")
    page = "http://127.0.0.1:8001/anime/stream/sintel/staffel-1/episode-2"
    assert asking.page_of(page) == ("demo", "sintel", 1, 2)
    assert asking.page_of("http://127.0.0.1:8001/anime/stream/sintel") == (
        "demo",
        "sintel",
        None,
        None,
    )
    assert asking.page_of("http://127.0.0.1:8001/anime/stream/sintel/filme/film-3") == (
        "demo", "sintel", 0, 3,
    )  # fmt: skip
    assert asking.page_of("http://127.0.0.1:9999/anime/stream/sintel") is None
    assert asking.page_of("http://127.0.0.1:8001/other/sintel") is None
    assert asking.page_of("http://[::1") is None
    assert not JobFile.objects.exists()
