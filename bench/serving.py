"""An AniBridge to measure: the web process as in production, a database of its own, and clients that wait for answers."""

import http.client
import json
import multiprocessing
import multiprocessing.synchronize
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

PROJECT = Path(__file__).resolve().parent.parent
PROCESSES = 2


@dataclass(frozen=True)
class Served:
    """Where it listens, and what to run `manage.py` and Python with beside it."""

    port: int
    api_key: str
    env: Mapping[str, str] = field(repr=False)

    def python(self, *arguments: str) -> None:
        """Run Python with the installation's variables."""
        subprocess.run([sys.executable, *arguments], cwd=PROJECT, env=dict(self.env), check=True)  # noqa: S603


@dataclass(frozen=True)
class Ask:
    """One kind of request: `paths` are taken in turn; `headers` and `body` as they are sent.

    `each` has further headers for each client, `bodies` one body for each request. With `carry`, `{carry}` in a path is
    what the client's last answer, a JSON object, says under this key; 0 at first.
    """

    name: str
    paths: Sequence[str]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    status: int = 200
    each: Sequence[Mapping[str, str]] = ()
    bodies: Sequence[bytes] = ()
    carry: str = ""


@dataclass(frozen=True)
class Latency:
    """Milliseconds, and how many answers a second all clients together had."""

    p50: float
    p95: float
    p99: float
    rate: float
    size: float
    """Bytes of an answer, on average."""


@contextmanager
def served(fill: Sequence[str], *, postgresql: str = "", workers: int = 2) -> Iterator[Served]:
    """A migrated installation in a temporary folder, filled by `python <fill>`, and its web process.

    `postgresql` is the address of a server on which a database of the benchmark's own is made.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="anibridge-bench-") as folder:
        env = {
            **os.environ,
            "ANIBRIDGE_DATA_DIR": folder,
            "ANIBRIDGE_PORT": str(port),
            "ANIBRIDGE_WEB_WORKERS": str(workers),
            "ANIBRIDGE_LOG_LEVEL": "WARNING",
            "ANIBRIDGE_DEMO": "false",
            "PYTHONPATH": str(PROJECT),
        }
        env.pop("DATABASE_URL", None)
        with _database(postgresql) as url:
            env |= {"DATABASE_URL": url} if url else {}
            here = Served(port, "", env)
            here.python("manage.py", "migrate", "--verbosity", "0")
            here.python(*fill)
            key = (Path(folder) / "secrets" / "api_key").read_text().strip()
            process = subprocess.Popen(_web(port, workers), cwd=PROJECT, env=env)  # noqa: S603
            try:
                _wait(port)
                yield Served(port, key, env)
            finally:
                process.terminate()
                process.wait(20)


def _web(port: int, workers: int) -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", "anibridge.asgi:application",
        "-c", "python:anibridge.webserver", "--bind", f"127.0.0.1:{port}",
        "--workers", str(workers), "--log-level", "warning",
    ]  # fmt: skip


@contextmanager
def _database(address: str) -> Iterator[str]:
    if not address:
        yield ""
        return
    name = f"bench_{os.getpid()}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield address.rsplit("/", 1)[0] + f"/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _wait(port: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def measure(port: int, ask: Ask, *, clients: int, seconds: float) -> Latency:
    """`clients` that each ask again as soon as they were answered, over kept connections, for so long."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    shares = [clients // PROCESSES + (n < clients % PROCESSES) for n in range(PROCESSES)]
    shares = [share for share in shares if share]
    ready = context.Barrier(len(shares))
    runners = [
        context.Process(target=_clients, args=(port, ask, share, n * 1000, seconds, results, ready))
        for n, share in enumerate(shares)
    ]
    for runner in runners:
        runner.start()
    told = [json.loads(results.get(timeout=seconds + 120)) for _ in runners]
    for runner in runners:
        runner.join()
    for one in told:
        if one["wrong"]:
            raise SystemExit(f"{ask.name}: {one['wrong']}")
    times = sorted(time_ for one in told for time_ in one["times"])
    cuts = statistics.quantiles(times, n=100)
    size = sum(one["bytes"] for one in told) / len(times)
    return Latency(cuts[49], cuts[94], cuts[98], len(times) / seconds, size)


def _clients(
    port: int,
    ask: Ask,
    count: int,
    first: int,
    seconds: float,
    results: "multiprocessing.Queue[str]",
    ready: "multiprocessing.synchronize.Barrier",
) -> None:
    times: list[list[float]] = [[] for _ in range(count)]
    sizes, wrong = [0] * count, [""] * count

    def together() -> None:
        # With the other processes' clients: what prepares one must not disturb what is measured at another.
        ready.wait()

    start = threading.Barrier(count, action=together)

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        place = first + number * 37
        mine = (
            first // 1000 * count + number
        )  # among all clients, where processes have as many each
        headers = {**ask.headers, **(ask.each[mine % len(ask.each)] if ask.each else {})}
        bodies = iter(ask.bodies[mine :: count * PROCESSES])
        carried: object = 0
        if ask.carry:  # the first answer is another kind of request, and not what is measured
            connection.request(
                ask.method, ask.paths[0].replace(f"{{{ask.carry}}}", "0"), headers=headers
            )
            carried = json.loads(connection.getresponse().read())[ask.carry]
        start.wait()
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until and not wrong[number]:
            path = ask.paths[place % len(ask.paths)].replace(f"{{{ask.carry}}}", str(carried))
            connection.request(ask.method, path, body=next(bodies, ask.body), headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            times[number].append((time.perf_counter() - began) * 1000)
            sizes[number] += len(body)
            place += 1
            if ask.carry and answer.status == ask.status:
                carried = json.loads(body)[ask.carry]
            if answer.status != ask.status:
                wrong[number] = f"{path[:80]} answered {answer.status}: {body[:200]!r}"

    threads = [threading.Thread(target=client, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flat = [one for some in times for one in some]
    results.put(json.dumps({"times": flat, "bytes": sum(sizes), "wrong": "".join(wrong)[:500]}))


def report(
    port: int,
    asks: Sequence[Ask],
    *,
    clients: int,
    seconds: float,
    write: Callable[[str], None],
) -> None:
    """Measure each kind and print it beside `/healthz`, which passes through the same server and does nothing."""
    reference = Ask("healthz", ["/healthz"])
    base = None
    for ask in (reference, *asks):
        measure(port, ask, clients=2, seconds=1)  # connections to the database, caches
        found = measure(port, ask, clients=clients, seconds=seconds)
        base = base or found
        write(
            f"  {ask.name:24} p50 {found.p50:7.1f} ms  p95 {found.p95:7.1f} ms  p99 {found.p99:7.1f} ms"
            f"  {found.rate:7.0f}/s  {found.size / 1024:7.1f} KiB  p95 = {found.p95 / base.p95:5.1f}x healthz"
        )
