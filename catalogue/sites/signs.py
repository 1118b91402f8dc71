"""Signs that an answer is not the page that was asked for; the same on every site (contracts: site formats, §6)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from catalogue.errors import Blocked, NotFound, RateLimited, SiteUnavailable
from catalogue.sites.base import Answer

_CHALLENGE = re.compile(
    r"<title[^>]*>\s*(?:just a moment|attention required|ddos-guard)|cf-challenge|/cdn-cgi/challenge-platform",
    re.IGNORECASE,
)
_CONFIRMATION = re.compile(r"captcha|verifizierung|sicherheitsabfrage", re.IGNORECASE)
_MAINTENANCE = re.compile(r"wartungsarbeiten|wir aktualisieren", re.IGNORECASE)
_LONGEST_WAIT = 24 * 3600.0


def is_challenge(text: str) -> bool:
    """Whether the page wants a browser to prove itself. Only for pages without the content asked for."""
    return _CHALLENGE.search(text) is not None


def wants_confirmation(text: str) -> bool:
    return _CONFIRMATION.search(text) is not None


def is_maintenance(text: str) -> bool:
    return _MAINTENANCE.search(text) is not None


def is_whole(text: str) -> bool:
    """Whether the page arrived to its end."""
    return "</html" in text.lower()


def check_status(answer: Answer, site: str) -> None:
    """Raises what the status alone tells; an answer in the 200s or 300s passes."""
    status = answer.status
    if status < 400:
        return
    if status == 429:
        wait = retry_after(answer)
        words = f"; it asks to wait {wait:.0f} s" if wait is not None else ""
        raise RateLimited(f"{site} limits how often it is asked{words}", retry_after=wait)
    if status in (403, 503) and is_challenge(answer.text):
        raise Blocked(f"{site} asks for a browser check")
    if status in (404, 410):
        raise NotFound(f"{site} has no such page (HTTP {status})")
    if status in (401, 403, 407, 451):
        raise Blocked(f"{site} refuses access (HTTP {status})")
    if is_maintenance(answer.text):
        raise SiteUnavailable(f"{site} is under maintenance (HTTP {status})")
    raise SiteUnavailable(f"{site} answered HTTP {status}")


def retry_after(answer: Answer) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date; None where it says neither. At most a day."""
    value = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return min(float(value), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
