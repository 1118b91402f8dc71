"""`app/…`: which qBittorrent this claims to be, and its settings."""

import ssl
import sys
import zlib
from typing import Any

from django.http import HttpRequest

from qbshim.endpoint import COMMAND, READ, Params, endpoint
from qbshim.paths import root, shown
from qbshim.preferences import preferences as all_preferences

VERSION, WEBAPI_VERSION = "v5.1.0", "2.11.4"
"""5.1 is the newest whose login and add every known client understands: 5.2 changed both."""


@endpoint(READ)
def version(request: HttpRequest, params: Params) -> str:
    return VERSION


@endpoint(READ)
def webapi_version(request: HttpRequest, params: Params) -> str:
    """Decides what Sonarr sends: `stopped` instead of `paused`, share limits within add."""
    return WEBAPI_VERSION


@endpoint(READ)
def build_info(request: HttpRequest, params: Params) -> dict[str, Any]:
    """Ours where there is such a thing; the torrent libraries are those of the version that is claimed."""
    return {
        "bitness": 64 if sys.maxsize > 2**32 else 32,
        "boost": "1.86.0",
        "libtorrent": "2.0.11.0",
        "openssl": ".".join(str(part) for part in ssl.OPENSSL_VERSION_INFO[:3]),
        "platform": sys.platform,
        "qt": "6.7.3",
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }


@endpoint(READ)
def preferences(request: HttpRequest, params: Params) -> dict[str, Any]:
    return all_preferences()


@endpoint(READ)
def default_save_path(request: HttpRequest, params: Params) -> str:
    return shown(root())


@endpoint(COMMAND)
def set_preferences(request: HttpRequest, params: Params) -> None:
    """Accepted and not kept: there is no engine to set, and `app/preferences` goes on saying what is true."""
    params.require("json")
