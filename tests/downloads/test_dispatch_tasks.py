"""The messages around dispatch: nudges after COMMIT, and tasks that do what the schedule asks."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from anibridge.celery import app
from downloads import services, tasks
from downloads.models import Downloader, Job, JobStatus
from downloads.orders import order_for
from tests.downloads.dispatched import add, dead, now
from tests.downloads.protocol import Double, announce

S = JobStatus


@pytest.fixture
def messages() -> Iterator[Any]:
    """What was sent to the ordinary queue since: task names with their arguments."""
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("default")
        queue.clear()

        def read() -> list[tuple[str, list[Any]]]:
            found = []
            while queue.qsize():
                message = queue.get(block=False)
                found.append((message.headers["task"], message.payload[0]))
                message.ack()
            return found

        yield read
        queue.clear()
        queue.close()


@pytest.mark.django_db(transaction=True)
def test_a_link_wakes_the_dispatcher_after_commit(messages, downloads_root):
    with transaction.atomic():
        add(1)
        assert messages() == []
    assert messages() == [("downloads.dispatch", [])]


@pytest.mark.django_db(transaction=True)
def test_what_a_downloader_must_hear_wakes_the_delivery(messages, service, downloads_root):
    announce(service, "box")
    job = add(1)
    tasks.give_out()
    messages()
    services.cancel(job.pk)
    assert messages() == [("downloads.deliver", [])]


@pytest.mark.django_db(transaction=True)
def test_each_downloader_is_polled_by_a_message_of_its_own(messages, service, second):
    ids = [announce(it, name).pk for it, name in ((service, "one"), (second, "two"))]
    add(1)
    tasks.give_out()
    Job.objects.filter(remote_id="").update(downloader=ids[0])
    other = add(2)
    tasks.give_out()
    Job.objects.filter(pk=other.pk).update(downloader=ids[1])
    messages()
    tasks.poll()
    assert sorted(messages()) == [("downloads.poll_downloader", [one]) for one in sorted(ids)]


@pytest.mark.django_db
def test_the_tasks_carry_a_link_to_its_end(service: Double, downloads_root):
    box = announce(service, "box")
    job = add(1)
    tasks.give_out()
    film = downloads_root / "film.mkv"
    film.write_bytes(b"film")
    service.have[job.infohash] = {
        "status": "completed", "progress": 1, "size": 4, "content_path": str(film),
    }  # fmt: skip
    tasks.poll_downloader(box.pk)
    assert now(job).status == S.COMPLETED
    services.remove(job.pk, delete_files=True)
    tasks.deliver()
    assert service.commands() == [f"DELETE /downloads/{job.infohash}"]
    assert not film.exists(), "what lies below our own folder goes at once"


@pytest.mark.django_db
def test_a_delivery_lets_go_what_waited_for_it(service: Double, downloads_root):
    announce(service, "box")
    job = add(1)
    tasks.give_out()
    services.remove(job.pk, delete_files=True)
    again = add(1)
    tasks.deliver()
    assert now(again).status == S.DOWNLOADING


@pytest.mark.django_db
def test_a_poll_of_one_that_is_gone_or_away_is_harmless(downloads_root):
    tasks.poll_downloader(10**9)
    box = announce(dead(), "away")
    tasks.poll_downloader(box.pk)
    box.refresh_from_db()
    assert (box.failures, box.last_seen_at) == (0, None), "nothing was asked"
    job = add(1)
    Job.objects.filter(pk=job.pk).update(downloader=box, remote_id="x")
    tasks.poll_downloader(box.pk)
    assert Downloader.objects.get(pk=box.pk).failures == 1


@pytest.mark.django_db
def test_without_a_broker_links_wait_for_the_schedule(monkeypatch, caplog, downloads_root):
    def gone(*_: Any, **__: Any) -> None:
        raise OSError("gone")

    monkeypatch.setattr(app, "send_task", gone)
    from downloads import dispatch

    dispatch._send_dispatch()
    dispatch._send_delivery()
    dispatch.nudge_poll(1)
    assert caplog.text.count("no broker") == 3
    assert services.enqueue(order_for("https://files.example/a.mkv"))[1]
