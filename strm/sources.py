"""From an identity to the stream of one host: the network only, in any thread.

The catalogue's identities are looked for here. What a site id does not say brings a source of its own: pushed links have
`strm.pushed`; for playlist entries it would be `SOURCES["playlist"] = find`, set by whoever knows these.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from anibridge.lib import ytdlp
from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.text import shorten
from catalogue.availability import in_preferred_order
from catalogue.errors import NoStream, RateLimited, SiteUnavailable, UnknownSite
from catalogue.fetching import SiteClient, client_for
from catalogue.models import Site
from catalogue.releases import Identity
from catalogue.sites.base import HostLink
from strm.models import StreamKind

logger = logging.getLogger(__name__)

HOST_SECONDS: Final = 12.0
"""How long one host may take to show its page."""


@dataclass(frozen=True, slots=True)
class Found:
    """A stream at one host. `headers` have to be sent with every request for it, and may hold a cookie."""

    url: str = field(repr=False)
    provider: str
    kind: StreamKind = StreamKind.FILE
    headers: dict[str, str] = field(default_factory=dict, repr=False)


Source = Callable[[Identity, str, Collection[str]], Found]
"""Identity, host wished for, hosts to leave out (casefolded) → where its stream is. Raises AniBridgeError."""

SOURCES: dict[str, Source] = {}
"""Site id → who finds the streams of its identities; the catalogue finds all others."""


def find(identity: Identity, provider: str, gone: Collection[str]) -> Found:
    """The stream of an identity at the first host that has one. Raises NoStream and what else the source raises."""
    return SOURCES.get(identity.site, from_catalogue)(identity, provider, gone)


def from_catalogue(identity: Identity, provider: str, gone: Collection[str]) -> Found:
    """Asks the site for its play links, and their hosts one after the other."""
    site = Site.objects.filter(pk=identity.site, enabled=True).first()
    if site is None:
        raise UnknownSite(f"there is no site «{identity.site}», or it is switched off")
    if identity.episode is None:
        raise NoStream("a whole season cannot be played at once")
    client = client_for(site)
    page = client.episode(identity.slug, identity.season, identity.episode)
    links = [link for link in page.links if link.language == identity.language]
    if not links:
        raise NoStream(f"it is not offered in {identity.language}")
    left = [link for link in links if link.host.casefold() not in gone]
    return _first(client, in_preferred_order(left, prefer=provider))


def _first(client: SiteClient, links: list[HostLink]) -> Found:
    failures: list[tuple[str, str]] = []
    outage: SiteUnavailable | None = None
    for link in links:
        try:
            return at(client, link)
        except (Cancelled, RateLimited):
            raise
        except AniBridgeError as error:
            if isinstance(error, SiteUnavailable):
                outage = error
            logger.info("%s: %s", link.host, error)
            failures.append((link.host, shorten(str(error))))
    if outage is not None:
        raise outage
    told = "; ".join(f"{host}: {reason}" for host, reason in failures)
    raise NoStream(f"no host has a stream ({told or 'none is left'})", failures=tuple(failures))


def at(client: SiteClient, link: HostLink) -> Found:
    """The stream behind one play link of a site. Raises AniBridgeError."""
    return of_stream(ytdlp.extract(client.host_url(link), timeout=HOST_SECONDS), link.host)


def of_stream(stream: ytdlp.StreamInfo, provider: str) -> Found:
    """What yt-dlp has found, as a player should get it."""
    # The master playlist rather than the variant that yt-dlp would take: the player chooses, and sound of its own
    # and subtitles are only listed there.
    if stream.is_hls:
        url, kind = stream.manifest_url or stream.url, StreamKind.HLS
    elif stream.protocol == "http_dash_segments":
        url, kind = stream.manifest_url or stream.url, StreamKind.DASH
    else:
        url, kind = stream.url, StreamKind.FILE
    return Found(url, provider, kind, dict(stream.headers))
