"""`/api/v1/downloads`: commands to one and to many, changes, deleting, statistics."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from downloads import control, queue, services, transitions
from downloads.models import Downloader, Job, JobStatus
from qbshim import preferences
from tests.downloads.factories import MIB, JobFactory, JobFileFactory
from tests.downloads.rest import DOWNLOADS, KEYS
from tests.qbshim.factories import ClientTaskFactory

pytestmark = pytest.mark.django_db
TRAITS = ("", "running", "paused", "failed", "cancelled", "completed")


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    return settings.DOWNLOAD_DIR


def job_that_is(trait: str, *, category: str = "") -> Job:
    if trait == "completed":  # with its file, so that there is nothing to fetch again
        file = JobFileFactory(job__completed=True, job__category=category)
        Path(file.path).parent.mkdir(parents=True, exist_ok=True)
        Path(file.path).write_bytes(b"video")
        return file.job
    return JobFactory(category=category, **{trait: True} if trait else {})


def order_of_queue() -> list[int]:
    return list(queue.waiting().values_list("pk", flat=True))


# --- commands to one ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "outcomes"),
    [
        ("pause", {"": "paused", "running": "paused", "paused": "paused"}),
        ("resume", {"": "queued", "running": "downloading", "paused": "queued"}),
        ("cancel", {"": "cancelled", "running": "cancelled", "paused": "cancelled", "cancelled": "cancelled"}),
        ("retry", {"paused": "queued", "failed": "queued", "cancelled": "queued"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("trait", TRAITS)
def test_a_command_does_what_the_status_allows_and_is_a_409_otherwise(
    api: APIClient, command: str, outcomes: dict[str, str], trait: str
):
    job = job_that_is(trait)
    before = Job.objects.get(pk=job.pk).status
    answer = api.post(f"{DOWNLOADS}/{job.pk}/{command}")
    if trait in outcomes:
        assert answer.status_code == 200, answer.content
        assert set(answer.json()) == KEYS
        assert answer.json()["status"] == outcomes[trait]
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
        assert answer.json()["detail"]
    assert Job.objects.get(pk=job.pk).status == outcomes.get(trait, before)


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_pause_and_resume_take_put_as_well(api: APIClient, command: str):
    job = JobFactory(paused=command == "resume")
    assert api.put(f"{DOWNLOADS}/{job.infohash}/{command}").status_code == 200
    assert api.get(f"{DOWNLOADS}/{job.pk}/{command}").status_code == 405


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "retry"])
def test_a_command_for_an_unknown_one_is_a_404(api: APIClient, command: str):
    assert api.post(f"{DOWNLOADS}/999999/{command}").status_code == 404


def test_a_command_leaves_its_reason_in_the_history(api: APIClient):
    job = JobFactory()
    api.post(f"{DOWNLOADS}/{job.pk}/cancel")
    (event,) = api.get(f"{DOWNLOADS}/{job.pk}/history").json()
    assert (event["old"], event["new"], event["reason"]) == ("queued", "cancelled", "cancelled")


# --- deleting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "stays"), [("", True), ("?delete_files=true", False)])
def test_deleting_keeps_a_finished_file_unless_told(api: APIClient, query: str, stays: bool):
    job = job_that_is("completed")
    file = Path(job.result_path)
    answer = api.delete(f"{DOWNLOADS}/{job.pk}{query}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert file.exists() is stays
    assert api.get(f"{DOWNLOADS}/{job.pk}").status_code == 404
    assert api.delete(f"{DOWNLOADS}/{job.pk}").status_code == 404


def test_a_flag_that_is_neither_true_nor_false_deletes_nothing(api: APIClient):
    job = JobFactory()
    answer = api.delete(f"{DOWNLOADS}/{job.pk}?delete_files=maybe")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["delete_files"])
    assert Job.objects.present().filter(pk=job.pk).exists()


# --- changes -----------------------------------------------------------------------------------------


def test_the_place_in_the_queue_can_be_changed(api: APIClient):
    a, b, c = (JobFactory().pk for _ in range(3))

    def move(pk: int, priority: str) -> list[int]:
        answer = api.patch(f"{DOWNLOADS}/{pk}", {"priority": priority})
        assert answer.status_code == 200, answer.content
        return order_of_queue()

    assert move(c, "top") == [c, a, b]
    assert move(c, "down") == [a, c, b]
    assert move(b, "up") == [a, b, c]
    assert move(a, "bottom") == [b, c, a]


def test_what_does_not_wait_has_no_place(api: APIClient):
    for trait in ("running", "completed"):
        job = job_that_is(trait)
        answer = api.patch(f"{DOWNLOADS}/{job.pk}", {"priority": "top"})
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
        assert "no place in the queue" in answer.json()["detail"]


def test_a_download_can_be_started_by_force_and_not(api: APIClient):
    job = JobFactory(paused=True)
    assert api.patch(f"{DOWNLOADS}/{job.pk}", {"forced": True}).json()["status"] == "queued"
    assert api.get(f"{DOWNLOADS}/{job.pk}/settings").json()["forced"] is True
    api.patch(f"{DOWNLOADS}/{job.pk}", {"forced": False})
    assert api.get(f"{DOWNLOADS}/{job.pk}/settings").json()["forced"] is False


def test_a_category_takes_along_what_follows_it(api: APIClient, folder: Path):
    waiting, done = JobFactory(category="old"), job_that_is("completed", category="old")
    running = JobFactory(running=True, category="old")
    chosen = JobFactory(category="old", save_path=str(folder / "own"))
    for job in (waiting, done, running, chosen):
        answer = api.patch(f"{DOWNLOADS}/{job.pk}", {"category": "new"})
        assert (answer.status_code, answer.json()["category"]) == (200, "new")
    for job in (waiting, done, running):
        assert Job.objects.get(pk=job.pk).save_path == str(folder / "new")
    assert Job.objects.get(pk=chosen.pk).save_path == str(folder / "own")
    [file] = done.files.all()
    assert (Path(file.path).parent, Path(file.path).exists()) == (folder / "new", True)
    assert Job.objects.get(pk=done.pk).result_path == file.path
    assert not Path(done.result_path).exists()


def test_a_category_set_by_rest_heeds_what_a_client_said(api: APIClient, folder: Path):
    """One function for all ways in: what a qBittorrent client told to stay stays, and what it let follow goes."""
    stays, goes = job_that_is("completed"), job_that_is("completed")
    ClientTaskFactory(job=stays, auto_tmm=False)
    ClientTaskFactory(job=goes, auto_tmm=True)
    Job.objects.filter(pk=goes.pk).update(save_path=str(folder))
    for job in (stays, goes):
        api.patch(f"{DOWNLOADS}/{job.pk}", {"category": "new"})
    assert Job.objects.get(pk=stays.pk).save_path == stays.save_path
    assert Job.objects.get(pk=goes.pk).save_path == str(folder / "new")
    preferences.change('{"torrent_changed_tmm_enabled": false}')
    api.patch(f"{DOWNLOADS}/{goes.pk}", {"category": "other"})
    goes = Job.objects.get(pk=goes.pk)
    assert (goes.category, goes.save_path) == ("other", str(folder / "new"))
    assert goes.client_task.auto_tmm is False


def test_what_another_downloader_has_only_changes_its_category(api: APIClient):
    box = Downloader.objects.create(name="box", kind="qbittorrent", base_url="http://box")
    job = JobFactory(paused=True, download_type="magnet", downloader=box, remote_id="ab" * 20)
    answer = api.patch(f"{DOWNLOADS}/{job.pk}", {"category": "new"}).json()
    assert (answer["category"], answer["save_path"]) == ("new", job.save_path)


def test_a_rate_limit_is_set_and_taken_away(api: APIClient):
    job = JobFactory(running=True)
    api.patch(f"{DOWNLOADS}/{job.pk}", {"rate_limit": 5000})
    assert Job.objects.get(pk=job.pk).rate_limit == 5000
    api.patch(f"{DOWNLOADS}/{job.pk}", {"category": "x"})
    assert Job.objects.get(pk=job.pk).rate_limit == 5000
    api.patch(f"{DOWNLOADS}/{job.pk}", {"rate_limit": None})
    assert Job.objects.get(pk=job.pk).rate_limit is None


@pytest.mark.parametrize(
    "body",
    [{}, {"priority": "first"}, {"status": "completed"}, {"rate_limit": -1}, {"category": "a//b"},
     {"category": None}, {"forced": "x"}, []],
)  # fmt: skip
def test_a_change_that_makes_no_sense_changes_nothing(api: APIClient, body: Any):
    job = JobFactory()
    before = Job.objects.filter(pk=job.pk).values().get()
    assert api.patch(f"{DOWNLOADS}/{job.pk}", body).status_code == 400
    assert Job.objects.filter(pk=job.pk).values().get() == before


# --- commands to many --------------------------------------------------------------------------------


def bulk(api: APIClient, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = api.post(f"{DOWNLOADS}/bulk", body)
    assert answer.status_code == status, answer.content
    return answer.json()


def test_named_ones_are_each_answered(api: APIClient):
    queued, done = JobFactory(), JobFactory(completed=True)
    answer = bulk(
        api,
        {"action": "cancel", "ids": [queued.pk, 999999, queued.pk], "hashes": [done.infohash.upper(), "f" * 40]},
    )  # fmt: skip
    assert (answer["done"], answer["refused"], answer["unknown"]) == (1, 1, 2)
    by_id = {row.get("id", row.get("hash")): row for row in answer["results"]}
    assert by_id[queued.pk] == {"id": queued.pk, "hash": queued.infohash, "status": "done"}
    assert by_id[done.pk]["status"] == "refused"
    assert "completed" in by_id[done.pk]["reason"]
    assert by_id[999999]["status"] == by_id["f" * 40]["status"] == "unknown"


def test_a_filter_means_those_that_the_action_is_for(api: APIClient):
    tv = [JobFactory(category="tv"), JobFactory(category="tv", running=True)]
    JobFactory(category="tv", completed=True)
    other = JobFactory()
    answer = bulk(api, {"action": "pause", "filter": {"category": "tv"}})
    assert (answer["done"], answer["refused"]) == (2, 0)
    assert {row["id"] for row in answer["results"]} == {job.pk for job in tv}
    assert Job.objects.get(pk=other.pk).status == JobStatus.QUEUED
    assert bulk(api, {"action": "resume", "filter": {"status": ["paused"]}})["done"] == 2


def test_all_are_meant_only_where_that_is_said(api: APIClient):
    JobFactory.create_batch(3)
    for body in ({}, {"filter": {}}, {"ids": []}, {"all": False}, {"all": True, "ids": [1]}):
        bulk(api, {"action": "delete", **body}, 400)
    assert Job.objects.present().count() == 3
    assert bulk(api, {"action": "delete", "all": True})["done"] == 3
    assert Job.objects.present().count() == 0


@pytest.mark.parametrize(
    "body",
    [
        {"action": "destroy", "all": True},
        {"all": True},
        {"action": "delete", "filter": {"statuss": ["failed"]}},
        {"action": "delete", "filter": {"status": "failed"}},
        {"action": "delete", "filter": {"status": ["done"]}},
        {"action": "delete", "filter": {"hash": ["x"]}},
        {"action": "pause", "all": True, "delete_files": True},
        {"action": "pause", "all": True, "dry_run": True},
        {"action": "pause", "ids": ["x"]},
        {"action": "pause", "ids": [2**63]},
        {"action": "pause", "hashes": [5]},
        {"action": "pause", "ids": [1] * 1001},
    ],
)
def test_a_bulk_command_that_makes_no_sense_changes_nothing(api: APIClient, body: dict[str, Any]):
    JobFactory(failed=True)
    JobFactory()
    assert {"code", "detail"} <= set(bulk(api, body, 400))
    statuses = sorted(Job.objects.present().values_list("status", flat=True))
    assert statuses == ["failed", "queued"]


def test_a_filter_that_means_too_many_is_refused_with_their_number(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(control, "MAX_AT_ONCE", 3)
    JobFactory.create_batch(4)
    answer = bulk(api, {"action": "cancel", "all": True}, 400)
    assert answer["code"] == "bad_wish"
    assert "4 downloads are more than the 3" in answer["detail"]
    assert not Job.objects.filter(status=JobStatus.CANCELLED).exists()


def test_a_block_moves_as_one(api: APIClient):
    ids = [JobFactory().pk for _ in range(5)]
    bulk(api, {"action": "top", "ids": [ids[4], ids[2]]})
    assert order_of_queue() == [ids[2], ids[4], ids[0], ids[1], ids[3]]
    running = JobFactory(running=True)
    answer = bulk(api, {"action": "bottom", "ids": [ids[2], running.pk]})
    assert (answer["done"], answer["refused"]) == (1, 1)
    assert order_of_queue()[-1] == ids[2]


def test_many_are_deleted_with_their_files(api: APIClient):
    jobs = [job_that_is("completed") for _ in range(2)]
    bulk(api, {"action": "delete", "hashes": [job.infohash for job in jobs], "delete_files": True})
    assert not any(Path(job.result_path).exists() for job in jobs)


def test_one_that_was_deleted_meanwhile_is_answered_too(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
):
    gone, stays = JobFactory(failed=True), JobFactory(failed=True)
    real = transitions.lock

    def lock(ids: Any) -> list[Job]:
        Job.objects.filter(pk=gone.pk).delete()
        return real(ids)

    monkeypatch.setattr(transitions, "lock", lock)
    answer = bulk(api, {"action": "retry", "ids": [gone.pk, stays.pk]})
    assert (answer["done"], answer["unknown"]) == (1, 1)


# --- statistics --------------------------------------------------------------------------------------


def test_statistics_count_by_status_and_source(api: APIClient, django_assert_num_queries: Any):
    JobFactory(running=True)
    JobFactory(running=True, source_site="sto")
    JobFactory(failed=True, speed=99)
    JobFactory(completed=True)
    old = JobFactory(completed=True, completed_at=timezone.now() - timedelta(days=2))
    services.remove(old.pk, delete_files=False)
    with django_assert_num_queries(3):
        told = api.get(f"{DOWNLOADS}/stats").json()
    assert told["count"] == 4
    assert set(told["statuses"]) == set(JobStatus.values)
    assert (told["statuses"]["downloading"], told["statuses"]["paused"]) == (2, 0)
    assert told["speed"] == 10 * MIB
    assert told["completed_today"] == 1
    assert told["bytes"] == {"today": 400 * MIB, "total": 800 * MIB, "remaining": 600 * MIB}
    assert [one["source_site"] for one in told["sources"]] == ["demo", "sto"]
    demo = told["sources"][0]
    assert (demo["count"], demo["statuses"]["failed"], demo["speed"]) == (3, 1, 5 * MIB)


def test_there_are_statistics_of_nothing(api: APIClient):
    told = api.get(f"{DOWNLOADS}/stats").json()
    assert (told["count"], told["speed"], told["sources"]) == (0, 0, [])
    assert told["bytes"] == {"today": 0, "total": 0, "remaining": 0}
