"""Asking feeds: when it is their turn, with the validators they gave, and with more patience after each failure.

A feed is claimed by moving its next turn away, so two workers do not ask at once, and a worker that dies costs five
minutes. Nothing is asked within a transaction; what came is stored together with the outcome, and only if the feed is
still there under the same address.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.outbound import OutboundError, UnexpectedAnswer
from anibridge.lib.text import shorten
from anibridge.lib.transfer import retry_after
from downloads.links import intake, nudges, reading
from downloads.links.reading import Document, Entry
from downloads.models import Feed

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 8 * 2**20
SECONDS: Final = 30.0
LEASE: Final = timedelta(minutes=5)
LONGEST_PAUSE: Final = timedelta(days=1)
PER_TURN: Final = 200
"""So many feeds are asked in one turn of the schedule; the others are a minute later."""
BACK_OFF_MINUTES: Final = (0, 5, 15, 30, 60, 180, 360, 720, 1440)
"""At least so long after the n-th failure in a row; never less than the feed's own interval."""
_ACCEPT: Final = (
    "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
)


class FeedDisabled(AniBridgeError):
    """The feed is switched off."""


@dataclass(frozen=True, slots=True)
class Polled:
    """How asking a feed went. `created` links are new; an `error` is in words, empty when it answered."""

    entries: int = 0
    created: int = 0
    unchanged: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    document: Document | None
    """None: nothing has changed."""
    validators: dict[str, str]


class Refused(OutboundError):
    """The other side asks for patience; `retry_after` is in seconds where it named a time."""

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def due() -> list[int]:
    """The feeds whose turn it is."""
    return list(Feed.objects.due(timezone.now()).values_list("pk", flat=True)[:PER_TURN])


def ask_soon(feed_id: int) -> None:
    """Have a worker ask the feed now; without a broker within a minute. Raises FeedDisabled."""
    with transaction.atomic():
        if not Feed.objects.filter(pk=feed_id, enabled=True).update(next_poll_at=timezone.now()):
            raise FeedDisabled("the feed is switched off; switch it on to have it asked")
        nudges.poll(feed_id)


def poll(feed_id: int) -> Polled | None:
    """Ask a feed if it is its turn and nobody else asks; None when not. Never raises for what the feed does."""
    now = timezone.now()
    claimed = Feed.objects.filter(pk=feed_id, enabled=True, next_poll_at__lte=now)
    if not claimed.update(next_poll_at=now + LEASE):
        return None
    feed = Feed.objects.filter(pk=feed_id).first()
    if feed is None:
        return None
    try:
        answer = _ask(feed)
    except AniBridgeError as error:
        return _failed(feed, error)
    return _answered(feed, answer)


def _ask(feed: Feed) -> _Answer:
    url = feed.url
    known = feed.validators if feed.read_at else {}
    wanted = {
        "Accept": _ACCEPT,
        "If-None-Match": known.get("etag", ""),
        "If-Modified-Since": known.get("last_modified", ""),
    }
    # The owner typed the address, so it may be a private one; where it leads to is judged like anything else.
    with http.session(trusted=[url]) as session:
        answer = http.fetch(
            url,
            session=session,
            headers={name: value for name, value in wanted.items() if value},
            timeout=SECONDS,
            max_bytes=MAX_BYTES,
        )
    if answer.status == 304 and known:
        return _Answer(None, known)
    if answer.status != 200:
        raise _refusal(answer)
    content_type = answer.headers.get("content-type", "")
    document = reading.read(answer.body, url=answer.url, content_type=content_type)
    return _Answer(document, _validators(answer))


def _refusal(answer: http.Fetched) -> OutboundError:
    host, status = http.host_of(answer.url), answer.status
    if status in (429, 503):
        wait = retry_after(answer.headers.get("retry-after", ""))
        return Refused(f"{host} asks for patience (HTTP status {status})", retry_after=wait)
    words = {
        401: "wants a user name and a password, or another key",
        403: "refuses to answer; the key in the address may have ended",
        404: "has no such feed",
        410: "says that the feed is gone for good",
    }.get(status, "did not answer with a feed")
    return UnexpectedAnswer(f"{host} {words} (HTTP status {status})", status=status, retryable=True)


def _validators(answer: http.Fetched) -> dict[str, str]:
    given = {
        "etag": answer.headers.get("etag", ""),
        "last_modified": answer.headers.get("last-modified", ""),
    }
    return {
        name: value
        for name, value in given.items()
        if 0 < len(value) <= 300 and value.isascii() and value.isprintable()
    }


def _failed(feed: Feed, error: AniBridgeError) -> Polled:
    """Note why, and wait longer: the ladder's step, the feed's interval or what it asked for, whichever is longest."""
    now = timezone.now()
    failures = min(feed.failures + 1, len(BACK_OFF_MINUTES))
    asked = error.retry_after if isinstance(error, Refused) else None
    pause = max(
        timedelta(minutes=BACK_OFF_MINUTES[failures - 1]),
        timedelta(seconds=feed.interval_seconds),
        min(timedelta(seconds=asked or 0), LONGEST_PAUSE),
    )
    text = shorten(str(error), 500)
    _same(feed).update(
        failures=failures, last_error=text, last_error_at=now, next_poll_at=now + pause
    )
    logger.warning("feed %s: %s; next try in %s", feed.pk, text, pause)
    return Polled(error=text)


@transaction.atomic
def _answered(feed: Feed, answer: _Answer) -> Polled:
    now = timezone.now()
    present = _same(feed).select_for_update(no_key=True).first()
    if present is None:  # deleted, or moved to another address, while it was asked
        return Polled()
    outcome: dict[str, Any] = {
        "polled_at": now,
        "failures": 0,
        "last_error": "",
        "validators": answer.validators,
    }
    polled = Polled(unchanged=True)
    if answer.document is not None:
        polled = _stored(present, answer.document, now)
        outcome |= {
            "read_at": present.read_at or now,
            "listed_at": now,
            "last_warning": _warning(answer.document),
        }
    interval = timedelta(seconds=present.interval_seconds)
    # Whoever asked for another turn while this one ran (`ask_soon`) gets it.
    _same(feed).filter(next_poll_at__gt=now).update(next_poll_at=now + interval)
    _same(feed).update(**outcome)
    return polled


def _stored(feed: Feed, document: Document, now: datetime) -> Polled:
    is_first = feed.read_at is None and not feed.fetch_existing
    items = [
        intake.Item(
            title=entry.title,
            url=entry.url,
            description=entry.description,
            published_at=entry.published_at,
            guid=entry.guid,
            is_torrent=entry.is_torrent,
            is_old=is_first and not _is_since(entry, feed, now),
            mode=feed.mode,
        )
        for entry in document.entries
    ]
    # The last of the document came first; so the newest gets the highest id, as it does with later entries.
    answers = intake.store(feed.source, items[::-1], feed=feed)
    created = sum(one.status == "created" for one in answers)
    if created:
        logger.info("feed %s: %d new of %d", feed.pk, created, len(items))
    return Polled(entries=len(items), created=created)


def _is_since(entry: Entry, feed: Feed, now: datetime) -> bool:
    """Published after the feed was added, while it could not be read. A date to come says nothing: some feeds give
    their local time without saying so."""
    return entry.published_at is not None and feed.since <= entry.published_at <= now


def _warning(document: Document) -> str:
    parts = []
    if document.is_cut:
        parts.append(f"more than {reading.MAX_ENTRIES} entries: the rest is not looked at")
    if document.without_link:
        parts.append(f"{document.without_link} entries hold nothing to fetch")
    return "; ".join(parts)


def _same(feed: Feed) -> Any:
    """The feed's row, while it has the address that was asked."""
    return Feed.objects.filter(pk=feed.pk, url_sha1=feed.url_sha1)
