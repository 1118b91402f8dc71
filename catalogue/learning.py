"""What a title's own pages say beyond the index: year, IMDb id, seasons, further names, and what its films are called
and when they were made. Learnt by a worker, kept by a refresh.

A search only leaves a note that a title was hit; it never waits for the page.
"""

import logging
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache as once
from typing import Any, NamedTuple

from celery import current_app
from django.core.cache import cache
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from anibridge.lib.text import shorten, without_controls
from catalogue import filmlists, filmyears, health, words
from catalogue.errors import NotFound, SiteError, UnknownSite, UnsafeSlug
from catalogue.fetching import SiteClient, client_for
from catalogue.filmlists import Films
from catalogue.models import Film, Site, Title, TitleMapping
from catalogue.shows import Shows
from catalogue.sites.base import TitleFacts

logger = logging.getLogger(__name__)

GOOD_FOR = timedelta(days=30)
AGAIN_SECONDS = 3600
"""A title that could not be learnt is not tried again before."""
PER_SEARCH = 6
SERVICE_SECONDS = 20.0
"""The time of which the metadata service has its share, where it is asked when films were made."""
MAX_NAMES = 200
MAX_SEASONS = 500
_NEWS = "names-learnt:"
_IMDB = re.compile(r"tt\d{5,10}", re.ASCII)


class _Film(NamedTuple):
    """What is remembered of a film."""

    german_title: str
    english_title: str
    year: int | None
    alone: bool


def is_due(learned_at: datetime | None) -> bool:
    """Whether a title was never learnt, or so long ago that its page may say something else by now."""
    return learned_at is None or timezone.now() - learned_at > GOOD_FOR


def nudge(wanted: Iterable[tuple[str, str]]) -> None:
    """Ask a worker to learn these titles (site id, slug), each at most once an hour and a few at a time.

    A lost message costs nothing but the time until the next search.
    """
    sent = 0
    for site_id, slug in wanted:
        if sent >= PER_SEARCH:
            return
        # One file or key per title: a slug may hold what no cache takes as a key.
        key = f"learning:{site_id}:{slug.encode().hex()[:180]}"
        if not cache.add(key, True, AGAIN_SECONDS):
            continue
        try:
            current_app.send_task(
                "catalogue.learn_title", args=(site_id, slug), retry=False, expires=AGAIN_SECONDS
            )
        except (OperationalError, OSError) as error:
            cache.delete(key)
            logger.warning("no broker (%s): %s is learnt another time", error, slug)
            return
        sent += 1


def learn(site_id: str, slug: str) -> bool:
    """Read a title's page and remember what it says; False when the site's index has no such title.

    Where the page names films among the seasons, their list is read as well. May be called twice. What the page does
    not say stays as it was; a page that is gone is not asked for again until the facts would be due. Raises SiteError,
    what was read before it is kept; or UnknownSite for a site that is not there or switched off.
    """
    site = Site.objects.enabled().filter(pk=site_id).first()
    if site is None:
        raise UnknownSite(f"no site «{shorten(site_id, 40)}» is enabled")
    title = Title.objects.filter(site=site, slug=slug).first()
    if title is None:
        return False
    client = client_for(site)
    began = timezone.now()
    facts: TitleFacts | None = None
    films: Mapping[int, _Film] | None = None
    failure: SiteError | None = None
    try:
        facts = client.title(slug)
        films = _films(title, facts, _list(client, slug, facts))
    except SiteError as error:
        failure = error
    except (NotFound, UnsafeSlug) as error:
        logger.info("%s: nothing to learn of %s: %s", site_id, slug, error)
    health.told(site_id, [failure], since=began)
    if facts is None and failure is None:
        return Title.objects.filter(site=site, slug=slug).update(learned_at=began) > 0
    renamed = _remember(site_id, slug, facts, films, began) if facts else None
    if renamed:
        cache.set(_NEWS + site_id, True, None)
    if failure is not None:
        raise failure
    return renamed is not None


def _list(client: SiteClient, slug: str, facts: TitleFacts) -> Films:
    """The films of a series. Where titles are films themselves there are no lists of them."""
    lists = 0 in facts.seasons and client.adapter.has_films and not client.adapter.lists_films
    return filmlists.fetch(client, slug) if lists else ()


def _films(title: Title, facts: TitleFacts, films: Films) -> dict[int, _Film]:
    """The films of a list by number. The metadata service is asked where no name says when a film was made."""
    listed = filmyears.numbered(films)
    told = values_of(facts)
    year = told["year"] or title.year
    alone = filmyears.is_alone(listed, told["seasons"])
    if alone:
        years = {listed[0].episode: year} if year else {}
    else:
        mapped = TitleMapping.objects.filter(site_id=title.site_id, slug=title.slug)
        names = {title.name, facts.name, *facts.alternatives[:MAX_NAMES]}
        names.update(mapped.values_list("name", flat=True))
        shows = Shows(time.monotonic() + SERVICE_SECONDS)
        show = once(lambda: shows.by_title([title.name], year))
        years = filmyears.of_series(listed, series=title.name, names=names, show=show)
    return {
        film.episode: _Film(*filmyears.named(film)[1:], _year(years.get(film.episode)), alone)
        for film in listed
    }


@transaction.atomic
def _remember(
    site_id: str, slug: str, facts: TitleFacts, films: Mapping[int, _Film] | None, began: datetime
) -> bool | None:
    """Whether names came or went; None when the title has gone meanwhile. Without its films the title stays due."""
    # After a refresh that is under way, not in its middle: it may be about to drop the title.
    Site.objects.select_for_update(no_key=True).get(pk=site_id)
    known = {name: value for name, value in values_of(facts).items() if value not in (None, "", [])}
    if films is not None:
        known["learned_at"] = began
    title = Title.objects.filter(site_id=site_id, slug=slug).first()
    if title is None:
        return None
    Title.objects.filter(pk=title.pk).update(**known)
    renamed = _remember_names(site_id, slug, facts, began)
    return (films is not None and _remember_films(title, films)) or renamed


def _remember_films(title: Title, films: Mapping[int, _Film]) -> bool:
    """The list as it is now; whether there are other films, or other names, than those that were known.

    A year that nobody tells any more stays with its film.
    """
    rows = {film.number: film for film in title.films.all()}
    same = {
        number: row
        for number, row in rows.items()
        if number in films and (row.german_title, row.english_title) == films[number][:2]
    }
    changed, _ = title.films.exclude(number__in=same).delete()
    news = [
        Film(title=title, number=number, **film._asdict())
        for number, film in films.items()
        if number not in same
    ]
    Film.objects.bulk_create(news, ignore_conflicts=True)
    for number, row in same.items():
        year, alone = films[number].year or row.year, films[number].alone
        if (row.year, row.alone) != (year, alone):
            Film.objects.filter(pk=row.pk).update(year=year, alone=alone)
    return bool(changed or news)


def _remember_names(site_id: str, slug: str, facts: TitleFacts, began: datetime) -> bool:
    """Names that the index does not have become mappings; learnt ones that the page no longer has go."""
    names: dict[str, str] = {}
    for text in (facts.name, *facts.alternatives[:MAX_NAMES]):
        name = filmyears.clean(text)
        if name and (key := words.title_key(name)[:300]):
            names.setdefault(key, name)
    rows = TitleMapping.objects.filter(site_id=site_id, slug=slug)
    gone, _ = rows.filter(learned=True).exclude(title_key__in=names).delete()
    missing = names.keys() - set(rows.values_list("title_key", flat=True))
    TitleMapping.objects.bulk_create(
        (
            TitleMapping(
                site_id=site_id, slug=slug, title_key=key, name=names[key],
                learned=True, last_refreshed_at=began,
            )
            for key in names
            if key in missing
        ),
        ignore_conflicts=True,
    )  # fmt: skip
    return bool(gone or missing)


def publish() -> int:
    """Let every process renew its index where names were learnt since the last time; returns for how many sites.

    Apart from `learn`, because an index is built whole: a hundred titles learnt in a minute are one renewal.
    """
    sites = [
        site_id
        for site_id in Site.objects.enabled().values_list("pk", flat=True)
        if cache.delete(_NEWS + site_id)
    ]
    if not sites:
        return 0
    return Site.objects.filter(pk__in=sites).update(index_generation=F("index_generation") + 1)


def values_of(facts: TitleFacts) -> dict[str, Any]:
    """The facts as the columns hold them; what no column can hold is as good as not said."""
    imdb = facts.imdb_id or ""
    cover = without_controls(facts.cover or "").strip()
    return {
        "year": _year(facts.year),
        "end_year": _year(facts.end_year),
        "imdb_id": imdb if _IMDB.fullmatch(imdb) else "",
        "description": without_controls(facts.description or "")[:5000].strip(),
        "cover": cover if len(cover) <= 300 else "",
        "genres": [name for one in facts.genres[:50] if (name := shorten(one, 60))],
        "seasons": sorted({one for one in facts.seasons if 0 <= one < 10_000})[:MAX_SEASONS],
    }


def _year(year: int | None) -> int | None:
    return year if year is not None and 1870 <= year < 2100 else None
