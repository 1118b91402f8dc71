"""The demo over HTTP: catalogue pages, host pages, and videos sent at a pace that lets a download be watched.

`serve` listens at once and generates the videos beside that; `/healthz` answers 200 when they are there. It stops
within two seconds of SIGTERM or SIGINT, whatever connections hang.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from aiohttp import web
from aiohttp.typedefs import Handler

from anibridge.demo import hosts
from anibridge.demo.layouts import LAYOUTS
from anibridge.demo.model import DemoCatalogue, Fault
from anibridge.demo.pages import ORIGIN
from anibridge.demo.titles import catalogue as demo_catalogue
from anibridge.demo.videos import VideoLibrary
from anibridge.lib.errors import Cancelled, Misconfigured

DEFAULT_RATE = 3_000_000
"""Bytes a second and connection."""

_BLOCK = 64 * 1024
_TYPES = {
    ".mp4": "video/mp4",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".mpd": "application/dash+xml",
    ".m4s": "video/iso.segment",
}
_GRACE = 0.5
_SILENCE_SECONDS = 3600


def build_app(
    library: VideoLibrary,
    *,
    site: str = "demo",
    rate: int = DEFAULT_RATE,
    extra_titles: int = 0,
    catalogue: DemoCatalogue | None = None,
) -> web.Application:
    """The whole stand-in as an application. `rate` is bytes a second and connection, 0 for no limit."""
    catalogue = catalogue or demo_catalogue()
    layout = LAYOUTS[site](catalogue, extra_titles)
    videos = _Videos(library, rate)
    pages = _Hosts(catalogue)

    async def page(request: web.Request) -> web.Response:
        words = dict(request.query)
        if request.method == "POST":
            words |= {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
        reply = layout.respond(request.method, request.path, words)
        headers = dict(reply.headers)
        origin = f"{request.scheme}://{request.host}"
        if headers.get("Location", "").startswith("/"):
            headers["Location"] = origin + headers["Location"]
        body = reply.body.replace(ORIGIN, origin)
        if reply.status == 200 and request.method == "GET":
            # As many sites do: a reader that has this very page already is told so.
            content = reply.picture or body.encode()
            headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
            if request.headers.get("If-None-Match") == headers["ETag"]:
                return web.Response(status=304, headers=headers)
        if reply.picture:
            return web.Response(
                body=reply.picture, content_type=reply.content_type, headers=headers
            )
        return web.Response(
            text=body,
            status=reply.status,
            content_type=reply.content_type,
            charset="utf-8",
            headers=headers,
        )

    async def healthz(request: web.Request) -> web.Response:
        if library.ready():
            return web.Response(text="ok")
        return web.Response(text="generating the test videos", status=503)

    app = web.Application(middlewares=[_unframed])
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/host/{host}/{video}", pages.respond)
    app.router.add_get(r"/videos/fake/{video:[0-9a-f]+}.mp4", _fake_video)
    app.router.add_get("/videos/{name:.+}", videos.respond)
    app.router.add_route("*", "/{path:.*}", page)
    return app


def serve(
    host: str,
    port: int,
    *,
    data_dir: Path,
    site: str = "demo",
    rate: int = DEFAULT_RATE,
    extra_titles: int = 0,
    out: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `out` takes plain lines. Raises Misconfigured for a taken port or no ffmpeg."""
    library = VideoLibrary(data_dir)
    app = build_app(library, site=site, rate=rate, extra_titles=extra_titles)
    asyncio.run(_serve(app, library, host, port, site, out))


async def _serve(
    app: web.Application,
    library: VideoLibrary,
    host: str,
    port: int,
    site: str,
    out: Callable[[str], None],
) -> None:
    stopping, halt = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = await _start(app, host, port)
    try:
        out(f"Serving the demo catalogue ({site} layout) at {address(runner)}")
        generating = asyncio.create_task(asyncio.to_thread(library.ensure, out, halt))
        waiting = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({generating, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if generating.done():
                await generating  # raises what went wrong
            await waiting
        finally:
            halt.set()
            waiting.cancel()
            with contextlib.suppress(Cancelled):
                await generating
    finally:
        await runner.cleanup()
    out("The demo catalogue has stopped")


@contextlib.contextmanager
def in_thread(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve an application beside the caller; gives its base URL and stops it at the end. For tests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="demo-server", daemon=True)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(_start(app, host, port), loop).result(10)
        try:
            yield address(runner)
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _start(app: web.Application, host: str, port: int) -> web.AppRunner:
    # Handlers are cancelled when their client leaves: the silent host must not collect them.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise Misconfigured(
            f"the demo catalogue cannot listen on {host}:{port}: {os.strerror(error.errno or errno.EADDRNOTAVAIL)}"
        ) from error
    return runner


def address(runner: web.AppRunner) -> str:
    """The base URL that a started runner listens at."""
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@web.middleware
async def _unframed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A client that leaves in the middle of a video is no error of ours."""
    try:
        return await handler(request)
    except ConnectionResetError:
        return web.Response(status=499)


async def _fake_video(request: web.Request) -> web.Response:
    body = hosts.fake_video().encode()
    return web.Response(body=body, content_type="video/mp4")


class _Hosts:
    """The host pages, each broken one in its own way."""

    def __init__(self, catalogue: DemoCatalogue) -> None:
        self._catalogue = catalogue

    async def respond(self, request: web.Request) -> web.Response:
        link = self._catalogue.hosted.get(request.path)
        if link is None or link.host.fault is Fault.MISSING:
            return web.Response(text=hosts.missing_page(), status=404, content_type="text/html")
        if link.host.fault is Fault.LOOP:
            # A new address each time, so that no client sees that it has been here before.
            hop = request.query.get("hop", "0")
            hop = str(int(hop) + 1) if hop.isascii() and hop.isdigit() and len(hop) < 9 else "1"
            return web.Response(status=302, headers={"Location": f"{request.path}?hop={hop}"})
        if link.host.fault is Fault.SILENT:
            await asyncio.sleep(_SILENCE_SECONDS)
        return web.Response(text=hosts.host_page(link), content_type="text/html")


class _Videos:
    """Generated files with ranges, validators and a throttle."""

    def __init__(self, library: VideoLibrary, rate: int) -> None:
        self._library = library
        self._rate = rate

    async def respond(self, request: web.Request) -> web.StreamResponse:
        path = self._library.path(request.match_info["name"])
        if path is None:
            ready = self._library.ready()
            return web.Response(
                text="no such video" if ready else "the test videos are being generated",
                status=404 if ready else 503,
                headers={} if ready else {"Retry-After": "5"},
            )
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
            headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": _TYPES[path.suffix]}
            if etag in request.headers.get("If-None-Match", ""):
                return web.Response(status=304, headers={"ETag": etag})
            span = None
            if request.headers.get("If-Range", etag) == etag:
                span = parse_range(request.headers.get("Range", ""), stat.st_size)
            if span is not None and not span:
                return web.Response(
                    status=416, headers={**headers, "Content-Range": f"bytes */{stat.st_size}"}
                )
            response = web.StreamResponse(status=206 if span else 200, headers=headers)
            span = span or range(stat.st_size)
            if response.status == 206:
                last = span.stop - 1
                response.headers["Content-Range"] = f"bytes {span.start}-{last}/{stat.st_size}"
            response.content_length = len(span)
            await response.prepare(request)
            if request.method != "HEAD":
                file.seek(span.start)
                await self._stream(response, file, len(span))
                await response.write_eof()
            return response

    async def _stream(self, response: web.StreamResponse, file: BinaryIO, length: int) -> None:
        """Write `length` bytes, never ahead of the pace."""
        clock = asyncio.get_running_loop().time
        began, sent = clock(), 0
        block = min(_BLOCK, max(1024, self._rate // 20)) if self._rate else _BLOCK
        while sent < length and (data := file.read(min(block, length - sent))):
            await response.write(data)
            sent += len(data)
            if self._rate and (ahead := sent / self._rate - (clock() - began)) > 0:
                await asyncio.sleep(ahead)


def parse_range(header: str, size: int) -> range | None:
    """The bytes asked for: None to send everything, an empty range for one that cannot be satisfied.

    Several ranges at once, and units other than bytes, are answered with everything, as RFC 9110 allows.
    """
    found = re.fullmatch(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", header.strip(), re.A | re.I)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
