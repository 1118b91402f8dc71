"""`torrents/…`: the list and what can be read about one torrent."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from downloads.models import Job
from qbshim import listing, serializers, services
from qbshim.endpoint import READ, Params, endpoint
from qbshim.errors import Conflict, ParameterInvalid


@endpoint(READ)
def info(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
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
    )
    return listing.torrents(query)


@endpoint(READ)
def count(request: HttpRequest, params: Params) -> str:
    return str(services.listed().count())


@endpoint(READ)
def properties(request: HttpRequest, params: Params) -> dict[str, Any]:
    """What Sonarr polls after an add, to see that the torrent is there."""
    return serializers.properties(_job(params), now=timezone.now())


@endpoint(READ)
def files(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    """All files that are in place, or those with the asked indexes."""
    listed = serializers.file_list(_job(params))
    if "indexes" not in params:
        return listed
    chosen = []
    for text in params.listed("indexes", "|"):
        if not (text.isdecimal() and len(text) < 10):
            raise ParameterInvalid(f"'{text[:40]}' is not a valid file index.")
        if int(text) >= len(listed):
            raise Conflict(f"Index {int(text)} is out of bounds.")
        chosen.append(listed[int(text)])
    return chosen


@endpoint(READ)
def trackers(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    return serializers.tracker_list(_job(params))


@endpoint(READ)
def nothing(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    """Web seeds and pieces: a list that is empty for every torrent there is."""
    _job(params)
    return []


def _job(params: Params) -> Job:
    params.require("hash")
    return services.find(params.text("hash"))
