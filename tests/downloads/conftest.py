"""What the tests of downloads share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from catalogue.models import Site
from tests.catalogue.factories import SiteFactory
from tests.downloads.odd import Odd, odd_qbittorrent
from tests.downloads.protocol import Double, double
from tests.downloads.qbittorrents import QB, qbittorrent
from tests.downloads.rest import client as rest_client


@pytest.fixture
def downloads_root(settings: Any, tmp_path: Path) -> Path:
    """A download folder of the test's own."""
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir(exist_ok=True)
    return settings.DOWNLOAD_DIR


@pytest.fixture
def api() -> APIClient:
    """REST, as a client with the API key has it."""
    return rest_client()


@pytest.fixture
def demo(db: None) -> Site:
    """The site `demo`, as a row; nothing answers there."""
    return SiteFactory(site_id="demo")


@pytest.fixture
def service() -> Iterator[Double]:
    """A downloader that speaks the batch protocol."""
    with double() as it:
        yield it


@pytest.fixture
def second() -> Iterator[Double]:
    """Another one."""
    with double() as it:
        yield it


@pytest.fixture
def odd() -> Iterator[Odd]:
    """A qBittorrent that answers as the test wants it."""
    with odd_qbittorrent() as it:
        yield it


@pytest.fixture(scope="session")
def seeder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QB]:
    """A real qBittorrent that has what the other one fetches."""
    with qbittorrent(tmp_path_factory.mktemp("seeder")) as it:
        yield it


@pytest.fixture(scope="session")
def fetching_qbittorrent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QB]:
    """A real qBittorrent that fetches."""
    with qbittorrent(tmp_path_factory.mktemp("leecher")) as it:
        yield it
