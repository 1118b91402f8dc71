"""qbittorrent-api's own tests against AniBridge: `make upstream`.

They are written for a real qBittorrent 5.1.0 and are taken, as they are, from the source package of the version that is
installed here; nothing of them is kept in this project. A real web process answers them, with a data directory of its
own. Which of them cannot pass, and why, is in `deselected.toml`; every other one must.

Further arguments go to pytest (`-k trackers`). `--all` runs the deselected ones too.
"""

import argparse
import functools
import http.client
import http.server
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

from qbittorrentapi import Client

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parents[1]
PACKAGE: Final = "qbittorrent-api"
USER, PASSWORD = (
    "admin",
    "adminadmin",
)  # what the tests sign in with, unless they are told otherwise
PUBLIC: Final = "/tmp"  # they write below it, as qBittorrent's container lets them
CLAIMED: Final = "v5.1.0"
START_SECONDS: Final = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; returns pytest's exit status."""
    parser = argparse.ArgumentParser(prog="make upstream", description=__doc__)
    parser.add_argument("--all", action="store_true", help="run the deselected tests too")
    options, rest = parser.parse_known_args(arguments)
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="anibridge-upstream-", dir=PUBLIC)
        folder = Path(stack.enter_context(temporary))
        sources = _unpacked(_source(version(PACKAGE)), folder / PACKAGE)
        files = stack.enter_context(_given_out(sources / "tests" / "_resources"))
        port = stack.enter_context(
            _anibridge(folder / "data", allowed=urllib.parse.urlsplit(files).netloc)
        )
        env = _environment(folder, port, files, everything=options.all)
        command = [
            sys.executable, "-m", "pytest", "-p", "upstream_shims", "-p", "no:cacheprovider", "-q", "--tb=short",
            "--no-header", "--basetemp", str(folder / "pytest"), *rest,
        ]  # fmt: skip
        return subprocess.run(command, cwd=sources, env=env, check=False).returncode


def _source(wanted: str) -> Path:
    """The source package of this version, downloaded once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "anibridge" / "upstream"
    names = f"{PACKAGE.replace('-', '[-_]')}-{wanted}.tar.gz"
    if not any(folder.glob(names)):
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ]
        what = ["--no-deps", "--no-binary", ":all:", "--dest", str(folder), f"{PACKAGE}=={wanted}"]
        subprocess.run([*command, *what], check=True)
    return next(folder.glob(names))


def _unpacked(archive: Path, folder: Path) -> Path:
    """Its content in `folder`; the tests want to lie in one that is called like the project."""
    with tarfile.open(archive) as content:
        content.extractall(folder.parent, filter="data")
        top = content.getnames()[0].split("/")[0]
    (folder.parent / top).rename(folder)
    return folder


@contextmanager
def _given_out(folder: Path) -> Iterator[str]:
    """The .torrent files, which the tests would fetch from the project's site, on this machine; the address."""
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """What was fetched is of no interest."""


@contextmanager
def _anibridge(data: Path, *, allowed: str) -> Iterator[int]:
    """A web process as in production, beside it what looks behind links; the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    env = {
        **_inherited(),
        "ANIBRIDGE_DATA_DIR": str(data),
        "ANIBRIDGE_PORT": str(port),
        "ANIBRIDGE_ADMIN_USER": USER,
        "ANIBRIDGE_ADMIN_PASSWORD": PASSWORD,
        "ANIBRIDGE_DEMO": "false",
        "ANIBRIDGE_LOG_LEVEL": "ERROR",
        "OUTBOUND_ALLOWED_PRIVATE_HOSTS": allowed,
        "QBIT_PUBLIC_SAVE_PATH": PUBLIC,
        "PYTHONPATH": str(PROJECT),
    }
    data.mkdir()
    subprocess.run([sys.executable, "manage.py", "prepare"], cwd=PROJECT, env=env, check=True)
    web = [
        sys.executable, "-m", "gunicorn", "anibridge.asgi:application", "-c", "python:anibridge.webserver",
        "--bind", f"127.0.0.1:{port}", "--workers", "2", "--log-level", "warning",
    ]  # fmt: skip
    looking = [sys.executable, "-m", "tests.upstream.looking", str(os.getpid())]
    with ExitStack() as stack:
        for command in (web, looking):
            stack.enter_context(_running(command, env))
        _wait(port)
        with Client(f"http://127.0.0.1:{port}", username=USER, password=PASSWORD) as client:
            client.app_set_preferences({"save_path": f"{PUBLIC}/downloads"})
        yield port


@contextmanager
def _running(command: Sequence[str], env: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=PROJECT, env=dict(env))
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _inherited() -> dict[str, str]:
    """The environment without what configures another AniBridge."""
    ours = (
        "ANIBRIDGE_",
        "DJANGO_",
        "DATABASE_",
        "CELERY_",
        "DOWNLOAD_",
        "QBIT",
        "PYTEST_",
        "OUTBOUND_",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _environment(folder: Path, port: int, files: str, *, everything: bool) -> dict[str, str]:
    """What the tests read, and what our plugin does. They tidy the home directory up, so it is not a real one."""
    home = folder / "home"
    home.mkdir()
    env = _inherited()
    env.pop("CI", None)  # there they stop the server at the end
    return env | {
        "HOME": str(home),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(HERE / "shims"),
        "QBITTORRENTAPI_HOST": "localhost:8080",
        "QBITTORRENTAPI_USERNAME": USER,
        "QBITTORRENTAPI_PASSWORD": PASSWORD,
        "QBT_VER": CLAIMED,
        "UPSTREAM_PORT": str(port),
        "UPSTREAM_FILES": files,
        "UPSTREAM_DESELECTED": "" if everything else str(HERE / "deselected.toml"),
    }


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise SystemExit("AniBridge did not start") from None
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
