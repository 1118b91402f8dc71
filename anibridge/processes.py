"""The processes of one machine under one supervisor: what they are, and how they start and stop together."""

import configparser
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from anibridge.lib.errors import Misconfigured

STOP_SECONDS = 8
"""How long a process may take to stop before it is killed; the whole must stop within ten."""
TETHERED = Path(__file__).parent / "lib" / "tethered.py"


def run_dir() -> Path:
    """Folder for what only matters while AniBridge runs."""
    return settings.DATA_DIR / "run"


def programs() -> dict[str, list[str]]:
    """Name → command of every process that belongs to a running AniBridge."""
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "anibridge", "worker", "--loglevel", settings.LOG_LEVEL]
    quiet = ["--without-gossip", "--without-mingle"]
    commands = {
        "web": [
            python, "-m", "gunicorn", "anibridge.asgi:application", "-c", "python:anibridge.webserver",
            "--bind", f"{settings.HOST}:{settings.PORT}", "--workers", str(settings.WEB_WORKERS),
            "--log-level", settings.LOG_LEVEL.lower(),
        ],
        "worker": [*celery, *quiet, "-Q", "default", "-n", "default@%%h", "-c", "2"],
        "downloads": [
            *celery, *quiet, "-Q", "downloads", "-n", "downloads@%%h",
            # The claim keeps to DOWNLOAD_CONCURRENCY; the others are for downloads that are started by force.
            "-c", str(settings.DOWNLOAD_CONCURRENCY + settings.DOWNLOAD_FORCED_SLOTS),
            "--prefetch-multiplier", "1",
        ],
        "beat": [
            python, "-m", "celery", "-A", "anibridge", "beat", "--loglevel", settings.LOG_LEVEL,
            "--pidfile", "", "--max-interval", "5",
        ],
    }  # fmt: skip
    if settings.DEMO:
        commands["demo"] = [
            python, str(settings.BASE_DIR / "manage.py"), "serve_demo", "--site", "demo",
            "--host", "127.0.0.1", "--port", str(settings.DEMO_PORT),
        ]  # fmt: skip
    return commands


def require_free_port(host: str, port: int, variable: str) -> None:
    """Raises Misconfigured when something listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Misconfigured(
                f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it or set {variable}"
            ) from None


def require_writable(folder: Path, variable: str) -> None:
    """Raises Misconfigured when a file cannot be made in `folder`, which is created if need be."""
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Misconfigured(
            f"{folder} cannot be written ({error.strerror}): make it writable or set {variable}"
        ) from None


@contextmanager
def only_one() -> Iterator[None]:
    """Holds the data directory for this process; raises Misconfigured when another AniBridge has it."""
    run_dir().mkdir(parents=True, exist_ok=True)
    with (run_dir() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Misconfigured(
                f"AniBridge is running with {settings.DATA_DIR} already: stop it or set ANIBRIDGE_DATA_DIR"
            ) from None
        yield


def write_config(*, console: bool) -> Path:
    """Write supervisord's configuration for `programs()` and return its path."""
    logs = settings.DATA_DIR / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _literal(logs / "supervisor.log"),
        "logfile_maxbytes": "5MB",
        "logfile_backups": "1",
        "pidfile": _literal(run_dir() / "supervisord.pid"),
        "directory": _literal(settings.BASE_DIR),
        "childlogdir": _literal(logs),
        "strip_ansi": "true",
    }
    if os.geteuid() == 0:  # said explicitly, or supervisord complains about it
        config["supervisord"]["user"] = "root"
    commands = programs()
    # One group: a group's members are told to stop at once, groups one after the other.
    config["group:anibridge"] = {"programs": ",".join(commands)}
    for name, command in commands.items():
        # supervisord execs the tether with itself as parent; 0 would leave the check out.
        tethered = [sys.executable, _literal(TETHERED), "%(ENV_ANIBRIDGE_SUPERVISOR_PID)s"]
        config[f"program:{name}"] = {
            "command": _join([*tethered, *command]),
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "1000000",
            "stopsignal": "TERM",
            "stopwaitsecs": str(STOP_SECONDS),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": "/dev/fd/1" if console else _literal(logs / f"{name}.log"),
            "stdout_logfile_maxbytes": "0" if console else "10MB",
            "stdout_logfile_backups": "2",
        }
    path = run_dir() / "supervisord.conf"
    with path.open("w") as file:
        config.write(file)
    return path


def _literal(path: Path) -> str:
    """supervisord expands `%`."""
    return str(path).replace("%", "%%")


def _join(parts: list[str]) -> str:
    import shlex

    return " ".join(part if "%(" in part else shlex.quote(part) for part in parts)


def start(config: Path) -> "subprocess.Popen[bytes]":
    """Start supervisord as a tethered child in a session of its own, so that Ctrl-C reaches only us."""
    launcher = [
        sys.executable, str(TETHERED), str(os.getpid()), "/bin/sh", "-c",
        # The shell's pid becomes supervisord's by exec: that is the parent its children are tied to.
        'ANIBRIDGE_SUPERVISOR_PID=$$ exec "$@"', "sh",
        sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config),
    ]  # fmt: skip
    return subprocess.Popen(launcher, start_new_session=True)  # noqa: S603


def stop(supervisor: "subprocess.Popen[bytes]") -> None:
    """Stop everything: asked first, killed when that takes too long."""
    if supervisor.poll() is not None:
        return
    supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.wait(STOP_SECONDS + 1.5)
    except subprocess.TimeoutExpired:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
