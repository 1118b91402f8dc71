"""One folder, two names: where a download lies for its downloader, and where for AniBridge.

Without a mapping both see the same path. With one, `remote_path` at the downloader is `local_path` here (the download
folder where that is empty). What a downloader says is only ever read, and only below folders that the operator named:
the download folder, the library roots, the downloader's own local path.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from django.conf import settings

from anibridge.lib.text import without_controls
from downloads.downloaders.base import Report
from downloads.models import Downloader

MAX_PATH = 1000
"""Characters: what the columns of a job hold."""
MAX_ENTRIES = 20_000
VIDEO_SUFFIXES = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogm", ".ts", ".webm", ".wmv"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """Where a finished download lies: the path that clients are shown, its videos as far as they are seen here with
    their sizes, and a note where something about that is not as it should be."""

    path: str
    videos: tuple[tuple[Path, int], ...] = ()
    note: str = ""


def remote_folder(downloader: Downloader, save_path: str) -> str:
    """What the downloader is told as the folder for a job."""
    if not downloader.remote_path:
        return save_path
    here = Path(save_path)
    for root in (local_root(downloader), settings.DOWNLOAD_DIR):
        if here.is_relative_to(root):
            return str(_pure(downloader.remote_path).joinpath(*here.relative_to(root).parts))
    return downloader.remote_path


def local_root(downloader: Downloader) -> Path:
    """The downloader's folder as AniBridge sees it."""
    return Path(downloader.local_path) if downloader.local_path else settings.DOWNLOAD_DIR


def local_path(downloader: Downloader, text: str) -> str:
    """A path of the downloader as it is called here; text only, nothing is looked at. Empty for what is no path."""
    text = without_controls(text).strip()
    asked = _pure(text)
    if not text or not asked.is_absolute() or ".." in asked.parts:
        return ""
    if downloader.remote_path:
        root = type(asked)(downloader.remote_path)
        if asked.is_relative_to(root):
            text = str(local_root(downloader).joinpath(*asked.relative_to(root).parts))
    return text if len(text) <= MAX_PATH else ""


def find(downloader: Downloader, report: Report, *, save_path: str, name: str) -> Found:
    """Where a finished download lies. Looks at the disk, so not within a transaction."""
    said = report.content_path or _common(report)
    path = local_path(downloader, said)
    if not path:
        guess = f"{save_path}/{name}"[:MAX_PATH]
        return Found(guess, note=f"{downloader.name} did not say where the files are")
    real = Path(path).resolve()
    if not any(real.is_relative_to(root.resolve()) for root in _roots(downloader)):
        return Found(
            path,
            note=f"finished at {path}, which AniBridge does not look into: it is outside of the download folder and "
            f"of the local path of {downloader.name}",
        )
    if not real.exists():
        return Found(
            path,
            note=f"finished at {path}, which AniBridge cannot see; if {downloader.name} calls the folder by another "
            "name, set its remote and local path",
        )
    videos = tuple(_videos(real, _chosen(downloader, report)))
    note = "" if videos else "finished, but there is no video among its files"
    return Found(path, videos, note)


def _roots(downloader: Downloader) -> list[Path]:
    return [local_root(downloader), settings.DOWNLOAD_DIR, *settings.DOWNLOAD_LIBRARY_ROOTS]


def _common(report: Report) -> str:
    """The file, or the folder that holds all of them, for a downloader that names only the files."""
    files = [_joined(report.save_path, file) for file in report.files]
    if not files or not all(_pure(file).is_absolute() for file in files):
        return ""
    if len(files) == 1:
        return files[0]
    windows = isinstance(_pure(files[0]), PureWindowsPath)
    parts = [_pure(file).parts for file in files]
    same = [set(level) for level in zip(*parts, strict=False)]
    shared = parts[0][: next((n for n, level in enumerate(same) if len(level) > 1), len(same))]
    if len(shared) <= 1:
        return ""
    return str((PureWindowsPath if windows else PurePosixPath)(*shared))


def _joined(folder: str, file: str) -> str:
    return file if not folder or _pure(file).is_absolute() else str(_pure(folder) / file)


def _chosen(downloader: Downloader, report: Report) -> frozenset[Path]:
    """The files that were downloaded, as they are called here: the folder may hold others."""
    paths = (local_path(downloader, _joined(report.save_path, file)) for file in report.files)
    return frozenset(Path(path).resolve() for path in paths if path)


def _videos(root: Path, chosen: frozenset[Path]) -> Iterator[tuple[Path, int]]:
    for path in sorted(_files(root)):
        if path.suffix.lower() not in VIDEO_SUFFIXES or len(str(path)) > MAX_PATH:
            continue
        if chosen and path not in chosen:
            continue
        yield path, path.stat().st_size


def _files(root: Path) -> Sequence[Path]:
    """The regular files at or below a path; links are not followed, and the number is bounded."""
    if root.is_file():
        return [root]
    found: list[Path] = []
    for folder, _, names in os.walk(root):
        entries = (Path(folder) / name for name in names)
        found += [path for path in entries if path.is_file() and not path.is_symlink()]
        if len(found) > MAX_ENTRIES:
            break
    return found[:MAX_ENTRIES]


def _pure(text: str) -> PurePath:
    return PureWindowsPath(text) if re.match(r"[A-Za-z]:[\\/]|\\\\", text) else PurePosixPath(text)
