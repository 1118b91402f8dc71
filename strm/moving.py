"""Where an address out of a playlist is now: read off the playlists that a newer link leads to.

In a film's playlist that is the same place, if the playlist still is the same but for its addresses. A live playlist has
moved on meanwhile: a segment is found by its media sequence number, a part of one by that and its own number; keys, maps
and what has no number are found by their paths, the query left aside.
"""

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from strm import hls, links
from strm.errors import Broken, NoLongerThere
from strm.hls import Entry
from strm.limits import Turn
from strm.links import Child, Kind
from strm.manifests import REMEMBERED_SECONDS, Document, Documents
from strm.models import StreamKind
from strm.resolving import Resolved

RELOAD_SECONDS: Final = 2.0
"""For how long a live playlist is taken as it was: whoever looks for several segments at once reads it once."""

Fetch = Callable[[str, Resolved, Turn], Awaitable[Document]]


@dataclass
class Search:
    """One search under a newer link. Playlists that were read before `since` are read again; `leaned` says whether one
    from memory was believed, so that it may be what is wrong. `elsewhere`: the newer link leads to another host, where a
    name says nothing."""

    newer: Resolved
    turn: Turn
    elsewhere: bool = False
    since: float = field(default_factory=lambda: monotonic() - REMEMBERED_SECONDS)
    leaned: bool = False


class Finder:
    """One per event loop."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self.documents = Documents()

    async def find(self, child: Child, search: Search) -> str:
        """The child's address now. Raises Broken where that is another film, NoLongerThere where a live stream has
        gone on, and what reading playlists raises."""
        url = search.newer.url
        source = await self.read(url, search)
        imported: dict[str, str] = {}
        found = await self.documents.targets(url, source, imported)
        if child.parent != links.ROOT:
            lists = (Kind.PLAYLIST, Kind.MANIFEST)
            if not (0 <= child.parent < len(found) and found[child.parent].kind in lists):
                raise Broken("the playlist is another one now")
            if source.kind is StreamKind.HLS:
                imported = hls.defined(source.text, source.url, {})
            url = found[child.parent].url
            source = await self.read(url, search)
            found = await self.documents.targets(url, source, imported)
        if child.live:
            return live(child, found)
        if source.shape == child.shape and child.ordinal < len(found):
            return found[child.ordinal].url
        # A list of variants may be another one for a number that changed in it.
        same = [one.url for one in found if one.kind is Kind.PLAYLIST]
        named = child.kind is Kind.PLAYLIST and not search.elsewhere
        if named and (url := _alike(child.url, same)):
            return url
        raise Broken("the host has another film there now")

    async def counterpart(self, child: Child, before: str, search: Search) -> Child | None:
        """What another host has in the place of a film's variant: its own one of about the same bandwidth. None where
        that cannot be told: `before` is where the root was, whose playlist may be forgotten by now.

        The child that is returned is not for a link, only for what stands in its playlist."""
        held = self.documents.get(before, since=0.0)
        if held is None or child.kind is not Kind.PLAYLIST or child.parent != links.ROOT:
            return None
        old, new = held.document, await self.read(search.newer.url, search)
        if old.kind is not StreamKind.HLS or new.kind is not StreamKind.HLS or new.live:
            return None
        offered = hls.variants(old.text, old.url)
        own = next((one for one in offered if one.ordinal == child.ordinal), None)
        if own is None:
            return None
        there = replace(child, url=search.newer.url, generation=search.newer.version, variables=())
        if not hls.is_master(new.text):
            # Its root lists the segments: these are the root's own children.
            return None if own.has_own_sound else replace(there, ordinal=links.ROOT)
        alike = [
            one for one in hls.variants(new.text, new.url) if one.has_own_sound == own.has_own_sound
        ]
        if not alike:
            return None
        nearest = min(alike, key=lambda one: abs(one.bandwidth - own.bandwidth))
        every = await self.documents.targets(search.newer.url, new, {})
        return replace(
            there,
            url=every[nearest.ordinal].url,
            ordinal=nearest.ordinal,
            shape=new.shape,
            variables=tuple(hls.defined(new.text, new.url, {}).items()),
        )

    async def read(self, url: str, search: Search) -> Document:
        """A playlist of this stream, remembered or fetched; fetched once, however many want it at the same time."""
        async with self._alone(url):
            held = self.documents.get(url, least=search.newer.version, since=search.since)
            if held is not None and held.is_young(RELOAD_SECONDS):
                search.leaned = True
                return held.document
            source = await self._fetch(url, search.newer, search.turn)
            self.documents.keep(url, source, search.newer.version)
            return source

    def _alone(self, url: str) -> "_Alone":
        return _Alone(self._locks, url)


class _Alone:
    """A lock for each address that is being read; forgotten when nobody holds or wants it."""

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], url: str) -> None:
        self._locks, self._url = locks, url

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._url, (asyncio.Lock(), 0))
        self._locks[self._url] = lock, users + 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._url][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, users = self._locks[self._url]
        if users > 1:
            self._locks[self._url] = lock, users - 1
        else:
            del self._locks[self._url]


def live(child: Child, found: Sequence[Entry]) -> str:
    """The address of a live playlist's child among those that it lists now. Raises NoLongerThere."""
    if child.shape & 0xFFFF == hls.BY_PATH:
        same = [one.url for one in found if one.kind is child.kind and one.spot is None]
        if url := _alike(child.url, same):
            return url
        if child.kind is Kind.KEY and len(set(same)) == 1:
            return same[0]
        raise NoLongerThere("the live playlist does not name it any more")
    numbered = [(one.url, one.spot) for one in found if one.spot is not None]
    here = [url for url, spot in numbered if spot.is_at(child.ordinal, child.shape)]
    path = urlsplit(child.url).path
    if all(urlsplit(url).path != path for url in here) and any(
        spot.number == child.ordinal for _, spot in numbered
    ):
        # Another machine of the host may count differently: then the very file is listed under another number. Where
        # the number is not there at all, the same name is what a ring of names has come to by now.
        elsewhere = {url for url, _ in numbered if urlsplit(url).path == path}
        if len(elsewhere) == 1:
            return elsewhere.pop()
    if not here:
        raise NoLongerThere("the segment is not in the live playlist any more")
    return here[0]


def _alike(url: str, among: Collection[str]) -> str:
    """The only one of the same path, or at least of the same name; of several the one whose query says most of the
    same. Empty for none."""
    path = urlsplit(url).path
    for same in (
        {one for one in among if urlsplit(one).path == path},
        {one for one in among if _name(one) == posixpath.basename(path) != ""},
    ):
        if len(same) == 1:
            return same.pop()
        said = _said(url)
        scores = sorted(((len(said & _said(one)), one) for one in same), reverse=True)
        if scores and scores[0][0] > scores[1][0]:
            return scores[0][1]
    return ""


def _name(url: str) -> str:
    return posixpath.basename(urlsplit(url).path)


def _said(url: str) -> set[tuple[str, str]]:
    try:
        return set(parse_qsl(urlsplit(url).query, max_num_fields=100))
    except ValueError:
        return set()
