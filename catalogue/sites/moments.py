"""When a page says that an episode was published."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")

_PUBLISHED = re.compile(
    r"Veröffentlicht.{0,60}?(\d{1,2})\.(\d{1,2})\.(\d{4}),?\s+(\d{1,2}):(\d{2})\s*Uhr", re.ASCII
)


def published(text: str) -> datetime | None:
    """The moment in UTC, read off a clock in Berlin; None where the text names none."""
    if (found := _PUBLISHED.search(text)) is None:
        return None
    day, month, year, hour, minute = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
