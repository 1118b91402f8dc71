"""Reading .torrent files: what they are called, how large they are, and under which hash a downloader lists them.

The hash is taken over the very bytes of the `info` dictionary. Libraries that decode and encode again get another
hash for files whose keys are not in order or whose numbers are written oddly, while BitTorrent programs load them.
Formats: BEP 3 (v1), BEP 52 (v2 and hybrid).
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from anibridge.lib.text import shorten, without_controls
from downloads.errors import NotATorrent

MAX_BYTES = 16 * 2**20
MAX_VALUES = 1_000_000
MAX_DEPTH = 64
MAX_SIZE = 2**62
_DIGITS = frozenset(b"0123456789")

Value = int | bytes | list[Any] | dict[bytes, Any]


@dataclass(frozen=True, slots=True)
class Torrent:
    """What a .torrent file says. `v1` is its infohash, 40 hex digits; `v2` is empty or 64, for a hybrid one."""

    v1: str
    v2: str
    name: str
    size_bytes: int
    is_private: bool
    trackers: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The hashes under which downloaders may list it: qBittorrent cuts the v2 hash of a hybrid to 40 digits."""
        return (self.v1, self.v2[:40]) if self.v2 else (self.v1,)


def read(content: bytes) -> Torrent:
    """Reads a .torrent file. Raises NotATorrent with words for what is none, or has no v1 hash."""
    if len(content) > MAX_BYTES:
        raise NotATorrent(f"the .torrent file is larger than {MAX_BYTES // 2**20} MiB")
    root, spans = _decoded(content)
    info = root.get(b"info")
    if not isinstance(info, dict):
        raise NotATorrent("the file is no .torrent file: it has no info dictionary")
    start, end = spans[b"info"]
    raw = content[start:end]
    is_v2 = info.get(b"meta version") == 2 and isinstance(info.get(b"file tree"), dict)
    if b"pieces" not in info:
        raise NotATorrent(_without_pieces(is_v2))
    return Torrent(
        v1=hashlib.sha1(raw, usedforsecurity=False).hexdigest(),
        v2=hashlib.sha256(raw).hexdigest() if is_v2 else "",
        name=_name(info),
        size_bytes=_size(info),
        is_private=info.get(b"private") == 1,
        trackers=_trackers(root),
    )


def contents(content: bytes) -> list[tuple[str, int]]:
    """The files of a .torrent that `read` has accepted: name and bytes of each, with the folder that several have for
    themselves. Padding is left out. Names are for showing; nothing is ever written under them."""
    info = _decoded(content)[0].get(b"info")
    if not isinstance(info, dict):
        return []
    name = _name(info)
    if b"files" not in info:
        return [(name, info.get(b"length", 0))]
    found = []
    for file in info[b"files"]:
        parts = file.get(b"path.utf-8") or file.get(b"path")
        if b"p" in _bytes(file.get(b"attr")) or not isinstance(parts, list):
            continue
        path = "/".join(_bytes(part).decode("utf-8", "replace") for part in parts[:MAX_DEPTH])
        found.append((f"{name}/{shorten(without_controls(path), 1000)}", file.get(b"length", 0)))
    return found


def _without_pieces(is_v2: bool) -> str:
    if is_v2:
        return (
            "the torrent is BitTorrent v2 only; downloaders are told apart by the v1 hash, "
            "so only v1 and hybrid torrents can be taken"
        )
    return "the .torrent file is incomplete: it has no piece hashes"


def _name(info: dict[bytes, Any]) -> str:
    name = info.get(b"name.utf-8") or info.get(b"name")
    if not isinstance(name, bytes) or not name:
        raise NotATorrent("the .torrent file is incomplete: it gives no name")
    return shorten(without_controls(name.decode("utf-8", "replace")), 255)


def _size(info: dict[bytes, Any]) -> int:
    pieces, piece = info[b"pieces"], info.get(b"piece length")
    files = info.get(b"files", [info])
    whole = isinstance(pieces, bytes) and len(pieces) % 20 == 0
    if not (whole and isinstance(piece, int) and 0 < piece < MAX_SIZE and isinstance(files, list)):
        raise _impossible()
    total = 0
    for file in files:
        size = file.get(b"length") if isinstance(file, dict) else None
        if not isinstance(size, int) or not 0 <= size < MAX_SIZE:
            raise _impossible()
        # Padding lets the next file begin with a piece; nobody ever sees it (BEP 47).
        total += 0 if file is not info and b"p" in _bytes(file.get(b"attr")) else size
    if not files or total >= MAX_SIZE:
        raise _impossible()
    return total


def _impossible() -> NotATorrent:
    return NotATorrent("the .torrent file is damaged: its sizes are not possible")


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""


def _trackers(root: dict[bytes, Any]) -> tuple[str, ...]:
    tiers = root.get(b"announce-list")
    listed = (
        [url for tier in tiers if isinstance(tier, list) for url in tier]
        if isinstance(tiers, list)
        else []
    )
    urls = [_bytes(url).decode("utf-8", "replace") for url in [root.get(b"announce"), *listed]]
    return tuple(dict.fromkeys(url for url in urls if url))[:100]


class _Open:
    """A list or dictionary that is being read."""

    __slots__ = ("key", "start", "value")

    def __init__(self, value: list[Any] | dict[bytes, Any], start: int) -> None:
        self.value, self.start = value, start
        self.key: bytes | None = None


def _decoded(data: bytes) -> tuple[dict[bytes, Any], dict[bytes, tuple[int, int]]]:
    """The outermost dictionary, and where each of its values lies. Without recursion: depth is the sender's choice."""
    stack: list[_Open] = []
    spans: dict[bytes, tuple[int, int]] = {}
    at = values = 0
    while True:
        start, mark = at, data[at : at + 1]
        values += 1
        if values > MAX_VALUES or len(stack) > MAX_DEPTH:
            raise NotATorrent("the .torrent file holds more than any real one does")
        value: Value
        if mark in (b"d", b"l"):
            stack.append(_Open({} if mark == b"d" else [], start))
            at += 1
            continue
        if mark == b"e" and stack and stack[-1].key is None:
            done = stack.pop()
            value, start, at = done.value, done.start, at + 1
        elif mark == b"i":
            value, at = _number(data, at + 1, b"e")
        elif mark and mark[0] in _DIGITS:
            value, at = _string(data, at)
        else:
            raise _damaged()
        if not stack:
            if not isinstance(value, dict):
                raise _damaged()
            return value, spans
        _put(stack, value, (start, at), spans)


def _put(
    stack: list[_Open], value: Value, span: tuple[int, int], spans: dict[bytes, tuple[int, int]]
) -> None:
    top = stack[-1]
    if isinstance(top.value, list):
        top.value.append(value)
    elif top.key is None:
        if not isinstance(value, bytes) or value in top.value:
            raise _damaged()
        top.key = value
    else:
        top.value[top.key] = value
        if len(stack) == 1:
            spans[top.key] = span
        top.key = None


def _number(data: bytes, at: int, until: bytes) -> tuple[int, int]:
    end = data.find(until, at, at + 21)  # 64 bits and a sign
    digits = data[at:end] if end > at else b""
    if not digits.removeprefix(b"-").isdigit():
        raise _damaged()
    return int(digits), end + 1


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    length, begin = _number(data, at, b":")
    if begin + length > len(data):
        raise _damaged()
    return data[begin : begin + length], begin + length


def _damaged() -> NotATorrent:
    return NotATorrent("the file is no .torrent file, or it is damaged")
