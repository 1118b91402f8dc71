"""The API key: one comparison for every door, in constant time, never logged."""

import hmac

from django.conf import settings


def is_valid(candidate: str | None) -> bool:
    """Whether this is the installation's API key."""
    return hmac.compare_digest((candidate or "").encode(), settings.API_KEY.encode())
