"""Where a job's files lie. Every path is built from sanitised parts and stays below a configured root."""

import logging
import os
import re
import shutil
import unicodedata
from pathlib import Path

from django.conf import settings

from anibridge.lib.text import without_controls
from downloads.errors import DiskFull, OutsideRoot

logger = logging.getLogger(__name__)

PARTIAL = ".incomplete"
"""Folder below the download root for unfinished files: same file system, so finishing is a rename."""
RESERVE_BYTES = 256 * 2**20
_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def safe_part(text: str, *, limit: int = 200) -> str:
    """One path component: no separators, control characters, leading dots or reserved names; bounded in bytes."""
    part = _FORBIDDEN.sub("_", without_controls(unicodedata.normalize("NFC", text)))
    part = " ".join(part.split()).lstrip(". ").rstrip(". ")
    part = part.encode("utf-8")[:limit].decode("utf-8", "ignore").rstrip(". ")
    if not part or _RESERVED.match(part):
        part = f"_{part}"
    return part


def below(root: Path, path: Path) -> Path:
    """`path` with links resolved, or OutsideRoot when it is not inside `root`."""
    resolved = path.resolve()
    if not resolved.is_relative_to(root.resolve()) or resolved == root.resolve():
        raise OutsideRoot(f"{path} is not below {root}")
    return resolved


def category_folder(category: str) -> Path:
    """The folder of a category; `a/b` is a folder in a folder, no category the download root itself."""
    parts = [safe_part(part) for part in category.split("/") if part.strip()]
    return settings.DOWNLOAD_DIR.joinpath(*parts)


def partial_folder(job_id: int) -> Path:
    """Where a job's unfinished files lie."""
    return settings.DOWNLOAD_DIR / PARTIAL / str(job_id)


def drop_partial(job_id: int) -> None:
    """Remove a job's unfinished files; missing ones are fine."""
    shutil.rmtree(partial_folder(job_id), ignore_errors=True)


def require_space(size: int) -> None:
    """Raises DiskFull when `size` bytes and a reserve do not fit on the download disk."""
    settings.DOWNLOAD_DIR.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.DOWNLOAD_DIR).free
    if free < size + RESERVE_BYTES:
        raise DiskFull(
            f"{size / 2**20:.0f} MiB do not fit: {free / 2**20:.0f} MiB are free in "
            f"{settings.DOWNLOAD_DIR} and {RESERVE_BYTES // 2**20} MiB stay reserved"
        )


def finish(partial: Path, final: Path) -> Path:
    """Give a finished file its final name in one step, on the same file system, flushed first."""
    final = below(settings.DOWNLOAD_DIR, final)
    final.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(final)
    return final


def delete(path: Path) -> None:
    """Delete one file below the download root; a missing one is fine, one outside is left and logged."""
    try:
        below(settings.DOWNLOAD_DIR, path).unlink(missing_ok=True)
    except (OutsideRoot, OSError) as error:
        logger.warning("not deleted: %s", error)


def delete_folder(path: Path) -> None:
    """Delete a pack's own folder if nothing is left in it."""
    try:
        below(settings.DOWNLOAD_DIR, path).rmdir()
    except (OutsideRoot, OSError) as error:
        logger.info("folder stays: %s", error)
