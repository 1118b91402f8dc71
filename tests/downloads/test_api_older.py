"""The older job API, as a client of the older program uses it."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from catalogue.models import Site
from catalogue.releases import Identity
from downloads import services
from downloads.models import Job, JobStatus
from tests.catalogue.factories import SiteFactory
from tests.downloads.factories import JobFactory

pytestmark = pytest.mark.django_db
DOWNLOAD = "/downloader/download"
SINTEL = {"slug": "sintel", "season": 1, "episode": 2}
KEYS = {
    "id", "status", "progress", "downloaded_bytes", "total_bytes", "speed", "eta", "message", "result_path",
}  # fmt: skip


@pytest.fixture(autouse=True)
def demo(settings: Any, tmp_path: Path) -> Site:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    return SiteFactory(site_id="demo", base_url="https://demo.test")


def asked(api: APIClient, body: Any) -> Job:
    answer = api.post(DOWNLOAD, body)
    assert answer.status_code == 200, answer.content
    assert set(answer.json()) == {"job_id"}
    assert isinstance(answer.json()["job_id"], str)
    return Job.objects.get(pk=answer.json()["job_id"])


def hash_of(language: str = "German Dub", site: str = "demo", season: int = 1) -> str:
    return Identity(site, "sintel", season, 2, language).infohash


def test_it_is_closed_without_a_key(client: Client):
    for method, path in (("post", DOWNLOAD), ("get", "/jobs/1"), ("delete", "/jobs/1")):
        assert getattr(client, method)(path).status_code == 401


def test_an_episode_is_queued_and_followed(api: APIClient):
    job = asked(api, SINTEL | {"provider": "VOE", "title_hint": "Sintel.S01E02.German-X"})
    assert (job.infohash, job.provider) == (hash_of(), "VOE")
    assert job.name == "Sintel.S01E02.German-X"
    told = api.get(f"/jobs/{job.pk}").json()
    assert set(told) >= KEYS
    assert (told["id"], told["status"], told["progress"]) == (str(job.pk), "queued", 0)
    assert asked(api, SINTEL).pk == job.pk


@pytest.mark.parametrize(
    ("body", "infohash"),
    [
        ({"slug": "sintel", "s": 1, "e": 2, "lang": "German Sub"}, hash_of("German Sub")),
        ({"slug": "sintel", "season": "1", "episode": "2", "language": "english"}, hash_of("English Dub")),
        (SINTEL | {"language": None, "provider": None, "link": None, "title_hint": ""}, hash_of()),
        (SINTEL | {"site": "demo", "unknown_to_us": [1]}, hash_of()),
        (SINTEL | {"site": "demo.test"}, hash_of()),
        ({"link": "https://demo.test/anime/stream/sintel/staffel-1/episode-2"}, hash_of()),
        ({"url": "https://demo.test/anime/stream/sintel/staffel-1/episode-2", "lang": "German Sub"}, hash_of("German Sub")),
        ({"link": "https://demo.test/anime/stream/sintel", "season": 1, "episode": 2}, hash_of()),
        ({"link": "https://demo.test/anime/stream/sintel/filme/film-2"}, hash_of(season=0)),
        ({"link": f"magnet:?xt=urn:btih:{'7' * 40}&dn=Other"}, "7" * 40),
    ],
)  # fmt: skip
def test_the_older_spellings_are_understood(api: APIClient, body: dict[str, Any], infohash: str):
    assert asked(api, body).infohash == infohash


def test_a_site_is_known_by_the_name_that_older_clients_use(api: APIClient):
    SiteFactory(site_id="aniworld", base_url="https://aniworld.to", search_priority=32001)
    SiteFactory(site_id="sto", base_url="https://mirror.test", search_priority=32000)
    assert asked(api, SINTEL).source_site == "aniworld", "the older one's only site, where it is on"
    assert asked(api, SINTEL | {"site": "aniworld.to", "episode": 3}).source_site == "aniworld"
    assert asked(api, SINTEL | {"site": "s.to"}).source_site == "sto"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"slug": "sintel"}, {"slug": "sintel", "season": 1}, SINTEL | {"season": "one"},
        SINTEL | {"season": -1}, SINTEL | {"slug": "../admin"}, SINTEL | {"site": "nowhere"},
        SINTEL | {"language": "Klingon"}, {"link": "ftp://a.test/x"}, {"link": 5}, [], "x",
        {"link": "https://demo.test/anime/stream/sintel"}, SINTEL | {"category": "a//b"},
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_422_in_our_shape(api: APIClient, body: Any):
    answer = api.post(DOWNLOAD, body)
    assert answer.status_code == 422, answer.content
    assert {"code", "detail"} <= set(answer.json()) <= {"code", "detail", "fields"}
    assert not Job.objects.exists()


def test_a_running_job_is_told_in_the_older_words(api: APIClient):
    job = JobFactory(running=True)
    told = api.get(f"/jobs/{job.pk}").json()
    assert (told["status"], told["progress"], told["eta"]) == ("downloading", 25, 60)
    assert told["result_path"] is None
    done = JobFactory(completed=True)
    told = api.get(f"/jobs/{done.infohash}").json()
    assert (told["status"], told["progress"], told["result_path"]) == (
        "completed", 100, done.result_path,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "older"),
    [("paused", "queued"), ("no_downloader", "queued"), ("downloader_error", "downloading")],
)
def test_a_status_that_older_clients_do_not_know_becomes_one_and_a_message(
    api: APIClient, status: str, older: str
):
    job = JobFactory(status=status)
    told = api.get(f"/jobs/{job.pk}").json()
    assert told["status"] == older
    assert told["message"]


def test_a_failure_says_why_without_keys(api: APIClient):
    job = JobFactory(failed=True, error_message="gone: https://a.test/x?token=abc123")
    told = api.get(f"/jobs/{job.pk}").json()
    assert told["message"] == "gone: https://a.test/x?token=***"


def test_an_unknown_job_is_a_404(api: APIClient):
    answer = api.get("/jobs/3f2b0c9e3f2b0c9e3f2b0c9e3f2b0c9e")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_cancelling_says_whether_there_was_something_to_cancel(api: APIClient):
    job = asked(api, SINTEL)
    assert api.delete(f"/jobs/{job.pk}").json() == {"status": "cancelling"}
    assert services.get(job.pk).status == JobStatus.CANCELLED
    for reference in (job.pk, 999999, "nonsense"):
        answer = api.delete(f"/jobs/{reference}")
        assert (answer.status_code, answer.json()) == (200, {"status": "not-running"})


def test_the_other_side_serves_the_events(api: APIClient):
    for path in ("/jobs/1/events", "/api/v1/downloads/1/events", "/api/v1/downloads/events"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "no_streams")
