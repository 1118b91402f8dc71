"""`/torznab/api` for every site, `/torznab/<site>/api` for one, all in XML; `/torznab/grab/<token>` for what is grabbed."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from anibridge.lib import apikeys
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.text import shorten
from torznab import capabilities, query, render, services
from torznab.errors import (
    CONTENT_TYPE,
    BadValue,
    MissingParameter,
    Overloaded,
    UnknownFunction,
    WrongApiKey,
    error_response,
)
from torznab.query import Function

logger = logging.getLogger(__name__)

DATABASE_AGAIN_SECONDS = 30
"""A database that is locked or restarting is soon there again; any other failure would cost the indexer more."""
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
        except OperationalError as error:
            return error_response(_without_database(error))

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
        offered = capabilities.of_sites(sites, alone=site is not None)
        return HttpResponse(
            render.caps(offered, version=settings.VERSION), content_type=CONTENT_TYPE
        )
    if name not in FUNCTIONS:
        raise UnknownFunction("t must be caps, search, tvsearch or movie")
    asked = query.read(FUNCTIONS[name], params)
    base_url = settings.PUBLIC_URL or request.build_absolute_uri("/")
    found = services.find(asked, sites=sites, client=_client(request), base_url=base_url)
    return HttpResponse(
        render.feed(found, link=base_url),
        content_type="application/rss+xml; charset=utf-8",
    )


@csrf_exempt
@require_safe
def grab(request: HttpRequest, token: str) -> HttpResponse:
    """What a client follows to grab a release: on to its magnet, or 404 in words when it is not there.

    404 makes Sonarr and Radarr take the next release of the same search, and is no mark against the indexer. A
    token that is forged or too old is answered so as well: a new search brings new ones. Never 307 or 308, which
    the clients do not follow to a magnet.
    """
    try:
        magnet = services.verify(token)
    except Overloaded as error:
        return _plain(error, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(error.retry_after)})
    except AniBridgeError as error:
        return _plain(error, HTTPStatus.NOT_FOUND)
    except OperationalError as error:
        # Asked for again by the clients themselves; 404 would say that the release is gone.
        return _plain(_without_database(error), HTTPStatus.SERVICE_UNAVAILABLE)
    # Not Django's redirect: that one refuses magnets, and addresses above 2,048 characters.
    return HttpResponse(
        status=HTTPStatus.FOUND,
        content_type="text/plain; charset=utf-8",
        headers={"Location": magnet, "Cache-Control": "no-store"},
    )


@csrf_exempt
def nowhere(request: HttpRequest) -> HttpResponse:
    """Any other address below ours: clients show the words of an error, and cannot read a page."""
    return error_response(
        UnknownFunction(
            "there is nothing here: the indexer is /torznab/api or /torznab/<site>/api"
        ),
        status=HTTPStatus.NOT_FOUND,
    )


def _without_database(error: OperationalError) -> Overloaded:
    """What the client is told; the log has the rest."""
    logger.error("the database does not answer", exc_info=error)
    return Overloaded(
        f"the database does not answer; try again in {DATABASE_AGAIN_SECONDS} seconds",
        retry_after=DATABASE_AGAIN_SECONDS,
    )


def _plain(
    error: AniBridgeError, status: HTTPStatus, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    return HttpResponse(
        shorten(str(error)) + "\n",
        status=status,
        content_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _client(request: HttpRequest) -> str:
    """Who is turning the pages of a feed. Two that share an address and a program name do each other no harm."""
    return f"{request.META.get('REMOTE_ADDR', '')} {request.headers.get('User-Agent', '')}"
