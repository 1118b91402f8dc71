"""Following downloads from the command line: the rows are read once a second until all are over."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from anibridge.lib.console import size
from anibridge.lib.text import shorten
from downloads import shown
from downloads.models import Job

EVERY_SECONDS = 1.0
QUIET_SECONDS = 5.0
"""Between two lines about a download that merely goes on, where nobody watches a terminal."""
States = dict[int, dict[str, Any]]


class Display(AbstractContextManager["Display"], Protocol):
    """Somewhere to show how it goes."""

    def show(self, state: dict[str, Any]) -> None: ...


def follow(
    ids: Sequence[int], *, seconds: float | None, sleep: Callable[[float], None] = time.sleep
) -> Iterator[States]:
    """How the downloads stand, once a second, until all are over or deleted, or for `seconds`."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        rows = Job.objects.present().filter(pk__in=list(ids)).select_related("downloader")
        states = {job.pk: shown.download(job) for job in rows}
        yield states
        if all(state["status"] in shown.DONE for state in states.values()):
            return
        if end is not None and time.monotonic() >= end:
            return
        sleep(EVERY_SECONDS)


def display_for(out: TextIO, *, as_json: bool) -> Display:
    """A bar for each download on a terminal, else lines; or a JSON object a line."""
    if as_json:
        return JsonLines(out)
    return Bars(out) if out.isatty() else Lines(out)


class Lines:
    """A line when the status changes, and now and then while it goes on."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said: dict[int, tuple[str, float]] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def show(self, state: dict[str, Any]) -> None:
        now = time.monotonic()
        status, at = self._said.get(state["id"], ("", 0.0))
        moving = state["status"] == "downloading" and now - at >= QUIET_SECONDS
        if state["status"] == status and not moving:
            return
        self._said[state["id"]] = (state["status"], now)
        self._out.write(f"{state['id']:>6}  {_line(state)}  {shorten(state['name'], 120)}\n")
        self._out.flush()


class JsonLines(Lines):
    """Every change as one line of JSON."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._told: States = {}

    def show(self, state: dict[str, Any]) -> None:
        if self._told.get(state["id"]) != state:
            self._told[state["id"]] = state
            self._out.write(json.dumps(state, ensure_ascii=False) + "\n")
            self._out.flush()


class Bars:
    """A bar for each download."""

    def __init__(self, out: TextIO) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[line]}"),
            console=Console(file=out),
        )
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, state: dict[str, Any]) -> None:
        name, line = escape(shorten(state["name"], 48)), escape(_line(state))
        task = self._tasks.get(state["id"])
        if task is None:
            task = self._progress.add_task(name, total=1.0, line=line)
            self._tasks[state["id"]] = task
        self._progress.update(task, completed=state["progress"], description=name, line=line)


def _line(state: dict[str, Any]) -> str:
    """`downloading  41 %  12.3 MB of 30.0 MB  1.2 MB/s  15 s left`, as far as it is known."""
    parts = [f"{state['status']:<11}", f"{state['progress'] * 100:3.0f} %"]
    if state["downloaded_bytes"]:
        whole = f" of {size(state['total_bytes'])}" if state["total_bytes"] else ""
        parts.append(size(state["downloaded_bytes"]) + whole)
    if state["speed"]:
        parts.append(f"{size(state['speed'])}/s")
    if state["eta"] is not None and state["status"] == "downloading":
        parts.append(f"{state['eta']} s left")
    if state["error_message"]:
        parts.append(shorten(state["error_message"], 160))
    return "  ".join(parts)
