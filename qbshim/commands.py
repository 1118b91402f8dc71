"""Commands for one torrent, for several or for all (`hashes` None).

A command for many leaves out the ones it does not fit, and knows nothing of hashes that are not there: clients repeat
themselves and come late.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction

from downloads import queue, renaming, tending
from downloads import services as downloads
from downloads.models import Job, JobStatus
from qbshim import categories, preferences, services
from qbshim.errors import Conflict
from qbshim.models import ClientTask

S = JobStatus

_STOPPABLE = (S.QUEUED, S.DOWNLOADING, S.DOWNLOADER_ERROR)
_STARTABLE = (S.FAILED, S.CANCELLED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR)
_UNFINISHED = tuple(status for status in S.values if status != S.COMPLETED)
MOST_PLACED = 10_000
"""Torrents that one command may put elsewhere in the queue."""


def stop(hashes: Sequence[str] | None) -> None:
    """Pause what waits or runs."""
    downloads.pause_many(_ids(hashes, status__in=_STOPPABLE))


def start(hashes: Sequence[str] | None) -> None:
    """Let paused ones go on. Named ones that were given up, cancelled, or seen to have lost their file are tried again;
    `all` leaves those alone, since tools that stop and start everything by the clock do not mean them."""
    downloads.resume_many(_ids(hashes, status=S.PAUSED))
    if hashes is None:
        return
    downloads.retry_many(
        [
            *_ids(hashes, status__in=_STARTABLE),
            *_ids(hashes, status=S.COMPLETED, result_path=""),
        ]
    )


def force(hashes: Sequence[str] | None, *, enabled: bool) -> None:
    """Start, past the limits of the queue or within them: as a real server does, it starts either way."""
    start(hashes)
    queue.force(_ids(hashes, status__in=_UNFINISHED), enabled=enabled)


def delete(hashes: Sequence[str] | None, *, delete_files: bool) -> None:
    """Remove jobs from the list, with what they wrote if asked; unfinished files always go."""
    downloads.remove_many(_ids(hashes), delete_files=delete_files)


def _ids(hashes: Sequence[str] | None, **columns: Any) -> list[int]:
    """The jobs with these hashes whose columns are so; all of them for None."""
    jobs = Job.objects.present().filter(**columns).order_by().values_list("pk", flat=True)
    if hashes is None:
        return list(jobs)
    return [job_id for part in _parts(hashes) for job_id in jobs.filter(infohash__in=part)]


def recheck(hashes: Sequence[str] | None) -> None:
    """Have the files looked at by a worker."""
    tending.recheck([job.pk for job in services.select(hashes)])


def reannounce(hashes: Sequence[str] | None) -> None:
    """Ask again now whoever was to be asked later: the host that failed, the downloader that has it."""
    waiting = services.listed().filter(status__in=(*_STOPPABLE, S.NO_DOWNLOADER))
    queue.hurry([job.pk for job in services.select(hashes, waiting)])


def reorder(hashes: Sequence[str] | None, step: Callable[[Sequence[int]], None]) -> None:
    """Move torrents within the queue. Raises Conflict while a client has switched the queue off."""
    if not preferences.get("queueing_enabled"):
        raise Conflict("Torrent queueing must be enabled")
    if hashes is None:  # all of them together stay as they are
        return
    waiting = services.listed().filter(status__in=queue.WAITING)
    ids = [job.pk for job in services.select(hashes, waiting)]
    if len(ids) > MOST_PLACED:
        raise Conflict(f"more than {MOST_PLACED} torrents cannot be put elsewhere at once")
    if ids:
        step(ids)


def set_category(hashes: Sequence[str] | None, name: str) -> None:
    """Put these torrents, and no others, into a category. Raises Conflict for an unknown one."""
    jobs = services.select(hashes)
    if jobs and not categories.exists(name):
        raise Conflict("Incorrect category name")
    categories.assign(jobs, name)


def set_location(hashes: Sequence[str] | None, folder: Path) -> None:
    """Bring the files of these torrents to a folder; from then on they follow no category. Raises Conflict where the
    files cannot be brought there."""
    jobs = services.select(hashes)
    _follow(jobs, category=False)
    _relocate([job.pk for job in jobs], folder)


def set_save_path(hashes: Sequence[str] | None, folder: Path) -> None:
    """The same, but torrents that follow their category are left alone."""
    jobs = [job for job in services.select(hashes) if not categories.follows(job)]
    _relocate([job.pk for job in jobs], folder)


def _relocate(ids: Sequence[int], folder: Path) -> None:
    refusals = tending.relocate_many(ids, folder)
    if refusals:
        raise Conflict("; ".join(dict.fromkeys(refusals.values())))


def set_download_path(hashes: Sequence[str] | None, folder: str) -> None:
    """Remember where a client wants unfinished files; torrents that follow their category are left alone."""
    jobs = [job for job in services.select(hashes) if not categories.follows(job)]
    change_kept(jobs, lambda kept: {**kept, "download_path": folder})


def set_auto_management(hashes: Sequence[str] | None, *, enabled: bool) -> None:
    """Have torrents follow their category's folder, or stay where they are."""
    jobs = services.select(hashes)
    _follow(jobs, category=enabled)
    if enabled:
        categories.gather(jobs)


def set_download_limit(hashes: Sequence[str] | None, limit: int) -> None:
    """Bytes a second for each of these; none or less is no limit."""
    downloads.set_rate_limit(_ids(hashes), limit if limit > 0 else None)


def limits(hashes: Sequence[str], *, upload: bool) -> dict[str, int]:
    """The limit of each, under the hash as it was asked for; -1 for one that is not there."""
    found = {
        job.infohash: kept_of(job).get("up_limit", 0) if upload else job.rate_limit or 0
        for job in services.select([one.lower()[:64] for one in hashes])
    }
    return {one: found.get(one.lower(), -1) for one in hashes}


def keep(hashes: Sequence[str] | None, **values: Any) -> None:
    """Remember what a client said about torrents, for it to be given back: keys of `torrents/info`."""
    change_kept(services.select(hashes), lambda kept: {**kept, **values})


def toggle(hashes: Sequence[str] | None, key: str) -> None:
    """Turn a switch of these torrents over."""
    change_kept(services.select(hashes), lambda kept: {**kept, key: not kept.get(key, False)})


def kept_of(job: Job) -> Mapping[str, Any]:
    """What a client said about a job that is only given back."""
    task = getattr(job, "client_task", None)
    return task.kept if task else {}


def change_kept(
    jobs: Sequence[Job], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    """Make of what clients said about each of these jobs something else. What `change` raises takes all of it back."""
    for part in _with_tasks(jobs):
        with transaction.atomic():
            tasks = list(ClientTask.objects.filter(job__in=part).select_for_update())
            before = [task.kept for task in tasks]
            for task in tasks:
                task.kept = services.worth_keeping(change(task.kept))
            changed = [one for one, old in zip(tasks, before, strict=True) if one.kept != old]
            ClientTask.objects.bulk_update(changed, ["kept"])


def _with_tasks(jobs: Sequence[Job]) -> list[Sequence[int]]:
    """The ids in parts; each of the jobs has something that clients said about it from now on."""
    new = [job for job in jobs if getattr(job, "client_task", None) is None]
    ClientTask.objects.bulk_create(
        [services.new_task(job) for job in new], ignore_conflicts=True, batch_size=services.AT_ONCE
    )
    return _parts([job.pk for job in jobs])


def _follow(jobs: Sequence[Job], *, category: bool) -> None:
    """Remember whether these go where their category goes."""
    for part in _with_tasks(jobs):
        ClientTask.objects.filter(job__in=part).update(auto_tmm=category)


def rename(infohash: str, name: str) -> None:
    """Change the name that clients see; the file keeps the one that was grabbed. Raises UnknownJob, Conflict."""
    name = " ".join(name.split())
    if not name:
        raise Conflict("Incorrect torrent name")
    task = services.task_of(services.find(infohash))
    task.name = name[:255]
    task.save(update_fields=["name"])


def rename_file(infohash: str, old: str, new: str) -> None:
    """Call a file differently. Raises UnknownJob, BadRename."""
    renaming.rename_file(services.find(infohash).pk, old, new)


def rename_folder(infohash: str, old: str, new: str) -> None:
    """Call a folder differently. Raises UnknownJob, BadRename."""
    renaming.rename_folder(services.find(infohash).pk, old, new)


def _parts(values: Sequence[Any]) -> list[Sequence[Any]]:
    step = services.AT_ONCE
    return [values[start : start + step] for start in range(0, len(values), step)]
