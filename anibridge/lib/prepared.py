"""Queries whose SQL is worked out once: that takes Django longer than the database takes to answer them."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)
Converters = Mapping[int, tuple[Sequence[Callable[..., Any]], Any]]


def sql_of(queryset: "QuerySet[Any, Any]") -> tuple[str, tuple[Any, ...]]:
    """The statement of a query, with `%s` where its parameters go, and these in their order.

    An empty statement where nothing can match: then there is nothing to be asked.
    """
    try:
        statement, params = queryset.query.sql_with_params()
    except EmptyResultSet:
        return "", ()
    return statement, tuple(params)


def instances(
    model: type[M],
    statement: str,
    params: Sequence[Any],
    *,
    only: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
) -> list[M]:
    """What such a statement finds: rows of a model. `only` are the fields that the query was restricted to, `also` the
    names of what it is annotated with.

    As `objects.raw`, which works out anew each time which column is which field, and how each is read.
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    names, converters = _fields(model, only, connection.vendor)
    if rows and len(rows[0]) != len(names) + len(also):
        raise ValueError(f"{len(rows[0])} columns are not {model.__name__}'s {[*names, *also]}")
    found = []
    for row in rows:
        values = list(row)
        for place, (functions, column) in converters.items():
            for function in functions:
                values[place] = function(values[place], column, connection)
        one = model.from_db(connection.alias, names, values[: len(names)])
        for name, value in zip(also, values[len(names) :], strict=True):
            setattr(one, name, value)
        found.append(one)
    return found


@lru_cache(maxsize=64)
def _fields(model: type[Model], only: tuple[str, ...], vendor: str) -> tuple[list[str], Converters]:
    """The fields in the order in which a query has them, and how a database of this kind has some of them read."""
    fields = [
        one
        for one in model._meta.concrete_fields
        if not only or one.primary_key or one.name in only
    ]
    query = QuerySet(model).query
    columns = [field.get_col(model._meta.db_table) for field in fields]
    converters = query.get_compiler(connection=connection).get_converters(columns)
    return [field.attname for field in fields], converters
