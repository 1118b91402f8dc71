"""Folders for a client that lets its user choose one: `app/getDirectoryContent`.

A real server shows all of its machine. Here it is the download folder and what is in it; above it there is only the way
that leads to it, so that one can walk there from the root.
"""

import os
from pathlib import PurePath, PurePosixPath, PureWindowsPath

from qbshim import paths
from qbshim.errors import NoSuchFolder, OutsideDownloads, ParameterInvalid

MAX_ENTRIES = 10_000
MODES = ("all", "dirs", "files")


def content(text: str, mode: str = "all") -> list[str]:
    """The full names of what is in a folder, as clients see them. Raises ParameterInvalid, NoSuchFolder."""
    asked = _absolute(text)
    if mode not in MODES:
        raise ParameterInvalid("Invalid mode, allowed values: all, dirs, files")
    top = type(asked)(paths.shown(paths.root()))
    if asked != top and top.is_relative_to(asked):
        step = asked / top.relative_to(asked).parts[0]
        return [str(step)] if mode != "files" else []
    try:
        folder = paths.local(text)
    except OutsideDownloads:
        raise NoSuchFolder(text) from None
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)[:MAX_ENTRIES]
    except OSError:
        raise NoSuchFolder(text) from None
    return [paths.shown(entry.path) for entry in entries if _is_wanted(entry, mode)]


def _absolute(text: str) -> PurePath:
    """A path that says where it begins, of this machine's kind or of the one that clients see."""
    for kind in (PurePosixPath, PureWindowsPath):
        asked: PurePath = kind(text)
        if text and asked.is_absolute() and "\x00" not in text:
            return asked
    raise ParameterInvalid("Invalid directory path")


def _is_wanted(entry: os.DirEntry[str], mode: str) -> bool:
    try:
        paths.local(entry.path)  # not our own hidden folder, no link that leads out
        kinds = {"dirs": entry.is_dir(), "files": entry.is_file()}
    except (OSError, OutsideDownloads):
        return False
    name_is_text = not any("\ud800" <= char <= "\udfff" for char in entry.name)
    return name_is_text and (kinds["dirs"] or kinds["files"] if mode == "all" else kinds[mode])
