"""From a link to an answer of its host, whatever has become of the address since it was found.

A host that refuses, or cannot be reached, gets one chance under a new address; then the next host has its turn. A child's
address is looked for again in the new playlist (`strm.moving`).
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Final

from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.outbound import OutboundError, host_of
from strm import headers, kinds, links, manifests
from strm.errors import BadManifest, Broken, HostRefused, NoLongerThere, NotAVideo
from strm.flights import Flights
from strm.limits import Turn
from strm.links import Child
from strm.manifests import Document, Documents
from strm.models import StreamKind
from strm.moving import Finder, Search
from strm.playbacks import Playback
from strm.resolving import Resolved
from strm.upstream import Answer, Upstream, headers_for

logger = logging.getLogger(__name__)

GOOD: Final = frozenset({200, 206, 304, 416})
"""Anything else says that an address has run out, or that the host is in trouble."""
FRESH: Final = timedelta(minutes=1)
"""An address found this recently is not looked for again because one part of it is missing."""
FAILURES: Final = (HostRefused, NotAVideo, BadManifest, OutboundError)
HOSTS: Final = 4
"""Hosts that are tried in one request."""
PEEK: Final = 600
"""Bytes that are read ahead: enough for MPEG-TS to show three sync bytes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a player wants of an address; `passed` are its ranges and conditions."""

    method: str = "GET"
    passed: dict[str, str] = field(default_factory=dict)
    manifest: bool = False
    """Whether a playlist is expected: as a whole, and compressed if the host likes."""

    @property
    def headers(self) -> dict[str, str]:
        """What is sent for it."""
        return {"Accept-Encoding": "gzip, deflate"} if self.manifest else self.passed


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer, and the version of the link under which it was found; `document` is its content where that is a playlist.

    `total` is set where the answer to HEAD had to be found out with a GET.
    """

    answer: Answer
    generation: int = 0
    document: Document | None = None
    total: int | None = None


class Opener:
    """One per event loop."""

    def __init__(self, upstream: Upstream, flights: Flights) -> None:
        self._upstream = upstream
        self._flights = flights
        self._dead: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._finder = Finder(self._fetched)

    @property
    def documents(self) -> Documents:
        """The playlists that are remembered."""
        return self._finder.documents

    async def root(self, playback: Playback, wish: Wish, turn: Turn) -> Opened:
        """The stream of an identity. Raises what looking for it raises, or what its last host said."""
        identity, provider = playback.identity, playback.provider
        resolved = await self._flights.resolve(identity, provider)
        without = ""
        for attempt in range(1 + HOSTS):
            try:
                opened = await self._root(resolved, wish, turn, playback)
                return replace(opened, generation=resolved.version)
            except FAILURES as error:
                logger.info("%s at %s: %s", identity.slug, resolved.provider, error)
                problem: AniBridgeError = error
            if attempt:  # the first failure may be the address's, the next ones are the host's
                without = resolved.provider
            try:
                resolved = await self._flights.resolve(
                    identity, provider, newer_than=resolved.version, without=without
                )
            except AniBridgeError as error:
                raise problem from error
        raise problem

    async def _root(self, resolved: Resolved, wish: Wish, turn: Turn, playback: Playback) -> Opened:
        if resolved.kind is not StreamKind.FILE:
            wish = replace(wish, method="GET", manifest=True)
        playback.host, playback.kind = resolved.host, str(resolved.kind)
        return await self._ask(resolved.url, resolved.headers, wish, turn)

    async def child(
        self,
        child: Child,
        applied: Callable[[str], str],
        playback: Playback,
        wish: Wish,
        turn: Turn,
    ) -> Opened:
        """The answer to a child link; `applied` puts the player's numbers into its address."""
        identity, provider = playback.identity, playback.provider
        known = await self._flights.known(identity, provider)
        mark = (identity.infohash, provider, child.generation)
        problem: AniBridgeError | None = None
        # Of a live stream that an old address has ended says nothing about the next one: its playlist is always young.
        if child.live or mark not in self._dead:
            try:
                opened = await self._at(applied(child.url), known, wish, turn)
                return replace(opened, generation=child.generation)
            except FAILURES as error:
                if child.parent == links.NOWHERE:
                    raise
                logger.info("%s: a part at %s: %s", identity.slug, host_of(child.url), error)
                problem = error
        failing = child.generation
        while True:
            try:
                newer = await self._flights.resolve(identity, provider, newer_than=failing)
            except AniBridgeError as error:
                raise (problem or error) from error
            try:
                opened = await self._moved(child, applied, newer, wish, turn)
            except NoLongerThere:
                raise
            except AniBridgeError as error:
                problem = problem or error
                if newer.resolved_at > timezone.now() - FRESH:
                    raise problem from error
                failing = newer.version
                continue
            if not child.live:
                self._bury(mark)
            return replace(opened, generation=newer.version)

    async def _moved(
        self,
        child: Child,
        applied: Callable[[str], str],
        newer: Resolved,
        wish: Wish,
        turn: Turn,
    ) -> Opened:
        """The child under a newer link. A playlist from memory is read once more where it leads nowhere, and so is a live
        one, since somebody else may have ended its addresses by reading it too."""
        search = Search(newer, turn)
        try:
            url = await self._finder.find(child, search)
            return await self._at(applied(url), newer, wish, turn)
        except (*FAILURES, Broken, NoLongerThere) as error:
            may_change = child.live and not isinstance(error, NoLongerThere)
            if not (search.leaned or may_change):
                raise
        again = Search(newer, turn, since=monotonic())
        url = await self._finder.find(child, again)
        return await self._at(applied(url), newer, wish, turn)

    async def _at(self, url: str, known: Resolved | None, wish: Wish, turn: Turn) -> Opened:
        sent = {} if known is None else headers_for(url, known.headers, meant_for=known.url)
        return await self._ask(url, sent, wish, turn)

    async def _ask(self, url: str, sent: dict[str, str], wish: Wish, turn: Turn) -> Opened:
        turn.at(host_of(url))
        if wish.method == "HEAD":
            return await self._head(url, sent, wish)
        answer = await self._upstream.open(url, headers={**sent, **wish.headers})
        if answer.status == 416 and "," in wish.passed.get("Range", ""):
            # The host knows no lists of ranges; whoever asks for one can take the whole as well.
            answer.close()
            return await self._ask(url, sent, replace(wish, passed={}), turn)
        try:
            _judge(answer, url)
            whole = answer.status == 200 or wish.manifest
            if not (whole or _from_the_start(answer)):
                return Opened(answer)
            start = await answer.peek(PEEK)
            if kinds.is_page(start):
                raise NotAVideo(f"{host_of(url)} sent a web page instead of a video")
            if not (wish.manifest or _looks_like_manifest(answer, start)):
                return Opened(answer)
            if whole:
                return Opened(answer, document=await manifests.read(answer))
        except BaseException:
            answer.close()
            raise
        # A part of a playlist is of no use to anybody.
        answer.close()
        return await self._ask(url, sent, Wish(manifest=True), turn)

    async def _head(self, url: str, sent: dict[str, str], wish: Wish) -> Opened:
        """HEAD; where the host knows none, or answers it with a page, the first byte and what comes with it."""
        answer = await self._upstream.open(url, method="HEAD", headers={**sent, **wish.headers})
        answer.close()
        page = kinds.declared(answer.header("Content-Type")) == "text/html"
        if answer.status in GOOD and not page:
            return Opened(answer)
        probe = {**sent, "Range": "bytes=0-0"}
        answer = await self._upstream.open(url, headers=probe)
        try:
            _judge(answer, url)
            if kinds.is_page(await answer.peek(PEEK)):
                raise NotAVideo(f"{host_of(url)} sent a web page instead of a video")
        finally:
            answer.close()
        span = headers.content_range(answer.header("Content-Range"))
        total = headers.length(answer.header("Content-Length"))
        if answer.status == 206:
            total = None if span is None else span.total
        return Opened(answer, total=total)

    async def document(self, url: str, resolved: Resolved, turn: Turn) -> Document:
        """A playlist of this film, remembered or fetched. Raises what fetching raises."""
        return await self._finder.read(url, Search(resolved, turn))

    async def _fetched(self, url: str, resolved: Resolved, turn: Turn) -> Document:
        opened = await self._at(url, resolved, Wish(manifest=True), turn)
        opened.answer.close()
        if opened.document is None:
            raise BadManifest("there is no playlist any more")
        return opened.document

    def _bury(self, mark: tuple[str, str, int]) -> None:
        """The addresses of this generation are over: the next parts are looked for in the newer one at once."""
        self._dead[mark] = None
        while len(self._dead) > 1_000:
            self._dead.popitem(last=False)


def _judge(answer: Answer, url: str) -> None:
    if answer.status in GOOD:
        return
    raise HostRefused(
        f"{host_of(url)} answered with HTTP status {answer.status}",
        status=answer.status,
        retry_after=answer.header("Retry-After"),
    )


def _from_the_start(answer: Answer) -> bool:
    span = headers.content_range(answer.header("Content-Range"))
    return span is not None and span.first == 0


def _looks_like_manifest(answer: Answer, start: bytes) -> bool:
    found = kinds.sniffed(start) or kinds.declared(answer.header("Content-Type"))
    return kinds.is_hls(found) or kinds.is_dash(found)
