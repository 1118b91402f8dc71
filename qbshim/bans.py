"""Wrong passwords are counted by address; after too many an address may not try again for a while.

In the database, so that it counts for all web processes and survives a restart. The table is bounded: what is over or
long ago goes, then the oldest.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from qbshim import preferences
from qbshim.models import FailedLogin

MAX_ADDRESSES = 10_000


def is_banned(address: str) -> bool:
    """Whether this address may not try now."""
    return FailedLogin.objects.filter(pk=address, banned_until__gt=timezone.now()).exists()


@transaction.atomic
def note_failure(address: str) -> int:
    """Count a wrong password; returns how many there were. A ban that is over, or failures as old as one, count no more."""
    most = preferences.get("web_ui_max_auth_fail_count")
    if most <= 0:  # switched off
        return 0
    duration = timedelta(seconds=preferences.get("web_ui_ban_duration"))
    now = timezone.now()
    FailedLogin.objects.get_or_create(pk=address, defaults={"last_at": now})
    entry = FailedLogin.objects.select_for_update().get(pk=address)
    over = entry.banned_until is not None and entry.banned_until <= now
    if over or entry.last_at < now - duration:
        entry.failures, entry.banned_until = 0, None
    entry.failures += 1
    entry.last_at = now
    if entry.failures >= most:
        entry.banned_until = now + duration
    entry.save()
    if FailedLogin.objects.count() > MAX_ADDRESSES:
        prune()
    return entry.failures


def forgive(address: str) -> None:
    """A right password: whoever came from there is no stranger."""
    FailedLogin.objects.filter(pk=address).delete()


def prune() -> None:
    """Forget what no longer counts, and the oldest beyond the bound."""
    now = timezone.now()
    old = now - timedelta(seconds=preferences.get("web_ui_ban_duration"))
    not_banned = Q(banned_until=None) | Q(banned_until__lte=now)
    FailedLogin.objects.filter(not_banned, last_at__lt=old).delete()
    beyond = FailedLogin.objects.order_by("-last_at").values_list("pk", flat=True)[MAX_ADDRESSES:]
    FailedLogin.objects.filter(pk__in=list(beyond)).delete()
