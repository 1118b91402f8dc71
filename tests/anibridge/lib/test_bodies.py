"""Request bodies without a length: read whole, bounded, given on with one."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from anibridge.lib import bodies

CHUNKED = [(b"content-type", b"text/plain"), (b"transfer-encoding", b"chunked")]


def request(parts: Iterable[bytes], headers: Any = CHUNKED, *, most: int = 10**7) -> Any:
    """What the application behind it is told: the headers, and the body in the pieces in which it comes."""
    parts = list(parts)
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ] + [{"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def talk() -> Any:
        scope, give = await bodies.measured({"headers": headers}, receive, most=most)
        told = [await give()]
        while told[-1]["more_body"]:
            told.append(await give())
        return dict(scope["headers"]), [one["body"] for one in told], await give()

    return asyncio.run(talk())


@pytest.mark.parametrize("parts", [[b""], [b"a=1&", b"b=2"], [b"x" * 300_000] * 5])
def test_the_body_is_given_on_whole_and_with_its_length(parts: list[bytes]):
    headers, told, after = request(parts)
    whole = b"".join(parts)
    assert b"".join(told) == whole
    assert headers == {b"content-type": b"text/plain", b"content-length": b"%d" % len(whole)}
    assert max(map(len, told)) <= bodies.STEP
    assert after == {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (CHUNKED, True),
        ([(b"content-length", b"3")], False),
        ([(b"content-length", b"3"), *CHUNKED], False),
        ([], False),
    ],
)
def test_only_bodies_without_a_length_are_meant(headers: Any, expected: bool):
    assert bodies.has_no_length({"headers": headers}) is expected


def test_one_that_is_too_long_is_refused_before_it_is_all_there():
    with pytest.raises(bodies.BodyRefused, match="100 bytes at most") as refused:
        request((b"x" * 60 for _ in range(1000)), most=100)
    assert refused.value.status == 413
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(refused.value.answer(send))
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"connection"]) == (413, b"close")
    assert len(sent[1]["body"]) == int(dict(sent[0]["headers"])[b"content-length"])


def test_one_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "SECONDS", 0.05)

    async def receive() -> Any:
        await asyncio.sleep(60)

    with pytest.raises(bodies.BodyRefused) as refused:
        asyncio.run(bodies.measured({"headers": CHUNKED}, receive, most=100))
    assert refused.value.status == 408


def test_a_sender_that_leaves_is_noticed():
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(bodies.BodyRefused):
        asyncio.run(bodies.measured({"headers": CHUNKED}, receive, most=100))
