"""What the catalogue may forget: answers that nobody would believe any more."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from catalogue.availability import ttl
from catalogue.models import AvailabilityRecord, Site, Title

TIMES = 24
"""A «not there» is kept for so many of its lifetimes, and at least a week, so that it can be looked at."""
ORPHANS_KEPT = timedelta(days=30)
"""What belongs to no title of the index: a site may have been half broken for some weeks."""
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How many records of a site went, or would go."""

    site_id: str
    unavailable: int
    orphans: int


def cleanup(*, dry_run: bool = False, now: datetime | None = None) -> list[Cleaned]:
    """Drop old «not there» records, and records of titles that the index no longer has, by each site's own TTLs.

    What is available stays as long as its title does: `first_seen_at` is what the feed is sorted by, and a record
    that came back would look new to every client.
    """
    now = now or timezone.now()
    done = []
    for site in Site.objects.all():
        rows = AvailabilityRecord.objects.filter(site=site)
        kept = max(ttl(site, available=False) * TIMES, timedelta(days=7))
        gone = rows.filter(is_available=False, checked_at__lt=now - kept)
        titled = Title.objects.filter(site=site, slug=OuterRef("slug"))
        orphans = rows.filter(checked_at__lt=now - ORPHANS_KEPT).exclude(Exists(titled))
        # A site whose index was never read has no titles yet: then everything would be an orphan.
        orphans = orphans.filter(is_available=True) if site.index_size else orphans.none()
        done.append(Cleaned(site.pk, _drop(gone, dry_run), _drop(orphans, dry_run)))
    return done


def _drop(rows: QuerySet[AvailabilityRecord], dry_run: bool) -> int:
    """In batches: one long DELETE would hold SQLite's only write lock."""
    if dry_run:
        return rows.count()
    dropped = 0
    while ids := list(rows.values_list("pk", flat=True)[:BATCH]):
        dropped += AvailabilityRecord.objects.filter(pk__in=ids).delete()[0]
    return dropped
