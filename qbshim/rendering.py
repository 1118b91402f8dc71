"""Items as text. What an item looks like follows from its row alone, except for what is running; so the text of a row that
has not changed is the one that was made before. That is most of the work of a long list."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.conf import settings

from downloads.models import JobStatus
from qbshim import rows, serializers

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""As compact as qBittorrent writes it."""

SLOTS: Final = 16_384
"""Texts that a process remembers: about 3 KB for each job that there is, 50 MB when all are taken. A job always has the same slot, so that a list which
is longer than this does not push out every text before it is used again."""
_STATUS, _HASH = rows.FIELDS.index("status"), rows.FIELDS.index("infohash")
_RUNNING = JobStatus.DOWNLOADING.value
_slots: list[tuple[tuple[Any, ...], tuple[Any, ...], str] | None] = [None] * SLOTS


def info(found: Iterable[tuple[Any, ...]], places: Mapping[int, int]) -> str:
    """The answer of `torrents/info` for these rows."""
    now, here = time.time(), _here()
    items = [
        f'{{"hash":"{values[_HASH]}",{_body(values, now, here)},"priority":{places.get(values[0], 0)}}}'
        for values in found
    ]
    return f"[{','.join(items)}]"


def by_hash(found: Iterable[tuple[Any, ...]], places: Mapping[int, int], now: float) -> str:
    """The `torrents` of `sync/maindata` for these rows: the hash is the key of an item and not repeated in it."""
    here = _here()
    items = [
        f'"{values[_HASH]}":{{{_body(values, now, here)},"priority":{places.get(values[0], 0)}}}'
        for values in found
    ]
    return f"{{{','.join(items)}}}"


def _here() -> tuple[Any, ...]:
    """What an item depends on besides its row: the folders."""
    return settings.DOWNLOAD_DIR, settings.QBIT_PUBLIC_SAVE_PATH


def _body(values: tuple[Any, ...], now: float, here: tuple[Any, ...]) -> str:
    """An item without its braces, its hash and its place in the queue."""
    slot = values[0] % SLOTS
    known = _slots[slot]
    if known is not None and known[0] == values and known[1] == here:
        return known[2]
    item = serializers.info(rows.of(values), now=now, priority=0)
    del item["hash"], item["priority"]
    text = encode(item)[1:-1]
    if values[_STATUS] != _RUNNING:
        _slots[slot] = (values, here, text)
    return text
