"""The folder of a category, and putting downloads into another one.

Categories with folders of their own are kept by an app above, which registers itself here (`finders`, `keep`).
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from django.db import transaction
from django.utils import timezone

from downloads import files, tending, transitions
from downloads.models import Job

logger = logging.getLogger(__name__)

Finder = Callable[[str], Path | None]
finders: list[Finder] = []
"""What knows the folders of categories: name → folder, or None for a category without one of its own."""
_IN_ONE_STEP = 500


class Keeper(Protocol):
    """Who knows what goes with a category."""

    def folder(self, name: str) -> Path:
        """Where the downloads of a category lie, also of one that nobody has made."""

    def following(self, jobs: Sequence[Job]) -> list[int]:
        """Those of the jobs whose files go where their category goes."""

    def takes_along(self) -> bool:
        """Whether a job that is put into another category takes its files along."""

    def let_go(self, job_ids: Sequence[int]) -> None:
        """These stay where they are, and follow no category any more."""


class _Usual:
    """Where nobody else keeps categories: a job follows its category as long as it lies in its folder."""

    def folder(self, name: str) -> Path:
        return folder(name)

    def following(self, jobs: Sequence[Job]) -> list[int]:
        usual = {name: str(folder(name)) for name in {job.category for job in jobs}}
        return [job.pk for job in jobs if job.save_path == usual[job.category]]

    def takes_along(self) -> bool:
        return True

    def let_go(self, job_ids: Sequence[int]) -> None:
        """Never asked for."""


_keeper: Keeper = _Usual()


def keep(keeper: Keeper) -> None:
    """From now on this one knows what goes with a category."""
    global _keeper
    _keeper = keeper


def folder(name: str) -> Path:
    """Where new downloads of this category lie; the download folder itself for none."""
    for find in finders if name else ():
        if (found := find(name)) is not None:
            return found
    return files.category_folder(name)


def assign(job_ids: Iterable[int], name: str) -> None:
    """Put jobs into a category, whichever way that was asked for. The files of those that follow it are brought to its
    folder, as far as they can be moved: not those in a library, and not those of another downloader."""
    following: list[int] = []
    ids = sorted(set(job_ids))
    for start in range(0, len(ids), _IN_ONE_STEP):
        with transaction.atomic():
            there = transitions.lock(ids[start : start + _IN_ONE_STEP])
            jobs = [job for job in there if job.removed_at is None and job.category != name]
            following += _keeper.following(jobs)
            changed = Job.objects.filter(pk__in=[job.pk for job in jobs])
            changed.update(category=name, updated_at=timezone.now())
    if not following:
        return
    if not _keeper.takes_along():
        _keeper.let_go(following)
        return
    for job_id, reason in tending.relocate_many(following, _keeper.folder(name)).items():
        logger.info("job %s stays where it is: %s", job_id, reason)
