"""A host to play from, a player, and a source that says where the videos are."""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from catalogue.errors import NoStream
from catalogue.releases import Identity
from strm import links, sources, streams
from strm.limits import Slots
from strm.models import StreamKind
from strm.sources import Found
from tests.strm import host as hosts
from tests.strm.host import Host
from tests.strm.player import Player


@dataclass
class Source:
    """Where each title is: a list of streams in the order of their hosts, or something that makes it."""

    titles: dict[str, Any] = field(default_factory=dict)
    looked: list[str] = field(default_factory=list)
    left: list[set[str]] = field(default_factory=list)
    """The hosts that were out of the question, for each look."""

    def offer(self, slug: str, *found: Found) -> str:
        """A title; returns its signed link."""
        self.titles[slug] = list(found)
        return self.link(slug)

    def link(self, slug: str, **options: Any) -> str:
        return links.stream_url(identity(slug), base_url=Player.base, **options)

    def find(self, identity: Identity, provider: str, gone: Collection[str]) -> Found:
        self.looked.append(identity.slug)
        self.left.append({name.casefold() for name in gone})
        offered = self.titles.get(identity.slug, [])
        found = offered() if callable(offered) else offered
        for one in found:
            if one.provider.casefold() not in gone:
                return one
        raise NoStream("no host has a stream (none is left)")


def identity(slug: str) -> Identity:
    return Identity("link", slug, 0, None, "")


def stream(url: str, provider: str = "VOE", kind: str = "file", **headers: str) -> Found:
    """A stream as a resolver finds it."""
    return Found(url, provider, StreamKind(kind), headers)


def require(program: str) -> None:
    """Skips without the program; in CI, where `make services` has installed it, fails."""
    if shutil.which(program):
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and in CI it must be")
    pytest.skip(f"needs {program}")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of twelve seconds as a file, as HLS of two kinds and as DASH; made once for all workers of a run."""
    from tests.strm import server as servers

    require("ffmpeg")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "strm-films"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            for kind in servers.SEGMENTED:
                servers.segmented(folder, kind)
            (folder / "done").touch()
    return folder


@pytest.fixture
def host(settings: Any) -> Iterator[Host]:
    with hosts.running() as running:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [running.place]
        yield running


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    found = Source()
    monkeypatch.setitem(sources.SOURCES, "link", found.find)
    return found


@pytest.fixture
def player(
    transactional_db: None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Player]:
    slots = Slots(tmp_path / "streams")
    monkeypatch.setattr(streams, "_slots", [slots])
    running = Player()
    yield running
    running.close()
    slots.close()
