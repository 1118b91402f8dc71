"""A download's own rate limit reaches the downloader that has it, whenever it is set."""

from typing import Any

import pytest

from downloads import control, delivery, dispatching, outbox, polling, services
from downloads.models import Downloader, Errand, ErrandAction, Job, JobStatus
from qbshim import commands
from tests.downloads.dispatched import add, forget_pauses, now
from tests.downloads.dispatched import box as box
from tests.downloads.dispatched import job as job
from tests.downloads.factories import JobFactory
from tests.downloads.protocol import Double
from tests.downloads.rest import DOWNLOADS, client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S = JobStatus


def limit_there(service: Double, job: Job) -> Any:
    return service.have[job.remote_id].get("rate_limit", "never said")


def test_a_limit_that_is_set_later_reaches_it(service: Double, job: Job):
    control.change(job.pk, rate_limit=5000, sets_rate_limit=True)
    assert delivery.run() == 1
    assert limit_there(service, job) == 5000
    control.change(job.pk, rate_limit=None, sets_rate_limit=True)
    assert delivery.run() == 1
    assert limit_there(service, job) is None
    assert service.commands() == [f"POST /downloads/{job.infohash}/limit"] * 2


def test_the_limit_of_a_qbittorrent_client_reaches_it(service: Double, job: Job):
    commands.set_download_limit([job.infohash], 7000)
    delivery.run()
    assert limit_there(service, job) == 7000


def test_only_the_last_limit_is_said_and_only_when_it_is_another(service: Double, job: Job):
    for limit in (1000, 2000, 3000, 3000):
        services.set_rate_limit([job.pk], limit)
    assert delivery.run() == 1
    assert limit_there(service, job) == 3000
    services.set_rate_limit([job.pk], 3000)
    assert not Errand.objects.exists()


def test_a_limit_that_changes_while_it_is_on_its_way_follows(service: Double, job: Job):
    services.set_rate_limit([job.pk], 1000)
    assert outbox.lease(Errand.objects.get())  # somebody is saying it right now
    services.set_rate_limit([job.pk], 2000)
    assert Errand.objects.filter(action=ErrandAction.LIMIT).count() == 2


def test_a_limit_comes_with_the_download(service: Double, box: Downloader):
    job = add()
    services.set_rate_limit([job.pk], 4000)
    dispatching.run()
    assert not any("rate_limit" in item for item in service.asked[0][2]["items"])
    delivery.run()
    assert limit_there(service, now(job)) == 4000


def test_a_limit_that_was_taken_away_during_the_hand_over_is_taken_away_there(
    service: Double, box: Downloader
):
    job = add()
    services.set_rate_limit([job.pk], 4000)

    [errand] = outbox.intend([job], box, {job.pk: job.infohash})
    services.set_rate_limit([job.pk], None)
    service.post([{"url": job.url}])
    outbox.accepted(errand, job.infohash, sent_limit=4000)
    delivery.run()
    assert limit_there(service, now(job)) is None


@pytest.mark.parametrize("status", [404, 400, 405, 501])
def test_a_service_that_is_older_than_limits_is_no_error_but_noted(
    service: Double, job: Job, status: int
):
    service.limit_reply = status
    services.set_rate_limit([job.pk], 5000)
    assert delivery.run() == 1
    job = now(job)
    assert (job.status, job.error_message, job.rate_limit) == (S.DOWNLOADING, "", 5000)
    assert not Errand.objects.exists()
    api = client()
    told = api.get(f"{DOWNLOADS}/{job.pk}/settings").json()
    assert told["rate_limit_note"] == "box limits no single download"
    assert api.get(f"{DOWNLOADS}/{job.pk}/history").json()[-1]["reason"] == told["rate_limit_note"]
    services.set_rate_limit([job.pk], None)
    delivery.run()
    assert api.get(f"{DOWNLOADS}/{job.pk}/settings").json()["rate_limit_note"] == ""


def test_a_limit_that_cannot_be_said_now_is_said_later_and_holds_up_no_poll(
    service: Double, box: Downloader, job: Job
):
    service.limit_reply = 500
    services.set_rate_limit([job.pk], 5000)
    assert delivery.run() == 0
    service.have[job.remote_id] |= {"progress": 0.5, "size": 1000}
    polling.poll(box.pk)
    assert now(job).progress == 0.5
    service.limit_reply = 200
    forget_pauses()
    assert delivery.run() == 1
    assert limit_there(service, job) == 5000


def test_pause_and_limit_are_both_said(service: Double, job: Job):
    services.pause(job.pk)
    services.set_rate_limit([job.pk], 5000)
    services.resume(job.pk)
    while delivery.run():
        continue
    assert [one.rsplit("/", 1)[1] for one in service.commands()] == ["limit", "resume"]
    services.set_rate_limit([job.pk], 6000)
    services.cancel(job.pk)
    assert [one.action for one in Errand.objects.all()] == [ErrandAction.CANCEL]


def test_nobody_is_told_of_our_own_or_of_what_is_over(service: Double, job: Job):
    Job.objects.filter(pk=job.pk).update(status=S.COMPLETED)
    own = JobFactory(running=True, infohash="ab" * 20)
    services.set_rate_limit([own.pk, job.pk], 5000)
    assert {now(own).rate_limit, now(job).rate_limit} == {5000}
    assert not Errand.objects.exists()


def test_what_was_deleted_meanwhile_is_not_spoken_of(service: Double, job: Job):
    services.set_rate_limit([job.pk], 5000)
    Job.objects.filter(pk=job.pk).delete()
    assert delivery.run() == 1
    assert service.commands() == []
