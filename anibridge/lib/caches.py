"""Caches that may fail. Nothing in them is missed: while there is none, everything is looked up anew.

Django's own raise what Redis or the disk says, and a feed that is all in the database would not be told for want of a
note beside it.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

LEFT_ALONE_SECONDS: Final = 5.0
"""After a failure. Who waits for a server that is silent holds a thread, with every question again."""
T = TypeVar("T")
_again: dict[Any, float] = {}
"""When what failed is asked again (monotonic), by where it is: each request has a cache object of its own."""


class Dispensable(BaseCache):
    """A cache that is empty, and takes nothing, while what is behind it fails."""

    _failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(location, params)  # type: ignore[call-arg]
        self._location = location

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._or(default, lambda: super(Dispensable, self).get(key, default, version))

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        self._or(None, lambda: super(Dispensable, self).set(key, value, timeout, version))

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        return self._or(False, lambda: super(Dispensable, self).add(key, value, timeout, version))

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self._or(False, lambda: super(Dispensable, self).delete(key, version))

    def _or(self, otherwise: T, work: Callable[[], T]) -> T:
        if time.monotonic() < _again.get(self._location, 0.0):
            return otherwise
        try:
            return work()
        except self._failures as error:
            _again[self._location] = time.monotonic() + LEFT_ALONE_SECONDS
            logger.warning("the cache fails (%s): everything is looked up anew", error)
            return otherwise


class Files(Dispensable, FileBasedCache):
    """Files in a folder."""


class Redis(Dispensable, RedisCache):
    """A Redis server."""

    _failures = (OSError, RedisError)
