"""The files that remuxing has made: a bounded cache, of which goes what nobody has played for longest.

A file that is being read is locked (shared), and one that is locked stays. What is under way is a `.part`, and its maker
holds a slot that ends with his process: parts without one are left-overs.
"""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from django.conf import settings

from strm.limits import Slots
from strm.threads import in_thread

logger = logging.getLogger(__name__)

FOLDER: Final = "remux"
"""Below the data directory."""
PART: Final = ".part"
BLOCK: Final = 256 * 1024
TYPES: Final = {".mp4": "video/mp4", ".mkv": "video/x-matroska"}
_slots: dict[Path, Slots] = {}
"""One per process and folder: a second one that is closed would give the first one's locks away."""
READING = ThreadPoolExecutor(max_workers=4, thread_name_prefix="strm-reading")


@dataclass(frozen=True, slots=True)
class Made:
    """A file of the cache, opened and locked; `close` it."""

    file: BinaryIO
    size: int
    tag: str
    kind: str

    def close(self) -> None:
        """Lets go of it."""
        self.file.close()

    async def blocks(self, first: int, length: int) -> AsyncIterator[bytes]:
        """So many bytes from there on, read beside the event loop."""
        descriptor, end = self.file.fileno(), first + length
        while first < end:
            block = await in_thread(READING, os.pread, descriptor, min(BLOCK, end - first), first)
            if not block:
                return
            first += len(block)
            yield block


def sweep() -> None:
    """At the start of a web process: what one that was killed has left half made goes."""
    folder = settings.DATA_DIR / FOLDER
    if folder.is_dir():
        Cache(folder, settings.STRM_REMUX_CACHE).sweep()


class Cache:
    """A folder of at most `limit` bytes; one object per event loop, shared with other processes through the disk."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        folder.mkdir(parents=True, exist_ok=True)
        self._slots = _slots.setdefault(folder, Slots(folder / ".slots"))

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.folder / name).is_file()

    def part(self, name: str) -> Path:
        """Where it is made."""
        return self.folder / f"{name}{PART}"

    def keep(self, name: str) -> None:
        """What was made is whole: from now on it is played."""
        self.part(name).replace(self.folder / name)
        self.make_room(0)

    def opened(self, name: str) -> Made | None:
        """The file for reading; from now on it is the one that was played last."""
        try:
            file = (self.folder / name).open("rb")
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            state = os.fstat(file.fileno())
            # Explicitly: most file systems are mounted so that reading leaves no trace.
            os.utime(file.fileno(), ns=(time.time_ns(), state.st_mtime_ns))
        except OSError:  # it is just being removed
            file.close()
            return None
        tag = f'"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}"'
        return Made(file, state.st_size, tag, TYPES.get(Path(name).suffix, "video/mp4"))

    @contextmanager
    def alone(self, name: str, most: int) -> Iterator[bool]:
        """True for the only one who makes this file, while no more than `most` are made at once."""
        taken = [self._slots.take("build", most), self._slots.take(name, 1)]
        try:
            yield None not in taken
        finally:
            for place in taken:
                if place is not None:
                    self._slots.give_back(place)

    def has_room(self, part: Path) -> bool:
        """Whether a file may still grow: in the cache, once older ones are gone, and on the disk."""
        try:
            size = part.stat().st_size
        except OSError:
            size = 0
        return self.make_room(size)

    def make_room(self, size: int) -> bool:
        """Remove what was not played for longest until `size` more bytes fit, and the disk has its reserve."""
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_atime_ns)
        total = sum(state.st_size for _, state in entries) + size
        for path, state in entries:
            if total <= self.limit and self._disk_has_room():
                return True
            if self._removed(path):
                total -= state.st_size
        return total <= self.limit and self._disk_has_room()

    def sweep(self) -> None:
        """At the start: parts whose maker is gone, and what is more than fits."""
        for part in self.folder.glob(f"*{PART}"):
            place = self._slots.take(part.name.removesuffix(PART), 1)
            if place is not None:
                part.unlink(missing_ok=True)
                self._slots.give_back(place)
        self.make_room(0)

    def _disk_has_room(self) -> bool:
        return shutil.disk_usage(self.folder).free >= settings.DOWNLOAD_RESERVE

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            if path.suffix in TYPES:
                with suppress(OSError):
                    yield path, path.stat()

    def _removed(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except BlockingIOError:
            return False
        except FileNotFoundError:
            return True
        except OSError as error:
            logger.warning("%s stays in the cache: %s", path.name, error)
            return False
        return True
