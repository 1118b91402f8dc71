"""A whole AniBridge of its own, in a folder of its own, on free ports: for `make demo` and the suite."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from anibridge.demo.journey import Access, JourneyFailed
from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError

START_SECONDS = 240.0
STOP_SECONDS = 15.0


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on right now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def environment(data_dir: Path, *, videos: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The variables of a fresh installation in `data_dir`: nothing of ours is inherited."""
    port, demo_port = free_ports(2)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANIBRIDGE_", "DJANGO_", "DATABASE_", "CELERY_", "CATALOGUE_"))
    }
    return inherited | {
        "ANIBRIDGE_DATA_DIR": str(data_dir),
        "ANIBRIDGE_PORT": str(port),
        "ANIBRIDGE_DEMO_PORT": str(demo_port),
        "ANIBRIDGE_DEMO": "true",
        "ANIBRIDGE_DEMO_VIDEOS": str(videos),
        # One user for a minute: starting more processes would take longer than they save.
        "ANIBRIDGE_WEB_WORKERS": "1",
        "DOWNLOAD_CONCURRENCY": "1",
        **extra,
    }


def access(env: Mapping[str, str]) -> Access:
    """How to get into the installation that was started with `env`; its secrets must exist by now."""
    secrets = Path(env["ANIBRIDGE_DATA_DIR"]) / "secrets"
    return Access(
        base_url=f"http://127.0.0.1:{env['ANIBRIDGE_PORT']}",
        api_key=(secrets / "api_key").read_text().strip(),
        username="admin",
        password=(secrets / "admin_password").read_text().strip(),
    )


def start(project: Path, env: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """`manage.py up` with its output in `log`."""
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, str(project / "manage.py"), "up"],
            cwd=project,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait_until_ready(
    process: "subprocess.Popen[bytes]", log: Path, *, seconds: float = START_SECONDS
) -> None:
    """Returns when `up` says that it is ready; raises JourneyFailed with its last words when it ends or dawdles."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if "is ready." in log.read_text():
            return
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise JourneyFailed(f"AniBridge did not start: {log.read_text()[-2000:]}")


def stop(process: "subprocess.Popen[bytes]", *, seconds: float = STOP_SECONDS) -> int:
    """Ctrl-C, and the exit code; raises JourneyFailed when it does not stop."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise JourneyFailed(f"AniBridge did not stop within {seconds:.0f} s") from None


@contextmanager
def running(
    project: Path, data_dir: Path, *, videos: Path, extra: Mapping[str, str] | None = None
) -> Iterator[Access]:
    """Start an AniBridge, yield the way in, stop it again."""
    env = environment(data_dir, videos=videos, extra=extra or {})
    log = data_dir / "up.log"
    data_dir.mkdir(parents=True, exist_ok=True)
    process = start(project, env, log)
    try:
        wait_until_ready(process, log)
        yield access(env)
    finally:
        stop(process)


def answers(base_url: str) -> bool:
    """Whether an AniBridge is ready at this address."""
    netloc = base_url.split("://", 1)[-1]
    try:
        return (
            http.fetch(
                f"{base_url}/readyz", session=http.session(trusted=(netloc,)), timeout=3
            ).status
            == 200
        )
    except AniBridgeError:
        return False
