"""Live progress: of all downloads, of one, and in the older words."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from downloads import events, live, services, transitions
from downloads.live import Watch
from downloads.models import Job, JobStatus
from tests.downloads.factories import JobFactory
from tests.downloads.listening import ALL, Ear, db, one, run
from tests.downloads.listening import quick as quick
from tests.downloads.orders import order
from tests.downloads.rest import KEYS

pytestmark = pytest.mark.django_db(transaction=True)
OLDER_KEYS = {
    "id", "status", "progress", "downloaded_bytes", "total_bytes", "speed", "eta", "message", "result_path",
}  # fmt: skip


# --- who may -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ALL, "/api/v1/downloads/1/events", "/jobs/1/events"])
def test_streams_need_the_key_or_a_session(path: str):
    async def talk() -> None:
        for headers, query, code in (
            ({}, "", "not_authenticated"),
            ({"X-Api-Key": "wrong"}, "", "authentication_failed"),
            ({}, "?apikey=wrong", "authentication_failed"),
            ({"Cookie": f"{settings.SESSION_COOKIE_NAME}=forged"}, "", "not_authenticated"),
            ({"Cookie": "=;\x01"}, "", "not_authenticated"),
            ({}, "?" + "a=1&" * 100, "not_authenticated"),
        ):
            async with Ear(path + query, headers=headers, key=False) as ear:
                await ear.over()
                assert ear.status == 401
                assert json.loads(ear.body)["code"] == code

    run(talk)


def test_a_signed_in_user_may_listen(admin_client: Client):
    cookie = f"{settings.SESSION_COOKIE_NAME}={admin_client.session.session_key}"

    async def talk() -> None:
        async with Ear(ALL, headers={"Cookie": cookie}, key=False) as ear:
            await ear.open()
            assert ear.status == 200

    run(talk)


def test_the_key_may_stand_in_the_query():
    job, _ = services.enqueue(order())
    services.cancel(job.pk)

    async def talk() -> None:
        async with Ear(f"{one(job)}?apikey={settings.API_KEY}", key=False) as ear:
            await ear.over()
            assert ear.downloads[-1]["status"] == "cancelled"

    run(talk)


def test_streams_are_read_with_get_and_unknown_ones_are_a_404():
    async def talk() -> None:
        async with Ear(ALL, method="POST") as ear:
            await ear.over()
            assert (ear.status, ear.headers[b"allow"]) == (405, b"GET")
        for path in (
            "/jobs/999999/events",
            f"/api/v1/downloads/{'f' * 40}/events",
            "/jobs/x/events",
        ):
            async with Ear(path) as ear:
                await ear.over()
                assert (ear.status, json.loads(ear.body)["code"]) == (404, "not_found")

    run(talk)


def test_only_so_many_may_listen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MOST_LISTENERS", 1)

    async def talk() -> None:
        async with Ear(ALL) as first:
            await first.open()
            async with Ear(ALL) as second:
                await second.over()
                assert (second.status, second.headers[b"retry-after"]) == (503, b"30")

    run(talk)


# --- one download ------------------------------------------------------------------------------------


def test_a_stream_ends_with_its_download():
    job, _ = services.enqueue(order())
    services.cancel(job.pk)

    async def talk() -> None:
        async with Ear(f"/api/v1/downloads/{job.infohash}/events") as ear:
            await ear.over()
            assert ear.headers[b"content-type"].startswith(b"text/event-stream")
            assert ear.headers[b"cache-control"] == b"no-store"
            (state,) = ear.downloads
            assert set(state) == KEYS
            assert state["status"] == "cancelled"
            assert ear.sent[-1] == {"type": "http.response.body", "body": b""}

    run(talk)


def test_each_change_is_told_as_it_happens():
    job, _ = services.enqueue(order())

    async def talk() -> None:
        async with Ear(one(job)) as ear:
            await ear.until(lambda ear: ear.downloads)
            token = await db(transitions.claim, job.pk, "worker")
            for progress in (0.25, 0.75):
                await db(transitions.beat, job.pk, token, progress=progress)
                await ear.until(
                    lambda ear, progress=progress: ear.downloads[-1]["progress"] == progress
                )
            await db(transitions.move, job.pk, JobStatus.COMPLETED, token=token, progress=1.0)
            await ear.over()
        progress = [state["progress"] for state in ear.downloads]
        assert progress == sorted(progress)
        assert ear.downloads[0]["status"] == "queued"
        assert ear.downloads[-1]["status"] == "completed"
        assert all(a != b for a, b in zip(ear.downloads, ear.downloads[1:], strict=False))

    run(talk)


def test_a_download_that_is_deleted_ends_its_stream():
    job, _ = services.enqueue(order())

    async def talk() -> None:
        async with Ear(one(job)) as ear, Ear(f"/jobs/{job.pk}/events") as older:
            await ear.until(lambda ear: ear.downloads)
            await older.until(lambda ear: ear.downloads)
            await db(services.remove, job.pk, delete_files=False)
            await ear.over()
            await older.over()
            assert ear.events("removed") == [{"id": job.pk, "hash": job.infohash}]
            assert older.downloads[-1]["status"] == "cancelled"

    run(talk)


def test_the_older_stream_speaks_the_older_words_in_json():
    job = JobFactory(running=True)

    async def talk() -> None:
        async with Ear(f"/jobs/{job.pk}/events") as ear:
            await ear.until(lambda ear: ear.downloads)
            assert set(ear.downloads[0]) >= OLDER_KEYS
            assert (ear.downloads[0]["id"], ear.downloads[0]["progress"]) == (str(job.pk), 25)

    run(talk)


def test_one_stream_is_not_told_of_other_downloads():
    job, other = JobFactory(running=True), JobFactory(running=True)

    async def talk() -> None:
        async with Ear(one(job)) as ear, Ear(ALL) as everything:
            await ear.until(lambda ear: ear.downloads)
            await everything.open()
            await db(transitions.beat, other.pk, other.attempts, progress=0.5)
            await everything.until(lambda ear: ear.downloads)
            await db(transitions.beat, job.pk, job.attempts, progress=0.75)
            await ear.until(lambda ear: ear.downloads[-1]["progress"] == 0.75)
            assert {state["id"] for state in ear.downloads} == {job.pk}

    run(talk)


# --- all downloads -----------------------------------------------------------------------------------


def test_all_are_told_what_changes_and_nothing_else():
    still, moving = JobFactory(), JobFactory(running=True)

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.open()
            assert ear.events("ready") == [{}]
            await db(transitions.beat, moving.pk, moving.attempts, progress=0.5)
            await ear.until(lambda ear: ear.downloads)
            added, _ = await db(services.enqueue, order())
            await ear.until(lambda ear: added.pk in {state["id"] for state in ear.downloads})
            await db(services.remove, moving.pk, delete_files=False)
            await ear.until(lambda ear: ear.events("removed"))
            assert ear.events("removed") == [{"id": moving.pk, "hash": moving.infohash}]
            assert still.pk not in {state["id"] for state in ear.downloads}
            assert all(set(state) == KEYS for state in ear.downloads)
            assert next(s["progress"] for s in ear.downloads if s["id"] == moving.pk) == 0.5

    run(talk)


def test_every_way_of_changing_a_download_is_seen():
    job, _ = services.enqueue(order())

    async def talk() -> None:
        from downloads import control

        async with Ear(ALL) as ear:
            await ear.open()
            for change, value in (
                (lambda: services.pause(job.pk), ("status", "paused")),
                (lambda: control.change(job.pk, category="films"), ("category", "films")),
                (lambda: services.resume(job.pk), ("status", "queued")),
                (lambda: services.cancel(job.pk), ("status", "cancelled")),
                (lambda: services.retry(job.pk), ("retry_count", 1)),
            ):
                await db(change)
                name, expected = value
                await ear.until(
                    lambda ear, name=name, expected=expected: (
                        ear.downloads and ear.downloads[-1][name] == expected
                    )
                )

    run(talk)


def test_a_change_by_a_machine_whose_clock_is_behind_is_seen():
    job, _ = services.enqueue(order())

    def cancel_late() -> None:
        transitions.move(job.pk, JobStatus.CANCELLED)
        Job.objects.filter(pk=job.pk).update(updated_at=timezone.now() - timedelta(hours=2))

    Job.objects.update(updated_at=timezone.now() - timedelta(hours=2))

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.open()
            await db(cancel_late)
            await ear.until(
                lambda ear: ear.downloads and ear.downloads[-1]["status"] == "cancelled"
            )

    run(talk)


def test_any_number_of_listeners_costs_one_look(monkeypatch: pytest.MonkeyPatch):
    looks: list[int] = []
    real = Watch.look

    def look(self: Watch, ids: Any = ()) -> Any:
        with CaptureQueriesContext(connection) as queries:
            found = real(self, ids)
        looks.append(len(queries))
        return found

    monkeypatch.setattr(Watch, "look", look)
    monkeypatch.setattr(live, "EVERY_SECONDS", 0.2)
    jobs = [JobFactory(running=True) for _ in range(5)]

    async def talk() -> int:
        ears = [Ear(ALL) for _ in range(30)] + [Ear(one(job)) for job in jobs]
        for ear in ears:
            await ear.__aenter__()
        for ear in ears:
            await ear.open()
        before = len(looks)
        began = asyncio.get_running_loop().time()
        for job in jobs:
            await db(transitions.beat, job.pk, job.attempts, progress=0.5)
        for ear in ears:
            await ear.until(lambda ear: any(s["progress"] == 0.5 for s in ear.downloads))
        spent = asyncio.get_running_loop().time() - began
        count = len(looks) - before
        for ear in ears:
            await ear.leave()
        assert count <= spent / 0.2 + 2, "the looks grow with the listeners"
        return count

    run(talk)
    assert set(looks) <= {3}, "a look is a mark and two queries"


def test_who_leaves_is_forgotten_at_once():
    JobFactory(running=True)

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.open()
            assert len(live.hub().listeners) == 1
            await ear.leave()
            assert not live.hub().listeners
            assert live.hub()._task is None
        async with Ear(ALL) as again:  # and the hub begins anew
            await again.open()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.sleep(0)
        assert [task for task in tasks if not task.done()] == []

    run(talk)


def test_a_slow_client_is_told_how_things_stand_and_not_every_step():
    job = JobFactory(running=True)

    async def talk() -> None:
        async with Ear(ALL) as slow, Ear(ALL) as quick:
            await slow.open()
            await quick.open()
            slow.blocks = asyncio.Event()
            for step in range(1, 30):
                progress = 0.25 + step / 100
                await db(transitions.beat, job.pk, job.attempts, progress=progress)
                await quick.until(
                    lambda ear, progress=progress: (
                        ear.downloads and ear.downloads[-1]["progress"] == progress
                    )
                )
            waiting = [len(listener.pending) for listener in live.hub().listeners]
            assert max(waiting) <= 1, "what is not fetched is kept once for each job"
            slow.blocks.set()
            await slow.until(lambda ear: ear.downloads and ear.downloads[-1]["progress"] == 0.54)
            assert len(slow.downloads) < 5 < len(quick.downloads)

    run(talk)


def test_a_quiet_stream_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.02)

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.until(lambda ear: ear.body.count(b":\n\n") >= 2)
            assert ear.downloads == []

    run(talk)


def test_a_stream_ends_after_a_while_so_that_its_client_has_to_be_let_in_again(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(events, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.02)

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.over()
            assert ear.sent[-1] == {"type": "http.response.body", "body": b""}

    run(talk)
