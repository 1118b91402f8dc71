"""One more look at a release in the moment in which somebody grabs it."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from catalogue import probing
from catalogue.fetching import client_for
from catalogue.models import AvailabilityRecord, Site
from catalogue.releases import Identity
from catalogue.sites import SITES

PROOF_FRESH_FOR = timedelta(minutes=10)
"""A look that is not older proves it: a client grabs right after it searched."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a release is there; `reason` says why not, or why it is taken to be."""

    there: bool
    reason: str = ""


def verify(identity: Identity, *, seconds: float | None = None) -> Proof:
    """Whether a release can be had now, looked up at its site unless a fresh look is remembered.

    Takes `seconds` at most (SEARCH_BUDGET_SECONDS). A site in trouble counts as «not there»: another site's release
    can be had at once, and this one is offered again at the next search. A site that is only slow is believed what
    it said before.
    """
    site = Site.objects.enabled().filter(pk=identity.site).first()
    if site is None or identity.site not in SITES:
        return Proof(False, f"the site «{identity.site}» is not there, or is switched off")
    before = _record(identity)
    now = timezone.now()
    if before is not None and _is_fresh(before, now - PROOF_FRESH_FOR):
        return _told(before)
    if site.is_backing_off(now):
        return Proof(False, f"{site} does not answer at the moment: {site.last_error}")
    budget = settings.SEARCH_BUDGET_SECONDS if seconds is None else seconds
    task = probing.Task(
        client_for(site), identity.slug, identity.season, identity.episode, (identity.language,)
    )
    probed = probing.probe([task], time.monotonic() + budget)
    after = _record(identity)
    if after is not None and after.checked_at >= now:
        return _told(after)
    if site.pk in probed.unanswered and before is not None and _told(before).there:
        return Proof(True, f"{site} is slow; it was there at the last look")
    return Proof(False, probed.troubles.get(site.pk, f"{site} does not have it any more"))


def _record(identity: Identity) -> AvailabilityRecord | None:
    return AvailabilityRecord.objects.filter(
        site_id=identity.site,
        slug=identity.slug,
        season=identity.season,
        episode=identity.episode,
        language=identity.language,
    ).first()


def _is_fresh(row: AvailabilityRecord, since: datetime) -> bool:
    """An estimate proves nothing, except for a whole season, which is always one."""
    return row.checked_at > since and (not row.estimated or row.episode is None)


def _told(row: AvailabilityRecord) -> Proof:
    if row.episode is None and row.is_available and row.complete_since is None:
        return Proof(False, "the season is not whole in this language")
    return Proof(row.is_available, row.reason)
