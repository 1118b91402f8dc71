"""`torrents/…`: categories and tags."""

from typing import Any

from django.http import HttpRequest

from qbshim import categories as use_cases
from qbshim import serializers, services
from qbshim.endpoint import COMMAND, READ, Params, endpoint


@endpoint(READ)
def categories(request: HttpRequest, params: Params) -> dict[str, Any]:
    return serializers.categories(use_cases.folders())


@endpoint(COMMAND)
def create_category(request: HttpRequest, params: Params) -> None:
    """Makes the folder as well. Sonarr sends only `category`."""
    params.require("category")
    use_cases.create(params.text("category"), params.text("savePath"))


@endpoint(COMMAND)
def edit_category(request: HttpRequest, params: Params) -> None:
    params.require("category", "savePath")
    use_cases.edit(params.text("category"), params.text("savePath"))


@endpoint(COMMAND)
def remove_categories(request: HttpRequest, params: Params) -> None:
    params.require("categories")
    use_cases.remove(params.listed("categories", "\n"))


@endpoint(COMMAND)
def set_category(request: HttpRequest, params: Params) -> None:
    """Sonarr's post-import category. Changes the named torrents only."""
    params.require("hashes", "category")
    services.set_category(params.hashes(), params.text("category"))


@endpoint(READ)
def tags(request: HttpRequest, params: Params) -> list[str]:
    return services.used_tags()


@endpoint(COMMAND)
def create_tags(request: HttpRequest, params: Params) -> None:
    """Accepted; a tag is listed from when a torrent carries it."""
    params.require("tags")


@endpoint(COMMAND)
def delete_tags(request: HttpRequest, params: Params) -> None:
    params.require("tags")
    tags = params.listed("tags", ",")
    if tags:
        services.remove_tags(None, tags)


@endpoint(COMMAND)
def add_tags(request: HttpRequest, params: Params) -> None:
    params.require("hashes", "tags")
    services.add_tags(params.hashes(), params.listed("tags", ","))


@endpoint(COMMAND)
def remove_tags(request: HttpRequest, params: Params) -> None:
    """Without tags it takes away all of them."""
    services.remove_tags(params.hashes(), params.listed("tags", ","))
