"""The title indexes of this process: in memory, built off the request path, renewed when a marker moves.

There are two, because a film of a series is none of its names: «Fogworks S01E01» must not be found under it.
"""

import logging
import threading
import time
from collections.abc import Iterator

from django.db import connection

from catalogue import filmnames
from catalogue.matching import TitleIndex
from catalogue.models import Film, Site, TitleMapping

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
Marker = tuple[tuple[str, int], ...]


def _marker() -> Marker:
    """Which indexes of which sites are current: moves with every refresh and every switch of a site."""
    return tuple(Site.objects.enabled().values_list("site_id", "index_generation"))


def _names() -> Iterator[tuple[str, str, str]]:
    return (
        TitleMapping.objects.filter(site__enabled=True)
        .order_by("site__search_priority", "pk")
        .values_list("site_id", "slug", "name")
        .iterator(chunk_size=5000)
    )


def _films() -> Iterator[tuple[str, str, str]]:
    rows = (
        Film.objects.filter(title__site__enabled=True)
        .order_by("title__site__search_priority", "pk")
        .values_list(
            "title__site_id", "title__slug", "title__name", "german_title", "english_title"
        )
        .iterator(chunk_size=5000)
    )
    for site_id, slug, series, german, english in rows:
        for name in filmnames.findable(german, english, series):
            yield site_id, slug, name


class Current:
    """Holds the newest indexes that are ready. One per process; every method may be called from any thread."""

    def __init__(self) -> None:
        self._index: TitleIndex | None = None
        self._film_index: TitleIndex | None = None
        self._marker: Marker | None = None
        self._looked_at = 0.0
        self._building = threading.Lock()

    def get(self) -> TitleIndex:
        """The index of titles. The first call in a process builds it; later ones never wait for a rebuild."""
        index = self._index
        if index is None:
            with self._building:
                # An index without a name is one all the same.
                return self._build(_marker()) if self._index is None else self._index
        if not len(index) or time.monotonic() - self._looked_at >= LOOK_EVERY_SECONDS:
            self._looked_at = time.monotonic()
            marker = _marker()
            if marker != self._marker and not len(index):
                # Nothing could be found in an empty one: the first index of all is worth waiting for.
                with self._building:
                    return self._build(marker) if marker != self._marker else self._index or index
            if marker != self._marker and self._building.acquire(blocking=False):
                self._renew(marker)
        return index

    def films(self) -> TitleIndex:
        """The index of what the films of series are called, as far as that was learnt; a hit is the series."""
        self.get()
        index = self._film_index
        return TitleIndex(()) if index is None else index

    def forget(self) -> None:
        """Drop what is in memory; the next call reads the database."""
        with self._building:
            self._index = self._film_index = self._marker = None

    def _build(self, marker: Marker) -> TitleIndex:
        started = time.monotonic()
        index, films = TitleIndex(_names()), TitleIndex(_films())
        self._film_index, self._index, self._marker = films, index, marker
        self._looked_at = time.monotonic()
        told = len(index), len(films), self._looked_at - started
        logger.info("title index: %d names and %d of films in %.2f s", *told)
        return index

    def _renew(self, marker: Marker) -> None:
        thread = threading.Thread(
            target=self._rebuild, args=(marker,), name="title-index", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._building.release()
            logger.exception("no thread for a new title index; the old one stays")

    def _rebuild(self, marker: Marker) -> None:
        """Runs in its own thread and holds `_building`, which its starter took."""
        try:
            self._build(marker)
        except Exception:
            logger.exception("the title index could not be renewed; the old one stays")
        finally:
            connection.close()  # a thread's connection is nobody else's to close
            self._building.release()


current = Current()
