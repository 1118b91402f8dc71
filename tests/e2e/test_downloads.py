"""Downloads by real workers, which are killed, stopped, slowed down and given much to do at once."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, cluster
from tests.e2e.test_journey import on_services as on_services
from tests.faults import server
from tests.faults.server import FaultServer, File

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.xdist_group("e2e-processes")]
Make = Callable[..., AbstractContextManager[Cluster]]
MIB = 2**20


@pytest.fixture
def files() -> Iterator[FaultServer]:
    with server.running() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("services", marks=pytest.mark.services)])
def make(request: pytest.FixtureRequest, tmp_path: Path, files: FaultServer) -> Make:
    """Makes a cluster: with SQLite and files as the broker, or with PostgreSQL and Redis."""
    services = request.getfixturevalue("on_services") if request.param == "services" else {}

    def make(**extra: str) -> AbstractContextManager[Cluster]:
        return cluster(tmp_path / "data", allowed=files.place, extra={**services, **extra})

    return make


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


COUNT = "SELECT count(*) FROM downloads_job WHERE status = '{}'"


def test_a_killed_workers_download_goes_on_from_its_bytes_at_another(
    make: Make, files: FaultServer
):
    body = noise(8 * MIB, 1)
    url = files.serve("/large.bin", File(body, kind="application/octet-stream", rate=1_500_000))
    with make() as installation:
        installation.beat()
        installation.worker("first", 1)
        installation.add([(url, {})])
        got = "SELECT downloaded_bytes FROM downloads_job"
        before = installation.until(got, lambda size: size > 3 * MIB)
        installation.kill("first")
        installation.worker("second", 1)
        installation.until(COUNT.format("completed"), lambda count: count == 1)
        ((path, attempts, deaths),) = installation.rows(
            "SELECT result_path, attempts, deaths FROM downloads_job"
        )
        assert sha(Path(path).read_bytes()) == sha(body)
        assert (attempts, deaths) == (2, 1)
        assert [p.name for p in installation.downloads.rglob("*") if p.is_file()] == ["large.bin"]
    first, second = files.ranges("/large.bin")
    assert first is None
    assert second is not None
    assert int(second.removeprefix("bytes=").rstrip("-")) >= before


def test_a_stopping_worker_parks_what_it_fetches_and_another_finishes_it(
    make: Make, files: FaultServer
):
    bodies = {f"/{n}.bin": noise(4 * MIB, n) for n in range(3)}
    for path, body in bodies.items():
        files.serve(path, File(body, kind="application/octet-stream", rate=700_000))
    with make() as installation:
        installation.beat()
        installation.worker("first", 3)
        installation.add([(files.url(path), {}) for path in bodies])
        fewest = "SELECT min(downloaded_bytes) FROM downloads_job"
        installation.until(fewest, lambda size: size > MIB)
        # It has ten seconds, and as many again for a busy machine.
        assert installation.terminate("first", seconds=20) == 0
        assert installation.rows(COUNT.format("downloading")) == [(0,)]
        parked = installation.rows("SELECT reason FROM downloads_jobevent WHERE new = 'queued'")
        assert parked.count(("the worker is stopping",)) == 3
        installation.worker("second", 3)
        installation.until(COUNT.format("completed"), lambda count: count == 3)
        for (path,) in installation.rows("SELECT result_path FROM downloads_job"):
            assert sha(Path(path).read_bytes()) == sha(bodies[f"/{Path(path).name}"])
    assert all(None not in files.ranges(path)[1:] for path in bodies), "one started over"


def test_much_at_once_is_neither_lost_nor_doubled(make: Make, files: FaultServer):
    bodies = {f"/small-{n:03}.bin": noise(20_000, n) for n in range(200)}
    bodies |= {f"/large-{n:02}.bin": noise(3 * MIB, 1000 + n) for n in range(20)}
    for path, body in bodies.items():
        files.serve(path, File(body, kind="application/octet-stream"))
    paths = list(bodies)
    random.Random(5).shuffle(paths)
    with make(DOWNLOAD_CONCURRENCY="4") as installation:
        installation.beat()
        installation.add([(files.url(path), {}) for path in paths])
        installation.worker("first", 5)
        installation.worker("second", 5)
        installation.until(COUNT.format("completed"), lambda count: count == 220, seconds=300)
        results = installation.rows("SELECT result_path, attempts, retry_count FROM downloads_job")
        assert all(row[1:] == (1, 0) for row in results)
        assert {Path(path).name for path, _, _ in results} == {path[1:] for path in paths}
        for path, _, _ in results:
            assert sha(Path(path).read_bytes()) == sha(bodies[f"/{Path(path).name}"])
        there = [p for p in installation.downloads.rglob("*") if p.is_file()]
        assert len(there) == 220
        events = installation.rows("SELECT job_id, new FROM downloads_jobevent")
        each = Counter(new for _, new in events)
        assert each == {"queued": 220, "downloading": 220, "completed": 220}
    assert Counter(one.path for one in files.asked) == dict.fromkeys(paths, 1)


def test_workers_together_keep_the_common_limit(make: Make, files: FaultServer):
    limit = 2_000_000
    body = noise(200 * MIB, 3)
    paths = [f"/{n}.bin" for n in range(4)]
    for path in paths:
        files.serve(path, File(body, kind="application/octet-stream"))
    with make(DOWNLOAD_CONCURRENCY="2", DOWNLOAD_RATE_LIMIT=str(limit)) as installation:
        installation.worker("first", 2)
        installation.worker("second", 2)
        slow = {"rate_limit": 200_000}
        installation.add([(files.url(p), slow if p == "/0.bin" else {}) for p in paths])
        installation.until(
            "SELECT count(*) FROM downloads_job WHERE downloaded_bytes > 0", lambda n: n == 4
        )
        rates = _settled(installation, limit)
        assert rates[0] < 260_000, "its own limit"
        assert all(rate > 400_000 for rate in rates[1:]), "what one may not take is shared"


def _settled(installation: Cluster, limit: int) -> list[float]:
    """Bytes a second of each, once their sum is what it should be over six seconds."""
    query = "SELECT downloaded_bytes FROM downloads_job ORDER BY url"
    until = time.monotonic() + 120
    while True:
        before, began = installation.rows(query), time.monotonic()
        time.sleep(6)
        after, took = installation.rows(query), time.monotonic() - began
        rates = [(b[0] - a[0]) / took for a, b in zip(before, after, strict=True)]
        if abs(sum(rates) - limit) <= 0.15 * limit:
            return rates
        assert time.monotonic() < until, f"{rates} add up to {sum(rates):.0f}, not {limit}"
