"""What goes wrong between a client and the indexer, and the code that the client is told.

Sonarr and Radarr read the code only under HTTP 200 and stop at the status otherwise: 100 to 199 mean a bad API key,
everything else is a failure of the indexer. Prowlarr reads it under any status, if the type says XML.
"""

from collections.abc import Mapping
from http import HTTPStatus
from xml.etree.ElementTree import Element, tostring

from django.http import HttpResponse

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.text import shorten
from catalogue.errors import UnknownSite

CONTENT_TYPE = "application/xml; charset=utf-8"


class RequestError(AniBridgeError):
    """The request is not one that the indexer can answer; asking the same again will not help."""


class WrongApiKey(RequestError):
    """The API key is missing or not ours."""


class MissingParameter(RequestError):
    """A parameter without which there is nothing to answer."""


class BadValue(RequestError):
    """A parameter that cannot be read."""


class UnknownFunction(RequestError):
    """`t` or the HTTP method names something that the indexer does not do."""


class ReleaseGone(RequestError):
    """The release that a client grabs is not there any more."""


class Overloaded(AniBridgeError):
    """There are more requests than can be worked on; `retry_after` is in seconds."""

    retryable = True

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# Codes of the Newznab specification. The nearest class in the error's ancestry counts.
WIRE: Mapping[type[Exception], int] = {
    WrongApiKey: 100,
    MissingParameter: 200,
    BadValue: 201,
    UnknownSite: 201,
    UnknownFunction: 202,
    Overloaded: 500,
    AniBridgeError: 900,
}


def error_response(error: AniBridgeError, *, status: int = HTTPStatus.OK) -> HttpResponse:
    """The answer that says what is wrong, as error XML. Being overloaded is told by the status, where clients look."""
    code = next(WIRE[cls] for cls in type(error).__mro__ if cls in WIRE)
    body = Element("error", code=str(code), description=shorten(str(error)))
    response = HttpResponse(
        tostring(body, encoding="utf-8", xml_declaration=True),
        status=status,
        content_type=CONTENT_TYPE,
    )
    if isinstance(error, Overloaded):
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        response.headers["Retry-After"] = str(error.retry_after)
    return response
