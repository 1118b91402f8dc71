"""`/torznab/api` for every site, `/torznab/<site>/api` for one. Every answer is XML."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from anibridge.lib import apikeys
from anibridge.lib.errors import AniBridgeError
from torznab import query, render, services
from torznab.errors import (
    CONTENT_TYPE,
    BadValue,
    MissingParameter,
    UnknownFunction,
    WrongApiKey,
    error_response,
)
from torznab.query import Function

FUNCTIONS = {
    "search": Function.SEARCH,
    "tvsearch": Function.TV,
    "tv-search": Function.TV,
    "movie": Function.MOVIE,
    "movie-search": Function.MOVIE,
}


@method_decorator(csrf_exempt, name="dispatch")
class Indexer(View):
    """A Torznab indexer: `t=caps` and the searches, for whoever has the API key."""

    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answers every expected error in the clients' own words; a bug is left to surface."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except AniBridgeError as error:
            return error_response(error)
        except (BadRequest, SuspiciousOperation, MultiPartParserError):
            return error_response(BadValue("the request cannot be read"))

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        allowed = ", ".join(method.upper() for method in self.http_method_names)
        answer = error_response(
            UnknownFunction(f"use one of {allowed}"), status=HTTPStatus.METHOD_NOT_ALLOWED
        )
        answer.headers["Allow"] = allowed
        return answer

    def get(self, request: HttpRequest, site: str | None = None) -> HttpResponse:
        return _answer(request, request.GET.dict(), site)

    def post(self, request: HttpRequest, site: str | None = None) -> HttpResponse:
        return _answer(request, request.GET.dict() | request.POST.dict(), site)


def _answer(request: HttpRequest, params: Mapping[str, Any], site: str | None) -> HttpResponse:
    if not apikeys.is_valid(params.get("apikey")):
        raise WrongApiKey("wrong or missing API key: the parameter is called apikey")
    sites = services.sites_asked(site)
    name = params.get("t", "").strip().lower()
    if not name:
        raise MissingParameter("the parameter t is missing")
    if name == "caps":
        return HttpResponse(render.caps(version=settings.VERSION), content_type=CONTENT_TYPE)
    if name not in FUNCTIONS:
        raise UnknownFunction("t must be caps, search, tvsearch or movie")
    asked = query.read(FUNCTIONS[name], params)
    found = services.find(asked, sites=sites, client=_client(request))
    return HttpResponse(
        render.feed(found, link=settings.PUBLIC_URL or request.build_absolute_uri("/")),
        content_type="application/rss+xml; charset=utf-8",
    )


def _client(request: HttpRequest) -> str:
    """Who is turning the pages of a feed. Two that share an address and a program name do each other no harm."""
    return f"{request.META.get('REMOTE_ADDR', '')} {request.headers.get('User-Agent', '')}"
