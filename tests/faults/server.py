"""A file server that misbehaves on purpose, on real sockets: it writes its answers byte by byte as a test wants them."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate

VIDEO = "video/mp4"
BLOCK = 16 * 1024


@dataclass
class Request:
    """One request, and the way to answer it. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    sock: socket.socket
    number: int
    """How many requests for this path came before."""

    def head(self, status: int, headers: dict[str, str] | None = None) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        self.head(status, {"Content-Length": str(len(body)), **said})
        self.send(body)

    @property
    def start(self) -> int | None:
        """Where the wanted range begins; None when everything is wanted."""
        wanted = self.headers.get("range", "")
        return int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else None

    def until_left(self, seconds: float = 60.0) -> None:
        """Say nothing until the client has gone."""
        self.sock.settimeout(seconds)
        with suppress(OSError):
            while self.sock.recv(4096):
                pass


Route = Callable[[Request], None]


@dataclass
class FaultServer:
    """Routes by path; every request is kept in `asked`."""

    port: int = 0
    routes: dict[str, Route] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.place}{path}"

    def ranges(self, path: str) -> list[str | None]:
        """The Range headers of the requests for a path, in order."""
        return [one.headers.get("range") for one in self.asked if one.path == path]

    def serve(self, path: str, route: Route) -> str:
        self.routes[path] = route
        return self.url(path)


@dataclass(frozen=True)
class File:
    """A file as a proper server gives it; `replace` a field to make it improper."""

    body: bytes
    etag: str = '"one"'
    modified: str = ""
    kind: str = VIDEO
    ranges: bool = True
    rate: int = 0
    """Bytes a second, 0 for as fast as can be."""
    after: int | None = None
    """Break the connection off after so many bytes of each answer."""

    def __call__(self, request: Request) -> None:
        start = self.wanted(request)
        if start is not None and start >= len(self.body):
            request.head(416, {**self.named(), "Content-Range": f"bytes */{len(self.body)}"})
            return
        part = self.body[start or 0 :]
        headers = {**self.named(), "Content-Length": str(len(part)), "Content-Type": self.kind}
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        request.head(200 if start is None else 206, headers)
        paced(request, part[: self.after], self.rate)

    def wanted(self, request: Request) -> int | None:
        condition = request.headers.get("if-range")
        if not self.ranges or (condition and condition not in (self.etag, self.modified)):
            return None
        return request.start

    def named(self) -> dict[str, str]:
        said = {"ETag": self.etag, "Last-Modified": self.modified}
        return {name: value for name, value in said.items() if value}


def paced(request: Request, data: bytes, rate: int) -> None:
    """Send at a rate, and never ahead of it."""
    began, sent = time.monotonic(), 0
    step = min(BLOCK, max(1024, rate // 20)) if rate else 1 << 20
    while sent < len(data):
        request.send(data[sent : sent + step])
        sent += step
        ahead = sent / rate - (time.monotonic() - began) if rate else 0
        if ahead > 0:
            time.sleep(ahead)


def in_turn(*routes: Route) -> Route:
    """The first request is answered by the first route, and so on; the last one answers all that follow."""

    def route(request: Request) -> None:
        routes[min(request.number, len(routes) - 1)](request)

    return route


def status(code: int, body: bytes = b"", **headers: str) -> Route:
    return lambda request: request.answer(code, body, **headers)


def chunked(body: bytes, *, ends: bool = True, kind: str = VIDEO) -> Route:
    """Without a length; `ends` says whether the last chunk comes."""

    def route(request: Request) -> None:
        request.head(200, {"Transfer-Encoding": "chunked", "Content-Type": kind})
        for start in range(0, len(body), BLOCK):
            piece = body[start : start + BLOCK]
            request.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if ends:
            request.send(b"0\r\n\r\n")

    return route


def until_closed(body: bytes, kind: str = VIDEO) -> Route:
    """Without a length and without chunks: the end of the connection is the end of the file."""

    def route(request: Request) -> None:
        request.head(200, {"Content-Type": kind})
        request.send(body)

    return route


def endless(start: bytes = b"", **headers: str) -> Route:
    """A body that never ends."""

    def route(request: Request) -> None:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        request.head(200, {"Content-Type": VIDEO, **said})
        request.send(start)
        while True:
            request.send(b"\0\1\2\3" * 16384)

    return route


def stalls(file: File, after: int) -> Route:
    """The beginning of a file, and then nothing, with the connection open."""

    def route(request: Request) -> None:
        File(file.body, etag=file.etag, after=after)(request)
        request.until_left()

    return route


def drips(file: File, every: float = 0.05) -> Route:
    """Enough bytes that the connection is never silent, and never enough to arrive."""

    def route(request: Request) -> None:
        request.head(200, {"Content-Length": str(len(file.body)), "Content-Type": VIDEO})
        for start in range(100_000):
            request.send(file.body[start : start + 1])
            time.sleep(every)

    return route


def moment(offset: float) -> str:
    """An HTTP date so many seconds from now."""
    return formatdate(time.time() + offset, usegmt=True)


@contextmanager
def running() -> Iterator[FaultServer]:
    """A server on a free port of this machine; its connections are cut at the end."""
    book = FaultServer()
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    book.port = listener.getsockname()[1]
    open_ones: set[socket.socket] = set()
    over = threading.Event()

    def serve(sock: socket.socket) -> None:
        with sock, suppress(OSError):
            request = _read(sock, book)
            if request is not None:
                route = book.routes.get(request.path, status(404, b"nothing here"))
                route(request)
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
                request.until_left(5.0)
        open_ones.discard(sock)

    def accept() -> None:
        while not over.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            open_ones.add(sock)
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield book
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for sock in list(open_ones):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _read(sock: socket.socket, book: FaultServer) -> Request | None:
    sock.settimeout(30)
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    first, *lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (ln.partition(":") for ln in lines)
    }
    path = first.split(" ")[1]
    with book.lock:
        number = sum(one.path == path for one in book.asked)
        request = Request(path, headers, sock, number)
        book.asked.append(request)
    return request
