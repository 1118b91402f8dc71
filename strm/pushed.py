"""Pushed links as streams: a file, a playlist or manifest, or a page in which yt-dlp finds one of these.

A link is known by the sha1 of its address, which is what its `.strm` file holds. The address may hold somebody's key: it
lies here encrypted, and stays for as long as somebody may play the file, whatever becomes of the link and of its job.
"""

import zlib
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from anibridge.lib import crypto, http, ytdlp
from anibridge.lib.errors import Misconfigured
from anibridge.lib.outbound import host_of
from catalogue.errors import NoStream
from catalogue.releases import Identity
from downloads.links import resolving
from strm import kinds, sources
from strm.errors import HostRefused
from strm.models import LinkAddress, StreamKind
from strm.sources import Found
from strm.upstream import allowed

SECONDS: Final = 12.0
"""How long the link may take to answer."""
PAGE_SECONDS: Final = 25.0
"""How long yt-dlp may look at its page."""
START_BYTES: Final = 600
_PURPOSE: Final = "pushed link"
_GONE: Final = frozenset({404, 410, 451})


def remember(slug: str, url: str, title: str) -> None:
    """From now on the link plays, and has a name. The same again only renames it."""
    LinkAddress.objects.update_or_create(
        slug=slug, defaults={"address": crypto.encrypt(url, purpose=_PURPOSE), "title": title[:255]}
    )


def find(identity: Identity, provider: str, gone: Collection[str]) -> Found:
    """The stream behind a link: a `sources.Source`. A link has one host, so there is no other to turn to."""
    url = _address(identity.slug)
    if host_of(url).casefold() in gone:
        raise NoStream(f"{host_of(url)} does not deliver, and the link names no other host")
    return at(url)


def at(url: str) -> Found:
    """The stream behind an address. Raises AniBridgeError."""
    kind = _kind(url)
    if kind is not None:
        return Found(url, host_of(url), kind)
    return sources.of_stream(ytdlp.extract(url, timeout=PAGE_SECONDS), host_of(url))


def _address(slug: str) -> str:
    row = LinkAddress.objects.filter(pk=slug).first()
    if row is not None:
        with suppress(Misconfigured):
            return crypto.decrypt(row.address, purpose=_PURPOSE)
    # A link that was pushed again, or one whose file somebody wrote by other means.
    url = resolving.url_of(slug)
    if url is None:
        raise NoStream("nobody knows this link any more; push it again")
    return url


def _kind(url: str) -> StreamKind | None:
    """What the link itself leads to; None for a page. Raises HostRefused for one that leads nowhere."""
    with (
        http.session(allowed=allowed()) as session,
        http.stream(
            url,
            session=session,
            headers={"Accept-Encoding": "identity"},
            timeout=SECONDS,
            total=SECONDS,
        ) as answer,
    ):
        if answer.status in _GONE:
            raise HostRefused(
                f"{host_of(url)} answered with HTTP status {answer.status}", status=answer.status
            )
        if not 200 <= answer.status < 300:
            return None  # some hosts only talk to what looks like a browser
        start = b""
        while len(start) < START_BYTES and (block := answer.read_some(START_BYTES)):
            start += block
        said = kinds.declared(answer.headers.get("content-type", ""))
    found = kinds.sniffed(_opened(start))
    if kinds.is_hls(found) or kinds.is_dash(found):
        return StreamKind.HLS if kinds.is_hls(found) else StreamKind.DASH
    if kinds.is_page(start) or said in ("text/html", "application/xhtml+xml"):
        return StreamKind.FILE if found.startswith(("video/", "audio/")) else None
    media = ("video/", "audio/", "application/octet-stream", "application/ogg", "application/mp4")
    return StreamKind.FILE if (found or said).startswith(media) else None


def _opened(start: bytes) -> bytes:
    """The first bytes of what may be a compressed playlist."""
    if not start.startswith(b"\x1f\x8b"):
        return start
    try:
        return zlib.decompressobj(47).decompress(start, START_BYTES)
    except zlib.error:
        return start
