"""One port, two kinds of work: streams and events are plain ASGI apps, everything else is WSGI on threads.

Plain ASGI sees `http.disconnect` at once. The WSGI side does not see a client leave, so nothing endless may
be answered there (design.md §2, measured).
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anibridge.settings")

from anibridge.wsgi import application as wsgi_application  # noqa: I001  sets Django up first

from django.conf import settings

from anibridge.lib import bodies
from anibridge.lib.threads import OnThreads
from catalogue.index import current
from downloads.events import all_events, download_events, job_events
from strm import remuxed, streams

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAMS: list[tuple[re.Pattern[str], App]] = [
    (re.compile(r"/jobs/(?P<reference>[^/]{1,60})/events"), job_events),
    (re.compile(r"/api/v1/downloads/events"), all_events),
    (re.compile(r"/api/v1/downloads/(?P<reference>[^/]{1,60})/events"), download_events),
    (re.compile(r"/strm/stream"), streams.stream),
    (re.compile(r"/strm/proxy/(?P<name>[^/]{1,200})"), streams.proxy),
]
"""Path → plain ASGI app; named groups arrive in `scope["path_params"]`."""

_threads = OnThreads(cast(Any, wsgi_application), workers=settings.WEB_THREADS)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The entry point of the web process."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["type"] != "http":
        return
    for pattern, app in STREAMS:
        if match := pattern.fullmatch(scope["path"]):
            await app({**scope, "path_params": match.groupdict()}, receive, send)
            return
    if bodies.has_no_length(scope):
        try:
            scope, receive = await bodies.measured(
                scope, receive, most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            )
        except bodies.BodyRefused as refusal:
            await refusal.answer(send)
            return
    await _threads(scope, receive, _without_body(send) if scope["method"] == "HEAD" else send)  # type: ignore[arg-type]


def _without_body(send: Send) -> Send:
    """Django answers HEAD like GET and leaves it to the server to drop the body; gunicorn warns of each."""

    async def drop(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return drop


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            # Built now and off the request path, so that the first search of a process is not the slow one.
            warm = asyncio.get_running_loop().run_in_executor(None, _warm_up)
            warm.add_done_callback(lambda done: done.exception())
            streams.announce()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await streams.shutdown()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _warm_up() -> None:
    from django.db import connection

    try:
        remuxed.sweep()
        current.get()
    finally:
        connection.close()
