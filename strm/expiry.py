"""When a host's link ends, read off the link itself. A guess that is wrong costs one refresh, not a playback."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

MOST: Final = timedelta(days=7)
"""What lies further ahead is no expiry, or none that helps."""

_MOMENTS = frozenset(
    [
        "e",
        "exp",
        "expire",
        "expires",
        "expiry",
        "expiration",
        "expiretime",
        "expires_at",
        "valid_to",
        "validto",
        "validuntil",
        "deadline",
        "wstime",
    ]
)
_TOKENS = frozenset(["hdnts", "hdntl", "hdnea", "token", "auth"])
_IN_TOKEN = re.compile(r"(?:^|[~&;/])exp=(\d{10})(?=[~&;/]|$)")
_STARTS = frozenset({"s", "st", "start", "t"})
_SIGNED_FOR = (("x-amz-expires", "x-amz-date"), ("x-goog-expires", "x-goog-date"))


def learned(url: str, now: datetime) -> datetime | None:
    """When the link says that it ends; None where it says nothing that can be believed.

    Known are moments (`expires=1767225600`, in ms too), spans with their start (`s=<moment>&e=14400`), Amazon's and
    Google's signatures, Azure's `se`, and Akamai's tokens, in the query or in the path.
    """
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, max_num_fields=100)
    except ValueError:
        return None
    fields = {name.lower(): value for name, value in pairs}
    found = [
        *_moments(fields),
        *_spans(fields, now),
        *_signed(fields),
        *(_moment(match) for match in _IN_TOKEN.findall(parts.path)),
    ]
    ahead = [moment for moment in found if moment and now < moment <= now + MOST]
    return min(ahead, default=None)


def _moments(fields: dict[str, str]) -> list[datetime | None]:
    found = [_moment(fields[name]) for name in _MOMENTS & fields.keys()]
    for name in _TOKENS & fields.keys():
        found += [_moment(text) for text in _IN_TOKEN.findall(fields[name])]
    if "se" in fields:
        found.append(_written(fields["se"]))
    return found


def _spans(fields: dict[str, str], now: datetime) -> list[datetime | None]:
    """`e=14400` is a span where the link also holds the moment at which it was made."""
    span = fields.get("e", "") or fields.get("expires", "")
    if not re.fullmatch(r"\d{2,6}", span, re.ASCII):
        return []
    starts = [_moment(fields[name]) for name in _STARTS & fields.keys()]
    near = [one for one in starts if one and abs(one - now) < timedelta(days=1)]
    return [one + timedelta(seconds=int(span)) for one in near]


def _signed(fields: dict[str, str]) -> list[datetime | None]:
    found: list[datetime | None] = []
    for span, start in _SIGNED_FOR:
        began = _written(fields.get(start, ""))
        if began and re.fullmatch(r"\d{1,7}", fields.get(span, ""), re.ASCII):
            found.append(began + timedelta(seconds=int(fields[span])))
    return found


def _moment(text: str) -> datetime | None:
    """Unix time in seconds or milliseconds."""
    if not re.fullmatch(r"\d{10}|\d{13}", text, re.ASCII):
        return None
    seconds = int(text) / (1000 if len(text) == 13 else 1)
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _written(text: str) -> datetime | None:
    """`20260101T120000Z` and ISO 8601."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
