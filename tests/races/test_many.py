"""Commands to many at the same moment as others, as workers and as people who put the queue in order."""

import random
from collections.abc import Callable

import pytest

from downloads import categories, clearing, queue, services, transitions
from downloads.models import Job, JobEvent, JobStatus
from tests.downloads.conftest import downloads_root as downloads_root
from tests.downloads.factories import JobFactory
from tests.races.test_catalogue import no_errors
from tests.races.test_claims import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("downloads_root")]
S = JobStatus
JOBS = 60


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Jobs whose rows do not lie in the order of their ids any more, and commands of several transactions."""
    monkeypatch.setattr(services, "AT_ONCE", 25)
    monkeypatch.setattr(queue, "IN_ONE_STEP", 25)
    made = [JobFactory().pk for _ in range(JOBS)]
    for job_id in random.sample(made, len(made)):
        Job.objects.filter(pk=job_id).update(error_message="moved on")
    return made


def assert_history_is_whole(ids: list[int]) -> None:
    """Each step begins where the one before it ended, and the last one is where the job stands."""
    for job in Job.objects.filter(pk__in=ids):
        status = S.QUEUED.value
        for event in JobEvent.objects.filter(job=job).order_by("pk"):
            assert event.old == status, list(job.events.values_list("old", "new", "reason"))
            status = event.new
        assert job.status == status


def test_commands_to_the_same_many_follow_one_another(ids: list[int]):
    others = ids[::-1]
    commands: list[Callable[[], object]] = [
        lambda: services.pause_many(ids),
        lambda: services.resume_many(others),
        lambda: services.cancel_many(ids[: JOBS // 2]),
        lambda: services.retry_many(others),
        lambda: queue.to_top(others[::2]),
        lambda: queue.force(others, enabled=True),
        lambda: categories.assign(others, "films"),
        lambda: services.set_rate_limit(ids, 1000),
    ]
    for _ in range(3):
        no_errors(at_once(lambda number: commands[number]()))
    assert_history_is_whole(ids)
    assert set(Job.objects.values_list("category", "rate_limit")) == {("films", 1000)}


def test_stopping_all_while_workers_claim_them_leaves_each_where_its_history_says(ids: list[int]):
    def act(number: int) -> None:
        if number < 2:
            services.pause_many(ids)
            services.resume_many(ids)
            return
        for job_id in ids:
            token = transitions.claim(job_id, f"worker{number}")
            if token is not None:
                transitions.beat(job_id, token, progress=0.5)

    no_errors(at_once(act))
    assert_history_is_whole(ids)


def test_what_is_deleted_by_two_ends_once(ids: list[int]):
    no_errors(at_once(lambda number: services.remove_many(ids, delete_files=True)))
    assert not Job.objects.present().exists()
    assert JobEvent.objects.filter(reason="deleted").count() == JOBS
    cleared = no_errors(at_once(lambda number: clearing.run()))
    assert sum(cleared) == JOBS, "each by one of them"
