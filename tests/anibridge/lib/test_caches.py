"""What is only remembered is missed by nobody when the place it is remembered in fails."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache.backends.base import BaseCache

from anibridge.lib import caches


@pytest.fixture(autouse=True)
def nothing_failed_before() -> Iterator[None]:
    caches._again.clear()
    yield
    caches._again.clear()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def nobody() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _redis(port: int) -> caches.Redis:
    patience = {"socket_connect_timeout": 0.2, "socket_timeout": 0.2}
    return caches.Redis(f"redis://127.0.0.1:{port}/0", {"OPTIONS": patience})


def _is_empty(cache: BaseCache) -> bool:
    cache.set("name", "value", 60)
    return (
        cache.get("name") is None
        and cache.get("name", "other") == "other"
        and cache.add("name", "value", 60) is False
        and cache.delete("name") is False
        and cache.get_or_set("name", lambda: 7) == 7
    )


def _without_folder(place: Path) -> caches.Files:
    """A cache in whose folder's place there is a file."""
    cache = caches.Files(str(place), {})
    place.rmdir()
    place.touch()
    return cache


def test_a_redis_that_refuses_is_an_empty_cache(nobody: int):
    assert _is_empty(_redis(nobody))


def test_a_redis_that_is_silent_is_waited_for_once(silent: socket.socket):
    port = silent.getsockname()[1]
    for _ in range(3):  # each request has a cache object of its own
        assert _is_empty(_redis(port))
    silent.accept()[0].close()
    silent.settimeout(0.2)
    with pytest.raises(TimeoutError):
        silent.accept()


def test_a_folder_that_cannot_be_written_is_an_empty_cache(tmp_path: Path):
    assert _is_empty(_without_folder(tmp_path / "cache"))


def test_what_failed_is_asked_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = tmp_path / "cache"
    cache = _without_folder(place)
    assert _is_empty(cache)
    place.unlink()
    assert cache.get("name") is None
    cache.set("name", "value", 60)
    assert not place.exists()
    monkeypatch.setattr(caches.time, "monotonic", lambda: max(caches._again.values()) + 1)
    cache.set("name", "value", 60)
    assert cache.get("name") == "value"


def test_what_does_not_fail_is_remembered(tmp_path: Path):
    cache = caches.Files(str(tmp_path), {})
    assert cache.add("name", "value", 60) is True
    assert cache.add("name", "other", 60) is False
    assert cache.get("name") == "value"
    assert cache.delete("name") is True
