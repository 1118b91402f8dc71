"""`log/…`: what happened to jobs. There are no peers that could be blocked."""

from typing import Any

from django.http import HttpRequest

from qbshim import journal
from qbshim.endpoint import READ, Params, endpoint


@endpoint(READ)
def main(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    kinds = {kind for name, kind in journal.KINDS.items() if params.flag(name, default=True)}
    known = params.integer("last_known_id")
    return journal.lines(kinds, after=-1 if known is None else known)


@endpoint(READ)
def peers(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    return []
