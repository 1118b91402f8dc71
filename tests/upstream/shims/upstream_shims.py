"""A pytest plugin beside qbittorrent-api's tests: what they need from outside is on this machine, and those that cannot
pass are left out. It is loaded by name (`-p upstream_shims`): `tests` is a package of theirs as well as of ours.
"""

import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import urllib3.util.connection

WRITTEN_DOWN: Final = ("localhost", 8080)
"""Where some of the tests expect the server, whatever they are told."""
PORT: Final = int(os.environ["UPSTREAM_PORT"])
_URLS: Final = ("ORIG_TORRENT", "TORRENT1", "TORRENT2")
_connect = urllib3.util.connection.create_connection


def _create_connection(address: tuple[str, int], *args: Any, **kwargs: Any) -> Any:
    return _connect(("127.0.0.1", PORT) if address == WRITTEN_DOWN else address, *args, **kwargs)


# At once: their conftest asks for the version while it is imported.
urllib3.util.connection.create_connection = _create_connection


def pytest_configure(config: pytest.Config) -> None:
    """After their conftest was read, before any of their tests."""
    config.stash[_LEFT_OUT] = []
    conftest = sys.modules["tests.conftest"]
    for name in _URLS:
        file = getattr(conftest, f"{name}_FILENAME")
        setattr(conftest, f"{name}_URL", f"{os.environ['UPSTREAM_FILES']}/{file}")


_LEFT_OUT = pytest.StashKey[list[tuple[str, str]]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `deselected.toml` names; a line of it that names nothing (any more) is an error."""
    path = os.environ["UPSTREAM_DESELECTED"]
    rules = list(_rules(Path(path))) if path else []
    found = set[str]()
    kept, left = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        node = item.nodeid.removeprefix("tests/")
        rule = next((one for one in rules if one[1].fullmatch(node)), None)
        if rule is None:
            kept.append(item)
            continue
        left.append(item)
        found.add(rule[0])
        config.stash[_LEFT_OUT].append((rule[2], rule[3]))
    items[:] = kept
    config.hook.pytest_deselected(items=left)
    if (unknown := [name for name, *_ in rules if name not in found]) and _is_whole(config):
        raise pytest.UsageError(f"deselected.toml names no test: {', '.join(unknown)}")


def _is_whole(config: pytest.Config) -> bool:
    return config.args == ["tests"]


def _rules(path: Path) -> Iterator[tuple[str, re.Pattern[str], str, str]]:
    """Name, what it fits, the kind and the reason of every line."""
    for kind, lines in tomllib.loads(path.read_text()).items():
        if kind == "root" and os.geteuid() != 0:
            continue
        for name, reason in lines.items():
            text = ".*".join(re.escape(part) for part in name.split("*"))
            yield (
                name,
                re.compile(text if "[" in name else rf"{text}(\[.*\])?", re.DOTALL),
                kind,
                reason,
            )


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """How many were left out, and why."""
    left = config.stash[_LEFT_OUT]
    counts: dict[tuple[str, str], int] = {}
    for one in left:
        counts[one] = counts.get(one, 0) + 1
    terminalreporter.section(f"{len(left)} left out")
    for (kind, reason), count in sorted(counts.items()):
        terminalreporter.write_line(f"  {count:4} {kind}: {reason}")
