"""Addresses as they may be shown: the keys in them are masked."""

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

MASK = "***"
_SECRET = re.compile(
    r"(?i)([?&;](?:[a-z0-9_.-]*(?:key|token|secret|passw(?:or)?d|signature)|pass|pwd|auth|sig|sid|uid)=)"
    r"[^&;#]+"
)
# A tracker's passkey as a part of the path: long, and of hex digits only.
_PATH_KEY = re.compile(r"(?i)(?<=/)(?:[0-9a-f]{32}|[0-9a-f]{64})(?=/)")
# Xtream portals: /movie/<user>/<password>/<id>.mkv
_PORTAL = re.compile(r"(?i)^(/(?:live|movie|series|timeshift)/[^/]+/)[^/]+(?=/)")
_ADDRESS = re.compile(r"(?i)\b(?:https?://|magnet:\?)[^\s«»<>\"']+")


def masked_text(text: str) -> str:
    """A sentence that may quote addresses, with the keys in them masked."""
    return _ADDRESS.sub(lambda found: masked(found[0]), text) if ":" in text else text


def masked(url: str) -> str:
    """The address without passwords and keys; what cannot be taken apart shows no more than its beginning.

    The same address always gives the same text, so a form that sends it back has changed nothing.
    """
    if url[:7].lower() == "magnet:":
        head, mark, query = url.partition("?")
        return head + mark + "&".join(_masked_address(part) for part in query.split("&"))
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url[:12].rstrip('*')}{MASK}"
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    # A name without a password is a key of its own.
    netloc = f"{name if colon else MASK if name else ''}{colon}{MASK if colon else ''}{at}{host}"
    query = _SECRET.sub(rf"\g<1>{MASK}", f"?{parts.query}")[1:] if parts.query else ""
    path = _PORTAL.sub(rf"\g<1>{MASK}", _PATH_KEY.sub(MASK, parts.path))
    return urlunsplit((parts.scheme, netloc, path, query, parts.fragment))


def _masked_address(part: str) -> str:
    """A part of a magnet's query; trackers and sources are addresses of their own."""
    key, equals, value = part.partition("=")
    if not re.fullmatch(r"(?i)(?:tr|ws|xs|as)(?:\.\d+)?", key):
        return part
    address = unquote(value)
    shown = masked(address) if address[:7].lower() != "magnet:" else MASK
    return part if shown == address else f"{key}{equals}{quote(shown, safe='*')}"
