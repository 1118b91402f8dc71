"""Where a job's finished files belong: under the grabbed release name for the *arrs to import, or right in a library."""

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from downloads import files
from downloads.errors import BadNaming
from downloads.models import Job, JobFile, Layout, Subfolder
from downloads.naming import Naming

MOST_NAMES = 1000
_SEASON = re.compile(r"(?i)(?<=[. _-])S(\d+)(?=[. _-])")


def names(job: Job, episode: int | None, suffix: str) -> Iterator[Path]:
    """The names that a file may have, best first: links resolved, below a configured root.

    The first says what was grabbed, since the *arrs parse it; those after it are for when others have it. `suffix`
    begins with its dot, or is empty. Raises BadNaming and OutsideRoot.
    """
    folder, stem, mark = _place_of(job, episode)
    folder = folder.resolve()
    files.root_of(folder)
    for number in range(1, MOST_NAMES):
        numbered = stem if number == 1 else stem + mark.format(number)
        yield folder / f"{numbered}{suffix}"


def check(job: Job) -> None:
    """Raises BadNaming or OutsideRoot when the job's files could not be put anywhere once they are there."""
    next(names(job, 1 if job.episode is None else job.episode, ""))


def folder_of(job: Job) -> Path:
    """Where the job's files are going to lie, as far as it is known before they are there."""
    return library_root(job) if job.layout == Layout.LIBRARY else Path(job.save_path)


def library_root(job: Job) -> Path:
    """The root of the library that the job names, or the only one. Raises BadNaming."""
    named = str(job.naming.get("root") or "")
    roots: list[Path] = settings.DOWNLOAD_LIBRARY_ROOTS
    if not named and len(roots) == 1:
        return roots[0]
    if not named:
        raise BadNaming("which of DOWNLOAD_LIBRARY_ROOTS the file shall go to is not said")
    root = Path(named).resolve()
    if not any(root.is_relative_to(one.resolve()) for one in roots):
        raise BadNaming(f"{root} is none of DOWNLOAD_LIBRARY_ROOTS")
    return root


def is_taken(job: Job, path: Path) -> bool:
    """Whether another job, or anybody else, has a file of that name."""
    if path.exists() or path.is_symlink():
        return True
    same = JobFile.objects.filter(path=str(path), job__removed_at=None)
    return same.exclude(job=job).exists()


def _place_of(job: Job, episode: int | None) -> tuple[Path, str, str]:
    """Folder, name without extension, and what is put behind it when the name is taken."""
    if job.layout == Layout.LIBRARY:
        said = job.naming if job.episode is not None else {**job.naming, "episode": episode}
        path = Naming.read(said, season=job.season, episode=episode).path()
        return library_root(job) / path.parent, path.name, " ({})"
    name = files.safe_part(job.name)
    folder = Path(job.save_path)
    is_pack = job.episode is None and episode is not None
    if is_pack and job.subfolder != Subfolder.NEVER:
        folder = _folder_of_season(job, folder.resolve() / name)
    elif job.subfolder == Subfolder.ALWAYS:
        folder /= name
    if is_pack and episode is not None:
        name = of_episode(name, job.season, episode)
    return folder, name, ".{}"


def _folder_of_season(job: Job, usual: Path) -> Path:
    """The folder that a season has for itself: the one in which its first episode was put, else the first that is free.

    A client imports all that is in it. What an earlier download left there, whose files were kept, or somebody else, is
    no part of this one.
    """
    for path in job.files.exclude(path="").values_list("path", flat=True):
        if (folder := Path(path).parent).parent == usual.parent:
            return folder
    return free_folder(job, usual)


def free_folder(job: Job, usual: Path) -> Path:
    """The first folder called so, or so with a number, that nobody's files are in."""
    for number in range(1, MOST_NAMES):
        folder = usual if number == 1 else usual.with_name(f"{usual.name}.{number}")
        if not _is_lived_in(job, folder):
            return folder
    return usual


def _is_lived_in(job: Job, folder: Path) -> bool:
    """Whether files lie in it, or another job says that its files do."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        return True
    if folder.is_dir() and any(folder.iterdir()):
        return True
    others = Job.objects.present().exclude(pk=job.pk)
    return others.filter(result_path=str(folder)).exists()


def of_episode(name: str, season: int, episode: int) -> str:
    """The pack's name as that of one of its episodes."""
    found, count = _SEASON.subn(rf"S\1E{episode:02}", name, count=1)
    return found if count else f"{name}.S{season:02}E{episode:02}"
