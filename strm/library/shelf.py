"""The library's folder on the disk. Paths are relative to it, and no link is followed on the way down.

One run at a time works in it (`syncing`), so each folder needs one temporary name only, and a run that was killed leaves
nothing that the next one does not take over.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from downloads.errors import NameTaken, OutsideRoot

TEMPORARY: Final = ".anibridge.part"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Shelf:
    """A folder that files are written into, and taken out of. Raises OutsideRoot and OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def checksum(self, path: str) -> str | None:
        """What is in a file; None where there is none. What is no plain file has a checksum that no file has."""
        try:
            with self._folder(path, make=False) as (folder, name):
                file = os.open(
                    name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
                )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OutsideRoot:
            return "a link"
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                return "no file"
            raise
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            return "no file"
        with os.fdopen(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def add(self, path: str, content: bytes) -> None:
        """Write a new file in one step. Raises NameTaken where there is one."""
        with self._folder(path) as (folder, name):
            self._write(folder, content)
            try:
                _name(folder, TEMPORARY, folder, name, path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(TEMPORARY, dir_fd=folder)
            os.fsync(folder)

    def replace(self, path: str, content: bytes) -> None:
        """Write a file that is there already anew, in one step."""
        with self._folder(path) as (folder, name):
            self._write(folder, content)
            os.replace(TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; it stays as old as it is. Raises NameTaken."""
        with self._folder(old, make=False) as (source, name), self._folder(new) as (target, other):
            _name(source, name, target, other, new)
            os.fsync(target)
            os.fsync(source)
        self._drop_empty(old)

    def remove(self, path: str) -> None:
        """Delete a file, and the folders that are empty then."""
        with suppress(FileNotFoundError), self._folder(path, make=False) as (folder, name):
            os.unlink(name, dir_fd=folder)
        self._drop_empty(path)

    def _drop_empty(self, path: str) -> None:
        for folder in PurePosixPath(path).parents:
            if not folder.parts:
                return
            try:
                with self._folder(str(folder), make=False) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
            except (OSError, OutsideRoot):
                return

    def _write(self, folder: int, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(TEMPORARY, flags, 0o666, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _folder(self, path: str, *, make: bool = True) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that `path` lies in, and its name there."""
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or any(part in ("..", ".") for part in parts):
            raise OutsideRoot(f"«{path}» does not lie in the library")
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                deeper = self._step(descriptor, part, make=make)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor, parts[-1]
        finally:
            os.close(descriptor)

    def _step(self, parent: int, part: str, *, make: bool) -> int:
        if make:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=parent)
        try:
            return os.open(part, _FOLDER, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise OutsideRoot(f"«{part}» in {self.root} is no folder") from None
            raise


def _name(source: int, old: str, target: int, new: str, path: str) -> None:
    """Rename so that nobody's file is overwritten."""
    try:
        os.link(old, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        os.unlink(old, dir_fd=source)
    except FileExistsError:
        raise NameTaken(f"{path} is there already, and is somebody else's") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with suppress(FileNotFoundError):
            os.stat(new, dir_fd=target, follow_symlinks=False)
            raise NameTaken(f"{path} is there already, and is somebody else's") from None
        os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
