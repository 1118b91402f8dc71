"""Search: titles from memory, availability from the cache, what is missing probed in parallel until the budget is spent.

What the budget cuts off is handed to a worker and is there at the next search.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from catalogue import availability, probing
from catalogue.availability import Finding
from catalogue.errors import UnknownSite
from catalogue.fetching import client_for
from catalogue.index import current
from catalogue.matching import Hit, parse
from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.releases import MAX_NUMBER, Identity, Release
from catalogue.sites import SITES, get_adapter

TITLES_PER_SITE = 3
HITS_PER_SITE = 10
LISTED_FOR = timedelta(seconds=60)
"""How long a season page is believed to list all episodes: clients ask for a season under several titles in a row."""
MAX_QUERY = 400
MAX_FEED = 1000
_NUMBERED = re.compile(
    r"""(?ix) ^(?P<title>.+?) [\s._-]+ (?:
        s(?P<season>\d{1,4}) (?: [\s._-]*e(?P<episode>\d{1,5}) )?
        | (?P<x_season>\d{1,2}) x (?P<x_episode>\d{1,4})
        | (?:season|staffel) [\s._-]* (?P<w_season>\d{1,4}) [\s,._-]+
          (?:episode|folge|ep) [\s._-]* (?P<w_episode>\d{1,5})
    ) \b .*$"""
)
_WORD = re.compile(r"[^\W_]+")
_SEASON_WORDS = frozenset({"season", "staffel", "saison", "temporada"})


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
class _Target:
    """A title that is meant: how it was asked for, and the season where the query or the client said one."""

    site: Site
    slug: str
    name: str
    asked: str
    season: int | None

    @property
    def key(self) -> tuple[str, str]:
        return self.site.pk, self.slug


def split_query(query: str) -> tuple[str, int | None, int | None]:
    """A free-text query as title, season and episode: «Sintel S01E02» → («Sintel», 1, 2)."""
    asked = query[:MAX_QUERY].strip()
    match = _NUMBERED.match(asked)
    if not match:
        return asked, None, None
    season = match["season"] or match["x_season"] or match["w_season"]
    episode = match["episode"] or match["x_episode"] or match["w_episode"]
    return match["title"], int(season), int(episode) if episode else None


def split_season(query: str) -> tuple[str, int] | None:
    """«Title Season 2», «Title 2nd Season» or «Title, 2. Staffel» as title and season; None without such an end.

    Whether it is one is for the index to say: there are titles that are called so.
    """
    runs = list(_WORD.finditer(query))
    ends = [run[0].casefold() for run in runs[-2:]]
    title = query[: runs[-2].start()].rstrip(" .,:;([_-") if len(runs) > 2 else ""
    if not title or _SEASON_WORDS.isdisjoint(ends):
        return None
    first, last = ends
    if first.isdecimal() and last in _SEASON_WORDS:
        return title, int(first[:6])
    # Read where it cannot be the beginning of a title, by the rules that titles are compared by.
    words = parse(f"title {first} {last}")
    if words.tokens - words.numbers != {"title"}:
        return None
    return title, int(next(iter(words.numbers), "1"))


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
    same episode on two sites stays twice. A site that fails leaves the others' answers whole, and its own
    remembered ones.
    """
    deadline = time.monotonic() + (settings.SEARCH_BUDGET_SECONDS if budget is None else budget)
    answered = Answered()
    if any(number is not None and not 0 <= number < MAX_NUMBER for number in (season, episode)):
        return answered
    targets = _targets(query[:MAX_QUERY].strip(), season, _sites(sites))
    if not targets:
        return answered
    known = _known(targets, episode)
    tasks: list[probing.Task] = []
    now = timezone.now()
    for target in targets:
        task = _missing(target, episode, known[target.key], now)
        if task is None:
            continue
        if target.site.is_backing_off(now):
            answered.troubles[target.site.pk] = (
                f"is left alone until {target.site.back_off_until:%H:%M} UTC: {target.site.last_error}"
            )
            continue
        tasks.append(task)
    if tasks:
        answered.troubles |= probing.probe(tasks, deadline)
        known = _known(targets, episode)
    answered.entries = _entries(targets, episode, known)
    return answered


def feed(
    *, offset: int = 0, limit: int = 100, sites: Sequence[str] | None = None
) -> list[ResultEntry]:
    """What became available most recently, newest first: the query-less search. At most MAX_FEED at once."""
    asked = set(SITES) if sites is None else set(SITES) & set(sites)
    start = max(offset, 0)
    rows = AvailabilityRecord.objects.feed().filter(site_id__in=asked)
    page = list(rows[start : start + min(max(limit, 0), MAX_FEED)])
    named = Title.objects.filter(
        site_id__in={row.site_id for row in page}, slug__in={row.slug for row in page}
    ).values_list("site_id", "slug", "name")
    names = {(site_id, slug): name for site_id, slug, name in named}
    return [
        _entry(row, 0, names.get((row.site_id, row.slug)) or row.slug.replace("-", " ").title())
        for row in page
    ]


def probe_now(site_id: str, slug: str, season: int, episode: int | None) -> int:
    """Finish what a search had no time for; returns how many findings were recorded.

    Raises SiteError, or UnknownSite for one that is not there or switched off.
    """
    site = next(iter(_sites([site_id])), None)
    if site is None:
        raise UnknownSite(f"no site «{site_id[:40]}» is enabled")
    target = _Target(site, slug, "", "", season)
    known = availability.cached([(site, slug)], season=season, episode=episode)
    task = _missing(target, episode, known[target.key], timezone.now())
    return probing.probe_here(task) if task else 0


def _sites(asked: Sequence[str] | None) -> list[Site]:
    """The enabled sites that there is an adapter for, preferred first."""
    names = set(SITES) if asked is None else set(SITES) & set(asked)
    return list(Site.objects.enabled().filter(pk__in=names))


def _targets(query: str, season: int | None, sites: list[Site]) -> list[_Target]:
    """The titles meant. Where a site has exact hits, its lesser ones are dropped.

    A season in the words counts unless a title is called just so, or the client's own number contradicts it.
    """
    if not sites:
        return []
    literal = _hits(query, sites)
    split = split_season(query)
    titled, named = split if split and season in (None, split[1]) else ("", None)
    plain = _hits(titled, sites) if titled else {}
    targets: list[_Target] = []
    for site in sites:
        hits, asked, number = literal.get(site.pk, []), query, season
        if plain.get(site.pk) and not any(hit.score.exact for hit in hits):
            hits, asked, number = plain[site.pk], titled, named
        exact = [hit for hit in hits if hit.score.exact]
        targets += [
            _Target(site, hit.slug, hit.name, asked, number)
            for hit in (exact or hits)[:TITLES_PER_SITE]
        ]
    return targets


def _hits(query: str, sites: list[Site]) -> dict[str, list[Hit]]:
    names = {site.pk for site in sites}
    found: dict[str, list[Hit]] = {}
    for hit in current.get().search(query, sites=names, limit=HITS_PER_SITE * len(names)):
        found.setdefault(hit.site, []).append(hit)
    return found


_Known = dict[tuple[str, str], list[AvailabilityRecord]]


def _known(targets: list[_Target], episode: int | None) -> _Known:
    """What the cache has of the targets: of the season asked for, or of every season where none was."""
    seasons = {target.season for target in targets}
    return availability.cached(
        [(target.site, target.slug) for target in targets],
        season=seasons.pop() if len(seasons) == 1 else None,
        episode=episode,
    )


def _season(target: _Target, records: list[AvailabilityRecord]) -> int:
    """A query without a season means the first one that is known, or else the first; a film alone is season 0."""
    if target.season is not None:
        return target.season
    there = {row.season for row in records if row.is_available}
    absent = {row.season for row in records if row.episode is None and not row.is_available}
    return min(there - {0}, default=0 if 0 in there or 1 in absent else 1)


def _missing(
    target: _Target, episode: int | None, records: list[AvailabilityRecord], now: datetime
) -> probing.Task | None:
    """What still has to be asked of the site, given what the cache knows."""
    client = client_for(target.site)
    season = _season(target, records)
    of_season = [row for row in records if row.season == season]
    probed = [row for row in of_season if row.episode is not None and not row.estimated]
    if episode is not None:
        # An estimate is good enough to be shown, not to be left at when just this episode is asked for.
        told = {row.language for row in probed if row.episode == episode}
        unknown = tuple(language for language in client.languages if language not in told)
        return probing.Task(client, target.slug, season, episode, unknown) if unknown else None
    whole = {row.language: row for row in of_season if row.episode is None}
    listed = [whole[language] for language in client.languages if language in whole]
    if len(listed) == len(client.languages) and (
        not any(row.is_available for row in listed)
        or all(row.checked_at > now - LISTED_FOR for row in listed)
    ):
        return None
    # A season page tells which episodes there are; that changes, so it is read again after a minute.
    return probing.Task(
        client,
        target.slug,
        season,
        None,
        client.languages,
        known=tuple(map(_finding, probed)),
        or_films=target.season is None,
    )


def _finding(row: AvailabilityRecord) -> Finding:
    return Finding(
        row.slug, row.season, row.episode, row.language, row.is_available, row.host,
        row.height, row.vcodec, row.size_bytes, row.duration_seconds, row.estimated,
    )  # fmt: skip


def _entries(targets: list[_Target], episode: int | None, known: _Known) -> list[ResultEntry]:
    """The available records of the targets as results, in the order of the contract."""
    ranks: dict[str, int] = {}
    entries: list[ResultEntry] = []
    for target in targets:
        rank = ranks.setdefault(target.site.pk, len(ranks))
        records = known[target.key]
        everything = target.season is None and episode is None
        season = _season(target, records)
        entries += [
            _entry(row, rank, target.name, target.asked)
            for row in records
            if row.is_available and row.episode is not None and (everything or row.season == season)
        ]
    # Newest first; stable, so that what came together stays in the order of the season.
    entries.sort(key=lambda one: (one.priority_rank, -one.first_seen_at.timestamp()))
    return entries


def _entry(row: AvailabilityRecord, rank: int, title: str, asked: str = "") -> ResultEntry:
    return ResultEntry(
        site_id=row.site_id, priority_rank=rank, slug=row.slug, title=title, season=row.season,
        episode=row.episode or 0, language=row.language, host=row.host, height=row.height,
        vcodec=row.vcodec, size_bytes=row.size_bytes, duration_seconds=row.duration_seconds,
        estimated=row.estimated, first_seen_at=row.first_seen_at, asked=asked,
    )  # fmt: skip
