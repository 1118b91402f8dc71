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


@lru_cache(maxsize=1)
def slots() -> threading.BoundedSemaphore:
    """The places of this process."""
    return threading.BoundedSemaphore(max(settings.WEB_THREADS - KEPT_FREE, 1))


@contextmanager
def slot() -> Iterator[None]:
    """A place among the searches that run; raises Overloaded when none becomes free soon."""
    places = slots()
    if not places.acquire(timeout=PATIENCE_SECONDS):
        raise Overloaded(
            f"too many searches at once; try again in {RETRY_AFTER_SECONDS} seconds",
            retry_after=RETRY_AFTER_SECONDS,
        )
    try:
        yield
    finally:
        places.release()
