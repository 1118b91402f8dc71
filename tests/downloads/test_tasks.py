"""Messages are nudges: sent after COMMIT, harmless when lost or doubled."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from anibridge.celery import app
from catalogue.models import Site
from downloads import dispatch, services, tasks
from downloads.models import Job, JobStatus
from tests.downloads.orders import order


@pytest.fixture
def queue() -> Iterator[Any]:
    """The queue of downloads on the in-memory broker, empty at first."""
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("downloads")
        queue.clear()
        yield queue
        queue.clear()
        queue.close()


@pytest.mark.django_db(transaction=True)
def test_a_nudge_leaves_only_after_commit(queue: Any):
    with transaction.atomic():
        job, _ = services.enqueue(order())
        assert queue.qsize() == 0
    assert queue.qsize() == 1
    message = queue.get(block=False)
    assert message.headers["task"] == "downloads.run_job"
    assert message.payload[0] == [job.pk]
    message.ack()


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_order_sends_nothing(queue: Any):
    with transaction.atomic():
        services.enqueue(order())
        transaction.set_rollback(True)
    assert queue.qsize() == 0
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_gone_loses_no_work(monkeypatch: pytest.MonkeyPatch, caplog):
    def gone(*args: object, **rest: object) -> None:
        raise ConnectionRefusedError("no broker")

    monkeypatch.setattr(dispatch.current_app, "send_task", gone)
    job, created = services.enqueue(order())
    assert created
    assert f"job {job.pk} waits for the sweeper" in caplog.text
    monkeypatch.undo()
    assert services.sweep() == [job.pk]


@pytest.mark.django_db
def test_a_message_that_comes_twice_runs_the_job_once(demo_site: Site):
    job, _ = services.enqueue(order())
    tasks.run_job.run(job.pk)
    done = Job.objects.get(pk=job.pk)
    assert (done.status, done.attempts) == (JobStatus.COMPLETED, 1)
    tasks.run_job.run(job.pk)
    assert Job.objects.get(pk=job.pk).attempts == 1


@pytest.mark.django_db
def test_a_message_about_nothing_does_nothing():
    tasks.run_job.run(424242)
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_the_sweep_task_sweeps():
    job, _ = services.enqueue(order())
    tasks.sweep.run()
    assert Job.objects.get(pk=job.pk).status == JobStatus.QUEUED
