"""How fast a link is downloaded, against curl on the same loopback, and how much memory that takes.

Run `python -m bench.download`. A download is a whole job here: claimed, fetched, checked, renamed, with its progress
in a database. Printed are megabytes a second, their ratio to curl's of the same minute, what three at once come to
together, and the memory of the process for growing files. Files lie in memory, where the system lets them.
"""

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
MB = 1_000_000


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: the disk would be what is measured."""
    shared = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(
        prefix="anibridge-bench-", dir=shared if shared.is_dir() else None
    ) as folder:
        yield Path(folder)


def serve(folder: Path) -> None:
    """Serve the folder's files with sendfile, as a good file server does, until the parent goes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_send, args=(sock, folder), daemon=True).start()


def _send(sock: socket.socket, folder: Path) -> None:
    with sock:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += sock.recv(65536)
        path = folder / asked.split(b" ")[1].decode().lstrip("/").partition("?")[0]
        size = path.stat().st_size
        head = (
            f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "x"\r\nConnection: close\r\n\r\n'
        )
        sock.sendall(head.encode())
        with path.open("rb") as file:
            offset = 0
            while offset < size:
                offset += os.sendfile(sock.fileno(), file.fileno(), offset, 1 << 22)


class Engine:
    """A process that downloads what it is told to, as a worker does."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.download", "--engine"],
            cwd=PROJECT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def begin(self, url: str) -> None:
        """Start a download; `end` waits for it."""
        assert self._process.stdin
        self._process.stdin.write(f"{url}\n")
        self._process.stdin.flush()

    def end(self) -> tuple[float, float]:
        """Seconds of the processor that it took, and the most memory that the process has had so far, in MB."""
        work, memory = self._answer().split()
        return float(work), float(memory)

    def run(self, url: str) -> tuple[float, float]:
        self.begin(url)
        return self.end()

    def _answer(self) -> str:
        out: IO[str] | None = self._process.stdout
        assert out
        line = out.readline()
        if not line:
            raise SystemExit("the engine has ended")
        return line

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def engine() -> None:
    """The child: a job for each line of its input."""
    import django

    django.setup()
    from downloads import runner, transitions
    from downloads.models import Downloader, DownloaderKind, Job

    builtin, _ = Downloader.objects.get_or_create(
        kind=DownloaderKind.BUILTIN, defaults={"name": "built in"}
    )
    print("ready", flush=True)  # noqa: T201
    for number, line in enumerate(sys.stdin):
        job = Job.objects.create(
            infohash=f"{os.getpid():020x}{number:020x}",
            name="file",
            download_type="http",
            url=line.strip(),
            episode=0,
            save_path=str(Path(os.environ["ANIBRIDGE_DOWNLOAD_DIR"]) / str(os.getpid())),
            magnet_metadata={"mode": "download"},
            downloader=builtin,
        )
        before = _work(resource.RUSAGE_SELF)
        token = transitions.claim(job.pk, str(os.getpid()))
        assert token is not None
        runner.execute(job.pk, token)
        work = _work(resource.RUSAGE_SELF) - before
        job.refresh_from_db()
        if job.status != "completed":
            raise SystemExit(job.error_message)
        Path(job.result_path).unlink()
        print(work, _most_memory(), flush=True)  # noqa: T201


def _work(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _most_memory() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return 0.0


@dataclass
class Fetched:
    """One measurement: megabytes a second of all together, and seconds of the processor."""

    rate: float
    work: float


def curl(urls: Sequence[str], size: int, folder: Path) -> Fetched:
    """Fetch all of them at once by curl."""
    before, began = _work(resource.RUSAGE_CHILDREN), time.perf_counter()
    running = [
        subprocess.Popen(["curl", "-sf", "-o", str(folder / f"curl-{number}"), url])  # noqa: S603, S607
        for number, url in enumerate(urls)
    ]
    for process in running:
        if process.wait():
            raise SystemExit("curl failed")
    took = time.perf_counter() - began
    for number in range(len(urls)):
        (folder / f"curl-{number}").unlink()
    rate = len(urls) * size / took / MB
    return Fetched(rate, _work(resource.RUSAGE_CHILDREN) - before)


def ours(engines: Sequence[Engine], url: str, size: int) -> Fetched:
    """Have each engine fetch it, all at once."""
    began = time.perf_counter()
    for one in engines:
        one.begin(url)
    work = sum([one.end()[0] for one in engines])
    return Fetched(len(engines) * size / (time.perf_counter() - began) / MB, work)


def ratio(those: Sequence[Fetched], others: Sequence[Fetched]) -> float:
    """Of rates that were measured one after the other, so that both had the same machine."""
    return statistics.median(a.rate / b.rate for a, b in zip(those, others, strict=True))


def rate(those: Sequence[Fetched]) -> float:
    return statistics.median(one.rate for one in those)


def measure(megabytes: int, rounds: int) -> Iterator[str]:
    """The lines of the report."""
    with scratch() as folder, ExitStack() as stack:
        served = folder / "served"
        served.mkdir()
        base = _server(served, stack)
        env = _installation(folder)
        engines = []
        for _ in range(3):
            engines.append(Engine(env))
            stack.callback(engines[-1].close)
        size = megabytes * MB
        _file(served / "large.bin", size)
        url = f"{base}/large.bin"
        single, by_curl, three, three_curls = [], [], [], []
        for _ in range(rounds):
            by_curl.append(curl([url], size, folder))
            single.append(ours(engines[:1], url, size))
            three_curls.append(curl([url] * 3, size, folder))
            three.append(ours(engines, url, size))
        work = statistics.median(a.work / b.work for a, b in zip(by_curl, single, strict=True))
        yield (
            f"one file of {megabytes} MB      {rate(single):6.0f} MB/s  curl {rate(by_curl):6.0f} MB/s = "
            f"{ratio(single, by_curl):.2f}x; for the processor's time {work:.2f}x"
        )
        yield (
            f"three at once, together  {rate(three):6.0f} MB/s  curl {rate(three_curls):6.0f} MB/s = "
            f"{ratio(three, three_curls):.2f}x; of one alone {ratio(three, single):.2f}x (curl {ratio(three_curls, by_curl):.2f}x)"
        )
        (served / "large.bin").unlink()
        yield _memory(env, served, base, stack)


def _memory(env: dict[str, str], served: Path, base: str, stack: ExitStack) -> str:
    fresh = Engine(env)
    stack.callback(fresh.close)
    found = []
    for megabytes in (1, 10, 100, 1000):
        _file(served / "file.bin", megabytes * MB)
        found.append((megabytes, fresh.run(f"{base}/file.bin?{megabytes}")[1]))
    said = "  ".join(f"{size} MB: {memory:.0f}" for size, memory in found)
    return f"most memory of the process, by file size  {said}  (x{found[-1][1] / found[0][1]:.2f})"


def _file(path: Path, size: int) -> None:
    block = os.urandom(MB)
    with path.open("wb") as file:
        for _ in range(size // MB):
            file.write(block)


def _server(folder: Path, stack: ExitStack) -> str:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "bench.download", "--serve", str(folder)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stdout
    return f"http://127.0.0.1:{process.stdout.readline().strip()}"


def _installation(folder: Path) -> dict[str, str]:
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")},
        "ANIBRIDGE_DATA_DIR": str(folder / "data"),
        "ANIBRIDGE_DOWNLOAD_DIR": str(folder / "downloads"),
        "ANIBRIDGE_DEMO": "false",
        "ANIBRIDGE_LOG_LEVEL": "WARNING",
        "OUTBOUND_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "DOWNLOAD_RESERVE": "0",
        "DJANGO_SETTINGS_MODULE": "anibridge.settings",
    }
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=PROJECT, env=env, check=True)  # noqa: S603
    return env


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    elif options.engine:
        engine()
    else:
        for line in measure(options.megabytes, options.rounds):
            print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
