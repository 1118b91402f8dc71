"""How late the event loop is. When too many streams want more than the processor gives, they wait, and nobody else does.

The dashboard, the indexer and the players' own next requests go through the same event loop. Players take from their
buffers, so a stream that waits a moment is not noticed; an answer that comes a second late is.
"""

import asyncio
from typing import Final

EVERY: Final = 0.05
LATE: Final = 0.01
"""Seconds of lateness that are nobody's business."""
LONGEST: Final = 0.05
"""A stream still gets two blocks in this time: more than twice what a film of 8 Mbit/s needs."""


class Pulse:
    """Beats while streams run. `pause` is what a stream waits after each block: nothing, on a machine with time left."""

    def __init__(self) -> None:
        self.pause = 0.0
        self._streams = 0
        self._late = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> "Pulse":
        self._streams += 1
        if self._handle is None:
            self._next()
        return self

    def __exit__(self, *_: object) -> None:
        self._streams -= 1

    def _next(self) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_at(loop.time() + EVERY, self._beat, loop.time() + EVERY)

    def _beat(self, due: float) -> None:
        self._handle = None
        self._late = 0.7 * self._late + 0.3 * max(0.0, asyncio.get_running_loop().time() - due)
        self.pause = min(self._late * self._streams / 4, LONGEST) if self._late > LATE else 0.0
        if self._streams:
            self._next()
        else:
            self.pause = self._late = 0.0
