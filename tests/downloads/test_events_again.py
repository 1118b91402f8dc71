"""Live progress for who comes back, and when something goes wrong."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from downloads import live, services, transitions
from downloads.live import Mark, Watch
from downloads.models import Job, JobEvent
from tests.downloads.factories import JobFactory
from tests.downloads.listening import ALL, Ear, db, one, run
from tests.downloads.listening import quick as quick
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db(transaction=True)


def test_who_comes_back_is_told_what_changed_meanwhile():
    kept, changed, gone = JobFactory(), JobFactory(), JobFactory()
    Job.objects.update(updated_at=timezone.now() - timedelta(hours=1))

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.open()
            mark = ear.told[-1].id
        await db(services.pause, changed.pk)
        await db(services.remove, gone.pk, delete_files=False)
        for header in (True, False):
            path = ALL if header else f"{ALL}?last_event_id={mark}"
            headers = {"Last-Event-ID": mark} if header else {}
            async with Ear(path, headers=headers) as back:
                await back.open()
                assert [state["id"] for state in back.downloads] == [changed.pk]
                assert back.downloads[0]["status"] == "paused"
                assert back.events("removed") == [{"id": gone.pk, "hash": gone.infohash}]
                assert back.told[-1].event == "ready"
                assert Mark.read(back.told[-1].id)
                assert kept.pk not in {state["id"] for state in back.downloads}

    run(talk)


def test_only_the_last_event_of_a_batch_bears_the_mark():
    """A connection that breaks in the middle of a batch must not make its client believe that it has all of it."""
    jobs = [JobFactory(running=True) for _ in range(3)]

    def all_move() -> None:
        Job.objects.update(progress=0.5)

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.open()
            await db(all_move)
            await ear.until(lambda ear: len(ear.downloads) >= 3)
            marks = [bool(one.id) for one in ear.told if not one.event]
            assert marks == [False, False, True]
            assert {state["id"] for state in ear.downloads} == {job.pk for job in jobs}

    run(talk)


@pytest.mark.parametrize(
    "mark", ["x", "1", "1-x", "-1-1", "1-" + "9" * 40, "9" * 40 + "-1", "1-1000", "١-١"]
)
def test_a_mark_that_is_too_old_or_none_of_ours_means_reading_the_list_again(mark: str):
    JobFactory()

    async def talk() -> None:
        async with Ear(f"{ALL}?last_event_id={mark}") as ear:
            await ear.open()
            assert [one.event for one in ear.told] == ["reset", "ready"]

    run(talk)


def test_too_much_at_once_is_a_reset_at_its_beginning_and_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "MOST", 5)
    monkeypatch.setattr(live, "OVERLAP", timedelta(seconds=0.3))
    followed = JobFactory(running=True)

    async def talk() -> None:
        async with Ear(ALL) as ear, Ear(one(followed)) as single:
            await ear.open()
            await single.until(lambda ear: ear.downloads)
            await db(JobFactory.create_batch, 20)
            await ear.until(lambda ear: ear.events("reset"))
            await db(transitions.beat, followed.pk, followed.attempts, progress=0.75)
            await single.until(lambda ear: ear.downloads[-1]["progress"] == 0.75)
            await ear.until(lambda ear: len(ear.events("reset")) == 2)
            assert len(ear.downloads) <= 2, "the flood itself is not told"

    run(talk)


def test_coming_back_after_too_much_is_a_reset(monkeypatch: pytest.MonkeyPatch):
    mark = str(Mark.now())
    monkeypatch.setattr(live, "MOST", 5)
    JobFactory.create_batch(6)

    async def talk() -> None:
        async with Ear(ALL, headers={"Last-Event-ID": mark}) as ear:
            await ear.open()
            assert ear.events("reset") == [{}]
            assert ear.downloads == []

    run(talk)


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception, when: list[bool]) -> Iterator[bool]:
    """Let looks for changes fail in turn; what is left of them is yet to come."""
    real, failures = Watch.look, iter(when)

    def look(self: Watch, ids: Any = ()) -> Any:
        if next(failures, False):
            raise error
        return real(self, ids)

    monkeypatch.setattr(Watch, "look", look)
    return failures


def test_a_database_that_fails_for_a_moment_ends_no_stream(monkeypatch: pytest.MonkeyPatch):
    job = JobFactory(running=True)
    failures = fail(monkeypatch, DatabaseError("away"), [False, True, True])

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.open()
            await db(transitions.beat, job.pk, job.attempts, progress=0.5)
            await ear.until(lambda ear: ear.downloads)

    run(talk)
    assert next(failures, None) is None


def test_a_database_that_is_away_at_the_beginning_means_reading_the_list_again(
    monkeypatch: pytest.MonkeyPatch,
):
    fail(monkeypatch, DatabaseError("away"), [True, True])

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.until(lambda ear: ear.events("reset"))
            assert [one.event for one in ear.told] == ["ready", "reset"]

    run(talk)


def test_a_bug_ends_the_streams_so_that_clients_come_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    fail(monkeypatch, ZeroDivisionError(), [False, True])

    async def talk() -> None:
        async with Ear(ALL) as ear:
            await ear.over()
        async with Ear(ALL) as again:
            await again.open()
            assert again.status == 200

    run(talk)
    assert "live progress ended" in caplog.text


def test_a_mark_can_be_read_back():
    JobFactory()
    services.enqueue(order())
    mark = Mark.now()
    assert mark.event_id == JobEvent.objects.latest("pk").pk
    again = Mark.read(str(mark))
    assert again is not None
    assert again.event_id == mark.event_id
    assert abs(again.at - mark.at) < timedelta(milliseconds=1)
