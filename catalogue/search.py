"""Search: titles from memory, availability from the cache, what is missing probed in parallel until the budget is spent.

What the budget cuts off is handed to a worker and is there at the next search. What a title's page says is learnt by a
worker too, never here.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

from django.conf import settings
from django.utils import timezone

from anibridge.lib.prepared import instances, sql_of
from catalogue import availability, learning, packs, places, probing, resolving
from catalogue.availability import Finding
from catalogue.errors import UnknownSite
from catalogue.feed import feed
from catalogue.fetching import client_for
from catalogue.films import find_films
from catalogue.models import AvailabilityRecord, Site
from catalogue.queries import MAX_QUERY, split_query, split_season, split_year
from catalogue.releases import MAX_NUMBER
from catalogue.resolving import TITLES_PER_SITE, Asked, Target
from catalogue.results import CACHE, PROBE, Answered, Considered, ResultEntry, SiteReport, entry_of
from catalogue.shows import Ids, Shows
from catalogue.sites import SITES, get_adapter

__all__ = [
    "TITLES_PER_SITE",
    "Answered",
    "Considered",
    "Ids",
    "ResultEntry",
    "SiteReport",
    "feed",
    "films",
    "probe_now",
    "search",
    "split_query",
    "split_season",
    "split_year",
]

LISTED_FOR = timedelta(seconds=60)
"""How long a season page is believed to list all episodes: clients ask for a season under several titles in a row."""
NO_IDS = Ids()


def search(
    query: str = "",
    *,
    season: int | None = None,
    episode: int | None = None,
    absolute: int | None = None,
    ids: Ids = NO_IDS,
    sites: Sequence[str] | None = None,
    budget: float | None = None,
) -> Answered:
    """Every available release for a title: of one episode, of a season, or of what is known of the title.

    The title is named by `query`, by `ids`, or by both; «Title 05» and `absolute` count through all seasons, and
    specials (season 0) are found by the client's number or by their words. A season of which nothing is missing comes
    as a pack too. Answers within `budget` seconds (SEARCH_BUDGET_SECONDS). Sorted by site priority, then newest first;
    the same episode on two sites stays twice. A site that fails leaves the others' answers whole, and its own
    remembered ones; so does the metadata service.
    """
    numbers = (season, episode, absolute)
    if any(n is not None and not 0 <= n < MAX_NUMBER for n in numbers):
        return Answered()
    asked = Asked(query[:MAX_QUERY].strip(), season, episode, absolute, ids)
    return _within(asked, sites, budget)


def films(
    query: str = "",
    *,
    year: int | None = None,
    ids: Ids = NO_IDS,
    sites: Sequence[str] | None = None,
    budget: float | None = None,
) -> Answered:
    """Every available release of a film, on every site that has it: titles that are films, and films of series.

    The film is named by `query` («Title» or «Title 2016», also «Series: Title»), by an IMDb id that was learnt, or by
    both. One that is known to be of another year than `year`, or than the query's, is another film. Otherwise like
    `search`; the releases are named as films are, not as specials.
    """
    query = query[:MAX_QUERY].strip()
    if query and year is not None and split_year(query) is None:
        query = f"{query} {year}"
    return _within(Asked(query, 0, 0, None, Ids(imdb=ids.imdb), film=True), sites, budget)


def _within(asked: Asked, sites: Sequence[str] | None, budget: float | None) -> Answered:
    """The answer, as far as the time allows."""
    began = time.monotonic()
    deadline = began + (settings.SEARCH_BUDGET_SECONDS if budget is None else budget)
    answered = Answered()
    if enabled := _sites(sites):
        shows = Shows(deadline)
        if asked.film:
            targets, unread = find_films(
                asked, enabled, shows, deadline=deadline, answered=answered
            )
        else:
            targets, unread = _targets(asked, enabled, shows, deadline, answered)
        if _answer(targets, shows, deadline, answered):
            # A site in trouble is not asked for more.
            wanted = [*(target.key for target in targets if target.learn), *unread]
            learning.nudge(key for key in dict.fromkeys(wanted) if key[0] not in answered.troubles)
    answered.milliseconds = (time.monotonic() - began) * 1000
    return answered


def probe_now(site_id: str, slug: str, season: int, episode: int | None) -> int:
    """Finish what a search had no time for; returns how many findings were recorded.

    Raises SiteError, or UnknownSite for one that is not there or switched off.
    """
    site = next(iter(_sites([site_id])), None)
    if site is None:
        raise UnknownSite(f"no site «{site_id[:40]}» is enabled")
    target = Target(site, slug, "", "", season, episode)
    known = availability.cached([target.key_with_site], season=season, episode=episode)
    task = _missing(target, known[target.key], timezone.now())
    return probing.probe_here(task) if task else 0


def _sites(asked: Sequence[str] | None) -> list[Site]:
    """The enabled sites that there is an adapter for, preferred first."""
    names = sorted(SITES) if asked is None else sorted(set(SITES) & set(asked))
    return instances(Site, _enabled(len(names)), names) if names else []


@lru_cache(maxsize=64)
def _enabled(count: int) -> str:
    """SQL for the enabled ones of so many sites."""
    return sql_of(Site.objects.enabled().filter(pk__in=[str(n) for n in range(count)]))[0]


def _targets(
    asked: Asked, sites: Sequence[Site], shows: Shows, deadline: float, answered: Answered
) -> tuple[list[Target], list[tuple[str, str]]]:
    """The titles that are meant, with what is wanted of them in the sites' own numbers; and those besides whose pages
    a worker should read."""
    if asked.ids:
        answered.show = shows.by_ids(asked.ids)
        asked = replace(asked, show=answered.show)
        if not shows.answers:
            answered.troubles["metadata"] = shows.trouble
    if not asked.query and not asked.ids:
        return [], []
    free = asked.season is None and asked.episode is None and asked.absolute is None
    if free and (counted := places.absolute_in(asked.query, sites)):
        asked = replace(asked, query=counted[0], absolute=counted[1])
    if asked.absolute is not None:
        return _by_absolute(asked, sites, shows, deadline, answered)
    if free and (named := places.special_in(asked.query, sites)):
        # When it is none of the specials, the words are looked up as they are.
        special, trial = replace(asked, query=named[0]), Answered()
        found = resolving.targets(special, sites, deadline=deadline, answered=trial)
        found = places.by_special(
            special, found, shows, deadline=deadline, answered=trial, words=named[1]
        )
        answered.add(trial, counts=bool(found))
        if found:
            return found, []
    found = resolving.targets(asked, sites, deadline=deadline, answered=answered)
    of_specials = [one for one in found if one.season == 0 and one.episode != 0]
    if of_specials:
        mapped = places.by_special(asked, of_specials, shows, deadline=deadline, answered=answered)
        by_key = {one.key: one for one in mapped}
        found = [
            by_key.get(one.key, one) for one in found if one not in of_specials or one.key in by_key
        ]
    return found, []


def _by_absolute(
    asked: Asked, sites: Sequence[Site], shows: Shows, deadline: float, answered: Answered
) -> tuple[list[Target], list[tuple[str, str]]]:
    """The titles with the episode that the number stands for, as the metadata service or the site counts; and those
    that are to be learnt, since without their seasons nobody can count."""
    if asked.show is None and asked.query:
        answered.show = shows.by_title([asked.query], asked.year)
        if not shows.answers:
            answered.troubles["metadata"] = shows.trouble
        # Only for its numbers: the title is looked up under the name that the client used.
        counting = replace(asked, show=answered.show)
    else:
        counting = asked
    found = resolving.targets(asked, sites, deadline=deadline, answered=answered)

    def read(seasons: Sequence[Target]) -> bool:
        # Half of what is left: the episode itself is still to be looked at.
        until = time.monotonic() + max(deadline - time.monotonic(), 0.0) / 2
        return _probed(seasons, _known(seasons), until, answered) is not None

    placed = places.by_absolute(counting, found, answered, read)
    return placed, [target.key for target in found if target.learn]


def _answer(targets: Sequence[Target], shows: Shows, deadline: float, answered: Answered) -> bool:
    """Put what is there of the targets into `answered`, once the sites were asked for what is not known.

    False when there was no broker to leave work to.
    """
    if not targets:
        return True
    known = _known(targets)
    before = {row.pk: row.checked_at for rows in known.values() for row in rows}
    probed = _probed(targets, known, deadline, answered)
    if probed is not None:
        known = _known(targets)
    entries = _entries(targets, known, before) + _packs(targets, known, before, shows, answered)
    # Stable, so that what came together stays in the order of the season.
    entries.sort(key=lambda one: one.standing)
    answered.entries = entries
    return probed is None or probed.broker_answers


def _probed(
    targets: Sequence[Target], known: "_Known", deadline: float, answered: Answered
) -> probing.Probed | None:
    """Ask the sites for what is not known of the targets; None when there was nothing to ask, or nobody."""
    now = timezone.now()
    tasks: list[probing.Task] = []
    for target in targets:
        answered.site(target.site.pk)
        task = _missing(target, known[target.key], now)
        if task is None:
            continue
        if target.site.is_backing_off(now):
            answered.troubles[target.site.pk] = (
                f"is left alone until {target.site.back_off_until:%H:%M} UTC: {target.site.last_error}"
            )
            continue
        tasks.append(task)
    if not tasks:
        return None
    probed = probing.probe(tasks, deadline)
    answered.troubles |= probed.troubles
    for site_id, seconds in probed.seconds.items():
        answered.site(site_id).milliseconds += seconds * 1000
    return probed


_Known = dict[tuple[str, str], list[AvailabilityRecord]]


def _known(targets: Sequence[Target]) -> _Known:
    """What the cache has of the targets: of what all of them are asked for, or else of everything."""
    seasons = {target.season for target in targets}
    episodes = {target.episode for target in targets}
    return availability.cached(
        [target.key_with_site for target in targets],
        season=seasons.pop() if len(seasons) == 1 else None,
        episode=episodes.pop() if len(episodes) == 1 else None,
    )


def _season(target: Target, records: Sequence[AvailabilityRecord]) -> int:
    """A query without a season means the only one that the title can have, else the first that is known, or else the
    first; a film alone is season 0."""
    if target.season is not None:
        return target.season
    own = get_adapter(target.site.pk).own_season(target.slug)
    if own is not None:
        return own
    there = {row.season for row in records if row.is_available}
    absent = {row.season for row in records if row.episode is None and not row.is_available}
    return min(there - {0}, default=0 if 0 in there or 1 in absent else 1)


def _missing(
    target: Target, records: Sequence[AvailabilityRecord], now: datetime
) -> probing.Task | None:
    """What still has to be asked of the site, given what the cache knows."""
    client = client_for(target.site)
    season = _season(target, records)
    of_season = [row for row in records if row.season == season]
    probed = [row for row in of_season if row.episode is not None and not row.estimated]
    if target.episode is not None:
        # An estimate is good enough to be shown, not to be left at when just this episode is asked for.
        told = {row.language for row in probed if row.episode == target.episode}
        unknown = tuple(language for language in client.languages if language not in told)
        if not unknown:
            return None
        return probing.Task(client, target.slug, season, target.episode, unknown)
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


def _entries(
    targets: Sequence[Target], known: _Known, before: Mapping[int, datetime]
) -> list[ResultEntry]:
    """The available episodes and films of the targets as results.

    `before` is when each record was checked last before this search asked anybody.
    """
    ranks = _ranks(targets)
    entries: list[ResultEntry] = []
    for target in targets:
        records = known[target.key]
        season = _season(target, records)
        for row in records:
            if not row.is_available or row.episode is None or not _is_wanted(target, row, season):
                continue
            entry = _entry(row, ranks[target.site.pk], target)
            alias = (target.aliases or {}).get(row.episode, (row.season, row.episode))
            if alias != (row.season, row.episode):
                entry = replace(entry, alias_season=alias[0], alias_episode=alias[1])
            entries.append(
                replace(
                    entry, absolute=target.absolute, origin=_origin(row, before),
                    film=target.film, imdb_id=target.imdb_id,
                )
            )  # fmt: skip
    return entries


def _packs(
    targets: Sequence[Target],
    known: _Known,
    before: Mapping[int, datetime],
    shows: Shows,
    answered: Answered,
) -> list[ResultEntry]:
    """The seasons that are asked for as a whole, in each language in which nothing is missing."""
    now = timezone.now()
    ranks = _ranks(targets)
    entries: list[ResultEntry] = []
    for target in targets:
        season = target.season
        numbered = target.episode is not None or target.absolute is not None
        if season is None or numbered or target.aliases is not None:
            continue
        whole = packs.of_season(known[target.key], season)
        if not whole:
            continue
        # Whoever asks by title alone is served by the service as well: only it knows what is still to come.
        show = answered.show or shows.by_title([target.asked, target.name], target.year)
        for pack in whole:
            agreed = packs.agrees(show, season, pack.episodes, now)
            if target.over if agreed is None else agreed:
                rank, row = ranks[target.site.pk], pack.record
                entry = _entry(row, rank, target)
                entries.append(
                    replace(
                        entry, episodes=pack.episodes, origin=_origin(row, before),
                        first_seen_at=row.complete_since or row.first_seen_at,
                    )
                )  # fmt: skip
    return entries


def _ranks(targets: Sequence[Target]) -> dict[str, int]:
    """The places of the sites among those that have something."""
    found = dict.fromkeys(target.site.pk for target in targets)
    return {site_id: rank for rank, site_id in enumerate(found)}


def _origin(row: AvailabilityRecord, before: Mapping[int, datetime]) -> Literal["cache", "probe"]:
    return CACHE if before.get(row.pk) == row.checked_at else PROBE


def _is_wanted(target: Target, row: AvailabilityRecord, season: int) -> bool:
    """Whether an available record is what the target asks for."""
    if target.episode is not None and row.episode != target.episode:
        return False
    if target.aliases is not None and row.episode not in target.aliases:
        return False
    everything = target.season is None and target.episode is None
    return everything or row.season == season


def _entry(row: AvailabilityRecord, rank: int, target: Target) -> ResultEntry:
    return entry_of(
        row,
        rank=rank,
        title=target.name,
        asked=target.asked,
        year=target.year,
        site_url=target.site.base_url,
    )
