"""Where a job's files lie. Every path is built from sanitised parts and stays below a configured root."""

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from django.conf import settings

from anibridge.lib import watch
from downloads.errors import OutsideRoot, StillWritten
from downloads.naming import safe_part

__all__ = [
    "PARTIAL",
    "category_folder",
    "delete",
    "delete_folder",
    "drop_empty",
    "drop_partial",
    "entry",
    "opened_folder",
    "own_partial",
    "partial_folder",
    "root_of",
    "roots",
    "safe_part",
]

logger = logging.getLogger(__name__)

PARTIAL = ".incomplete"
"""Folder below the download root for unfinished files: same file system, so finishing is a rename."""
COPYING = ".copying"
"""In a job's folder of unfinished files: which file elsewhere is a copy that may not be whole."""
COPY_PREFIX = ".anibridge-"
LOCK = ".lock"


def roots() -> list[Path]:
    """The folders that the operator configured: the one for downloads, then the libraries."""
    return [settings.DOWNLOAD_DIR, *settings.DOWNLOAD_LIBRARY_ROOTS]


def root_of(folder: Path) -> Path:
    """The configured root that `folder` really is or lies in, links resolved; raises OutsideRoot when it is none."""
    resolved = folder.resolve()
    for root in roots():
        real = root.resolve()
        if resolved.is_relative_to(real):
            return real
    raise OutsideRoot(
        f"{folder} is neither below the download folder nor below one of DOWNLOAD_LIBRARY_ROOTS"
    )


def entry(path: Path) -> Path:
    """The entry of a folder that `path` names: links on the way are resolved, itself is not followed when it is one.

    Raises OutsideRoot when the folder is not below a configured root.
    """
    found = path.parent.resolve() / path.name
    if path.name in ("", ".."):
        raise OutsideRoot(f"{path} names no file")
    root_of(found.parent)
    return found


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """A descriptor of `folder`, whose links are resolved already; missing folders are made.

    No link is followed on the way down from the root, so one that is put there in this very moment leads nowhere.
    Raises OutsideRoot.
    """
    real = next((one.resolve() for one in roots() if folder.is_relative_to(one.resolve())), None)
    if real is None:
        raise OutsideRoot(f"{folder} is not below a configured folder")
    real.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folder.relative_to(real).parts:
            deeper = _step_into(descriptor, part, folder)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def _step_into(parent: int, part: str, folder: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=parent)
    try:
        return os.open(part, flags, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OutsideRoot(f"«{part}» on the way to {folder} is no folder") from None
        raise


def category_folder(category: str) -> Path:
    """The folder of a category; `a/b` is a folder in a folder, no category the download root itself."""
    parts = [safe_part(part) for part in category.split("/") if part.strip()]
    return settings.DOWNLOAD_DIR.joinpath(*parts)


def partial_folder(job_id: int) -> Path:
    """Where a job's unfinished files lie."""
    return settings.DOWNLOAD_DIR / PARTIAL / str(job_id)


@contextmanager
def own_partial(job_id: int, *, patience: float = 0.0) -> Iterator[Path]:
    """The folder of a job's unfinished files, which nobody else writes to meanwhile.

    A claim may pass to another worker while the first one still lives, and two writers would spoil the bytes. The
    lock ends with its process, however that ends. Raises StillWritten when another one has it for longer than
    `patience` seconds.
    """
    folder = partial_folder(job_id)
    with _locked(folder / LOCK, patience):
        try:
            yield folder
        finally:
            with suppress(OSError):  # nothing was fetched: nothing is left behind
                if [entry.name for entry in folder.iterdir()] == [LOCK]:
                    shutil.rmtree(folder)


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    until = monotonic() + patience
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as lock:
            if _taken(lock.fileno()):
                # Else whoever had it has just removed the folder, and this lock keeps nobody out.
                if _is_at(lock.fileno(), path):
                    yield
                    return
                continue
        if monotonic() >= until:
            raise StillWritten("its former worker is still writing to its file")
        watch.pause(0.1)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def drop_partial(job_id: int) -> None:
    """Remove a job's unfinished files, also a copy that was under way to another file system."""
    folder = partial_folder(job_id)
    with suppress(OSError, ValueError):
        copy = Path((folder / COPYING).read_text())
        if copy.name.startswith(COPY_PREFIX):
            delete(copy)
    shutil.rmtree(folder, ignore_errors=True)


def delete(path: Path) -> None:
    """Delete one file below a configured root; a missing one is fine, one outside is left and logged."""
    try:
        entry(path).unlink(missing_ok=True)
    except (OutsideRoot, OSError) as error:
        logger.warning("not deleted: %s", error)


def delete_folder(path: Path) -> None:
    """Delete a pack's own folder if nothing is left in it."""
    try:
        entry(path).rmdir()
    except (OutsideRoot, OSError) as error:
        logger.info("folder stays: %s", error)


def drop_empty(folder: Path, *, base: Path) -> None:
    """Delete a folder below `base` that has become empty, and then those above it; `base` itself stays."""
    base, folder = base.resolve(), folder.resolve()
    while folder != base and folder.is_relative_to(base):
        try:
            entry(folder).rmdir()
        except (OutsideRoot, OSError):
            return
        folder = folder.parent
