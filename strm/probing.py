"""Whether a stream that was found can be played: the header of a file, or a playlist down to its first segment."""

from collections.abc import Mapping
from typing import Final

from anibridge.lib import http, media
from anibridge.lib.ranged import RangedFile
from strm import hls, manifests
from strm.errors import BadManifest, HostRefused, NotAVideo, Protected
from strm.kinds import is_page
from strm.links import Kind
from strm.manifests import Document
from strm.models import StreamKind
from strm.sources import Found
from strm.upstream import allowed, headers_for

SECONDS: Final = 12.0
"""How long each step may take."""
HEADER_BYTES: Final = 8 * 2**20
"""Of a file, wherever its header lies."""
START_BYTES: Final = 600
DEPTH: Final = 3
"""Playlists that lead to the first segment."""


def verify(found: Found, sent: Mapping[str, str]) -> None:
    """Returns when there is a video behind `found`; `sent` are the headers that go with every request.

    Raises AniBridgeError with the reason: a dead link, a page in its stead, a playlist without a segment, DRM.
    """
    if found.kind is StreamKind.FILE:
        _file(found.url, sent)
        return
    document = _document(found.url, sent)
    for _ in range(DEPTH):
        if document.is_protected:
            raise Protected("the video is protected by DRM")
        if document.kind is StreamKind.DASH:
            return
        url, kind = first(document)
        own = headers_for(url, dict(sent), meant_for=found.url)
        if kind is Kind.MEDIA:
            _segment(url, own)
            return
        document = _document(url, own)
    raise BadManifest("its playlists only lead to playlists")


def _file(url: str, sent: Mapping[str, str]) -> None:
    with (
        http.session(allowed=allowed()) as session,
        RangedFile(
            url, session=session, headers=sent, max_bytes=HEADER_BYTES, timeout=SECONDS
        ) as file,
    ):
        facts = media.inspect(file)
    if not facts.video_streams:
        raise media.NotMedia("the file has no video")


def _document(url: str, sent: Mapping[str, str]) -> Document:
    with http.session(allowed=allowed()) as session:
        got = http.fetch(
            url, session=session, headers=sent, timeout=SECONDS, max_bytes=manifests.MAX_BYTES
        )
    if not got.ok:
        raise _refused(url, got.status)
    return manifests.document(got.url, manifests.decompressed(got.body, "", manifests.MAX_BYTES))


def first(document: Document) -> tuple[str, Kind]:
    """The first variant of a master playlist, the first segment of another."""
    found: list[tuple[str, Kind]] = []

    def note(url: str, kind: Kind, variables: object) -> str:
        found.append((url, kind))
        return "x"

    hls.rewrite(_without_extras(document.text), document.url, note)
    wanted = Kind.PLAYLIST if hls.is_master(document.text) else Kind.MEDIA
    for url, kind in found:
        if kind is wanted:
            return url, kind
    raise BadManifest("its playlist lists nothing to play")


def _without_extras(text: str) -> str:
    """Subtitles, further sound and pictures for seeking may be missing: the film plays without them."""
    extras = ("#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF:", "#EXT-X-IMAGE-STREAM-INF:")
    return "\n".join(line for line in text.split("\n") if not line.startswith(extras))


def _segment(url: str, sent: Mapping[str, str]) -> None:
    with (
        http.session(allowed=allowed()) as session,
        http.stream(url, session=session, headers=sent, timeout=SECONDS, total=SECONDS) as answer,
    ):
        if not 200 <= answer.status < 300:
            raise _refused(url, answer.status)
        start = answer.read_some(START_BYTES)
    if not start or is_page(start):
        raise NotAVideo(f"{http.host_of(url)} has no video in its first segment")


def _refused(url: str, status: int) -> HostRefused:
    return HostRefused(f"{http.host_of(url)} answered with HTTP status {status}", status=status)
