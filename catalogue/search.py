"""Search: titles from memory, availability from the cache, what is missing probed in parallel until the budget is spent.

What the budget cuts off is handed to a worker and is there at the next search.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime

from celery import current_app
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError, Cancelled
from catalogue import availability, health
from catalogue.availability import Finding
from catalogue.errors import NotFound, SiteError
from catalogue.fetching import SiteClient, client_for
from catalogue.index import current
from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.releases import Identity, Release
from catalogue.sites import get_adapter

logger = logging.getLogger(__name__)

TITLES_PER_SITE = 3
SAMPLES = 2
"""Episodes of a season that are probed for its quality before a language counts as unknown."""
WORKERS = 8
_NUMBERED = re.compile(
    r"(?ix) ^(?P<title>.+?) [\s._-]+ (?: s(?P<season>\d{1,4})(?:[\s._-]*e(?P<episode>\d{1,5}))?"
    r" | (?P<x_season>\d{1,2})x(?P<x_episode>\d{1,4}) ) \b .*$"
)


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """One available release of one site (the seed's projection); `asked` is the title the client used."""

    site_id: str
    priority_rank: int
    slug: str
    title: str
    season: int
    episode: int
    language: str
    host: str
    height: int | None
    vcodec: str
    size_bytes: int | None
    duration_seconds: float | None
    estimated: bool
    first_seen_at: datetime
    asked: str = ""

    @property
    def release(self) -> Release:
        """Its release: the name carries the title that was asked for, so that the client recognises it."""
        adapter = get_adapter(self.site_id)
        return Release(
            identity=Identity(self.site_id, self.slug, self.season, self.episode, self.language),
            title=self.asked or self.title,
            group=adapter.release_group,
            original_language=adapter.original_language,
            height=self.height,
            vcodec=self.vcodec or None,
        )


@dataclass(slots=True)
class Answered:
    """What a search found, and which sites could not be asked in time or at all (site id → words)."""

    entries: list[ResultEntry] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Task:
    """Probe one episode, or a season (episode empty), of one title; `known` needs no sample any more."""

    client: SiteClient
    slug: str
    season: int
    episode: int | None
    languages: tuple[str, ...]
    known: tuple[Finding, ...] = ()

    def run(self) -> list[Finding]:
        if self.episode is not None:
            return availability.probe_episode(
                self.client, self.slug, self.season, self.episode, self.languages
            )
        return _probe_season(self)


def split_query(query: str) -> tuple[str, int | None, int | None]:
    """A free-text query as title, season and episode: «Sintel S01E02» → («Sintel», 1, 2)."""
    match = _NUMBERED.match(query.strip())
    if not match:
        return query.strip(), None, None
    season = match["season"] or match["x_season"]
    episode = match["episode"] or match["x_episode"]
    return match["title"], int(season), int(episode) if episode else None


def search(
    query: str,
    *,
    season: int | None = None,
    episode: int | None = None,
    sites: Sequence[str] | None = None,
    budget: float | None = None,
) -> Answered:
    """Every available release for a title: of one episode, of a season, or of what is known of the title.

    Answers within `budget` seconds (SEARCH_BUDGET_SECONDS). Sorted by site priority, then newest first; the
    same episode on two sites stays twice. A site that fails leaves the others' answers whole.
    """
    deadline = time.monotonic() + (settings.SEARCH_BUDGET_SECONDS if budget is None else budget)
    rows = [
        site
        for site in Site.objects.answering(timezone.now())
        if sites is None or site.site_id in sites
    ]
    answered = Answered()
    targets = _targets(query, rows)
    if not targets:
        return answered
    if season is None:
        season = _only_known_season(targets)
    tasks = [task for site, slug, _ in targets if (task := _missing(site, slug, season, episode))]
    if tasks:
        _probe(tasks, deadline, answered.troubles)
    answered.entries = _entries(targets, season, episode, asked=query)
    return answered


def feed(
    *, offset: int = 0, limit: int = 100, sites: Sequence[str] | None = None
) -> list[ResultEntry]:
    """What became available most recently, newest first: the query-less search."""
    rows = AvailabilityRecord.objects.feed()
    if sites is not None:
        rows = rows.filter(site_id__in=sites)
    return _with_titles(list(rows[offset : offset + limit]))


def probe_now(site_id: str, slug: str, season: int, episode: int | None) -> int:
    """Finish what a search had no time for; returns how many findings were recorded. Raises SiteError."""
    site = Site.objects.get(pk=site_id)
    task = _missing(site, slug, season, episode)
    if task is None:
        return 0
    try:
        findings = task.run()
    except SiteError as error:
        health.failed(site_id, error)
        raise
    health.answered(site_id)
    availability.record(site_id, findings)
    return len(findings)


def _targets(query: str, rows: list[Site]) -> list[tuple[Site, str, str]]:
    """The titles meant: (site, slug, name). Where a site has exact hits, its lesser ones are dropped."""
    by_id = {site.site_id: site for site in rows}
    hits = current.get().search(query, sites=set(by_id), limit=10 * max(len(by_id), 1))
    taken: list[tuple[Site, str, str]] = []
    for site in rows:
        of_site = [hit for hit in hits if hit.site == site.site_id]
        exact = [hit for hit in of_site if hit.score.exact]
        taken += [(site, hit.slug, hit.name) for hit in (exact or of_site)[:TITLES_PER_SITE]]
    return taken


def _only_known_season(targets: list[tuple[Site, str, str]]) -> int:
    """A query without a season means the first one, or the only one that is known to exist."""
    seasons = (
        AvailabilityRecord.objects.filter(_pairs((t[0].site_id, t[1]) for t in targets))
        .filter(is_available=True)
        .order_by("season")
        .values_list("season", flat=True)
        .distinct()
    )
    known = set(seasons)
    return min(known - {0}, default=min(known, default=1))


def _missing(site: Site, slug: str, season: int, episode: int | None) -> _Task | None:
    """What still has to be asked of the site, given what the cache knows."""
    client = client_for(site)
    records = availability.cached(site, slug, season, episode)
    if episode is not None:
        unknown = tuple(
            language
            for language in client.languages
            if all(row.language != language for row in records)
        )
        return _Task(client, slug, season, episode, unknown) if unknown else None
    # A season page tells which episodes there are; that changes, so it is read for each search.
    samples = {row.language: _finding(row) for row in records if row.is_available}
    return _Task(client, slug, season, None, client.languages, tuple(samples.values()))


def _finding(row: AvailabilityRecord) -> Finding:
    return Finding(
        row.slug, row.season, row.episode or 0, row.language, row.is_available, row.host,
        row.height, row.vcodec, row.size_bytes, row.duration_seconds, row.estimated,
    )  # fmt: skip


def _probe_season(task: _Task) -> list[Finding]:
    """The season page says which episodes are there in which language; one probe per language says how good."""
    try:
        rows = task.client.season(task.slug, task.season)
    except NotFound:
        return []
    samples = {finding.language: finding for finding in task.known}
    found: list[Finding] = []
    for attempt in range(SAMPLES):
        wanted: dict[int, list[str]] = {}
        for language in task.languages:
            offered = [row.episode for row in rows if language in row.languages]
            if language not in samples and len(offered) > attempt:
                wanted.setdefault(offered[attempt], []).append(language)
        for episode, languages in wanted.items():
            probed = availability.probe_episode(
                task.client, task.slug, task.season, episode, languages
            )
            found += probed
            samples |= {finding.language: finding for finding in probed if finding.available}
    refused = {(finding.episode, finding.language) for finding in found if not finding.available}
    for sample in samples.values():
        found += [
            finding
            for finding in availability.estimate(rows, sample, task.slug)
            if (finding.episode, finding.language) not in refused
        ]
    return found


def _probe(tasks: list[_Task], deadline: float, troubles: dict[str, str]) -> None:
    """Run the tasks side by side until the deadline; record what came, hand the rest to a worker."""
    over = threading.Event()

    def guarded(task: _Task) -> list[Finding]:
        def check() -> None:
            if over.is_set():
                raise Cancelled("the search's time is up")

        with http.cancellation(check):
            return task.run()

    pool = ThreadPoolExecutor(max_workers=min(WORKERS, len(tasks)), thread_name_prefix="probe")
    futures: dict[Future[list[Finding]], _Task] = {pool.submit(guarded, t): t for t in tasks}
    done, late = wait(futures, timeout=max(deadline - time.monotonic(), 0.0))
    over.set()
    pool.shutdown(wait=False, cancel_futures=True)
    for future in done:
        site_id = futures[future].client.site_id
        try:
            availability.record(site_id, future.result())
        except SiteError as error:
            health.failed(site_id, error)
            troubles[site_id] = str(error)
        except AniBridgeError as error:
            troubles[site_id] = str(error)
        else:
            health.answered(site_id)
    for future in late:
        task = futures[future]
        troubles.setdefault(
            task.client.site_id, "has not answered yet; a worker goes on and the next search has it"
        )
        _later(task)


def _later(task: _Task) -> None:
    try:
        current_app.send_task(
            "catalogue.probe",
            args=(task.client.site_id, task.slug, task.season, task.episode),
            retry=False,
            expires=600,
        )
    except (OperationalError, OSError) as error:
        logger.warning("no broker (%s): the next search probes %s again", error, task.slug)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Q:
    condition = Q(pk__in=[])
    for site_id, slug in pairs:
        condition |= Q(site_id=site_id, slug=slug)
    return condition


def _entries(
    targets: list[tuple[Site, str, str]], season: int, episode: int | None, *, asked: str
) -> list[ResultEntry]:
    """The fresh, available records of the targets as results, in the order of the contract."""
    entries: list[ResultEntry] = []
    for rank, (site, slug, name) in enumerate(targets):
        records = [
            row for row in availability.cached(site, slug, season, episode) if row.is_available
        ]
        records.sort(key=lambda row: (-row.first_seen_at.timestamp(), row.episode, row.language))
        entries += [_entry(row, rank, name, asked) for row in records]
    return entries


def _entry(row: AvailabilityRecord, rank: int, title: str, asked: str = "") -> ResultEntry:
    return ResultEntry(
        site_id=row.site_id, priority_rank=rank, slug=row.slug, title=title, season=row.season,
        episode=row.episode or 0, language=row.language, host=row.host, height=row.height,
        vcodec=row.vcodec, size_bytes=row.size_bytes, duration_seconds=row.duration_seconds,
        estimated=row.estimated, first_seen_at=row.first_seen_at, asked=asked,
    )  # fmt: skip


def _with_titles(rows: list[AvailabilityRecord]) -> list[ResultEntry]:
    names = {
        (title.site_id, title.slug): title.name
        for title in Title.objects.filter(_pairs({(row.site_id, row.slug) for row in rows})).only(
            "site_id", "slug", "name"
        )
    }
    read: Callable[[AvailabilityRecord], str] = lambda row: names.get(  # noqa: E731
        (row.site_id, row.slug), row.slug.replace("-", " ").title()
    )
    return [_entry(row, 0, read(row)) for row in rows]
