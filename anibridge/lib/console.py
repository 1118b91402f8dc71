"""What commands print: tables for people, JSON for scripts."""

import json
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
