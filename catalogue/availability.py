"""Is it there, in which language, and how good? Probing a site and remembering the answer.

`probe_*` only talk to the network and may run in any thread; `record` and `cached` only talk to the database.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from anibridge.lib import http, media, ytdlp
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.prepared import instances, sql_of
from anibridge.lib.ranged import RangedFile
from anibridge.lib.text import shorten
from catalogue import packs
from catalogue.errors import NoStream, NotFound, RateLimited, SiteUnavailable
from catalogue.fetching import SiteClient
from catalogue.models import AvailabilityRecord, Site
from catalogue.releases import nominal_height
from catalogue.sites.base import EpisodeFacts, HostLink

HOST_SECONDS = 8.0
"""How long one host may take to show its page during a probe."""
HEADER_BYTES = 12 * 2**20


Key = tuple[str, int, int | None, str]
"""Slug, season, episode, language: what a finding is about, on its site."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe learnt about an episode in a language, or of the whole season (episode None).

    `listed` is a season's: how many episodes its page lists, where it is whole (`packs.listed`).
    """

    slug: str
    season: int
    episode: int | None
    language: str
    available: bool
    host: str = ""
    height: int | None = None
    vcodec: str = ""
    size_bytes: int | None = None
    duration_seconds: float | None = None
    estimated: bool = False
    reason: str = ""
    listed: int | None = None

    @property
    def key(self) -> Key:
        return self.slug, self.season, self.episode, self.language


def in_preferred_order(links: Iterable[HostLink], *, prefer: str = "") -> list[HostLink]:
    """Links in PROVIDER_ORDER, the asked-for host first, unknown hosts last in the page's order.

    Names are compared by prefix and without case («Vidoza HD» is Vidoza).
    """
    order = [name.casefold() for name in ([prefer] if prefer else []) + settings.PROVIDER_ORDER]

    def rank(link: HostLink) -> int:
        host = link.host.casefold()
        return next((n for n, name in enumerate(order) if host.startswith(name)), len(order))

    return sorted(links, key=rank)


def probe_host(client: SiteClient, link: HostLink) -> Finding:
    """Follow one play link to its stream and read the container's header. Raises AniBridgeError.

    The slug and numbers of the finding are left for the caller to fill.
    """
    page_url = client.host_url(link)
    stream = ytdlp.extract(page_url, timeout=HOST_SECONDS)
    if stream.is_in_parts:
        # A playlist has no header of its own; yt-dlp has read the resolution from the master or manifest.
        height = _height(stream.width, stream.height)
        return Finding(
            "", 0, 0, link.language, True, link.host, height, stream.vcodec or "",
            None, stream.duration,
        )  # fmt: skip
    with (
        http.session() as session,
        RangedFile(
            stream.url,
            session=session,
            headers=stream.headers,
            max_bytes=HEADER_BYTES,
            timeout=HOST_SECONDS,
        ) as file,
    ):
        facts = media.inspect(file)
        size = file.size
    if not facts.video_streams:
        raise media.NotMedia("the file has no video")
    height = _height(facts.width, facts.height)
    return Finding(
        "", 0, 0, link.language, True, link.host, height, facts.vcodec or "", size, facts.duration
    )  # fmt: skip


def _height(width: int | None, height: int | None) -> int | None:
    """The height that the format is known by: a wide film of 1920×800 is 1080p."""
    return nominal_height(width, height) if width and height else height


def probe_links(
    client: SiteClient, links: Sequence[HostLink], *, prefer: str = ""
) -> tuple[Finding, tuple[tuple[str, str], ...]]:
    """The first host in preference order that really has a stream, and why the ones before it had none.

    Raises NoStream when none has; RateLimited, or SiteUnavailable where no other host helped, when it was the
    site that did not lead to a host.
    """
    failures: list[tuple[str, str]] = []
    outage: SiteUnavailable | None = None
    for link in in_preferred_order(links, prefer=prefer):
        try:
            return probe_host(client, link), tuple(failures)
        except (Cancelled, RateLimited):
            raise
        except AniBridgeError as error:
            if isinstance(error, SiteUnavailable):
                outage = error
            failures.append((link.host, shorten(str(error))))
    if outage is not None:
        raise outage
    told = "; ".join(f"{host}: {reason}" for host, reason in failures) or "nothing uploaded yet"
    raise NoStream(f"no host has a stream ({told})", failures=tuple(failures))


def probe_episode(
    client: SiteClient, slug: str, season: int, episode: int, languages: Sequence[str]
) -> list[Finding]:
    """What the site has of an episode, one finding per language asked for; the languages side by side.

    Raises SiteError when the site itself could not answer: that says nothing about the episode.
    """
    if not languages:
        return []
    blank = Finding(slug, season, episode, "", False)
    try:
        page = client.episode(slug, season, episode)
    except NotFound as error:
        reason = shorten(str(error))
        return [replace(blank, language=language, reason=reason) for language in languages]

    def look(language: str) -> Finding:
        links = [link for link in page.links if link.language == language]
        if not links:
            reason = f"not offered in {language}" if page.links else "nothing uploaded yet"
            return replace(blank, language=language, reason=reason)
        try:
            found, _ = probe_links(client, links)
        except NoStream as error:
            return replace(blank, language=language, reason=shorten(str(error), 1000))
        return replace(found, slug=slug, season=season, episode=episode)

    if len(languages) == 1:
        return [look(languages[0])]
    with ThreadPoolExecutor(len(languages), thread_name_prefix="probe-language") as pool:
        # Each in a copy of the context, so that a cancellation of this thread reaches them.
        futures = [pool.submit(copy_context().run, look, language) for language in languages]
    return [future.result() for future in futures]


def estimate(episodes: Iterable[EpisodeFacts], sample: Finding, slug: str) -> list[Finding]:
    """The season's other episodes in the sample's language, with the sample's quality."""
    return [
        replace(sample, slug=slug, season=row.season, episode=row.episode, estimated=True)
        for row in episodes
        if sample.language in row.languages and row.episode != sample.episode
    ]


def ttl(site: Site, *, available: bool) -> timedelta:
    """How long an answer about this site is believed."""
    if not available:
        return timedelta(hours=site.unavailable_ttl_hours)
    hours = site.availability_ttl_hours
    return timedelta(hours=settings.AVAILABILITY_TTL_HOURS if hours is None else hours)


def cached(
    wanted: Iterable[tuple[Site, str]], *, season: int | None = None, episode: int | None = None
) -> dict[tuple[str, str], list[AvailabilityRecord]]:
    """Fresh records of titles, «not there» included, by (site id, slug) and in order: one query for all.

    Of one episode, of a season and all its episodes, or of everything known. A record of a whole season has no
    episode and comes first.
    """
    now = timezone.now()
    found: dict[tuple[str, str], list[AvailabilityRecord]] = {}
    oldest: dict[tuple[str, bool], datetime] = {}
    for site, slug in wanted:
        found[site.pk, slug] = []
        for available in (True, False):
            oldest[site.pk, available] = now - ttl(site, available=available)
    if not found:
        return found
    sites = list(dict.fromkeys(site_id for site_id, _ in found))
    slugs = list(dict.fromkeys(slug for _, slug in found))
    numbers = [number for number in (season, episode) if number is not None]
    statement = _of_titles(len(sites), len(slugs), season is not None, episode is not None)
    rows = instances(AvailabilityRecord, statement, [*sites, *slugs, *numbers])
    for row in sorted(rows, key=lambda one: (one.season, _place(one.episode), one.language)):
        held = found.get((row.site_id, row.slug))
        if held is not None and row.checked_at > oldest[row.site_id, row.is_available]:
            held.append(row)
    return found


@lru_cache(maxsize=256)
def _of_titles(sites: int, slugs: int, of_season: bool, of_episode: bool) -> str:
    """SQL for the records of so many sites and slugs, all of them with all; parameters in the order of the names."""
    rows = AvailabilityRecord.objects.filter(
        site__in=[str(n) for n in range(sites)], slug__in=[str(n) for n in range(slugs)]
    )
    if of_season:
        rows = rows.filter(season=0)
    if of_episode:
        rows = rows.filter(episode=0)
    return sql_of(rows)[0]


def record(
    site_id: str, findings: Iterable[Finding], *, checked_at: datetime | None = None
) -> list[Finding]:
    """Remember findings. `checked_at` is when the look at the site began: an older look never replaces a newer one.

    An estimate never replaces what a probe found. It prolongs a «there» that has run out, with the quality that
    was measured; those that a «not there» contradicts which has run out are returned: only a probe can tell.

    `first_seen_at` is the moment an episode became available and moves only when it was gone before.
    """
    now = checked_at or timezone.now()
    news: dict[Key, Finding] = {}
    for finding in findings:
        held = news.get(finding.key)
        if held is None or held.estimated or not finding.estimated:
            news[finding.key] = finding
    site = Site.objects.filter(pk=site_id).first()
    if site is None or not news:
        return []
    places = sorted({finding.key[:2] for finding in news.values()})
    with transaction.atomic():
        _take_turns(site_id, places)
        disputed, new = _renew(site, news, now)
        if new:
            # Always in the same order: two at once wait for each other instead of locking each other out.
            rows = sorted(
                new.values(), key=lambda one: (*one.key[:2], _place(one.episode), one.language)
            )
            AvailabilityRecord.objects.bulk_create(
                [_row(site_id, finding, now) for finding in rows], ignore_conflicts=True
            )
            # Where another probe was first with the same news, its row is there now and may be older than ours.
            disputed += _renew(site, new, now)[0]
        packs.settle(site_id, places, now)
    return disputed


def _take_turns(site_id: str, places: Iterable[tuple[str, int]]) -> None:
    """One at a time for each season, until the end of the transaction.

    Rows alone cannot be locked in an order: who has just added an episode and who is about to would wait for each
    other's. SQLite has a single writer anyway.
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for slug, season in places:
            told = hashlib.sha256(repr((site_id, slug, season)).encode("utf-8", "replace")).digest()
            number = int.from_bytes(told[:8], signed=True)
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def _renew(
    site: Site, news: dict[Key, Finding], now: datetime
) -> tuple[list[Finding], dict[Key, Finding]]:
    """Update the rows that exist, a whole season with a handful of statements.

    Returns the disputed estimates, and what has no row yet.
    """
    rows = (
        AvailabilityRecord.objects.select_for_update(no_key=True)
        .filter(
            site=site,
            slug__in={finding.slug for finding in news.values()},
            season__in={finding.season for finding in news.values()},
        )
        .order_by("pk")  # two at once lock in the same order
        .values_list(
            "pk", "slug", "season", "episode", "language", "is_available", "estimated", "checked_at"
        )
    )
    left, disputed = dict(news), list[Finding]()
    same: dict[tuple[Finding, bool], list[int]] = {}
    prolonged: list[int] = []
    for pk, slug, season, episode, language, available, estimated, checked_at in rows:
        finding = left.pop((slug, season, episode, language), None)
        if finding is None or checked_at >= now:
            continue
        # A season's own record is always as good as the season page that was read.
        if finding.estimated and not estimated and episode is not None:
            if checked_at > now - ttl(site, available=available):
                continue
            (prolonged.append(pk) if available else disputed.append(finding))
            continue
        facts = replace(finding, slug="", season=0, episode=0, language="")
        same.setdefault((facts, finding.available and not available), []).append(pk)
    for (facts, appeared), pks in same.items():
        moment = {"first_seen_at": now} if appeared else {}
        AvailabilityRecord.objects.filter(pk__in=pks).update(**_values(facts, now), **moment)
    if prolonged:
        AvailabilityRecord.objects.filter(pk__in=prolonged).update(checked_at=now, estimated=True)
    return disputed, left


def _values(finding: Finding, now: datetime) -> dict[str, object]:
    return {
        "is_available": finding.available,
        "host": shorten(finding.host, 60),
        "height": _storable(finding.height, 2**31),
        "vcodec": shorten(finding.vcodec, 20),
        "size_bytes": _storable(finding.size_bytes, 2**63),
        "duration_seconds": finding.duration_seconds,
        "estimated": finding.estimated,
        "reason": finding.reason,
        "listed": finding.listed,
        "checked_at": now,
    }


def _storable(number: int | None, end: int) -> int | None:
    """What a host claims may be any number; one that no column holds is as good as unknown."""
    return number if number is not None and 0 <= number < end else None


def _place(episode: int | None) -> int:
    return -1 if episode is None else episode


def _row(site_id: str, finding: Finding, now: datetime) -> AvailabilityRecord:
    return AvailabilityRecord(
        site_id=site_id,
        slug=finding.slug,
        season=finding.season,
        episode=finding.episode,
        language=finding.language,
        first_seen_at=now,
        **_values(finding, now),
    )


__all__ = [
    "Finding",
    "cached",
    "estimate",
    "in_preferred_order",
    "probe_episode",
    "probe_host",
    "probe_links",
    "record",
    "ttl",
]
