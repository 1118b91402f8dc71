"""Commands to one download or to many, each with an answer for every download that it was meant for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from downloads import categories, queue, services
from downloads.errors import BadWish, IllegalTransition, UnknownJob
from downloads.models import Job, JobQuerySet, JobStatus
from downloads.selecting import Selection
from downloads.shown import DONE

S = JobStatus
MAX_AT_ONCE = 1000
"""Downloads in one command."""


class Action(StrEnum):
    """What a download can be told."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"
    TOP = "top"
    BOTTOM = "bottom"
    UP = "up"
    DOWN = "down"
    FORCE = "force"
    UNFORCE = "unforce"


FITS: Final[Mapping[Action, Sequence[str]]] = {
    Action.PAUSE: (S.QUEUED, S.DOWNLOADING, S.DOWNLOADER_ERROR),
    Action.RESUME: (S.PAUSED,),
    Action.CANCEL: tuple(status for status in S.values if status not in DONE),
    Action.RETRY: (S.FAILED, S.CANCELLED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR),
    Action.DELETE: tuple(S.values),
    Action.FORCE: (S.QUEUED, S.PAUSED),
    Action.UNFORCE: tuple(S.values),
    **dict.fromkeys((Action.TOP, Action.BOTTOM, Action.UP, Action.DOWN), queue.WAITING),
}
"""The statuses that an action is for. A command to «all that …» leaves the others out instead of failing at them."""
_COMMANDS: Final[Mapping[Action, Callable[[Sequence[int]], services.Told]]] = {
    Action.PAUSE: services.pause_many,
    Action.RESUME: services.resume_many,
    Action.CANCEL: services.cancel_many,
    Action.RETRY: services.retry_many,
}
_PLACES: Final[Mapping[Action, Callable[[Sequence[int]], None]]] = {
    Action.TOP: queue.to_top,
    Action.BOTTOM: queue.to_bottom,
    Action.UP: queue.up,
    Action.DOWN: queue.down,
    Action.FORCE: queue.force,
    Action.UNFORCE: lambda ids: queue.force(ids, enabled=False),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one download. `job_id` and `infohash` are None where it is not known by that name."""

    job_id: int | None
    infohash: str | None
    reason: str = ""
    """Why nothing was done; empty where it was."""
    is_unknown: bool = False


def act(job_id: int, action: Action, *, delete_files: bool = False) -> None:
    """Tell one download. Saying it twice is fine. Raises IllegalTransition, UnknownJob."""
    if action in _PLACES:
        _require(job_id, FITS[action], action)
        _PLACES[action]([job_id])
    elif action == Action.DELETE:
        services.remove(job_id, delete_files=delete_files)
    else:
        told = _tell([job_id], action)
        if job_id in told.refusals:
            raise IllegalTransition(told.refusals[job_id])
        if job_id not in told.jobs:
            raise UnknownJob(_NO_SUCH)


def _tell(ids: Sequence[int], action: Action, *, delete_files: bool = False) -> services.Told:
    if action == Action.DELETE:
        return services.remove_many(ids, delete_files=delete_files)
    told = _COMMANDS[action](ids)
    if action == Action.RESUME:
        for job in [job for job in told.jobs.values() if job.status in DONE]:
            reason = f"a download that is {job.status}: there is nothing to resume"
            told.refusals[job.pk] = reason
    return told


def act_on(selection: Selection, action: Action, *, delete_files: bool = False) -> list[Outcome]:
    """Tell every download that is selected and that the action is for. Raises BadWish for more than MAX_AT_ONCE."""
    jobs = selection.apply().filter(status__in=FITS[action])
    jobs = jobs.order_by("pk")
    return _act_on_all(_pairs(jobs), action, delete_files=delete_files)


def act_on_named(
    ids: Sequence[int], hashes: Sequence[str], action: Action, *, delete_files: bool = False
) -> list[Outcome]:
    """Tell the downloads with these ids and infohashes; each of them is answered."""
    ids = list(dict.fromkeys(ids))
    hashes = list(dict.fromkeys(one.lower() for one in hashes))
    if len(ids) + len(hashes) > MAX_AT_ONCE:
        raise BadWish(_too_many(len(ids) + len(hashes)))
    found: dict[int, str] = {}
    for column, values in (("pk", ids), ("infohash", hashes)):
        present = Job.objects.present().filter(**{f"{column}__in": values})
        found |= dict(present.values_list("pk", "infohash"))
    outcomes = _act_on_all(sorted(found.items()), action, delete_files=delete_files)
    known = set(found.values())
    unknown = [Outcome(one, None, _NO_SUCH, True) for one in ids if one not in found]
    return [
        *outcomes,
        *unknown,
        *(Outcome(None, one, _NO_SUCH, True) for one in hashes if one not in known),
    ]


_NO_SUCH = "there is no such download"


def _pairs(jobs: JobQuerySet) -> list[tuple[int, str]]:
    found = list(jobs.values_list("pk", "infohash")[: MAX_AT_ONCE + 1])
    if len(found) > MAX_AT_ONCE:
        raise BadWish(_too_many(jobs.count()))
    return found


def _too_many(count: int) -> str:
    return f"{count} downloads are more than the {MAX_AT_ONCE} of one command; narrow it down"


def _act_on_all(
    jobs: Sequence[tuple[int, str]], action: Action, *, delete_files: bool
) -> list[Outcome]:
    if action in _PLACES:
        return _move(jobs, action)
    told = _tell([job_id for job_id, _ in jobs], action, delete_files=delete_files)
    return [
        Outcome(job_id, infohash, told.refusals[job_id])
        if job_id in told.refusals
        else Outcome(job_id, infohash)
        if job_id in told.jobs
        else Outcome(job_id, infohash, _NO_SUCH, True)  # deleted in this very moment
        for job_id, infohash in jobs
    ]


def _move(jobs: Sequence[tuple[int, str]], action: Action) -> list[Outcome]:
    """All at once: among themselves they keep their order."""
    ids = [job_id for job_id, _ in jobs]
    fitting = Job.objects.present().filter(pk__in=ids, status__in=FITS[action])
    chosen = set(fitting.values_list("pk", flat=True))
    _PLACES[action](sorted(chosen))
    return [
        Outcome(job_id, infohash, "" if job_id in chosen else _no_place(action))
        for job_id, infohash in jobs
    ]


def _require(job_id: int, statuses: Sequence[str], action: Action) -> None:
    status = Job.objects.present().filter(pk=job_id).values_list("status", flat=True).first()
    if status is None:
        raise UnknownJob(_NO_SUCH)
    if status not in statuses:
        raise IllegalTransition(f"a download that is {status}: {_no_place(action)}")


def _no_place(action: Action) -> str:
    if action in (Action.FORCE, Action.UNFORCE):
        return "only what waits can be started by force"
    return "it has no place in the queue"


def change(
    job_id: int,
    *,
    category: str | None = None,
    rate_limit: int | None = None,
    sets_rate_limit: bool = False,
) -> None:
    """Put a download into another category, or give it another rate limit (None: none of its own)."""
    if category is not None:
        categories.assign([job_id], category)
    if sets_rate_limit:
        services.set_rate_limit([job_id], rate_limit)
