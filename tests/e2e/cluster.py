"""Real workers in processes of their own, on a database and a broker of their own, and a look into their database."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

PROJECT = Path(__file__).resolve().parents[2]
ADD = """
import json, sys
from downloads import dispatch
from tests.downloads.carrying import link_job
for url, fields in json.loads(sys.stdin.read()):
    dispatch.nudge(link_job(url, **fields).pk)
"""


@dataclass
class Cluster:
    """An installation in a folder: `env` is what every process of it gets."""

    data: Path
    env: Mapping[str, str]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def downloads(self) -> Path:
        return self.data / "downloads"

    def manage(self, *arguments: str, say: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=dict(self.env),
            input=say,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(self, links: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Queue links for the built-in downloader."""
        self.manage("shell", "--no-imports", "-c", ADD, say=json.dumps(links))

    def worker(self, name: str, slots: int) -> None:
        """Start a worker for downloads, as `manage.py up` would."""
        options = ["--without-gossip", "--without-mingle", "--prefetch-multiplier", "1"]
        queue = ["-Q", "downloads", "-n", f"{name}@%h", "-c", str(slots)]
        self._start(name, "worker", *options, *queue, "--loglevel", "INFO")

    def beat(self) -> None:
        """Start the scheduler and a worker for short tasks: the sweeper is one of them."""
        self._start("beat", "beat", "--pidfile", "", "--max-interval", "1")
        quiet = ["--without-gossip", "--without-mingle", "-Q", "default"]
        self._start("short", "worker", *quiet, "-n", "short@%h", "-c", "1")

    def _start(self, name: str, *arguments: str) -> None:
        with (self.data / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "anibridge", *arguments],
                cwd=PROJECT,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """SIGKILL to the worker and all its children, in the middle of whatever they do."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def terminate(self, name: str, seconds: float = 30.0) -> int:
        """SIGTERM, and how it ended."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"{name} did not stop within {seconds:.0f} s: {self.log(name)}")

    def log(self, name: str) -> str:
        return (self.data / f"{name}.log").read_text()[-3000:]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        url = self.env.get("DATABASE_URL")
        if url:
            with psycopg.connect(url) as connection:
                return list(connection.execute(query))
        with closing(sqlite3.connect(self.data / "anibridge.sqlite3", timeout=30)) as connection:
            return list(connection.execute(query))

    def until(self, query: str, wanted: Callable[[Any], bool], seconds: float = 120.0) -> Any:
        """Ask for a single value until it is as wanted; fails with what the workers said."""
        until = time.monotonic() + seconds
        while True:
            value = self.rows(query)[0][0]
            if wanted(value):
                return value
            if time.monotonic() > until:
                said = {name: self.log(name) for name in self.processes}
                states = self.rows("SELECT status, error_message FROM downloads_job LIMIT 5")
                pytest.fail(f"still {value}: {states} {said}")
            time.sleep(0.1)

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def cluster(data: Path, *, allowed: str, extra: Mapping[str, str]) -> Iterator[Cluster]:
    """An empty installation without running processes; `allowed` is the private place it may fetch from."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANIBRIDGE_", "DJANGO_", "DATABASE_", "CELERY_", "DOWNLOAD_"))
    }
    env = {
        **inherited,
        "ANIBRIDGE_DATA_DIR": str(data),
        "ANIBRIDGE_DEMO": "false",
        "OUTBOUND_ALLOWED_PRIVATE_HOSTS": allowed,
        "DOWNLOAD_PER_HOST": "0",
        "DOWNLOAD_SILENT_SECONDS": "5",
        "PYTHONPATH": str(PROJECT),
        **extra,
    }
    data.mkdir()
    made = Cluster(data, env)
    made.manage("prepare")
    try:
        yield made
    finally:
        made.stop()
