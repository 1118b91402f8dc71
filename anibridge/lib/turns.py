"""Requests that only read take turns within a process: more at once would fight over the interpreter, and all be late.

Clients poll every second or two, and an answer costs a millisecond or two of processor time. Where one takes long after
all (a disk that hangs), the others do not wait for it for long; one that waits for somebody's answer steps aside.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

AT_ONCE: Final = 3
PATIENCE_SECONDS = 1.0


class Places:
    """So many places, given in the order in which they were asked for.

    A semaphore of the standard library lets whoever comes just then go before those that wait, some of whom then wait
    several times as long as the rest.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._waiting: deque[threading.Lock] = deque()

    @property
    def free(self) -> int:
        """How many nobody has."""
        return self._free

    def take(self, patience: float) -> bool:
        """A place, as soon as it is our turn. False when that was not within `patience` seconds."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            ours = threading.Lock()
            ours.acquire()
            self._waiting.append(ours)
        if ours.acquire(timeout=patience):
            return True
        with self._lock:
            if ours in self._waiting:
                self._waiting.remove(ours)
                return False
        # It became ours in this very moment.
        return True

    def give_back(self) -> None:
        """The place goes to who has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


places = Places(AT_ONCE)
_mine = threading.local()


@contextmanager
def turn() -> Iterator[None]:
    """One of the places, or none when none becomes free soon; who has one keeps it."""
    if getattr(_mine, "taken", False):
        yield
        return
    _mine.taken = places.take(PATIENCE_SECONDS)
    try:
        yield
    finally:
        _give_back()


@contextmanager
def aside() -> Iterator[None]:
    """While this thread waits for somebody else, its place is another's; without one nothing happens."""
    had = _give_back()
    try:
        yield
    finally:
        if had:
            _mine.taken = places.take(PATIENCE_SECONDS)


def _give_back() -> bool:
    """Whether this thread had a place."""
    had = getattr(_mine, "taken", False)
    _mine.taken = False
    if had:
        places.give_back()
    return had
