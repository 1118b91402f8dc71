"""One folder, two names: where it lies for us, and where it lies for clients (QBIT_PUBLIC_SAVE_PATH).

Every path that leaves goes through `shown`, every path that a client sends through `local`.
"""

import re
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from django.conf import settings

from anibridge.lib.text import shorten
from downloads import asking, files
from downloads.errors import OutsideRoot
from qbshim.errors import OutsideDownloads

MAX_LENGTH = 900
"""Leaves room for a file name in the 1,000 characters of a job's paths."""


def root() -> Path:
    """The download folder."""
    return files.category_folder("")


def default_folder(stored: str | None) -> Path:
    """Where downloads without a category lie, from the preference `save_path` as it is kept; the download folder when
    there is none, or it no longer fits."""
    if stored:
        with suppress(OutsideDownloads):
            return local(stored)
    return root()


def stored(text: str) -> str:
    """A client's path as it is kept: relative to the download folder, so that it moves along with it.

    Empty stays empty. Raises OutsideDownloads.
    """
    if not text.strip():
        return ""
    return str(local(text).relative_to(root().resolve()))


def shown(path: str | Path) -> str:
    """The path as clients see it. Pure text: it is called for every job of a list."""
    text, start, public = str(path), str(settings.DOWNLOAD_DIR), settings.QBIT_PUBLIC_SAVE_PATH
    if not public or not (text == start or text.startswith(f"{start}/")):
        return text
    rest = text[len(start) :]
    if not rest:
        return _trimmed(public)
    if _is_windows(public):
        rest = rest.replace("/", "\\")
    return public.rstrip("/\\") + rest


def local(text: str) -> Path:
    """The folder of ours that a client means. Raises OutsideDownloads unless it is the download folder or below.

    A relative path starts at the download folder. Both names of a folder are understood.
    """
    start = root().resolve()
    try:
        resolved = _joined(start, text.strip()).resolve()
    except (OSError, RuntimeError, ValueError):  # no such name is possible, or links in a circle
        raise _outside(text) from None
    fits = len(str(resolved)) <= MAX_LENGTH and all(
        len(part.encode("utf-8", "replace")) <= 255 for part in resolved.parts
    )
    # Unfinished files are cleared away by job number: nobody else may live there.
    if (
        not fits
        or not resolved.is_relative_to(start)
        or resolved.is_relative_to(start / files.PARTIAL)
    ):
        raise _outside(text)
    return resolved


def kept(text: str) -> str:
    """A path that is only kept and given back, as clients see it: one that AniBridge might write to, so that nobody takes
    it for another one. Empty stays empty. Raises OutsideDownloads."""
    return shown(anywhere(text)) if text.strip() else ""


def anywhere(text: str) -> Path:
    """The folder that a client means to put something into: as `local` has it, or one in a library that the operator has
    named (DOWNLOAD_LIBRARY_ROOTS). Raises OutsideDownloads."""
    try:
        return local(text)
    except OutsideDownloads:
        if text.strip().startswith("/"):
            with suppress(OutsideRoot):
                return asking.save_path(text)
        raise


def _joined(start: Path, text: str) -> Path:
    public = settings.QBIT_PUBLIC_SAVE_PATH
    if not public:
        return start / text
    asked: PurePath = (PureWindowsPath if _is_windows(public) else PurePosixPath)(text)
    if asked.is_relative_to(type(asked)(public)):
        return start.joinpath(*asked.relative_to(type(asked)(public)).parts)
    if not asked.is_absolute() and not asked.anchor:
        return start.joinpath(*asked.parts)
    return start / text


def _outside(text: str) -> OutsideDownloads:
    return OutsideDownloads(
        f"«{shorten(text, 200)}» is not inside the download folder {shown(root())}"
    )


def _is_windows(public: str) -> bool:
    return bool(re.match(r"[A-Za-z]:|\\\\", public))


def _trimmed(public: str) -> str:
    """Without a slash at the end, except where that is all there is."""
    trimmed = public.rstrip("/\\")
    return public if not trimmed or trimmed.endswith(":") else trimmed
