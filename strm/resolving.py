"""Where an identity's stream is right now: remembered in the database, looked for once by whoever comes first.

The row is shared by all processes. Whoever looks holds its lease (one UPDATE decides); the others wait for the row to
change. Blocking: the web process calls it through `strm.flights`.
"""

import json
import logging
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final, cast

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F, Q
from django.utils import timezone

from anibridge.lib import crypto, http
from anibridge.lib.errors import AniBridgeError, Cancelled, Misconfigured
from anibridge.lib.outbound import host_of
from anibridge.lib.text import shorten
from catalogue.errors import NoStream
from catalogue.releases import Identity
from strm import expiry, headers, sources
from strm.models import StreamKind, StrmUrlMapping, mapping_key

logger = logging.getLogger(__name__)

SECONDS: Final = 45.0
"""How long looking may take, all hosts together."""
LEASE: Final = timedelta(seconds=60)
FAILURE_BELIEVED: Final = timedelta(seconds=15)
"""A player asks several times a second where nothing comes; the site is not asked as often."""
GONE_FOR: Final = timedelta(minutes=10)
MARGIN: Final = timedelta(seconds=20)
"""A link that ends this soon is looked for anew."""
_PURPOSE = "strm headers"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A stream as it can be asked for now; `headers` go with every request. `provider` is the host as its site calls it,
    `host` the machine that the address names."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    kind: StreamKind
    expires_at: datetime
    resolved_at: datetime
    host: str
    provider: str
    version: int

    def is_good(self, newer_than: int = 0, without: str = "") -> bool:
        """Whether it can be used by somebody for whom version `newer_than` or the host `without` has failed."""
        return (
            self.version > newer_than
            and (not without or self.provider.casefold() != without.casefold())
            and self.expires_at > timezone.now() + MARGIN
        )


def resolve(
    identity: Identity, *, provider: str = "", newer_than: int = 0, without: str = ""
) -> Resolved:
    """The stream of an identity, from `provider` if it can be. Blocks while it is looked for; do not hold a transaction.

    `newer_than`: the version that did not work, so that all who saw it fail share one new look. `without`: a host
    that had it and does not deliver; it is left out for a while. Raises what `sources.find` raises.
    """
    key = mapping_key(identity, provider)
    until = monotonic() + SECONDS + 5
    while True:
        row = _row(key, identity, provider)
        held = _resolved(row)
        if held is not None and held.is_good(newer_than, without):
            return held
        _refuse_again(row, newer_than)
        owner = _claim(row)
        if owner:
            return _look(row, identity, provider, owner, without)
        if monotonic() > until:
            raise NoStream("somebody else has been looking for this stream for too long")
        http.pause(0.2)


def known(identity: Identity, *, provider: str = "") -> Resolved | None:
    """What is remembered, however old; None for nothing. Asks nobody."""
    row = StrmUrlMapping.objects.filter(pk=mapping_key(identity, provider)).first()
    return None if row is None else _resolved(row)


def learnt(identity: Identity, found: sources.Found, *, provider: str = "") -> None:
    """Remembers a stream that somebody has found, and tried, by himself; not while it is being looked for."""
    row = _row(mapping_key(identity, provider), identity, provider)
    owner = _claim(row)
    if owner:
        with suppress(NoStream):  # somebody has looked meanwhile, and knows as much
            _remember(row, owner, found, _gone(row, ""))


def _row(key: str, identity: Identity, provider: str) -> StrmUrlMapping:
    row = StrmUrlMapping.objects.filter(pk=key).first()
    if row is not None:
        return row
    fields: dict[str, Any] = StrmUrlMapping.fields_of(identity, provider)
    try:
        return StrmUrlMapping.objects.get_or_create(pk=key, defaults=fields)[0]
    except IntegrityError:
        return StrmUrlMapping.objects.get(pk=key)


def _resolved(row: StrmUrlMapping) -> Resolved | None:
    if not row.resolved_url or row.expires_at is None or row.resolved_at is None:
        return None
    try:
        sent = crypto.decrypt(row.headers, purpose=_PURPOSE) if row.headers else "{}"
    except Misconfigured:
        return None
    return Resolved(
        url=row.resolved_url,
        headers=json.loads(sent),
        kind=StreamKind(row.kind),
        expires_at=row.expires_at,
        resolved_at=row.resolved_at,
        host=row.host,
        provider=row.provider_used,
        version=row.version,
    )


def _refuse_again(row: StrmUrlMapping, newer_than: int) -> None:
    """A failure of a moment ago is told again, unless something else was found since."""
    if row.failed_at is None or row.version > newer_than > 0:
        return
    if row.failed_at > timezone.now() - FAILURE_BELIEVED:
        raise NoStream(row.failure or "no host has a stream")


def _claim(row: StrmUrlMapping) -> str:
    """The name under which this process may look now; empty where another one is looking."""
    now, owner = timezone.now(), secrets.token_hex(16)
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    won = StrmUrlMapping.objects.filter(free, pk=row.pk, version=row.version).update(
        lease_owner=owner, lease_until=now + LEASE
    )
    return owner if won else ""


def _look(
    row: StrmUrlMapping, identity: Identity, provider: str, owner: str, without: str
) -> Resolved:
    gone = _gone(row, without)
    try:
        with http.deadline(SECONDS, "looking for the stream"):
            found = sources.find(identity, provider, set(gone))
    except Cancelled:
        _let_go(row, owner)
        raise
    except AniBridgeError as error:
        # With nobody left to ask, those that failed before get another chance the next time.
        failure = shorten(str(error), 500)
        _let_go(row, owner, failure=failure, failed_at=timezone.now(), gone={})
        raise
    except BaseException:
        _let_go(row, owner)
        raise
    return _remember(row, owner, found, gone)


def _gone(row: StrmUrlMapping, without: str) -> dict[str, str]:
    now = timezone.now()
    gone = {
        host: until
        for host, until in cast("dict[str, str]", row.gone).items()
        if datetime.fromisoformat(until) > now
    }
    return {**gone, without.casefold(): (now + GONE_FOR).isoformat()} if without else gone


def _remember(
    row: StrmUrlMapping, owner: str, found: sources.Found, gone: dict[str, str]
) -> Resolved:
    now = timezone.now()
    believed = now + timedelta(minutes=settings.STRM_URL_TTL_MINUTES)
    expires_at = expiry.learned(found.url, now) or believed
    sent = headers.from_resolver(found.headers)
    won = StrmUrlMapping.objects.filter(pk=row.pk, lease_owner=owner).update(
        resolved_url=found.url,
        headers=crypto.encrypt(json.dumps(sent), purpose=_PURPOSE) if sent else "",
        kind=found.kind,
        provider_used=shorten(found.provider, 60),
        host=host_of(found.url),
        version=F("version") + 1,
        resolved_at=now,
        # A link that is as good as over is still used once.
        expires_at=max(expires_at, now + 2 * MARGIN),
        gone=gone,
        failure="",
        failed_at=None,
        lease_owner="",
        lease_until=None,
        updated_at=now,
    )
    row.refresh_from_db()
    held = _resolved(row)
    if held is None or not (won or held.is_good()):
        raise NoStream("somebody else is looking for this stream")
    logger.info("%s: at %s (%s)", row, held.provider, held.host)
    return held


def _let_go(row: StrmUrlMapping, owner: str, **news: Any) -> None:
    StrmUrlMapping.objects.filter(pk=row.pk, lease_owner=owner).update(
        lease_owner="", lease_until=None, updated_at=timezone.now(), **news
    )
