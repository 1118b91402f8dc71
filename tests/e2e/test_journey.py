"""The whole journey with real processes: web, workers, beat and the demo catalogue, as `make demo` walks it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import redis

from anibridge.demo import house, journey

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.xdist_group("e2e")]


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
        arrived = journey.walk(access, tell=lambda step, found: steps.append(step))
    assert list(arrived.polls) == sorted(arrived.polls), "progress went back"
    assert any(0 < progress < 1 for progress in arrived.polls), "no live progress was seen"
    assert arrived.polls[-1] == 1
    return steps


STEPS = ["caps", "feed", "search", "pick", "connect", "add", "completed", "remove"]


def test_the_journey_works_from_an_empty_folder(tmp_path: Path, videos: Path):
    assert walk(tmp_path / "data", videos, {}) == STEPS


@pytest.mark.services
def test_the_journey_works_on_postgresql_and_redis(
    tmp_path: Path, videos: Path, on_services: Mapping[str, str]
):
    assert walk(tmp_path / "data", videos, on_services) == STEPS
