"""Jobs of mode «strm»: instead of the video, a file of one line that plays it, under the name that was grabbed.

Host after host is tried as for a download, and what is found has to play: an episode that is dead fails with each
host's reason. `STRM_PROXY_MODE=direct` writes the host's own address, which ends some day; `proxy` writes a link of ours.
What was pushed as a link always gets one of ours, since its address may hold a key.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial as bound
from typing import Final

from django.conf import settings
from django.utils import timezone

from anibridge.lib import sniff
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.outbound import OutboundError, host_of
from anibridge.lib.text import shorten
from anibridge.lib.ytdlp import HostFailed
from catalogue.availability import in_preferred_order
from catalogue.errors import NotFound, RateLimited, SiteUnavailable, UnknownSite
from catalogue.fetching import SiteClient, client_for
from catalogue.models import Site
from catalogue.releases import BARE_SITES, STRM_MARKER, Identity
from downloads import files, transitions
from downloads.engines.base import Fetched, Outcome, Run
from downloads.engines.episode import episodes
from downloads.errors import AllHostsFailed, DiskFull
from downloads.models import Job
from downloads.orders import LINK_SITE
from strm import expiry, headers, links, probing, pushed, resolving, sources
from strm.errors import HostRefused
from strm.sources import Found

logger = logging.getLogger(__name__)

MODE: Final = "strm"
LONGEST: Final = 8_000
"""Characters of an address that players still take."""


class NotWritable(AniBridgeError):
    """The address of a stream does not fit into a .strm file."""


def deliver(run: Run) -> Outcome:
    """Write the job's file, or one for each episode of its season; what a season lacks is in `missing`.

    Raises Misconfigured where links of ours are wanted and nobody said where players reach us; AllHostsFailed,
    NotFound, and SiteError for a site that may answer later.
    """
    job = run.job
    ours = settings.STRM_PROXY_MODE == "proxy" or job.source_site == LINK_SITE
    base = links.base_url() if ours else ""
    client = None if job.source_site in BARE_SITES else _client(job)
    wanted = [job.episode] if client is None else episodes(job, client)
    run.parts = len(wanted)
    outcome = Outcome()
    for part, number in enumerate(wanted):
        run.part = part
        try:
            fetched = run.finished(number) or _deliver(run, client, number, base)
        except (AllHostsFailed, NotFound) as error:
            if job.episode is not None or client is None:
                raise
            outcome.missing.append(f"E{number:02}: {error}")
            continue
        outcome.files.append(fetched)
        run.fetched_bytes += fetched.size_bytes
        run.progress(0, None)
    return outcome


def _client(job: Job) -> SiteClient:
    site = Site.objects.filter(pk=job.source_site).first()
    if site is None:
        raise UnknownSite(f"there is no site «{job.source_site}»")
    return client_for(site)


def _deliver(run: Run, client: SiteClient | None, number: int | None, base: str) -> Fetched:
    """Find a stream that plays, and write it down."""
    job = run.job
    identity = Identity(job.source_site, job.slug, job.season, number, job.language)
    found = _playing(run, client, identity, base)
    if job.source_site == LINK_SITE:
        pushed.remember(job.slug, job.url, _name(job))
    resolving.learnt(identity, found, provider=job.provider)
    if base:
        ends = links.ending(timezone.now())
        line = links.stream_url(identity, provider=job.provider, base_url=base, expires_at=ends)
    else:
        line = found.url
        transitions.note(job.pk, run.token, _about(found))
    run.write(host=found.provider)
    folder = files.partial_folder(job.pk)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{'file' if number is None else f'E{number:05}'}.strm.part"
    partial.write_text(f"{line}\n", encoding="utf-8", newline="\n")
    return run.place(partial, episode=number, suffix=".strm", rename=_name)


def _name(job: Job) -> str:
    """The file goes by the release's name: the marker is the indexer's, and no parser of names knows it. What a link is
    called may end like the video that it leads to."""
    name = job.name.removesuffix(STRM_MARKER) or job.name
    stem, dot, suffix = name.rpartition(".")
    is_video = job.source_site == LINK_SITE and suffix.lower() in sniff.VIDEO_EXTENSIONS
    return stem if dot and stem and is_video else name


def _about(found: Found) -> str:
    """What the owner of a direct link should know about it."""
    ends = expiry.learned(found.url, timezone.now())
    when = f"it ends at {ends:%Y-%m-%d %H:%M} UTC" if ends else "it does not say when it ends"
    told = f"direct link of {found.provider}: {when}"
    if headers.from_resolver(found.headers).keys() & {"Referer", "Cookie", "Origin"}:
        told += "; its host wants headers that players do not send (STRM_PROXY_MODE=proxy does)"
    return told


def _playing(run: Run, client: SiteClient | None, identity: Identity, base: str) -> Found:
    """The first host whose stream plays. Raises AllHostsFailed naming each reason; what the site itself raises."""
    failures: list[str] = []
    outage: AniBridgeError | None = None
    for name, find in _hosts(run.job, client, identity):
        run.check()
        try:
            found = find()
            if not base:
                _require_line(found.url)
            probing.verify(found, headers.from_resolver(found.headers))
        except (Cancelled, DiskFull, RateLimited):
            raise
        except AniBridgeError as error:
            if isinstance(error, SiteUnavailable) or _may_pass(run.job, error):
                outage = error
            logger.info("job %s: %s: %s", run.job.pk, name, error)
            failures.append(f"{name}: {shorten(str(error))}")
            transitions.note(run.job.pk, run.token, failures[-1])
        else:
            return found
    if outage is not None:
        raise outage
    raise AllHostsFailed("no host has a stream. " + "; ".join(failures))


def _may_pass(job: Job, error: AniBridgeError) -> bool:
    """Whether a link, which has one host only, should be tried again later: its server is away, or has too much to do."""
    if job.source_site != LINK_SITE:
        return False
    if isinstance(error, HostRefused):
        return error.status == 429 or error.status >= 500
    return isinstance(error, OutboundError | HostFailed) and error.retryable


def _hosts(
    job: Job, client: SiteClient | None, identity: Identity
) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Names of hosts, and what finds the stream there; in the order of preference. Raises AllHostsFailed for none."""
    if job.source_site == LINK_SITE:
        yield host_of(job.url), bound(pushed.at, job.url)
        return
    if client is None:
        yield job.source_site, bound(sources.find, identity, job.provider, ())
        return
    assert identity.episode is not None
    page = client.episode(identity.slug, identity.season, identity.episode)
    offered = sorted({link.language for link in page.links})
    if job.language not in offered:
        raise AllHostsFailed(
            f"the episode is not offered in {job.language}"
            + (f", only in {', '.join(offered)}" if offered else ": nothing was uploaded yet")
        )
    links_in = [link for link in page.links if link.language == job.language]
    for link in in_preferred_order(links_in, prefer=job.provider):
        yield link.host, bound(sources.at, client, link)


def _require_line(url: str) -> None:
    """A file of one line holds one address, and nothing that a player could take for another."""
    plain = url.isprintable() and " " not in url and url.startswith(("http://", "https://"))
    if not plain or len(url) > LONGEST:
        raise NotWritable("its address does not fit into a .strm file")
