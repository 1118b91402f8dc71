"""Answering with a file of the cache: ranges and conditions as a web server does it."""

import re
from typing import Any, Final

from strm import answers, headers
from strm.headers import Headers
from strm.remuxed import Made

_RANGE: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


def head_for(
    made: Made, passed: dict[str, str], *, cors: bool, name: str
) -> tuple[answers.Head, int, int]:
    """The head of the answer, and which bytes follow: the first, and how many. Several ranges become the whole file."""
    sent: Headers = [
        (b"cache-control", b"private, no-transform"),
        (b"accept-ranges", b"bytes"),
        (b"etag", made.tag.encode()),
        *headers.safe(made.kind, cors=cors, name=name),
    ]
    if _names(passed.get("If-None-Match", ""), made.tag):
        return answers.Head(304, sent), 0, 0
    wanted = passed.get("Range", "")
    if passed.get("If-Range", made.tag) != made.tag:
        wanted = ""
    span = _span(wanted, made.size)
    if span is None:
        length = (b"content-length", str(made.size).encode())
        return answers.Head(200, [*sent, length]), 0, made.size
    first, last = span
    if first > last:
        none = (b"content-range", f"bytes */{made.size}".encode())
        return answers.Head(416, [*sent, none, (b"content-length", b"0")]), 0, 0
    sent += [
        (b"content-range", f"bytes {first}-{last}/{made.size}".encode()),
        (b"content-length", str(last - first + 1).encode()),
    ]
    return answers.Head(206, sent), first, last - first + 1


def _names(condition: str, tag: str) -> bool:
    return condition.strip() == "*" or tag in [one.strip() for one in condition.split(",")]


def _span(text: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None for no range, or one that is not understood; first > last where it lies outside."""
    match = _RANGE.fullmatch(text)
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        count = int(match[2])
        return (max(size - count, 0), size - 1) if count else (size, size - 1)
    first, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    return first, min(last, size - 1)


async def deliver(
    request: Any, made: Made, passed: dict[str, str], sent: Any, *, name: str
) -> None:
    """The whole answer to a player; `sent` is told of each block. The file is closed in any case."""
    try:
        head, first, length = head_for(made, passed, cors=request.cors, name=name)
        if request.head or not length:
            await request.whole(head, b"")
            return
        await request.begin(head)
        async for block in made.blocks(first, length):
            await request.send({"type": "http.response.body", "body": block, "more_body": True})
            sent(len(block))
        await request.send({"type": "http.response.body", "body": b""})
    finally:
        made.close()
