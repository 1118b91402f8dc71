"""`sync/…`, `transfer/…`, `log/…`: everything at once, the speed, and no log."""

from typing import Any

from django.http import HttpRequest

from qbshim import categories, listing, serializers, services
from qbshim.endpoint import READ, Params, endpoint

RID_WRAPS_AT = 1_000_000


@endpoint(READ)
def maindata(request: HttpRequest, params: Params) -> dict[str, Any]:
    """Always the whole picture, under a new response id. The hash is the key of an item and not repeated in it.

    Empty maps and lists are there too: clients written for 4.x expect them.
    """
    torrents = {item.pop("hash"): item for item in listing.torrents()}
    return {
        "categories": serializers.categories(categories.folders()),
        "full_update": True,
        "rid": max(params.number("rid"), 0) % RID_WRAPS_AT + 1,
        "server_state": listing.server_state(),
        "tags": services.used_tags(),
        "torrents": torrents,
        "trackers": {serializers.TRACKER: list(torrents)} if torrents else {},
    }


@endpoint(READ)
def transfer_info(request: HttpRequest, params: Params) -> dict[str, Any]:
    return listing.transfer()


@endpoint(READ)
def log(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    """Empty: what happened to a job is in its events, in the admin."""
    return []
