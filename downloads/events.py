"""Live progress as server-sent events, as plain ASGI: of all downloads, of one, and of one in the older words.

Opened by the API key (`X-Api-Key`, or `apikey=`) or a signed-in user, like the rest of REST. What a client holds here is
a place in a set: when it leaves, which plain ASGI sees at once, everything goes with it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from anibridge.lib import apikeys
from downloads import live, services
from downloads.errors import UnknownJob
from downloads.live import Change, Listener, Mark, in_thread
from downloads.models import Job

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Framed = Callable[[Change], bytes]

KEEP_ALIVE_SECONDS = 15.0
LONGEST_SECONDS = 3600.0
"""After that the stream ends; the client comes back by itself, and has to be let in again."""
MOST_LISTENERS = 200
"""In one process. Each costs little, but a page that reconnects in a loop must not fill the process."""
RETRY_MILLISECONDS = 2000

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx in front would hold the events back
]


class _Refused(Exception):
    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


async def all_events(scope: Scope, receive: Receive, send: Send) -> None:
    """`/api/v1/downloads/events`: every download that changes, until the client leaves.

    The first event, `ready`, says that nothing is missed from here on. `Last-Event-ID` goes on where one left.
    """

    async def greet(listener: Listener) -> bytes:
        said = _header(scope, b"last-event-id") or _query(scope).get("last_event_id", "")
        ready = _frame("{}", event="ready", mark=listener.mark)
        if not said:
            return f"retry: {RETRY_MILLISECONDS}\n".encode() + ready
        mark = Mark.read(said.strip())
        missed = await in_thread(live.since, mark) if mark else None
        if missed is None or missed.reset:
            return _frame("{}", event="reset") + ready
        return _batch(missed.changes, _of_all) + _frame("{}", event="ready", mark=missed.mark)

    await _serve(scope, receive, send, Listener(), greet, _of_all)


async def download_events(scope: Scope, receive: Receive, send: Send) -> None:
    """`/api/v1/downloads/<id>/events`: one download whenever it changes, until it is over."""
    await _serve_one(scope, receive, send, _of_all)


async def job_events(scope: Scope, receive: Receive, send: Send) -> None:
    """`/jobs/<id>/events`: the same in the words of the older job API."""
    await _serve_one(scope, receive, send, lambda change: _frame(change.older))


async def _serve_one(scope: Scope, receive: Receive, send: Send, frame: Framed) -> None:
    reference = scope["path_params"]["reference"]

    async def greet(listener: Listener) -> bytes:
        now = await in_thread(_read, reference)
        if now is not None:  # read anew: it may have changed until the hub knew of this listener
            listener.pending[now.job_id] = now
            listener.news.set()
        return b""

    async def find() -> int:
        found: Change | None = await in_thread(_read, reference)
        if found is None:
            raise _Refused(404, "not_found", "there is no such download")
        return found.job_id

    await _serve(scope, receive, send, Listener(), greet, frame, find)


async def _serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    listener: Listener,
    greet: Callable[[Listener], Awaitable[bytes]],
    frame: Framed,
    find: Callable[[], Awaitable[int]] | None = None,
) -> None:
    hub = live.hub()
    try:
        await _require_access(scope)
        if find is not None:
            listener.job_id = await find()
        if len(hub.listeners) >= MOST_LISTENERS:
            raise _Refused(503, "too_many_listeners", "too many listen already; poll the list")
    except _Refused as refusal:
        await _refuse(send, refusal)
        return
    left = asyncio.ensure_future(_until_client_leaves(receive))
    try:
        await hub.join(listener)
        greeting = await greet(listener)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if greeting:
            await _body(send, greeting)
        await _stream(listener, left, send, frame)
        await send({"type": "http.response.body", "body": b""})
    finally:
        hub.leave(listener)
        left.cancel()


async def _stream(
    listener: Listener, left: "asyncio.Future[None]", send: Send, frame: Framed
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + LONGEST_SECONDS
    told: Change | None = None
    while not left.done() and not listener.is_over and loop.time() < end:
        await _news_or_leave(listener, left)
        if left.done():
            return
        changes, is_reset = listener.take()
        mark = None
        if listener.job_id is None:
            mark = listener.mark
        else:
            changes = [change for change in changes if change != told]
            told = changes[-1] if changes else told
        if is_reset:
            await _body(send, _frame("{}", event="reset", mark=mark))
        elif changes:
            await _body(send, _batch(changes, frame, mark))
        else:
            await _body(send, b":\n\n")
        if told is not None and told.is_over:
            return


async def _news_or_leave(listener: Listener, left: "asyncio.Future[None]") -> None:
    """Until there is something to tell, the client has left, or it is time for a sign of life."""
    news = asyncio.ensure_future(listener.news.wait())
    either: set[asyncio.Future[Any]] = {left, news}
    try:
        await asyncio.wait(either, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()


async def _until_client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _of_all(change: Change) -> bytes:
    if change.removed:
        gone = json.dumps({"id": change.job_id, "hash": change.infohash})
        return _frame(gone, event="removed")
    return _frame(change.body)


def _batch(changes: Sequence[Change], frame: Framed, mark: Mark | None = None) -> bytes:
    """Events that belong together. The last one bears the mark: before it has arrived, not all is told."""
    frames = [frame(change) for change in changes]
    if mark is not None and frames:
        frames[-1] = f"id: {mark}\n".encode() + frames[-1]
    return b"".join(frames)


def _frame(data: str, *, event: str = "", mark: Mark | None = None) -> bytes:
    """One event. JSON holds no line break, so it is one `data:` line."""
    lines = [f"event: {event}"] if event else []
    lines += [f"id: {mark}"] if mark else []
    return "\n".join([*lines, f"data: {data}", "", ""]).encode()


async def _require_access(scope: Scope) -> None:
    if scope["method"] != "GET":
        raise _Refused(405, "method_not_allowed", "use GET")
    key = _header(scope, b"x-api-key") or _query(scope).get("apikey", "")
    if key and not await in_thread(apikeys.is_valid, key):
        raise _Refused(401, "authentication_failed", "the API key is wrong")
    if not key and not await in_thread(_is_signed_in, _header(scope, b"cookie")):
        detail = "send the API key as X-Api-Key, or sign in"
        raise _Refused(401, "not_authenticated", detail)


async def _refuse(send: Send, refusal: _Refused) -> None:
    body = json.dumps({"code": refusal.code, "detail": refusal.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"X-Api-Key"))
    elif refusal.status == 405:
        headers.append((b"allow", b"GET"))
    elif refusal.status == 503:
        headers.append((b"retry-after", b"30"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, name: bytes) -> str:
    found = (value for key, value in scope["headers"] if key.lower() == name)
    return next(found, b"").decode("latin-1")


def _query(scope: Scope) -> dict[str, str]:
    try:
        text = scope.get("query_string", b"").decode("latin-1")
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=50).items()}
    except ValueError:  # more fields than anybody means
        return {}


def _is_signed_in(cookie: str) -> bool:
    try:
        cookies = SimpleCookie(cookie)
    except CookieError:
        return False
    if settings.SESSION_COOKIE_NAME not in cookies:
        return False
    request = HttpRequest()
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(cookies[settings.SESSION_COOKIE_NAME].value)
    return get_user(request).is_authenticated


def _read(reference: str) -> Change | None:
    try:
        job = services.get(reference)
    except UnknownJob:
        return None
    found = Job.objects.select_related("downloader").filter(pk=job.pk).first()
    return Change.of(found) if found else None
