"""The playback proxy against nginx `proxy_pass` (buffering off), in the same minute, from the same host of videos.

Run `python -m bench.strm` (needs nginx: `apt-get install nginx-light`). A first nginx is the host; a second one, and
AniBridge behind its usual web server, pass its files on. Both proxies have two processes. Prints throughput of one stream,
time to first byte, paced players that count their stalls, the API's latency beside them, and memory per stream.
"""

import argparse
import asyncio
import multiprocessing
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MB = 1_000_000
BIG = 1_000 * MB
SMALL = 64 * 1024
START_SECONDS = 3.0
"""A player begins to show the film after so long; from then on it takes what the film needs."""
AHEAD_SECONDS = 5.0
JOINING_SECONDS = 8.0
"""The players come one after the other within this time."""
ELSEWHERE = 512 * 1024
"""Bytes that the kernel may keep for a player and for the host of a film. In life those are other machines; here the kernel
would take gigabytes for them, and then drop what arrives at anybody."""
SETTLED_SECONDS = JOINING_SECONDS + 4.0
SAMPLE_SECONDS = 5.0
CONFIG = """
daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log; worker_processes 2; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_timeout 75; keepalive_requests 1000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  types {{ video/mp4 mp4; }}
  {upstream}
  server {{ listen 127.0.0.1:{port} backlog=1024{listen}; {inner} }}
}}
"""
FORWARD = "location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; }}"  # fmt: skip


@dataclass(frozen=True)
class Proxy:
    """One of the two under measurement: where a file is, and which processes do the work."""

    name: str
    port: int
    paths: dict[str, str]
    master: int

    @property
    def pids(self) -> tuple[int, ...]:
        """Its processes at this moment."""
        return (self.master, *children(self.master))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx(
    folder: Path, name: str, inner: str, upstream: str = "", listen: str = ""
) -> Iterator[tuple[int, int]]:
    """An nginx of our own; gives its port and the pid of its master."""
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / f"{name}.conf"
    config.write_text(
        CONFIG.format(
            folder=folder,
            name=name,
            port=port,
            inner=inner,
            upstream=upstream,
            user=user,
            listen=listen,
        )
    )
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config)])  # noqa: S603, S607
    try:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"nginx did not start; see {folder}/{name}.log")
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


def children(pid: int) -> tuple[int, ...]:
    """The processes below a process."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry.name), *children(int(entry.name))]
    return tuple(found)


def listening(port: int) -> int:
    """The child of ours that was started with this port."""
    for pid in children(os.getpid()):
        if f":{port}" in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    raise SystemExit("the web server is gone")


def memory(pids: tuple[int, ...]) -> int:
    """Bytes that the processes have for themselves, with their share of what they share."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def processor(pids: tuple[int, ...]) -> float:
    """Seconds of processor time that the processes have used: a load beside them does not count."""
    total = 0
    for pid in pids:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(parts[11]) + int(parts[12])
    return total / os.sysconf("SC_CLK_TCK")


def request(path: str, extra: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{extra}\r\n".encode()


def throughput(proxy: Proxy) -> float:
    """MB a second of one stream."""
    buffer = bytearray(1024 * 1024)
    with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
        sock.sendall(request(proxy.paths["big"], "Connection: close\r\n"))
        start, total = time.perf_counter(), 0
        while count := sock.recv_into(buffer):
            total += count
        seconds = time.perf_counter() - start
    if total < BIG:
        raise SystemExit(f"{proxy.name}: only {total} bytes came")
    return total / seconds / MB


def first_byte(proxy: Proxy) -> float:
    """Milliseconds from a new connection to the first byte of a seek."""
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
        begin = secrets.randbelow(BIG - SMALL)
        span = f"Range: bytes={begin}-{begin + SMALL - 1}\r\nConnection: close\r\n"
        sock.sendall(request(proxy.paths["big"], span))
        head = sock.recv(65536)
        took = (time.perf_counter() - start) * 1000
        if b" 206 " not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"{proxy.name}: {head[:200]!r}")
        while sock.recv(65536):
            pass
    return took


async def _player(
    port: int, path: str, rate: float, seconds: float, delay: float
) -> tuple[int, float, float]:
    """Plays at `rate` bytes a second; how often it had nothing to show, for how long in all, and how long after its start
    that was over for the first time."""
    await asyncio.sleep(delay)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ELSEWHERE)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=256 * 1024)
    writer.write(request(path, "Connection: close\r\n"))
    clock = asyncio.get_running_loop().time
    start, got, stalls, silent, first = clock(), 0, 0, 0.0, 0.0
    begun = start + START_SECONDS
    while (now := clock()) < start + seconds:
        if (got / rate) - (now - begun) > AHEAD_SECONDS:
            await asyncio.sleep(0.25)
            continue
        block = await reader.read(128 * 1024)
        if not block:
            stalls, silent = stalls + 1, silent + seconds
            break
        got += len(block)
        # The film waits while nothing is there, and then goes on from where it was.
        late = (clock() - begun) - got / rate
        if late > 0:
            stalls, silent, begun = stalls + 1, silent + late, begun + late
            first = first or clock() - start
    writer.transport.abort()
    return stalls, silent, first


def _play(proxy: Proxy, count: int, rate: float, seconds: float, results: Any) -> None:
    async def all_of_them() -> list[tuple[int, float, float]]:
        return await asyncio.gather(
            *(
                _player(
                    proxy.port, proxy.paths["big"], rate, seconds, JOINING_SECONDS * number / count
                )
                for number in range(count)
            )
        )

    results.put(asyncio.run(all_of_them()))


def players(
    proxy: Proxy, options: argparse.Namespace, api: Any, before: dict[str, Any]
) -> Iterator[str]:
    """Plays films at 8 Mbit/s; processor time and memory while they do, then the API beside them."""
    empty = memory(proxy.pids)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    arguments = (proxy, options.players, MB, options.seconds, results)
    runner = context.Process(target=_play, args=arguments)
    runner.start()
    time.sleep(SETTLED_SECONDS)
    used, began = processor(proxy.pids), time.perf_counter()
    time.sleep(SAMPLE_SECONDS)
    used = (processor(proxy.pids) - used) / (time.perf_counter() - began)
    held = memory(proxy.pids) - empty
    beside = api()
    times = ", ".join(f"{beside.p95 / one.p95:.1f}x {name}" for name, one in before.items())
    before[f"beside {proxy.name}"] = beside
    played = results.get(timeout=options.seconds + 120)
    runner.join()
    stalled = [one for one in played if one[0]]
    _, worst, first = max(played, key=lambda one: one[1])
    yield (
        f"  {proxy.name:9} {options.players} players at 8 Mbit/s for {options.seconds:.0f} s: {len(stalled)} stalled "
        f"(longest {worst:.2f} s, first over after {first:.1f} s), {held / options.players / 1024:.0f} KiB a stream, {used:.2f} processors; "
        f"API beside them p50 {beside.p50:.1f} ms, p95 {beside.p95:.1f} ms = {times}"
    )


def fill(host: str) -> None:
    """Run inside the installation: the address of the big file is known already."""
    from datetime import timedelta

    import django

    django.setup()
    from django.utils import timezone

    from catalogue.releases import Identity
    from strm.models import StreamKind, StrmUrlMapping, mapping_key

    identity = Identity("link", "big", 0, None, "")
    now = timezone.now()
    StrmUrlMapping.objects.create(
        key=mapping_key(identity, ""),
        **StrmUrlMapping.fields_of(identity, ""),
        resolved_url=f"http://{host}/big.mp4",
        kind=StreamKind.FILE,
        host="127.0.0.1",
        version=1,
        resolved_at=now,
        expires_at=now + timedelta(hours=5),
    )


def measure(ours: Proxy, reference: Proxy, options: argparse.Namespace, api: Any) -> Iterator[str]:
    """The lines of the report."""
    both = (reference, ours)
    for proxy in both:
        throughput(proxy)
    rates: dict[str, list[float]] = {proxy.name: [] for proxy in both}
    used = {proxy.name: -processor(proxy.pids) for proxy in both}
    for _ in range(options.rounds):
        for proxy in both:
            rates[proxy.name].append(throughput(proxy))
    used = {proxy.name: used[proxy.name] + processor(proxy.pids) for proxy in both}
    median = {name: statistics.median(values) for name, values in rates.items()}
    yield (
        f"  one stream: nginx {median['nginx']:.0f} MB/s, anibridge {median['anibridge']:.0f} MB/s "
        f"= {median['anibridge'] / median['nginx']:.2f}x; processor time for a GB: "
        f"{used['nginx'] / options.rounds:.2f} s and {used['anibridge'] / options.rounds:.2f} s"
    )
    waits: dict[str, list[float]] = {proxy.name: [] for proxy in both}
    for _ in range(options.seeks):
        for proxy in both:
            waits[proxy.name].append(first_byte(proxy))
    cuts = {name: statistics.quantiles(values, n=20) for name, values in waits.items()}
    yield (
        f"  first byte of a seek: nginx p50 {cuts['nginx'][9]:.2f} p95 {cuts['nginx'][18]:.2f} ms, anibridge "
        f"p50 {cuts['anibridge'][9]:.2f} p95 {cuts['anibridge'][18]:.2f} ms "
        f"= {cuts['nginx'][9] / cuts['anibridge'][9]:.2f}x"
    )
    alone = api()
    yield f"  API alone: p50 {alone.p50:.1f} ms, p95 {alone.p95:.1f} ms"

    before = {"alone": alone}
    for proxy in both:
        yield from players(proxy, options, api, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="streams of 1 GB through each")
    parser.add_argument("--seeks", type=int, default=200)
    parser.add_argument("--players", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=40.0, help="how long each plays")
    parser.add_argument("--fill", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.fill)
        return
    if not shutil.which("nginx"):
        print("bench.strm needs nginx to compare with: apt-get install nginx-light")  # noqa: T201
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="anibridge-bench-")))
        folder.chmod(0o755)
        with (folder / "big.mp4").open("wb") as file:
            file.write(b"\0\0\0\x20ftypisom" + secrets.token_bytes(MB))
            file.truncate(BIG)
        port, _ = stack.enter_context(
            nginx(folder, "host", f"root {folder};", listen=f" sndbuf={ELSEWHERE}")
        )
        origin = f"upstream origin {{ server 127.0.0.1:{port}; keepalive 256; }}"
        passing, master = stack.enter_context(nginx(folder, "pass", FORWARD.format(), origin))
        reference = Proxy("nginx", passing, {"big": "/big.mp4"}, master)
        ours, api = stack.enter_context(anibridge(f"127.0.0.1:{port}", folder))
        told = f"{os.cpu_count()} cores for host, proxies and players; load {os.getloadavg()[0]:.1f} before"
        print(told)  # noqa: T201
        for line in measure(ours, reference, options, api):
            print(line, flush=True)  # noqa: T201


@contextmanager
def anibridge(host: str, folder: Path) -> Iterator[tuple[Proxy, Any]]:
    """An installation that may fetch from the host, and something that measures its API."""
    os.environ |= {
        "ANIBRIDGE_SECRET_KEY": secrets.token_hex(20),
        "OUTBOUND_ALLOWED_PRIVATE_HOSTS": host,
        "STRM_MAX_STREAMS_PER_HOST": "0",
        "STRM_MAX_STREAMS": "1000",
        "DJANGO_SETTINGS_MODULE": "anibridge.settings",
        "ANIBRIDGE_DATA_DIR": str(folder / "data"),
    }
    from bench.serving import Ask, measure, served
    from catalogue.releases import Identity
    from strm import links

    link = links.stream_url(Identity("link", "big", 0, None, ""), base_url="")
    with served(["-m", "bench.strm", "--fill", host]) as here:
        master = listening(here.port)
        proxy = Proxy("anibridge", here.port, {"big": link}, master)
        ask = Ask("sites", ["/api/v1/sites"], headers={"X-Api-Key": here.api_key})

        def api() -> Any:
            """One client, several connections one after the other: two at once are as fast as the processes they happen to reach."""
            rounds = [measure(here.port, ask, clients=1, seconds=2) for _ in range(5)]
            return sorted(rounds, key=lambda one: one.p95)[2]

        yield proxy, api


if __name__ == "__main__":
    main()
