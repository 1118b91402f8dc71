"""The list of films that a site has of a title: from memory, or from the site within a search's time."""

import hashlib
import time
from collections.abc import Callable, Iterable

from django.core.cache import cache
from django.utils import timezone

from catalogue import health
from catalogue.errors import NotFound, SiteError
from catalogue.fetching import SiteClient, client_for
from catalogue.models import Site
from catalogue.parallel import side_by_side
from catalogue.results import Answered
from catalogue.sites.base import EpisodeFacts
from catalogue.suggesting import note_failure

KEPT_SECONDS = 600
SHARE = 0.6
"""The part of what is left of a search's time that the lists may take."""
MAX_FILMS = 1000
Films = tuple[EpisodeFacts, ...]
Key = tuple[str, str]
"""Site id and slug."""


def read(
    titles: Iterable[tuple[Site, str]], *, deadline: float, answered: Answered
) -> dict[Key, Films]:
    """The films of each title; one that could not be asked for has no entry, and why not goes into `answered`."""
    found: dict[Key, Films] = {}
    jobs: dict[Key, Callable[[], Films]] = {}
    clients: dict[Key, SiteClient] = {}
    now = timezone.now()
    for site, slug in titles:
        client = clients[site.pk, slug] = client_for(site)
        kept = cache.get(_key(client, slug))
        if kept is not None:
            found[site.pk, slug] = _restored(kept)
        elif site.is_backing_off(now):
            answered.troubles[site.pk] = "is left alone for a while after failures"
        else:
            jobs[site.pk, slug] = _job(client, slug)
    moment = time.monotonic()
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
        cache.set(_key(clients[key], key[1]), _stored(outcome), KEPT_SECONDS)
    for site_id, said in told.items():
        health.told(site_id, said, since=now)
    return found


def fetch(client: SiteClient, slug: str) -> Films:
    """The films of a title as its site lists them now; none where there is no such list. Raises SiteError."""
    try:
        return client.season(slug, 0)[:MAX_FILMS]
    except NotFound:
        return ()


def _job(client: SiteClient, slug: str) -> Callable[[], Films]:
    return lambda: fetch(client, slug)


def _stored(films: Films) -> list[tuple[int, int, str, str]]:
    return [(one.season, one.episode, one.german_title, one.english_title) for one in films]


def _restored(kept: Iterable[tuple[int, int, str, str]]) -> Films:
    return tuple(EpisodeFacts(*one) for one in kept)


def _key(client: SiteClient, slug: str) -> str:
    told = repr((client.site_id, client.base_urls, slug))
    return "films-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
