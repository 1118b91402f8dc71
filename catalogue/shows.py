"""Which show a search is about: the metadata service, asked within the search's time.

The service may be slower than a search may be. So each question runs in a thread of its own, which goes on when nobody
waits any longer: its answer is in the cache for the next search, or the service is left alone for a while.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from anibridge.lib import turns
from anibridge.lib.errors import AniBridgeError
from catalogue import metadata
from catalogue.errors import MetadataUnavailable
from catalogue.metadata import Show
from catalogue.specials import title_score

logger = logging.getLogger(__name__)

SHARE = 0.5
"""The part of a search's time that the service may take; the sites have the rest."""
LEAST_WAIT = 0.1
"""Seconds that an answer from the cache may take, whatever the search's time is."""
SAME_SHOW = 0.45
"""The least score of a title for the show that is meant (the seed's)."""
MOST_AT_ONCE = 8
_Answer = Show | None
_under_way: "dict[Hashable, Future[_Answer]]" = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids of the show that is meant, as clients send them. Any of them is enough; false without one."""

    tvdb: int | None = None
    imdb: str = ""
    tmdb: int | None = None

    def __bool__(self) -> bool:
        return bool(self.tvdb or self.imdb or self.tmdb)


@dataclass(slots=True)
class Shows:
    """The service as one search may ask it. Never raises: `trouble` says why there was no answer."""

    deadline: float
    trouble: str = ""
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._until = now + max(self.deadline - now, 0.0) * SHARE

    @property
    def answers(self) -> bool:
        """Whether every question so far had an answer, be it that there is no such show."""
        return not self.trouble

    def by_ids(self, ids: Ids) -> Show | None:
        """The show that the ids mean."""
        return self._ask(
            ("ids", ids),
            lambda: metadata.resolve(tvdb_id=ids.tvdb, imdb_id=ids.imdb or None, tmdb_id=ids.tmdb),
        )

    def by_title(self, names: Sequence[str], year: int | None = None) -> Show | None:
        """The show that is called so, with its episodes: the first name is asked for, all of them are compared."""
        return self._ask(("title", tuple(names), year), lambda: _by_title(names, year))

    def _ask(self, key: Hashable, work: Callable[[], _Answer]) -> Show | None:
        if self.trouble:
            return None
        try:
            return _within(key, work, self._until)
        except MetadataUnavailable as error:
            self.trouble = str(error)
            return None


def _by_title(names: Sequence[str], year: int | None) -> Show | None:
    hits = metadata.find(names[0])

    def rank(place: int) -> tuple[float, bool, int]:
        hit = hits[place]
        near = year is not None and hit.year is not None and abs(hit.year - year) <= 1
        return max(title_score(name, hit.title) for name in names), near, -place

    best = max(range(len(hits)), key=rank, default=None)
    if best is None or rank(best)[0] < SAME_SHOW:
        return None
    return metadata.show(hits[best].tvdb_id) or hits[best]


def _within(key: Hashable, work: Callable[[], _Answer], until: float) -> Show | None:
    """The answer to a question, which is asked once however many wait for it. Raises MetadataUnavailable."""
    with _lock:
        future = _under_way.get(key)
        if future is None:
            if len(_under_way) >= MOST_AT_ONCE:
                raise MetadataUnavailable("the metadata service is slow: too many wait for it")
            future = _under_way[key] = Future()
            thread = threading.Thread(
                target=_run, args=(key, work, future), name="metadata", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                del _under_way[key]
                raise MetadataUnavailable("no thread to ask the metadata service") from None
    try:
        with turns.aside():
            return future.result(timeout=max(until - time.monotonic(), LEAST_WAIT))
    except TimeoutError:
        raise MetadataUnavailable(
            "the metadata service has not answered yet; the next search may have it"
        ) from None


def _run(key: Hashable, work: Callable[[], _Answer], future: "Future[_Answer]") -> None:
    """Runs in its own thread; no database in here."""
    answer: _Answer = None
    failure: MetadataUnavailable | None = None
    try:
        answer = work()
    except MetadataUnavailable as error:
        failure = error
    except AniBridgeError as error:
        failure = MetadataUnavailable(str(error))
    except Exception:
        logger.exception("asking the metadata service broke")
        failure = MetadataUnavailable("an error in AniBridge: see the log")
    with _lock:
        _under_way.pop(key, None)
    if failure is None:
        future.set_result(answer)
    else:
        future.set_exception(failure)
