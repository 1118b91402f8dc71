"""Giving a finished file its final name: in one step on its own file system, as a verified copy on another."""

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from anibridge.lib import watch
from downloads import files, space
from downloads.errors import NameTaken, NotARename, WrongFile

BLOCK = 1 << 20
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems say that know no hard links."""


def finish(
    partial: Path,
    final: Path,
    *,
    replace: bool = False,
    may_copy: bool = True,
    is_settled: bool = False,
    notes: Path | None = None,
) -> Path:
    """Move a finished file to `final` below a configured root, flushed first unless it is settled for long; returns where
    it really lies.

    Raises NameTaken when a file is there already, unless it may be replaced; OutsideRoot; DiskFull and OSError when
    it cannot be copied to another file system, NotARename when it would have to be and may not. `partial` is gone
    afterwards. `notes` is the folder that remembers a copy under way; by default that of `partial`.
    """
    final = files.entry(final)
    with files.opened_folder(final.parent) as folder:
        if not is_settled:
            _flush(partial)
        if not _is_named(partial, final, folder, replace=replace):
            if not may_copy:
                raise NotARename(f"{final} is on another file system than {partial}")
            _copy_over(partial, final, folder, notes or partial.parent, replace=replace)
        os.fsync(folder)
    return final


def _is_named(partial: Path, final: Path, folder: int, *, replace: bool) -> bool:
    """Whether a new name was all that it took. Two mounts of one file system look like one until they are tried."""
    if os.fstat(folder).st_dev != partial.stat().st_dev:
        return False
    try:
        _name(partial, None, final, folder, replace=replace)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def hashed(path: Path, digest: "hashlib._Hash") -> str:
    """The hexadecimal digest of a file's bytes; looks up for a cancellation in between."""
    with path.open("rb", buffering=0) as file:
        _each_block(file.fileno(), digest.update)
    return digest.hexdigest()


def _each_block(descriptor: int, take: Callable[[memoryview], object]) -> None:
    buffer = memoryview(bytearray(BLOCK))
    while count := os.readv(descriptor, [buffer]):
        take(buffer[:count])
        watch.tick()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _name(
    source: Path | str, source_folder: int | None, final: Path, folder: int, *, replace: bool
) -> None:
    """Rename within a file system, so that a file of somebody else is never overwritten."""
    name = final.name
    if replace:
        os.replace(source, name, src_dir_fd=source_folder, dst_dir_fd=folder)
        return
    try:
        os.link(source, name, src_dir_fd=source_folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(source, dir_fd=source_folder)
    except FileExistsError:
        raise NameTaken(f"{final} is there already") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if _exists(name, folder):
            raise NameTaken(f"{final} is there already") from None
        os.rename(source, name, src_dir_fd=source_folder, dst_dir_fd=folder)


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _copy_over(partial: Path, final: Path, folder: int, notes: Path, *, replace: bool) -> None:
    """Copy beside the final name, read back what was written, compare, rename."""
    if not replace and _exists(final.name, folder):
        raise NameTaken(f"{final} is there already")
    space.require(partial.stat().st_size, final.parent)
    temporary = f"{files.COPY_PREFIX}{partial.parent.name}-{partial.name[-40:]}.part"
    # Noted first: whoever drops the job's unfinished files then finds this one as well.
    (notes / files.COPYING).write_text(str(final.with_name(temporary)))
    try:
        if _copied(partial, temporary, folder) != _read_back(temporary, folder):
            raise WrongFile(f"the copy to {final.parent} differs from what was fetched")
        _name(temporary, folder, final, folder, replace=replace)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    partial.unlink()
    (notes / files.COPYING).unlink(missing_ok=True)


def _copied(source: Path, target: str, folder: int) -> tuple[int, str]:
    """Size and hash of what was read while it was written."""
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(target, flags, 0o666, dir_fd=folder)
    size = 0

    def take(block: memoryview) -> None:
        nonlocal size
        digest.update(block)
        size += len(block)
        while block:
            block = block[os.write(descriptor, block) :]

    try:
        with source.open("rb", buffering=0) as file:
            _each_block(file.fileno(), take)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return size, digest.hexdigest()


def _read_back(name: str, folder: int) -> tuple[int, str]:
    """Size and hash of what lies on the disk, as far as the system can be made to forget what it has in memory."""
    digest = hashlib.sha256()
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        _each_block(descriptor, digest.update)
        return os.fstat(descriptor).st_size, digest.hexdigest()
    finally:
        os.close(descriptor)
