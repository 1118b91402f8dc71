"""Who is playing what. A playback lends its child links their life: they are good while it goes on, and die with it.

Kept in memory and in a row that all processes share. News of a playback are written every few seconds, many in one go.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from anibridge.lib.text import shorten
from catalogue.releases import Identity
from strm.errors import LinkExpired, TooManyStreams
from strm.models import StreamSession, idle, longest, mapping_key
from strm.threads import in_database

logger = logging.getLogger(__name__)

WRITE_SECONDS: Final = 5.0
REMEMBERED: Final = 5_000
NEW_A_MINUTE: Final = 600


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, as far as it can be told: enough to see that it is the same one again, no proof of anything."""

    address: str
    agent: str
    forwarded: str = ""

    @property
    def checksum(self) -> str:
        text = f"{self.address}|{self.agent}|{self.forwarded}"
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


@dataclass
class Playback:
    """One playback as this process knows it; the counters are what has not been written yet."""

    key: str
    identity: Identity
    provider: str
    started_at: datetime
    seen_at: datetime
    bytes_sent: int = 0
    requests: int = 0
    errors: int = 0
    last_error: str = ""
    host: str = ""
    kind: str = ""
    links: dict[str, str] = field(default_factory=dict)
    """Addresses of playlists → the links that the player has of them."""
    looked_ahead: bool = False

    @property
    def is_alive(self) -> bool:
        now = timezone.now()
        return self.seen_at > now - idle() and self.started_at > now - longest()


class Playbacks:
    """One per event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Playback] = OrderedDict()
        self._latest: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._news: set[str] = set()
        self._begun: deque[float] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def begin(self, identity: Identity, provider: str, client: Client) -> Playback:
        """The playback of this identity by this client: the one that goes on, or a new one."""
        mapping = mapping_key(identity, provider)
        same = (mapping, client.checksum)
        held = self._known.get(self._latest.get(same, ""))
        if held is None or not _has_time(held):
            self._require_room()
            held = await in_database(_begin, identity, provider, client)
            self._keep(held)
            self._latest[same] = held.key
            while len(self._latest) > REMEMBERED:
                self._latest.popitem(last=False)
        self.heard(held)
        return held

    def _require_room(self) -> None:
        """A row for each new playback: somebody who makes up clients must not fill the database."""
        now = monotonic()
        while self._begun and self._begun[0] < now - 60:
            self._begun.popleft()
        if len(self._begun) >= NEW_A_MINUTE:
            raise TooManyStreams("too many new playbacks; try again in a minute", retry_after=60)
        self._begun.append(now)

    async def get(self, key: str) -> Playback:
        """The playback of a child link. Raises LinkExpired when it is over."""
        held = self._known.get(key)
        if held is None or not held.is_alive:
            # Another process may have heard of it since.
            held = await in_database(_read, key)
            if held is None:
                self._known.pop(key, None)
                raise LinkExpired("the playback that this link belongs to is over")
            self._keep(held)
        self.heard(held)
        return held

    def heard(self, playback: Playback) -> None:
        """The player is still there."""
        playback.seen_at = timezone.now()
        playback.requests += 1
        self._tell(playback)

    def sent(self, playback: Playback, count: int) -> None:
        """The player took so many bytes."""
        playback.bytes_sent += count
        if playback.key not in self._news:
            playback.seen_at = timezone.now()
            self._tell(playback)

    def failed(self, playback: Playback, message: str) -> None:
        """Something went wrong that the player noticed."""
        playback.errors += 1
        playback.last_error = shorten(message, 300)
        self._tell(playback)

    async def write(self) -> None:
        """Writes what is new. Counters of a failed write are kept for the next one."""
        news = [self._known[key] for key in self._news if key in self._known]
        self._news.clear()
        if not news:
            return
        told = [(one, one.bytes_sent, one.requests, one.errors) for one in news]
        try:
            await in_database(_write, [_values(one) for one in news])
        except DatabaseError as error:
            logger.warning("playbacks could not be written: %s", error)
            return
        for one, sent, requests, errors in told:
            one.bytes_sent -= sent
            one.requests -= requests
            one.errors -= errors

    async def close(self) -> None:
        """Writes the rest."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        await self.write()

    def _keep(self, playback: Playback) -> None:
        self._known[playback.key] = playback
        self._known.move_to_end(playback.key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _tell(self, playback: Playback) -> None:
        self._news.add(playback.key)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_on())

    async def _write_on(self) -> None:
        """Runs while there is news, and not a moment longer."""
        while self._news:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()


def _has_time(playback: Playback) -> bool:
    """Whether it can become that of a film that begins now, and not die in its middle."""
    young = playback.started_at > timezone.now() - longest() / 2
    return young and playback.is_alive


def _begin(identity: Identity, provider: str, client: Client) -> Playback:
    now = timezone.now()
    mapping = mapping_key(identity, provider)
    row = (
        StreamSession.objects.alive(now)
        .filter(mapping=mapping, client=client.checksum, started_at__gt=now - longest() / 2)
        .order_by("-started_at")
        .first()
    )
    if row is None:
        row = StreamSession.objects.create(
            key=secrets.token_hex(16),
            mapping=mapping,
            client=client.checksum,
            address=shorten(client.address, 64),
            agent=shorten(client.agent, 200),
            started_at=now,
            seen_at=now,
            **StreamSession.fields_of(identity, provider),
        )
    return _playback(row)


def _read(key: str) -> Playback | None:
    row = StreamSession.objects.alive(timezone.now()).filter(pk=key).first()
    return None if row is None else _playback(row)


def _playback(row: StreamSession) -> Playback:
    return Playback(
        key=row.key,
        identity=row.identity,
        provider=row.provider,
        started_at=row.started_at,
        seen_at=row.seen_at,
        host=row.host,
        kind=row.kind,
    )


def _values(one: Playback) -> dict[str, object]:
    values: dict[str, object] = {
        "key": one.key,
        "seen_at": one.seen_at,
        "bytes_sent": F("bytes_sent") + one.bytes_sent,
        "requests": F("requests") + one.requests,
        "errors": F("errors") + one.errors,
    }
    # What this process does not know, because another one has begun the playback, is not undone by it.
    told = {"host": one.host, "kind": one.kind, "last_error": one.last_error}
    return {**values, **{name: text for name, text in told.items() if text}}


@transaction.atomic
def _write(news: list[dict[str, object]]) -> None:
    # Always in the same order: two processes at once wait for each other instead of locking each other out.
    for values in sorted(news, key=lambda one: str(one["key"])):
        key = values.pop("key")
        StreamSession.objects.filter(pk=key).update(**values)
