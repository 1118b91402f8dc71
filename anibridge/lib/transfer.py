"""One file over HTTP into one partial file, going on where an earlier attempt stopped.

Beside the partial file lies a small JSON file with what the server said about the file (its validators and its size).
A request for the rest names them (RFC 9110: `If-Range`), and where there are none the last bytes are fetched again and
compared, so that bytes of two versions are never joined. Only one process may work on a partial file at a time; that
is the caller's business.
"""

import json
import os
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic

from anibridge.lib import http, watch
from anibridge.lib.disposition import file_name, name_of_address
from anibridge.lib.http import GuardedSession, Streamed
from anibridge.lib.outbound import OutboundError, TimedOut, TooLarge, UnexpectedAnswer, host_of
from anibridge.lib.sniff import HEAD_BYTES
from anibridge.lib.watch import Throttle

BLOCK = 256 * 1024
OVERLAP = 64 * 1024
"""How much is fetched again to be compared, where a server gives nothing to recognise a file by."""
STEP_FORWARD = 256 * 1024
"""An attempt that came so much further than all before it does not count as a failure."""
CRAWL = 1024
"""Fewer bytes than this within the stall time are as good as none."""
MAX_RESTARTS = 5
BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0
LONGEST_PATIENCE = 24 * 3600.0

_CONTENT_RANGE = re.compile(
    r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE
)
_UNSATISFIED = re.compile(r"bytes\s+\*/(\d{1,18})", re.ASCII | re.IGNORECASE)
_BUSY = {
    429: "asks for patience",
    458: "allows no more connections",
    509: "has used up its bandwidth",
}
_WORDS = {
    401: "asks for a login",
    403: "does not allow this download",
    404: "does not have the file",
    407: "asks for a login at a proxy",
    410: "does not have the file any more",
    451: "may not give this file out for legal reasons",
}
_LASTING = frozenset({501, 505, 510, 511})
"""Server errors that no second attempt changes."""


class Busy(OutboundError):
    """The server asks for patience; `retry_after` is in seconds where it named a time."""

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WrongContent(OutboundError):
    """What the server sends is not the file that was asked for, and will not be at the next attempt."""

    retryable = False


class _Unjoinable(Exception):
    """What is here and what the server sends are not the same file: it has to be fetched from its beginning."""


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer says about the file; `total` in bytes, `name` as the server calls it or its address ends."""

    name: str = ""
    content_type: str = ""
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that is there as completely as its server could tell. `announced`: its size was known before its end."""

    path: Path
    size: int
    head: Head
    announced: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of the file beside its bytes. No address: those carry tokens."""

    etag: str = ""
    modified: str = ""
    total: int | None = None
    name: str = ""
    content_type: str = ""

    @property
    def condition(self) -> str:
        """The validator that may be named in If-Range; weak ones may not."""
        return self.modified if self.etag.startswith("W/") or not self.etag else self.etag

    @property
    def head(self) -> Head:
        return Head(self.name, self.content_type, self.total)


def notes_of(partial: Path) -> Path:
    """Where the notes about a partial file lie."""
    return partial.with_name(f"{partial.name}.json")


def fetch_file(
    url: str,
    partial: Path,
    *,
    session: GuardedSession,
    headers: Mapping[str, str] | None = None,
    throttle: Throttle | None = None,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
    accept: Callable[[Head, bytes], None] = lambda head, start: None,
    on_refusal: Callable[[int, Mapping[str, str], bytes], None] | None = None,
    stall: float = 60.0,
    retries: int = 3,
    max_bytes: int | None = None,
) -> Arrived:
    """Fetches `url` into `partial`, going on from the bytes that are there; returns when all of it has arrived.

    `accept` sees the answer's head and the first bytes of the file before more is taken, and raises to refuse it;
    `on_refusal` sees status, headers and the beginning of an answer that is none. No time is set for the whole, but
    `stall` seconds without bytes are too many. `retries` counts attempts that came no further. Raises Busy at once,
    WrongContent, TooLarge, UnexpectedAnswer and other errors of `anibridge.lib.outbound`, OSError of the disk, and
    unchanged what the callbacks and a surrounding `cancellation` raise.
    """
    return _Transfer(
        url=url,
        partial=partial,
        session=session,
        headers={**(headers or {}), "Accept-Encoding": "identity"},
        throttle=throttle or Throttle(),
        on_progress=on_progress,
        accept=accept,
        on_refusal=on_refusal,
        stall=stall,
        max_bytes=max_bytes,
    ).run(retries)


def retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header asks for, whether it names a number or a date; None when it is neither."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return min(float(value), LONGEST_PATIENCE)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_PATIENCE)


def backoff(failures: float) -> float:
    """How long to wait after so many failures: twice as long each time, and never the same for everybody."""
    seconds = BACKOFF_SECONDS * 2.0 ** max(0.0, min(failures, 10.0) - 1)
    return min(seconds, MAX_BACKOFF_SECONDS) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


@dataclass(slots=True)
class _Transfer:
    url: str
    partial: Path
    session: GuardedSession
    headers: dict[str, str]
    throttle: Throttle
    on_progress: Callable[[int, int | None], None]
    accept: Callable[[Head, bytes], None]
    on_refusal: Callable[[int, Mapping[str, str], bytes], None] | None
    stall: float
    max_bytes: int | None
    known: _Known = _Known()
    ranges: bool = True
    best: int = 0
    restarts: int = 0
    announced: bool = False
    until: int | None = None
    waited: float = 0.0
    crawled: int = 0

    def run(self, retries: int) -> Arrived:
        self.known = self._read_notes()
        failures = 0.0
        while True:
            before = self.best
            try:
                if self._attempt():
                    return Arrived(self.partial, self._size(), self.known.head, self.announced)
                failure = OutboundError(f"{host_of(self.url)} sends the file in too small pieces")
            except _Unjoinable as error:
                self._start_over(str(error))
                continue
            except OutboundError as error:
                if not error.retryable or isinstance(error, Busy) or error is watch.stopped():
                    raise
                failure = error
            gained = self.best - before
            failures = 0.0 if gained >= STEP_FORWARD else failures + (0.25 if gained > 0 else 1.0)
            if failures > retries:
                raise failure
            watch.pause(backoff(failures))

    def _start_over(self, reason: str) -> None:
        """The bytes that are here are of no use. Raises when that has happened too often."""
        self.restarts += 1
        if self.restarts > MAX_RESTARTS:
            raise WrongContent(f"{host_of(self.url)} sends another file each time: {reason}")
        self.partial.unlink(missing_ok=True)
        self.known, self.best = _Known(), 0

    def _attempt(self) -> bool:
        """One request. Whether the file is complete now; when not, more of it has to be asked for."""
        size = self._size()
        self.best = max(self.best, size)
        if size and size == self.known.total:
            self.announced = True
            self._look_at_what_is_here()
            return True
        offset = size
        headers = dict(self.headers)
        if size and self.ranges:
            if self.known.condition:
                headers["If-Range"] = self.known.condition
            else:
                offset = max(0, size - OVERLAP)
            headers["Range"] = f"bytes={offset}-"
        with http.stream(
            self.url, session=self.session, headers=headers, timeout=self.stall
        ) as answer:
            if answer.status == 416:
                return self._beyond_the_end(answer, size)
            if answer.status not in (200, 203, 206):
                raise self._refused(answer)
            encoding = answer.headers.get("content-encoding", "").strip().lower()
            if encoding not in ("", "identity"):
                raise WrongContent(
                    f"{host_of(self.url)} sends the file compressed ({encoding[:20]}), though that was not asked for"
                )
            if answer.status == 206:
                offset = self._check_part(answer, offset if "Range" in headers else 0)
            else:
                offset = 0
                # RFC 9112, 6.3: beside a transfer coding, a length says nothing.
                length = None if "transfer-encoding" in answer.headers else answer.length
                self.known = _learnt(answer, length)
                self.until = length
            return self._take(answer, offset)

    def _check_part(self, answer: Streamed, offset: int) -> int:
        """Where a part begins; raises _Unjoinable when it is not the part that was asked for."""
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", "").strip())
        if found is None or int(found[1]) != offset or int(found[2]) < int(found[1]):
            # Whatever comes would land in the wrong place; without ranges there is no doubt about it.
            self.ranges = False
            raise _Unjoinable("it sent another part of the file than asked for")
        total = None if found[3] == "*" else int(found[3])
        if total is not None and int(found[2]) >= total:
            self.ranges = False
            raise _Unjoinable("it sent a part that lies beyond the end of the file")
        fresh = _learnt(answer, total)
        known = self.known
        if offset or known.total is not None:
            for old, new in ((known.total, fresh.total), (known.etag, fresh.etag)):
                if old and new and old != new:
                    raise _Unjoinable("the file changed in between")
        self.until = int(found[2]) + 1
        self.known = replace(
            fresh,
            etag=fresh.etag or known.etag,
            modified=fresh.modified or known.modified,
            total=fresh.total if fresh.total is not None else known.total,
        )
        return offset

    def _beyond_the_end(self, answer: Streamed, size: int) -> bool:
        """A range that cannot be satisfied: everything is here, or what is here is another file."""
        if not size:
            raise self._refused(answer)
        found = _UNSATISFIED.fullmatch(answer.headers.get("content-range", "").strip())
        total = int(found[1]) if found else None
        etag = answer.headers.get("etag", "")
        same = not (etag and self.known.etag) or etag == self.known.etag
        if same and total == size and self.known.total in (None, size):
            self.known = replace(self.known, total=size)
            self.announced = True
            self._look_at_what_is_here()
            return True
        raise _Unjoinable("what is here is longer than the file")

    def _refused(self, answer: Streamed) -> OutboundError:
        """The error that a status stands for."""
        status, host = answer.status, host_of(self.url)
        if self.on_refusal is not None:
            self.on_refusal(status, answer.headers, answer.read_some(64 * 1024))
        patience = retry_after(answer.headers.get("retry-after", ""))
        if status in _BUSY:
            return Busy(f"{host} {_BUSY[status]} (HTTP status {status})", retry_after=patience)
        if status == 503 and patience is not None:
            return Busy(f"{host} is not available now (HTTP status 503)", retry_after=patience)
        again = status in (408, 425) or (500 <= status < 600 and status not in _LASTING)
        words = _WORDS.get(status, "cannot give the file out" if status >= 300 else "sent no file")
        return UnexpectedAnswer(
            f"{host} {words} (HTTP status {status})", status=status, retryable=again
        )

    def _take(self, answer: Streamed, offset: int) -> bool:
        """Write the body from `offset` on; whether the file is complete with it."""
        total = self.known.total
        self.announced = total is not None
        self._require_fit(total or 0)
        start = self._first_bytes(answer)
        if offset == 0:
            self.accept(self.known.head, start[:HEAD_BYTES])
        position = offset
        with _Part(self.partial, offset) as part:
            self._write_notes()
            block = start
            while block:
                position += len(block)
                self._require_fit(position)
                if self.until is not None and position > self.until:
                    self.ranges = False
                    raise _Unjoinable("it sent more than it announced")
                part.write(block)
                self.best = max(self.best, position)
                self.throttle.passed(len(block))
                self.on_progress(position, total)
                block = self._next(answer)
        if total is not None and position < total and answer.status != 206:
            raise OutboundError(f"{host_of(self.url)} broke off after {position} of {total} bytes")
        return total is None or position == total

    def _first_bytes(self, answer: Streamed) -> bytes:
        """Enough of the body to see what it is."""
        start = b""
        while len(start) < HEAD_BYTES and (block := self._next(answer)):
            start += block
        return start

    def _next(self, answer: Streamed) -> bytes:
        """The next bytes; raises TimedOut when they come too slowly to ever make a file."""
        began = monotonic()
        block = answer.read_some(min(BLOCK, self.throttle.portion))
        self.crawled += len(block)
        if self.crawled >= CRAWL:
            self.waited, self.crawled = 0.0, 0
        else:
            self.waited += monotonic() - began
            if self.waited > self.stall:
                raise TimedOut(f"{host_of(self.url)} has almost stopped sending")
        return block

    def _look_at_what_is_here(self) -> None:
        with self.partial.open("rb") as file:
            self.accept(self.known.head, file.read(HEAD_BYTES))

    def _require_fit(self, size: int) -> None:
        if self.max_bytes is not None and size > self.max_bytes:
            raise TooLarge(
                f"the file at {host_of(self.url)} is larger than {self.max_bytes} bytes, the most that is taken"
            )

    def _size(self) -> int:
        try:
            return self.partial.stat().st_size
        except FileNotFoundError:
            return 0

    def _read_notes(self) -> _Known:
        """What is known of the bytes that are here; without notes they may be anybody's, and go."""
        try:
            said = json.loads(notes_of(self.partial).read_text())
            total = said["total"]
            if total is not None and not 0 <= int(total) < 2**63:
                raise ValueError(total)
            texts = {name: str(said[name]) for name in asdict(_Known()) if name != "total"}
            return _Known(**texts, total=None if total is None else int(total))
        except (OSError, ValueError, KeyError, TypeError):
            self.partial.unlink(missing_ok=True)
            return _Known()

    def _write_notes(self) -> None:
        notes = notes_of(self.partial)
        temporary = notes.with_name(f"{notes.name}.new")
        temporary.write_text(json.dumps(asdict(self.known)))
        temporary.replace(notes)


def _learnt(answer: Streamed, total: int | None) -> _Known:
    def said(name: str, limit: int = 500) -> str:
        value = answer.headers.get(name, "").strip()
        return value if len(value) <= limit else ""

    return _Known(
        etag=said("etag"),
        modified=said("last-modified", 60),
        total=total,
        name=file_name(answer.headers.get("content-disposition", ""))
        or name_of_address(answer.url)
        or "",
        content_type=said("content-type"),
    )


class _Part:
    """The partial file, written from `offset` on. What is there beyond that is compared first, then added to."""

    def __init__(self, path: Path, offset: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o666)
        self._there = b""
        try:
            if offset:
                size = os.fstat(self._fd).st_size
                if size < offset:
                    raise _Unjoinable("bytes are missing from what was here")
                self._there = os.pread(self._fd, size - offset, offset)
                os.lseek(self._fd, size, os.SEEK_SET)
            else:
                os.ftruncate(self._fd, 0)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> "_Part":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def write(self, block: bytes) -> None:
        """Raises _Unjoinable when the bytes differ from those that are there, OSError when the disk is full."""
        if self._there:
            expected = self._there[: len(block)]
            if block[: len(expected)] != expected:
                raise _Unjoinable("the file changed in between")
            self._there = self._there[len(expected) :]
            block = block[len(expected) :]
        view = memoryview(block)
        while view:
            view = view[os.write(self._fd, view) :]
