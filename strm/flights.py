"""Looking for streams from the event loop: remembered in memory, once per identity, on few threads, called off when
nobody waits any more."""

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from django.db import DatabaseError

from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError, Cancelled
from catalogue.releases import Identity
from strm import resolving
from strm.errors import TooManyStreams
from strm.models import mapping_key
from strm.resolving import Resolved
from strm.threads import LOOKING, in_database, in_thread, with_connection

REMEMBERED: Final = 2_000
TRUSTED_SECONDS: Final = 5.0
"""For how long nobody asks whether another process has found the stream elsewhere."""
WAITING: Final = 64
"""Looks that may wait for a thread; more than that is more than anybody plays."""


@dataclass
class _Flight:
    future: "asyncio.Future[Resolved]"
    newer_than: int
    abandoned: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0


class Flights:
    """One per event loop."""

    def __init__(self) -> None:
        self._memory: OrderedDict[str, Resolved] = OrderedDict()
        self._versions: OrderedDict[tuple[str, int], Resolved] = OrderedDict()
        self._read_at: dict[str, float] = {}
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def resolve(
        self, identity: Identity, provider: str = "", *, newer_than: int = 0, without: str = ""
    ) -> Resolved:
        """As `resolving.resolve`. Raises TooManyStreams when too many others are waiting."""
        key = mapping_key(identity, provider)
        held = await self._latest(key, identity, provider)
        if held is not None and held.is_good(newer_than, without):
            self._memory.move_to_end(key)
            return held
        flight = self._flights.get((key, without))
        if flight is None or flight.newer_than < newer_than:
            flight = self._start(key, identity, provider, newer_than, without)
        return self._remember(key, await self._join(flight))

    async def known(
        self, identity: Identity, provider: str = "", *, version: int = 0
    ) -> Resolved | None:
        """What is remembered of an identity, however old: of this version, if that one is remembered too."""
        key = mapping_key(identity, provider)
        held = self._versions.get((key, version)) or self._memory.get(key)
        if held is None:
            held = await in_database(resolving.known, identity, provider=provider)
            if held is not None:
                self._remember(key, held)
        return held

    def prefetch(self, identity: Identity, provider: str = "") -> None:
        """Looks in the background, when there is nothing else to do; what goes wrong does not matter."""
        if len(self._flights) >= WAITING // 8:
            return

        async def quietly() -> None:
            try:
                await self.resolve(identity, provider)
            except (AniBridgeError, OSError):
                return

        task = asyncio.get_running_loop().create_task(quietly())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Calls off whatever is under way."""
        for flight in self._flights.values():
            flight.abandoned.set()
        for task in self._background:
            task.cancel()
        left: set[asyncio.Future[Any]] = {
            *self._background,
            *(flight.future for flight in self._flights.values()),
        }
        if left:
            await asyncio.wait(left)

    async def _latest(self, key: str, identity: Identity, provider: str) -> Resolved | None:
        """What is remembered, and now and then what all processes know: one of them may have left a host."""
        held = self._memory.get(key)
        if held is None or self._read_at.get(key, 0.0) > monotonic() - TRUSTED_SECONDS:
            return held
        self._read_at[key] = monotonic()
        try:
            latest = await in_database(resolving.known, identity, provider=provider)
        except DatabaseError:
            return held
        return held if latest is None else self._remember(key, latest)

    def _start(
        self, key: str, identity: Identity, provider: str, newer_than: int, without: str
    ) -> _Flight:
        if len(self._flights) >= WAITING:
            raise TooManyStreams("too many streams are being looked for; try again in a moment")
        abandoned = threading.Event()

        def check() -> None:
            if abandoned.is_set():
                raise Cancelled("nobody waits for this stream any more")

        def look() -> Resolved:
            with http.cancellation(check):
                return resolving.resolve(
                    identity, provider=provider, newer_than=newer_than, without=without
                )

        task = asyncio.ensure_future(in_thread(LOOKING, with_connection, look))
        flight = _Flight(task, newer_than, abandoned)
        place = (key, without)
        self._flights[place] = flight

        def landed(future: "asyncio.Future[Resolved]") -> None:
            if self._flights.get(place) is flight:
                del self._flights[place]
            if not future.cancelled():
                future.exception()  # whoever waited has been told

        task.add_done_callback(landed)
        return flight

    async def _join(self, flight: _Flight) -> Resolved:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.future)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.future.done():
                # Whoever comes now starts a flight of its own.
                flight.abandoned.set()
                for place, one in list(self._flights.items()):
                    if one is flight:
                        del self._flights[place]

    def _remember(self, key: str, found: Resolved) -> Resolved:
        held = self._memory.get(key)
        if held is None or held.version <= found.version:
            self._memory[key] = found
            self._memory.move_to_end(key)
            self._read_at[key] = monotonic()
            while len(self._memory) > REMEMBERED:
                self._read_at.pop(self._memory.popitem(last=False)[0], None)
        self._versions[key, found.version] = found
        self._versions.move_to_end((key, found.version))
        while len(self._versions) > 2 * REMEMBERED:
            self._versions.popitem(last=False)
        return found
