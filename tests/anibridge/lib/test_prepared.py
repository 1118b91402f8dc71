"""Statements that are worked out once find what the ORM finds."""

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import F

from anibridge.lib.prepared import instances, sql_of

MOMENT = datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=UTC)


@pytest.fixture
def users(db: None) -> list[User]:
    names = ("ada", "björn", "c'est")
    return [
        User.objects.create(username=name, is_staff=name == "ada", last_login=MOMENT, date_joined=MOMENT)
        for name in names
    ]  # fmt: skip


def test_rows_are_those_of_the_orm_with_values_of_the_same_types(users: list[User]):
    statement, params = sql_of(User.objects.filter(is_active=True).order_by("pk"))
    found = instances(User, statement, params)
    assert found == users
    fields = [field.attname for field in User._meta.concrete_fields]
    for mine, other in zip(found, User.objects.order_by("pk"), strict=True):
        assert [getattr(mine, name) for name in fields] == [getattr(other, name) for name in fields]
        assert type(mine.is_staff) is bool
        assert mine.last_login == MOMENT
    assert not found[0]._state.adding
    found[0].email = "ada@example.org"
    found[0].save()
    assert User.objects.get(username="ada").email == "ada@example.org"


def test_foreign_keys_can_be_followed(users: list[User]):
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(
        user=users[1], content_type=kind, object_id="7", object_repr="x", action_flag=CHANGE
    )
    [entry] = instances(LogEntry, *sql_of(LogEntry.objects.all()))
    assert (entry.user, entry.content_type) == (users[1], kind)


def test_what_it_was_not_asked_for_is_read_when_it_is_wanted(users: list[User]):
    only = ("username", "last_login")
    rows = instances(User, *sql_of(User.objects.only(*only).order_by("pk")), only=only)
    assert [row.username for row in rows] == ["ada", "björn", "c'est"]
    assert rows[0].get_deferred_fields() >= {"email", "password"}
    assert rows[0].is_staff is True


def test_what_a_query_is_annotated_with_is_there(users: list[User]):
    query = User.objects.annotate(number=F("id"), called=F("username")).filter(is_staff=True)
    [row] = instances(User, *sql_of(query), also=("number", "called"))
    assert (row.number, row.called) == (row.pk, "ada")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("only", "also"), [((), ()), (("username",), ()), ((), ("one", "two"))]
)  # fmt: skip
def test_columns_are_never_taken_for_others(users: list[User], only: tuple, also: tuple):
    statement, params = sql_of(User.objects.annotate(one=F("id")))
    with pytest.raises(ValueError, match="columns are not User's"):
        instances(User, statement, params, only=only, also=also)


def test_a_query_that_can_find_nothing_has_no_statement(db: None):
    assert sql_of(User.objects.none()) == ("", ())
