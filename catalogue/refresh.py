"""Renewing a site's title index: read it whole, then swap it in one transaction, or keep the old one."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from anibridge.lib.text import shorten, without_controls
from catalogue import health, words
from catalogue.errors import IndexUnchanged, LayoutChanged, SiteError, UnknownSite
from catalogue.fetching import SiteClient, client_for
from catalogue.models import Site, Title, TitleMapping
from catalogue.sites.base import IndexPage, SiteAdapter

logger = logging.getLogger(__name__)

T = TypeVar("T")
_Names = tuple[str, ...]
BATCH = 1000
READ_BATCH = 5000
MAX_TITLES = 500_000
MAX_NAMES = 200
"""Other names of one title that are taken."""
MAX_PAGES = 200
"""Pages of one index: a map of maps that grows without end is no index."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The outcome of a refresh: `kept` says why the old index stayed, empty when it was swapped."""

    site_id: str
    titles: int
    names: int
    kept: str = ""


def refresh_index(site_id: str, *, force: bool = False) -> Refreshed:
    """Fetch a site's index and make it the current one.

    Raises UnknownSite or SiteError; whatever happens, a good index is only ever replaced by a whole one, and
    never by one that was read earlier. Where the site gives validators, an unchanged index is not read again.
    `force` reads it all the same, and also takes one that is suspiciously small.
    """
    site = Site.objects.filter(pk=site_id).first()
    if site is None:
        raise UnknownSite(f"there is no site «{shorten(site_id, 40)}»")
    client = client_for(site)
    started = timezone.now()
    try:
        known = site.index_validators if site.index_size and not force else {}
        titles, validators = _read(client, known)
    except SiteError as error:
        health.failed(site_id, error, since=started)
        raise
    except IndexUnchanged as unchanged:
        health.answered(site_id, since=started)
        Site.objects.filter(pk=site_id).update(index_warning="", index_refreshed_at=started)
        return Refreshed(site_id, site.index_size, site.mappings.count(), str(unchanged))
    health.answered(site_id, since=started)
    if not force and len(titles) < site.index_size * settings.INDEX_SMALLEST_SHARE:
        return _keep(site, len(titles), started)
    # Taking names apart is the slow part: done before anything is locked.
    done = _swap(site_id, titles, _mappings(titles), started, validators)
    logger.info("%s: %d titles, %d names %s", site_id, done.titles, done.names, done.kept)
    return done


def _read(client: SiteClient, known: Mapping[str, str]) -> tuple[dict[str, _Names], dict[str, str]]:
    """All pages of the index as one, and the validators to ask with next time.

    Raises SiteError when a page of them cannot be read, or none lists a title, and IndexUnchanged.
    """
    titles: dict[str, _Names] = {}
    validators: dict[str, str] = {}

    def learn(given: dict[str, str]) -> None:
        validators.clear()  # of a mirror that was given up in the middle
        validators.update(given)

    paths = [client.adapter.index_path()]
    for path in paths:  # grows while it is walked through
        first = path is paths[0]
        found, further = client.index(
            lambda chunks: _wanted(client.adapter, chunks),
            path=path,
            known=known if first else None,
            learn=learn if first else lambda ignored: None,
        )
        for slug, names in found.items():
            titles[slug] = titles.get(slug, ()) + names
        if len(titles) > MAX_TITLES:
            raise SiteError(f"the index has more than {MAX_TITLES} titles")
        paths += [one for one in dict.fromkeys(further) if one not in paths]
        if len(paths) > MAX_PAGES:
            raise SiteError(f"the index has more than {MAX_PAGES} pages")
    if not titles:
        raise LayoutChanged(f"no title on any of the {len(paths)} pages of the index")
    # The first of several pages may stay the same while a later one changes.
    return titles, validators if len(paths) == 1 else {}


def _wanted(adapter: SiteAdapter, chunks: Iterator[bytes]) -> tuple[dict[str, _Names], list[str]]:
    """Slug → names, the site's own first, and the paths of further pages.

    Slugs that the adapter could not ask for are left out.
    """
    titles: dict[str, _Names] = {}
    pages: list[str] = []
    for entry in adapter.parse_index(chunks):
        if isinstance(entry, IndexPage):
            pages.append(entry.path)
            if len(pages) > MAX_PAGES:
                raise SiteError(f"the index has more than {MAX_PAGES} pages")
            continue
        names = tuple(
            name
            for text in (entry.name, *entry.alternatives[:MAX_NAMES])
            if (name := without_controls(text).strip()[:300])
        )
        if names and adapter.slug_pattern.fullmatch(entry.slug):
            titles[entry.slug] = titles.get(entry.slug, ()) + names
        if len(titles) > MAX_TITLES:
            raise SiteError(f"the index has more than {MAX_TITLES} titles")
    return titles, pages


def _keep(site: Site, found: int, started: datetime) -> Refreshed:
    """Leave a good index in place of a suspicious one, and say so where the owner looks."""
    warning = (
        f"the index of {started:%Y-%m-%d %H:%M} UTC has {found} titles, the one before {site.index_size}: "
        f"kept the old one. If the site really shrank, «manage.py refresh_index {site.pk} --force» takes it"
    )
    # Counts as read: the next try is after the usual time, not in a minute.
    Site.objects.filter(pk=site.pk).update(index_warning=warning, index_refreshed_at=started)
    logger.warning("%s: %s", site.pk, warning)
    return Refreshed(site.pk, site.index_size, site.mappings.count(), warning)


def _mappings(titles: dict[str, _Names]) -> dict[tuple[str, str], str]:
    """(title key, slug) → the name as the site writes it; of names with the same key the first."""
    mappings: dict[tuple[str, str], str] = {}
    for slug, names in titles.items():
        for name in names:
            if key := words.title_key(name)[:300]:
                mappings.setdefault((key, slug), name)
    return mappings


@transaction.atomic
def _swap(
    site_id: str,
    titles: dict[str, _Names],
    mappings: dict[tuple[str, str], str],
    started: datetime,
    validators: dict[str, str],
) -> Refreshed:
    """Write what differs, drop what the new index lacks, move the marker. Learnt facts stay."""
    # Two refreshes at once: one after the other. Without a key lock, so that nobody who adds a row waits.
    site = Site.objects.select_for_update(no_key=True).get(pk=site_id)
    if site.index_refreshed_at and site.index_refreshed_at >= started:
        kept = "a newer index came in while this one was read"
        return Refreshed(site_id, site.index_size, site.mappings.count(), kept)
    names = len(mappings)
    _swap_titles(site_id, titles, started)
    _swap_mappings(site_id, mappings, started)
    Site.objects.filter(pk=site_id).update(
        index_generation=F("index_generation") + 1,
        index_size=len(titles),
        index_refreshed_at=started,
        index_validators=validators,
        index_warning="",
    )
    return Refreshed(site_id, len(titles), names)


def _swap_titles(site_id: str, titles: dict[str, _Names], started: datetime) -> None:
    rows = Title.objects.filter(site_id=site_id)
    changed = {slug: names[0] for slug, names in titles.items()}
    gone: list[int] = []
    for pk, slug, name in rows.values_list("pk", "slug", "name").iterator(READ_BATCH):
        if slug not in titles:
            gone.append(pk)
        elif changed[slug] == name:
            del changed[slug]
    _delete(rows, gone)
    for batch in _batches(
        Title(site_id=site_id, slug=slug, name=name, seen_at=started)
        for slug, name in changed.items()
    ):
        Title.objects.bulk_create(
            batch,
            update_conflicts=True,
            unique_fields=["site", "slug"],
            update_fields=["name"],
        )
    rows.update(seen_at=started)


def _swap_mappings(site_id: str, changed: dict[tuple[str, str], str], started: datetime) -> None:
    """Uses `changed` up."""
    rows = TitleMapping.objects.filter(site_id=site_id)
    gone: list[int] = []
    listed = {slug for _, slug in changed}
    fields = rows.values_list("pk", "title_key", "slug", "name", "learned")
    for pk, key, slug, name, learned in fields.iterator(READ_BATCH):
        wanted = changed.get((key, slug))
        if wanted is None:
            # What the title's own page said is as good as before, while the site has the title.
            if not (learned and slug in listed):
                gone.append(pk)
        elif wanted == name:
            del changed[key, slug]
    _delete(rows, gone)
    for batch in _batches(
        TitleMapping(
            site_id=site_id, title_key=key, slug=slug, name=name, last_refreshed_at=started
        )
        for (key, slug), name in changed.items()
    ):
        TitleMapping.objects.bulk_create(
            batch,
            update_conflicts=True,
            unique_fields=["site", "title_key", "slug"],
            update_fields=["name"],
        )
    rows.update(last_refreshed_at=started)


def _delete(rows: QuerySet, gone: list[int]) -> None:
    for batch in _batches(iter(gone)):
        rows.filter(pk__in=batch).delete()


def _batches(rows: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(rows, BATCH)):
        yield batch
