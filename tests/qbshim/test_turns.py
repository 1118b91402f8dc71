"""Reading takes turns, and nobody waits for long for somebody else's."""

import threading

import pytest

from qbshim import turns
from tests.qbshim.conftest import Caller


def test_a_place_is_given_back_after_an_answer_and_after_an_error(sonarr: Caller):
    for _ in range(3 * turns.AT_ONCE):
        assert sonarr.get("app/version").status_code == 200
        assert sonarr.get("torrents/properties", hash="0" * 40).status_code == 404
    assert all(turns.places.acquire(blocking=False) for _ in range(turns.AT_ONCE))
    turns.places.release(turns.AT_ONCE)


def test_reading_goes_on_although_others_hang(sonarr: Caller, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    begun, over = threading.Barrier(turns.AT_ONCE + 1), threading.Event()

    def hang() -> None:
        with turns.turn():
            begun.wait(30)
            over.wait(60)

    hanging = [threading.Thread(target=hang, daemon=True) for _ in range(turns.AT_ONCE)]
    for thread in hanging:
        thread.start()
    begun.wait(30)
    try:
        assert sonarr.get("app/version").status_code == 200
    finally:
        over.set()
        for thread in hanging:
            thread.join(30)
    assert all(turns.places.acquire(blocking=False) for _ in range(turns.AT_ONCE))
    turns.places.release(turns.AT_ONCE)


def test_commands_wait_for_nobody(sonarr: Caller):
    with turns.turn(), turns.turn():
        assert sonarr.post("torrents/stop", hashes="all").status_code == 200
