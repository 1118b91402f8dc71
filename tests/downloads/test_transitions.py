from datetime import timedelta

import pytest
from django.utils import timezone

from downloads import services, transitions
from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import Job, JobStatus
from tests.downloads.factories import JobFactory
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db


def queued() -> Job:
    return services.enqueue(order())[0]


def running(owner: str = "worker@here") -> tuple[Job, int]:
    job = queued()
    token = transitions.claim(job.pk, owner)
    assert token is not None
    return Job.objects.get(pk=job.pk), token


def history(job: Job) -> list[tuple[str, str]]:
    return [(event.old, event.new) for event in job.events.all()]


def test_a_claim_is_won_once():
    job = queued()
    assert transitions.claim(job.pk, "one") == 1
    assert transitions.claim(job.pk, "two") is None
    assert Job.objects.get(pk=job.pk).owner == "one"


def test_a_job_that_waits_for_its_pause_cannot_be_claimed():
    job = queued()
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now() + timedelta(minutes=5))
    assert transitions.claim(job.pk, "one") is None


def test_a_deleted_job_cannot_be_claimed():
    job = queued()
    transitions.remove(job.pk, delete_files=False)
    assert transitions.claim(job.pk, "one") is None


def test_every_change_leaves_an_event_with_site_and_reason():
    job, token = running()
    transitions.move(job.pk, JobStatus.COMPLETED, token=token, reason="file in place")
    assert history(job) == [
        ("", "queued"),
        ("queued", "downloading"),
        ("downloading", "completed"),
    ]
    last = job.events.last()
    assert (last.reason, last.source_site) == ("file in place", "demo")


def test_a_repeated_move_leaves_one_event():
    job, token = running()
    for _ in range(2):
        transitions.move(job.pk, JobStatus.FAILED, token=token, reason="gone")
    assert history(job)[-2:] == [("queued", "downloading"), ("downloading", "failed")]


@pytest.mark.parametrize(
    ("start", "to"),
    [
        (start, to)
        for start in JobStatus
        for to in JobStatus
        if start != to and to not in transitions.ALLOWED[start]
    ],
)
def test_a_step_that_the_design_does_not_draw_is_refused(start: JobStatus, to: JobStatus):
    job = queued()
    Job.objects.filter(pk=job.pk).update(status=start)
    with pytest.raises(IllegalTransition, match=f"{start}.*{to}"):
        transitions.move(job.pk, to)
    assert Job.objects.get(pk=job.pk).status == start


def test_a_worker_that_lost_its_claim_can_neither_report_nor_finish():
    job, old = running()
    transitions.move(job.pk, JobStatus.QUEUED, reason="silent")
    new = transitions.claim(job.pk, "another")
    assert not transitions.beat(job.pk, old, progress=0.9)
    with pytest.raises(IllegalTransition, match="taken over"):
        transitions.move(job.pk, JobStatus.COMPLETED, token=old)
    assert transitions.beat(job.pk, new, progress=0.5)
    assert Job.objects.get(pk=job.pk).progress == 0.5


def test_a_late_report_does_not_bring_a_cancelled_job_back():
    job, token = running()
    services.cancel(job.pk)
    assert not transitions.beat(job.pk, token, progress=0.7)
    after = Job.objects.get(pk=job.pk)
    assert (after.status, after.progress) == (JobStatus.CANCELLED, 0.0)


def test_a_stopping_worker_parks_its_own_jobs_only():
    mine, _ = running("stopping@here")
    other = services.enqueue(order(episode=2))[0]
    transitions.claim(other.pk, "staying@here")
    assert transitions.park("stopping@here") == 1
    assert Job.objects.get(pk=mine.pk).status == JobStatus.QUEUED
    assert Job.objects.get(pk=other.pk).status == JobStatus.DOWNLOADING


def test_parking_does_not_count_as_a_death():
    job, _ = running()
    transitions.park("worker@here")
    assert Job.objects.get(pk=job.pk).deaths == 0


def test_a_silent_workers_job_goes_back_to_the_queue():
    job, _ = running()
    assert transitions.release_stale() == []
    later = timezone.now() + timedelta(seconds=61)
    assert transitions.release_stale(later) == [job.pk]
    after = Job.objects.get(pk=job.pk)
    assert (after.status, after.deaths, after.owner) == (JobStatus.QUEUED, 1, "")


def test_a_job_that_kills_five_workers_fails():
    job = queued()
    later = timezone.now() + timedelta(minutes=2)
    for _ in range(transitions.MAX_DEATHS):
        assert transitions.claim(job.pk, "doomed") is not None
        transitions.release_stale(later)
    after = Job.objects.get(pk=job.pk)
    assert after.status == JobStatus.FAILED
    assert "5 workers died" in after.error_message


def test_deleting_frees_the_hash_for_a_new_job():
    first = queued()
    transitions.remove(first.pk, delete_files=False)
    second, created = services.enqueue(order())
    assert created
    assert second.pk != first.pk


def test_deleting_twice_keeps_the_first_time():
    job = queued()
    first = transitions.remove(job.pk, delete_files=True).removed_at
    assert transitions.remove(job.pk, delete_files=False).removed_at == first


def test_a_job_that_never_was_is_named():
    with pytest.raises(UnknownJob, match="12345"):
        transitions.move(12345, JobStatus.CANCELLED)


def test_how_long_it_was_fetched_adds_up_over_pauses_and_retries():
    job, token = running()
    ago = timezone.now() - timedelta(seconds=100)
    Job.objects.filter(pk=job.pk).update(started_at=ago)
    transitions.move(job.pk, JobStatus.PAUSED)
    services.resume(job.pk)
    assert transitions.claim(job.pk, "two") == token + 1
    Job.objects.filter(pk=job.pk).update(started_at=ago)
    other = JobFactory(running=True, active_seconds=7)
    moved = transitions.move_many(transitions.lock([job.pk, other.pk]), JobStatus.FAILED)
    services.retry(job.pk)
    seconds = dict(Job.objects.values_list("pk", "active_seconds"))
    assert (seconds[job.pk] // 10, seconds[other.pk] // 10) == (20, 0)
    assert {one.pk: one.active_seconds for one in moved.jobs} == seconds


def test_a_downloader_that_answers_again_begins_a_new_run():
    job = JobFactory(running=True, started_at=timezone.now() - timedelta(seconds=100))
    transitions.move(job.pk, JobStatus.DOWNLOADER_ERROR)
    transitions.move(job.pk, JobStatus.DOWNLOADING)
    transitions.move(job.pk, JobStatus.COMPLETED)
    assert Job.objects.get(pk=job.pk).active_seconds // 10 == 10
