"""`torrents/…`: commands about trackers, peers, pieces and files, of which a download over HTTP has few or none.

What only an engine that shares could act on is kept and given back; what asks for something that will not be is refused,
so that no client shows what is not true.
"""

import ipaddress
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from django.http import HttpRequest

from qbshim import contents, listing, swarm
from qbshim.endpoint import COMMAND, Params, endpoint
from qbshim.errors import Conflict, NotATorrentFile, ParameterInvalid
from qbshim.views.torrents import row_of

_WEB_SCHEMES = ("http", "https", "ftp")
_PRIORITIES = (0, 1, 6, 7)
_SKIP = 0


@endpoint(COMMAND)
def add_trackers(request: HttpRequest, params: Params) -> None:
    """Kept and listed as not contacted: AniBridge asks no tracker."""
    params.require("hash", "urls")
    swarm.add_trackers(params.text("hash"), params.text("urls"))


@endpoint(COMMAND)
def edit_tracker(request: HttpRequest, params: Params) -> None:
    params.require("hash", "origUrl", "newUrl")
    row_of(params)
    old, new = params.text("origUrl").strip(), params.text("newUrl").strip()
    if old == new:
        return
    if not _is_tracker(new):
        raise ParameterInvalid("New tracker URL is invalid")
    swarm.edit_tracker(params.text("hash"), old, new)


@endpoint(COMMAND)
def remove_trackers(request: HttpRequest, params: Params) -> None:
    """Of trackers that are not there, nothing happens; ours stays. `*` is every torrent."""
    params.require("hash", "urls")
    infohash = params.text("hash")
    urls = [unquote(url) for url in params.listed("urls", "|")]
    swarm.remove_trackers(None if infohash == "*" else infohash, urls)


@endpoint(COMMAND)
def add_peers(request: HttpRequest, params: Params) -> dict[str, Any]:
    """None of them can be connected to, and the answer says so."""
    params.require("hashes", "peers")
    peers = params.text("peers").split("|")
    if not any(_is_peer(peer.strip()) for peer in peers):
        raise ParameterInvalid("No valid peers were specified")
    hashes = params.hashes()
    found = listing.torrents(listing.Query(hashes=hashes or ())) if hashes != [] else []
    return {item["hash"]: {"added": 0, "failed": len(peers)} for item in found}


@endpoint(COMMAND)
def add_web_seeds(request: HttpRequest, params: Params) -> None:
    """Kept and given back: a download comes from where it was found, and from nowhere else."""
    params.require("hash", "urls")
    row_of(params)
    swarm.add_web_seeds(params.text("hash"), _web_seeds(*params.listed("urls", "|")))


@endpoint(COMMAND)
def edit_web_seed(request: HttpRequest, params: Params) -> None:
    params.require("hash", "origUrl", "newUrl")
    row_of(params)
    old, new = _web_seeds(params.text("origUrl"), params.text("newUrl"))
    if old != new:
        swarm.edit_web_seed(params.text("hash"), old, new)


@endpoint(COMMAND)
def remove_web_seeds(request: HttpRequest, params: Params) -> None:
    params.require("hash", "urls")
    row_of(params)
    swarm.remove_web_seeds(params.text("hash"), _web_seeds(*params.listed("urls", "|")))


@endpoint(COMMAND)
def file_priority(request: HttpRequest, params: Params) -> None:
    """Every file is fetched, and none can be left out; how much a client wants one is kept and given back."""
    params.require("hash", "id", "priority")
    priority = params.integer("priority")
    if priority is None:
        raise ParameterInvalid("Priority must be an integer")
    if priority not in _PRIORITIES:
        raise ParameterInvalid("Priority is not valid")
    listed = contents.of(row_of(params))
    if not listed:
        raise Conflict("Torrent's metadata has not yet downloaded")
    chosen = params.text("id").split("|")
    for text in chosen:
        if not (text.isdecimal() and text.isascii() and len(text) < 10):
            raise ParameterInvalid("File IDs must be integers")
        if int(text) >= len(listed):
            raise Conflict("File ID is not valid")
    if priority == _SKIP:
        raise Conflict("AniBridge fetches all files of a download; delete it to have none of them")
    swarm.set_priorities(params.text("hash"), map(int, chosen), priority)


@endpoint(COMMAND)
def set_ssl_parameters(request: HttpRequest, params: Params) -> None:
    """There is nothing that they would be valid for."""
    params.require("hash", "ssl_certificate", "ssl_private_key", "ssl_dh_params")
    row_of(params)
    raise NotATorrentFile("Unsupported Media Type")


def _web_seeds(*urls: str) -> list[str]:
    """The addresses without their percents. Raises ParameterInvalid for what is no address of the web."""
    found = [unquote(url) for url in urls]
    for text in found:
        parts = _parts(text)
        if parts is None or not parts.scheme or " " in text:
            raise ParameterInvalid(f'"{text[:200]}" is not a valid URL')
        if parts.scheme not in _WEB_SCHEMES:
            raise ParameterInvalid(f"URL scheme must be one of [{', '.join(_WEB_SCHEMES)}]")
    return found


def _is_tracker(text: str) -> bool:
    """As generous as qBittorrent, which takes a bare address for one too."""
    parts = _parts(text)
    return bool(text) and parts is not None and not any(char.isspace() for char in text)


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_peer(text: str) -> bool:
    address, _, port = text.rpartition(":")
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    return port.isdecimal() and port.isascii() and len(port) <= 5 and int(port) < 65536
