"""What every REST endpoint shares: who may call it, how a list is paged, how an error looks (design.md §3)."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions, serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from anibridge.lib import apikeys
from anibridge.lib.errors import AniBridgeError


class KeyHolder:
    """Whoever sent the API key: no user of the database, but let in."""

    is_authenticated = True
    is_active = True
    is_anonymous = False
    pk = None

    def __str__(self) -> str:
        return "API key"


class ApiKeyAuthentication(BaseAuthentication):
    """`X-Api-Key`, or `apikey=` in the query. A wrong key is refused, no key is somebody else's business."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, None] | None:
        """The holder of the key, or None where none was sent."""
        key = request.headers.get("X-Api-Key") or request.query_params.get("apikey")
        if not key:
            return None
        if not apikeys.is_valid(key):
            raise exceptions.AuthenticationFailed("the API key is wrong")
        return KeyHolder(), None

    def authenticate_header(self, request: Request) -> str:
        """Its presence makes a refusal a 401 instead of a 403."""
        return "X-Api-Key"


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it."""

    target_class = "anibridge.lib.rest.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "X-Api-Key"}


class Problem(serializers.Serializer[Any]):
    """How every error looks; `fields` says what is wrong with which part of the request."""

    code = serializers.CharField()
    detail = serializers.CharField()
    fields = serializers.DictField(required=False)  # type: ignore[assignment]


class TooLarge(exceptions.APIException):
    """The body is larger than any request needs."""

    status_code = 413
    default_code = "too_large"


_NO_TEXT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
"""How JSON spells what no database and no page can hold: NUL, and half of a character."""


class Json(JSONParser):
    """JSON of a bounded size and depth, without text that could not be stored. Anything else is a 400 or 413."""

    refuses_odd_text = True
    """Off where each part of the body is judged by itself."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        body = stream.read(most + 1)
        if len(body) > most:
            raise TooLarge(f"the body is larger than {most // 2**20} MiB")
        try:
            text = body.decode("utf-8-sig")
            data = json.loads(text, parse_constant=_no_number)
        except RecursionError:
            raise exceptions.ParseError("the body is nested too deeply") from None
        except ValueError as error:
            raise exceptions.ParseError(f"the body is no JSON: {error}") from None
        if (
            self.refuses_odd_text
            and _NO_TEXT.search(text)
            and any(not _is_text(one) for one in _texts(data))
        ):
            raise exceptions.ParseError("the body holds a NUL or half of a character")
        return data


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _texts(data: Any) -> Iterator[str]:
    todo = [data]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            todo += one


def _is_text(text: str) -> bool:
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


class Pages(PageNumberPagination):
    """`{"count", "next", "previous", "results"}`."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500


def error_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """`{"code", "detail"[, "fields"]}` for what is expected; None lets a bug surface as a 500."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        error = TooLarge(f"the body is larger than {most // 2**20} MiB")
    elif isinstance(error, ValidationError):
        error = exceptions.ValidationError(
            error.message_dict if hasattr(error, "error_dict") else error.messages
        )
    if isinstance(error, exceptions.APIException):
        return _of_rest_framework(error)
    if isinstance(error, AniBridgeError):
        status = 503 if error.retryable else 409
        name = type(error).__name__
        code = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
        return Response({"code": code, "detail": str(error)}, status=status)
    return None


def _of_rest_framework(error: exceptions.APIException) -> Response:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    body: dict[str, Any] = {"code": error.default_code, "detail": error.detail}
    if isinstance(error, exceptions.ValidationError):
        body["detail"] = "the request holds values that are not possible"
        if isinstance(error.detail, dict):
            body["fields"] = error.detail
        else:
            body["detail"] = "; ".join(str(part) for part in error.detail)
    return Response(body, status=error.status_code, headers=headers)
