"""What has changed about downloads, looked up once a second for all who listen in this process.

A `Watch` asks the database: two queries, however many listen. A `Hub` runs it on a thread while anybody listens, and
hands every listener what changed; nobody is told the same state twice. States are sent and not steps: a listener that
is slow skips some, and one that comes back is told how things stand now for all that changed while it was away.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError, close_old_connections
from django.db.models import Max, Q
from django.utils import timezone

from downloads import shown
from downloads.models import Job, JobEvent, JobStatus

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
SHARE = 0.2
"""Of the time that looking may take: with very many changes it looks less often."""
OVERLAP = timedelta(seconds=30)
"""How far back every look goes: transactions end after their rows' times, and clocks of machines differ."""
MOST = 2000
"""Changes in one look, and jobs that one listener is told of after it was away. More is a `reset`."""
OLDEST = timedelta(hours=24)
"""A listener that was away for longer is told to read the list again."""

threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="events")


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Database work off the event loop, on threads that keep their connections."""

    def call() -> Any:
        close_old_connections()
        return work(*arguments)

    return await asyncio.get_running_loop().run_in_executor(threads, call)


@dataclass(frozen=True, slots=True)
class Change:
    """How a download stands now. `removed`: it was deleted, and only its id and hash are told."""

    job_id: int
    infohash: str
    body: str
    """The download as REST shows it."""
    older: str
    """As the older job API shows it."""
    removed: bool = False
    is_over: bool = False

    @classmethod
    def of(cls, job: Job) -> "Change":
        return cls(
            job.pk,
            job.infohash,
            _json(shown.download(job)),
            _json(shown.older(job)),
            removed=job.removed_at is not None,
            is_over=job.removed_at is not None or job.status in shown.DONE,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Change):
            return NotImplemented
        return (self.job_id, self.body, self.removed) == (other.job_id, other.body, other.removed)

    def __hash__(self) -> int:
        return hash((self.job_id, self.body, self.removed))


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in the history of all downloads: everything before it was told."""

    event_id: int
    at: datetime

    def __str__(self) -> str:
        return f"{self.event_id}-{int(self.at.timestamp() * 1000)}"

    @classmethod
    def read(cls, text: str) -> "Mark | None":
        """The mark of a `Last-Event-ID`; None for one that was not made here."""
        event_id, dash, moment = text.partition("-")
        if not (dash and event_id.isdecimal() and moment.isdecimal()):
            return None
        if len(event_id) > 18 or len(moment) > 14:
            return None
        try:
            return cls(int(event_id), datetime.fromtimestamp(int(moment) / 1000, UTC))
        except (OverflowError, ValueError, OSError):
            return None

    @classmethod
    def now(cls) -> "Mark":
        at = timezone.now()
        latest = JobEvent.objects.aggregate(latest=Max("id"))["latest"]
        return cls(latest or 0, at)


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look found. `reset`: too much to tell."""

    mark: Mark
    changes: tuple[Change, ...] = ()
    reset: bool = False


def since(mark: Mark) -> Looked:
    """How everything stands that changed since a mark, or a reset where that is too much or too long ago."""
    now = Mark.now()
    if mark.at < now.at - OLDEST:
        return Looked(now, reset=True)
    jobs = _changed(mark, ())
    if len(jobs) > MOST:
        return Looked(now, reset=True)
    return Looked(now, tuple(Change.of(job) for job in jobs))


def _changed(mark: Mark, ids: Collection[int], *, most: int = MOST) -> list[Job]:
    """Jobs that run, changed since the mark, or are among `ids`; at most one more than `most`.

    The numbers of the events find changes of status by machines whose clock is wrong, the times find the others.
    """
    rows = JobEvent.objects.filter(id__gt=mark.event_id).order_by("-id")
    moved = set(rows.values_list("job_id", flat=True)[: most + 1])
    wanted = (
        Q(status=JobStatus.DOWNLOADING, removed_at=None)
        | Q(updated_at__gte=mark.at - OVERLAP)
        | Q(pk__in={*moved, *ids})
    )
    return list(Job.objects.filter(wanted).select_related("downloader").order_by("pk")[: most + 1])


class Watch:
    """Finds what changed from look to look. Not for two threads at once."""

    def __init__(self) -> None:
        self._mark: Mark | None = None
        self._known: dict[int, Change] = {}
        self._flooded = False

    @property
    def has_begun(self) -> bool:
        """Whether it knows how things stand."""
        return self._mark is not None

    def look(self, ids: Collection[int] = ()) -> Looked:
        """What changed since the last look; the first one only learns how things stand. `ids` are looked at anyway."""
        mark, last = Mark.now(), self._mark
        jobs = _changed(last or mark, ids)
        self._mark = mark
        if len(jobs) > MOST:
            return self._flood(mark, ids)
        found, known = {job.pk: Change.of(job) for job in jobs}, self._known
        self._known = found
        if self._flooded:  # what happened meanwhile was not told
            self._flooded = False
            return Looked(mark, reset=True)
        if last is None:
            return Looked(mark)
        return Looked(mark, tuple(one for pk, one in found.items() if known.get(pk) != one))

    def _flood(self, mark: Mark, ids: Collection[int]) -> Looked:
        """Everything at once, as when thousands are added: told once at its beginning and once at its end."""
        begun, self._flooded = not self._flooded, True
        few = Job.objects.filter(pk__in=list(ids)).select_related("downloader")
        found = {job.pk: Change.of(job) for job in few}
        changes = tuple(one for job_id, one in found.items() if self._known.get(job_id) != one)
        self._known = found
        return Looked(mark, changes, reset=begun)


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who wants to be told: of one job, or of all. What he has not fetched yet is kept once per job."""

    job_id: int | None = None
    mark: Mark | None = None
    pending: dict[int, Change] = field(default_factory=dict)
    is_reset: bool = False
    is_over: bool = False
    """Nobody looks any more: a bug ended it."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, looked: Looked) -> None:
        """Take what a look found, as far as it is wanted."""
        self.mark = looked.mark
        for change in looked.changes:
            if self.job_id in (None, change.job_id):
                self.pending[change.job_id] = change
        if self.job_id is None and (looked.reset or len(self.pending) > MOST):
            self.pending.clear()
            self.is_reset = True
        if self.pending or self.is_reset:
            self.news.set()

    def take(self) -> tuple[list[Change], bool]:
        """What is new, and whether the list has to be read again."""
        changes, is_reset = list(self.pending.values()), self.is_reset
        self.pending.clear()
        self.is_reset = False
        self.news.clear()
        return changes, is_reset


class Hub:
    """Looks for all listeners of one event loop, and only while there are any."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    async def join(self, listener: Listener) -> None:
        """From now on the listener is told. Returns when it is known how things stand, so nothing falls in between."""
        self.listeners.add(listener)
        if self._task is None:
            self._begun.clear()
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._ended)
        await self._begun.wait()

    def leave(self, listener: Listener) -> None:
        """Nothing of it stays; with the last one the looking ends too."""
        self.listeners.discard(listener)
        if not self.listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            return
        logger.error("live progress ended", exc_info=task.exception())
        self._task = None
        self._begun.set()
        for listener in self.listeners:
            listener.is_over = True
            listener.news.set()

    async def _run(self) -> None:
        watch, loop, late = Watch(), asyncio.get_running_loop(), False
        while True:
            began = loop.time()
            ids = {one.job_id for one in self.listeners if one.job_id is not None}
            try:
                looked = await in_thread(watch.look, ids)
            except DatabaseError as error:
                logger.warning("live progress pauses: %s", error)
                late = late or not watch.has_begun
            else:
                if late:  # nobody knows what happened before the first look that succeeded
                    looked, late = replace(looked, reset=True), False
                for listener in self.listeners:
                    listener.offer(looked)
            self._begun.set()
            spent = loop.time() - began
            await asyncio.sleep(max(EVERY_SECONDS - spent, spent / SHARE - spent, 0.01))


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
