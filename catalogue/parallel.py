"""Several questions side by side, none waited for beyond a moment."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from anibridge.lib import http, turns
from anibridge.lib.errors import Cancelled

K = TypeVar("K")
T = TypeVar("T")
WORKERS = 16


def side_by_side(
    jobs: Mapping[K, Callable[[], T]], until: float
) -> dict[K, tuple[T | Exception, float]]:
    """Each job's outcome, its result or the exception that ended it, and its seconds.

    At `until` (monotonic) what still runs is told to stop and counts as Cancelled. The jobs run in threads and must
    leave the database alone.
    """
    if not jobs:
        return {}
    over = threading.Event()
    began = time.monotonic()
    seconds: dict[K, float] = {}

    def check() -> None:
        if over.is_set():
            raise Cancelled("the search's time is up")

    def run(key: K, job: Callable[[], T]) -> T:
        try:
            with http.cancellation(check):
                return job()
        finally:
            seconds[key] = time.monotonic() - began

    pool = ThreadPoolExecutor(min(WORKERS, len(jobs)), thread_name_prefix="asking")
    futures = {key: pool.submit(run, key, job) for key, job in jobs.items()}
    with turns.aside():
        wait(futures.values(), timeout=max(until - time.monotonic(), 0.0))
    over.set()
    pool.shutdown(wait=False, cancel_futures=True)
    outcomes: dict[K, tuple[T | Exception, float]] = {}
    for key, future in futures.items():
        outcome: T | Exception = Cancelled("has not answered yet")
        if future.done() and not future.cancelled():
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            outcome = future.result() if error is None else error
        outcomes[key] = outcome, seconds.get(key, time.monotonic() - began)
    return outcomes
