"""Forgetting what is long over."""

from datetime import timedelta

import pytest
from django.utils import timezone

from strm.cleanup import KEPT, forget
from strm.models import StreamSession, StrmUrlMapping, mapping_key
from strm.tasks import cleanup
from tests.strm.conftest import identity

pytestmark = pytest.mark.django_db


def remember(slug: str, age: timedelta) -> None:
    then = timezone.now() - age
    fields = StrmUrlMapping.fields_of(identity(slug), "")
    key = mapping_key(identity(slug), "")
    StrmUrlMapping.objects.create(key=key, **fields)
    StrmUrlMapping.objects.filter(key=key).update(updated_at=then)
    StreamSession.objects.create(
        key=key[:32], mapping=key, client="c", started_at=then, seen_at=then, bytes_sent=7, **fields
    )


def test_what_is_long_over_is_forgotten_and_nothing_else():
    remember("old", KEPT + timedelta(days=1))
    remember("new", KEPT - timedelta(days=1))
    assert forget(dry_run=True) == {"playbacks": 1, "stream_addresses": 1}
    assert StreamSession.objects.count() == 2
    cleanup()
    assert [row.slug for row in StreamSession.objects.all()] == ["new"]
    assert [row.slug for row in StrmUrlMapping.objects.all()] == ["new"]


def test_a_playback_whose_links_are_good_is_never_old(settings):
    settings.STRM_PLAYBACK_MAX_HOURS = 24 * 60
    remember("old", KEPT + timedelta(days=1))
    assert forget()["playbacks"] == 0
