"""Somebody else's regular expressions: refused when they cannot be good, and stopped when a match takes long.

`regex` knows a time limit for a match (`re` has none). Compiling has none, and it unrolls counted repeats: thirteen
characters, `(?:a{65535}){65535}`, take all memory (measured). So a pattern is compiled in a small process of its own,
with little memory and time, before it is saved or tried; what passed there is as cheap here.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import regex

from anibridge.lib.text import shorten
from downloads.models.links import MAX_PATTERN

MATCH_SECONDS: Final = 0.05
COMPILE_SECONDS: Final = 2
COMPILE_BYTES: Final = 64 * 2**20
TOO_LARGE: Final = (
    "the pattern takes too much memory or time to prepare: write smaller numbers into its {…}"
)
_CHILD: Final = """
import json, resource, sys
import regex
asked = json.load(sys.stdin)
try:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + asked["bytes"],) * 2)
except (OSError, ValueError):
    pass
for pattern in asked["patterns"]:
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (spent + asked["seconds"], resource.RLIM_INFINITY))
    try:
        regex.compile(pattern, cache_pattern=False)
        regex.compile(pattern, regex.IGNORECASE, cache_pattern=False)
        said = [None, ""]
    except regex.error as error:
        said = [error.pos, str(error.msg)]
    except (MemoryError, RecursionError, OverflowError):
        said = [None, "large"]
    print(json.dumps(said), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a pattern cannot be used. `position` counts characters from 0, where it is known."""

    detail: str
    position: int | None = None

    def __str__(self) -> str:
        where = "" if self.position is None else f" at position {self.position}"
        return f"{self.detail}{where}"


class TooSlow(Exception):
    """The match was given up after MATCH_SECONDS."""


class Unusable(Exception):
    """A pattern that was good once and is none now; the library may have changed."""


class Pattern:
    """A compiled pattern; of one that `problems` had nothing against. Raises Unusable."""

    def __init__(self, pattern: str, *, case_sensitive: bool = False) -> None:
        # Not into the library's own cache: it would hold rules that are long gone.
        flags = 0 if case_sensitive else regex.IGNORECASE
        try:
            self._compiled = regex.compile(pattern, flags, cache_pattern=False)
        except regex.error as error:
            raise Unusable(f"{error.msg} at position {error.pos}") from None

    def is_in(self, title: str) -> bool:
        """Whether it matches anywhere in the title. Raises TooSlow."""
        try:
            return self._compiled.search(title, timeout=MATCH_SECONDS) is not None
        except (TimeoutError, MemoryError):
            raise TooSlow from None


def problem(pattern: str) -> Problem | None:
    """What is wrong with a pattern; None when it can be used."""
    return problems([pattern])[0]


def problems(patterns: Sequence[str]) -> list[Problem | None]:
    """For each pattern what is wrong with it, in order. Costs one short process (about 60 ms) for all of them."""
    found: list[Problem | None] = [_plain_problem(one) for one in patterns]
    open_ones = [n for n, one in enumerate(found) if one is None]
    while open_ones:
        said = _compiled_elsewhere([patterns[n] for n in open_ones])
        for n, (position, detail) in zip(open_ones, said, strict=False):
            if detail:
                text = TOO_LARGE if detail == "large" else shorten(detail, 200)
                found[n] = Problem(text, position)
        if len(said) < len(
            open_ones
        ):  # the process died of this one; the others still want an answer
            found[open_ones[len(said)]] = Problem(TOO_LARGE)
        open_ones = open_ones[len(said) + 1 :]
    return found


def _plain_problem(pattern: str) -> Problem | None:
    if not pattern.strip():
        return Problem("the pattern is empty")
    if len(pattern) > MAX_PATTERN:
        return Problem(f"the pattern is longer than {MAX_PATTERN} characters")
    if bad := regex.search(r"[\x00-\x1f\x7f\ud800-\udfff]", pattern):
        return Problem("the pattern holds a control character", bad.start())
    return None


def _compiled_elsewhere(patterns: list[str]) -> list[tuple[int | None, str]]:
    """(position, what is wrong) of each, until one that the process did not survive."""
    asked = {"patterns": patterns, "bytes": COMPILE_BYTES, "seconds": COMPILE_SECONDS}
    try:
        done = subprocess.run(  # noqa: S603 - our own code; the patterns go in as data
            [sys.executable, "-I", "-c", _CHILD],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=15 + COMPILE_SECONDS * len(patterns),
            check=False,
        )
        lines = done.stdout.splitlines()
    except subprocess.TimeoutExpired as error:
        lines = (error.stdout or b"").splitlines()
    return [(position, detail) for position, detail in map(json.loads, lines)]
