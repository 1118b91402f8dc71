"""WSGI on threads: answers reach the loop whole, or piece by piece when they are long."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from anibridge.lib import threads
from anibridge.lib.threads import OnThreads

Message = dict[str, Any]
SCOPE = {
    "type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "http_version": "1.1",
}  # fmt: skip


def app_of(body: Callable[[], Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body()

    return app


async def _asked(app: Any, heard: Callable[[Message], None] = lambda _: None) -> list[Message]:
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        heard(message)
        told.append(message)

    await OnThreads(app, workers=1)(SCOPE, receive, send)  # type: ignore[arg-type]
    return told


def ask(app: Any, heard: Callable[[Message], None] = lambda _: None) -> list[Message]:
    return asyncio.run(asyncio.wait_for(_asked(app, heard), 60))


def body_of(told: list[Message]) -> bytes:
    return b"".join(one.get("body", b"") for one in told)


def test_an_answer_comes_as_it_is():
    told = ask(app_of(lambda: [b"one ", b"", b"two"]))
    assert told[0]["status"] == 200
    assert (b"content-type", b"text/plain") in told[0]["headers"]
    assert told[1:] == [{"type": "http.response.body", "body": b"one two"}]


def test_nothing_is_sent_of_an_answer_that_breaks_off():
    def broken() -> Iterable[bytes]:
        yield b"the beginning"
        raise ValueError("and then")

    told: list[Message] = []
    with pytest.raises(ValueError, match="and then"):
        ask(app_of(broken), told.append)
    assert told == []


def test_a_short_answer_waits_for_nobody():
    """The thread is done before the loop has taken anything."""
    done = threading.Event()
    was_done: list[bool] = []

    def short() -> Iterable[bytes]:
        yield b"x"
        done.set()

    told = ask(app_of(short), lambda _: was_done.append(done.wait(30)))
    assert was_done == [True] * len(told)
    assert body_of(told) == b"x"


def test_a_long_answer_goes_piece_by_piece_as_fast_as_it_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "HELD", 1000)
    made, ahead = [0], [0]
    taken = [0]

    def long() -> Iterable[bytes]:
        for number in range(100):
            made[0] += 1
            ahead[0] = max(ahead[0], made[0] - taken[0])
            yield bytes([number]) * 100

    def heard(message: Message) -> None:
        taken[0] += len(message.get("body", b"")) > 0

    told = ask(app_of(long), heard)
    assert body_of(told) == b"".join(bytes([n]) * 100 for n in range(100))
    # What is held at first, and what the library's queue holds.
    assert ahead[0] < 40
