"""Settings are tried as a process of their own: what counts is what a user sees at the start."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SHOW = "from anibridge import settings; print(repr(settings.{0}))"


def python(data: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG"}}
    env |= {"ANIBRIDGE_DATA_DIR": str(data), **variables}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def manage(data: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return python(data, "manage.py", *arguments, **variables)


def setting(data: Path, name: str, **variables: str) -> str:
    done = python(data, "-c", SHOW.format(name), **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ANIBRIDGE_PORT", "eighty"),
        ("ANIBRIDGE_PORT", "99999"),
        ("ANIBRIDGE_DEMO", "ture"),
        ("DOWNLOAD_CONCURRENCY", "0"),
        ("DOWNLOAD_RATE_LIMIT", "fast"),
        ("ANIBRIDGE_LOG_LEVEL", "LOUD"),
        ("TZ", "Middle/Earth"),
        ("DATABASE_URL", "nonsense"),
        ("ANIBRIDGE_API_KEY", "short"),
        ("ANIBRIDGE_API_KEY", "with spaces & ampersands"),
    ],
)
def test_a_bad_variable_stops_the_start_with_one_line_that_names_it(
    tmp_path: Path, variable: str, value: str
):
    done = manage(tmp_path, "check", **{variable: value})
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("anibridge: bad setting: ")
    assert variable in line


def test_all_bad_variables_are_named_at_once(tmp_path: Path):
    done = manage(tmp_path, "check", ANIBRIDGE_PORT="x", DOWNLOAD_RETRIES="-1")
    assert "ANIBRIDGE_PORT" in done.stderr
    assert "DOWNLOAD_RETRIES" in done.stderr


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    done = manage(tmp_path / "file" / "data", "check")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "cannot be written" in line
    assert "ANIBRIDGE_DATA_DIR" in line


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path):
    first = setting(tmp_path, "API_KEY")
    assert setting(tmp_path, "API_KEY") == first
    for name in ("api_key", "secret_key", "admin_password"):
        path = tmp_path / "secrets" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_text().strip()) >= 20


def test_a_secret_may_come_from_a_file_and_is_stripped(tmp_path: Path):
    (tmp_path / "key").write_text("abcdefgh12345678\n")
    shown = setting(tmp_path, "API_KEY", ANIBRIDGE_API_KEY_FILE=str(tmp_path / "key"))
    assert shown == "'abcdefgh12345678'"
    assert not (tmp_path / "secrets" / "api_key").exists()


@pytest.mark.parametrize(
    ("text", "size"), [("10MB", 10_000_000), ("512KiB", 524_288), ("0", 0), ("1.5M", 1_500_000)]
)
def test_a_rate_may_be_given_in_units(tmp_path: Path, text: str, size: int):
    assert setting(tmp_path, "DOWNLOAD_RATE_LIMIT", DOWNLOAD_RATE_LIMIT=text) == str(size)


def test_no_site_is_enabled_unless_named(tmp_path: Path):
    assert setting(tmp_path, "CATALOGUE_SITES") == "[]"
    assert setting(tmp_path, "CATALOGUE_SITES", ANIBRIDGE_DEMO="true") == "['demo']"
    named = setting(tmp_path, "CATALOGUE_SITES", ANIBRIDGE_DEMO="true", CATALOGUE_SITES="aniworld")
    assert named == "['aniworld']"


def test_the_demo_allows_exactly_its_own_address(tmp_path: Path):
    allowed = setting(
        tmp_path,
        "OUTBOUND_ALLOWED_PRIVATE_HOSTS",
        ANIBRIDGE_DEMO="true",
        ANIBRIDGE_DEMO_PORT="8055",
    )
    assert allowed == "['127.0.0.1:8055']"
    assert setting(tmp_path, "OUTBOUND_ALLOWED_PRIVATE_HOSTS") == "[]"
