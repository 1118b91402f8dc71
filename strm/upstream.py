"""The way to the hosts from the event loop: pooled connections, and the same guard as `anibridge.lib.http`.

A name is resolved and judged inside the connector, which then connects to the very addresses that were judged, so a
resolver that changes its answer has nothing to change. Redirects are followed by hand, each judged anew. No proxy, no
netrc, no cookie jar: nothing of one viewer's reaches another's host.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from anibridge.lib import guard
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.guard import AllowedHosts
from anibridge.lib.http import user_agent
from anibridge.lib.outbound import (
    InvalidUrl,
    OutboundError,
    TimedOut,
    TooManyRedirects,
    UnsupportedScheme,
    host_of,
)
from strm.threads import NAMES, in_thread

CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 30.0
REDIRECTS: Final = 10
REDIRECT_BODY: Final = 64 * 1024
SETTLE_SECONDS: Final = 5.0
BUFFER: Final = 32 * 1024
"""Bytes that are read ahead of a player; the library holds up to twice as many, and what one read brings."""
READ: Final = 64 * 1024
"""Bytes that one read brings. The event loop's 256 KiB make a stream four times as large, and hardly faster."""
WINDOW: Final = 2 * 2**20
"""Bytes that a host may have on its way to us: 40 MB/s over a line of 50 ms. Linux would let it grow to 6 MiB and more, and
the kernel holds all of that for each player that has enough for now (see `anibridge.webserver`)."""
_KEPT_OPEN: Final = 30.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PRIVATE = re.compile(r"authori[sz]ation|api-?key|token|secret|cookie", re.IGNORECASE)
_KEPT_CHARACTERS = "!#$%&'()*+,/:;=?@[]~-._"


def allowed() -> AllowedHosts:
    """The private places that the operator named for everything, and those for the proxy."""
    return guard.default_allowed() + AllowedHosts.parse(settings.STRM_PROXY_ALLOWED_HOSTS)


def address(text: str) -> URL:
    """An address as it will be asked for, spelt as its host spelt it: signatures depend on that.

    Raises UnsupportedScheme or InvalidUrl.
    """
    try:
        url = _spelt(text.strip()).with_fragment(None)
        port = url.port
    except ValueError:
        raise InvalidUrl("that is not a valid address") from None
    if url.scheme not in ("http", "https"):
        raise UnsupportedScheme("only http and https addresses can be fetched")
    host = url.raw_host or ""
    if not host or not port or not host.isascii() or re.search(r"[\s%\\@]", host):
        raise InvalidUrl("that is not a valid address")
    if re.fullmatch(r"[\d.]+", host) or ":" in host:
        # What looks like an address is one, or nothing: «127.1» would be one to the operating system only.
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise InvalidUrl("that is not a valid address") from None
    return url


def _spelt(text: str) -> URL:
    url = URL(quote(text, safe=_KEPT_CHARACTERS), encoded=True)
    # A name in another script: yarl writes it in ASCII, and the rest of the address in its own spelling.
    return URL(text) if "%" in (url.raw_host or "") and "%" not in text.split("/", 3)[2] else url


class Answer:
    """An answer that is still arriving. `first` is what was read of it ahead; `close` hangs up."""

    def __init__(self, response: aiohttp.ClientResponse, url: URL) -> None:
        self._response = response
        self.url = str(url)
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.first = b""

    def header(self, name: str) -> str:
        """A header's value, empty where there is none; of several the first."""
        return self.headers.get(name, "")

    async def peek(self, least: int) -> bytes:
        """The beginning of the body, `least` bytes of it where there are as many. Raises OutboundError."""
        with translated(self.url):
            while len(self.first) < least and (block := await self._response.content.readany()):
                self.first += block
        return self.first

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises OutboundError, also where it ends too early."""
        if self.first:
            yield self.first
            self.first = b""
        content = self._response.content
        with translated(self.url):
            while block := await content.readany():
                yield block

    def close(self) -> None:
        """Hangs up; a connection whose answer was read to its end goes back to the pool instead."""
        self._response.close()


class Upstream:
    """One per event loop; made inside it."""

    def __init__(self) -> None:
        self._connector = _Connector()
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=BUFFER,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=2 * CONNECT_SECONDS,
                sock_connect=CONNECT_SECONDS,
                sock_read=SILENCE_SECONDS,
            ),
        )

    async def open(
        self, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer of any status at the end of the redirects; to be closed. Raises OutboundError."""
        sent = {"User-Agent": user_agent(), "Accept": "*/*", "Accept-Encoding": "identity"}
        sent |= headers or {}
        url = address(target)
        for _ in range(REDIRECTS + 1):
            response = await self._ask(method, url, sent)
            place = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not place:
                return Answer(response, url)
            await _settle(response)
            following = _joined(url, place)
            if following.origin() != url.origin():
                sent = {name: value for name, value in sent.items() if not _PRIVATE.search(name)}
            url = following
        raise TooManyRedirects(f"{host_of(str(url))} redirects in circles")

    async def _ask(
        self, method: str, url: URL, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        await self._connector.judge(url)
        with translated(str(url)):
            response = await self._session.request(
                method, url, headers=headers, allow_redirects=False, ssl=_tls()
            )
        connection: Any = response.connection
        if connection is not None and hasattr(connection.transport, "max_size"):
            connection.transport.max_size = READ
        return response

    async def close(self) -> None:
        """Hangs up everything."""
        await self._session.close()


def headers_for(url: str, sent: Mapping[str, str], *, meant_for: str) -> dict[str, str]:
    """The resolver's headers as another address may get them: its cookies and keys stay with its own host."""
    if host_of(url) == host_of(meant_for):
        return dict(sent)
    return {name: value for name, value in sent.items() if not _PRIVATE.search(name)}


class HangUp(OutboundError):
    """The host took the question and broke off."""


def _joined(url: URL, place: str) -> URL:
    try:
        return address(
            str(url.join(URL(quote(place.strip(), safe=_KEPT_CHARACTERS), encoded=True)))
        )
    except ValueError:
        raise InvalidUrl("that is not a valid address") from None


async def _settle(response: aiohttp.ClientResponse) -> None:
    """Reads the body of a redirect when it is short, so that the connection can be used again; else hangs up."""
    length = response.content_length
    if length is not None and length <= REDIRECT_BODY:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await response.read()
    response.close()


class _Judge(AbstractResolver):
    """Names to addresses that may be connected to."""

    def __init__(self) -> None:
        self.approved: dict[tuple[str, int], None] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await in_thread(NAMES, guard.addresses, host, port, allowed(), CONNECT_SECONDS)
        return [
            ResolveResult(
                hostname=host,
                host=self._approve(text, port),
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, text in found
        ]

    def _approve(self, text: str, port: int) -> str:
        self.approved[text, port] = None
        while len(self.approved) > 10_000:
            del self.approved[next(iter(self.approved))]
        return text

    def literal(self, host: str, port: int) -> None:
        """Judges a host that is an address: the connector asks no resolver for it."""
        guard.addresses(host, port, allowed(), CONNECT_SECONDS)
        self._approve(host.strip("[]"), port)

    async def close(self) -> None:
        """Nothing is kept open."""


class _Connector(aiohttp.TCPConnector):
    def __init__(self) -> None:
        self._judge = _Judge()
        super().__init__(
            resolver=self._judge,
            use_dns_cache=False,
            limit=0,
            limit_per_host=0,
            keepalive_timeout=_KEPT_OPEN,
            socket_factory=self._socket,
        )

    async def judge(self, url: URL) -> None:
        """Refuses an address that may not be asked. Names are judged when they are resolved."""
        host = url.raw_host or ""
        if ":" in host or re.fullmatch(r"[\d.]+", host):
            self._judge.literal(host, url.port or 0)

    def _socket(self, place: Any) -> socket.socket:
        """The last look before a connection: it goes to what was judged, or nowhere."""
        family, kind, proto, _, where = place
        if (str(where[0]), int(where[1])) not in self._judge.approved:
            raise PermissionError(f"{where[0]} was not judged")
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        if (clamp := getattr(socket, "TCP_WINDOW_CLAMP", None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, clamp, WINDOW)
        return sock


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    return context


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turns what aiohttp raises inside into the errors of `anibridge.lib.outbound`."""
    try:
        yield
    except AniBridgeError:
        raise
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise _typed(error, host_of(url)) from error


def _typed(error: BaseException, host: str) -> OutboundError:
    if isinstance(error, TimeoutError):
        return TimedOut(f"{host} did not answer in time")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return OutboundError(f"{host} does not show a valid TLS certificate")
    if isinstance(error, aiohttp.ClientSSLError):
        return OutboundError(f"no TLS connection to {host} can be made")
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return InvalidUrl("that is not a valid address")
    if isinstance(error, aiohttp.ClientConnectorError):
        return OutboundError(f"{host} cannot be reached")
    return HangUp(f"{host} broke the connection off")
