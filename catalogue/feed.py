"""What became available most recently: the search without a query, which clients repeat every few minutes.

A page is looked up before it is read: `look` says which records it is made of and what they depend on, in two queries,
however long the page is. Whoever remembers what it made of a page knows by that whether it still holds.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from anibridge.lib.prepared import sql_of
from catalogue import filmnames
from catalogue.models import AvailabilityRecord, Film, Site, Title
from catalogue.results import ENTRY_FIELDS, ResultEntry, entry_of
from catalogue.sites import SITES, get_adapter

MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the feed, newest first.

    `sites` None means all of them; `where` restricts the availability records. `up_to` is the `place` of the entry
    that the first page began with: what arrived since then does not move the pages that follow.
    """

    offset: int = 0
    limit: int = 100
    sites: frozenset[str] | None = None
    where: Q = field(default_factory=Q)
    up_to: tuple[datetime, int] | None = None


class Seen(NamedTuple):
    """One record of a page, as far as it matters whether it has changed: every probe moves `checked_at`.

    Name, year and IMDb id are the title's, empty where the index has none; the rest is what was learnt of a series'
    film, and None for everything else.
    """

    record_id: int
    checked_at: Any
    """As the database has it."""
    name: str | None
    year: int | None
    imdb_id: str | None
    german_title: str | None
    english_title: str | None
    film_year: int | None
    alone: bool | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a page is made of. Two that are equal are read as the same entries."""

    records: tuple[Seen, ...] = ()
    sites: tuple[tuple[str, str], ...] = ()
    """Those that are shown, with their base URLs."""


def feed(
    *,
    offset: int = 0,
    limit: int = 100,
    sites: Collection[str] | None = None,
    where: Q | None = None,
    up_to: tuple[datetime, int] | None = None,
) -> list[ResultEntry]:
    """The entries of a page; the parameters are those of `Page`."""
    shown = None if sites is None else frozenset(sites)
    return read(look(Page(offset, limit, shown, where or Q(), up_to)))


def look(page: Page) -> Contents:
    """What the page is made of at present. At most MAX_PAGE records."""
    with connection.cursor() as cursor:
        cursor.execute(_of_sites())
        there = {site_id: (enabled, base_url) for site_id, enabled, base_url in cursor.fetchall()}
    asked = SITES.keys() if page.sites is None else SITES.keys() & page.sites
    shown = {site_id: there[site_id][1] for site_id in asked if there.get(site_id, (False,))[0]}
    if not shown:
        return Contents()
    statement, params = _statement(page, frozenset(shown), frozenset(there.keys() - shown.keys()))
    if not statement:
        return Contents()
    with connection.cursor() as cursor:
        # No model and no conversion: this is only compared, and done again with every question.
        cursor.execute(statement, params)
        return Contents(tuple(map(Seen._make, cursor.fetchall())), tuple(sorted(shown.items())))


def read(contents: Contents) -> list[ResultEntry]:
    """The entries that the contents stand for. A record that was deleted since is left out."""
    if not contents.records:
        return []
    ids = [seen.record_id for seen in contents.records]
    # Plain rows: making a hundred model instances takes as long as everything else together.
    plain: Any = AvailabilityRecord.objects.filter(pk__in=ids)
    rows = {row.pk: row for row in plain.values_list(*ENTRY_FIELDS, named=True)}
    addresses = dict(contents.sites)
    return [
        _entry(rows[seen.record_id], seen, addresses)
        for seen in contents.records
        if seen.record_id in rows
    ]


def _entry(row: Any, seen: Seen, addresses: Mapping[str, str]) -> ResultEntry:
    """The entry, called as by a search for just this title, or just this film."""
    name, year, imdb_id, film = seen.name, seen.year, seen.imdb_id, seen.film_year is not None
    if film and not seen.alone:
        # What stands on the page of a series is the series' id.
        written = filmnames.written(seen.english_title or "", seen.german_title or "")
        name, year, imdb_id = next(iter(written), name), seen.film_year, ""
    entry = entry_of(
        row,
        title=name or get_adapter(row.site_id).name_of(row.slug),
        year=year,
        site_url=addresses.get(row.site_id, ""),
    )
    alone = film or entry.is_film
    return replace(entry, film=alone, imdb_id=imdb_id or "") if alone else entry


@lru_cache(maxsize=1)
def _of_sites() -> str:
    return sql_of(Site.objects.order_by().values_list("site_id", "enabled", "base_url"))[0]


@lru_cache(maxsize=256)
def _statement(
    page: Page, sites: frozenset[str], without: frozenset[str]
) -> tuple[str, tuple[Any, ...]]:
    rows = AvailabilityRecord.objects.feed(sites=sites, without=without).filter(page.where)
    if page.up_to is not None:
        moment, pk = page.up_to
        rows = rows.filter(Q(first_seen_at__lt=moment) | Q(first_seen_at=moment, pk__lte=pk))
    start = max(page.offset, 0)
    told = rows.values_list(
        "pk", "checked_at", "first_seen_at", "site_id", "slug", "season", "episode"
    )
    inner, params = sql_of(told[start : start + min(max(page.limit, 0), MAX_PAGE)])
    # Names only of what is on the page: a column of its own would be looked up for all that is passed over as well.
    # As text, which SQLite has anyway: making moments of them takes as long as looking them up.
    checked_at = "p.checked_at::text" if connection.vendor == "postgresql" else "p.checked_at"
    outer = (
        f"SELECT p.pk, {checked_at}, t.name, t.year, t.imdb_id, "  # noqa: S608
        "f.german_title, f.english_title, f.year, f.alone "
        f"FROM ({inner}) p LEFT JOIN {Title._meta.db_table} t "
        "ON t.site_id = p.site_id AND t.slug = p.slug "
        f"LEFT JOIN {Film._meta.db_table} f ON p.season = 0 AND p.episode > 0 "
        "AND f.title_id = t.id AND f.number = p.episode "
        "ORDER BY p.first_seen_at DESC, p.pk DESC"
    )
    return (outer, params) if inner else ("", ())
