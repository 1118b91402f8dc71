"""Episodes and seasons of a catalogue: host after host, into a partial file, checked, then renamed."""

import logging
import re
from pathlib import Path

from django.conf import settings

from anibridge.lib import media, ytdlp
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.text import shorten
from catalogue.availability import in_preferred_order
from catalogue.errors import NotFound
from catalogue.fetching import SiteClient, client_for
from catalogue.models import AvailabilityRecord, Site
from catalogue.sites.base import HostLink
from downloads import files, transitions
from downloads.engines.base import Fetched, Outcome, Run
from downloads.errors import AllHostsFailed, DiskFull, SlotTaken
from downloads.models import Job

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 2.0
"""A finished «video» below this is something that a host shows in its stead."""
SMALLEST_BYTES = 1 << 17
"""Of a download. What is below this says nothing about how far the job is: error pages are smaller, episodes larger."""


def fetch(run: Run) -> Outcome:
    """Fetch the episode, or each of the season that is not in place yet; what a season lacks is in `missing`."""
    job = run.job
    client = client_for(Site.objects.get(pk=job.source_site))
    run.require_room(max((job.total_bytes or 0) - job.downloaded_bytes, 0))
    outcome = Outcome()
    wanted = episodes(job, client)
    run.parts = len(wanted)
    run.plan(wanted)
    for part, episode in enumerate(wanted):
        run.part = part
        try:
            fetched = run.finished(episode) or _fetch_episode(run, client, episode)
        except (AllHostsFailed, NotFound) as error:
            if job.episode is not None:
                raise
            outcome.missing.append(f"E{episode:02}: {error}")
            continue
        outcome.files.append(fetched)
        run.fetched_bytes += fetched.size_bytes
        run.progress(0, None)
    return outcome


def episodes(job: Job, client: SiteClient) -> list[int]:
    """The episodes to fetch: the one, or all of the season in the job's language."""
    if job.episode is not None:
        return [job.episode]
    rows = client.season(job.slug, job.season)
    found = [row.episode for row in rows if job.language in row.languages]
    if not found:
        raise NotFound(f"season {job.season} has no episode in {job.language}")
    return found


def _fetch_episode(run: Run, client: SiteClient, episode: int) -> Fetched:
    """Try the episode's hosts in order until one gives a video; raises AllHostsFailed naming each reason.

    Hosts that we fetch enough from already are left for the end, and waited for when nothing else is left.
    """
    failures, busy = [], []
    for link in _links(run.job, client, episode):
        try:
            run.from_host(link.host)
        except SlotTaken:
            busy.append(link.host)
            continue
        try:
            return _from_host(run, client, link, episode)
        except (Cancelled, DiskFull):
            raise
        except AniBridgeError as error:
            logger.info("job %s: %s: %s", run.job.pk, link.host, error)
            failures.append(f"{link.host}: {shorten(str(error))}")
            transitions.note(run.job.pk, run.token, failures[-1])
    if busy:
        # Remembered in the row: the job is not claimed before this host has room for it.
        transitions.beat(run.job.pk, run.token, host=busy[0])
        raise SlotTaken(f"as many downloads as may run from {busy[0]} already")
    raise AllHostsFailed("no host gave the file. " + "; ".join(failures))


def _links(job: Job, client: SiteClient, episode: int) -> list[HostLink]:
    """The links in the job's language, the preferred host first; raises AllHostsFailed when there is none."""
    page = client.episode(job.slug, job.season, episode)
    links = [link for link in page.links if link.language == job.language]
    if not links:
        offered = sorted({link.language for link in page.links})
        raise AllHostsFailed(
            f"the episode is not offered in {job.language}"
            + (f", only in {', '.join(offered)}" if offered else ": nothing was uploaded yet")
        )
    return in_preferred_order(links, prefer=job.provider)


def _from_host(run: Run, client: SiteClient, link: HostLink, episode: int) -> Fetched:
    partial = _download(run, client.host_url(link), link.host, episode)
    try:
        facts = run.verified(
            partial,
            min_seconds=SHORTEST_SECONDS,
            expected_seconds=_probed_seconds(run.job, episode, link.host),
        )
    except media.NotMedia:
        partial.unlink(missing_ok=True)
        raise
    suffix = partial.suffix.lower() or ".mp4"
    return run.place(partial, episode=episode, suffix=suffix, duration=facts.duration)


def _download(run: Run, page: str, host: str, episode: int) -> Path:
    """Fetch from one host's page into the job's partial folder."""
    folder = files.partial_folder(run.job.pk)
    folder.mkdir(parents=True, exist_ok=True)
    # One name per host: bytes of two hosts must never be joined by a resume.
    name = f"E{episode:05}-{re.sub(r'[^a-z0-9]+', '', host.casefold()) or 'host'}"
    return ytdlp.download(
        page,
        folder=folder,
        name=name,
        throttle=run.throttle,
        on_progress=lambda progress: run.progress(progress.downloaded, _credible(progress.total)),
        ffmpeg=ytdlp.find_ffmpeg(),
        retries=settings.DOWNLOAD_RETRIES,
        stall=min(settings.DOWNLOAD_STALL_SECONDS, 20.0),
    )


def _credible(total: int | None) -> int | None:
    """None for less than any video has: it may be a page that calls itself one, and what it counted for could not be
    taken back, since progress never goes back. A video so short counts when it has been looked at."""
    return total if total and total >= SMALLEST_BYTES else None


def _probed_seconds(job: Job, episode: int, host: str) -> float | None:
    """The length a probe of this very host has measured; an estimate or another host's cut proves nothing."""
    return (
        AvailabilityRecord.objects.filter(
            site_id=job.source_site,
            slug=job.slug,
            season=job.season,
            episode=episode,
            language=job.language,
            host=host,
            estimated=False,
        )
        .values_list("duration_seconds", flat=True)
        .first()
    )
