"""What the owner does with downloads in the admin."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from downloads import admin
from downloads.models import Job, JobStatus
from tests.downloads.factories import JobFactory, JobFileFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
LIST = "admin:downloads_job_changelist"


def act(client: Client, action: str, jobs: list[Job]) -> list[str]:
    """What the page says after an action."""
    answer = client.post(
        reverse(LIST),
        {"action": action, "_selected_action": [job.pk for job in jobs]},
        follow=True,
    )
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


def statuses(jobs: list[Job]) -> list[str]:
    return [Job.objects.get(pk=job.pk).status for job in jobs]


def test_an_action_says_how_many_it_was_done_to_and_to_whom_it_could_not_be(admin_client: Client):
    jobs = [JobFactory(failed=True), JobFactory(cancelled=True), JobFactory(running=True)]
    said = act(admin_client, "retry", jobs)
    assert said == [f"{jobs[2]}: it is downloading already", "2 queued"]
    assert statuses(jobs) == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.DOWNLOADING]
    assert act(admin_client, "cancel", jobs) == ["3 cancelled"]
    assert set(statuses(jobs)) == {JobStatus.CANCELLED}


def test_very_many_refusals_are_not_all_told(admin_client: Client):
    jobs = [JobFactory(failed=True) for _ in range(admin.MOST_REFUSALS + 5)]
    said = act(admin_client, "cancel", [*jobs, JobFactory()])
    assert len(said) == admin.MOST_REFUSALS + 2
    assert said[-2:] == ["… and 5 others", "1 cancelled"]


@pytest.mark.parametrize(("action", "stays"), [("remove", True), ("remove_with_files", False)])
def test_deleting_with_and_without_files(admin_client: Client, action: str, stays: bool):
    file = JobFileFactory()
    Path(file.path).write_bytes(b"video")
    assert act(admin_client, action, [file.job]) == ["1 deleted"]
    assert Path(file.path).exists() is stays
    assert not Job.objects.present().exists()


def test_an_action_costs_the_same_for_many(admin_client: Client):
    counts: list[Any] = []
    for number in (25, 60):
        jobs = [JobFactory() for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            act(admin_client, "remove", jobs)
        counts.append(len(queries))
    assert counts[0] == counts[1]
