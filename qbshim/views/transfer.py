"""`transfer/…`: the speed of everything, and its limits, which the engines obey."""

import ipaddress
from typing import Any

from django.http import HttpRequest

from downloads import limits
from qbshim import preferences, server
from qbshim.endpoint import COMMAND, READ, Params, endpoint
from qbshim.errors import ParameterInvalid
from qbshim.preference_keys import LONGEST_TEXT

MOST = 2**31 - 1
_BANNED = "banned_IPs"


@endpoint(READ)
def info(request: HttpRequest, params: Params) -> dict[str, Any]:
    return server.transfer()


@endpoint(READ)
def download_limit(request: HttpRequest, params: Params) -> str:
    """The limit that counts now; 0 is none."""
    return str(limits.speed_limits().effective)


@endpoint(READ)
def upload_limit(request: HttpRequest, params: Params) -> str:
    """The one that a client has set. Nothing is sent, so any limit is kept to."""
    return str(preferences.get(_upload_key()))


@endpoint(COMMAND)
def set_download_limit(request: HttpRequest, params: Params) -> None:
    """The limit of the mode that is on, in bytes a second; 0 and less is none."""
    params.require("limit")
    limit = min(max(params.number("limit"), 0), MOST)
    if limits.speed_limits().alternative_enabled:
        limits.set_speed_limits(alternative_download_limit=limit)
    else:
        limits.set_speed_limits(download_limit=limit)


@endpoint(COMMAND)
def set_upload_limit(request: HttpRequest, params: Params) -> None:
    params.require("limit")
    preferences.keep(_upload_key(), min(max(params.number("limit"), 0), MOST))


@endpoint(READ)
def speed_limits_mode(request: HttpRequest, params: Params) -> str:
    """`1` while the alternative limits count."""
    return str(int(limits.speed_limits().alternative_enabled))


@endpoint(COMMAND)
def toggle_speed_limits_mode(request: HttpRequest, params: Params) -> None:
    limits.set_speed_limits(alternative_enabled=not limits.speed_limits().alternative_enabled)


@endpoint(COMMAND)
def set_speed_limits_mode(request: HttpRequest, params: Params) -> None:
    params.require("mode")
    mode = params.integer("mode")
    if mode is None:
        raise ParameterInvalid("'mode': invalid argument")
    limits.set_speed_limits(alternative_enabled=mode != 0)


@endpoint(COMMAND)
def ban_peers(request: HttpRequest, params: Params) -> None:
    """There are no peers, so none of these will ever be connected to; the list of them is kept, as a preference."""
    params.require("peers")
    found = {peer.partition(":")[0].strip() for peer in params.text("peers").split("|")}
    banned = preferences.get(_BANNED).split("\n") + sorted(one for one in found if _is_address(one))
    preferences.keep(_BANNED, "\n".join(dict.fromkeys(one for one in banned if one))[:LONGEST_TEXT])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _upload_key() -> str:
    return "alt_up_limit" if limits.speed_limits().alternative_enabled else "up_limit"
