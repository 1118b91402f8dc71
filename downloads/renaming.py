"""Renaming the files and folders of a job, below its save path. Names are as clients see them: relative, with slashes.

The errors are worded as qBittorrent words them.
"""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from django.db import transaction
from django.utils import timezone

from downloads import files, finishing, moving, outbox, transitions
from downloads.errors import BadRename, NameTaken, NotARename, OutsideRoot, StillWritten
from downloads.models import Job, JobFile, Layout

MOST_PARTS = 16


def rename_file(job_id: int, old: str, new: str) -> None:
    """Call one file of a job differently. Raises BadRename."""
    job = Job.objects.get(pk=job_id)
    source, target = _path(old, "old"), _path(new, "new")
    there = _listed(job)
    if source not in there:
        raise BadRename(f"No such file: '{old}'.")
    if target != source:
        _rename(job, {there[source]: target}, there)


def rename_folder(job_id: int, old: str, new: str) -> None:
    """Call a folder of a job differently, with the job's files in it and nothing else. Raises BadRename."""
    job = Job.objects.get(pk=job_id)
    source, target = _path(old, "old"), _path(new, "new")
    there = _listed(job)
    inside = {name: row for name, row in there.items() if source in name.parents}
    if not inside:
        raise BadRename(f"No such folder: '{old}'.")
    if target == source:
        return
    if any(target in name.parents for name in there if name not in inside):
        raise BadRename(f"The folder already exists: '{new}'.")
    _rename(job, {row: target / name.relative_to(source) for name, row in inside.items()}, there)


def _path(text: str, which: str) -> PurePosixPath:
    """A relative path that is the same on every file system. Raises BadRename."""
    parts = text.split("/")
    if text.startswith("/"):
        raise BadRename(f"Absolute path isn't allowed: '{text}'.")
    usable = 0 < len(parts) <= MOST_PARTS and len(text) <= moving.MAX_PATH
    if not usable or any(files.safe_part(part, limit=255) != part for part in parts):
        raise BadRename(f"The {which} path is invalid: '{text}'.")
    return PurePosixPath(text)


def _listed(job: Job) -> dict[PurePosixPath, JobFile]:
    """The files that are in place, by the names under which clients see them."""
    rows = (row for row in job.files.all() if row.path)
    return {PurePosixPath(moving.tail(job, Path(row.path))): row for row in rows}


def _rename(
    job: Job, targets: Mapping[JobFile, PurePosixPath], there: Mapping[PurePosixPath, JobFile]
) -> None:
    if job.layout == Layout.LIBRARY:
        raise BadRename("Its files lie in a library, under the names that the library wants.")
    if job.moving_to:
        raise BadRename("Its files are being moved; try again later.")
    if outbox.is_elsewhere(job):
        raise BadRename(f"{job.downloader} has its files; they are renamed there.")
    base = Path(job.save_path)
    own = {Path(row.path).parent.resolve() for row in there.values()} | {base.resolve()}
    for target in targets.values():
        if target in there:
            raise BadRename(f"The file already exists: '{target}'.")
        folder = (base / target).parent.resolve()
        if folder.exists() and folder not in own:
            raise BadRename(f"The folder already exists: '{target.parent}'.")
        if len(str(base / target)) > moving.MAX_PATH:
            raise BadRename(f"The new path is invalid: '{target}'.")
    try:
        with files.own_partial(job.pk):
            for row, target in targets.items():
                _rename_one(job, row, base / target, str(target))
    except StillWritten:
        raise BadRename("Its files are being written or moved; try again later.") from None
    _write_result_path(job)


def _rename_one(job: Job, row: JobFile, target: Path, shown: str) -> None:
    old = Path(row.path)
    if old.is_symlink() or not old.is_file():
        raise BadRename(f"No such file: '{old.name}'.")
    try:
        final = finishing.finish(old, target, may_copy=False, is_settled=True)
    except NameTaken:
        raise BadRename(f"The file already exists: '{shown}'.") from None
    except (NotARename, OutsideRoot) as error:
        raise BadRename(str(error)) from error
    except OSError as error:
        raise BadRename(f"'{shown}': {error.strerror or error}") from error
    with transaction.atomic():
        JobFile.objects.filter(pk=row.pk).update(path=str(final))
        same = Job.objects.filter(pk=job.pk, result_path=str(old))
        same.update(result_path=str(final), updated_at=timezone.now())
        transitions.remark(job.pk, f"«{old.name}» is called «{final.name}» now")
    files.drop_empty(old.parent, base=Path(job.save_path))


@transaction.atomic
def _write_result_path(job: Job) -> None:
    """A season's folder is the one that holds all of its files."""
    now = Job.objects.select_for_update().get(pk=job.pk)
    if now.episode is not None or not now.result_path:
        return
    parents = {str(Path(row.path).parent) for row in now.files.all() if row.path}
    if parents:
        common = os.path.commonpath(parents)
        Job.objects.filter(pk=job.pk).update(result_path=common, updated_at=timezone.now())
