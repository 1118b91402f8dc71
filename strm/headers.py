"""Which headers pass, in which direction. Everything that is not named here stays behind."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

Headers = list[tuple[bytes, bytes]]

MAX_RANGES: Final = 16
_RANGE = re.compile(r"bytes=\s*(?:\d{0,18}-\d{0,18})(?:\s*,\s*\d{0,18}-\d{0,18})*", re.ASCII | re.I)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')
_DATE = re.compile(r"[A-Za-z]{3}, \d\d [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d GMT")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII | re.I)
_PRINTABLE = re.compile(r"[\x20-\x7e]{0,4096}")
_NAME = re.compile(r"[A-Za-z0-9-]{1,60}")
_OURS = frozenset(
    [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "upgrade",
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "accept-encoding",
        "expect",
        "trailer",
        "proxy-authorization",
    ]
)
"""What a resolver may not decide."""
_SAFETY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; media-src 'self'; sandbox"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"referrer-policy", b"no-referrer"),
]
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Content-Length, Content-Range, Accept-Ranges, ETag"),
]
PREFLIGHT: Headers = [
    *_CORS,
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-headers", b"Range, If-Range, If-None-Match, If-Modified-Since, X-Api-Key"),
    (b"access-control-max-age", b"86400"),
]  # fmt: skip


def from_client(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Of a player's request what the host gets: the ranges and conditions, where they are well formed."""
    passed: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        if name == "range" and len(value) <= 400 and value.count(",") < MAX_RANGES:
            if _RANGE.fullmatch(value) and all(map(_is_span, value[6:].split(","))):
                # Its unit may be written as one likes (RFC 9110 §14.1); not every host knows that.
                passed["Range"] = f"bytes={value[6:]}"
        elif name == "if-range" and (_TAG.fullmatch(value) or _DATE.fullmatch(value)):
            passed["If-Range"] = value
        elif name == "if-none-match" and _tags(value):
            passed["If-None-Match"] = value
        elif name == "if-modified-since" and _DATE.fullmatch(value):
            passed["If-Modified-Since"] = value
    return passed


def _is_span(text: str) -> bool:
    """Whether it names bytes at all: a host that refuses one that does not would be taken for one in trouble."""
    first, _, last = text.strip().partition("-")
    return bool(first or last) and not (first and last and int(first) > int(last))


def _tags(value: str) -> bool:
    return value == "*" or (
        len(value) <= 1000 and all(_TAG.fullmatch(one.strip()) for one in value.split(","))
    )


def from_resolver(headers: Mapping[str, str]) -> dict[str, str]:
    """What the resolver wants sent along (Referer, User-Agent, cookies), as far as it is a header at all."""
    return {
        name.title(): value  # in one spelling, so that each takes the place of ours
        for name, value in headers.items()
        if _NAME.fullmatch(name) and name.lower() not in _OURS and _PRINTABLE.fullmatch(value)
    }


@dataclass(frozen=True, slots=True)
class Span:
    """A Content-Range: `first` and `last` are None for one that cannot be satisfied, `total` where it is not known."""

    first: int | None
    last: int | None
    total: int | None


def content_range(value: str) -> Span | None:
    """A Content-Range header of bytes; None for none, or one that makes no sense."""
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if match is None:
        return None
    first, last, total = (int(text) if text and text != "*" else None for text in match.groups())
    if (
        first is not None
        and last is not None
        and not (first <= last < (last + 1 if total is None else total))
    ):
        return None
    return Span(first, last, total)


def length(value: str) -> int | None:
    """A Content-Length; None for none."""
    return int(value) if re.fullmatch(r"\d{1,18}", value, re.ASCII) else None


def passed_on(upstream: Mapping[str, str]) -> Headers:
    """Validators of the host's answer, where they are well formed. Nothing else of it is trusted with the wire."""
    kept: Headers = []
    if _TAG.fullmatch(tag := upstream.get("ETag", "").strip()):
        kept.append((b"etag", tag.encode("ascii")))
    if _DATE.fullmatch(date := upstream.get("Last-Modified", "").strip()):
        kept.append((b"last-modified", date.encode("ascii")))
    return kept


def safe(kind: str, *, cors: bool, name: str = "") -> Headers:
    """The headers of every body that goes out: its type, and that no browser may make more of it than that."""
    disposition = "attachment" if kind == "application/octet-stream" else "inline"
    if name:
        disposition += f'; filename="{name}"'
    return [
        (b"content-type", kind.encode("latin-1")),
        (b"content-disposition", disposition.encode("latin-1")),
        *_SAFETY,
        *(_CORS if cors else []),
    ]
