"""A client with the key, the queue as a list, and servers that feeds stand on."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.anibridge.lib import servers
from tests.anibridge.lib.servers import Server


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was left to a worker: (task name, *arguments)."""
    messages: list[tuple[Any, ...]] = []

    def send_task(name: str, args: tuple[Any, ...] = (), **options: Any) -> None:
        messages.append((name, *args))

    monkeypatch.setattr("downloads.links.nudges.current_app.send_task", send_task)
    return messages


@pytest.fixture
def server() -> Iterator[Server]:
    with servers.running() as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[Server]:
    with servers.running() as running:
        yield running
