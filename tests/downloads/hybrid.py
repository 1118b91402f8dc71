"""A hybrid torrent (BEP 52) of one small file, made by hand: torf makes v1 only."""

import hashlib
from typing import Any

PIECE = 16 * 1024


def bencode(value: Any) -> bytes:
    """The canonical encoding."""
    if isinstance(value, dict):
        items = sorted(
            (key if isinstance(key, bytes) else key.encode(), one) for key, one in value.items()
        )
        return b"d" + b"".join(bencode(key) + bencode(one) for key, one in items) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(bencode(one) for one in value) + b"e"
    if isinstance(value, int):
        return b"i%de" % value
    data = value.encode() if isinstance(value, str) else value
    return b"%d:%s" % (len(data), data)


def hybrid_torrent(name: str, data: bytes, *, v1: bool = True) -> bytes:
    """The .torrent of a file that fits one piece; without `v1` it is v2 only."""
    assert 0 < len(data) <= PIECE
    leaf = {"": {"length": len(data), "pieces root": hashlib.sha256(data).digest()}}
    info: dict[str, Any] = {
        "name": name,
        "piece length": PIECE,
        "meta version": 2,
        "file tree": {name: leaf},
    }
    if v1:
        info |= {"length": len(data), "pieces": hashlib.sha1(data).digest()}
    return bencode({"info": info, "piece layers": {}})
