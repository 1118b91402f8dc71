"""Sending a message: it may get lost, and nobody waits for long for a broker."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from kombu.exceptions import OperationalError

from anibridge import celery
from anibridge.lib import turns


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def _app(port: int) -> celery.App:
    made = celery.App("sending", set_as_current=False)
    made.conf.broker_url = f"redis://127.0.0.1:{port}/0"
    return made


def test_a_broker_that_is_silent_is_not_waited_for_for_ever(
    silent: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(celery.SENDING, "socket_timeout", 0.2)
    with closing(_app(silent)) as app, pytest.raises(OperationalError, match="Timeout"):
        app.send_task("catalogue.refresh_due", retry=False)


def test_a_broker_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])

    def slept(seconds: float) -> None:
        raise AssertionError(f"slept for {seconds} s before another try")

    monkeypatch.setattr("kombu.utils.functional.sleep", slept)
    with closing(_app(port)) as app, pytest.raises(OperationalError):
        app.send_task("catalogue.refresh_due", retry=False)


def test_who_sends_a_message_has_no_place_meanwhile(monkeypatch: pytest.MonkeyPatch):
    free = []

    def sent(self: celery.App, *args: object, **kwargs: object) -> None:
        free.append(turns.places.free)

    monkeypatch.setattr("celery.Celery.send_task", sent)
    with turns.turn():
        celery.app.send_task("catalogue.refresh_due")
    assert free == [turns.AT_ONCE]
