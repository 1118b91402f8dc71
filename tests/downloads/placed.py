"""Jobs whose files are in place, for tests that move them."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from downloads.models import (
    Job,
)
from tests.downloads.factories import JobFactory, JobFileFactory

BODY = b"video" * 1000


@pytest.fixture
def root(downloads_root: Path, settings: Any) -> Path:
    settings.DOWNLOAD_RESERVE = 0
    return downloads_root


@contextmanager
def another_file_system(root: Path) -> Iterator[Path]:
    """A folder on another one than `root` is on. Where there is none the test is skipped."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == root.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    folder = shared / f"anibridge-tests-{os.getpid()}-{threading.get_ident()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def other_disk(root: Path, settings: Any) -> Iterator[Path]:
    """A library on another file system."""
    with another_file_system(root) as library:
        settings.DOWNLOAD_LIBRARY_ROOTS = [library]
        yield library


@pytest.fixture
def finished(root: Path) -> Callable[..., Job]:
    """Jobs that are done, with their file on the disk."""

    def made(**fields: Any) -> Job:
        job = JobFactory(completed=True, **fields)
        put(Path(job.result_path), job)
        return job

    return made


@pytest.fixture
def pack(root: Path) -> Job:
    """A season of two episodes, in a folder of its own."""
    folder = root / "tv" / "Caminandes.S01"
    job = JobFactory(
        completed=True, episode=None, category="tv", name="Caminandes.S01", result_path=str(folder)
    )
    for episode in (1, 2):
        put(folder / f"Caminandes.S01E0{episode}.mp4", job, episode)
    return job


def put(path: Path, job: Job, episode: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BODY)
    JobFileFactory(
        job=job,
        path=str(path),
        size_bytes=len(BODY),
        episode=job.episode if episode is None else episode,
    )


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def paths(job: Job) -> list[str]:
    return list(job.files.values_list("path", flat=True))


def said(job: Job) -> str:
    return job.events.last().reason
