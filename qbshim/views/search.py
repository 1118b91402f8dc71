"""`search/…` and `torrentcreator/…`: a server without search plug-ins, and none that makes torrents."""

from typing import Any

from django.http import HttpRequest

from qbshim.endpoint import COMMAND, READ, Params, endpoint
from qbshim.errors import Conflict, UnknownPath


@endpoint(COMMAND)
def start(request: HttpRequest, params: Params) -> None:
    """What qBittorrent says where it cannot search."""
    params.require("pattern", "category", "plugins")
    raise Conflict("Python must be installed to use the Search Engine.")


@endpoint(READ)
def status(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    if params.number("id"):
        raise UnknownPath(request.path)
    return []


@endpoint(READ)
def of_unknown_search(request: HttpRequest, params: Params) -> None:
    """results: there is no search whose results these could be."""
    params.require("id")
    raise UnknownPath(request.path)


@endpoint(COMMAND)
def end_of_unknown_search(request: HttpRequest, params: Params) -> None:
    """stop and delete."""
    params.require("id")
    raise UnknownPath(request.path)


@endpoint(READ)
def plugins(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    return []


@endpoint(COMMAND)
def install_plugin(request: HttpRequest, params: Params) -> None:
    params.require("sources")
    raise Conflict("AniBridge takes no search plug-ins; its Torznab indexer is what searches")


@endpoint(COMMAND)
def of_unknown_plugin(request: HttpRequest, params: Params) -> None:
    """uninstallPlugin: of plug-ins that are not there, nothing happens."""
    params.require("names")


@endpoint(COMMAND)
def enable_plugin(request: HttpRequest, params: Params) -> None:
    params.require("names", "enable")


@endpoint(COMMAND)
def update_plugins(request: HttpRequest, params: Params) -> None:
    """All of them are up to date."""


@endpoint(READ)
def download_torrent(request: HttpRequest, params: Params) -> None:
    params.require("torrentUrl", "pluginName")
    raise Conflict("there is no search plug-in; use torrents/add")


@endpoint(COMMAND)
def add_task(request: HttpRequest, params: Params) -> None:
    params.require("sourcePath")
    raise Conflict("AniBridge makes no torrents")


@endpoint(READ)
def task_status(request: HttpRequest, params: Params) -> list[dict[str, Any]]:
    if params.text("taskID"):
        raise UnknownPath(request.path)
    return []


@endpoint(READ)
def torrent_file(request: HttpRequest, params: Params) -> None:
    params.require("taskID")
    raise UnknownPath(request.path)


@endpoint(COMMAND)
def delete_task(request: HttpRequest, params: Params) -> None:
    params.require("taskID")
    raise UnknownPath(request.path)
