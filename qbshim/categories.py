"""Categories and the folders that belong to them. Folders are made here and never deleted."""

import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from django.db import IntegrityError, transaction
from django.utils import timezone

from downloads import categories as shared
from downloads import files, tending
from downloads.models import Job
from qbshim import paths, preferences
from qbshim.errors import Conflict, OutsideDownloads, ParameterInvalid
from qbshim.models import Category, ClientTask

logger = logging.getLogger(__name__)

MAX_NAME = 200
_AT_ONCE = 500
"""Jobs in one query: databases limit the parameters of a statement."""
# qBittorrent's rule: parts divided by single slashes, none at either end, no backslash.
_NAME = re.compile(r"[^\\/]+(?:/[^\\/]+)*")


def is_valid_name(name: str) -> bool:
    """Whether a category may be called that."""
    controls = any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)
    return len(name) <= MAX_NAME and not controls and bool(_NAME.fullmatch(name))


def listed() -> dict[str, tuple[Path, str | bool | None]]:
    """Every category by name, the ones that clients made and those that jobs lie in: its folder, and the one that a client
    wants for unfinished files (False: none, None: nobody said)."""
    base = default_folder()
    found = {
        category.name: (_folder(category, base), _for_unfinished(category))
        for category in Category.objects.all()
    }
    in_use = (
        Job.objects.present().exclude(category="").order_by().values_list("category", flat=True)
    )
    for name in in_use.distinct():
        found.setdefault(name, (_below(base, name), None))
    return dict(sorted(found.items()))


def default_folder() -> Path:
    """Where downloads without a category lie: qBittorrent's `save_path`."""
    return paths.default_folder(preferences.get(preferences.SAVE_PATH))


def own_folder(name: str) -> Path | None:
    """For other ways in: the folder of a category as clients have set it; None for one that they do not know."""
    category = Category.objects.filter(pk=name).first()
    return None if category is None else _folder(category, default_folder())


def folder_of(name: str) -> Path:
    """The folder of a category, known or not; the download folder itself for none."""
    base = default_folder()
    category = Category.objects.filter(pk=name).first() if name else None
    return _folder(category, base) if category else _below(base, name)


def exists(name: str) -> bool:
    """Whether a job may be put into it; to be in no category is always possible."""
    return (
        not name
        or Category.objects.filter(pk=name).exists()
        or Job.objects.present().filter(category=name).exists()
    )


def _for_unfinished(category: Category) -> str | bool | None:
    if category.use_download_path:
        return category.download_path
    return category.use_download_path


def create(
    name: str, save_path: str, *, download_path: str = "", use_download_path: bool | None = None
) -> None:
    """Make a category and its folder, which clients expect to exist. What they say about a folder for unfinished files is
    kept and given back. Raises ParameterInvalid or Conflict."""
    checked_name(name)
    stored, unfinished = paths.stored(save_path), paths.kept(download_path)
    folder = _make(_folder(Category(name=name, save_path=stored), default_folder()))
    try:
        with transaction.atomic():
            Category.objects.create(
                name=name,
                save_path=stored,
                download_path=unfinished,
                use_download_path=use_download_path,
            )
    except IntegrityError:
        raise Conflict("Unable to create category") from None
    logger.info("category «%s» in %s", name, folder)


def make_folders() -> None:
    """Have every folder there that clients are shown, after the default one became another: Sonarr's health check misses
    its category's, and nothing of that is known to who set it. One that cannot be made is logged."""
    for folder in (default_folder(), *(folder for folder, _ in listed().values())):
        try:
            _make(folder)
        except Conflict as error:
            logger.warning("%s", error)


def edit(
    name: str, save_path: str, *, download_path: str = "", use_download_path: bool | None = None
) -> None:
    """Give a category another folder. What lies in the old one stays there and follows the category no longer, unless the
    preference `category_changed_tmm_enabled` wants it moved; so it is in qBittorrent."""
    if not name:
        raise ParameterInvalid("Category cannot be empty")
    category = Category.objects.filter(pk=name).first()
    if category is None:
        raise Conflict("Unable to edit category")
    before = _folder(category, default_folder())
    category.save_path, category.download_path = paths.stored(save_path), paths.kept(download_path)
    category.use_download_path = use_download_path
    folder = _make(_folder(category, default_folder()))
    category.save(update_fields=["save_path", "download_path", "use_download_path"])
    if folder == before:
        return
    jobs = Job.objects.present().filter(category=name).select_related("client_task")
    following = [job for job in jobs if follows(job, before)]
    if preferences.get("category_changed_tmm_enabled"):
        _bring([job.pk for job in following], folder)
    else:
        _stop_following([job.pk for job in following])


@transaction.atomic
def remove(names: Iterable[str]) -> None:
    """Forget categories; their jobs and files stay, without a category. Unknown names are fine."""
    for name in names:
        Category.objects.filter(pk=name).delete()
        jobs = Job.objects.present().filter(category=name)
        jobs.hold()
        ClientTask.objects.filter(job__in=jobs, auto_tmm=True).update(auto_tmm=False)
        jobs.update(category="", updated_at=timezone.now())


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


def folder_for_new(name: str, *, follows: bool) -> Path:
    """Where a new job of this category will lie: in its folder, unless clients want to name every folder themselves."""
    if follows or preferences.get("use_category_paths_in_manual_mode"):
        return folder_of(name)
    return default_folder()


def follows(job: Job, folder: Path | None = None) -> bool:
    """Whether a job's files go where its category goes: as a client said, else if they lie in its folder."""
    task = getattr(job, "client_task", None)
    if task is not None and task.auto_tmm is not None:
        return bool(task.auto_tmm)
    return job.save_path == str(folder_of(job.category) if folder is None else folder)


class Keeper:
    """What `downloads.categories` asks, whichever way a job is put into a category.

    With the preference `torrent_changed_tmm_enabled` off its files stay, and it follows no category any more, as in
    qBittorrent.
    """

    def folder(self, name: str) -> Path:
        return folder_of(name)

    def following(self, jobs: Sequence[Job]) -> list[int]:
        folders = {name: str(folder_of(name)) for name in {job.category for job in jobs}}
        said = dict(ClientTask.objects.filter(job__in=jobs).values_list("job", "auto_tmm"))
        found = []
        for job in jobs:
            follows = said.get(job.pk)
            if job.save_path == folders[job.category] if follows is None else follows:
                found.append(job.pk)
        return found

    def takes_along(self) -> bool:
        return bool(preferences.get("torrent_changed_tmm_enabled"))

    def let_go(self, job_ids: Sequence[int]) -> None:
        _stop_following(job_ids)


def assign(jobs: Sequence[Job], name: str) -> None:
    """Put jobs into a category. The files of those that follow it are brought to its folder."""
    shared.assign([job.pk for job in jobs], name)


def gather(jobs: Sequence[Job]) -> None:
    """Bring the files of jobs to the folders of their categories."""
    for name in {job.category for job in jobs}:
        _bring([job.pk for job in jobs if job.category == name], folder_of(name))


def _bring(ids: Sequence[int], folder: Path) -> None:
    for job_id, reason in tending.relocate_many(ids, folder).items():
        logger.info("job %s stays where it is: %s", job_id, reason)


def _stop_following(job_ids: Sequence[int]) -> None:
    for part in _parts(job_ids):
        ClientTask.objects.filter(job__in=part).update(auto_tmm=False)


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]


def checked_name(name: str) -> None:
    """Raises ParameterInvalid or Conflict, worded as qBittorrent does, for an impossible name."""
    if not name:
        raise ParameterInvalid("Category cannot be empty")
    if not is_valid_name(name):
        raise Conflict("Incorrect category name")


def _folder(category: Category, base: Path) -> Path:
    if category.save_path:
        try:
            return paths.local(category.save_path)
        except (
            OutsideDownloads
        ) as error:  # the download folder was changed under a path kept in full
            logger.warning("category «%s»: %s", category.name, error)
    return _below(base, category.name)


def _below(base: Path, name: str) -> Path:
    """The folder of a category that has none of its own."""
    return base / files.category_folder(name).relative_to(paths.root())


def _make(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Conflict(
            f"the folder {paths.shown(folder)} cannot be made: {error.strerror or error}"
        ) from None
    return folder
