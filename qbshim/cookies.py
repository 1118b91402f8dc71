"""`app/cookies`: what a client wants sent along when links are fetched. Kept encrypted, since cookies open doors, and
given back; links are fetched without any, so far."""

import json
from typing import Any

from anibridge.lib import crypto
from anibridge.lib.errors import Misconfigured
from qbshim.errors import ParameterInvalid
from qbshim.models import Preference

KEY = "cookies"
PURPOSE = "qbshim cookies"
MAX_COOKIES = 200
MAX_LENGTH = 4096
_TEXTS = ("name", "domain", "path", "value")
_EXPIRES = "expirationDate"


def everything() -> list[dict[str, Any]]:
    """The cookies, none when the key that encrypted them is gone."""
    sealed = Preference.objects.filter(pk=KEY).values_list("value", flat=True).first()
    try:
        return list(json.loads(crypto.decrypt(sealed, purpose=PURPOSE))) if sealed else []
    except Misconfigured:
        return []


def replace(text: str) -> None:
    """Keep these cookies and no others. Raises ParameterInvalid, worded as qBittorrent does."""
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterInvalid(f"cookies are no JSON: {str(error)[:100]}") from None
    if not isinstance(asked, list):
        raise ParameterInvalid("cookies must be array")
    if len(asked) > MAX_COOKIES:
        raise ParameterInvalid(f"more than {MAX_COOKIES} cookies are not kept")
    sealed = crypto.encrypt(json.dumps([_cookie(one) for one in asked]), purpose=PURPOSE)
    Preference.objects.update_or_create(pk=KEY, defaults={"value": sealed})


def _cookie(asked: Any) -> dict[str, Any]:
    if not isinstance(asked, dict):
        raise ParameterInvalid("Bad Request")
    cookie: dict[str, Any] = {}
    for key in _TEXTS:
        value = asked.get(key, "")
        cookie[key] = value[:MAX_LENGTH].encode("utf-8", "replace").decode() if isinstance(value, str) else ""  # fmt: skip
    expires = asked.get(_EXPIRES, -1)
    is_number = isinstance(expires, int) and not isinstance(expires, bool)
    cookie[_EXPIRES] = expires if is_number and abs(expires) < 2**53 else 0
    return cookie
