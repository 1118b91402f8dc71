"""Many at once: threads behind a barrier, on whatever database the suite runs with."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from downloads import services, transitions
from downloads.errors import IllegalTransition
from downloads.models import Job, JobStatus
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 8


def at_once(work: Callable[[int], object], threads: int = THREADS) -> list[object]:
    """Run `work(n)` in all threads at the same moment; results in order, exceptions among them."""
    barrier = threading.Barrier(threads)
    results: list[object] = [None] * threads

    def run(number: int) -> None:
        try:
            barrier.wait()
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001  the test looks at it
            results[number] = error
        finally:
            connection.close()

    started = [threading.Thread(target=run, args=(n,)) for n in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return results


def test_only_one_worker_claims_each_job():
    jobs = [services.enqueue(order(episode=n))[0].pk for n in range(1, 11)]

    def claim_all(number: int) -> list[int]:
        return [pk for pk in jobs if transitions.claim(pk, f"worker{number}") is not None]

    won = [pk for result in at_once(claim_all) for pk in result]
    assert sorted(won) == sorted(jobs)


def test_adding_the_same_release_at_once_is_one_job():
    results = at_once(lambda number: services.enqueue(order()))
    assert {job.pk for job, _ in results} == {Job.objects.get().pk}
    assert sum(created for _, created in results) == 1


def test_finishing_and_cancelling_at_once_ends_in_one_of_the_two():
    for episode in range(1, 6):
        job = services.enqueue(order(episode=episode))[0]
        token = transitions.claim(job.pk, "worker")

        def end(number: int, pk: int = job.pk, token: int | None = token) -> str:
            try:
                if number % 2:
                    return services.cancel(pk).status
                return transitions.move(pk, JobStatus.COMPLETED, token=token).status
            except IllegalTransition:
                return "refused"

        at_once(end, threads=4)
        events = [event.new for event in job.events.all()]
        assert events[:2] == ["queued", "downloading"]
        assert events[2:] in (["completed"], ["cancelled"])
        assert Job.objects.get(pk=job.pk).status == events[2]
