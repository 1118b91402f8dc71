"""How many searches may run at once in a process. A search may wait for sites for seconds, and holds a thread meanwhile.

Without a bound, a handful of them would leave no thread for the health check, the dashboard and the download client.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from django.conf import settings

from torznab.errors import Overloaded

KEPT_FREE: Final = 2
"""Threads that searches leave to everything else."""
PATIENCE_SECONDS: Final = 2.0
RETRY_AFTER_SECONDS: Final = 10
"""Clients leave the indexer alone for so long: about the time of a search that waits for its sites."""


class Places:
    """So many places. Who finds none free waits for one, unless somebody waited in vain since one became free: each
    that waits holds a thread, and those that wait one after the other would hold up everything behind them."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._in_vain = False
        self._changed = threading.Condition()

    def take(self) -> bool:
        """Whether there was a place, soon enough."""
        with self._changed:
            patience = 0.0 if self._in_vain else PATIENCE_SECONDS
            if not self._changed.wait_for(lambda: self._free > 0 or self._in_vain, patience):
                self._in_vain = True
                self._changed.notify_all()
            if self._free < 1:
                return False
            self._free -= 1
            return True

    def give_back(self) -> None:
        """Somebody has left."""
        with self._changed:
            self._free += 1
            self._in_vain = False
            self._changed.notify()


@lru_cache(maxsize=1)
def places() -> Places:
    """The places of this process."""
    return Places(max(settings.WEB_THREADS - KEPT_FREE, 1))


@contextmanager
def slot() -> Iterator[None]:
    """A place among the searches that run; raises Overloaded when none becomes free soon."""
    ours = places()
    if not ours.take():
        raise Overloaded(
            f"too many searches at once; try again in {RETRY_AFTER_SECONDS} seconds",
            retry_after=RETRY_AFTER_SECONDS,
        )
    try:
        yield
    finally:
        ours.give_back()
