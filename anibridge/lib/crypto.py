"""Secrets of other services, encrypted at rest with a key that is derived from ANIBRIDGE_SECRET_KEY.

The secret key can be changed: name the old one in ANIBRIDGE_SECRET_KEY_FALLBACKS, and what it encrypted stays readable;
whatever is saved again is encrypted with the new one.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from anibridge.lib.errors import Misconfigured


def encrypt(text: str, *, purpose: str) -> str:
    """`text`, unreadable without the installation's secret key. Another `purpose` cannot read it back."""
    return _fernet(purpose).encrypt(text.encode()).decode("ascii")


def decrypt(token: str, *, purpose: str) -> str:
    """What `encrypt` was given. Raises Misconfigured when the secret key is no longer the one that encrypted it."""
    try:
        return _fernet(purpose).decrypt(token.encode("ascii", "replace")).decode()
    except InvalidToken:
        raise Misconfigured(
            "a stored password cannot be read: ANIBRIDGE_SECRET_KEY has changed. Name the old key in "
            "ANIBRIDGE_SECRET_KEY_FALLBACKS, or enter the password again"
        ) from None


def is_current(token: str, *, purpose: str) -> bool:
    """Whether it was encrypted with the present key, so that the older ones may be forgotten."""
    try:
        _one(settings.SECRET_KEY, purpose).decrypt(token.encode("ascii", "replace"))
    except InvalidToken:
        return False
    return True


def _fernet(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([_one(str(key), purpose) for key in keys])


@lru_cache(maxsize=64)
def _one(secret: str, purpose: str) -> Fernet:
    """HKDF makes 32 bytes for each purpose, whatever the length and form of the secret key."""
    derived = HKDF(
        algorithm=SHA256(), length=32, salt=b"anibridge", info=f"at rest: {purpose}".encode()
    ).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
