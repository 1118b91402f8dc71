"""Is it there, in which language, and how good? Probing a site and remembering the answer.

`probe_*` only talk to the network and may run in any thread; `record` and `cached` only talk to the database.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from anibridge.lib import http, media, ytdlp
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.ranged import RangedFile
from anibridge.lib.text import shorten
from catalogue.errors import NoStream, NotFound, SiteError
from catalogue.fetching import SiteClient
from catalogue.models import AvailabilityRecord, Site
from catalogue.releases import nominal_height
from catalogue.sites.base import EpisodeFacts, HostLink

logger = logging.getLogger(__name__)

HOST_SECONDS = 8.0
"""How long one host may take to show its page during a probe."""
HEADER_BYTES = 12 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe learnt about an episode in a language."""

    slug: str
    season: int
    episode: int
    language: str
    available: bool
    host: str = ""
    height: int | None = None
    vcodec: str = ""
    size_bytes: int | None = None
    duration_seconds: float | None = None
    estimated: bool = False
    reason: str = ""


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
    if stream.is_hls:
        # A playlist has no header of its own; yt-dlp has read the resolution from the master.
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

    Raises NoStream when none has.
    """
    failures: list[tuple[str, str]] = []
    for link in in_preferred_order(links, prefer=prefer):
        try:
            return probe_host(client, link), tuple(failures)
        except Cancelled:
            raise
        except AniBridgeError as error:
            failures.append((link.host, shorten(str(error))))
    told = "; ".join(f"{host}: {reason}" for host, reason in failures) or "nothing uploaded yet"
    raise NoStream(f"no host has a stream ({told})", failures=tuple(failures))


def probe_episode(
    client: SiteClient, slug: str, season: int, episode: int, languages: Sequence[str]
) -> list[Finding]:
    """What the site has of an episode, one finding per language asked for.

    Raises SiteError when the site itself could not answer: that says nothing about the episode.
    """
    try:
        page = client.episode(slug, season, episode)
    except NotFound as error:
        return [
            Finding(slug, season, episode, language, False, reason=shorten(str(error)))
            for language in languages
        ]
    findings = []
    for language in languages:
        links = [link for link in page.links if link.language == language]
        if not links:
            reason = f"not offered in {language}" if page.links else "nothing uploaded yet"
            findings.append(Finding(slug, season, episode, language, False, reason=reason))
            continue
        try:
            found, _ = probe_links(client, links)
            found = replace(found, slug=slug, season=season, episode=episode)
        except NoStream as error:
            found = Finding(
                slug, season, episode, language, False, reason=shorten(str(error), 1000)
            )
        findings.append(found)
    return findings


def estimate(episodes: Iterable[EpisodeFacts], sample: Finding, slug: str) -> list[Finding]:
    """The season's other episodes in the sample's language, with the sample's quality."""
    return [
        replace(
            sample,
            slug=slug,
            season=row.season,
            episode=row.episode,
            size_bytes=sample.size_bytes,
            estimated=True,
        )
        for row in episodes
        if sample.language in row.languages and row.episode != sample.episode
    ]


def record(
    site_id: str, findings: Iterable[Finding], *, checked_at: datetime | None = None
) -> None:
    """Remember findings; an older answer never replaces a newer one, an estimate never a probe.

    `first_seen_at` is the moment an episode became available and moves only when it was gone before.
    """
    now = checked_at or timezone.now()
    for finding in findings:
        _record(site_id, finding, now)


def _record(site_id: str, finding: Finding, now: datetime) -> None:
    identity = {
        "site_id": site_id,
        "slug": finding.slug,
        "season": finding.season,
        "episode": finding.episode,
        "language": finding.language,
    }
    values = {
        "is_available": finding.available,
        "host": finding.host[:60],
        "height": finding.height,
        "vcodec": finding.vcodec[:20],
        "size_bytes": finding.size_bytes,
        "duration_seconds": finding.duration_seconds,
        "estimated": finding.estimated,
        "reason": finding.reason,
        "checked_at": now,
    }
    rows = AvailabilityRecord.objects.filter(**identity)
    older = rows.filter(checked_at__lt=now)
    if finding.estimated:
        older = older.exclude(is_available=True, estimated=False)
    with transaction.atomic():
        if finding.available and older.filter(is_available=False).update(
            **values, first_seen_at=now
        ):
            return
        if older.update(**values) or rows.exists():
            return
        try:
            with transaction.atomic():
                AvailabilityRecord.objects.create(**identity, **values, first_seen_at=now)
        except IntegrityError:  # another probe was first with the same news
            older.update(**values)


def ttl(site: Site, *, available: bool) -> timedelta:
    """How long an answer about this site is believed."""
    if not available:
        return timedelta(hours=site.unavailable_ttl_hours)
    hours = site.availability_ttl_hours
    return timedelta(hours=settings.AVAILABILITY_TTL_HOURS if hours is None else hours)


def cached(
    site: Site, slug: str, season: int, episode: int | None = None
) -> list[AvailabilityRecord]:
    """Fresh records of an episode, or of all episodes of a season, «not there» included."""
    now = timezone.now()
    rows = AvailabilityRecord.objects.filter(
        Q(is_available=True, checked_at__gt=now - ttl(site, available=True))
        | Q(is_available=False, checked_at__gt=now - ttl(site, available=False)),
        site=site,
        slug=slug,
        season=season,
        episode__isnull=False,
    )
    if episode is not None:
        rows = rows.filter(episode=episode)
    return list(rows.order_by("episode"))


__all__ = [
    "Finding",
    "SiteError",
    "cached",
    "estimate",
    "in_preferred_order",
    "probe_episode",
    "probe_host",
    "probe_links",
    "record",
    "ttl",
]
