"""The look at a release in the moment of its grab, through a real site over HTTP."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalogue import search
from catalogue.models import AvailabilityRecord, Site
from catalogue.releases import Identity
from catalogue.verifying import PROOF_FRESH_FOR, verify
from tests.catalogue.conftest import FaultySite

PATIENT = 60.0
SINTEL = Identity("demo", "sintel", 1, 1, "German Dub")


def found(site: FaultySite) -> None:
    """Sintel's first episode is known by a probe, which was a while ago."""
    assert search.search("Sintel", season=1, episode=1, budget=PATIENT).entries
    AvailabilityRecord.objects.update(checked_at=timezone.now() - PROOF_FRESH_FOR)
    site.asked()


def test_what_was_just_probed_is_not_asked_for_again(indexed: FaultySite):
    assert search.search("Sintel", season=1, episode=1, budget=PATIENT).entries
    indexed.asked()
    assert verify(SINTEL, seconds=PATIENT).there
    assert indexed.asked() == []


def test_an_older_look_is_repeated(indexed: FaultySite):
    found(indexed)
    assert verify(SINTEL, seconds=PATIENT).there
    assert any("sintel" in path for path in indexed.asked())


def test_an_estimate_is_no_proof(indexed: FaultySite):
    search.search("Sintel", season=1, episode=1, budget=PATIENT)
    AvailabilityRecord.objects.update(estimated=True)
    indexed.asked()
    assert verify(SINTEL, seconds=PATIENT).there
    assert indexed.asked("sintel")


def test_what_was_never_looked_at_is_looked_at(indexed: FaultySite):
    assert verify(SINTEL, seconds=PATIENT).there
    assert AvailabilityRecord.objects.filter(slug="sintel", is_available=True).exists()


def test_what_is_gone_is_not_there_and_remembered_so(indexed: FaultySite):
    found(indexed)
    indexed.fail("/anime/stream/sintel/staffel-1/episode-1", 404)
    proof = verify(SINTEL, seconds=PATIENT)
    assert not proof.there
    assert proof.reason
    row = AvailabilityRecord.objects.get(slug="sintel", episode=1, language="German Dub")
    assert not row.is_available


def test_a_language_that_the_episode_does_not_have_is_not_there(indexed: FaultySite):
    captain = replace(SINTEL, slug="kaeptn-gruenspan-die-moewen", language="English Dub")
    proof = verify(captain, seconds=PATIENT)
    assert not proof.there
    assert proof.reason == "not offered in English Dub"


def test_a_site_that_does_not_answer_gives_way_to_another(indexed: FaultySite):
    found(indexed)
    Site.objects.update(base_url="http://127.0.0.1:1")
    proof = verify(SINTEL, seconds=PATIENT)
    assert not proof.there
    assert "demo" in proof.reason.lower() or "connect" in proof.reason.lower()


def test_a_site_that_backs_off_is_left_alone(indexed: FaultySite):
    found(indexed)
    Site.objects.update(
        back_off_until=timezone.now() + timedelta(minutes=5), last_error="is under maintenance"
    )
    proof = verify(SINTEL, seconds=PATIENT)
    assert not proof.there
    assert "is under maintenance" in proof.reason
    assert indexed.asked() == []


def test_a_slow_site_is_believed_what_it_said_before(indexed: FaultySite, sent: Any):
    found(indexed)
    proof = verify(SINTEL, seconds=0.0)
    assert proof.there
    assert "slow" in proof.reason


def test_a_slow_site_is_not_believed_what_it_never_said(indexed: FaultySite, sent: Any):
    assert not verify(SINTEL, seconds=0.0).there


@pytest.mark.parametrize("site", ["demo", "nowhere"])
def test_a_site_that_is_off_or_unknown_has_nothing(indexed: FaultySite, site: str):
    found(indexed)
    Site.objects.update(enabled=False)
    proof = verify(replace(SINTEL, site=site), seconds=PATIENT)
    assert not proof.there
    assert "switched off" in proof.reason
