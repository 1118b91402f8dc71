"""An order: what somebody wants fetched, whatever way they said it. Nothing here asks the network."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from anibridge.lib.text import shorten, without_controls
from catalogue.releases import BARE_SITES, Identity, Magnet
from downloads import torrents
from downloads.detection import DownloadType, Link, detect
from downloads.errors import UnsupportedLink

LINK_SITE = "link"
"""The `source_site` of what came as a link."""
MAX_NAME = 255
_VIDEO_SUFFIXES = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogm", ".ts", ".webm", ".wmv"}
)  # fmt: skip
_NAMING_KEYS = frozenset({"file", "filename", "file_name", "fname", "fn", "attname", "dn", "name"})

Resolver = Callable[[str], str | None]
resolvers: dict[str, Resolver] = {}
"""Site of BARE_SITES → what finds the URL behind the slug of a magnet of ours; filled by whoever keeps them."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants fetched and where it should lie. `infohash` is what makes two orders the same job.

    An episode has an `identity` of the catalogue; everything else has a `url` or the bytes of a `torrent` file.
    """

    infohash: str
    name: str
    identity: Identity | None = None
    download_type: DownloadType = DownloadType.EPISODE
    url: str = ""
    torrent: bytes = b""
    category: str = ""
    save_path: Path | None = None
    provider: str = ""
    paused: bool = False
    size_bytes: int | None = None
    rate_limit: int | None = None
    checksum: str = ""
    layout: str = "release"
    naming: Mapping[str, Any] = field(default_factory=dict)


def order_for(
    text: str,
    *,
    name: str = "",
    category: str = "",
    save_path: Path | None = None,
    paused: bool = False,
) -> Order:
    """The order behind any link: a magnet of ours or another, the URL of a .torrent file, any http(s) URL.

    Raises UnsupportedLink with the reason.
    """
    link = detect(text)
    kind, identity, url, provider, size = link.download_type, None, link.url, "", None
    if link.magnet is None:
        identity = link_identity(url, kind)
        infohash, found = identity.infohash, name_in(url)
    elif link.magnet.identity is None:
        infohash, found, size = link.magnet.infohash, link.magnet.file_name, _exact_length(link)
    else:
        magnet, identity = link.magnet, link.magnet.identity
        infohash, found, provider = magnet.infohash, magnet.file_name, magnet.provider or ""
        kind, url = _of_ours(magnet, identity)
    return Order(
        infohash=infohash,
        name=_clean_name(name) or found,
        identity=identity,
        download_type=kind,
        url=url,
        category=category,
        save_path=save_path,
        provider=provider,
        paused=paused,
        size_bytes=size,
    )


NO_STREAM = "a torrent cannot be played as a stream; fetch it as a download"


def as_strm(order: Order) -> Order:
    """The same as a `.strm` file that plays it. Raises UnsupportedLink for a torrent, which has no stream."""
    if order.identity is None or order.download_type in (DownloadType.MAGNET, DownloadType.TORRENT):
        raise UnsupportedLink(NO_STREAM)
    identity = replace(order.identity, strm=True)
    return replace(
        order,
        identity=identity,
        infohash=identity.infohash,
        download_type=DownloadType.EPISODE,
        size_bytes=None,
    )


def order_for_torrent(
    content: bytes,
    *,
    name: str = "",
    category: str = "",
    save_path: Path | None = None,
    paused: bool = False,
) -> Order:
    """The order behind the bytes of a .torrent file. Raises NotATorrent with the reason."""
    torrent = torrents.read(content)
    return Order(
        infohash=torrent.v1,
        name=_clean_name(name) or torrent.name,
        download_type=DownloadType.TORRENT,
        torrent=content,
        category=category,
        save_path=save_path,
        paused=paused,
        size_bytes=torrent.size_bytes,
    )


def link_identity(url: str, kind: DownloadType = DownloadType.HTTP) -> Identity:
    """The identity of a URL as `detect` cleans it: `link|sha1(url)`. A torrent may be several files."""
    slug = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    episode = None if kind == DownloadType.TORRENT else 0
    return Identity(site=LINK_SITE, slug=slug, season=0, episode=episode, language="")


def name_in(url: str) -> str:
    """What a URL calls its file, without a video's suffix; the host where it does not say."""
    parts = urlsplit(url)
    named = (
        [
            value
            for key, value in parse_qsl(parts.query.replace(";", "&"), max_num_fields=1000)
            if key.lower() in _NAMING_KEYS
        ]
        if parts.query.count("&") < 900
        else []
    )
    for candidate in (*named, unquote(parts.path)):
        file = PurePosixPath(_clean_name(candidate)).name
        stem, dot, suffix = file.rpartition(".")
        if dot and stem and f".{suffix.lower()}" in _VIDEO_SUFFIXES | {".torrent"}:
            file = stem
        if file.strip(". "):
            return file
    return parts.hostname or "download"


def _of_ours(magnet: Magnet, identity: Identity) -> tuple[DownloadType, str]:
    """An episode; or, for a playlist's item or a pushed link, what its URL is."""
    if identity.site not in BARE_SITES:
        return DownloadType.EPISODE, ""
    resolver = resolvers.get(identity.site)
    url = resolver(identity.slug) if resolver else None
    if not url:
        raise UnsupportedLink(
            f"the {identity.site} entry of «{magnet.file_name}» is not here any more"
        )
    link = detect(url)
    if link.download_type == DownloadType.EPISODE:
        raise UnsupportedLink(
            f"the {identity.site} entry of «{magnet.file_name}» leads in a circle"
        )
    if not identity.strm:
        return link.download_type, link.url
    if link.download_type != DownloadType.HTTP:
        raise UnsupportedLink(NO_STREAM)
    # Whatever its address is: nobody but us makes such a file.
    return DownloadType.EPISODE, link.url


def _exact_length(link: Link) -> int | None:
    """`xl`, the size that a magnet may give."""
    for key, value in parse_qsl(link.url.partition("?")[2]):
        if key.lower() == "xl" and value.isdecimal() and len(value) < 16:
            return int(value) or None
    return None


def _clean_name(text: str) -> str:
    return shorten(without_controls(text), MAX_NAME).strip()
