"""`torrents/…`: the list and what can be read about one torrent."""

import time
from typing import Any

from django.http import HttpRequest, HttpResponse

from qbshim import contents, listing, serializers
from qbshim.endpoint import JSON, READ, Params, endpoint
from qbshim.errors import Conflict
from qbshim.rows import Row

TORRENT = "application/x-bittorrent"


@endpoint(READ)
def info(request: HttpRequest, params: Params) -> HttpResponse:
    query = listing.Query(
        filter=params.text("filter"),
        category=params.text("category") if "category" in params else None,
        tag=params.text("tag") if "tag" in params else None,
        hashes=[part.lower() for part in params.listed("hashes", "|")],
        sort=params.text("sort"),
        reverse=params.flag("reverse"),
        limit=params.number("limit"),
        offset=params.number("offset"),
        private=params.flag("private"),
        with_trackers=params.flag("includeTrackers"),
        with_files=params.flag("includeFiles"),
    )
    return HttpResponse(listing.text(query), content_type=JSON)


@endpoint(READ)
def count(request: HttpRequest, params: Params) -> str:
    return str(listing.count())


@endpoint(READ)
def properties(request: HttpRequest, params: Params) -> dict[str, Any]:
    """What Sonarr polls after an add, to see that the torrent is there."""
    return serializers.properties(row_of(params), now=time.time())


@endpoint(READ)
def files(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    """All files, or those with the asked indexes."""
    listed = contents.of(row_of(params))
    if "indexes" not in params:
        return listed
    chosen = []
    for text in params.text("indexes").split("|"):
        index = int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else -1
        if index < 0:
            raise Conflict(f'"{text[:40]}" is not a valid file index.')
        if index >= len(listed):
            raise Conflict(f"Index {text} is out of bounds.")
        chosen.append(listed[index])
    return chosen


@endpoint(READ)
def trackers(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    return serializers.tracker_list(row_of(params))


@endpoint(READ)
def web_seeds(request: HttpRequest, params: Params) -> list[dict[str, str]]:
    return serializers.web_seeds(row_of(params))


@endpoint(READ)
def nothing(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    """Pieces: a list that is empty for every torrent there is."""
    row_of(params)
    return []


@endpoint(READ)
def export(request: HttpRequest, params: Params) -> HttpResponse:
    """The .torrent that a client gave us. Of everything else there never was one."""
    row = row_of(params)
    content = contents.torrent_file(row)
    if content is None:
        raise Conflict("Unable to export torrent file. Error: Missing metadata")
    name = f'attachment; filename="{row.infohash}.torrent"'
    return HttpResponse(content, content_type=TORRENT, headers={"Content-Disposition": name})


@endpoint(READ)
def ssl_parameters(request: HttpRequest, params: Params) -> dict[str, str]:
    """Empty, as of every torrent that needs none."""
    row_of(params)
    return {"ssl_certificate": "", "ssl_dh_params": "", "ssl_private_key": ""}


def row_of(params: Params) -> Row:
    """The torrent that a request is about. Raises ParameterMissing, UnknownJob."""
    params.require("hash")
    return listing.one(params.text("hash"))
