"""Clients of the event streams, driven as a server drives them: any number at once, in one event loop."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from anibridge import asgi
from downloads import live
from downloads.models import Job

ALL = "/api/v1/downloads/events"
PATIENCE = 30.0


@dataclass(frozen=True)
class Told:
    """One event of a stream."""

    event: str
    id: str
    data: Any


class Ear:
    """One request for a stream; `async with` holds it open, leaving the block is the client hanging up."""

    def __init__(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        key: bool = True,
    ) -> None:
        path, _, query = path.partition("?")
        given = {
            "host": "testserver",
            **({"x-api-key": settings.API_KEY} if key else {}),
            **(headers or {}),
        }
        self.scope = {
            "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "server": ("testserver", 80), "client": ("127.0.0.1", 1),
            "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
        }  # fmt: skip
        self.sent: list[dict[str, Any]] = []
        self.blocks: asyncio.Event | None = None
        """Set by a test: this client does not read, so sending waits."""
        self._left = asyncio.Event()
        self._came = asyncio.Condition()
        self._asked = False

    async def __aenter__(self) -> "Ear":
        self.task = asyncio.create_task(asgi.application(self.scope, self._receive, self._send))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Hang up, and wait until the application has let go."""
        self._left.set()
        if self.blocks is not None:
            self.blocks.set()
        await asyncio.wait_for(self.task, PATIENCE)

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.blocks is not None:
            await self.blocks.wait()
        self.sent.append(dict(message))
        async with self._came:
            self._came.notify_all()

    async def until(self, there: Callable[["Ear"], Any]) -> Any:
        """Wait for what a test looks for, and give it back."""

        async def wait() -> Any:
            async with self._came:
                while not (found := there(self)):
                    await self._came.wait()
                return found

        return await asyncio.wait_for(wait(), PATIENCE)

    async def open(self) -> "Ear":
        """Wait until the stream has begun."""
        await self.until(lambda ear: ear.body)
        return self

    async def over(self) -> "Ear":
        """Wait until the answer has come to its end by itself."""
        await asyncio.wait_for(asyncio.shield(self.task), PATIENCE)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(m["body"] for m in self.sent if m["type"] == "http.response.body")

    @property
    def told(self) -> list[Told]:
        """The events so far, read by the rules of the format."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "data" in fields:
                data = json.loads(fields["data"])
                found.append(Told(fields.get("event", ""), fields.get("id", ""), data))
        return found

    @property
    def downloads(self) -> list[dict[str, Any]]:
        """What was said about downloads, without the events that have a name of their own."""
        return [one.data for one in self.told if not one.event]

    def events(self, name: str) -> list[Any]:
        return [one.data for one in self.told if one.event == name]


def close_connections() -> None:
    """The streams' threads keep their connections; the test database must be free of them at the end."""
    for pool in (live.threads, asgi._threads.executor):
        barrier = threading.Barrier(len(pool._threads) + 1)

        def close(barrier: threading.Barrier = barrier) -> None:
            connection.close()
            barrier.wait(10)  # no thread takes two of these

        for _ in range(len(pool._threads)):
            pool.submit(close)
        barrier.wait(10)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Changes are looked for fifty times a second."""
    monkeypatch.setattr(live, "EVERY_SECONDS", 0.02)
    yield
    close_connections()


def run(talk: Callable[[], Awaitable[Any]]) -> Any:
    """Hold a conversation; afterwards nobody listens and nothing looks."""

    async def all_of_it() -> Any:
        try:
            return await talk()
        finally:
            assert not live.hub().listeners, "somebody still listens"
            assert live.hub()._task is None, "the hub still looks"

    return asyncio.run(all_of_it())


async def db(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Something done elsewhere while the streams are open."""
    return await live.in_thread(lambda: work(*arguments, **named))


def one(job: Job) -> str:
    """The stream of one download."""
    return f"/api/v1/downloads/{job.pk}/events"
