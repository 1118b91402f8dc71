"""Secrets that AniBridge makes for itself: written once, readable by their owner only."""

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path


def api_key() -> str:
    """A new API key: 40 hexadecimal digits, since the *arrs paste keys into URLs unescaped."""
    return secrets.token_hex(20)


def password() -> str:
    """A new password that a person can type."""
    return secrets.token_urlsafe(15)


def load_or_create(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`; made there (0600) when it is missing.

    Safe when several processes start at once: the first to link its file wins, the others read it.
    Raises OSError when the folder cannot be written.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp creates the file with 0600, so the secret is never readable by others, not even briefly.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(make() + "\n")
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # some network file systems have no hard links
            Path(temporary).replace(path)
            return path.read_text(encoding="utf-8").strip()
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path.read_text(encoding="utf-8").strip()


def previous(entries: Iterable[str]) -> tuple[list[str], dict[str, date]]:
    """Keys that were in use before, and the last day on which links signed with one are good: `key@2026-12-31`.

    Without a day it is good for as long as it is listed. Raises ValueError for a day that no calendar has.
    """
    keys: list[str] = []
    ends: dict[str, date] = {}
    for entry in (text.strip() for text in entries):
        dated = re.fullmatch(r"(.+)@(\d{4}-\d\d-\d\d)", entry)
        key = dated[1] if dated else entry
        if key:
            keys.append(key)
        if dated:
            ends[key] = date.fromisoformat(dated[2])
    return keys, ends
