"""A kept connection is noticed to be gone without asking for it."""

import pytest
from django.db import connection
from django.db.backends.postgresql import base

from anibridge.lib.postgresql.base import DatabaseWrapper


@pytest.fixture
def kept(transactional_db: None) -> DatabaseWrapper:
    """A second connection to the same database."""
    if connection.vendor != "postgresql":
        pytest.skip("is about connections to PostgreSQL")
    wrapper = DatabaseWrapper(connection.settings_dict, alias="kept")
    wrapper.inc_thread_sharing()
    return wrapper


def process_of(wrapper: DatabaseWrapper) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_one_that_is_fine_is_used_again_without_a_question(
    kept: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch
):
    first = process_of(kept)
    monkeypatch.setattr(
        base.DatabaseWrapper, "is_usable", lambda self: pytest.fail("the server was asked")
    )
    assert kept.is_usable()
    assert process_of(kept) == first
    kept.close()


def test_one_that_the_server_has_ended_is_replaced(kept: DatabaseWrapper):
    first = process_of(kept)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 30000)", [first])
        assert cursor.fetchone() == (True,)
    assert not kept.is_usable()
    kept.health_check_enabled = True
    kept.health_check_done = False
    assert process_of(kept) != first
    kept.close()


def test_one_that_was_closed_here_is_none(kept: DatabaseWrapper):
    process_of(kept)
    kept.connection.close()
    assert not kept.is_usable()
