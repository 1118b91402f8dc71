"""A site's own search, for what its index does not have: a fallback, asked only where no title was found."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence

from django.core.cache import cache
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError, Cancelled
from anibridge.lib.text import shorten, without_controls
from catalogue import health, matching
from catalogue.errors import NotFound, SiteError
from catalogue.fetching import SiteClient, client_for
from catalogue.matching import Hit, Words
from catalogue.models import Site
from catalogue.parallel import side_by_side
from catalogue.results import Answered, Considered

logger = logging.getLogger(__name__)

KEPT_SECONDS = 600
SHARE = 0.5
"""The part of what is left of a search's time; the rest is for looking at what was found."""
MOST = 50
"""Suggestions of one answer that are weighed."""
_Names = list[tuple[str, str]]


def ask(
    query: str, sites: Sequence[Site], *, deadline: float, answered: Answered
) -> dict[str, list[Hit]]:
    """The accepted titles by site, exact ones first; only exact ones where there are any.

    What a site said is remembered for ten minutes, «nothing» too. Troubles and what was weighed go into `answered`.
    """
    now = timezone.now()
    known: dict[str, _Names] = {}
    jobs: dict[str, Callable[[], _Names]] = {}
    for site in sites:
        client = client_for(site)
        if not client.adapter.suggest_paths(query):
            continue
        kept = cache.get(_key(client, query))
        if kept is not None:
            known[site.pk] = kept
        elif not site.is_backing_off(now):
            jobs[site.pk] = _job(client, query)
    for site_id, names in _fetched(jobs, deadline, answered).items():
        known[site_id] = names
        client = client_for(next(site for site in sites if site.pk == site_id))
        cache.set(_key(client, query), names, KEPT_SECONDS)
    words = matching.parse(query)
    found = {
        site_id: hits for site_id, names in known.items() if (hits := _hits(site_id, words, names))
    }
    for site_id, names in known.items():
        answered.site(site_id).titles += [
            Considered(slug, name, query, matching.compare(words, matching.parse(name)), "suggest")
            for slug, name in names[:MOST]
        ]
    return found


def _fetched(
    jobs: dict[str, Callable[[], _Names]], deadline: float, answered: Answered
) -> dict[str, _Names]:
    began = timezone.now()
    now = time.monotonic()
    fetched: dict[str, _Names] = {}
    outcomes = side_by_side(jobs, now + max(deadline - now, 0.0) * SHARE)
    for site_id, (outcome, seconds) in outcomes.items():
        answered.site(site_id).milliseconds += seconds * 1000
        if isinstance(outcome, list):
            fetched[site_id] = outcome
            health.told(site_id, [None], since=began)
            continue
        note_failure(site_id, outcome, answered)
        if isinstance(outcome, SiteError):
            health.told(site_id, [outcome], since=began)
    return fetched


def note_failure(site_id: str, error: Exception, answered: Answered) -> None:
    """Put into words why a site did not answer; a bug is logged and costs only that site's answer."""
    if isinstance(error, Cancelled):
        answered.troubles.setdefault(site_id, "has not answered yet")
    elif isinstance(error, AniBridgeError):
        answered.troubles[site_id] = shorten(str(error))
    else:
        logger.error("%s: a bug in AniBridge or in the site's adapter", site_id, exc_info=error)
        answered.troubles[site_id] = "an error in AniBridge: see the log"


def _job(client: SiteClient, query: str) -> Callable[[], _Names]:
    """Asks with one spelling after the other until one brings a title that can be meant."""

    def run() -> _Names:
        words = matching.parse(query)
        adapter = client.adapter
        names: dict[tuple[str, str], None] = {}
        for path in adapter.suggest_paths(query):
            try:
                entries = client.page(path, adapter.parse_suggest)[:MOST]
            except NotFound:
                continue
            for entry in entries:
                if adapter.slug_pattern.fullmatch(entry.slug):
                    for name in (entry.name, *entry.alternatives):
                        names[entry.slug, without_controls(name)[:300]] = None
            if any(matching.compare(words, matching.parse(name)).accepted for _, name in names):
                break
        return list(names)

    return run


def _hits(site_id: str, words: Words, names: _Names) -> list[Hit]:
    best: dict[str, Hit] = {}
    for slug, name in names[:MOST]:
        score = matching.compare(words, matching.parse(name))
        held = best.get(slug)
        if score.accepted and (held is None or score.value > held.score.value):
            best[slug] = Hit(site_id, slug, name, score)
    hits = sorted(best.values(), key=lambda hit: -hit.score.value)
    return [hit for hit in hits if hit.score.exact] or hits


def _key(client: SiteClient, query: str) -> str:
    told = repr((client.site_id, client.base_urls, query.casefold()))
    return "suggested-" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()
