"""`torrents/…`: commands about trackers, peers, pieces and files, of which a download over HTTP has few or none.

What asks for something that is so anyway is answered like qBittorrent does; what asks for something that will not be is
refused, so that no client shows what is not true.
"""

import ipaddress
from typing import Any
from urllib.parse import unquote, urlsplit

from django.http import HttpRequest

from qbshim import contents, listing, serializers
from qbshim.endpoint import COMMAND, Params, endpoint
from qbshim.errors import Conflict, NotATorrentFile, ParameterInvalid
from qbshim.views.torrents import row_of

_WEB_SCHEMES = ("http", "https", "ftp")
_PRIORITIES = (0, 1, 6, 7)
_SKIP = 0


@endpoint(COMMAND)
def add_trackers(request: HttpRequest, params: Params) -> None:
    params.require("hash", "urls")
    row_of(params)
    raise Conflict("AniBridge asks no trackers")


@endpoint(COMMAND)
def edit_tracker(request: HttpRequest, params: Params) -> None:
    params.require("hash", "origUrl", "newUrl")
    row = row_of(params)
    old, new = params.text("origUrl").strip(), params.text("newUrl").strip()
    if old == new:
        return
    if not _is_url(new):
        raise ParameterInvalid("New tracker URL is invalid")
    if new == serializers.tracker_of(row):
        raise Conflict("New tracker URL already exists")
    raise Conflict("Tracker not found" if old != serializers.tracker_of(row) else "AniBridge asks no trackers")  # fmt: skip


@endpoint(COMMAND)
def remove_trackers(request: HttpRequest, params: Params) -> None:
    """Of trackers that are not there, nothing happens; ours stays."""
    params.require("hash", "urls")
    if params.text("hash") == "*":
        return
    row = row_of(params)
    if serializers.tracker_of(row) in [unquote(url) for url in params.listed("urls", "|")]:
        raise Conflict("the tracker stands for the download and cannot be taken away")


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
    params.require("hash", "urls")
    row_of(params)
    _require_web_seeds(*params.listed("urls", "|"))
    raise Conflict("AniBridge takes a download from where it was found, and from nowhere else")


@endpoint(COMMAND)
def edit_web_seed(request: HttpRequest, params: Params) -> None:
    params.require("hash", "origUrl", "newUrl")
    row_of(params)
    old, new = params.text("origUrl"), params.text("newUrl")
    _require_web_seeds(old, new)
    if old != new:
        raise Conflict(f'"{unquote(old)[:200]}" is not an existing URL')


@endpoint(COMMAND)
def remove_web_seeds(request: HttpRequest, params: Params) -> None:
    params.require("hash", "urls")
    row_of(params)
    _require_web_seeds(*params.listed("urls", "|"))


@endpoint(COMMAND)
def file_priority(request: HttpRequest, params: Params) -> None:
    """Every file is wanted already; none can be left out."""
    params.require("hash", "id", "priority")
    priority = params.integer("priority")
    if priority is None:
        raise ParameterInvalid("Priority must be an integer")
    if priority not in _PRIORITIES:
        raise ParameterInvalid("Priority is not valid")
    listed = contents.of(row_of(params))
    if not listed:
        raise Conflict("Torrent's metadata has not yet downloaded")
    for text in params.text("id").split("|"):
        if not (text.isdecimal() and text.isascii() and len(text) < 10):
            raise ParameterInvalid("File IDs must be integers")
        if int(text) >= len(listed):
            raise Conflict("File ID is not valid")
    if priority == _SKIP:
        raise Conflict("AniBridge fetches all files of a download; delete it to have none of them")


@endpoint(COMMAND)
def set_ssl_parameters(request: HttpRequest, params: Params) -> None:
    """There is nothing that they would be valid for."""
    params.require("hash", "ssl_certificate", "ssl_private_key", "ssl_dh_params")
    row_of(params)
    raise NotATorrentFile("Unsupported Media Type")


def _require_web_seeds(*urls: str) -> None:
    for url in urls:
        text = unquote(url)
        if not _is_url(text):
            raise ParameterInvalid(f'"{text[:200]}" is not a valid URL')
        if urlsplit(text).scheme not in _WEB_SCHEMES:
            raise ParameterInvalid(f"URL scheme must be one of [{', '.join(_WEB_SCHEMES)}]")


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme) and " " not in text
    except ValueError:
        return False


def _is_peer(text: str) -> bool:
    address, _, port = text.rpartition(":")
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    return port.isdecimal() and port.isascii() and len(port) <= 5 and int(port) < 65536
