"""From a link to an answer of its host, whatever has become of the address since it was found.

A host that refuses, or cannot be reached, gets one chance under a new address; then the next host has its turn. A child's
address is looked for again in the new playlist (`strm.moving`). Where the next host has the film cut differently, the
player is told to start again, and then gets it from there.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from typing import Final

from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.outbound import OutboundError, host_of
from strm import headers, hls, kinds, links, manifests
from strm.errors import BadManifest, Broken, HostRefused, NoLongerThere, NotAVideo, StartAgain
from strm.flights import Flights
from strm.limits import Turn
from strm.links import Child, Kind
from strm.manifests import Document, Documents
from strm.models import StreamKind
from strm.moving import Finder, Search
from strm.playbacks import Playback
from strm.resolving import Resolved
from strm.upstream import Answer, HangUp, Upstream, headers_for

logger = logging.getLogger(__name__)

GOOD: Final = frozenset({200, 206, 304, 416})
"""Anything else says that an address has run out, or that the host is in trouble."""
FRESH: Final = timedelta(minutes=1)
"""An address found this recently is not looked for again because one part of it is missing."""
FAILURES: Final = (HostRefused, NotAVideo, BadManifest, OutboundError)
HOSTS: Final = 4
"""Hosts that are tried in one request."""
STAY_SECONDS: Final = 600.0
"""A host that lacks a part, and is the only one, is put up with for so long before the others are asked again."""
PEEK: Final = 600
"""Bytes that are read ahead: enough for MPEG-TS to show three sync bytes."""

MARKUP: Final = 64 * 1024
"""Bytes of what may be a manifest: a comment may stand before the element by which players know it."""


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

    `total` is set where the answer to HEAD had to be found out with a GET; `instead` is the child that `document` belongs
    to, where that is another one than was asked for.
    """

    answer: Answer
    generation: int = 0
    document: Document | None = None
    total: int | None = None
    instead: Child | None = None


class Opener:
    """One per event loop."""

    def __init__(self, upstream: Upstream, flights: Flights) -> None:
        self._upstream = upstream
        self._flights = flights
        self._dead: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._only: OrderedDict[tuple[str, str, int], float] = OrderedDict()
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
                if opened.document is not None:
                    self.documents.keep(resolved.url, opened.document, resolved.version)
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
        """The answer to a child link; `applied` puts the player's numbers into its address.

        Raises StartAgain where its host is gone and another one has the film, but not this part of it.
        """
        identity, provider = playback.identity, playback.provider
        known = await self._flights.known(identity, provider, version=child.generation)
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
        failing, without = child.generation, ""
        before = known.provider if known is not None and known.version == failing else ""
        while True:
            try:
                newer = await self._flights.resolve(
                    identity, provider, newer_than=failing, without=without
                )
            except AniBridgeError as error:
                if without:
                    self._stay((*mark[:2], failing))
                raise (problem or error) from error
            try:
                elsewhere = _differ(before, newer.provider)
                opened = await self._moved(child, applied, newer, wish, turn, elsewhere)
            except NoLongerThere:
                raise
            except AniBridgeError as error:
                if isinstance(error, Broken) and elsewhere:
                    if found := await self._counterpart(child, known, newer, turn):
                        return found
                    raise StartAgain(_told(before, newer, problem)) from error
                problem = problem or error
                if newer.resolved_at > timezone.now() - FRESH:
                    if without or not await self._leaves(child, newer, error, mark):
                        raise problem from error
                    without = before = newer.provider
                failing = newer.version
                continue
            if not child.live:
                self._bury(mark)
            return replace(opened, generation=newer.version)

    async def _counterpart(
        self, child: Child, known: Resolved | None, newer: Resolved, turn: Turn
    ) -> Opened | None:
        """The playlist of another host's that takes the place of one that is gone, as far as there is one."""
        if known is None or child.live:
            return None
        search = Search(newer, turn)
        try:
            instead = await self._finder.counterpart(child, known.url, search)
            if instead is None:
                return None
            opened = await self._at(instead.url, newer, Wish(manifest=True), turn)
        except (*FAILURES, Broken):
            return None
        return replace(opened, generation=newer.version, instead=instead)

    async def _leaves(
        self, child: Child, newer: Resolved, error: AniBridgeError, mark: tuple[str, str, int]
    ) -> bool:
        """Whether a part that is missing under a new address as well is reason enough to ask the next host."""
        since = self._only.get((*mark[:2], newer.version))
        if since is not None and since > monotonic() - STAY_SECONDS:
            return False
        if not isinstance(error, FAILURES) or child.kind not in _NEEDED:
            return False
        if child.kind is not Kind.PLAYLIST or child.parent != links.ROOT:
            return not links.child_name(child.url, child.kind).endswith(_EXTRAS)
        top = self.documents.get(newer.url, since=0.0)
        if top is None or top.document.kind is not StreamKind.HLS:
            return True
        text = top.document.text
        every = await self.documents.targets(newer.url, top.document, {})
        place = every[child.ordinal].url if child.ordinal < len(every) else ""
        needed = {one.url for one in hls.entries(_EXTRA_LINE.sub("", text), top.document.url)}
        return not place or place in needed

    def _stay(self, mark: tuple[str, str, int]) -> None:
        """There is no other host: not asked for again at each part that is missing."""
        self._only[mark] = monotonic()
        while len(self._only) > 1_000:
            self._only.popitem(last=False)

    async def has_left(self, playback: Playback, generation: int) -> bool:
        """Whether the film comes from another host now than what was read under that version of its link."""
        then = await self._flights.known(playback.identity, playback.provider, version=generation)
        now = await self._flights.known(playback.identity, playback.provider)
        return then is not None and now is not None and _differ(then.provider, now.provider)

    async def _moved(
        self,
        child: Child,
        applied: Callable[[str], str],
        newer: Resolved,
        wish: Wish,
        turn: Turn,
        elsewhere: bool,
    ) -> Opened:
        """The child under a newer link. A playlist from memory is read once more where it leads nowhere, and so is a live
        one, since somebody else may have ended its addresses by reading it too."""
        search = Search(newer, turn, elsewhere)
        try:
            url = await self._finder.find(child, search)
            return await self._at(applied(url), newer, wish, turn)
        except (*FAILURES, Broken, NoLongerThere) as error:
            may_change = child.live and not isinstance(error, NoLongerThere)
            if not (search.leaned or may_change):
                raise
        again = Search(newer, turn, elsewhere, since=monotonic())
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
            _require_part(answer, url, wish)
            whole = answer.status == 200 or wish.manifest
            if not (whole or _from_the_start(answer)):
                return Opened(answer)
            start = await answer.peek(PEEK)
            if kinds.is_page(start):
                raise NotAVideo(f"{host_of(url)} sent a web page instead of a video")
            if start.lstrip().startswith(b"<"):
                start = await answer.peek(MARKUP)
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
        try:
            answer = await self._upstream.open(url, method="HEAD", headers={**sent, **wish.headers})
        except HangUp:
            logger.info("%s hangs up on HEAD", host_of(url))
        else:
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


_NEEDED: Final = frozenset({Kind.MEDIA, Kind.TEMPLATE, Kind.KEY, Kind.PLAYLIST, Kind.MANIFEST})
_EXTRAS: Final = (".vtt", ".webvtt", ".srt", ".ttml", ".dfxp")
_EXTRA_LINE: Final = re.compile(
    r"^[ \t]*#EXT-X-(?:I-FRAME-STREAM-INF:|IMAGE-STREAM-INF:|MEDIA:.*TYPE=(?:SUBTITLES|CLOSED)).*$",
    re.M,
)
"""Subtitles and pictures for seeking: the film plays without them."""


def _differ(before: str, now: str) -> bool:
    return bool(before) and before.casefold() != now.casefold()


def _told(before: str, newer: Resolved, problem: AniBridgeError | None) -> str:
    why = f" ({problem})" if problem is not None else ""
    return (
        f"{before} does not have it any more{why}, and {newer.provider} has it cut differently: "
        f"start again to play it from {newer.provider}"
    )


def _judge(answer: Answer, url: str) -> None:
    if answer.status in GOOD:
        return
    raise HostRefused(
        f"{host_of(url)} answered with HTTP status {answer.status}",
        status=answer.status,
        retry_after=answer.header("Retry-After"),
    )


def _require_part(answer: Answer, url: str, wish: Wish) -> None:
    """Raises HostRefused for another part than the one asked for, or one that is not as long as it says."""
    if answer.status != 206 or "," in (asked := wish.passed.get("Range", "")):
        return
    span = headers.content_range(answer.header("Content-Range"))
    if span is None or span.first is None or span.last is None:
        return
    length = headers.length(answer.header("Content-Length"))
    first = asked.partition("=")[2].partition("-")[0].strip()
    if (first and int(first) != span.first) or length not in (None, span.last - span.first + 1):
        raise HostRefused(
            f"{host_of(url)} sent another part than the one asked for", status=answer.status
        )


def _from_the_start(answer: Answer) -> bool:
    span = headers.content_range(answer.header("Content-Range"))
    return span is not None and span.first == 0


def _looks_like_manifest(answer: Answer, start: bytes) -> bool:
    found = kinds.sniffed(start) or kinds.declared(answer.header("Content-Type"))
    return kinds.is_hls(found) or kinds.is_dash(found)
