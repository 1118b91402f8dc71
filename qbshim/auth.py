"""Who may use the API: a signed-in user's session cookie, or the API key.

The sessions are Django's own rows, so they survive a restart, but under a key of ours: the cookie of the admin does not
open this API and `SID` does not open the admin. A session ends with the user's password, as Django's own do.
"""

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from anibridge.lib import apikeys
from anibridge.lib.text import shorten

logger = logging.getLogger(__name__)

COOKIE = "SID"
LIFETIME = timedelta(days=30)
RENEW_AFTER = timedelta(days=1)
"""A session that is used is written at most once in this time."""

_USER = "qbshim_user"
_HASH = "qbshim_auth_hash"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_open_to(request: HttpRequest) -> bool:
    """Whether the request carries a valid session or the API key. Any other Authorization header is ignored:
    Radarr sends Basic credentials beside its cookie."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and apikeys.is_valid(key.strip()):
        return True
    return has_session(request)


def has_session(request: HttpRequest) -> bool:
    """Whether the SID cookie is a session of a user who may still sign in. Using it prolongs it."""
    found = _session(request)
    if found is None:
        return False
    session, facts = found
    user = get_user_model().objects.filter(pk=facts[_USER]).first()
    if user is None or not _may_sign_in(user):
        return False
    if not constant_time_compare(str(facts.get(_HASH)), user.get_session_auth_hash()):
        return False
    now = timezone.now()
    if session.expire_date < now + LIFETIME - RENEW_AFTER:
        # An UPDATE of this one field: saving the row could bring back a session that just ended.
        Session.objects.filter(pk=session.pk).update(expire_date=now + LIFETIME)
    return True


def sign_in(request: HttpRequest, username: str, password: str) -> str | None:
    """The cookie value of a new session, or None for wrong credentials or a user who may not.

    Deliberately slow, as every password check is; the session makes it rare.
    """
    user = authenticate(request, username=username, password=password)
    if user is None or not _may_sign_in(user):
        logger.warning("refused a login to the qBittorrent API as «%s»", shorten(username, 60))
        return None
    # Some Sonarr builds sign in at every poll: what they leave behind goes here.
    SessionStore.clear_expired()
    store = SessionStore()
    store[_USER] = user.pk
    store[_HASH] = user.get_session_auth_hash()
    store.set_expiry(LIFETIME)
    store.create()
    return store.session_key


def sign_out(request: HttpRequest) -> None:
    """End the session of this request; without one nothing happens."""
    found = _session(request)
    if found is not None:
        found[0].delete()


def is_cross_site(request: HttpRequest) -> bool:
    """Whether a browser says that another site's page sent this. Clients that are no browser say nothing.

    Origin counts before Referer. X-Forwarded-Host is believed, since a foreign page cannot set it.
    """
    source = request.headers.get("Origin") or request.headers.get("Referer")
    if not source:
        return False
    host = request.headers.get("X-Forwarded-Host", "").split(",")[0].strip()
    host = host or request.get_host()
    try:
        page = urlsplit(source)
        target = urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(page.scheme)
        ours = (target.hostname, target.port or default)
        return page.hostname is None or (page.hostname, page.port or default) != ours
    except ValueError:  # a port that is none, an address with half a bracket
        return True


def _session(request: HttpRequest) -> tuple[Session, dict[str, Any]] | None:
    """The row that the cookie names and what is in it, if it is one of ours and has not run out."""
    key = request.COOKIES.get(COOKIE, "")
    if not key.isascii() or not key.isalnum() or len(key) > 40:
        return None
    session = Session.objects.filter(session_key=key, expire_date__gt=timezone.now()).first()
    facts = session.get_decoded() if session is not None else {}
    return (session, facts) if session is not None and _USER in facts else None


def _may_sign_in(user: AbstractBaseUser | AnonymousUser) -> bool:
    return user.is_active and (
        getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)
    )
