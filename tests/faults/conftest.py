from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anibridge.demo.videos import VideoLibrary
from anibridge.lib import transfer
from tests.faults import server


@pytest.fixture
def faults() -> Iterator[server.FaultServer]:
    with server.running() as running:
        yield running


@pytest.fixture
def other_faults() -> Iterator[server.FaultServer]:
    with server.running() as running:
        yield running


@pytest.fixture
def engine(
    db: None, settings: Any, tmp_path: Path, faults: server.FaultServer, monkeypatch: Any
) -> Path:
    """The engine allowed to reach the fault server only, without long pauses. The download folder."""
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [faults.place]
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    settings.DOWNLOAD_STALL_SECONDS = 1.0
    settings.DOWNLOAD_RETRIES = 3
    monkeypatch.setattr(transfer, "BACKOFF_SECONDS", 0.01)
    return settings.DOWNLOAD_DIR


@pytest.fixture(scope="session")
def video(library: VideoLibrary) -> bytes:
    """A real video of some hundred kilobytes."""
    path = library.path("generated-1080p-630s.mp4")
    assert path is not None
    return path.read_bytes()
