"""Commands to many at once: the rules, the history and the outbox of one, in a handful of statements."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from downloads import control, dispatch, dispatching, queue, services, transitions
from downloads.control import Action
from downloads.models import Downloader, Errand, ErrandAction, Job, JobEvent, JobFile, JobStatus
from tests.downloads.dispatched import add, now
from tests.downloads.factories import JobFactory
from tests.downloads.protocol import Double, announce

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S, A = JobStatus, ErrandAction
Command = Callable[[Sequence[int]], object]


def remove(ids: Sequence[int]) -> services.Told:
    return services.remove_many(ids, delete_files=True)


def limit(ids: Sequence[int]) -> services.Told:
    return services.set_rate_limit(ids, 5000)


COMMANDS: list[tuple[str, Command, dict[str, Any]]] = [
    ("pause", services.pause_many, {"running": True}),
    ("resume", services.resume_many, {"paused": True}),
    ("cancel", services.cancel_many, {}),
    ("retry", services.retry_many, {"failed": True}),
    ("retry finished", services.retry_many, {"completed": True}),
    ("remove", remove, {"running": True}),
    ("remove finished", remove, {"completed": True}),
    ("limit", limit, {"running": True}),
    ("force", queue.force, {"paused": True}),
    ("category", lambda ids: control.categories.assign(ids, "new"), {}),
]


def box() -> Downloader:
    return Downloader.objects.create(name="box", kind="qbittorrent", base_url="http://box")


def made(count: int, at: Downloader, traits: dict[str, Any]) -> list[int]:
    """Episodes of ours, and magnets that a downloader has."""
    jobs = []
    for number in range(count):
        elsewhere: dict[str, Any] = {}
        if number % 2:
            remote_id = f"{count}-{number}"
            elsewhere = {"downloader": at, "remote_id": remote_id, "download_type": "magnet"}
        jobs.append(JobFactory(**traits, **elsewhere))
    return [job.pk for job in jobs]


@pytest.mark.parametrize(("name", "command", "traits"), COMMANDS, ids=[one[0] for one in COMMANDS])
def test_the_statements_do_not_grow_with_the_jobs(
    name: str, command: Command, traits: dict[str, Any]
):
    at = box()
    few, many = made(24, at, traits), made(120, at, traits)
    counts = []
    for ids in (few, many):
        with CaptureQueriesContext(connection) as queries:
            command(ids)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 20, "\n".join(q["sql"][:150] for q in queries)


def test_many_are_done_some_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(services, "AT_ONCE", 4)
    ids = [JobFactory().pk for _ in range(10)]
    locked: list[list[int]] = []
    real = transitions.lock
    monkeypatch.setattr(
        transitions, "lock", lambda some: (locked.append(list(some)), real(some))[1]
    )
    told = services.pause_many(reversed(ids))
    assert locked == [ids[:4], ids[4:8], ids[8:]], "in the order of ids, as everybody locks them"
    assert set(told.jobs) == set(ids)
    assert set(Job.objects.values_list("status", flat=True)) == {S.PAUSED}


STATUSES = list(S)
SINGLE: dict[Action, Callable[[int], object]] = {
    Action.PAUSE: services.pause,
    Action.RESUME: services.resume,
    Action.CANCEL: services.cancel,
    Action.RETRY: services.retry,
    Action.DELETE: lambda job_id: services.remove(job_id, delete_files=False),
}
MANY: dict[Action, Callable[[Sequence[int]], services.Told]] = {
    Action.PAUSE: services.pause_many,
    Action.RESUME: services.resume_many,
    Action.CANCEL: services.cancel_many,
    Action.RETRY: services.retry_many,
    Action.DELETE: lambda ids: services.remove_many(ids, delete_files=False),
}
_OF_ITS_OWN = {"id", "infohash", "name", "episode", "queue_place", "result_path", "created_at", "updated_at",
               "not_before", "removed_at", "started_at", "completed_at", "heartbeat_at", "active_at", "remote_id"}  # fmt: skip


def picture(job_id: int) -> tuple[object, ...]:
    """All that a command may change about a job, and all that it leaves behind."""
    row = Job.objects.filter(pk=job_id).values().get()
    kept = {name: value for name, value in row.items() if name not in _OF_ITS_OWN}
    presence = (row["removed_at"] is None, row["heartbeat_at"] is None, row["remote_id"] == "")
    events = JobEvent.objects.filter(job=job_id).values_list("old", "new", "reason", "source_site")
    errands = Errand.objects.filter(job=job_id).values_list("action", "delete_files", "downloader")
    return kept, presence, list(events), list(errands)


@pytest.mark.parametrize("action", SINGLE)
def test_many_at_once_come_to_the_same_as_one_by_one(action: Action):
    """For every status, at a downloader and at our own workers."""
    at = box()

    def one_of_each(first: int) -> list[int]:
        ids = []
        for number, status in enumerate(STATUSES * 2, first):
            rest: dict[str, Any] = {}
            if number - first >= len(STATUSES):
                rest = {"downloader": at, "remote_id": f"{number:040x}", "download_type": "magnet"}
            ids.append(JobFactory(status=status, **rest).pk)
        return ids

    singly, together = one_of_each(0), one_of_each(100)
    refusals = {}
    for job_id in singly:
        try:
            SINGLE[action](job_id)
        except transitions.IllegalTransition as error:
            refusals[job_id] = str(error)
    told = MANY[action](together)
    assert [told.refusals.get(pk) for pk in together] == [refusals.get(pk) for pk in singly]
    assert set(told.jobs) == set(together) - set(told.refusals)
    for one, other in zip(singly, together, strict=True):
        assert picture(one) == picture(other)


def test_a_refusal_costs_nothing_but_itself(monkeypatch: pytest.MonkeyPatch):
    done, failed, gone = JobFactory(completed=True), JobFactory(failed=True), JobFactory()
    Job.objects.filter(pk=gone.pk).delete()
    queued = [JobFactory() for _ in range(3)]
    told = services.pause_many([job.pk for job in (*queued, done, failed, gone)])
    assert set(told.jobs) == {job.pk for job in queued}
    assert told.refusals == {
        done.pk: "a job that is completed cannot become paused",
        failed.pk: "a job that is failed cannot become paused",
    }


def test_a_transaction_that_fails_in_the_middle_leaves_whole_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(services, "AT_ONCE", 2)
    ids = [JobFactory().pk for _ in range(6)]
    real, calls = transitions.move_many, iter(range(9))

    def fails_at_the_second(*args: Any, **rest: Any) -> Any:
        moved = real(*args, **rest)
        if next(calls) == 1:
            raise RuntimeError("away")
        return moved

    monkeypatch.setattr(transitions, "move_many", fails_at_the_second)
    with pytest.raises(RuntimeError):
        services.pause_many(ids)
    assert list(Job.objects.order_by("pk").values_list("status", flat=True)) == [
        S.PAUSED, S.PAUSED, *[S.QUEUED] * 4,
    ]  # fmt: skip
    assert JobEvent.objects.filter(new=S.PAUSED).count() == 2


def test_whoever_has_something_to_do_is_woken_once_and_after_the_commit(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
):
    sent: list[str] = []
    monkeypatch.setattr(dispatch.current_app, "send_task", lambda name, **how: sent.append(name))
    at = box()
    ids = made(20, at, {"paused": True})
    links = [JobFactory(paused=True, download_type="magnet").pk for _ in range(5)]
    with django_capture_on_commit_callbacks() as callbacks:
        services.resume_many([*ids, *links])
        assert sent == []
    for callback in callbacks:
        callback()
    assert sorted(sent) == ["downloads.deliver", "downloads.dispatch", "downloads.run_job"]


def test_two_jobs_that_are_one_torrent_are_told_of_when_the_last_one_goes(service: Double):
    announce(service, "box")
    one, other = add(1), add(2)
    dispatching.run()
    Job.objects.filter(pk=other.pk).update(remote_id=one.infohash)
    services.pause_many([one.pk, other.pk])
    assert not Errand.objects.exists(), "each is left alone for the other's sake, as one by one"
    services.cancel_many([one.pk, other.pk])
    assert [(one.action, one.remote_id) for one in Errand.objects.all()] == [
        (A.CANCEL, now(one).remote_id)
    ]


def test_what_was_not_said_yet_is_replaced_for_many_too(service: Double):
    announce(service, "box")
    jobs = [add(n) for n in range(1, 6)]
    dispatching.run()
    ids = [job.pk for job in jobs]
    services.pause_many(ids)
    services.set_rate_limit(ids, 1000)
    services.resume_many(ids)
    said = sorted(Errand.objects.values_list("action", flat=True))
    assert said == [A.LIMIT] * 5 + [A.RESUME] * 5
    services.remove_many(ids, delete_files=True)
    assert set(Errand.objects.values_list("action", flat=True)) == {A.CANCEL}
    assert Errand.objects.count() == 5


def test_retrying_many_looks_for_their_files_before_anything_is_locked(
    downloads_root: Path, monkeypatch: pytest.MonkeyPatch
):
    there, gone = JobFactory(completed=True), JobFactory(completed=True)
    Path(there.result_path).write_bytes(b"video")
    at = box()
    unseen = JobFactory(completed=True, downloader=at, remote_id="a", download_type="magnet")
    seen = JobFactory(completed=True, downloader=at, remote_id="b", download_type="magnet")
    JobFile.objects.create(job=seen, season=1, path=seen.result_path)
    real = Path.exists

    def exists(path: Path) -> bool:
        assert not connection.savepoint_ids or connection.savepoint_ids == before
        return real(path)

    before = list(connection.savepoint_ids)
    monkeypatch.setattr(Path, "exists", exists)
    told = services.retry_many([there.pk, gone.pk, unseen.pk, seen.pk])
    assert set(told.jobs) == {gone.pk, seen.pk}
    assert set(told.refusals) == {there.pk, unseen.pk}, "what was never seen cannot be missing"


def test_what_is_deleted_already_is_not_on_the_list(monkeypatch: pytest.MonkeyPatch):
    job = JobFactory(completed=True, result_path="")
    services.remove(job.pk, delete_files=False)
    for command in (services.pause_many, services.retry_many, services.cancel_many, remove, limit):
        told = command([job.pk])
        assert (told.jobs, told.refusals) == ({}, {})
    with pytest.raises(services.UnknownJob):
        services.retry(job.pk)
    services.remove(job.pk, delete_files=True)


def test_a_thousand_by_rest_are_each_answered(client: Any, settings: Any):
    jobs = [JobFactory.build(paused=bool(n % 3)) for n in range(900)]
    Job.objects.bulk_create(jobs)
    done = JobFactory(completed=True)
    ids = [*Job.objects.order_by("pk").values_list("pk", flat=True), 10**9]
    with CaptureQueriesContext(connection) as queries:
        answer = client.post(
            "/api/v1/downloads/bulk",
            {"action": "cancel", "ids": ids},
            "application/json",
            headers={"X-Api-Key": settings.API_KEY},
        ).json()
    assert (answer["done"], answer["refused"], answer["unknown"]) == (900, 1, 1)
    [refused] = [row for row in answer["results"] if row["status"] == "refused"]
    assert (refused["id"], "cannot become cancelled" in refused["reason"]) == (done.pk, True)
    assert len(queries) < 40
