"""A host of videos on the loopback interface, which does what a test tells it to: ranges, expiry, breaks, lies."""

import asyncio
import gzip
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from anibridge.demo.server import in_thread, parse_range

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request, as the host saw it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


@dataclass
class Host:
    """Routes by path; `fallback` answers all others. `open_now` counts the requests whose client is still there."""

    url: str = ""
    routes: dict[str, Handler] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    fallback: Handler | None = None

    @property
    def place(self) -> str:
        return self.url.removeprefix("http://")

    def at(self, path: str) -> str:
        return self.url + path

    def paths(self, part: str = "") -> list[str]:
        return [one.path for one in self.asked if part in one.path]

    def last(self, path: str) -> Asked:
        return [one for one in self.asked if one.path == path][-1]

    def body(
        self, path: str, body: bytes, kind: str = "text/plain", status: int = 200, **headers: str
    ) -> str:
        """Always the same answer."""

        async def handler(request: web.Request) -> web.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(status=status, body=body, headers={"Content-Type": kind, **named})

        self.routes[path] = handler
        return self.at(path)

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        return self.body(path, b"", status=status, Location=to)

    def file(self, path: str, body: bytes, kind: str = "video/mp4", **options: object) -> str:
        """A file with ranges, several at once too, and validators."""
        self.routes[path] = File(body, kind, **options)  # type: ignore[arg-type]
        return self.at(path)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.path, request.query_string, headers))
        handler = self.routes.get(request.path, self.fallback)
        if handler is None:
            return web.Response(status=404, text="nothing here")
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            return await handler(request)
        except ConnectionResetError:
            return web.Response(status=499)
        finally:
            self.open_now -= 1


@dataclass
class File:
    """`breaks` are places at which the connection ends, one for each request that comes by; `refuses` is asked before
    each answer for a status that comes instead."""

    content: bytes
    kind: str = "video/mp4"
    ranges: bool = True
    heads: bool = True
    tag: str | None = None
    breaks: list[int] = field(default_factory=list)
    refuses: Callable[[web.Request], int] = lambda request: 0
    pace: float = 0.0
    sent: int = 0
    """Bytes of it, in all answers."""

    @property
    def etag(self) -> str:
        return self.tag or f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if status := self.refuses(request):
            return web.Response(status=status, text="refused")
        if request.method == "HEAD" and not self.heads:
            return web.Response(status=405)
        headers = {"ETag": self.etag, "Content-Type": self.kind}
        if self.ranges:
            headers["Accept-Ranges"] = "bytes"
        if self.etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers={"ETag": self.etag})
        wanted = request.headers.get("Range", "") if self.ranges else ""
        if request.headers.get("If-Range", self.etag) != self.etag:
            wanted = ""
        if "," in wanted:
            return self._several(wanted, headers)
        span = parse_range(wanted, len(self.content))
        if span is not None and not span:
            return web.Response(
                status=416, headers={**headers, "Content-Range": f"bytes */{len(self.content)}"}
            )
        status = 206 if span else 200
        span = span or range(len(self.content))
        if status == 206:
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{len(self.content)}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(span)
        await response.prepare(request)
        if request.method != "HEAD":
            await self._send(request, response, span)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, span: range) -> None:
        end = self.breaks.pop(0) if self.breaks and self.breaks[0] >= span.start else span.stop
        for start in range(span.start, min(end, span.stop), 16384):
            block = self.content[start : min(start + 16384, end, span.stop)]
            await response.write(block)
            self.sent += len(block)
            if self.pace:
                await asyncio.sleep(self.pace)
        if end < span.stop:
            assert request.transport is not None
            request.transport.close()

    def _several(self, wanted: str, headers: dict[str, str]) -> web.Response:
        pieces = []
        for one in wanted.removeprefix("bytes=").split(","):
            first, last = (int(text) for text in one.strip().split("-"))
            pieces.append(
                b"--border\r\nContent-Type: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n"
                % (
                    self.kind.encode(),
                    first,
                    last,
                    len(self.content),
                    self.content[first : last + 1],
                )
            )
        body = b"".join(pieces) + b"--border--\r\n"
        return web.Response(
            status=206,
            body=body,
            headers={**headers, "Content-Type": "multipart/byteranges; boundary=border"},
        )


def gzipped(text: str) -> bytes:
    return gzip.compress(text.encode())


@contextmanager
def running() -> Iterator[Host]:
    host = Host()
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", host.respond)
    with in_thread(app) as url:
        host.url = url
        yield host
