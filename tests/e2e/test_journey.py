"""The whole journey with real processes: web, workers, beat and the demo catalogue, as `make demo` walks it."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from anibridge.demo import house, journey

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.xdist_group("e2e-journey")]


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's full-length videos; a folder that outlives the run saves making them again."""
    kept = PROJECT / "data" / "demo"
    return kept if kept.is_dir() else tmp_path_factory.mktemp("videos")


def service(variable: str) -> str:
    """The address of a service; without it the test is skipped, except where it has to be there."""
    address = os.environ.get(variable, "")
    if not address:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{variable} is not set, and in CI the service must be there")
        pytest.skip(f"needs {variable}; `make services` installs it")
    return address


@pytest.fixture
def on_services() -> Iterator[Mapping[str, str]]:
    """A database and a Redis of the test's own."""
    database, broker = service("TEST_DATABASE_URL"), service("TEST_REDIS_URL")
    name = f"journey_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield {
            "DATABASE_URL": database.rsplit("/", 1)[0] + f"/{name}",
            "CELERY_BROKER_URL": broker.rsplit("/", 1)[0] + "/7",
        }
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    with redis.from_url(broker.rsplit("/", 1)[0] + "/7") as client:
        client.flushdb()


def walk(data: Path, videos: Path, extra: Mapping[str, str]) -> list[str]:
    """Start, walk, stop; the names of the steps in order."""
    steps: list[str] = []
    with house.running(PROJECT, data, videos=videos, extra=extra) as access:
        arrived = journey.walk(
            access, tell=lambda step, found: steps.append(step) if step != "waiting" else None
        )
    assert list(arrived.polls) == sorted(arrived.polls), "progress went back"
    assert any(0 < progress < 1 for progress in arrived.polls), "no live progress was seen"
    assert arrived.polls[-1] == 1
    return steps


@dataclass(frozen=True)
class Process:
    pid: int
    command: list[str]


def processes_of(data: Path) -> list[Process]:
    """Every process that runs with this data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            if f"ANIBRIDGE_DATA_DIR={data}".encode() in environ.split(b"\0"):
                command = (entry / "cmdline").read_bytes().decode().split("\0")
                found.append(Process(int(entry.name), command))
        except OSError:  # it ended while we looked
            continue
    return found


def until(
    client: Any, infohash: str, wanted: Callable[[Mapping[str, Any]], bool], seconds: float = 90
) -> Mapping[str, Any]:
    """Poll a torrent until it is as wanted; fails with its last state."""
    deadline = time.monotonic() + seconds
    torrent: Mapping[str, Any] = {}
    while time.monotonic() < deadline:
        torrent = client.torrents_info(torrent_hashes=infohash)[0]
        if wanted(torrent):
            return torrent
        time.sleep(0.2)
    pytest.fail(f"still {torrent['state']} at {torrent['progress']:.0%}: {torrent.get('comment')}")


STEPS = ["caps", "feed", "search", "pick", "grab", "connect", "add", "completed", "remove"]


def test_the_journey_works_from_an_empty_folder(tmp_path: Path, videos: Path):
    assert walk(tmp_path / "data", videos, {}) == STEPS


@pytest.mark.services
def test_the_journey_works_on_postgresql_and_redis(
    tmp_path: Path, videos: Path, on_services: Mapping[str, str]
):
    assert walk(tmp_path / "data", videos, on_services) == STEPS


def test_a_stop_parks_the_download_and_the_next_start_finishes_it(tmp_path: Path, videos: Path):
    data = tmp_path / "data"
    env = house.environment(data, videos=videos, extra={"DOWNLOAD_RATE_LIMIT": "1500KB"})
    data.mkdir()
    log = tmp_path / "up.log"

    process = house.start(PROJECT, env, log)
    try:
        house.wait_until_ready(process, log)
        access = house.access(env)
        offer, magnet = journey.find(access, journey.Wanted())
        with journey.connected(access) as client:
            assert client.torrents_add(urls=magnet, category="tv") == "Ok."
            before = until(client, offer.infohash, lambda torrent: 0.1 < torrent["progress"] < 1)
    finally:
        code = house.stop(process)
    assert code == 0
    assert log.read_text().endswith("Stopped.\n")
    assert [p.pid for p in processes_of(data)] == []

    process = house.start(PROJECT, env, log)
    try:
        house.wait_until_ready(process, log)
        with journey.connected(house.access(env)) as client:
            first = client.torrents_info(torrent_hashes=offer.infohash)[0]
            assert first["progress"] >= before["progress"], "it started over"
            done = until(client, offer.infohash, lambda torrent: torrent["state"] == "stoppedUP")
            assert Path(str(done["content_path"])).stat().st_size == done["size"]
    finally:
        house.stop(process)


def test_workers_that_die_are_replaced_and_their_download_is_finished(tmp_path: Path, videos: Path):
    data = tmp_path / "data"
    extra = {"DOWNLOAD_RATE_LIMIT": "1500KB", "DOWNLOAD_SILENT_SECONDS": "5"}
    with house.running(PROJECT, data, videos=videos, extra=extra) as access:
        offer, magnet = journey.find(access, journey.Wanted())
        with journey.connected(access) as client:
            client.torrents_add(urls=magnet)
            until(client, offer.infohash, lambda torrent: 0.1 < torrent["progress"] < 1)
            killed = [p for p in processes_of(data) if "downloads@" in " ".join(p.command)]
            assert killed
            for process in killed:
                os.kill(process.pid, signal.SIGKILL)
            done = until(client, offer.infohash, lambda torrent: torrent["state"] == "stoppedUP")
            assert Path(str(done["content_path"])).stat().st_size == done["size"]
