"""Renewing a site's title index: read it whole, then swap it in one transaction, or keep the old one."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TypeVar

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from anibridge.lib.text import shorten
from catalogue import health, words
from catalogue.errors import SiteError, UnknownSite
from catalogue.fetching import client_for
from catalogue.models import Site, Title, TitleMapping
from catalogue.sites.base import IndexEntry

logger = logging.getLogger(__name__)

T = TypeVar("T")
BATCH = 1000
SMALLEST_SHARE = 0.5
"""An index below this share of the last good one is a broken page until its owner says otherwise."""
MAX_TITLES = 500_000


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The outcome of a refresh: `kept` says why the old index stayed, empty when it was swapped."""

    site_id: str
    titles: int
    names: int
    kept: str = ""


def refresh_index(site_id: str, *, force: bool = False) -> Refreshed:
    """Fetch a site's index and make it the current one.

    Raises UnknownSite or SiteError; whatever happens, a good index is only ever replaced by a whole one.
    `force` also takes one that is suspiciously small.
    """
    try:
        site = Site.objects.get(pk=site_id)
    except Site.DoesNotExist:
        raise UnknownSite(f"there is no site «{shorten(site_id, 40)}»") from None
    client = client_for(site)
    started = timezone.now()
    try:
        with client.index_chunks() as chunks:
            entries = _bounded(client.adapter.parse_index(chunks))
    except SiteError as error:
        health.failed(site_id, error)
        raise
    health.answered(site_id)
    if not force and len(entries) < site.index_size * SMALLEST_SHARE:
        warning = (
            f"the index of {started:%Y-%m-%d %H:%M} UTC has {len(entries)} titles, the one before "
            f"{site.index_size}: kept the old one"
        )
        Site.objects.filter(pk=site_id).update(index_warning=warning, index_refreshed_at=started)
        logger.warning("%s: %s", site_id, warning)
        return Refreshed(site_id, site.index_size, site.mappings.count(), warning)
    names = _swap(site_id, entries, started)
    logger.info("%s: %d titles, %d names", site_id, len(entries), names)
    return Refreshed(site_id, len(entries), names)


def _bounded(entries: Iterable[IndexEntry]) -> list[IndexEntry]:
    taken = list(islice(entries, MAX_TITLES + 1))
    if len(taken) > MAX_TITLES:
        raise SiteError(f"the index has more than {MAX_TITLES} titles")
    return taken


@transaction.atomic
def _swap(site_id: str, entries: list[IndexEntry], started: datetime) -> int:
    """Upsert every title and name, drop the ones the new index lacks, move the marker. Learnt facts stay."""
    Site.objects.select_for_update().get(pk=site_id)  # two refreshes at once: one after the other
    for batch in _batches(
        Title(site_id=site_id, slug=entry.slug, name=entry.name[:300], seen_at=started)
        for entry in entries
    ):
        Title.objects.bulk_create(
            batch,
            update_conflicts=True,
            unique_fields=["site", "slug"],
            update_fields=["name", "seen_at"],
        )
    names = 0
    for mappings in _batches(_mappings(site_id, entries, started)):
        names += len(mappings)
        TitleMapping.objects.bulk_create(
            mappings,
            update_conflicts=True,
            unique_fields=["site", "title_key", "slug"],
            update_fields=["name", "last_refreshed_at"],
        )
    Title.objects.filter(site_id=site_id, seen_at__lt=started).delete()
    TitleMapping.objects.filter(site_id=site_id, last_refreshed_at__lt=started).delete()
    Site.objects.filter(pk=site_id).update(
        index_generation=F("index_generation") + 1,
        index_size=len(entries),
        index_refreshed_at=started,
        index_warning="",
    )
    return names


def _mappings(
    site_id: str, entries: list[IndexEntry], started: datetime
) -> Iterator[TitleMapping]:
    for entry in entries:
        keys: dict[str, str] = {}
        for name in (entry.name, *entry.alternatives):
            key = words.title_key(name)[:300]
            if key:
                keys.setdefault(key, name[:300])
        for key, name in keys.items():
            yield TitleMapping(
                site_id=site_id, title_key=key, slug=entry.slug, name=name, last_refreshed_at=started
            )


def _batches(rows: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(rows, BATCH)):
        yield batch
