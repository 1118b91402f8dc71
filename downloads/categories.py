"""The folder of a category, and putting downloads into another one.

Categories with folders of their own are kept by an app above, which registers itself here (`finders`).
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from downloads import files
from downloads.models import Job, JobStatus

Finder = Callable[[str], Path | None]
finders: list[Finder] = []
"""What knows the folders of categories: name → folder, or None for a category without one of its own."""


def folder(name: str) -> Path:
    """Where new downloads of this category lie; the download folder itself for none."""
    for find in finders if name else ():
        if (found := find(name)) is not None:
            return found
    return files.category_folder(name)


@transaction.atomic
def assign(job_ids: Iterable[int], name: str) -> None:
    """Put jobs into a category. One that waits will lie in its folder, unless somebody chose another for it.

    Running and finished ones keep theirs: the worker of the one has its folder in hand, and the file of the other is
    where it is.
    """
    now = timezone.now()
    jobs = Job.objects.present().filter(pk__in=list(job_ids))
    waiting = jobs.exclude(status__in=(JobStatus.DOWNLOADING, JobStatus.COMPLETED))
    for old in set(waiting.order_by().values_list("category", flat=True)):
        usual = str(folder(old))
        waiting.filter(category=old, save_path=usual).update(save_path=str(folder(name)))
    jobs.update(category=name, updated_at=now)
