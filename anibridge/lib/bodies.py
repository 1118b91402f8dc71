"""Request bodies that come in chunks, without a length of their own.

HTTP allows it, and clients that write a form while they make it do it; a proxy in front may do it for them. The WSGI side
reads as many bytes as the length says, so without one it would see an empty form.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from tempfile import SpooledTemporaryFile
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

IN_MEMORY: Final = 1 << 20
"""Bytes; of a longer body the rest lies in a temporary file."""
STEP: Final = 1 << 18
SECONDS: Final = 60.0
"""For the whole of it: nobody keeps one open for longer."""


class BodyRefused(Exception):
    """Too long, too slow, or given up by its sender. `status` is what the sender is told."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    async def answer(self, send: Send) -> None:
        """Say so, and close the connection: what else comes on it belongs to the refused body."""
        text = f"{self}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def has_no_length(scope: Scope) -> bool:
    """Whether the request has a body of which nobody has said how long it is."""
    names = {name.lower() for name, _ in scope["headers"]}
    return b"transfer-encoding" in names and b"content-length" not in names


async def measured(scope: Scope, receive: Receive, *, most: int) -> tuple[Scope, Receive]:
    """Read the whole body, and give it on with its length. Raises BodyRefused for one of more than `most` bytes."""
    body = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  closed with its last byte
    size, more = 0, True
    try:
        async with asyncio.timeout(SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyRefused(400, "the request ended before its body did")
                block = message.get("body", b"")
                size += len(block)
                if size > most:
                    raise BodyRefused(413, f"a body without a length may have {most} bytes at most")
                body.write(block)
                more = message.get("more_body", False)
    except TimeoutError:
        body.close()
        raise BodyRefused(408, f"the body did not come within {SECONDS:.0f} s") from None
    except BaseException:
        body.close()
        raise
    body.seek(0)
    left = size

    async def give() -> Message:
        nonlocal left
        if body.closed:
            return await receive()
        block = body.read(STEP)
        left -= len(block)
        if left <= 0:
            body.close()
        return {"type": "http.request", "body": block, "more_body": left > 0}

    kept = [(name, value) for name, value in scope["headers"] if name != b"transfer-encoding"]
    length = (b"content-length", str(size).encode())
    return {**scope, "headers": [*kept, length]}, give
