"""Reading takes turns, and nobody waits for long for somebody else's."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from anibridge.lib import turns
from tests.qbshim.conftest import Caller


@contextmanager
def _all_taken() -> Iterator[None]:
    assert all(turns.places.take(0) for _ in range(turns.AT_ONCE))
    try:
        yield
    finally:
        for _ in range(turns.AT_ONCE):
            turns.places.give_back()


def test_a_place_is_given_back_after_an_answer_and_after_an_error(sonarr: Caller):
    for _ in range(3 * turns.AT_ONCE):
        assert sonarr.get("app/version").status_code == 200
        assert sonarr.get("torrents/properties", hash="0" * 40).status_code == 404
        assert turns.places.free == turns.AT_ONCE


def test_reading_goes_on_although_others_hang(sonarr: Caller, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    with _all_taken():
        assert sonarr.get("app/version").status_code == 200


def test_commands_wait_for_nobody(sonarr: Caller):
    with _all_taken():
        assert sonarr.post("torrents/stop", hashes="all").status_code == 200
