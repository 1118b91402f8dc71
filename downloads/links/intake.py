"""Links come in: each item is answered, one bad item spoils nothing, sending the same again changes nothing.

The identity of a link is its source and its address as `detection` cleans it; a feed's entry is also known by its id.
A batch costs a handful of queries, however many items it has.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from uuid import uuid4

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from anibridge.lib.text import shorten, without_controls
from downloads.detection import DownloadType, detect
from downloads.errors import UnsupportedLink
from downloads.links import nudges
from downloads.models import Feed, Link, LinkMode, LinkState
from downloads.models.links import MAX_DESCRIPTION, MAX_TITLE, sha1
from downloads.orders import NO_STREAM

MAX_ITEMS: Final = 500
MAX_URL: Final = 16 * 1024
MAX_RAW_TEXT: Final = 100_000
TOUCH_AFTER: Final = timedelta(days=1)
"""A link that is named again has its `last_seen_at` written at most so often."""
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Status = Literal["created", "duplicate", "rejected"]


@dataclass(frozen=True, slots=True)
class Item:
    """A link as its source tells it. `is_torrent`: the source says so, whatever the address looks like."""

    title: str
    url: str
    description: str = ""
    published_at: datetime | None = None
    guid: str = ""
    is_torrent: bool = False
    is_old: bool = False
    """Was there before its feed began to count: noted, not fetched."""
    mode: str = LinkMode.DOWNLOAD.value


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item. `url` is the one that was sent."""

    url: str
    status: Status
    reason: str = ""
    id: int | None = None


class BadItem(Exception):
    """Nothing that can be stored; the message says why."""


def take(
    source: str, items: Sequence[object], *, mode: str = LinkMode.DOWNLOAD.value
) -> list[Answer]:
    """Store what somebody pushed; the answers come in the order of the items. At most MAX_ITEMS of them.

    `mode` is for items that name none.
    """
    answers: list[Answer | None] = []
    good: list[Item] = []
    for raw in items[:MAX_ITEMS]:
        try:
            good.append(read_item(raw, mode=mode))
            answers.append(None)
        except BadItem as error:
            sent = raw.get("url") if isinstance(raw, Mapping) else None
            answers.append(Answer(_echo(sent), "rejected", str(error)))
    stored = iter(store(source, good))
    return [answer or next(stored) for answer in answers]


def read_item(raw: object, *, mode: str = LinkMode.DOWNLOAD.value) -> Item:
    """An item as it was sent, with every text bounded and safe to store. Raises BadItem."""
    if not isinstance(raw, Mapping):
        raise BadItem("an item is an object with «title» and «url»")
    url, title = raw.get("url"), raw.get("title")
    if not isinstance(url, str) or not url.strip():
        raise BadItem("«url» is missing")
    if len(url) > MAX_URL:
        raise BadItem(f"«url» is longer than {MAX_URL} characters")
    if _CONTROL.search(url.strip()):
        raise BadItem("«url» holds control characters")
    if not isinstance(title, str):
        raise BadItem("«title» is missing")
    cleaned = clean_title(title)
    if not cleaned:
        raise BadItem("«title» is empty")
    description = raw.get("description")
    wanted = raw.get("mode")
    mode = mode if wanted is None or wanted == "" else wanted
    if mode not in LinkMode.values:
        raise BadItem(f"«mode» is one of {', '.join(LinkMode.values)}")
    return Item(
        title=cleaned,
        url=url,
        description=clean_description(description if isinstance(description, str) else ""),
        published_at=moment(raw.get("pub_date")),
        mode=mode,
    )


def clean_title(text: str) -> str:
    """One line without control characters, cut at MAX_TITLE."""
    return shorten(text[:MAX_RAW_TEXT], MAX_TITLE).strip()


def clean_description(text: str) -> str:
    """Without control characters, cut at MAX_DESCRIPTION."""
    return without_controls(text[:MAX_RAW_TEXT]).strip()[:MAX_DESCRIPTION]


def moment(value: object) -> datetime | None:
    """A date as ISO 8601 or as mail and RSS write it; None for what is neither, or lies far off.

    When a link was published is of little weight: a date that cannot be read is no reason to refuse it.
    """
    if not isinstance(value, str) or len(value) > 100:
        return None
    try:
        found = parse_datetime(value.strip()) or parsedate_to_datetime(value)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return found if EARLIEST < found < timezone.now() + timedelta(days=366) else None


def store(source: str, items: Iterable[Item], *, feed: Feed | None = None) -> list[Answer]:
    """Keep what is new of the items and have it looked at; the answers come in their order.

    Two requests with the same items at once store each once, and only one of them is told «created».
    """
    batch = uuid4().hex
    now = timezone.now()
    sent = list(items)
    guids = Counter(item.guid for item in sent)
    rows = [
        # An id that several entries of one document share is none.
        _row(source, item, feed, batch, now, with_guid=guids[item.guid] == 1)
        for item in sent
    ]
    with transaction.atomic():
        known = _known(source, rows)
        fresh: dict[str, Link] = {}
        for row in rows:
            if _found(known, row) is None:
                fresh.setdefault(row.url_sha1, row)
        if fresh:
            # In one order for all: two requests that insert the same rows crosswise would wait for each other.
            # A feed is asked by one worker at a time, and its entries have an order worth keeping.
            keys = sorted(fresh) if feed is None else list(fresh)
            Link.objects.bulk_create(
                [fresh[key] for key in keys], ignore_conflicts=True, batch_size=200
            )
            known |= _known(source, fresh.values())
            if any(link.batch == batch and link.state == LinkState.NEW for link in known.values()):
                nudges.process()
        _touch({link.pk for link in known.values() if link.last_seen_at < now - TOUCH_AFTER}, now)
    return _answers(sent, rows, known, batch)


def _row(
    source: str, item: Item, feed: Feed | None, batch: str, now: datetime, *, with_guid: bool
) -> Link:
    kind, reason, url = "", "", item.url.strip()
    state = LinkState.SEEN if item.is_old else LinkState.NEW
    try:
        link = detect(item.url)
        kind, url = link.download_type.value, link.url
        if item.is_torrent and link.download_type == DownloadType.HTTP:
            kind = DownloadType.TORRENT.value
        if item.mode == LinkMode.STRM and kind in (DownloadType.MAGNET, DownloadType.TORRENT):
            state, reason = LinkState.REJECTED, NO_STREAM
    except UnsupportedLink as error:
        state, reason = LinkState.REJECTED, shorten(str(error), 300)
    return Link(
        source=source,
        feed=feed,
        url=url,
        url_sha1=sha1(url),
        guid_sha1=sha1(item.guid) if item.guid and with_guid else None,
        title=item.title,
        description=item.description,
        published_at=item.published_at,
        download_type=kind,
        mode=item.mode,
        state=state,
        reason=reason,
        batch=batch,
        created_at=now,
        last_seen_at=now,
    )


_COLUMNS: Final = ("id", "url_sha1", "guid_sha1", "batch", "state", "reason", "last_seen_at")


def _known(source: str, rows: Iterable[Link]) -> dict[str, Link]:
    """What is stored of these, under the sha1 of its address and of its id."""
    found: dict[str, Link] = {}
    urls = sorted({row.url_sha1 for row in rows})
    guids = sorted({row.guid_sha1 for row in rows if row.guid_sha1})
    for start in range(0, max(len(urls), len(guids)), 400):
        part = Q(url_sha1__in=urls[start : start + 400])
        part |= Q(guid_sha1__in=guids[start : start + 400])
        for link in Link.objects.filter(part, source=source).only(*_COLUMNS):
            found[link.url_sha1] = link
            if link.guid_sha1:
                found[f"id {link.guid_sha1}"] = link
    return found


def _found(known: Mapping[str, Link], row: Link) -> Link | None:
    return known.get(row.url_sha1) or (known.get(f"id {row.guid_sha1}") if row.guid_sha1 else None)


def _touch(ids: set[int], now: datetime) -> None:
    ordered = sorted(ids)
    for start in range(0, len(ordered), 500):
        Link.objects.filter(pk__in=ordered[start : start + 500]).update(last_seen_at=now)


def _answers(
    sent: Sequence[Item], rows: Sequence[Link], known: Mapping[str, Link], batch: str
) -> list[Answer]:
    answers: list[Answer] = []
    told: set[int] = set()
    for item, row in zip(sent, rows, strict=True):
        link = _found(known, row)
        if row.state == LinkState.REJECTED:
            answers.append(
                Answer(_echo(item.url), "rejected", row.reason, link.pk if link else None)
            )
        elif link is None:  # another request has an entry of this id, and has not committed it
            answers.append(Answer(_echo(item.url), "duplicate", "somebody is storing it right now"))
        elif link.batch == batch and link.pk not in told:
            told.add(link.pk)
            answers.append(Answer(_echo(item.url), "created", "", link.pk))
        else:
            answers.append(Answer(_echo(item.url), "duplicate", "", link.pk))
    return answers


def _echo(url: Any) -> str:
    """The address as it was sent, as far as it can be sent back."""
    text = url if isinstance(url, str) else ""
    return without_controls(text[:MAX_URL])
