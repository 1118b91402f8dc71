from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from downloads import heartbeats
from downloads.models import Heartbeat


@pytest.mark.django_db
def test_a_role_is_silent_when_nobody_beats_for_it_any_more():
    heartbeats.beat("default@a", "default")
    heartbeats.beat("beat@a", "beat")
    assert heartbeats.silent() == ["downloads"]
    old = timezone.now() - heartbeats.FRESH_FOR - timedelta(seconds=1)
    Heartbeat.objects.filter(role="beat").update(beat_at=old)
    assert heartbeats.silent() == ["downloads", "beat"]


@pytest.mark.django_db
def test_each_machine_counts():
    for machine in "abc":
        heartbeats.beat(f"downloads@{machine}", "downloads")
    heartbeats.beat("downloads@a", "downloads")
    assert heartbeats.alive("downloads") == 3


@pytest.mark.django_db(transaction=True)
def test_a_pulse_beats_at_once_and_takes_its_row_along_when_it_stops():
    pulse = heartbeats.Pulse("worker@here", "default")
    pulse.start()
    for _ in range(100):
        if heartbeats.alive("default"):
            break
        pulse._over.wait(0.05)
    assert heartbeats.alive("default") == 1
    pulse.stop()
    pulse._thread.join(10)
    assert not Heartbeat.objects.exists()
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_processes_that_are_long_gone_are_forgotten():
    heartbeats.beat("old@gone", "default")
    Heartbeat.objects.update(beat_at=timezone.now() - timedelta(days=2))
    pulse = heartbeats.Pulse("new@here", "default")
    pulse.start()
    for _ in range(100):
        if not Heartbeat.objects.filter(name="old@gone").exists():
            break
        pulse._over.wait(0.05)
    assert list(Heartbeat.objects.values_list("name", flat=True)) == ["new@here"]
    pulse.stop()
    pulse._thread.join(10)
