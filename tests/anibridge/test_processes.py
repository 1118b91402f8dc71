import configparser
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from anibridge import processes
from anibridge.lib.errors import Misconfigured


@pytest.fixture(autouse=True)
def own_data(settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path / "my 100% data"
    settings.DATA_DIR.mkdir()
    processes.run_dir().mkdir()
    return settings.DATA_DIR


def read() -> configparser.RawConfigParser:
    config = configparser.RawConfigParser()
    config.read(processes.write_config(console=False))
    return config


def test_all_processes_are_in_one_group_and_end_as_a_group(settings):
    settings.DEMO = True
    config = read()
    names = config["group:anibridge"]["programs"].split(",")
    assert names == ["web", "worker", "downloads", "beat", "demo"]
    for name in names:
        program = config[f"program:{name}"]
        assert program["killasgroup"] == "true"
        assert int(program["stopwaitsecs"]) < 10


def test_the_demo_runs_only_where_it_is_wanted(settings):
    settings.DEMO = False
    assert "program:demo" not in read()


def test_concurrency_and_address_come_from_the_settings(settings):
    settings.DOWNLOAD_CONCURRENCY, settings.HOST, settings.PORT = 7, "0.0.0.0", 8123
    settings.DOWNLOAD_FORCED_SLOTS = 2
    config = read()
    assert shlex.split(config["program:downloads"]["command"])[-3:-2] == ["9"]
    assert "0.0.0.0:8123" in config["program:web"]["command"]


def test_percent_signs_in_paths_are_literal_to_the_supervisor(own_data: Path):
    assert "100%% data" in read()["program:web"]["stdout_logfile"]


def test_a_taken_port_is_named_with_the_variable_to_change():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"127.0.0.1:{port} .*ANIBRIDGE_PORT"):
            processes.require_free_port("127.0.0.1", port, "ANIBRIDGE_PORT")
    processes.require_free_port("127.0.0.1", port, "ANIBRIDGE_PORT")


def test_only_one_may_use_a_data_directory():
    with processes.only_one(), pytest.raises(Misconfigured, match="is running with"):
        processes.only_one().__enter__()
    with processes.only_one():
        assert (processes.run_dir() / "lock").exists()


def test_a_tethered_command_ends_with_its_parent(tmp_path: Path):
    """The parent starts a tethered `sleep`, tells its pid and is killed."""
    if sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent")
    parent = subprocess.Popen(
        [
            sys.executable, "-c",
            "import os, subprocess, sys, time\n"
            f"child = subprocess.Popen([sys.executable, {str(processes.TETHERED)!r}, str(os.getpid()), 'sleep', '60'])\n"
            "time.sleep(1)\n"
            "print(child.pid, flush=True)\n"
            "time.sleep(60)\n",
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    command = Path(f"/proc/{pid}/cmdline")
    assert b"sleep" in command.read_bytes()
    parent.kill()
    parent.wait()
    gone = subprocess.run(
        ["timeout", "10", "sh", "-c", f"while grep -qs sleep /proc/{pid}/cmdline; do sleep 0.1; done"],
        check=False,
    )  # fmt: skip
    assert gone.returncode == 0
