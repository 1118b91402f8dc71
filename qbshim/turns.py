"""Reading takes turns within a process: more at once would only fight over the interpreter, and all of them be late.

Clients poll every second or two, and an answer costs a millisecond or two of processor time. Where one takes long after
all (a disk that hangs), the others do not wait for it for long.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

AT_ONCE: Final = 2
PATIENCE_SECONDS = 1.0

places = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def turn() -> Iterator[None]:
    """One of the places, or none when none becomes free soon."""
    taken = places.acquire(timeout=PATIENCE_SECONDS)
    try:
        yield
    finally:
        if taken:
            places.release()
