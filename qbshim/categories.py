"""Categories and the folders that belong to them. Folders are made here and never deleted."""

import logging
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from django.db import IntegrityError, transaction

from downloads import files
from downloads.models import Job, JobStatus
from qbshim import paths
from qbshim.errors import Conflict, OutsideDownloads, ParameterInvalid
from qbshim.models import Category

logger = logging.getLogger(__name__)

MAX_NAME = 200
# qBittorrent's rule: parts divided by single slashes, none at either end, no backslash.
_NAME = re.compile(r"[^\\/]+(?:/[^\\/]+)*")


def is_valid_name(name: str) -> bool:
    """Whether a category may be called that."""
    controls = any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)
    return len(name) <= MAX_NAME and not controls and bool(_NAME.fullmatch(name))


def folders() -> dict[str, Path]:
    """Every category with its folder, by name: the ones that clients made, and those that jobs lie in."""
    found = {category.name: _folder(category) for category in Category.objects.all()}
    in_use = (
        Job.objects.present().exclude(category="").order_by().values_list("category", flat=True)
    )
    for name in in_use.distinct():
        found.setdefault(name, files.category_folder(name))
    return dict(sorted(found.items()))


def folder_of(name: str) -> Path:
    """The folder of a category, known or not; the download folder itself for none."""
    category = Category.objects.filter(pk=name).first() if name else None
    return _folder(category) if category else files.category_folder(name)


def exists(name: str) -> bool:
    """Whether a job may be put into it; to be in no category is always possible."""
    return (
        not name
        or Category.objects.filter(pk=name).exists()
        or Job.objects.present().filter(category=name).exists()
    )


def create(name: str, save_path: str) -> None:
    """Make a category and its folder, which clients expect to exist. Raises ParameterInvalid or Conflict."""
    checked_name(name)
    stored = stored_path(save_path)
    folder = _make(_folder(Category(name=name, save_path=stored)))
    try:
        with transaction.atomic():
            Category.objects.create(name=name, save_path=stored)
    except IntegrityError:
        raise Conflict("Unable to create category") from None
    logger.info("category «%s» in %s", name, folder)


def edit(name: str, save_path: str) -> None:
    """Give a category another folder. What lies in the old one stays there; new jobs use the new one."""
    if not name:
        raise ParameterInvalid("Category cannot be empty")
    category = Category.objects.filter(pk=name).first()
    if category is None:
        raise Conflict("Unable to edit category")
    category.save_path = stored_path(save_path)
    _make(_folder(category))
    category.save(update_fields=["save_path"])


@transaction.atomic
def remove(names: Iterable[str]) -> None:
    """Forget categories; their jobs and files stay, without a category. Unknown names are fine."""
    for name in names:
        Category.objects.filter(pk=name).delete()
        Job.objects.present().filter(category=name).update(category="")


def known_or_created(name: str) -> str:
    """The category for a new job: made when it is new, as qBittorrent does; none when it cannot be called that."""
    name = name.strip()
    if not name or not is_valid_name(name):
        return ""
    Category.objects.get_or_create(name=name)
    try:
        _make(folder_of(name))
    except (
        Conflict
    ) as error:  # the download will say so in its own words; the grab must not be lost
        logger.warning("%s", error)
    return name


@transaction.atomic
def assign(job_ids: Iterable[int], name: str) -> None:
    """Put jobs into a category. One that waits will lie in its folder, unless a client chose another.

    Running and finished ones keep theirs: the worker of the one has its folder in hand, and the file of the other
    is where it is.
    """
    jobs = Job.objects.filter(pk__in=list(job_ids))
    waiting = jobs.exclude(status__in=(JobStatus.DOWNLOADING, JobStatus.COMPLETED))
    target = str(folder_of(name))
    for old in set(waiting.order_by().values_list("category", flat=True)):
        default = str(folder_of(old))
        waiting.filter(category=old, save_path=default).update(save_path=target)
    jobs.update(category=name)


def checked_name(name: str) -> None:
    """Raises ParameterInvalid or Conflict, worded as qBittorrent does, for an impossible name."""
    if not name:
        raise ParameterInvalid("Category cannot be empty")
    if not is_valid_name(name):
        raise Conflict("Incorrect category name")


def stored_path(save_path: str) -> str:
    """A client's path as it is kept: relative to the download folder, so that it moves along with it.

    Empty stays empty. Raises OutsideDownloads.
    """
    if not save_path.strip():
        return ""
    return str(paths.local(save_path).relative_to(paths.root().resolve()))


def _folder(category: Category) -> Path:
    if category.save_path:
        try:
            return paths.local(category.save_path)
        except (
            OutsideDownloads
        ) as error:  # the download folder was changed under a path kept in full
            logger.warning("category «%s»: %s", category.name, error)
    return files.category_folder(category.name)


def _make(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Conflict(
            f"the folder {paths.shown(folder)} cannot be made: {error.strerror or error}"
        ) from None
    return folder
