"""The keys behind the links: each derived for one purpose from the installation's secret key.

The present key makes links. A former one (ANIBRIDGE_SECRET_KEY_FALLBACKS) still opens them, for as long as it is listed
and at most until the day that is written behind it.
"""

from datetime import UTC, datetime
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def signing() -> list[bytes]:
    """Keys of stream links, the present one first."""
    return [_derived(secret, "stream links", 32) for secret in _secrets()]


def sealing() -> list[AESSIV]:
    """Ciphers of child links, the present one first."""
    return [_cipher(secret) for secret in _secrets()]


def playing() -> list[str]:
    """The keys that may only play, for STRM_PROXY_AUTH=apikey; the present one first. Not the API key."""
    return [_derived(secret, "play only", 20).hex() for secret in _secrets()]


def _secrets() -> list[str]:
    today = datetime.now(tz=UTC).date()
    ends = settings.SECRET_KEY_FALLBACK_ENDS
    former = [str(key) for key in settings.SECRET_KEY_FALLBACKS]
    return [settings.SECRET_KEY, *(key for key in former if ends.get(key, today) >= today)]


@lru_cache(maxsize=16)
def _cipher(secret: str) -> AESSIV:
    return AESSIV(_derived(secret, "child links", 64))


@lru_cache(maxsize=64)
def _derived(secret: str, purpose: str, length: int) -> bytes:
    info = f"strm: {purpose}".encode()
    return HKDF(SHA256(), length=length, salt=b"anibridge", info=info).derive(secret.encode())
