"""`/strm/stream` and `/strm/proxy/<name>`: what players play, as plain ASGI apps.

A link proves itself (`strm.links`); then its stream is opened (`strm.opening`) and passed on, playlists with links of
ours in them (`strm.manifests`). A player that leaves ends the upstream connection at once. Nothing here writes a query
string to a log.
"""

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DatabaseError

from anibridge.lib.errors import AniBridgeError
from strm import answers, checks, headers, kinds, links, manifests, transfer, wholefiles
from strm.errors import BadManifest, TooManyStreams
from strm.flights import Flights
from strm.limits import Slots, Turn
from strm.links import Child, Kind
from strm.manifests import Document
from strm.models import StreamKind
from strm.opening import Opened, Opener, Wish
from strm.playbacks import Client, Playback, Playbacks
from strm.pulse import Pulse
from strm.remuxing import AGENT, Remuxer
from strm.transfer import Send
from strm.upstream import Upstream

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Scope = Mapping[str, Any]

KEY_BYTES: Final = 64 * 1024
DATA_BYTES: Final = 2**20
TYPES_REMEMBERED: Final = 5_000


class Engine:
    """What the streams of one event loop share."""

    def __init__(self) -> None:
        self.upstream = Upstream()
        self.flights = Flights()
        self.playbacks = Playbacks()
        self.opener = Opener(self.upstream, self.flights)
        self.remuxer = Remuxer(self.opener)
        self.pulse = Pulse()
        self.types: OrderedDict[str, str] = OrderedDict()
        """What a body turned out to be, for requests that begin in its middle."""

    async def close(self) -> None:
        """Ends everything that is under way."""
        await self.remuxer.close()
        await self.flights.close()
        await self.playbacks.close()
        await self.upstream.close()

    def type_of(self, place: str, header: str, start: bytes, name: str) -> str:
        """The type to send for a body, the same for all its parts."""
        if kinds.multipart_type(header) is None and not start and place in self.types:
            return self.types[place]
        kind = kinds.outgoing(header, start, name)
        if start:
            self.types[place] = kind
            while len(self.types) > TYPES_REMEMBERED:
                self.types.popitem(last=False)
        return kind


_engines: WeakKeyDictionary[asyncio.AbstractEventLoop, Engine] = WeakKeyDictionary()
_slots: list[Slots] = []


def engine() -> Engine:
    """The engine of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _engines:
        _engines[loop] = Engine()
    return _engines[loop]


def slots() -> Slots:
    """The one counter of this process."""
    if not _slots:
        _slots.append(Slots(settings.DATA_DIR / "run" / "streams"))
    return _slots[0]


def announce() -> None:
    """Says at the start of a web process what the system checks say: nobody reads those of a service."""
    for warning in checks.open_doors(None):
        logger.warning("%s. %s", warning.msg, warning.hint)


async def shutdown() -> None:
    """Before the event loop ends: hangs up, and writes what is not written yet."""
    held = _engines.pop(asyncio.get_running_loop(), None)
    if held is not None:
        await held.close()


@dataclass(slots=True)
class Request:
    """One request of a player, and whether its answer has begun."""

    method: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    address: str
    send: Send
    cors: bool = True
    playback: Playback | None = None
    begun: answers.Head | None = None
    server: tuple[str, int] | None = None
    """Where it came in."""
    version: str = "1.1"

    @property
    def head(self) -> bool:
        return self.method == "HEAD"

    def header(self, name: bytes) -> str:
        """A header of the request, empty where there is none."""
        return next((v for n, v in self.headers if n.lower() == name), b"").decode("latin-1")

    @property
    def client(self) -> Client:
        return Client(self.address, self.header(b"user-agent"), self.header(b"x-forwarded-for"))

    async def begin(self, head: answers.Head) -> None:
        """Sends the head of the answer."""
        self.begun = head
        await self.send(head.message)

    async def whole(self, head: answers.Head, body: bytes) -> None:
        """Sends a whole answer; to HEAD without its body."""
        await self.begin(head)
        await self.send({"type": "http.response.body", "body": b"" if self.head else body})


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """`/strm/stream`: the stream of an identity."""
    await _serve(scope, receive, send, _stream)


async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
    """`/strm/proxy/<name>`: an address out of a playlist."""
    await _serve(scope, receive, send, _proxy)


async def _serve(
    scope: Scope, receive: Receive, send: Send, answer: Callable[[Request], Awaitable[None]]
) -> None:
    request = Request(
        method=scope["method"],
        query=scope.get("query_string", b""),
        headers=list(scope["headers"]),
        address=(scope.get("client") or ("",))[0],
        send=send,
        server=tuple(scope["server"]) if scope.get("server") else None,
        version=scope.get("http_version", "1.1"),
    )
    if request.method == "OPTIONS":
        await request.whole(answers.Head(204, headers.PREFLIGHT), b"")
        return
    if request.method not in ("GET", "HEAD"):
        await request.whole(answers.Head(405, [(b"allow", b"GET, HEAD, OPTIONS")]), b"")
        return
    work = asyncio.ensure_future(_answered(request, answer))
    left = asyncio.ensure_future(_until_client_leaves(receive))
    try:
        await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left.cancel()
        if not work.done():
            # Cancelled, it hangs up on the host: the player is gone.
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
    if not work.cancelled():
        work.result()


async def _until_client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _answered(request: Request, answer: Callable[[Request], Awaitable[None]]) -> None:
    """Answers, and words what goes wrong; in the middle of an answer it can only break off."""
    try:
        await _at_rest(answer, request)
    except AniBridgeError as error:
        if request.playback is not None:
            engine().playbacks.failed(request.playback, str(error))
            logger.info("playing %s: %s", request.playback.identity.slug, error)
        if request.begun is None:
            await request.whole(*answers.failure(error))
        elif request.begun.complete:
            # Shorter than announced: the server hangs up, and the player sees that something is missing.
            await request.send({"type": "http.response.body", "body": b""})


async def _at_rest(answer: Callable[[Request], Awaitable[None]], request: Request) -> None:
    """A database that is busy or away for a moment is no bug: the player asks again."""
    try:
        await answer(request)
    except DatabaseError as error:
        logger.warning("the database does not answer: %s", error)
        raise TooManyStreams("the database does not answer; try again in a moment") from error


async def _stream(request: Request) -> None:
    request.cors = False
    asked = links.read_stream(request.query, key=request.header(b"x-api-key"))
    request.cors = asked.by_secret
    one = engine()
    with Turn(slots()) as turn:
        turn.begin()
        playback = await one.playbacks.begin(asked.identity, asked.provider, request.client)
        request.playback = playback
        wish = Wish(request.method, headers.from_client(request.headers))
        if await _as_one_file(one, request, playback, wish, turn):
            return
        opened = await one.opener.root(playback, wish, turn)
        _look_ahead(one, playback, request)

        async def reopen(span: str) -> Opened:
            return await one.opener.root(playback, Wish(passed={"Range": span}), turn)

        async def whole() -> Opened:
            return await one.opener.root(playback, Wish(manifest=True), turn)

        await _deliver(one, request, opened, None, wish, reopen, whole)


async def _as_one_file(
    one: Engine, request: Request, playback: Playback, wish: Wish, turn: Turn
) -> bool:
    """Whether the player got HLS as one file: where its owner wants that, and the file is there in time."""
    if settings.STRM_REMUX == "off" or request.header(b"user-agent").startswith(AGENT):
        return False
    made = one.remuxer.ready(playback)
    if made is None and not one.remuxer.has_failed(playback):
        resolved = await one.flights.resolve(playback.identity, playback.provider)
        if resolved.kind is not StreamKind.HLS:
            return False
        opened = await one.opener.root(playback, Wish(manifest=True), turn)
        opened.answer.close()
        if opened.document is not None:
            # It may be at another host by now.
            resolved = await one.flights.resolve(playback.identity, playback.provider)
            made = await one.remuxer.made(playback, opened.document, resolved, turn, request.server)
    if made is None:
        return False
    playback.kind, playback.host = StreamKind.FILE.value, "cache"
    _look_ahead(one, playback, request)
    name = answers.file_name(playback.identity, made.kind)
    await wholefiles.deliver(
        request, made, wish.passed, lambda count: one.playbacks.sent(playback, count), name=name
    )
    return True


async def _proxy(request: Request) -> None:
    child, applied = links.read_child(request.query)
    one = engine()
    playback = await one.playbacks.get(child.playback)
    request.playback = playback
    with Turn(slots()) as turn:
        turn.begin()
        held = one.opener.documents.get(applied(child.url))
        if held is not None and await one.opener.has_left(playback, held.generation):
            held = None
        if held is not None and child.kind in (Kind.PLAYLIST, Kind.MANIFEST):
            await _playlist(one, request, held.document, held.generation, child)
            return
        wish = Wish(request.method, headers.from_client(request.headers))
        if child.kind not in (Kind.MEDIA, Kind.TEMPLATE):
            wish = Wish(manifest=child.kind in (Kind.PLAYLIST, Kind.MANIFEST))

        async def again(other: Wish) -> Opened:
            return await one.opener.child(child, applied, playback, other, turn)

        opened = await again(wish)
        if child.kind in (Kind.KEY, Kind.DATA, Kind.STEERING, Kind.ASSETS):
            await _aside(one, request, opened, child)
            return

        async def reopen(span: str) -> Opened:
            return await again(Wish(passed={"Range": span}))

        async def whole() -> Opened:
            return await again(Wish(manifest=True))

        await _deliver(one, request, opened, child, wish, reopen, whole)


async def _deliver(
    one: Engine,
    request: Request,
    opened: Opened,
    child: Child | None,
    wish: Wish,
    reopen: transfer.Reopen,
    whole: Callable[[], Awaitable[Opened]],
) -> None:
    """A playlist with links of ours in it, or bytes."""
    answer, playback = opened.answer, request.playback
    assert playback is not None
    try:
        if opened.document is not None:
            await _document(one, request, opened, child)
            return
        place = playback.key if child is None else child.url
        name = "" if child is None else links.child_name(child.url, child.kind, extension=".bin")
        # Read ahead only where the body begins at its beginning.
        kind = one.type_of(place, answer.header("Content-Type"), answer.first, name)
        if request.head and (kinds.is_hls(kind) or kinds.is_dash(kind)):
            await _document(one, request, await whole(), child)
            return
        head = answers.media(
            opened,
            asked_range="Range" in wish.passed,
            head=request.head,
            cors=request.cors,
            kind=kind,
            name=name or answers.file_name(playback.identity, kind),
        )
        if request.head or head.status in (304, 416):
            await request.whole(head, b"")
            return
        await request.begin(head)
        resumable = reopen if kinds.multipart_type(kind) is None else None
        await transfer.pump(
            opened,
            resumable,
            request.send,
            lambda count: one.playbacks.sent(playback, count),
            one.pulse,
        )
        if head.complete or request.version != "1.0":
            await request.send({"type": "http.response.body", "body": b""})
        # Else only the end of the connection says where the body ends: the server hangs up on what is not finished.
    finally:
        answer.close()


async def _document(one: Engine, request: Request, opened: Opened, child: Child | None) -> None:
    opened.answer.close()
    if opened.document is None:
        raise BadManifest("there is no playlist any more")
    child = opened.instead or child
    if child is not None:
        one.opener.documents.keep(child.url, opened.document, opened.generation)
    await _playlist(one, request, opened.document, opened.generation, child)


async def _playlist(
    one: Engine, request: Request, source: Document, generation: int, child: Child | None
) -> None:
    playback = request.playback
    assert playback is not None
    try:
        body = await manifests.linked(
            source,
            playback=playback.key,
            generation=generation,
            child=child,
            known=playback.links,
        )
    except BadManifest as error:
        raise BadManifest(f"the playlist cannot be passed on: {error}") from error
    playback.kind = str(source.kind)
    if source.is_protected and not playback.last_error:
        # It goes through as it is; what most players will make of it should be no riddle.
        one.playbacks.failed(playback, "the video is protected by DRM")
    name = "playlist.mpd" if source.content_type == kinds.DASH else "playlist.m3u8"
    await request.whole(
        answers.small(source.content_type, body, cors=request.cors, name=name), body
    )
    one.playbacks.sent(playback, len(body))


async def _aside(one: Engine, request: Request, opened: Opened, child: Child) -> None:
    """Keys, and the JSON beside playlists: small, and read as a whole."""
    answer, playback = opened.answer, request.playback
    assert playback is not None
    try:
        body = await manifests.read_bounded(
            answer.blocks(),
            encoding=answer.header("Content-Encoding"),
            most=KEY_BYTES if child.kind is Kind.KEY else DATA_BYTES,
        )
    finally:
        answer.close()
    kind = kinds.OCTETS

    def make(url: str, found: Kind) -> str:
        made = replace(child, kind=found, url=url, parent=links.NOWHERE, variables=())
        return links.child_link(made)

    if child.kind in (Kind.STEERING, Kind.ASSETS):
        body, kind = manifests.aside(child.kind, body, answer.url, make), "application/json"
    elif child.kind is Kind.DATA and _is_json(body):
        kind = "application/json"
    name = links.child_name(child.url, child.kind)
    await request.whole(answers.small(kind, body, cors=request.cors, name=name), body)
    one.playbacks.sent(playback, len(body))


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _look_ahead(one: Engine, playback: Playback, request: Request) -> None:
    """Has the next episode looked for, once in a playback, if its owner wants that."""
    identity = playback.identity
    if not settings.STRM_PREFETCH_NEXT or playback.looked_ahead or request.head:
        return
    playback.looked_ahead = True
    if identity.episode and not identity.is_film:
        following = replace(identity, episode=identity.episode + 1)
        one.flights.prefetch(following, playback.provider)
