"""Bytes from a host to a player: never more ahead than one block, and on at the same byte where a host breaks off.

What follows after a break must be the rest of the same file: of the same size, and beginning with the very bytes that
the player got last.
"""

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.outbound import OutboundError
from strm import headers
from strm.errors import Broken
from strm.opening import Opened
from strm.pulse import Pulse
from strm.upstream import Answer

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
Reopen = Callable[[str], Awaitable[Opened]]
"""Opens the same file again; takes the Range header."""

BREAKS: Final = 6
"""Breaks in a row, without a good stretch between them, before a player is told."""
GOOD_STRETCH: Final = 4 * 2**20
OVERLAP: Final = 4096
PAUSE_SECONDS: Final = 0.25


@dataclass(slots=True)
class Stretch:
    """The bytes that a player was promised: from `first` on, `length` of them, of a file of `total`."""

    first: int
    length: int
    total: int
    tag: str

    @classmethod
    def of(cls, answer: Answer) -> "Stretch | None":
        """What an answer promises; None where it could not be gone on with."""
        if answer.header("Content-Encoding").lower() not in ("", "identity"):
            return None
        length = headers.length(answer.header("Content-Length"))
        if length is None:
            return None
        if answer.status == 200:
            return cls(0, length, length, answer.header("ETag"))
        span = headers.content_range(answer.header("Content-Range"))
        if span is None or span.first is None or span.last is None or span.total is None:
            return None
        if span.last - span.first + 1 != length:
            return None
        return cls(span.first, length, span.total, answer.header("ETag"))


async def pump(
    opened: Opened, reopen: Reopen | None, send: Send, sent: Callable[[int], None], pulse: Pulse
) -> None:
    """Everything of an answer to the player; `sent` is told of each block. Raises AniBridgeError at a break for good.

    The answer is closed in any case.
    """
    with pulse:
        await _pump(opened, reopen, send, sent, pulse)


async def _pump(
    opened: Opened, reopen: Reopen | None, send: Send, sent: Callable[[int], None], pulse: Pulse
) -> None:
    answer = opened.answer
    stretch = None if reopen is None else Stretch.of(answer)
    done, breaks, since = 0, 0, 0
    last = b""
    while True:
        try:
            async for block in _decoded(answer):
                await send({"type": "http.response.body", "body": block, "more_body": True})
                done += len(block)
                since += len(block)
                last = block
                sent(len(block))
                if pulse.pause:
                    await asyncio.sleep(pulse.pause)
        except OutboundError as error:
            if stretch is None or reopen is None:
                raise
            breaks = 1 if since >= GOOD_STRETCH else breaks + 1
            since = 0
            if breaks > BREAKS:
                raise
            logger.info("after %s bytes: %s; going on", done, error)
        else:
            return
        finally:
            answer.close()
        if done >= stretch.length:
            return
        answer = await _gone_on(stretch, done, last, reopen, breaks)


async def _gone_on(stretch: Stretch, done: int, last: bytes, reopen: Reopen, breaks: int) -> Answer:
    """An answer whose next block is the one that is missing."""
    while True:
        await asyncio.sleep(PAUSE_SECONDS * 2 ** (breaks - 1))
        overlap = last[-OVERLAP:]
        start = stretch.first + done - len(overlap)
        end = stretch.first + stretch.length - 1
        try:
            opened = await reopen(f"bytes={start}-{end}")
        except AniBridgeError:
            breaks += 1
            if breaks > BREAKS:
                raise
            continue
        try:
            await _verify(opened.answer, stretch, start, overlap)
        except BaseException:
            opened.answer.close()
            raise
        return opened.answer


async def _verify(answer: Answer, stretch: Stretch, start: int, overlap: bytes) -> None:
    span = headers.content_range(answer.header("Content-Range"))
    if answer.status != 206 or span is None or span.first != start:
        raise Broken("the host cannot go on in the middle of a file")
    if span.total != stretch.total:
        raise Broken("the host has a file of another size there now")
    if not overlap and stretch.tag and answer.header("ETag") not in ("", stretch.tag):
        raise Broken("the host has another file there now")
    seen = await answer.peek(len(overlap))
    if not seen.startswith(overlap):
        raise Broken("the host has another file there now")
    answer.first = seen[len(overlap) :]


async def _decoded(answer: Answer) -> AsyncIterator[bytes]:
    """The body; one that was compressed although nobody asked for it is opened on the way."""
    encoding = answer.header("Content-Encoding").strip().lower()
    if encoding in ("", "identity"):
        async for block in answer.blocks():
            yield block
        return
    if encoding not in ("gzip", "x-gzip", "deflate") or answer.status != 200:
        raise Broken("the host compresses in a way that was not asked for")
    work = zlib.decompressobj(47)
    async for block in answer.blocks():
        try:
            piece = work.decompress(block, OPENED)
            while piece:
                yield piece
                piece = work.decompress(work.unconsumed_tail, OPENED)
        except zlib.error:
            raise Broken("what the host sends cannot be decompressed") from None


OPENED: Final = 256 * 1024
"""Bytes that a compressed block may become at once."""
