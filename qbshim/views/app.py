"""`app/…`: which qBittorrent this claims to be, its settings, and the machine as far as clients need it."""

import ssl
import sys
import zlib
from typing import Any

from django.http import HttpRequest

from qbshim import categories, folders, machine
from qbshim import cookies as cookie_jar
from qbshim import preferences as settings
from qbshim.endpoint import COMMAND, READ, Params, endpoint
from qbshim.errors import Conflict

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
    return settings.everything()


@endpoint(COMMAND)
def set_preferences(request: HttpRequest, params: Params) -> None:
    """What is no JSON is no error, as in qBittorrent; a save path outside the download folder is one."""
    params.require("json")
    before = categories.default_folder()
    settings.change(params.text("json"))
    if categories.default_folder() != before:
        categories.make_folders()


@endpoint(READ)
def default_save_path(request: HttpRequest, params: Params) -> str:
    return str(settings.everything()[settings.SAVE_PATH])


@endpoint(COMMAND)
def shutdown(request: HttpRequest, params: Params) -> None:
    raise Conflict("AniBridge is not stopped by a download client; its operator does that")


@endpoint(COMMAND)
def send_test_email(request: HttpRequest, params: Params) -> None:
    raise Conflict("AniBridge sends no mail")


@endpoint(READ)
def directory_content(request: HttpRequest, params: Params) -> list[str]:
    """The download folder and what is in it; of everything else only the way there."""
    params.require("dirPath")
    mode = params.text("mode") if "mode" in params else "all"
    return folders.content(params.text("dirPath"), mode)


@endpoint(READ)
def cookies(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    return cookie_jar.everything()


@endpoint(COMMAND)
def set_cookies(request: HttpRequest, params: Params) -> None:
    params.require("cookies")
    cookie_jar.replace(params.text("cookies"))


@endpoint(READ)
def network_interfaces(request: HttpRequest, params: Params) -> list[dict[str, str]]:
    return [{"name": name, "value": name} for name in machine.interfaces()]


@endpoint(READ)
def network_addresses(request: HttpRequest, params: Params) -> list[str]:
    params.require("iface")
    return machine.addresses(params.text("iface"))
