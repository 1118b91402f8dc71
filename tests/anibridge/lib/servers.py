"""Small servers on the loopback interface that answer as a test tells them to."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
Route = Answer | Callable[["Handler"], None]


@dataclass
class Server:
    """Routes by path; what was asked is kept in `asked` as (path, headers)."""

    port: int = 0
    routes: dict[str, Route] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"http://{self.place}{path}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def serve(self, path: str, body: bytes, kind: str = "text/html", status: int = 200) -> str:
        self.routes[path] = (status, {"Content-Type": kind}, body)
        return self.url(path)

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        self.routes[path] = (status, {"Location": to}, b"")
        return self.url(path)

    def ranged(self, path: str, body: bytes, kind: str = "video/mp4") -> str:
        self.routes[path] = lambda handler: handler.send_ranged(body, kind)
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    book: Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.book.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        route = self.book.routes.get(path, (404, {}, b"nothing here"))
        try:
            if callable(route):
                route(self)
            else:
                self.answer(*route)
        except OSError:
            self.close_connection = True

    do_HEAD = do_POST = do_GET

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_ranged(self, body: bytes, kind: str) -> None:
        wanted = self.headers.get("Range")
        if not wanted:
            self.answer(200, {"Content-Type": kind, "Accept-Ranges": "bytes"}, body)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
        if start >= len(body):
            self.answer(416, {"Content-Range": f"bytes */{len(body)}"}, b"")
            return
        headers = {"Content-Type": kind, "Content-Range": f"bytes {start}-{end}/{len(body)}"}
        self.answer(206, headers, body[start : end + 1])

    def begin(self, headers: dict[str, str]) -> None:
        """The head of an answer whose body ends with the connection."""
        self.close_connection = True
        self.send_response(200)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()


def endless(block: bytes, headers: dict[str, str] | None = None, every: float = 0.0) -> Route:
    """Sends the block again and again until the client leaves."""

    def route(handler: Handler) -> None:
        handler.begin(headers or {"Content-Type": "text/plain"})
        pause = threading.Event()
        for _ in range(100_000):
            handler.wfile.write(block)
            if every:
                pause.wait(every)

    return route


def stalling(start: bytes, headers: dict[str, str], left: threading.Event) -> Route:
    """Sends a start, then nothing; `left` is set when the client has hung up."""

    def route(handler: Handler) -> None:
        handler.begin(headers)
        handler.wfile.write(start)
        handler.wfile.flush()
        handler.connection.settimeout(30)
        try:
            gone = handler.connection.recv(1) == b""
        except TimeoutError:
            gone = False
        except OSError:
            gone = True
        if gone:
            left.set()

    return route


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what many tests are about."""


@contextmanager
def running() -> Iterator[Server]:
    book = Server()
    handler = type("Bound", (Handler,), {"book": book})
    server = QuietServer(("127.0.0.1", 0), handler)
    book.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield book
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
