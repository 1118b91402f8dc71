"""Who may use the API: a signed-in user's session cookie, the API key, or a user's name and password.

Sessions are rows of our own, so they survive a restart, and the cookie of the admin does not open this API nor ours the
admin. A session ends with the user's password, with the permission, or when nobody has used it for long.
"""

import base64
import hashlib
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Permission
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.db.models import Exists, F, OuterRef, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from anibridge.lib import apikeys
from anibridge.lib.prepared import instances, sql_of
from anibridge.lib.text import shorten
from qbshim import bans, origin, preferences
from qbshim.errors import Banned
from qbshim.models import ClientSession

logger = logging.getLogger(__name__)

COOKIE: Final = "SID"
NEWER_COOKIES: Final = "QBT_SID_"
"""qBittorrent 5.2 calls it so, and puts its port behind."""
PERMISSION: Final = "qbshim.use_download_client"
LONGEST_COOKIE: Final = 100
NEVER: Final = timedelta(days=3650)
_KEPT_PASSWORDS = 256
_KEPT_SECONDS = 300.0


@dataclass(slots=True)
class Client:
    """Whoever is let in. `session` is None for one that shows a key or a password with every request."""

    address: str
    agent: str
    user_id: int | None = None
    session: ClientSession | None = None
    credential: str = ""

    def standing_session(self) -> ClientSession:
        """The session of a client without a cookie, by what it shows and where it is: it has to be told apart from
        others that use the same key."""
        if self.session is None:
            key = _digest(f"{self.credential}|{self.address}|{self.agent}")
            self.session, _ = ClientSession.objects.get_or_create(
                key=key,
                defaults={
                    "user_id": self.user_id,
                    "address": self.address,
                    "agent": self.agent,
                    "expires_at": timezone.now() + timedelta(hours=1),
                    "lifetime": 3600,
                },
            )
            _prolong(self.session, timezone.now())
        return self.session


def identify(request: HttpRequest) -> Client | None:
    """The client behind a request, if it may come in.

    A valid cookie counts first: Radarr sends Basic credentials beside its cookie, which are then not looked at.
    """
    client = Client(
        address=origin.address_of(request),
        agent=shorten(request.headers.get("User-Agent", ""), 200).replace("\x00", ""),
    )
    client.session = _session(request)
    if client.session is not None:
        client.user_id = client.session.user_id
        return client
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and apikeys.is_valid(rest.strip()):
        client.credential = "key"
        return client
    if scheme.lower() == "basic":
        user = _basic_user(request, rest.strip(), client.address)
        if user is not None:
            client.user_id, client.credential = user.pk, f"user {user.pk}"
            return client
    return None


def sign_in(request: HttpRequest, username: str, password: str) -> str | None:
    """The cookie value of a new session, or None for wrong credentials or a user who may not. Raises Banned.

    Deliberately slow, as every password check is; the session makes it rare.
    """
    address = origin.address_of(request)
    user = _checked(request, username, password, address)
    if user is None:
        return None
    # Some Sonarr builds sign in at every poll: what they leave behind goes here.
    forget_expired()
    seconds = preferences.get("web_ui_session_timeout")
    cookie = secrets.token_hex(16)
    ClientSession.objects.create(
        key=_digest(cookie),
        user_id=user.pk,
        auth_hash=_auth_hash(user),
        address=address,
        agent=shorten(request.headers.get("User-Agent", ""), 200).replace("\x00", ""),
        expires_at=timezone.now() + (timedelta(seconds=seconds) if seconds else NEVER),
        lifetime=seconds,
    )
    return cookie


def sign_out(client: Client) -> None:
    """End the session of this client; without one nothing happens."""
    if client.session is not None and client.session.pk is not None:
        client.session.delete()


def forget_expired() -> None:
    """Delete the sessions that have run out."""
    ClientSession.objects.filter(expires_at__lte=timezone.now()).delete()


def _session(request: HttpRequest) -> ClientSession | None:
    """The session that a cookie names, if it has not run out and its user may still come in. Using it prolongs it."""
    for name, cookie in request.COOKIES.items():
        if name != COOKIE and not name.startswith(NEWER_COOKIES):
            continue
        if not cookie.isascii() or not cookie.isalnum() or len(cookie) > LONGEST_COOKIE:
            continue
        now = timezone.now()
        statement, fixed = _with_user()
        params = [*fixed, connection.ops.adapt_datetimefield_value(now), _digest(cookie)]
        found = instances(ClientSession, statement, params, also=("password", "may"))
        session = next(iter(found), None)
        if session is not None and _still_valid(session):
            _prolong(session, now)
            return session
    return None


@lru_cache(maxsize=1)
def _with_user() -> tuple[str, Sequence[Any]]:
    """SQL for the session with a key that has not run out, and what decides whether its user may still come in.

    Every request asks this, so it is one question in place of those that `User.has_perm` would ask. Two parameters
    follow the given ones: the present time, and the key.
    """
    app, _, codename = PERMISSION.partition(".")
    may = Permission.objects.filter(
        Q(user=OuterRef("user")) | Q(group__user=OuterRef("user")),
        content_type__app_label=app,
        codename=codename,
    )
    rows = ClientSession.objects.order_by().filter(user__is_active=True)
    told = rows.annotate(
        password=F("user__password"), may=Q(user__is_superuser=True) | Q(Exists(may))
    )
    statement, params = sql_of(told.filter(expires_at__gt=timezone.now()).filter(key=""))
    return statement, params[:-2]


def _still_valid(session: Any) -> bool:
    """Whether the user of a session that `_with_user` found may come in, and has the password of that time."""
    if not session.may:
        return False
    user: Any = get_user_model()(password=session.password)
    if constant_time_compare(session.auth_hash, _auth_hash(user)):
        return True
    if session.auth_hash in user.get_session_auth_fallback_hash():
        # The secret key was changed, the password was not.
        ClientSession.objects.filter(pk=session.pk).update(auth_hash=_auth_hash(user))
        return True
    return False


def _prolong(session: ClientSession, now: datetime) -> None:
    """Written at most once in a tenth of its time, and once a day."""
    if not session.lifetime:
        return
    lifetime = timedelta(seconds=session.lifetime)
    if session.expires_at < now + lifetime - min(lifetime / 10, timedelta(days=1)):
        # An UPDATE of this one field: saving the row could bring back a session that just ended.
        ClientSession.objects.filter(pk=session.pk).update(expires_at=now + lifetime)


def _checked(
    request: HttpRequest, username: str, password: str, address: str
) -> AbstractBaseUser | None:
    """The user with this password, if he may use the API. Raises Banned; counts what is wrong."""
    banned_as = origin.banned_as(address)
    if bans.is_banned(banned_as):
        logger.warning("refused a login from %s, which is banned", address)
        raise Banned(address)
    user: Any = authenticate(request, username=username, password=password) if password else None
    if user is None or not _may_come_in(user):
        failures = bans.note_failure(banned_as)
        logger.warning(
            "refused a login as «%s» from %s, the %s. time", shorten(username, 60), address, failures
        )  # fmt: skip
        return None
    bans.forgive(banned_as)
    return user


class _Passwords:
    """Names and passwords that were right a short while ago: checking one takes a tenth of a second, and clients that
    know no cookies send it with every request. Only keyed digests are remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, int, str]] = OrderedDict()

    def recall(self, digest: str) -> AbstractBaseUser | None:
        """The user, as he is now, if his password is still the same."""
        with self._lock:
            until, user_id, auth_hash = self._known.get(digest, (0.0, 0, ""))
        if until < time.monotonic():
            return None
        try:
            user: Any = get_user_model().objects.get(pk=user_id)
        except ObjectDoesNotExist:
            return None
        return user if _auth_hash(user) == auth_hash and _may_come_in(user) else None

    def remember(self, digest: str, user: AbstractBaseUser) -> None:
        """It was right."""
        with self._lock:
            self._known[digest] = (time.monotonic() + _KEPT_SECONDS, user.pk, _auth_hash(user))
            self._known.move_to_end(digest)
            while len(self._known) > _KEPT_PASSWORDS:
                self._known.popitem(last=False)

    def forget(self) -> None:
        """All of them."""
        with self._lock:
            self._known.clear()


passwords = _Passwords()


def _basic_user(request: HttpRequest, text: str, address: str) -> AbstractBaseUser | None:
    """The user of Basic credentials; None for wrong ones. Radarr sends empty ones when it has none: no attempt."""
    try:
        plain = base64.b64decode(text[:2000], validate=True).decode()
    except ValueError:
        return None
    username, _, password = plain.replace("\x00", "").partition(":")
    if not username or not password:
        return None
    digest = salted_hmac("qbshim.auth.basic", plain, algorithm="sha256").hexdigest()
    user = passwords.recall(digest)
    if user is not None:
        return user
    try:
        user = _checked(request, username, password, address)
    except Banned:
        return None
    if user is not None:
        passwords.remember(digest, user)
    return user


def _may_come_in(user: AbstractBaseUser | AnonymousUser) -> bool:
    return bool(user.is_active and getattr(user, "has_perm", bool)(PERMISSION))


def _auth_hash(user: Any) -> str:
    return str(user.get_session_auth_hash())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
