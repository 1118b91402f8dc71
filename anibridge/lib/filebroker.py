"""Celery's messages as files, for an installation without Redis: Kombu's filesystem transport, made atomic.

Kombu's own writes a message under its final name before it has content, and binds a queue by truncating a shared table. A
worker that looks in between reads half a file, and its consumer ends by the JSON error. Here each file appears complete:
written aside, then renamed; and a message is taken by a rename that exactly one worker wins.

A message is a nudge: one that is lost between the rename and the read (a killed worker) is made up for by the sweeper.
"""

import contextlib
import fcntl
import logging
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

logger = logging.getLogger(__name__)

ASIDE = ".aside"
TAKEN = ".taken"
LEFTOVER_SECONDS = 3600


class Channel(filesystem.Channel):
    """Reads and writes of Kombu's channel that no other process can see half done.

    Its options are Kombu's; `data_folder_in` and `data_folder_out` are one folder, and nothing processed is stored.
    """

    @property
    def _queue_folder(self) -> Path:
        return Path(self.data_folder_in)

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        # Names sort by age. A clock that is set back only changes the order, which no task relies on.
        name = f"{time.time_ns()}_{uuid.uuid4()}.{queue}.msg"
        try:
            _write(self._queue_folder / name, payload)
        except OSError as error:
            raise ChannelError(f"cannot write to the broker's folder: {error}") from error

    def _get(self, queue: str) -> Any:  # type: ignore[override]
        wanted = f"{queue}.msg"
        for name in sorted(entry.name for entry in self._queue_folder.iterdir()):
            if name.partition(".")[2] != wanted:
                continue
            message = self._queue_folder / name
            taken = message.with_name(name + TAKEN)
            try:
                message.rename(taken)
            except FileNotFoundError:  # another worker has it
                continue
            payload = _take(taken)
            if payload is not None:
                return payload
        raise Empty

    def _file(self, exchange: str) -> Path:
        file: Path = self._exchange_file(exchange)  # type: ignore[attr-defined]  # newer than its stubs
        return file

    def get_table(self, exchange: str) -> list[Any]:
        """The queues bound to an exchange; none for one that nobody has bound."""
        return [filesystem.exchange_queue_t(*row) for row in _rows(self._file(exchange))]

    def _queue_bind(
        self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None
    ) -> None:
        bound = [routing_key or "", pattern or "", queue or ""]
        with self._table(exchange) as (file, rows):
            if bound not in rows:
                _write(file, [bound, *rows])

    def _delete(
        self, queue: str, exchange: str, routing_key: str, pattern: str, *_: Any, **__: Any
    ) -> None:
        self._purge(queue)
        bound = [routing_key or "", pattern or "", queue or ""]
        with self._table(exchange) as (file, rows):
            if bound in rows:
                _write(file, [row for row in rows if row != bound])

    @contextlib.contextmanager
    def _table(self, exchange: str) -> Iterator[tuple[Path, list[list[str]]]]:
        """An exchange's file and its rows, while no other process changes one."""
        file = self._file(exchange)
        try:
            self.control_folder.mkdir(parents=True, exist_ok=True)
            with (self.control_folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield file, _rows(file)
        except OSError as error:
            raise ChannelError(f"cannot change {file}: {error}") from error


class Transport(filesystem.Transport):
    """What `filesystem://` means here (`anibridge.celery`)."""

    Channel = Channel


def prepare(*folders: Path) -> None:
    """Create the broker's folders and remove what killed processes left half done in them."""
    oldest = time.time() - LEFTOVER_SECONDS
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            if left.suffix in (ASIDE, TAKEN):
                with contextlib.suppress(FileNotFoundError):
                    if left.stat().st_mtime < oldest:
                        left.unlink()


def _write(file: Path, content: Any) -> None:
    """Let the file appear, or be replaced, complete."""
    aside = file.with_name(f"{uuid.uuid4()}{ASIDE}")
    try:
        aside.write_text(dumps(content), encoding="utf-8")
        aside.replace(file)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _take(taken: Path) -> Any:
    """The content of a message that is ours; nothing when it cannot be read: the next one must not wait for it."""
    try:
        return loads(taken.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        logger.warning(
            "a message of the broker cannot be read and is dropped: %s: %s", taken.name, error
        )
        return None
    finally:
        taken.unlink(missing_ok=True)


def _rows(file: Path) -> list[list[str]]:
    """The rows of an exchange's table; a table that cannot be read is as good as none: each worker binds anew."""
    try:
        rows: list[list[str]] = loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        logger.warning("%s cannot be read and is written anew: %s", file, error)
        return []
    return rows
