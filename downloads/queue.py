"""The queue: which job a worker takes next, and moving jobs within it.

A message names a job, but it is only a nudge: the worker that gets it takes the first job of the queue that may run.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from anibridge.lib.outbound import host_of
from downloads import dispatch, heartbeats, limits, outbox, transitions
from downloads.detection import DownloadType
from downloads.models import ErrandAction, Job, JobQuerySet, JobStatus
from downloads.models.jobs import next_place

S = JobStatus
WAITING = (S.QUEUED, S.PAUSED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR)
RESTED = timedelta(minutes=1)
"""So long after a try, a client may want the next one sooner than it was set."""
IN_ONE_STEP = 500
"""Jobs whose rows are locked by one transaction."""
LOOKED_THROUGH = 5000
"""How far down a claim looks for a job that may run: a host's limit may hold up very many."""

source_limits: list[Callable[[Sequence[str]], dict[str, int]]] = []
"""What knows how many downloads a source allows: sources → limits of those that have one. Filled by apps above."""


def claim_next(owner: str) -> tuple[int, int] | None:
    """Take the first job of the queue that may run on `owner` now; its id and fencing token, or None.

    A worker runs DOWNLOAD_CONCURRENCY jobs, all workers together DOWNLOAD_MAX_RUNNING, and forced ones beside these.
    No host and no source is asked for more at once than it is allowed.
    """
    while True:
        with transaction.atomic():
            # Counting and claiming are one step, or two workers would both take the last slot.
            limits.lock()
            found = None if heartbeats.is_stopping(owner) else _first(owner, timezone.now())
            if found is None:
                return None
            job_id, host = found
            token = transitions.claim(job_id, owner, host=host)
        if token is not None:
            return job_id, token


def _first(owner: str, now: datetime) -> tuple[int, str] | None:
    taken = list(limits.running().values_list("owner", "host", "source_site"))
    hosts = Counter(host.lower() for _, host, _ in taken if host)
    sources = Counter(source for _, _, source in taken)
    here = sum(one == owner for one, _, _ in taken)
    full = here >= settings.DOWNLOAD_CONCURRENCY or (
        0 < settings.DOWNLOAD_MAX_RUNNING <= len(taken)
    )
    due = Job.objects.due(now).filter(forced=True) if full else Job.objects.due(now)
    rows = due.exclude(source_site__in=_full_sources(sources)).values_list(
        "pk", "download_type", "url", "host"
    )
    for job_id, kind, url, last in rows[:LOOKED_THROUGH].iterator(chunk_size=100):
        # The host of a catalogue's episode is only known once its page was read; then it is waited for, if need be.
        host = host_of(url)[:255] if kind == DownloadType.HTTP else last
        if not host or not 0 < settings.DOWNLOAD_PER_HOST <= hosts[host.lower()]:
            return job_id, host
    return None


def close(owner: str) -> int:
    """A worker stops: it takes nothing more, and what it runs goes back into the queue. Returns how much that was."""
    with transaction.atomic():
        limits.lock()
        heartbeats.mark_stopping(owner)
    return transitions.park(owner)


def _full_sources(running: Counter[str]) -> list[str]:
    allowed = dict.fromkeys(running, settings.DOWNLOAD_PER_SOURCE)
    for known in source_limits:
        allowed |= known(list(running))
    return [source for source, count in running.items() if 0 < allowed[source] <= count]


def wake() -> None:
    """Have a worker look at the queue, when something in it is due."""
    job_id = Job.objects.due(timezone.now()).values_list("pk", flat=True).first()
    if job_id is not None:
        dispatch.nudge(job_id)


def waiting() -> JobQuerySet:
    """The jobs that have a place in the queue: those that nobody carries yet, in order."""
    return Job.objects.present().filter(status__in=WAITING).order_by("queue_place", "pk")


def positions() -> dict[int, int]:
    """Job → its place among the waiting ones, from 1."""
    return {pk: number for number, pk in enumerate(waiting().values_list("pk", flat=True), 1)}


@transaction.atomic
def to_top(job_ids: Iterable[int]) -> None:
    """Put waiting jobs before all others, in the order that they have among themselves."""
    chosen = _chosen(job_ids)
    first = waiting().values_list("queue_place", flat=True).first()
    start = (0 if first is None else first) - len(chosen)
    _place(zip(chosen, range(start, start + len(chosen)), strict=True))


@transaction.atomic
def to_bottom(job_ids: Iterable[int]) -> None:
    """Put waiting jobs behind all others, in the order that they have among themselves."""
    chosen = _chosen(job_ids)
    last = waiting().values_list("queue_place", flat=True).last()
    # Whoever comes next gets the time as his place; so the last one must not lie in the future.
    start = max((0 if last is None else last) + 1, next_place() - len(chosen))
    _place(zip(chosen, range(start, start + len(chosen)), strict=True))


def up(job_ids: Iterable[int]) -> None:
    """Let each of these waiting jobs change places with the one before it."""
    _shift(job_ids, lambda order: order)


def down(job_ids: Iterable[int]) -> None:
    """Let each of these waiting jobs change places with the one behind it."""
    _shift(job_ids, lambda order: order[::-1])


def hurry(job_ids: Sequence[int]) -> None:
    """Let waiting jobs be tried again now that were put off, and have their downloaders asked how they go.

    One that was tried just before stays put off: a host that asks for patience shall have it.
    """
    now = timezone.now()
    downloaders = set[int]()
    for start in range(0, len(job_ids), 500):
        chosen = Job.objects.present().filter(pk__in=job_ids[start : start + 500])
        rested = Q(started_at=None) | Q(started_at__lte=now - RESTED)
        put_off = chosen.filter(rested, status=S.QUEUED, not_before__gt=now, space_needed=None)
        with transaction.atomic():
            Job.objects.filter(pk__in=put_off.hold()).update(not_before=now, updated_at=now)
        asked = chosen.elsewhere().order_by().values_list("downloader", flat=True).distinct()
        downloaders.update(pk for pk in asked if pk is not None)
    if job_ids:
        wake()
        dispatch.nudge_dispatch()
    for downloader_id in downloaders:
        dispatch.nudge_poll(downloader_id)


def force(job_ids: Iterable[int], *, enabled: bool = True) -> None:
    """Have jobs started although all slots are taken, or no longer so; paused ones go on."""
    ids = sorted(set(job_ids))
    for start in range(0, len(ids), IN_ONE_STEP):
        _force(ids[start : start + IN_ONE_STEP], enabled=enabled)


@transaction.atomic
def _force(job_ids: Sequence[int], *, enabled: bool) -> None:
    jobs = [job for job in transitions.lock(job_ids) if job.removed_at is None]
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(forced=enabled)
    if not enabled:
        return
    paused = [job for job in jobs if job.status == S.PAUSED]
    transitions.move_many(paused, S.QUEUED, reason="started by force")
    outbox.tell_many(paused, ErrandAction.RESUME)
    queued = [job for job in jobs if job.status == S.QUEUED]
    if queued:
        wake()
    if any(job.downloader_id is None for job in queued):
        dispatch.nudge_dispatch()


@transaction.atomic
def _shift(job_ids: Iterable[int], turned: Callable[[list[Any]], list[Any]]) -> None:
    limits.lock()
    rows = list(waiting().values_list("pk", "queue_place"))
    moved = set(job_ids)
    before = turned([pk for pk, _ in rows])
    order = list(before)
    for number in range(1, len(order)):
        # One that stands behind another moved one stays behind it: together they move as a block.
        if order[number] in moved and order[number - 1] not in moved:
            order[number - 1], order[number] = order[number], order[number - 1]
    places = sorted(place for _, place in rows)
    after, was = turned(order), dict(rows)
    _place((pk, place) for pk, place in _distinct(after, places) if was[pk] != place)


def _distinct(order: list[int], places: list[int]) -> Iterator[tuple[int, int]]:
    """Places for an order, strictly rising: two jobs of the same microsecond would not know who is first."""
    last: int | None = None
    for pk, place in zip(order, places, strict=True):
        last = place if last is None or place > last else last + 1
        yield pk, last


def _chosen(job_ids: Iterable[int]) -> list[int]:
    limits.lock()
    return list(waiting().filter(pk__in=list(job_ids)).values_list("pk", flat=True))


def _place(places: Iterable[tuple[int, int]]) -> None:
    jobs = [Job(pk=pk, queue_place=place) for pk, place in places]
    ids = sorted(job.pk for job in jobs)
    for start in range(0, len(ids), IN_ONE_STEP):
        Job.objects.filter(pk__in=ids[start : start + IN_ONE_STEP]).hold()
    Job.objects.bulk_update(jobs, ["queue_place"], batch_size=200)
