"""What commands print: tables for people, JSON for scripts."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from anibridge.lib.text import without_controls


def print_rows(
    out: TextIO, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool
) -> None:
    """The rows as a table of `columns`, or all of them as one JSON list."""
    if as_json:
        out.write(json.dumps(list(rows), indent=2, default=str, ensure_ascii=False) + "\n")
        return
    # Not a terminal: no width to fit into, so nothing is cut off.
    console = Console(file=out, width=None if out.isatty() else 240)
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(without_controls(_cell(row.get(column))) for column in columns), style=None)
    console.print(table, markup=False) if rows else out.write("nothing\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}"
    return str(value)


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def size(count: int) -> str:
    """Bytes for people: `12.3 MB`."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def bytes_of(text: str) -> int:
    """What people write for a number of bytes: `500000`, `500KB`, `10MB`. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([KMG]I?)?B?(?:/S)?\s*", text.upper())
    if not match:
        raise ValueError("must be a number of bytes such as 500000, 500KB or 10MB")
    return int(float(match[1]) * _UNITS[match[2] or ""])
