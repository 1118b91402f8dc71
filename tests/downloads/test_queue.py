"""The order of the queue: what a worker takes, and how jobs move within it."""

import threading

import pytest
from django.db import connection
from django.utils import timezone

from downloads import heartbeats, limits, queue, services, tasks, transitions
from downloads.models import Job, JobStatus
from tests.downloads.carrying import link_job
from tests.downloads.factories import JobFactory
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db
S = JobStatus


def queued(count: int) -> list[Job]:
    return [JobFactory() for _ in range(count)]


def in_order() -> list[int]:
    return list(Job.objects.due(timezone.now()).values_list("pk", flat=True))


def names(jobs: list[Job], numbers: str) -> list[int]:
    return [jobs[int(number)].pk for number in numbers]


def claimed(owner: str = "w") -> int | None:
    found = queue.claim_next(owner)
    return found[0] if found else None


def test_new_jobs_go_to_the_end():
    jobs = queued(3)
    assert in_order() == names(jobs, "012")
    queue.to_bottom([jobs[0].pk])
    last = JobFactory()
    assert in_order() == [*names(jobs, "120"), last.pk]


def test_a_worker_takes_the_first_whichever_the_message_was_about_and_then_the_next(monkeypatch):
    jobs = queued(3)
    queue.to_top([jobs[2].pk])
    taken: list[int] = []

    def execute(job_id: int, token: int) -> None:
        taken.append(job_id)
        transitions.move(job_id, S.FAILED, token=token)

    monkeypatch.setattr("downloads.runner.execute", execute)
    tasks.run_job.run(jobs[0].pk)
    assert taken == names(jobs, "201")


def test_a_worker_that_has_begun_has_others_look_as_well(monkeypatch):
    jobs = queued(2)
    nudged: list[int] = []
    monkeypatch.setattr("downloads.dispatch.nudge", nudged.append)

    def fail(job_id: int, token: int) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("downloads.runner.execute", fail)
    with pytest.raises(KeyError):
        tasks.run_job.run(jobs[0].pk)
    assert nudged == [jobs[1].pk] * 2, "once at the start, once since it will not go on itself"


def test_a_worker_that_stops_takes_nothing_more_until_it_starts_anew():
    jobs = queued(2)
    assert claimed("a@here") == jobs[0].pk
    assert queue.close("a@here") == 1
    assert Job.objects.get(pk=jobs[0].pk).status == S.QUEUED
    assert claimed("a@here") is None
    assert claimed("b@here") == jobs[0].pk
    heartbeats.mark_starting("a@here")
    assert claimed("a@here") == jobs[1].pk


@pytest.mark.parametrize(
    ("move", "those", "expected"),
    [
        (queue.to_top, "3", "30124"),
        (queue.to_top, "42", "24013"),
        (queue.to_bottom, "1", "02341"),
        (queue.to_bottom, "31", "02413"),
        (queue.up, "2", "02134"),
        (queue.up, "0", "01234"),
        (queue.up, "01", "01234"),
        (queue.up, "24", "02143"),
        (queue.up, "23", "02314"),
        (queue.down, "2", "01324"),
        (queue.down, "4", "01234"),
        (queue.down, "12", "03124"),
        (queue.down, "34", "01234"),
    ],
)
def test_jobs_move_within_the_queue(move, those: str, expected: str):
    jobs = queued(5)
    move(names(jobs, those))
    assert in_order() == names(jobs, expected)
    assert queue.positions() == {pk: n for n, pk in enumerate(names(jobs, expected), 1)}


def test_jobs_of_the_same_place_can_be_told_apart_after_a_move():
    jobs = [JobFactory(queue_place=7) for _ in range(3)]
    queue.up([jobs[2].pk])
    assert in_order() == names(jobs, "021")


def test_a_paused_job_keeps_its_place_and_a_finished_one_has_none():
    jobs = queued(3)
    services.pause(jobs[0].pk)
    Job.objects.filter(pk=jobs[1].pk).update(status=S.COMPLETED)
    assert queue.positions() == {jobs[0].pk: 1, jobs[2].pk: 2}
    queue.to_bottom([jobs[0].pk, jobs[1].pk])
    assert list(queue.positions()) == [jobs[2].pk, jobs[0].pk]


def test_a_worker_runs_no_more_than_its_share(settings):
    settings.DOWNLOAD_CONCURRENCY = 2
    jobs = queued(5)
    assert [claimed("a"), claimed("a"), claimed("a")] == [jobs[0].pk, jobs[1].pk, None]
    assert claimed("b") == jobs[2].pk


def test_all_workers_together_run_no_more_than_the_ceiling(settings):
    settings.DOWNLOAD_CONCURRENCY, settings.DOWNLOAD_MAX_RUNNING = 5, 2
    jobs = queued(4)
    assert [claimed("a"), claimed("b"), claimed("c")] == [jobs[0].pk, jobs[1].pk, None]


def test_a_forced_job_comes_first_and_starts_although_all_slots_are_taken(settings):
    settings.DOWNLOAD_CONCURRENCY, settings.DOWNLOAD_MAX_RUNNING = 1, 1
    jobs = queued(3)
    assert claimed() == jobs[0].pk
    assert claimed() is None
    queue.force([jobs[2].pk])
    assert claimed() == jobs[2].pk
    assert claimed() is None


def test_forcing_lets_a_paused_job_go_on_and_can_be_taken_back():
    jobs = queued(2)
    services.pause(jobs[1].pk)
    queue.force([jobs[1].pk])
    assert in_order() == names(jobs, "10")
    queue.force([jobs[1].pk], enabled=False)
    assert in_order() == names(jobs, "01")


def test_a_dead_workers_jobs_take_no_slot(settings):
    settings.DOWNLOAD_CONCURRENCY = 1
    jobs = queued(2)
    assert claimed() == jobs[0].pk
    Job.objects.filter(pk=jobs[0].pk).update(heartbeat_at=timezone.now() - 2 * limits.LIVELY)
    assert claimed() == jobs[1].pk


def test_a_host_that_is_asked_enough_lets_others_go_first(settings):
    settings.DOWNLOAD_PER_HOST = 1
    one, two = link_job("http://A.test/1.mp4"), link_job("http://a.test:8080/2.mp4")
    other = link_job("http://b.test/3.mp4")
    assert [claimed(), claimed(), claimed()] == [one.pk, other.pk, None]
    assert Job.objects.get(pk=one.pk).host == "a.test"
    token = Job.objects.get(pk=one.pk).attempts
    transitions.move(one.pk, S.FAILED, token=token)
    assert claimed() == two.pk


def test_a_source_that_allows_one_download_gets_one(settings):
    settings.DOWNLOAD_PER_SOURCE, settings.DOWNLOAD_CONCURRENCY = 1, 9
    one = JobFactory(source_site="iptv")
    JobFactory(source_site="iptv")
    other = JobFactory(source_site="demo")
    assert [claimed(), claimed(), claimed()] == [one.pk, other.pk, None]


def test_an_app_above_may_know_what_a_source_allows(settings, monkeypatch):
    settings.DOWNLOAD_CONCURRENCY = 9
    monkeypatch.setattr(queue, "source_limits", [lambda sources: {"iptv": 2}])
    jobs = [JobFactory(source_site="iptv") for _ in range(3)]
    assert [claimed(), claimed(), claimed()] == [jobs[0].pk, jobs[1].pk, None]


def test_a_job_that_waits_for_room_is_not_taken():
    job = JobFactory(space_needed=10**18)
    assert claimed() is None
    assert transitions.there_is_room(job.pk)
    assert claimed() == job.pk


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_take_each_job_once_and_keep_the_ceiling(settings):
    settings.DOWNLOAD_CONCURRENCY, settings.DOWNLOAD_MAX_RUNNING = 3, 10
    jobs = [services.enqueue(order(episode=n))[0].pk for n in range(1, 31)]
    taken: list[int] = []
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        try:
            while (found := queue.claim_next(f"worker{number}")) is not None:
                taken.append(found[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == jobs[:10]
    owners = Job.objects.filter(status=S.DOWNLOADING).values_list("owner", flat=True)
    assert all(list(owners).count(owner) <= 3 for owner in owners)
