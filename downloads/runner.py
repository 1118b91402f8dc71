"""Carrying one claimed job to its end: host after host, into a partial file, checked, then renamed.

The worker that runs it owns it only while its fencing token holds. Each second or so it writes progress
through `transitions.beat`; when that says no, JobLost ends whatever is going on, sockets included.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from anibridge.lib import http, media, ytdlp
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.text import shorten
from catalogue.availability import in_preferred_order
from catalogue.errors import NotFound, RateLimited, SiteError
from catalogue.fetching import SiteClient, client_for
from catalogue.models import AvailabilityRecord, Site
from catalogue.sites.base import HostLink
from downloads import files, transitions
from downloads.errors import AllHostsFailed, DiskFull, IllegalTransition, JobLost
from downloads.models import Job, JobFile, JobStatus

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
DEFER_SECONDS = (10.0, 60.0, 300.0)
"""Pauses when the site does not answer or the disk is full; after the last one the job fails."""
LONGEST_ETA = 8_640_000
"""Seconds; qBittorrent's «unknown». A trickle would overflow the column."""
SHORTEST_SECONDS = 2.0
"""A finished «video» below this is something that a host shows in its stead."""


class Reporter:
    """Progress of one claim: at most one write a second, which is also heartbeat and cancel signal."""

    def __init__(self, job: Job, token: int, parts: int) -> None:
        self.job, self.token, self.parts = job, token, parts
        self.part = 0
        self._written = 0.0
        self._best = job.progress
        self._latest: dict[str, object] = {}

    def check(self) -> None:
        """Called by the sockets at least once a second; raises JobLost when the claim is gone."""
        if time.monotonic() - self._written >= BEAT_SECONDS:
            self.write()

    def __call__(self, progress: ytdlp.Progress) -> None:
        """Take a report of the download under way; the part's fraction counts toward the whole job."""
        share = min(progress.downloaded / progress.total, 1.0) if progress.total else 0.0
        # Another host starts from zero, but a client must never see progress go back.
        self._best = max(self._best, min((self.part + share) / self.parts, 0.999))
        self._latest = {
            "downloaded_bytes": progress.downloaded,
            "speed": int(progress.speed or 0),
            "eta": None if progress.eta is None else min(int(progress.eta), LONGEST_ETA),
            "active_at": timezone.now(),
        }
        if progress.total and self.parts == 1:
            self._latest["total_bytes"] = progress.total
        self.check()

    def write(self, **fields: object) -> None:
        """Write now. Raises JobLost when the job was paused, cancelled, deleted or taken over."""
        self._written = time.monotonic()
        values = {**self._latest, "progress": self._best, **fields}
        if not transitions.beat(self.job.pk, self.token, **values):
            raise JobLost(f"job {self.job.pk} is no longer ours")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file in place, as the job remembers it."""

    episode: int | None
    path: Path
    size_bytes: int
    duration_seconds: float | None


def execute(job_id: int, token: int) -> None:
    """Carry a claimed job to COMPLETED or FAILED with words, or stop quietly when it is no longer ours.

    A bug is left to raise: the sweeper brings the job back and gives up after five such deaths.
    """
    job = Job.objects.get(pk=job_id)
    try:
        _run(job, token)
    except Cancelled:
        _let_go(job_id, token)
    except (SiteError, DiskFull) as error:
        _put_off(job, token, error)
    except AniBridgeError as error:
        logger.info("job %s failed: %s", job_id, error)
        _fail(job_id, token, str(error))
    except OSError as error:
        logger.warning("job %s failed: %s", job_id, error)
        _fail(job_id, token, f"the file could not be written: {error.strerror or error}")


def _run(job: Job, token: int) -> None:
    if job.magnet_metadata.get("mode") == "strm":
        raise AniBridgeError("this installation does not write .strm files yet")
    site = Site.objects.get(pk=job.source_site)
    client = client_for(site)
    files.require_space(job.total_bytes or 0)
    reporter = Reporter(job, token, parts=1)
    with http.cancellation(reporter.check):
        reporter.write()
        episodes = _episodes(job, client)
        reporter.parts = len(episodes)
        fetched, missing = [], []
        for part, episode in enumerate(episodes):
            reporter.part = part
            try:
                fetched.append(_fetch_episode(job, client, episode, reporter))
            except AllHostsFailed as error:
                if job.episode is not None:
                    raise
                missing.append(f"E{episode:02}: {error}")
        reporter.write()
    _finish(job, token, fetched, missing)


def _episodes(job: Job, client: SiteClient) -> list[int]:
    """The episodes to fetch: the one, or all of the season in the job's language."""
    if job.episode is not None:
        return [job.episode]
    rows = client.season(job.slug, job.season)
    episodes = [row.episode for row in rows if job.language in row.languages]
    if not episodes:
        raise NotFound(f"season {job.season} has no episode in {job.language}")
    return episodes


def _fetch_episode(job: Job, client: SiteClient, episode: int, reporter: Reporter) -> Fetched:
    """Try the episode's hosts in order until one gives a video; raises AllHostsFailed naming each reason."""
    page = client.episode(job.slug, job.season, episode)
    links = [link for link in page.links if link.language == job.language]
    if not links:
        offered = sorted({link.language for link in page.links})
        raise AllHostsFailed(
            f"the episode is not offered in {job.language}"
            + (f", only in {', '.join(offered)}" if offered else ": nothing was uploaded yet")
        )
    failures = []
    for link in in_preferred_order(links, prefer=job.provider):
        reporter.write(host=link.host[:60], speed=0, eta=None)
        try:
            partial = _download(job, client, link, episode, reporter)
            return _place(job, partial, episode)
        except Cancelled:
            raise
        except AniBridgeError as error:
            logger.info("job %s: %s: %s", job.pk, link.host, error)
            failures.append(f"{link.host}: {shorten(str(error))}")
    raise AllHostsFailed("no host gave the file. " + "; ".join(failures))


def _download(
    job: Job, client: SiteClient, link: HostLink, episode: int, reporter: Reporter
) -> Path:
    """Fetch from one host into the job's partial folder and check that it is the video it should be."""
    folder = files.partial_folder(job.pk)
    folder.mkdir(parents=True, exist_ok=True)
    # One name per host: bytes of two hosts must never be joined by a resume.
    name = f"E{episode:05}-{re.sub(r'[^a-z0-9]+', '', link.host.casefold()) or 'host'}"
    partial = ytdlp.download(
        client.host_url(link),
        folder=folder,
        name=name,
        rate_limit=settings.DOWNLOAD_RATE_LIMIT or None,
        on_progress=reporter,
        ffmpeg=ytdlp.find_ffmpeg(),
        retries=settings.DOWNLOAD_RETRIES,
    )
    try:
        media.verify_video(
            partial,
            min_seconds=SHORTEST_SECONDS,
            expected_seconds=_probed_seconds(job, episode, link.host),
        )
    except media.NotMedia:
        partial.unlink(missing_ok=True)
        raise
    return partial


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


def _place(job: Job, partial: Path, episode: int) -> Fetched:
    """Rename to the grabbed release name: the *arrs parse the path, so it must say what was grabbed."""
    duration = media.inspect(partial).duration
    suffix = partial.suffix.lower() or ".mp4"
    folder = Path(job.save_path)
    name = files.safe_part(job.name)
    if job.episode is None:
        folder = folder / name
        name = re.sub(r"(?<=\.)S(\d+)(?=\.)", rf"S\1E{episode:02}", name, count=1)
    final = _free_name(job, folder, name, suffix)
    size = partial.stat().st_size
    return Fetched(episode, files.finish(partial, final), size, duration)


def _free_name(job: Job, folder: Path, name: str, suffix: str) -> Path:
    """The release name, or with `.2`, `.3` … where another job that still exists has a file of that name."""
    number = 1
    while True:
        final = folder / f"{name}{'' if number == 1 else f'.{number}'}{suffix}"
        taken = (
            JobFile.objects.filter(path=str(final.resolve()), job__removed_at=None)
            .exclude(job=job)
            .exists()
        )
        if not taken:
            return final
        number += 1


def _finish(job: Job, token: int, fetched: list[Fetched], missing: list[str]) -> None:
    """Write down the files, then move the status: a client that reads «completed» finds everything in place."""
    for item in fetched:
        JobFile.objects.update_or_create(
            job=job,
            season=job.season,
            episode=item.episode,
            defaults={
                "path": str(item.path),
                "size_bytes": item.size_bytes,
                "duration_seconds": item.duration_seconds,
            },
        )
    if missing:
        _fail(job.pk, token, "not the whole season: " + "; ".join(missing))
        return
    size = sum(item.size_bytes for item in fetched)
    first = fetched[0].path
    with _own_claim(job.pk, token, created=fetched):
        transitions.move(
            job.pk,
            JobStatus.COMPLETED,
            token=token,
            reason="file in place",
            progress=1.0,
            downloaded_bytes=size,
            total_bytes=size,
            result_path=str(first if job.episode is not None else first.parent),
            completed_at=timezone.now(),
            error_message="",
        )
    files.drop_partial(job.pk)


@contextmanager
def _own_claim(job_id: int, token: int, *, created: list[Fetched]) -> Iterator[None]:
    """Cancelled or deleted in the very last moment: then the file that was just placed goes again."""
    try:
        yield
    except IllegalTransition:
        job = Job.objects.get(pk=job_id)
        if job.removed_at is not None or job.status == JobStatus.CANCELLED:
            for item in created:
                files.delete(item.path)
        raise JobLost(f"job {job_id} is no longer ours") from None


def _put_off(job: Job, token: int, error: AniBridgeError) -> None:
    """Try again later: a site that restarts, or a network that is not up yet, is no reason to give up at once."""
    if not error.retryable or job.deferrals >= len(DEFER_SECONDS):
        _fail(job.pk, token, str(error))
        return
    seconds = DEFER_SECONDS[job.deferrals]
    if isinstance(error, RateLimited) and error.retry_after:
        seconds = min(max(seconds, error.retry_after), 3600.0)
    try:
        reason = f"{error}; next try in {seconds:.0f} s"
        transitions.defer(job.pk, token, seconds=seconds, reason=reason)
    except IllegalTransition:
        _let_go(job.pk, token)


def _fail(job_id: int, token: int, message: str) -> None:
    try:
        transitions.move(
            job_id, JobStatus.FAILED, token=token, reason=message, error_message=message
        )
    except IllegalTransition:
        _let_go(job_id, token)


def _let_go(job_id: int, token: int) -> None:
    """The job went on without us. Unfinished files stay for a resume, unless the job is over."""
    job = Job.objects.get(pk=job_id)
    logger.info(
        "job %s: stopped, it is %s now", job_id, "deleted" if job.removed_at else job.status
    )
    if job.removed_at is not None or job.status == JobStatus.CANCELLED:
        files.drop_partial(job_id)
