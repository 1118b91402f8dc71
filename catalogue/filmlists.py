"""The list of films that a site has of a title: from memory, or from the site within a search's time. Its page as well,
where a search cannot wait until a worker has read it."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from django.core.cache import cache
from django.utils import timezone

from catalogue import health
from catalogue.errors import NotFound, SiteError
from catalogue.fetching import SiteClient, client_for
from catalogue.models import Site
from catalogue.parallel import side_by_side
from catalogue.results import Answered
from catalogue.sites.base import EpisodeFacts, TitleFacts
from catalogue.suggesting import note_failure

KEPT_SECONDS = 600
SHARE = 0.6
"""The part of what is left of a search's time that the lists may take, and then the pages."""
MAX_FILMS = 1000
Films = tuple[EpisodeFacts, ...]
Key = tuple[str, str]
"""Site id and slug."""
T = TypeVar("T")


def read(
    titles: Iterable[tuple[Site, str]], *, deadline: float, answered: Answered
) -> dict[Key, Films]:
    """The films of each title; one that could not be asked for has no entry, and why not goes into `answered`."""
    found: dict[Key, Films] = {}
    clients: dict[Key, SiteClient] = {}
    for site, slug in titles:
        client = client_for(site)
        kept = cache.get(_key(client, slug))
        if kept is not None:
            found[site.pk, slug] = _restored(kept)
        elif _may_be_asked(site, answered):
            clients[site.pk, slug] = client
    jobs = {key: partial(fetch, client, key[1]) for key, client in clients.items()}
    for key, films in _asked(jobs, deadline, answered).items():
        found[key] = films
        cache.set(_key(clients[key], key[1]), _stored(films), KEPT_SECONDS)
    return found


def pages(
    titles: Iterable[tuple[Site, str]], *, deadline: float, answered: Answered
) -> dict[Key, TitleFacts]:
    """What the titles' own pages say; one that could not be read has no entry, and why not goes into `answered`."""
    jobs = {
        (site.pk, slug): partial(client_for(site).title, slug)
        for site, slug in titles
        if _may_be_asked(site, answered)
    }
    return _asked(jobs, deadline, answered)


def _may_be_asked(site: Site, answered: Answered) -> bool:
    if site.is_backing_off(timezone.now()):
        answered.troubles[site.pk] = "is left alone for a while after failures"
        return False
    return True


def _asked(
    jobs: Mapping[Key, Callable[[], T]], deadline: float, answered: Answered
) -> dict[Key, T]:
    """What came of the jobs, side by side and in time."""
    found: dict[Key, T] = {}
    now, moment = timezone.now(), time.monotonic()
    outcomes = side_by_side(jobs, moment + max(deadline - moment, 0.0) * SHARE)
    told: dict[str, list[SiteError | None]] = {}
    for key, (outcome, seconds) in outcomes.items():
        report = answered.site(key[0])
        report.milliseconds = max(report.milliseconds, seconds * 1000)
        if isinstance(outcome, Exception):
            note_failure(key[0], outcome, answered)
            if isinstance(outcome, SiteError):
                told.setdefault(key[0], []).append(outcome)
            continue
        told.setdefault(key[0], []).append(None)
        found[key] = outcome
    for site_id, said in told.items():
        health.told(site_id, said, since=now)
    return found


def fetch(client: SiteClient, slug: str) -> Films:
    """The films of a title as its site lists them now; none where there is no such list. Raises SiteError."""
    try:
        return client.season(slug, 0)[:MAX_FILMS]
    except NotFound:
        return ()


def _stored(films: Films) -> list[tuple[int, int, str, str]]:
    return [(one.season, one.episode, one.german_title, one.english_title) for one in films]


def _restored(kept: Iterable[tuple[int, int, str, str]]) -> Films:
    return tuple(EpisodeFacts(*one) for one in kept)


def _key(client: SiteClient, slug: str) -> str:
    told = repr((client.site_id, client.base_urls, slug))
    return "films-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
