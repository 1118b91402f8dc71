"""What has to be done so that the disk is what is wanted. Looks at the disk, changes nothing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from strm.library.models import FileKind, LibraryFile
from strm.library.shelf import Shelf

Key = tuple[str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it should be. Without `content` it is as it was written; `checksum` is empty while nobody knows."""

    kind: FileKind
    path: str
    checksum: str
    content: bytes | None
    season: int | None = None
    episode: int | None = None
    source: str = ""

    @property
    def key(self) -> Key:
        return self.kind.value, self.season, self.episode


class Action(StrEnum):
    """What is done with a file."""

    ADD = "add"
    CHANGE = "change"
    RENAME = "rename"
    REMOVE = "remove"
    ADOPT = "adopt"
    """It is as it should be, and only the manifest does not say so: a run was killed in between."""
    FORGET = "forget"
    LEAVE = "leave"
    """Somebody else wrote or changed it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file, and what is done with it; `file` is its row where it has one."""

    action: Action
    path: str
    wanted: Wanted | None = None
    file: LibraryFile | None = None
    reason: str = ""


def steps(
    shelf: Shelf,
    files: Iterable[LibraryFile],
    wanted: Iterable[Wanted],
    *,
    stays: Callable[[LibraryFile], bool] = lambda file: False,
) -> list[Step]:
    """What has to be done, in the order in which to do it. `stays`: files of which nobody knows whether they are wanted."""
    rows: dict[Key, LibraryFile] = {}
    twice = [file for file in files if rows.setdefault(file.key, file) is not file]
    removed = [_removed(shelf, file) for file in twice]
    needed = {one.key: one for one in wanted}
    removed += [
        _removed(shelf, file) for key, file in rows.items() if key not in needed and not stays(file)
    ]
    others = [step for one in needed.values() if (step := _step(shelf, rows, one)) is not None]
    # Renames before what is new: that may be called what another one was called so far.
    return [*removed, *sorted(others, key=lambda step: step.action is not Action.RENAME)]


def _removed(shelf: Shelf, file: LibraryFile) -> Step:
    there = shelf.checksum(file.path)
    if there is None:
        return Step(Action.FORGET, file.path, file=file, reason="it is not there any more")
    if there != file.checksum:
        return Step(Action.FORGET, file.path, file=file, reason="somebody has changed it: it stays")
    return Step(Action.REMOVE, file.path, file=file)


def _step(shelf: Shelf, rows: Mapping[Key, LibraryFile], one: Wanted) -> Step | None:
    file = rows.get(one.key)
    there = shelf.checksum(one.path)
    if file is None:
        return _new(one, there)
    if file.path != one.path:
        return _moved(shelf, file, one, there)
    if there is None:
        return Step(Action.ADD, one.path, one, file)
    if there == one.checksum:
        same = file.checksum == one.checksum and file.source == one.source
        return None if same else Step(Action.ADOPT, one.path, one, file)
    if there != file.checksum:
        return Step(Action.LEAVE, one.path, reason="somebody has changed it")
    return Step(Action.CHANGE, one.path, one, file)


def _new(one: Wanted, there: str | None) -> Step:
    if there is None:
        return Step(Action.ADD, one.path, one)
    if there == one.checksum and one.kind is FileKind.STRM:
        # It holds a signature of ours: the database has forgotten it.
        return Step(Action.ADOPT, one.path, one)
    return Step(Action.LEAVE, one.path, reason="it is somebody else's")


def _moved(shelf: Shelf, file: LibraryFile, one: Wanted, there: str | None) -> Step:
    before = shelf.checksum(file.path)
    if before is not None and before != file.checksum:
        return Step(Action.LEAVE, file.path, reason="somebody has changed it")
    if before is None and there in (one.checksum, file.checksum):
        return Step(Action.ADOPT, one.path, one, file)
    if there is not None:
        return Step(Action.LEAVE, one.path, reason="it is somebody else's")
    if before is None:
        return Step(Action.ADD, one.path, one, file)
    return Step(Action.RENAME, one.path, one, file, reason=f"was {file.path}")
