"""The guarded client: every URL that came from outside is fetched through here.

A session from here connects only to public addresses and to what the operator named; the check and the
connection are one step, for redirects too. Answers are bounded in size and time. Within `cancellation`, a
transfer stops within a second of its check raising, with that same exception.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.utils

from anibridge.lib import turns
from anibridge.lib.guard import AllowedHosts, default_allowed
from anibridge.lib.outbound import (
    AddressRefused,
    InvalidUrl,
    OutboundError,
    TimedOut,
    TooLarge,
    TooManyRedirects,
    UnexpectedAnswer,
    UnsupportedScheme,
    deadline,
    host_of,
    translated,
)
from anibridge.lib.transport import GuardedAdapter
from anibridge.lib.watch import Throttle, cancellation, pause, tick

__all__ = [
    "AddressRefused",
    "AllowedHosts",
    "Fetched",
    "GuardedSession",
    "InvalidUrl",
    "OutboundError",
    "Streamed",
    "Throttle",
    "TimedOut",
    "TooLarge",
    "TooManyRedirects",
    "UnexpectedAnswer",
    "UnsupportedScheme",
    "cancellation",
    "deadline",
    "fetch",
    "host_of",
    "pause",
    "session",
    "stream",
    "tick",
    "translated",
]

MIB = 1024 * 1024
CONNECT_TIMEOUT = 10.0
DECODABLE = frozenset({"gzip", "x-gzip", "deflate", "identity"})
_PRIVATE_HEADER = re.compile(r"authori[sz]ation|api-?key|token|secret|cookie", re.IGNORECASE)


@lru_cache(maxsize=1)
def user_agent() -> str:
    """`AniBridge/<version>`."""
    try:
        version = metadata.version("anibridge")
    except metadata.PackageNotFoundError:
        version = "0.1.0"
    return f"AniBridge/{version}"


class GuardedSession(requests.Session):  # noqa: TID251 - this is the guard
    """A requests session that can only go where the guard lets it; proxies, netrc and environment do not count.

    Its own methods raise what requests raises, besides the errors of `anibridge.lib.outbound`; use
    `translated` around them, or `fetch` and `stream`, which also bound the answer.
    """

    def __init__(self, allowed: AllowedHosts) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = 10
        self.headers["User-Agent"] = user_agent()
        self.headers["Accept-Encoding"] = "gzip, deflate"
        self.adapters.clear()
        adapter = GuardedAdapter(allowed)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_adapter(self, url: str) -> Any:
        if urlsplit(url).scheme.lower() not in ("http", "https"):
            raise UnsupportedScheme("only http and https addresses can be fetched")
        return super().get_adapter(url)

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """On the way to another host, keys in headers of any usual name stay behind, not only Authorization."""
        before, after = response.request.url or "", prepared_request.url or ""
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]
            for name in [one for one in prepared_request.headers if _PRIVATE_HEADER.search(one)]:
                # The jar's own cookies are put back by requests, for the hosts that they belong to.
                del prepared_request.headers[name]


def session(*, trusted: Iterable[str] = (), allowed: AllowedHosts | None = None) -> GuardedSession:
    """A session for outside URLs; to be closed by the caller, and not shared between threads.

    `trusted` are addresses that the operator typed (a URL or host:port): these may be private. Where they
    redirect to is judged like anything else. `allowed` takes the place of OUTBOUND_ALLOWED_PRIVATE_HOSTS.
    """
    named = default_allowed() if allowed is None else allowed
    return GuardedSession(named + AllowedHosts.parse(trusted))


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer; `url` is that of the last hop, `headers` have lower-case names."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8, whatever the header claims: that is what the sites send."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Streamed:
    """An answer that is still arriving; readable once, within the `stream` context only."""

    def __init__(self, response: requests.Response, max_bytes: int | None) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self.url = response.url
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    @property
    def length(self) -> int | None:
        """The size that the other side announced, of the body as it is sent."""
        announced = self.headers.get("content-length", "")
        return int(announced) if announced.isdecimal() else None

    def iter_bytes(self, chunk_size: int = 256 * 1024) -> Iterator[bytes]:
        """The body, decompressed, in blocks of at most `chunk_size`. Raises TooLarge at `max_bytes`."""
        with translated(self.url):
            self._refuse_early()
            if self._response.is_redirect:
                yield self._response.content
                return
            total = 0
            decode = (
                "content-encoding" in self.headers
            )  # urllib3 copies once more where it might decode
            while block := self._response.raw.read(chunk_size, decode_content=decode):
                total += len(block)
                if self._max_bytes is not None and total > self._max_bytes:
                    raise self._too_large()
                tick()
                yield block

    def read_some(self, limit: int) -> bytes:
        """What is there of the body as it was sent, at most `limit` bytes; waits for the first, b"" is the end."""
        with translated(self.url):
            block: bytes = self._response.raw.read1(limit, decode_content=False)
        tick()
        return block

    def _refuse_early(self) -> None:
        encodings = self.headers.get("content-encoding", "").lower().replace(" ", "")
        if encodings and not DECODABLE.issuperset(encodings.split(",")):
            raise OutboundError(f"{host_of(self.url)} sent an encoding that was not asked for")
        if self._max_bytes is not None and (self.length or 0) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the answer of {host_of(self.url)} is larger than {self._max_bytes} bytes")


@contextmanager
def stream(
    url: str,
    *,
    session: GuardedSession | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    data: bytes | str | Mapping[str, str] | None = None,
    timeout: float = 20.0,
    total: float | None = None,
    max_bytes: int | None = None,
    follow: bool = True,
) -> Iterator[Streamed]:
    """Opens an answer of any status for reading in blocks; the connection is let go at the end.

    `timeout` bounds every silence, `total` the whole context. Raises only errors of `anibridge.lib.outbound`
    and what a surrounding `cancellation` raises.
    """
    own = None if session is not None else _fresh()
    used = session if session is not None else own
    assert used is not None
    watched = deadline(total, f"the answer of {host_of(url)}") if total else nullcontext()
    try:
        with watched:
            tick()
            response = _opened(used, method, url, headers, data, timeout, follow)
            try:
                yield Streamed(response, max_bytes)
            finally:
                # An answer that was not read to its end would otherwise keep its connection.
                response.raw.close()
                response.close()
    finally:
        if own is not None:
            own.close()


def fetch(
    url: str,
    *,
    session: GuardedSession | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    data: bytes | str | Mapping[str, str] | None = None,
    timeout: float = 20.0,
    max_bytes: int = 8 * MIB,
    follow: bool = True,
) -> Fetched:
    """A whole answer of any status, within `timeout` seconds in all and `max_bytes` after decompression.

    `follow=False` gives a redirect itself. Raises only errors of `anibridge.lib.outbound` and what a
    surrounding `cancellation` raises.
    """
    opened = stream(
        url,
        session=session,
        method=method,
        headers=headers,
        data=data,
        timeout=timeout,
        total=timeout,
        max_bytes=max_bytes,
        follow=follow,
    )
    with turns.aside(), opened as answer:
        body = b"" if method.upper() == "HEAD" else b"".join(answer.iter_bytes())
        return Fetched(url=answer.url, status=answer.status, headers=answer.headers, body=body)


def _fresh() -> GuardedSession:
    return session()


def _opened(
    used: GuardedSession,
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    data: bytes | str | Mapping[str, str] | None,
    timeout: float,
    follow: bool,
) -> requests.Response:
    with translated(url):
        return used.request(
            method,
            url,
            headers=dict(headers or {}),
            data=data,
            timeout=(min(timeout, CONNECT_TIMEOUT), timeout),
            allow_redirects=follow,
            stream=True,
        )
