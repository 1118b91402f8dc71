"""How long transfers learn that they should stop.

`cancellation` is a context of the running thread (or task). Code that waits calls `tick` at least once a
second; the guarded sockets of `anibridge.lib.http` do. Contexts may be nested: all of them count.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic

STEP = 0.5
"""Seconds that anything waits before it looks up again."""


@dataclass(slots=True)
class _Scope:
    parent: "_Scope | None"
    check: Callable[[], None]
    every: float
    looked: float = 0.0
    stopped: BaseException | None = None


_current: ContextVar[_Scope | None] = ContextVar("anibridge_watch", default=None)


@contextmanager
def cancellation(check: Callable[[], None], *, every: float = STEP) -> Iterator[None]:
    """Within the context, transfers call `check` at least once a second and stop when it raises.

    It is called no more often than `every` seconds, so it may ask a database.

    The exception cannot get lost: it is remembered, every later step of the context raises it again, and
    the context itself ends with it, even where a library on the way wrapped or swallowed it.
    """
    scope = _Scope(parent=_current.get(), check=check, every=every)
    token = _current.set(scope)
    try:
        yield
    except BaseException as error:
        # An exit of the interpreter goes first; anything else after a stop is only its echo.
        if scope.stopped is None or error is scope.stopped or not isinstance(error, Exception):
            raise
        raise scope.stopped from None
    else:
        if scope.stopped is not None:
            raise scope.stopped
    finally:
        _current.reset(token)


def tick() -> None:
    """Raises what the surrounding contexts want raised. Cheap enough for every block of a transfer."""
    scope = _current.get()
    if scope is None:
        return
    now = monotonic()
    while scope is not None:
        if scope.stopped is not None:
            raise scope.stopped
        if now - scope.looked >= scope.every:
            scope.looked = now
            try:
                scope.check()
            except BaseException as error:
                scope.stopped = error
                raise
        scope = scope.parent


def stopped() -> BaseException | None:
    """What a check of the surrounding contexts has raised already, if any has."""
    scope = _current.get()
    while scope is not None:
        if scope.stopped is not None:
            return scope.stopped
        scope = scope.parent
    return None


def pause(seconds: float) -> None:
    """Sleeps, but looks up often enough to be stopped."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        tick()
        time.sleep(min(left, STEP))


class Throttle:
    """Keeps a transfer at `rate` bytes a second; None lets it run. The rate may change at any time.

    What is owed is counted in bytes and not in time: a rate that rises while it waits shortens the wait.
    """

    CREDIT = 0.25
    """Seconds of silence that may be caught up on."""

    def __init__(self, rate: int | None = None) -> None:
        self.rate = rate
        self.count = 0
        self._owed = 0.0
        self._looked = monotonic()

    @property
    def portion(self) -> int:
        """How many bytes to take at once so that the pauses between them stay short."""
        rate = self.rate
        return min(max(1024, rate // 8), 1 << 20) if rate else 1 << 20

    def passed(self, count: int) -> None:
        """Call after `count` bytes: waits until they fit the rate."""
        self.count += count
        self._owed += count
        while self._still_owed() > 0 and self.rate:
            tick()
            time.sleep(min(self._owed / max(self.rate or 1, 1), STEP))

    def _still_owed(self) -> float:
        now, rate = monotonic(), self.rate or 0
        paid, self._looked = (now - self._looked) * rate, now
        self._owed = max(self._owed - paid, -self.CREDIT * rate) if rate else 0.0
        return self._owed
