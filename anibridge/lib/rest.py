"""What every REST endpoint shares: who may call it, how a list is paged, how an error looks (design.md §3)."""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.pagination import PageNumberPagination
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
