"""`/api/v1/downloads`: asking for one or many."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.releases import Identity, Release
from downloads import asking, services
from downloads.models import Job, JobFile
from tests.downloads.orders import order
from tests.downloads.rest import DOWNLOADS, KEYS, SINTEL, created, refused

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
HASH = "5" * 40
FOREIGN = f"magnet:?xt=urn:btih:{HASH}&dn=Some.Film.2020&tr=udp%3A%2F%2Ftracker.example%3A80"


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
    api: APIClient, downloads_root: Path, tmp_path: Path
):
    (downloads_root / "way").symlink_to(tmp_path / "elsewhere")
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
