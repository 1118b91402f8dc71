"""Room on the disk: looked at before a download, during it, and by the sweeper for those that wait for it."""

import errno
import shutil
from pathlib import Path

from django.conf import settings
from django.db.models import F, Sum

from downloads import files, limits
from downloads.errors import DiskFull
from downloads.models import Job

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def free(folder: Path) -> int:
    """Bytes that may still be written where `folder` lies or will lie."""
    return shutil.disk_usage(_existing(folder)).free


def disk_of(folder: Path) -> int:
    """Which file system `folder` lies on or will lie on."""
    return _existing(folder).stat().st_dev


def promised(job_id: int) -> int:
    """Bytes that the other downloads that run are still going to write, as far as they know."""
    rest = F("total_bytes") - F("downloaded_bytes")
    others = limits.running().exclude(pk=job_id).filter(total_bytes__gt=F("downloaded_bytes"))
    return others.aggregate(rest=Sum(rest))["rest"] or 0


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def require(size: int, folder: Path) -> None:
    """Raises DiskFull when `size` bytes and the reserve do not fit where `folder` lies."""
    room = free(folder)
    needed = size + settings.DOWNLOAD_RESERVE
    if room < needed:
        raise DiskFull(
            f"{_mib(size)} do not fit: {_mib(room)} are free in {folder} and "
            f"{_mib(settings.DOWNLOAD_RESERVE)} stay reserved",
            needed=needed,
        )


def require_reserve(rest: int, folder: Path) -> None:
    """Raises DiskFull once the reserve is touched; `rest` bytes are still to come and are waited for as well."""
    room = free(folder)
    if room < settings.DOWNLOAD_RESERVE:
        raise DiskFull(
            f"the disk is full: {_mib(room)} are free in {folder} and "
            f"{_mib(settings.DOWNLOAD_RESERVE)} stay reserved",
            needed=rest + settings.DOWNLOAD_RESERVE,
        )


def reserve() -> int:
    """Bytes that are never used."""
    return settings.DOWNLOAD_RESERVE


def is_full(error: OSError) -> bool:
    """Whether the disk refused to take more."""
    return error.errno in FULL


def fits_now(job: Job) -> bool:
    """Whether there is as much room as the job waits for, where it is fetched to and where it shall lie."""
    needed = job.space_needed or 0
    places = (settings.DOWNLOAD_DIR / files.PARTIAL, Path(job.save_path))
    return all(free(place) >= needed for place in places)


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
