"""What kind of link somebody gave us: a chain of detectors, the first that knows the link decides.

magnet → .torrent file → plain HTTP; a magnet of ours is an `episode`. Everything else is refused with a reason that
a person can act on. Nothing here asks the network: what a link looks like is all that counts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from anibridge.lib.text import shorten
from catalogue import releases
from catalogue.errors import InvalidMagnet
from downloads.errors import UnsupportedLink

MAX_URL = 8 * 1024
"""Characters of an http(s) link. Tokens of playlist sources make them long; this is more than servers accept."""


class DownloadType(StrEnum):
    """What a downloader declares that it can take."""

    EPISODE = "episode"
    MAGNET = "magnet"
    TORRENT = "torrent"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that can be fetched. `url` is the cleaned form; `magnet` is there for magnets only."""

    download_type: DownloadType
    url: str
    magnet: releases.Magnet | None = None


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ENCODED = re.compile(r"(?i)(magnet%3a%3f|https?%3a%2f%2f)")
_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]")
_BARE_HASH = re.compile(r"(?i)[0-9a-f]{40}|[a-z2-7]{32}")
_FILE_NAME_KEYS = frozenset(
    {
        "file", "filename", "file_name", "fname", "fn", "name", "title", "attname", "download", "torrent",
        "rscd", "response-content-disposition", "dn",
    }
)  # fmt: skip
"""Query parameters that name the file which a link gives."""


def detect(text: str) -> Link:
    """The kind of a link, however it was pasted. Raises UnsupportedLink with the reason."""
    url = cleaned(text)
    for detector in CHAIN:
        link = detector(url)
        if link is not None:
            return link
    raise UnsupportedLink(_why_not(url))


def cleaned(text: str) -> str:
    """The link without blanks around it, and decoded where all of it was percent-encoded for another link."""
    url = text.strip()
    if len(url) > 3 * releases.MAX_MAGNET_BYTES:
        raise UnsupportedLink("the link is too long")
    return unquote(url) if _ENCODED.match(url) else url


def _magnet(url: str) -> Link | None:
    if url[:7].lower() != "magnet:":
        return None
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise UnsupportedLink("the magnet holds line breaks or control characters")
    try:
        magnet = releases.parse_magnet(url)
    except InvalidMagnet as error:
        if re.search(r"(?i)urn(?::|%3a)btmh(?::|%3a)", url):
            raise UnsupportedLink(
                "the magnet names a BitTorrent v2 hash only; downloaders are told apart by the v1 hash "
                "(xt=urn:btih:…), which v2-only torrents do not have"
            ) from error
        raise UnsupportedLink(str(error)) from error
    kind = DownloadType.MAGNET if magnet.identity is None else DownloadType.EPISODE
    return Link(kind, url, magnet)


def _torrent(url: str) -> Link | None:
    parts = _web(url)
    if parts is None or not (_is_torrent_name(parts.path) or _names_torrent(parts.query)):
        return None
    return Link(DownloadType.TORRENT, _without_fragment(parts))


def _http(url: str) -> Link | None:
    parts = _web(url)
    return None if parts is None else Link(DownloadType.HTTP, _without_fragment(parts))


Detector = Callable[[str], Link | None]
CHAIN: tuple[Detector, ...] = (_magnet, _torrent, _http)


def _web(url: str) -> SplitResult | None:
    """The parts of an http(s) link; None for other schemes. Raises UnsupportedLink for a broken one."""
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[1].lower() not in ("http", "https"):
        return None
    if len(url) > MAX_URL:
        raise UnsupportedLink(f"the link is longer than {MAX_URL} characters")
    if _CONTROL.search(url):
        raise UnsupportedLink("the link holds blanks or control characters; encode them as %20 …")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UnsupportedLink(f"«{shorten(url, 60)}» is no valid address") from None
    if not host or port == 0 or "\\" in parts.netloc:
        raise UnsupportedLink(f"«{shorten(url, 60)}» names no host")
    return parts


def _without_fragment(parts: SplitResult) -> str:
    """The part behind `#` is never sent to a server; scheme and host mean the same in any case."""
    user, at, place = parts.netloc.rpartition("@")
    netloc = f"{user}{at}{place.lower()}"
    return urlunsplit((parts.scheme.lower(), netloc, parts.path, parts.query, ""))


def _is_torrent_name(text: str) -> bool:
    name = unquote(text).strip().rstrip("/;\"' ")
    return name.lower().endswith(".torrent") and not name.lower().endswith("/.torrent")


def _names_torrent(query: str) -> bool:
    try:
        pairs = parse_qsl(query.replace(";", "&"), max_num_fields=200)
    except ValueError:  # more fields than anybody means
        return False
    return any(key.lower() in _FILE_NAME_KEYS and _is_torrent_name(value) for key, value in pairs)


def _why_not(url: str) -> str:
    """Why no detector knows it. Quotes the scheme only: what follows it may be a secret."""
    if not url:
        return "there is no link"
    if _BARE_HASH.fullmatch(url):
        return "that is a bare hash; as a link it is magnet:?xt=urn:btih:… with the hash at its end"
    scheme = _SCHEME.match(url)
    if scheme is None:
        return f"«{shorten(url, 60)}» is no link; it must begin with magnet:, http:// or https://"
    return (
        f"«{shorten(scheme[1].lower(), 30)}» links cannot be fetched; "
        "magnet links, .torrent files and http(s) links can"
    )
