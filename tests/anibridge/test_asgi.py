"""The ASGI side: what is routed where, and live progress, driven as a server drives it."""

import asyncio
import json
import threading
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from anibridge import asgi
from downloads import events, services, transitions
from downloads.models import Job, JobStatus
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db(transaction=True)


class Conversation:
    """One request; `leave()` is the client hanging up."""

    def __init__(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None):
        path, _, query = path.partition("?")
        self.scope = {
            "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "server": ("testserver", 80), "client": ("127.0.0.1", 1),
            "headers": [
                (k.lower().encode(), v.encode()) for k, v in {"host": "testserver", **(headers or {})}.items()
            ],
        }  # fmt: skip
        self.sent: list[dict[str, Any]] = []
        self._asked = False

    def run(self, *, until: int | None = None) -> "Conversation":
        """Talk to the end, or until `until` body messages came and the client leaves."""

        async def talk() -> None:
            left = asyncio.Event()

            async def receive() -> dict[str, Any]:
                if not self._asked:
                    self._asked = True
                    return {"type": "http.request", "body": b"", "more_body": False}
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                self.sent.append(dict(message))
                if until is not None and len(self.bodies) >= until:
                    left.set()

            await asyncio.wait_for(asgi.application(self.scope, receive, send), 30)

        asyncio.run(talk())
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def bodies(self) -> list[bytes]:
        return [m["body"] for m in self.sent if m["type"] == "http.response.body" and m["body"]]

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body[6:]) for body in self.bodies if body.startswith(b"data: ")]


@pytest.fixture(autouse=True)
def closed_connections():
    """The events' threads keep their connections; the test database must be free of them at the end."""
    yield
    for pool in (events._threads, asgi._threads.executor):
        barrier = threading.Barrier(len(pool._threads) + 1)

        def close(barrier: threading.Barrier = barrier) -> None:
            connection.close()
            barrier.wait(10)  # no thread takes two of these

        for _ in range(len(pool._threads)):
            pool.submit(close)
        barrier.wait(10)


def key() -> dict[str, str]:
    return {"X-Api-Key": settings.API_KEY}


def test_ordinary_paths_reach_django():
    answer = Conversation("/healthz").run()
    assert (answer.status, b"".join(answer.bodies)) == (200, b"ok")


def test_a_head_request_has_no_body():
    answer = Conversation("/healthz", method="HEAD").run()
    assert (answer.status, answer.bodies) == (200, [])


def test_events_need_the_key_or_a_session():
    job, _ = services.enqueue(order())
    assert Conversation(f"/jobs/{job.pk}/events").run().status == 403
    wrong = Conversation(f"/jobs/{job.pk}/events", headers={"X-Api-Key": "wrong"}).run()
    assert wrong.status == 403
    assert json.loads(wrong.bodies[0])["code"] == "forbidden"


def test_a_signed_in_user_may_read_events(admin_client: Client):
    job, _ = services.enqueue(order())
    services.cancel(job.pk)
    cookie = f"{settings.SESSION_COOKIE_NAME}={admin_client.session.session_key}"
    answer = Conversation(f"/jobs/{job.pk}/events", headers={"Cookie": cookie}).run()
    assert answer.status == 200
    forged = f"{settings.SESSION_COOKIE_NAME}=forged"
    assert Conversation(f"/jobs/{job.pk}/events", headers={"Cookie": forged}).run().status == 403


def test_events_of_an_unknown_job_are_a_404():
    assert Conversation("/jobs/999999/events", headers=key()).run().status == 404
    assert Conversation(f"/jobs/{'f' * 40}/events", headers=key()).run().status == 404


def test_events_are_read_with_get():
    assert Conversation("/jobs/1/events", method="POST", headers=key()).run().status == 405


def test_events_end_with_the_job_and_the_key_may_stand_in_the_query():
    job, _ = services.enqueue(order())
    services.cancel(job.pk)
    answer = Conversation(f"/jobs/{job.infohash}/events?apikey={settings.API_KEY}").run()
    assert [told["status"] for told in answer.told] == ["cancelled"]
    assert dict(answer.sent[0]["headers"])[b"content-type"] == b"text/event-stream"
    assert answer.sent[-1] == {"type": "http.response.body", "body": b""}


def test_events_tell_each_change_as_it_happens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "EVERY_SECONDS", 0.02)
    job, _ = services.enqueue(order())
    token = transitions.claim(job.pk, "worker")
    steps = iter([0.25, 0.75])

    real = events._read

    def read(reference: str) -> Any:
        """Between two looks of the stream the worker goes on."""
        state = real(reference)
        step = next(steps, None)
        if step is not None:
            transitions.beat(job.pk, token, progress=step)
        else:
            transitions.move(job.pk, JobStatus.COMPLETED, token=token, progress=1.0)
        return state

    monkeypatch.setattr(events, "_read", read)
    answer = Conversation(f"/jobs/{job.pk}/events", headers=key()).run()
    assert [told["progress"] for told in answer.told] == [0, 0.25, 0.75, 1]
    assert answer.told[-1]["status"] == "completed"


def test_a_client_that_leaves_ends_the_stream(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "EVERY_SECONDS", 0.02)
    job, _ = services.enqueue(order())
    answer = Conversation(f"/jobs/{job.pk}/events", headers=key()).run(until=1)
    assert len(answer.told) == 1
    assert Job.objects.get(pk=job.pk).status == JobStatus.QUEUED
