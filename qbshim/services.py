"""The torrents that clients see and name: every present job, with what was said about it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from downloads.errors import UnknownJob
from downloads.models import Job, JobQuerySet
from qbshim.models import ClientTask

AT_ONCE = 500
"""Hashes in one query: databases limit the parameters of a statement."""
# A third of the time that a long list takes.
_NOT_SHOWN = (
    "attempts", "client_task__hash", "deaths", "delete_files", "heartbeat_at", "host", "language", "magnet_metadata",
    "owner", "provider", "removed_at", "retry_count", "slug", "source_site",
)  # fmt: skip


_USUAL: Final[Mapping[str, Any]] = {
    "download_path": "", "f_l_piece_prio": False, "inactive_seeding_time_limit": -2, "ratio_limit": -2,
    "seeding_time_limit": -2, "seq_dl": False, "super_seeding": False, "up_limit": 0,
    "file_priorities": {}, "trackers": [], "web_seeds": [],
}  # fmt: skip
"""What a torrent has of which nobody has said anything. The last three are no keys of `torrents/info`."""


def worth_keeping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a client said, by its keys in `_USUAL`, what is not so anyway."""
    return {key: value for key, value in values.items() if value != _USUAL[key]}


def find(infohash: str) -> Job:
    """The job that a client means by one hash, in any case. Raises UnknownJob."""
    job = listed().filter(infohash=infohash.strip().lower()[:64]).first()
    if job is None:
        raise UnknownJob("there is no such torrent")
    return job


def listed() -> JobQuerySet:
    """What clients see: every present job, also one that came another way, with what they said about it."""
    return Job.objects.present().select_related("client_task").defer(*_NOT_SHOWN)


def select(hashes: Sequence[str] | None, jobs: JobQuerySet | None = None) -> list[Job]:
    """The jobs with these hashes, all of them for None; unknown hashes are left out."""
    jobs = listed() if jobs is None else jobs
    if hashes is None:
        return list(jobs)
    return [
        job
        for start in range(0, len(hashes), AT_ONCE)
        for job in jobs.filter(infohash__in=hashes[start : start + AT_ONCE])
    ]


def task_of(job: Job, **said: Any) -> ClientTask:
    """What clients said about a job; made, with `said`, when nobody has said anything yet."""
    task, _ = ClientTask.objects.get_or_create(job=job, defaults=_of_new(job) | said)
    return task


def new_task(job: Job) -> ClientTask:
    """The same for a job of which nobody has said anything yet, not saved."""
    return ClientTask(job=job, **_of_new(job))


def _of_new(job: Job) -> dict[str, Any]:
    return {"hash": job.infohash, "name": job.name, "added_on": job.created_at}
