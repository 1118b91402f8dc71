"""Lists that are too long to be counted, or that grow while somebody reads them: pages anchored at a row.

A cursor names the last row of a page, so the next page begins right behind it, whatever came or went before.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, Field, Model, Q, QuerySet
from rest_framework import exceptions
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from anibridge.lib.rest import Pages

MAX_CURSOR = 1000
"""Characters. A name is the longest thing to sort by."""


class BadCursor(exceptions.ParseError):
    """The cursor was not made here, or for another order."""

    default_detail = "this cursor is none of this list; begin again without one"
    default_code = "bad_cursor"


@dataclass(frozen=True, slots=True)
class Ordering:
    """One field, and the primary key where rows are equal. Rows without a value come last in either direction."""

    field: str
    descending: bool = False

    @classmethod
    def of(cls, text: str) -> "Ordering":
        """`name` or `-name`."""
        return cls(text.removeprefix("-"), text.startswith("-"))

    def apply(self, rows: QuerySet[Any], *, backwards: bool = False) -> QuerySet[Any]:
        """The rows in this order, or in the opposite one."""
        descending = self.descending != backwards
        return rows.order_by(
            *_directed(self.field, descending, nulls_first=backwards, rows=rows),
            "-pk" if descending else "pk",
        )

    def beyond(self, value: Any, pk: Any, *, backwards: bool, nullable: bool) -> Q:
        """The rows behind the one with this value and key; with `backwards`, those before it."""
        descending = self.descending != backwards
        further = "lt" if descending else "gt"
        same = Q(**{f"pk__{further}": pk})
        if value is None:
            at = Q(**{f"{self.field}__isnull": True}) & same
            return at | Q(**{f"{self.field}__isnull": False}) if backwards else at
        found = Q(**{f"{self.field}__{further}": value}) | (Q(**{self.field: value}) & same)
        if nullable and not backwards:
            found |= Q(**{f"{self.field}__isnull": True})
        return found


def _directed(
    name: str, descending: bool, *, nulls_first: bool, rows: QuerySet[Any]
) -> Sequence[Any]:
    """Plain where the column has a value in every row: only that order can come out of an index."""
    if name == "pk":
        return ()
    if not _field(rows.model, name).null:
        return (f"-{name}" if descending else name,)
    place: dict[str, Any] = {"nulls_first" if nulls_first else "nulls_last": True}
    return (F(name).desc(**place) if descending else F(name).asc(**place),)


def _field(model: type[Model], name: str) -> Field:
    if name == "pk":
        return model._meta.pk
    found = model._meta.get_field(name)
    if not isinstance(found, Field):
        raise FieldDoesNotExist(name)
    return found


BY_AGE: Final = Ordering("pk", descending=True)


class Keyset(BasePagination):
    """`{"next", "previous", "results"}`: no count, and a page costs the same wherever it lies.

    The first page is asked for without `cursor` or with an empty one.
    """

    page_size = 50
    max_page_size = 500

    def __init__(self, ordering: Ordering = BY_AGE) -> None:
        self.ordering = ordering

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The rows of the page that the request names. Raises BadCursor."""
        self._url = request.build_absolute_uri()
        size = _size(request, self.page_size, self.max_page_size)
        text = request.query_params.get("cursor", "")
        backwards, anchor = self._read(text, queryset) if text else (False, None)
        rows = self.ordering.apply(queryset, backwards=backwards)
        if anchor is not None:
            value, pk = anchor
            nullable = _field(queryset.model, self.ordering.field).null
            rows = rows.filter(
                self.ordering.beyond(value, pk, backwards=backwards, nullable=nullable)
            )
        keys = list(rows.values_list("pk", flat=True)[: size + 1])
        more, page = len(keys) > size, _rows(queryset, keys[:size])
        if backwards:
            page.reverse()
        self._has_next = backwards or more
        self._has_previous = more if backwards else anchor is not None
        self._page = page
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self._next(), "previous": self._previous(), "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {"type": "string", "format": "uri", "nullable": True},
                "previous": {"type": "string", "format": "uri", "nullable": True},
                "results": schema,
            },
        }

    def _next(self) -> str | None:
        if not self._has_next:
            return None
        if not self._page:  # everything behind the anchor went: the way back is the way on
            return remove_query_param(self._url, "cursor")
        return self._link(self._page[-1], backwards=False)

    def _previous(self) -> str | None:
        if not self._has_previous:
            return None
        if not self._page:
            return remove_query_param(self._url, "cursor")
        return self._link(self._page[0], backwards=True)

    def _link(self, row: Model, *, backwards: bool) -> str:
        value = getattr(row, self.ordering.field)
        if isinstance(value, date | datetime):
            value = value.isoformat()
        said = [self.ordering.field, int(self.ordering.descending), int(backwards), value, row.pk]
        raw = json.dumps(said, separators=(",", ":")).encode()
        cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return replace_query_param(self._url, "cursor", cursor)

    def _read(self, text: str, queryset: QuerySet[Any]) -> tuple[bool, tuple[Any, Any]]:
        """Whether it leads backwards, and the value and key of the row that it names."""
        try:
            if len(text) > MAX_CURSOR:
                raise ValueError("too long")
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            field, descending, backwards, value, pk = json.loads(raw)
            ordering = Ordering(str(field), bool(descending))
            if ordering != self.ordering:
                raise ValueError("another order")
            return bool(backwards), (
                _cleaned(queryset.model, ordering.field, value),
                _cleaned(queryset.model, "pk", pk),
            )
        except (ValueError, TypeError, RecursionError, binascii.Error, ValidationError):
            raise BadCursor from None


def _cleaned(model: type[Model], name: str, value: Any) -> Any:
    """The value as its column holds it; raises ValidationError, ValueError or TypeError for another kind."""
    field = _field(model, name)
    if value is None:
        if not field.null:
            raise ValueError(name)
        return None
    if isinstance(value, bool | list | dict):
        raise TypeError(name)
    cleaned = field.to_python(value)
    if isinstance(cleaned, int) and abs(cleaned) >= 2**63:
        raise ValueError(name)
    if isinstance(cleaned, datetime) and (cleaned.tzinfo is None or not 1 < cleaned.year < 9999):
        raise ValueError(name)
    if isinstance(cleaned, str) and "\0" in cleaned.encode().decode():  # and no half characters
        raise ValueError(name)
    return cleaned


def _rows(queryset: QuerySet[Any], keys: Sequence[Any]) -> list[Any]:
    """The rows with these keys, in their order. To sort whole rows takes ten times as long as to sort their keys."""
    found = queryset.in_bulk(keys)
    return [found[key] for key in keys if key in found]


def _size(request: Request, usual: int, most: int) -> int:
    try:
        asked = int(request.query_params.get("page_size", ""))
    except ValueError:
        return usual
    return min(asked, most) if asked > 0 else usual


class PagesOrKeyset(BasePagination):
    """Numbered pages with a count; with `cursor` in the query (empty for the first page) anchored ones without."""

    _chosen: Pages | Keyset

    def __init__(self, ordering: Ordering = BY_AGE) -> None:
        self.ordering = ordering

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The rows of the page that the request names. Raises BadCursor, or NotFound for a page behind the last."""
        if "cursor" in request.query_params:
            self._chosen = Keyset(self.ordering)
            return self._chosen.paginate_queryset(queryset, request, view)
        self._chosen = Pages()
        keys = self.ordering.apply(queryset).values_list("pk", flat=True)
        return _rows(queryset, self._chosen.paginate_queryset(keys, request, view) or [])

    def get_paginated_response(self, data: Any) -> Response:
        return self._chosen.get_paginated_response(data)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = Pages().get_paginated_response_schema(schema)
        described["required"] = ["next", "previous", "results"]  # anchored pages have no count
        return described
