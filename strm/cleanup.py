"""Forgetting: playbacks that are long over, and addresses that nobody has asked for since."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from strm.models import FormerPlaybacks, StreamSession, StrmUrlMapping, longest

KEPT: Final = timedelta(days=30)


def forget(*, dry_run: bool = False) -> dict[str, int]:
    """Removes old rows; returns how many of which kind there were. A playback whose links are good is never old."""
    since = timezone.now() - max(KEPT, longest())
    playbacks = StreamSession.objects.filter(seen_at__lt=since)
    addresses = StrmUrlMapping.objects.filter(updated_at__lt=since)
    found = {"playbacks": playbacks.count(), "stream_addresses": addresses.count()}
    if not dry_run:
        _keep_totals(since)
        addresses.delete()
    return found


@transaction.atomic
def _keep_totals(since: datetime) -> None:
    """Removes old playbacks; what they came to is added up first, since totals that go back look like new ones."""
    FormerPlaybacks.objects.get_or_create(pk=1)
    old = StreamSession.objects.select_for_update().filter(seen_at__lt=since)
    keys, came = [], {"playbacks": 0, "bytes_sent": 0, "errors": 0}
    for key, sent, errors in old.values_list("key", "bytes_sent", "errors"):
        keys.append(key)
        came["playbacks"] += 1
        came["bytes_sent"] += sent
        came["errors"] += errors
    FormerPlaybacks.objects.filter(pk=1).update(
        **{name: F(name) + count for name, count in came.items()}
    )
    for start in range(0, len(keys), 500):
        StreamSession.objects.filter(pk__in=keys[start : start + 500]).delete()
