"""How many streams run at once, counted over all web processes of a machine.

A slot is one byte of a file, locked. The kernel lets go of the locks of a process that dies, so nothing has to be
cleaned up and nothing is ever counted that is not there. Machines that share a database count each for itself.
"""

import fcntl
import os
import random
import zlib
from pathlib import Path
from typing import Final

from django.conf import settings

from strm.errors import TooManyStreams

MOST: Final = 4096
"""Slots of one kind; limits in the settings are below this."""


class Slots:
    """Counts in one file, which is opened once per process: closing it anywhere would give all its locks away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._process = 0
        self._held: set[int] = set()

    def take(self, name: str, limit: int) -> int | None:
        """A free slot among the `limit` ones of this name, to be given back; None when all are taken."""
        file = self._opened()
        first = self._first(name)
        start = random.randrange(limit)  # noqa: S311 - only so that processes do not run into each other
        for number in range(limit):
            place = first + (start + number) % limit
            # A process does not lock itself out: its own slots are known to itself alone.
            if place in self._held:
                continue
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            self._held.add(place)
            return place
        return None

    def give_back(self, place: int) -> None:
        """Ends what `take` began."""
        if place in self._held and self._file is not None and self._process == os.getpid():
            self._held.discard(place)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def close(self) -> None:
        """Gives everything back."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._held = None, set()

    def _first(self, name: str) -> int:
        # Two names on one number share their slots: rare, and it only makes the limit tighter.
        return zlib.crc32(name.encode("utf-8", "replace")) * MOST

    def _opened(self) -> int:
        if self._file is None or self._process != os.getpid():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._process, self._held = os.getpid(), set()
        return self._file


class Turn:
    """One running stream: a slot of all, and one of its host's. Use with `with`."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._taken: list[int] = []
        self._hosts: set[str] = set()

    def begin(self) -> None:
        """Takes a slot of all. Raises TooManyStreams."""
        self._take("", settings.STRM_MAX_STREAMS, "as many streams as allowed are running")

    def at(self, host: str) -> None:
        """Takes a slot of this host's, if it has none yet. Raises TooManyStreams."""
        if host in self._hosts:
            return
        self._hosts.add(host)
        self._take(
            f"host {host}",
            settings.STRM_MAX_STREAMS_PER_HOST,
            f"as many streams from {host} as allowed are running",
        )

    def _take(self, name: str, limit: int, told: str) -> None:
        if limit <= 0:
            return
        place = self._slots.take(name, min(limit, MOST))
        if place is None:
            raise TooManyStreams(f"{told} ({limit})")
        self._taken.append(place)

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, *_: object) -> None:
        while self._taken:
            self._slots.give_back(self._taken.pop())
