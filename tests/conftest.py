"""Fixtures for the whole suite. Nothing in it may leave this machine."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from anibridge.demo.server import build_app, in_thread
from anibridge.demo.videos import Recipe, VideoLibrary
from catalogue.index import current
from catalogue.models import Site

TINY = Recipe(scale=0.03)
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to any other machine is an error of the test that makes it."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(
            LOOPBACK
        ):
            raise AssertionError(f"a test tried to reach {address}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def fresh_memory() -> Iterator[None]:
    """What a process remembers between requests must not leak from test to test."""
    cache.clear()
    yield
    current.forget()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> VideoLibrary:
    """The demo's videos, seconds long; made once for all workers of a run."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # the run's own folder; each worker has one below it
    library = VideoLibrary(shared / "demo-videos", TINY)
    library.ensure()
    return library


@pytest.fixture
def demo_url(library: VideoLibrary) -> Iterator[str]:
    """A demo catalogue that runs in this process, unthrottled."""
    with in_thread(build_app(library, rate=0)) as url:
        yield url


@pytest.fixture
def demo_site(demo_url: str, db: None, settings: Any, tmp_path: Path) -> Site:
    """The demo catalogue as an enabled site, allowed by host and port; downloads go to a folder of the test."""
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [demo_url.removeprefix("http://")]
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    return Site.objects.create(
        site_id="demo",
        display_name="Demo catalogue",
        base_url=demo_url,
        enabled=True,
        search_priority=10,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first: they mostly wait, and one worker makes them while the others do the rest."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
