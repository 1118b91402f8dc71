"""What players are told: headers around a host's bytes, and every failure as a status with one sentence."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.outbound import OutboundError, TimedOut
from catalogue.errors import NoStream, NotFound, RateLimited, UnknownSite, UnsafeSlug
from catalogue.releases import Identity
from strm import headers, kinds
from strm.errors import (
    BadLink,
    HostRefused,
    LinkExpired,
    NoLongerThere,
    StartAgain,
    TooManyStreams,
)
from strm.headers import Headers
from strm.opening import Opened

WIRE: Mapping[type[Exception], int] = {
    BadLink: 403,
    LinkExpired: 410,
    NoLongerThere: 410,
    StartAgain: 410,
    TooManyStreams: 503,
    RateLimited: 503,
    NotFound: 404,
    UnknownSite: 404,
    UnsafeSlug: 404,
    NoStream: 404,
    TimedOut: 504,
    OutboundError: 502,
    AniBridgeError: 502,
}
_PASSED: Final = frozenset({404, 410, 429, 451})
"""What a host says that a player may hear as it is."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer; `complete` when the player can tell by it where the body ends."""

    status: int
    headers: Headers
    complete: bool = True

    @property
    def message(self) -> dict[str, Any]:
        return {"type": "http.response.start", "status": self.status, "headers": self.headers}


def failure(error: AniBridgeError) -> tuple[Head, bytes]:
    """Status, headers and the sentence for an expected error."""
    status = next(WIRE[one] for one in type(error).__mro__ if one in WIRE)
    if isinstance(error, HostRefused) and error.status in _PASSED:
        status = error.status
    body = f"{error}\n".encode()
    sent: Headers = [
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
        *headers.safe("text/plain; charset=utf-8", cors=True),
    ]
    if seconds := _patience(error):
        sent.append((b"retry-after", str(seconds).encode()))
    return Head(status, sent), body


def _patience(error: AniBridgeError) -> int:
    given = getattr(error, "retry_after", None)
    if isinstance(given, str):
        return min(int(given), 3600) if re.fullmatch(r"\d{1,6}", given, re.ASCII) else 0
    return min(int(given), 3600) if isinstance(given, int | float) and given > 0 else 0


def small(kind: str, body: bytes, *, cors: bool, name: str) -> Head:
    """The head of a body that is whole already: a playlist, a key."""
    sent: Headers = [
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode()),
        *headers.safe(kind, cors=cors, name=name),
    ]
    return Head(200, sent)


def media(
    opened: Opened, *, asked_range: bool, head: bool, cors: bool, kind: str, name: str
) -> Head:
    """The head for a host's answer. Raises HostRefused when that makes no sense."""
    answer = opened.answer
    sent: Headers = [
        (b"cache-control", b"private, no-transform"),
        *headers.safe(kind, cors=cors, name=name),
        *headers.passed_on(answer.headers),
    ]
    status, total = answer.status, opened.total
    if head and status == 206 and not asked_range:
        # The host knows no HEAD; it was asked for a byte, and told how many there are.
        sent.append((b"accept-ranges", b"bytes"))
        return Head(200, [*sent, *_length(total)])
    if status == 206:
        sent.append((b"accept-ranges", b"bytes"))
        span = headers.content_range(answer.header("Content-Range"))
        if span is not None and span.first is not None and asked_range:
            total_text = "*" if span.total is None else str(span.total)
            value = f"bytes {span.first}-{span.last}/{total_text}"
            sent.append((b"content-range", value.encode()))
        elif not asked_range or kinds.multipart_type(answer.header("Content-Type")) is None:
            raise HostRefused("the host sent another part than the one asked for", status=502)
    elif status == 416:
        span = headers.content_range(answer.header("Content-Range"))
        if span is not None and span.total is not None:
            sent.append((b"content-range", f"bytes */{span.total}".encode()))
        return Head(416, [*sent, (b"content-length", b"0")])
    elif answer.header("Accept-Ranges").strip().lower() == "bytes":
        sent.append((b"accept-ranges", b"bytes"))
    if status == 304:
        return Head(304, sent)
    plain = answer.header("Content-Encoding").strip().lower() in ("", "identity")
    size = total if total is not None else headers.length(answer.header("Content-Length"))
    known = _length(size) if plain else []
    return Head(status, [*sent, *known], complete=bool(known))


def _length(size: int | None) -> Headers:
    return [] if size is None else [(b"content-length", str(size).encode())]


def file_name(identity: Identity, kind: str) -> str:
    """What a browser calls the file when it saves it."""
    slug = _UNSAFE.sub("-", identity.slug).strip("-.")[:80] or "video"
    bare = identity.episode is None or identity.is_film
    number = "" if bare else f"-S{identity.season:02}E{identity.episode:02}"
    ends = {"video/webm": ".webm", "video/x-matroska": ".mkv", "video/mp2t": ".ts"}
    return f"{slug}{number}{ends.get(kind, '.mp4')}"
