"""A player that speaks ASGI: it drives `anibridge.asgi` on an event loop of its own, as a server would."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from django.db import connection

from anibridge import asgi
from strm import streams, threads

T = TypeVar("T")
PATIENCE = 60


@dataclass
class Reply:
    """What came back. `finished` is False where the answer broke off."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    finished: bool = False
    blocks: int = 0

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def uris(self) -> list[str]:
        """The lines of a playlist that are addresses."""
        return [line for line in self.text.split("\n") if line.strip() and not line.startswith("#")]


class Conversation:
    """One request under way; `leave` hangs up, `hold` stops taking."""

    def __init__(self, scope: dict[str, Any], take: int | None) -> None:
        self.reply = Reply()
        self._scope = scope
        self._take = take
        self.left = asyncio.Event()
        self.enough = asyncio.Event()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._asked = False

    async def run(self) -> Reply:
        async def receive() -> dict[str, Any]:
            if not self._asked:
                self._asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self.left.wait()
            return {"type": "http.disconnect"}

        await asgi.application(self._scope, receive, self._send)
        self.enough.set()
        return self.reply

    async def _send(self, message: Any) -> None:
        if self.left.is_set():
            return
        if message["type"] == "http.response.start":
            self.reply.status = message["status"]
            for name, value in message["headers"]:
                # What the server would refuse must never get this far.
                assert name == name.lower()
                assert not set(value) & set(b"\r\n\0")
                self.reply.headers[name.decode()] = value.decode("latin-1")
            return
        self.reply.body += message["body"]
        self.reply.blocks += bool(message["body"])
        self.reply.finished = not message.get("more_body")
        if self._take is not None and len(self.reply.body) >= self._take:
            self.enough.set()
            self.flowing.clear()
        await self.flowing.wait()


class Player:
    """`get` plays to the end; `open` begins, and leaves the rest to the test."""

    base = "http://anibridge.test"

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def call(self, work: Callable[[], T]) -> T:
        async def inside() -> T:
            return work()

        return self.run(inside())

    @property
    def engine(self) -> streams.Engine:
        return self.call(streams.engine)

    def get(self, url: str, *, method: str = "GET", base: str = "", **headers: str) -> Reply:
        talk = self.call(lambda: Conversation(self.scope(url, method, base, headers), None))
        return self.run(asyncio.wait_for(talk.run(), PATIENCE))

    def follow(self, url: str, reply_of: str, **headers: str) -> Reply:
        """An address out of the playlist that came from `reply_of`."""
        return self.get(urljoin(reply_of, url), **headers)

    @contextmanager
    def open(self, url: str, *, take: int = 1, **headers: str) -> Iterator[Conversation]:
        """A request whose answer is taken until `take` bytes are there."""
        talk = self.call(lambda: Conversation(self.scope(url, "GET", "", headers), take))
        task = asyncio.run_coroutine_threadsafe(talk.run(), self._loop)
        self.run(asyncio.wait_for(talk.enough.wait(), PATIENCE))
        try:
            yield talk
        finally:
            self.call(talk.left.set)
            self.call(talk.flowing.set)
            task.result(PATIENCE)

    def leave(self, talk: Conversation) -> None:
        """Hangs up; the server is still stuck in what it was sending, as with a real connection."""
        self.call(talk.left.set)

    def finish(self, talk: Conversation) -> None:
        def go_on() -> None:
            talk._take = None
            talk.flowing.set()

        self.call(go_on)

    def scope(self, url: str, method: str, base: str, headers: dict[str, str]) -> dict[str, Any]:
        parts = urlsplit(urljoin(base or self.base, url))
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        return {
            "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "method": method,
            "scheme": "http", "path": parts.path, "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "root_path": "", "server": ("anibridge.test", 80),
            "client": ("127.0.0.1", 50000),
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in {"host": "anibridge.test", **named}.items()],
        }  # fmt: skip

    def close(self) -> None:
        self.run(streams.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        for pool in (threads.DATABASE, threads.LOOKING):
            close_connections(pool)


def close_connections(pool: Any) -> None:
    """The threads keep their connections; the test database must be free of them at the end."""
    count = len(pool._threads)
    barrier = threading.Barrier(count + 1)

    def close() -> None:
        connection.close()
        barrier.wait(PATIENCE)  # no thread takes two of these

    for _ in range(count):
        pool.submit(close)
    barrier.wait(PATIENCE)
