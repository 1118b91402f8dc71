"""`sync/…`: everything at first, then what has changed."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from qbshim import maindata as sync
from qbshim.endpoint import JSON, READ, Params, endpoint
from qbshim.errors import UnknownPath
from qbshim.views.torrents import row_of

RID_WRAPS_AT = 1_000_000


@endpoint(READ)
def maindata(request: HttpRequest, params: Params) -> HttpResponse:
    text = sync.answer(params.client.standing_session(), params.number("rid"))
    return HttpResponse(text, content_type=JSON)


@endpoint(READ)
def torrent_peers(request: HttpRequest, params: Params) -> dict[str, Any]:
    """Nobody, always: the whole at first, then that nothing has changed."""
    if "hash" not in params:  # not 400, in qBittorrent
        raise UnknownPath(request.path)
    row_of(params)
    rid = max(params.number("rid"), 0) % RID_WRAPS_AT
    if rid:
        return {"rid": rid + 1}
    return {"full_update": True, "peers": {}, "rid": 1, "show_flags": False}
