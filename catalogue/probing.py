"""Looking at sites for a search: several titles side by side, until the search's time is up.

The threads of a probe only talk to the network; what they find is recorded by the thread that waits for them.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime

from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError

from anibridge.lib import http, turns
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.text import shorten
from catalogue import availability, health, packs
from catalogue.availability import Finding
from catalogue.errors import NotFound, SiteError
from catalogue.fetching import SiteClient
from catalogue.releases import MAX_NUMBER
from catalogue.sites.base import EpisodeFacts

logger = logging.getLogger(__name__)

WORKERS = 16
MAX_EPISODES = 5000
"""Rows of a season page that are read."""
RECHECKS = 8
"""Episodes whose «not there» has run out, looked at again by one search."""
Report = Callable[[Iterable[Finding]], None]


@dataclass(frozen=True, slots=True)
class Task:
    """Look at one episode, or at a season (episode empty), of one title.

    `known` is what fresh probes say about the season's episodes. With `or_films` a title without the season is
    looked up among the films and specials instead.
    """

    client: SiteClient
    slug: str
    season: int
    episode: int | None
    languages: tuple[str, ...]
    known: tuple[Finding, ...] = ()
    or_films: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        """What it looks at: two tasks with the same key ask the same of the same site."""
        client = self.client
        return client.site_id, client.base_urls, self.slug, self.season, self.episode, self.or_films

    def run(self, report: Report) -> None:
        """Reports what it finds as it goes along. Raises SiteError; no database in here."""
        if self.episode is not None:
            report(
                availability.probe_episode(
                    self.client, self.slug, self.season, self.episode, self.languages
                )
            )
            return
        listing = self._listing(self.season, report)
        if listing is None and self.or_films and self.season:
            listing = self._listing(0, report)
        if listing:
            _look_into(self, listing, report)

    def _listing(self, season: int, report: Report) -> list[EpisodeFacts] | None:
        """The rows of the season page; None, and reported, where there is no such season."""
        try:
            rows = self.client.season(self.slug, season)[:MAX_EPISODES]
        except NotFound as error:
            absent = Finding(self.slug, season, None, "", False, reason=shorten(str(error)))
            report(replace(absent, language=language) for language in self.languages)
            return None
        if not rows:
            absent = Finding(self.slug, season, None, "", False, reason="announced, no episode yet")
            report(replace(absent, language=language) for language in self.languages)
        return [row for row in rows if 0 <= row.episode < MAX_NUMBER]


def _look_into(task: Task, rows: Sequence[EpisodeFacts], report: Report) -> None:
    """The season page says which episodes there are in which language; one probe per language says how good.

    Where the first episode has no stream, the newest is asked before the language counts as unknown.
    """
    season = rows[0].season
    samples = {finding.language: finding for finding in task.known if finding.available}
    broken = {finding.key for finding in task.known if not finding.available}
    for language in samples:
        report(availability.estimate(rows, samples[language], task.slug))
    for newest in (False, True):
        wanted: dict[int, list[str]] = {}
        for language in task.languages:
            offered = [
                row.episode
                for row in rows
                if language in row.languages
                and (task.slug, season, row.episode, language) not in broken
            ]
            if offered and language not in samples:
                wanted.setdefault(offered[-1 if newest else 0], []).append(language)
        for episode, languages in wanted.items():
            found = availability.probe_episode(task.client, task.slug, season, episode, languages)
            report(found)
            broken |= {finding.key for finding in found if not finding.available}
            for sample in (finding for finding in found if finding.available):
                samples[sample.language] = sample
                report(availability.estimate(rows, sample, task.slug))
    report(_whole_season(task, rows, samples))


def _whole_season(
    task: Task, rows: Sequence[EpisodeFacts], samples: dict[str, Finding]
) -> list[Finding]:
    """The season's own records: they remember that its page was read, until the next search asks again."""
    reason = "no episode with a stream in this language"
    absent = Finding(task.slug, rows[0].season, None, "", False, reason=reason)
    found = []
    for language in task.languages:
        sample = samples.get(language)
        if sample is None:
            found.append(replace(absent, language=language))
            continue
        whole = replace(sample, episode=None, size_bytes=None, duration_seconds=None)
        found.append(replace(whole, estimated=True, listed=packs.listed(rows, language)))
    return found


@dataclass(slots=True)
class _Run:
    """A task under way. `found` grows while it runs; appending is safe in any thread."""

    task: Task
    began: datetime
    ours: bool = True
    found: list[Finding] = field(default_factory=list)
    ended: float = 0.0
    """When it came to its end (monotonic); 0 before."""
    future: "Future[None]" = field(default_factory=Future)


_under_way: dict[tuple[object, ...], _Run] = {}
_lock = threading.Lock()


@dataclass(slots=True)
class Probed:
    """How a probe went, by site id: what went wrong, in words, and how many seconds the site took.

    `broker_answers` is False when work could not be left to a worker; whoever asks again waits again. `unanswered`
    are the sites that had not come to an end when the time was up.
    """

    troubles: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)
    broker_answers: bool = True


def probe(tasks: Sequence[Task], deadline: float) -> Probed:
    """Run the tasks side by side until `deadline` (monotonic), record what they found, hand the rest to a worker.

    What another thread of this process is looking at already is waited for and not asked twice.
    """
    probed = Probed()
    disputed = _round(tasks, deadline, probed)
    if disputed:
        _round(disputed, deadline, probed)
    return probed


def probe_here(task: Task) -> int:
    """Run one task in this thread without a deadline; returns how many findings it brought. Raises SiteError.

    What was found before an error is kept.
    """
    began = timezone.now()
    found: list[Finding] = []
    site_id = task.client.site_id
    try:
        task.run(found.extend)
    except SiteError as error:
        health.told(site_id, [error], since=began)
        raise
    finally:
        disputed = availability.record(site_id, found, checked_at=began)
    health.told(site_id, [None], since=began)
    return len(found) + sum(map(probe_here, _rechecks(task.client, disputed)))


def _round(tasks: Sequence[Task], deadline: float, probed: Probed) -> list[Task]:
    """One round of `probe`; returns the looks that it showed to be needed besides."""
    over = threading.Event()
    began = timezone.now()
    started = time.monotonic()
    pool = ThreadPoolExecutor(min(WORKERS, len(tasks)), thread_name_prefix="probe")
    runs = [_started(task, pool, over, began) for task in tasks]
    with turns.aside():
        wait([run.future for run in runs], timeout=max(deadline - time.monotonic(), 0.0))
    over.set()
    for run in runs:
        _forget(run)  # whoever asks from now on has more time than this one
    pool.shutdown(wait=False, cancel_futures=True)
    outcomes: dict[str, list[SiteError | None]] = defaultdict(list)
    again: list[Task] = []
    late: list[Task] = []
    took: defaultdict[str, float] = defaultdict(float)
    for run in runs:
        client = run.task.client
        # What a site said to somebody else's request is that one's to tell.
        told = outcomes[client.site_id] if run.ours else []
        if not _outcome(run, told, probed.troubles):
            probed.unanswered.add(client.site_id)
            late += [run.task] if run.ours else []
        took[client.site_id] = max(took[client.site_id], (run.ended or time.monotonic()) - started)
        disputed = availability.record(client.site_id, tuple(run.found), checked_at=run.began)
        again += _rechecks(client, disputed)
    for site_id, told in outcomes.items():
        health.told(site_id, told, since=began)
    for site_id, seconds in took.items():
        probed.seconds[site_id] = probed.seconds.get(site_id, 0.0) + seconds
    probed.broker_answers = _later(late) and probed.broker_answers
    return again


def _outcome(run: _Run, told: list[SiteError | None], troubles: dict[str, str]) -> bool:
    """Sort a run's end into what it says about the site; False for one that has not come to its end."""
    site_id = run.task.client.site_id
    error = (
        run.future.exception() if run.future.done() and not run.future.cancelled() else Cancelled()
    )
    if error is None:
        told.append(None)
    elif isinstance(error, Cancelled):
        troubles.setdefault(
            site_id, "has not answered yet; a worker goes on and the next search has it"
        )
        return False
    elif isinstance(error, SiteError):
        told.append(error)
        troubles[site_id] = str(error)
    elif isinstance(error, AniBridgeError):
        troubles[site_id] = str(error)
    else:
        # A bug in one adapter must not take the other sites' answers away.
        logger.error("%s: a probe of %s broke", site_id, run.task.slug, exc_info=error)
        troubles[site_id] = "an error in AniBridge: see the log"
    return True


def _started(task: Task, pool: ThreadPoolExecutor, over: threading.Event, began: datetime) -> _Run:
    """The run of a task: a new one, or the one under way for the same thing."""
    with _lock:
        other = _under_way.get(task.key)
        if other is not None:
            return replace(other, ours=False)
        run = _Run(task, began)
        run.future = pool.submit(_guarded, run, over)
        _under_way[task.key] = run
    run.future.add_done_callback(lambda _: _forget(run))
    return run


def _forget(run: _Run) -> None:
    with _lock:
        if _under_way.get(run.task.key) is run:
            del _under_way[run.task.key]


def _guarded(run: _Run, over: threading.Event) -> None:
    def check() -> None:
        if over.is_set():
            raise Cancelled("the search's time is up")

    try:
        with http.cancellation(check):
            run.task.run(run.found.extend)
    finally:
        run.ended = time.monotonic()


def _rechecks(client: SiteClient, disputed: Iterable[Finding]) -> list[Task]:
    """A look at each episode that the site lists and whose «not there» has run out, the newest first."""
    wanted: dict[tuple[str, int, int], list[str]] = {}
    for finding in disputed:
        if finding.episode is not None:
            wanted.setdefault((finding.slug, finding.season, finding.episode), []).append(
                finding.language
            )
    newest = sorted(wanted.items(), reverse=True)[:RECHECKS]
    return [Task(client, *what, tuple(languages)) for what, languages in newest]


def _later(tasks: Iterable[Task]) -> bool:
    """Ask a worker to finish what there was no time for; False when there is no broker to ask it through.

    A lost message costs the next search a look.
    """
    for task in tasks:
        try:
            current_app.send_task(
                "catalogue.probe",
                args=(task.client.site_id, task.slug, task.season, task.episode),
                retry=False,
                expires=600,
            )
        except (OperationalError, OSError) as error:
            # The next message would wait as long for the same broker.
            logger.warning("no broker (%s): the next search probes %s again", error, task.slug)
            return False
    return True
