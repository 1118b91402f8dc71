"""Bringing a job's files to another folder: file by file, and a path in the database changes only after its file.

A move that was cut short is gone on with: what is at its new place already is recognised.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from anibridge.lib import watch
from downloads import files, finishing, space, transitions
from downloads.engines import targets
from downloads.errors import JobLost, NameTaken, Unmovable
from downloads.models import Job, JobFile, JobStatus, Subfolder

logger = logging.getLogger(__name__)

MAX_PATH = 1000
"""Characters of a path: what the columns of a job and its files hold."""
MOST_NAMES = 1000


def bring(job: Job, *, notes: Path, may_copy: bool = True) -> None:
    """Move the files of a job to `moving_to`, and make that its save path. The caller holds the job's lock.

    Raises JobLost when that is not wanted any more, NotARename when a file would have to be copied and may not be, and
    what `finishing.finish` raises.
    """
    rows = [row for row in job.files.all() if row.path]
    _require_room(rows, Path(job.moving_to))
    _choose_folder(job, rows)
    moved = {}
    with watch.cancellation(lambda: _require_wish(job), every=1.0):
        for row in rows:
            before = row.path
            _bring_file(job, row, notes=notes, may_copy=may_copy)
            if row.path != before:
                moved[Path(before)] = Path(row.path)
    _arrived(job, moved)
    _drop_own_folders(job, moved)


def tail(job: Job, path: Path) -> Path:
    """A file or folder of a job as it is called below the save path."""
    for root in (Path(job.save_path), Path(job.save_path).resolve()):
        if path.is_relative_to(root):
            return path.relative_to(root)
    return Path(path.parent.name, path.name) if has_folder(job) else Path(path.name)


def has_folder(job: Job) -> bool:
    """Whether the job's files lie in a folder of their own below the save path."""
    if job.subfolder == Subfolder.USUAL:
        return job.episode is None
    return job.subfolder == Subfolder.ALWAYS


def path_of_gone(job: Job, folder: Path) -> dict[str, str]:
    """For the row of a job whose files are gone, and whose folder becomes another one: where they would lie by now, as
    qBittorrent has it, so that what clients are shown as its contents is below what they are shown as its folder.

    Nothing where something lies there: that is somebody else's. The files' own rows stay as they are, since a file may
    come back, with its disk.
    """
    if not job.result_path:
        return {}
    path = folder / tail(job, Path(job.result_path))
    fits = len(str(path)) <= MAX_PATH and not os.path.lexists(path)
    return {"result_path": str(path)} if fits else {}


def _choose_folder(job: Job, rows: list[JobFile]) -> None:
    """The folder that a season has for itself gets another name where somebody's files are in the one of its name: a
    client imports all that lies in it. Written down before the first file moves, so that one that moved is found."""
    if job.episode is not None or not has_folder(job) or any(row.moved_as for row in rows):
        return
    names = {row.pk: tail(job, Path(row.path)) for row in rows}
    tops = {name.parts[0] for name in names.values() if len(name.parts) > 1}
    if len(tops) != 1:
        return
    usual = Path(job.moving_to) / tops.pop()
    if usual.resolve() == (Path(job.save_path) / usual.name).resolve():
        return  # another name of the same place
    places = {Path(job.moving_to) / names[row.pk]: row for row in rows}
    began = usual.is_dir() and all(
        path in places and _is_there_already(job, places[path], Path(places[path].path), path)
        for path in usual.iterdir()
    )
    own = usual.name if began else targets.free_folder(job, usual).name
    for row in rows:
        name = names[row.pk]
        row.moved_as = str(Path(own, *name.parts[1:])) if len(name.parts) > 1 else str(name)
    JobFile.objects.bulk_update(rows, ["moved_as"])


def _bring_file(job: Job, row: JobFile, *, notes: Path, may_copy: bool) -> None:
    """Give one file its place below the new folder; a missing one stays written down where it was."""
    old = files.entry(Path(row.path))
    # Where it goes may have changed while some files were moved already: those do not lie below the save path.
    name = Path(row.moved_as) if row.moved_as else tail(job, Path(row.path))
    for final in _names(Path(job.moving_to) / name):
        final = files.entry(final)
        if final != old and _is_there_already(job, row, old, final):
            old.unlink(missing_ok=True)  # the second name of it, where a move was cut short
        elif final != old:
            if not old.exists():
                if not final.exists():
                    return
                continue
            if old.is_symlink() or not old.is_file():
                raise Unmovable(f"{old} is no file that was put there by AniBridge")
            if targets.is_taken(job, final):
                continue
            try:
                finishing.finish(old, final, may_copy=may_copy, is_settled=True, notes=notes)
            except NameTaken:
                continue
        _note(job, row, final, name)
        return
    raise NameTaken(f"there is no free name for «{old.name}» in {job.moving_to}")


def _names(wanted: Path) -> Iterator[Path]:
    """The names that a file may get, as when it was put in place at first."""
    for number in range(1, MOST_NAMES):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.stem}.{number}{wanted.suffix}")
        if len(str(path)) > MAX_PATH:
            raise Unmovable(f"the path {path} is longer than {MAX_PATH} characters")
        yield path


def _is_there_already(job: Job, row: JobFile, old: Path, final: Path) -> bool:
    """Whether `final` is what an earlier attempt has moved, but not come to write down."""
    if not final.is_file() or final.is_symlink():
        return False
    if old.exists():
        return old.samefile(final)
    taken = JobFile.objects.filter(path=str(final), job__removed_at=None).exclude(pk=row.pk)
    return final.stat().st_size == row.size_bytes and not taken.exists()


def _require_room(rows: list[JobFile], target: Path) -> None:
    """Raises DiskFull, before anything is moved, unless all that has to be copied fits."""
    disk = space.disk_of(target)
    copied = 0
    for row in rows:
        path = Path(row.path)
        if path.is_file() and path.stat().st_dev != disk:
            copied += path.stat().st_size
    if copied:
        space.require(copied, target)


def _require_wish(job: Job) -> None:
    """Raises JobLost when the job was deleted, claimed by a worker, or is to go elsewhere by now."""
    still = Job.objects.present().filter(pk=job.pk, moving_to=job.moving_to)
    if not still.exclude(status=JobStatus.DOWNLOADING).exists():
        raise JobLost(f"job {job.pk} is not to be moved to {job.moving_to} any more")


@transaction.atomic
def _written(job: Job, row: JobFile, final: Path, name: Path) -> Job | None:
    now = Job.objects.select_for_update().filter(pk=job.pk).first()
    JobFile.objects.filter(pk=row.pk).update(path=str(final), moved_as=str(name))
    # That of a single file may name a place where it would be.
    if now is not None and (now.result_path == row.path or now.episode is not None):
        Job.objects.filter(pk=job.pk).update(result_path=str(final), updated_at=timezone.now())
    return now


def _note(job: Job, row: JobFile, final: Path, name: Path) -> None:
    """The file lies at `final` now. One that was deleted together with its job in the very last moment goes."""
    now = _written(job, row, final, name)
    row.path = str(final)
    if now is None or now.removed_at is not None:
        if now is None or now.delete_files:
            files.delete(final)
        raise JobLost(f"job {job.pk} was deleted")


@transaction.atomic
def _arrived(job: Job, moved: dict[Path, Path]) -> None:
    now = Job.objects.select_for_update().filter(pk=job.pk).first()
    if now is None or now.removed_at is not None or now.moving_to != job.moving_to:
        raise JobLost(f"job {job.pk} is not to be moved to {job.moving_to} any more")
    values: dict[str, Any] = {
        "save_path": job.moving_to,
        "moving_to": "",
        "tending_tries": 0,
        "updated_at": timezone.now(),
    }
    folder = Path(job.result_path) if job.result_path and job.episode is None else None
    if folder is not None and moved and folder not in moved:
        values["result_path"] = str(Path(job.moving_to) / _moved_folder(job, folder))
    elif not moved and not any(Path(row.path).exists() for row in job.files.exclude(path="")):
        values |= path_of_gone(job, Path(job.moving_to))
    Job.objects.filter(pk=job.pk).update(**values)
    now.files.update(moved_as="")
    transitions.remark(job.pk, f"its files were brought to {job.moving_to}")


def _moved_folder(job: Job, folder: Path) -> Path:
    """The folder of a job's files as it is called below the new save path."""
    name = tail(job, folder)
    noted = {
        Path(told).parts[0] for told in job.files.values_list("moved_as", flat=True) if "/" in told
    }
    return Path(noted.pop(), *name.parts[1:]) if len(noted) == 1 else name


def _drop_own_folders(job: Job, moved: dict[Path, Path]) -> None:
    """The folders that the job had for itself go once they are empty; the one of its category never does."""
    for folder in {path.parent for path in moved}:
        files.drop_empty(folder, base=Path(job.save_path))
