"""`/jobs/<id>/events`: the live progress of one download as server-sent events, as plain ASGI.

Opened by the API key (`X-Api-Key`, or `apikey=`) or a signed-in user. Ends when the job does.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest

from anibridge.lib import apikeys
from downloads import services
from downloads.errors import UnknownJob
from downloads.models import Job

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

EVERY_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 15.0
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="events")


async def job_events(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Send `data: {json}` whenever the job has changed, until it is over or the client leaves."""
    if scope["method"] != "GET":
        await _refuse(send, 405, "method_not_allowed", "use GET")
        return
    if not await _in_thread(_may_read, dict(scope)):
        await _refuse(send, 403, "forbidden", "send the API key as X-Api-Key, or sign in")
        return
    reference = scope["path_params"]["reference"]
    state = await _in_thread(_read, reference)
    if state is None:
        await _refuse(send, 404, "not_found", "there is no such download")
        return
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    left = asyncio.ensure_future(_until_client_leaves(receive))
    try:
        await _stream(reference, state, left, send)
    finally:
        left.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _stream(
    reference: str, state: dict[str, Any] | None, left: "asyncio.Future[None]", send: Send
) -> None:
    told: dict[str, Any] | None = None
    silent = 0.0
    while state is not None and not left.done():
        if state != told:
            told, silent = state, 0.0
            body = f"data: {json.dumps(state)}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        elif silent >= KEEP_ALIVE_SECONDS:
            silent = 0.0
            await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})
        if state["status"] in {"completed", "failed", "cancelled"}:
            return
        await asyncio.wait({left}, timeout=EVERY_SECONDS)
        silent += EVERY_SECONDS
        state = await _in_thread(_read, reference)


async def _until_client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _in_thread(work: Callable[[Any], Any], argument: Any) -> Any:
    """Database work off the event loop, on threads that keep their connections."""

    def call() -> Any:
        close_old_connections()
        return work(argument)

    return await asyncio.get_running_loop().run_in_executor(_threads, call)


async def _refuse(send: Send, status: int, code: str, detail: str) -> None:
    body = json.dumps({"code": code, "detail": detail}).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _may_read(scope: Mapping[str, Any]) -> bool:
    headers = {name.lower(): value for name, value in scope["headers"]}
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=50)
    key = headers.get(b"x-api-key", b"").decode("latin-1") or query.get("apikey", [""])[0]
    if key:
        return apikeys.is_valid(key)
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return False
    if settings.SESSION_COOKIE_NAME not in cookies:
        return False
    request = HttpRequest()
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(cookies[settings.SESSION_COOKIE_NAME].value)
    return get_user(request).is_authenticated


def _read(reference: str) -> dict[str, Any] | None:
    try:
        return snapshot(services.get(reference))
    except UnknownJob:
        return None


def snapshot(job: Job) -> dict[str, Any]:
    """A job as the REST and events interfaces show it (design.md §3)."""

    def when(moment: Any) -> str | None:
        return moment.isoformat().replace("+00:00", "Z") if moment else None

    return {
        "id": job.pk,
        "hash": job.infohash,
        "name": job.name,
        "download_type": job.download_type,
        "status": job.status,
        "progress": job.progress,
        "downloaded_bytes": job.downloaded_bytes,
        "total_bytes": job.total_bytes,
        "speed": job.speed,
        "eta": job.eta,
        "source_site": job.source_site,
        "downloader": "builtin",
        "category": job.category,
        "save_path": job.save_path,
        "result_path": job.result_path,
        "error_message": job.error_message,
        "retry_count": job.retry_count,
        "created_at": when(job.created_at),
        "started_at": when(job.started_at),
        "completed_at": when(job.completed_at),
    }
