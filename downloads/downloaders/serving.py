"""A service that speaks the batch protocol (see `remote.py`) in front of a qBittorrent of its own, and announces itself.

It keeps nothing: qBittorrent knows everything there is to know, so it can be stopped and started at any time. Every
body is bounded, every link is judged before it is touched, and .torrent files are fetched through the guarded client.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from aiohttp import web

from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError, Cancelled
from downloads import torrent_links, torrents
from downloads.detection import DownloadType, Link, detect
from downloads.downloaders.base import DownloaderAway, Item, NotReached, Place, Report, State
from downloads.downloaders.qbittorrent import QBittorrent

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_BODY = 4 * 2**20
MAX_ITEMS = 200
MAX_ID = 200
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds between attempts to register; doubled each time."""
TYPES = (DownloadType.MAGNET, DownloadType.TORRENT)


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where to register, and what to say. `api_key` is AniBridge's, `own_key` is what AniBridge has to send here."""

    anibridge: str
    api_key: str
    name: str
    base_url: str
    priority: int
    own_key: str = ""

    @property
    def body(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "name": self.name,
            "service_type": "downloader",
            "base_url": self.base_url,
            "priority": self.priority,
            "capabilities": {
                "download_endpoint": "/downloads",
                "supported_download_types": [one.value for one in TYPES],
            },
        }
        return said | ({"api_key": self.own_key} if self.own_key else {})


class BadRequest(AniBridgeError):
    """The request makes no sense; the message says why."""


class Service:
    """The endpoints over one qBittorrent. One conversation at a time; .torrent files are fetched beside it."""

    def __init__(self, place: Place, *, key: str = "") -> None:
        self.place, self.key = place, key
        self._talk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qbittorrent")
        self._fetch = ThreadPoolExecutor(max_workers=4, thread_name_prefix="torrents")

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        app.router.add_post("/downloads", self.submit)
        app.router.add_get("/downloads", self.status)
        app.router.add_post("/downloads/cancel", self.cancel)
        for method in ("POST", "PUT"):
            app.router.add_route(method, "/downloads/{hash}/pause", self.pause)
            app.router.add_route(method, "/downloads/{hash}/resume", self.resume)
            app.router.add_route(method, "/downloads/{hash}/limit", self.limit)
        app.router.add_delete("/downloads/{hash}", self.delete)
        app.router.add_get("/health", self.health)
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, app: web.Application) -> None:
        for pool in (self._talk, self._fetch):
            pool.shutdown(wait=False, cancel_futures=True)

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Who may ask, and the words for what goes wrong."""
        given = request.headers.get("X-Api-Key", "")
        if self.key and not hmac.compare_digest(given.encode(), self.key.encode()):
            return _error(401, "send the key of this service as X-Api-Key")
        try:
            return await handler(request)
        except BadRequest as error:
            return _error(400, str(error))
        except NotReached as error:
            logger.warning("qBittorrent: %s", error)
            return _error(503, f"qBittorrent cannot be asked: {error}")
        except DownloaderAway as error:
            logger.warning("qBittorrent: %s", error)
            return _error(502, f"qBittorrent gave no answer: {error}")

    async def submit(self, request: web.Request) -> web.Response:
        items = (await _json(request)).get("items")
        if not isinstance(items, list) or not 0 < len(items) <= MAX_ITEMS:
            raise BadRequest(f"«items» must be a list of 1 to {MAX_ITEMS}")
        loop = asyncio.get_running_loop()
        prepared = await asyncio.gather(
            *(
                loop.run_in_executor(self._fetch, _prepared, number, item)
                for number, item in enumerate(items)
            )
        )
        results: list[dict[str, Any]] = [
            one if isinstance(one, dict) else {"url": items[number]["url"]}
            for number, one in enumerate(prepared)
        ]
        wanted = [one for one in prepared if isinstance(one, Item)]
        answers = await self._talking(lambda talk: talk.submit(wanted)) if wanted else {}
        for item in wanted:
            results[int(item.key)] |= _result(item, answers.get(item.key))
        return web.json_response({"results": results})

    async def status(self, request: web.Request) -> web.Response:
        ids = _ids([one for one in request.query.get("hashes", "").split(",") if one.strip()])
        reports = await self._talking(lambda talk: talk.status(ids))
        return web.json_response({"statuses": [_status(one, reports[one]) for one in ids]})

    async def cancel(self, request: web.Request) -> web.Response:
        ids = _ids((await _json(request)).get("hashes"))

        def work(talk: QBittorrent) -> dict[str, str]:
            known = talk.status(ids)
            there = [one for one in ids if known[one].state is not State.NOT_FOUND]
            talk.cancel(there)
            return {one: "cancelled" if one in there else "not_found" for one in ids}

        said = await self._talking(work)
        results = [{"hash": one, "status": word} for one, word in said.items()]
        return web.json_response({"results": results})

    async def pause(self, request: web.Request) -> web.Response:
        return await self._command(request, lambda talk, one: talk.pause(one), "paused")

    async def resume(self, request: web.Request) -> web.Response:
        return await self._command(request, lambda talk, one: talk.resume(one), "resumed")

    async def limit(self, request: web.Request) -> web.Response:
        limit = (await _json(request)).get("rate_limit")
        if limit is not None and (type(limit) is not int or limit <= 0):
            raise BadRequest("«rate_limit» must be bytes a second, or null for none")
        return await self._command(request, lambda talk, one: talk.limit(one, limit), "limited")

    async def delete(self, request: web.Request) -> web.Response:
        files = request.query.get("delete_files", "").lower() in ("1", "true", "yes")
        return await self._command(
            request, lambda talk, one: talk.delete(one, delete_files=files), "deleted"
        )

    async def health(self, request: web.Request) -> web.Response:
        line = await self._talking(lambda talk: talk.health())
        return web.json_response({"status": "ok", "service": line})

    async def _command(
        self, request: web.Request, act: Callable[[QBittorrent, str], object], word: str
    ) -> web.Response:
        one = _ids([request.match_info["hash"]])[0]

        def work(talk: QBittorrent) -> bool:
            if talk.status([one])[one].state is State.NOT_FOUND:
                return False
            act(talk, one)
            return True

        if not await self._talking(work):
            return web.json_response({"hash": one, "status": "not_found"}, status=404)
        return web.json_response({"hash": one, "status": word})

    async def _talking(self, work: Callable[[QBittorrent], T]) -> T:
        def call() -> T:
            talk = QBittorrent(self.place)
            try:
                return work(talk)
            finally:
                talk.close()

        return await asyncio.get_running_loop().run_in_executor(self._talk, call)


def _prepared(number: int, item: Any) -> Item | dict[str, Any]:
    """An item that can be handed over, or the result that refuses it. Fetches .torrent files."""
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        return _rejected("", "an item needs a url")
    url, folder = item["url"], item.get("save_path") or ""
    try:
        link = detect(url)
        _check_folder(folder)
        content = b""
        if link.download_type == DownloadType.TORRENT:
            fetched = torrent_links.fetch(link.url)
            if isinstance(fetched, bytes):
                content = fetched
            else:
                link = detect(fetched)
        ids = torrents.read(content).ids if content else _magnet_ids(link)
    except AniBridgeError as error:
        return _rejected(url, str(error))
    return Item(key=str(number), url=link.url, save_path=folder, ids=ids, torrent=content)


def _magnet_ids(link: Link) -> tuple[str, ...]:
    if link.download_type != DownloadType.MAGNET or link.magnet is None:
        raise BadRequest("this service takes magnets and .torrent files only")
    return (link.magnet.infohash,)


def _check_folder(folder: object) -> None:
    if not isinstance(folder, str) or len(folder) > 1000 or not (folder + "x").isprintable():
        raise BadRequest("save_path must be a path")
    if folder and not (
        PurePosixPath(folder).is_absolute() or PureWindowsPath(folder).is_absolute()
    ):
        raise BadRequest("save_path must be absolute")


def _rejected(url: str, reason: str) -> dict[str, Any]:
    return {"url": url, "hash": None, "status": "rejected", "reason": reason}


def _result(item: Item, answer: Any) -> dict[str, Any]:
    if answer is None:
        reason = "qBittorrent does not list it yet"
        return {"hash": item.ids[0], "status": "unknown", "reason": reason}
    if answer.refusal:
        return {"hash": None, "status": "rejected", "reason": answer.refusal}
    return {"hash": answer.remote_id, "status": "accepted", "reason": None}


def _status(one: str, report: Report) -> dict[str, Any]:
    said: dict[str, Any] = {
        "hash": one,
        "status": report.state.value,
        "progress": report.progress,
        "size": report.size or 0,
    }
    if report.state is State.NOT_FOUND:
        return said
    if report.state is State.COMPLETED:
        said["files"] = list(report.files)
    return said | {
        "content_path": report.content_path,
        "save_path": report.save_path,
        "downloaded": report.downloaded,
        "speed": report.speed,
        "eta": report.eta,
        "name": report.name,
        "reason": report.reason or None,
    }


def _ids(given: object) -> list[str]:
    good = isinstance(given, list) and all(
        isinstance(one, str) and one.strip().isalnum() and one.isascii() and len(one) <= MAX_ID
        for one in given
    )
    if not good or not isinstance(given, list) or not 0 < len(given) <= MAX_ITEMS:
        raise BadRequest(f"name 1 to {MAX_ITEMS} hashes")
    return list(dict.fromkeys(one.strip().lower() for one in given))


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise BadRequest("send a JSON object")
    return body


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"results": [], "statuses": [], "error": text}, status=status)


async def register_until_known(said: Announcement, stop: asyncio.Event) -> None:
    """Tell AniBridge about this service until it has heard it; returns when it has, or when `stop` is set."""
    pause = FIRST_PAUSE
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        trouble = await loop.run_in_executor(None, _register, said, stop)
        if not trouble:
            logger.info("registered at %s as «%s»", said.anibridge, said.name)
            return
        logger.warning("not registered yet: %s; next try in %.0f s", trouble, pause)
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            pause = min(2 * pause, LONGEST_PAUSE)


def _register(said: Announcement, stop: asyncio.Event) -> str:
    """Empty when AniBridge took it, or why not."""

    def check() -> None:
        if stop.is_set():
            raise Cancelled("the service is stopping")

    try:
        with http.cancellation(check), http.session(trusted=[said.anibridge]) as session:
            answer = http.fetch(
                f"{said.anibridge.rstrip('/')}/api/v1/services/register",
                session=session,
                method="POST",
                headers={"X-Api-Key": said.api_key, "Content-Type": "application/json"},
                data=json.dumps(said.body).encode(),
                timeout=15.0,
                follow=False,
            )
    except AniBridgeError as error:
        return str(error)
    if answer.ok:
        return ""
    if answer.status in (401, 403):
        return "AniBridge does not accept the API key"
    return f"AniBridge answered {answer.status}: {answer.text[:200]}"


async def serve(
    service: Service,
    *,
    host: str,
    port: int,
    announce: Callable[[int], Announcement | None],
    stop: asyncio.Event,
    ready: Callable[[int], None],
) -> None:
    """Listen, then announce, until `stop` is set. Raises OSError when the port is taken."""
    runner = web.AppRunner(service.app(), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        addresses: Sequence[Any] = runner.addresses
        bound = int(addresses[0][1])
        ready(bound)
        said = announce(bound)
        if said is not None:
            await register_until_known(said, stop)
        await stop.wait()
    finally:
        await runner.cleanup()
