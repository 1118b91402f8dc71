"""Queries whose SQL is worked out once: that takes Django longer than the database takes to answer them."""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet


def sql_of(queryset: "QuerySet[Any, Any]") -> tuple[str, tuple[Any, ...]]:
    """The statement of a query, with `%s` where its parameters go, and these in their order.

    An empty statement where nothing can match: then there is nothing to be asked.
    """
    try:
        statement, params = queryset.query.sql_with_params()
    except EmptyResultSet:
        return "", ()
    return statement, tuple(params)
