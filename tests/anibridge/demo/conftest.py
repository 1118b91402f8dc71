"""What the tests of the demo need beyond the shared fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anibridge.demo.server import build_app, in_thread
from anibridge.demo.videos import Recipe, VideoLibrary


@pytest.fixture
def base(library: VideoLibrary) -> Iterator[str]:
    with in_thread(build_app(library, rate=0)) as url:
        yield url


@pytest.fixture
def scratch(tmp_path: Path) -> VideoLibrary:
    """An empty library whose videos are made quickly."""
    return VideoLibrary(tmp_path / "videos", Recipe(scale=0.01))
