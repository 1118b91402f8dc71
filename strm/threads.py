"""Work that blocks, off the event loop: the database, parsing, and looking for streams. Each on few threads of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

DATABASE = ThreadPoolExecutor(max_workers=4, thread_name_prefix="strm-database")
"""They keep their connections."""
PARSING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="strm-parsing")
LOOKING = ThreadPoolExecutor(max_workers=8, thread_name_prefix="strm-looking")
NAMES = ThreadPoolExecutor(max_workers=8, thread_name_prefix="strm-names")


async def in_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, called on a thread with a database connection."""
    return await in_thread(DATABASE, lambda: with_connection(work, *args, **kwargs))


def with_connection(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls `work` between two looks whether this thread's connection is still one."""
    close_old_connections()
    try:
        return work(*args, **kwargs)
    finally:
        close_old_connections()


async def in_thread(
    pool: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What `work` returns, called on a thread of the pool. A caller that is cancelled does not wait for it."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, lambda: work(*args, **kwargs))
