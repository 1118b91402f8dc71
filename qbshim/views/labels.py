"""`torrents/…`: categories and tags."""

from typing import Any

from django.http import HttpRequest

from qbshim import categories as category_cases
from qbshim import serializers, services
from qbshim import tags as tag_cases
from qbshim.endpoint import COMMAND, READ, Params, endpoint


@endpoint(READ)
def categories(request: HttpRequest, params: Params) -> dict[str, Any]:
    return serializers.categories(category_cases.listed())


@endpoint(COMMAND)
def create_category(request: HttpRequest, params: Params) -> None:
    """Makes the folder as well. Sonarr sends only `category`."""
    params.require("category")
    category_cases.create(
        params.text("category"), params.text("savePath"), **_for_unfinished(params)
    )


@endpoint(COMMAND)
def edit_category(request: HttpRequest, params: Params) -> None:
    params.require("category", "savePath")
    category_cases.edit(params.text("category"), params.text("savePath"), **_for_unfinished(params))


def _for_unfinished(params: Params) -> dict[str, Any]:
    """Where a client wants unfinished files; as at a real server it says nothing without the switch."""
    used = params.switch("downloadPathEnabled")
    path = "" if used is None else params.text("downloadPath")
    return {"download_path": path, "use_download_path": used}


@endpoint(COMMAND)
def remove_categories(request: HttpRequest, params: Params) -> None:
    params.require("categories")
    category_cases.remove(params.listed("categories", "\n"))


@endpoint(READ)
def tags(request: HttpRequest, params: Params) -> list[str]:
    return tag_cases.names()


@endpoint(COMMAND)
def create_tags(request: HttpRequest, params: Params) -> None:
    params.require("tags")
    tag_cases.create(params.listed("tags", ","))


@endpoint(COMMAND)
def delete_tags(request: HttpRequest, params: Params) -> None:
    """Takes them from the torrents as well."""
    params.require("tags")
    tag_cases.delete(params.listed("tags", ","))


@endpoint(COMMAND)
def add_tags(request: HttpRequest, params: Params) -> None:
    params.require("hashes", "tags")
    tag_cases.add(services.listed(), params.hashes(), params.listed("tags", ","))


@endpoint(COMMAND)
def set_tags(request: HttpRequest, params: Params) -> None:
    """These and no others."""
    params.require("hashes", "tags")
    tag_cases.replace(services.listed(), params.hashes(), params.listed("tags", ","))


@endpoint(COMMAND)
def remove_tags(request: HttpRequest, params: Params) -> None:
    """Without tags it takes away all of them."""
    tag_cases.remove(services.listed(), params.hashes(), params.listed("tags", ","))
