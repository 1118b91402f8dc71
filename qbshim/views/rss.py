"""`rss/…`: an empty list of feeds. AniBridge has feeds and rules of its own, which are another thing: they are kept in
its admin, so nothing can be added here, and a client is told so instead of believing that it had."""

from typing import Any

from django.http import HttpRequest

from qbshim.endpoint import COMMAND, READ, Params, endpoint
from qbshim.errors import Conflict

_ELSEWHERE = "AniBridge keeps feeds and their rules in its own admin, not in its download client"


@endpoint(READ)
def items(request: HttpRequest, params: Params) -> dict[str, Any]:
    return {}


@endpoint(READ)
def rules(request: HttpRequest, params: Params) -> dict[str, Any]:
    return {}


@endpoint(READ)
def matching_articles(request: HttpRequest, params: Params) -> dict[str, Any]:
    params.require("ruleName")
    return {}


@endpoint(COMMAND)
def add_folder(request: HttpRequest, params: Params) -> None:
    params.require("path")
    raise Conflict(_ELSEWHERE)


@endpoint(COMMAND)
def add_feed(request: HttpRequest, params: Params) -> None:
    params.require("url", "path")
    raise Conflict(_ELSEWHERE)


@endpoint(COMMAND)
def set_rule(request: HttpRequest, params: Params) -> None:
    params.require("ruleName", "ruleDef")
    raise Conflict(_ELSEWHERE)


@endpoint(COMMAND)
def set_feed_url(request: HttpRequest, params: Params) -> None:
    params.require("path", "url")
    raise Conflict(f"Feed doesn't exist: {params.text('path')[:200]}.")


@endpoint(COMMAND)
def remove_item(request: HttpRequest, params: Params) -> None:
    params.require("path")
    raise Conflict(f"Item doesn't exist: {params.text('path')[:200]}.")


@endpoint(COMMAND)
def move_item(request: HttpRequest, params: Params) -> None:
    params.require("itemPath", "destPath")
    raise Conflict(f"Item doesn't exist: {params.text('itemPath')[:200]}.")


@endpoint(COMMAND)
def of_unknown_item(request: HttpRequest, params: Params) -> None:
    """markAsRead and refreshItem: for a feed that is not there qBittorrent does nothing either."""
    params.require("itemPath")


@endpoint(COMMAND)
def rename_rule(request: HttpRequest, params: Params) -> None:
    """Nothing happens to a rule that is not there."""
    params.require("ruleName", "newRuleName")


@endpoint(COMMAND)
def remove_rule(request: HttpRequest, params: Params) -> None:
    params.require("ruleName")
