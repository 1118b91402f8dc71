"""Signed tokens that stand for a release: what a client follows when it grabs, read back without a table.

The token holds the magnet, so nothing is kept per offered release. It is the same for the same release as long as
possible, since clients take a new address for a new release; so it carries a day of expiry that moves in steps.
"""

import time
from typing import Any, Final

from django.conf import settings
from django.core import signing

from catalogue.errors import GrabLinkExpired, InvalidGrabLink, InvalidMagnet
from catalogue.releases import Magnet, parse_magnet

MAX_TOKEN: Final = 16 * 1024
_SALT = "catalogue.grab"
_MARK = "r"
"""Django's signer begins with a dot, and web servers in front like to hide what begins with one."""
_DAY = 24 * 3600


def token(magnet: str, infohash: str) -> str:
    """The token of a release, good for GRAB_LINK_DAYS at least and twice that at most; URL-safe.

    Each release has its own day on which its token changes: not all of a feed's addresses move at once.
    """
    return _MARK + _signer().sign_object([_last_day(infohash), magnet], compress=True)


def read(text: str) -> tuple[str, Magnet]:
    """The magnet link that a token stands for, and what it says.

    Raises GrabLinkExpired, or InvalidGrabLink for one that was not made here or under a key that is gone.
    """
    if len(text) > MAX_TOKEN:
        raise InvalidGrabLink("this grab link is too long to be one")
    try:
        if not text.startswith(_MARK):
            raise ValueError("no mark")
        last_day, magnet = _signer().unsign_object(text.removeprefix(_MARK))
        found = parse_magnet(magnet)
        expired = today() > int(last_day)
    except (signing.BadSignature, InvalidMagnet, ValueError, TypeError) as error:
        raise InvalidGrabLink("this grab link was not made here; search again") from error
    if expired:
        raise GrabLinkExpired("this grab link is too old; search again")
    return magnet, found


def _signer() -> Any:
    # Signs with SECRET_KEY and still reads what SECRET_KEY_FALLBACKS signed.
    return signing.Signer(salt=_SALT, sep="~")


def today() -> int:
    """The day, counted from 1970. A token is the same all day long."""
    return int(time.time()) // _DAY


def _last_day(infohash: str) -> int:
    life = settings.GRAB_LINK_DAYS
    phase = int(infohash[:8], 16) % life
    return ((today() + phase) // life + 2) * life - phase
