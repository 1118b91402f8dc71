"""The sockets, connections and adapters under `anibridge.lib.http`.

The check of an address and the connection to it are one step: urllib3 asks `_new_conn` for a socket for
every connection, also for those behind a redirect, and gets one to an address that was judged just then.
"""

import os
import select
import socket
import ssl
from collections.abc import Callable
from errno import EINPROGRESS
from functools import lru_cache, partial
from time import monotonic
from typing import Any, TypeVar

import certifi
import requests
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context
from urllib3.util.timeout import Timeout

from anibridge.lib import guard, watch
from anibridge.lib.guard import AllowedHosts

_T = TypeVar("_T")
REDIRECT_BODY = 64 * 1024
"""What is read of the body of a redirect; requests would read all of it, however long it is."""


class _Stepped:
    """A socket that waits in short steps and looks up between them; `settimeout` bounds the silence.

    The operating system's timeout is one step, ours is counted on top, so a read, a write or a TLS
    handshake notices a cancellation within a step and still times out as late as it was told to.
    """

    _silence: float | None = None

    def settimeout(self, value: float | None) -> None:
        self._silence = value
        super().settimeout(watch.STEP if value is None else min(value, watch.STEP))  # type: ignore[misc]

    def gettimeout(self) -> float | None:
        return self._silence

    def _stepwise(self, act: Callable[..., _T], *args: Any) -> _T:
        until: float | None = None
        while True:
            watch.tick()
            try:
                return act(*args)
            except TimeoutError:
                if self._silence is None:
                    continue
                # The clock is read only now: most reads of a transfer never wait this long.
                if until is None:
                    until = monotonic() + max(0.0, self._silence - watch.STEP)
                if monotonic() >= until:
                    raise

    def recv_into(self, *args: Any) -> int:
        count: int = self._stepwise(super().recv_into, *args)  # type: ignore[misc]
        return count

    def send(self, *args: Any) -> int:
        count: int = self._stepwise(super().send, *args)  # type: ignore[misc]
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self.send(octets[sent:], flags)


class _Plain(_Stepped, socket.socket):
    pass


class _Tls(_Stepped, ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        try:
            self._stepwise(super().do_handshake, block)
        except (OSError, ValueError):
            raise  # ssl closes the socket after these itself
        except BaseException:
            self.close()
            raise


@lru_cache(maxsize=8)
def tls_context(verify: bool | str) -> ssl.SSLContext:
    """A context whose sockets wait in steps. Certificates of the system and of certifi, or of one file."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
    context.sslsocket_class = _Tls
    if verify is True:
        context.load_default_certs()
        context.load_verify_locations(cafile=certifi.where())
    elif verify:
        context.load_verify_locations(cafile=verify)
    return context


def connect(host: str, port: int, allowed: AllowedHosts, timeout: float) -> socket.socket:
    """A connection to a permitted address of the host. Bounded by `timeout`, names and all."""
    until = monotonic() + timeout
    candidates = guard.addresses(host, port, allowed, timeout)
    failure: OSError = TimeoutError("timed out")
    for number, (family, address) in enumerate(candidates):
        # A dead first address must leave time for the next one.
        share = max(0.0, until - monotonic()) / (len(candidates) - number)
        try:
            return _connected(family, address, port, share)
        except OSError as error:
            failure = error
    raise failure


def _connected(
    family: socket.AddressFamily, address: str, port: int, timeout: float
) -> socket.socket:
    sock = _Plain(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        try:
            sock.connect((address, port))
        except BlockingIOError as error:
            if error.errno != EINPROGRESS:
                raise
            _await_connection(sock, timeout)
        sock.settimeout(timeout)
    except BaseException:
        sock.close()
        raise
    return sock


def _await_connection(sock: socket.socket, timeout: float) -> None:
    until = monotonic() + timeout
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    while not poller.poll(1000 * min(watch.STEP, max(0.0, until - monotonic()))):
        watch.tick()
        if monotonic() >= until:
            raise TimeoutError("timed out")
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


class _Guarded:
    """Mixed into urllib3's connections: the socket comes from `connect`."""

    allowed: AllowedHosts
    _dns_host: str
    host: str
    port: Any
    timeout: Any

    def _new_conn(self) -> socket.socket:
        seconds = Timeout.resolve_default_timeout(self.timeout)
        try:
            return connect(self._dns_host, self.port or 0, self.allowed, seconds or 20.0)
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, "connect timed out") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, "not reachable") from error  # type: ignore[arg-type]


class _HttpConnection(_Guarded, urllib3.connection.HTTPConnection):
    def __init__(self, *args: Any, allowed: AllowedHosts, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.allowed = allowed


class _HttpsConnection(_Guarded, urllib3.connection.HTTPSConnection):
    def __init__(self, *args: Any, allowed: AllowedHosts, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.allowed = allowed


class _PoolManager(urllib3.PoolManager):
    def __init__(self, *args: Any, allowed: AllowedHosts, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._allowed = allowed

    def _new_pool(self, scheme: str, *args: Any, **kwargs: Any) -> Any:
        pool = super()._new_pool(scheme, *args, **kwargs)
        kind = _HttpsConnection if scheme == "https" else _HttpConnection
        pool.ConnectionCls = partial(kind, allowed=self._allowed)  # type: ignore[assignment]
        return pool


class GuardedAdapter(HTTPAdapter):
    """requests' adapter over guarded connections; knows no proxies and no client certificates."""

    def __init__(self, allowed: AllowedHosts) -> None:
        self._allowed = allowed
        super().__init__()

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        self.poolmanager = _PoolManager(
            num_pools=connections,
            maxsize=maxsize,
            block=block,
            allowed=self._allowed,
            **pool_kwargs,
        )

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        place, _ = super().build_connection_pool_key_attributes(request, verify, None)
        required = "CERT_REQUIRED" if verify else "CERT_NONE"
        return place, {"cert_reqs": required, "ssl_context": tls_context(verify)}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the context of the pool has its certificates; requests would read them once more."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        response = super().send(request, stream, timeout, verify, cert, proxies={})
        if response.is_redirect:
            _settle(response)
        return response


def _settle(response: requests.Response) -> None:
    """Reads the body of a redirect when it is short, and otherwise hangs up."""
    length = response.headers.get("Content-Length", "")
    body = b""
    if length.isdecimal() and int(length) <= REDIRECT_BODY:
        try:
            body = response.raw.read(REDIRECT_BODY, decode_content=True)
        except urllib3.exceptions.HTTPError:
            body = b""
    else:
        response.raw.close()
    response._content = body
    response._content_consumed = True  # type: ignore[attr-defined]
