"""Dispatchers, pollers and people at the same moment."""

from datetime import timedelta

import pytest
from django.utils import timezone

from downloads import delivery, dispatching, outbox, polling, registry, services
from downloads.detection import DownloadType
from downloads.models import Downloader, Errand, Job, JobStatus
from downloads.orders import order_for
from tests.downloads.conftest import service as service
from tests.downloads.dispatched import add, magnet
from tests.downloads.protocol import Double, announce
from tests.races.test_catalogue import no_errors
from tests.races.test_claims import at_once

pytestmark = pytest.mark.django_db(transaction=True)
S = JobStatus


def test_many_dispatchers_at_once_send_each_link_once(service: Double):
    announce(service, "box")
    jobs = [add(n) for n in range(1, 41)]
    no_errors(at_once(lambda number: dispatching.run()))
    dispatching.run()
    assert sorted(service.taken()) == sorted(magnet(n) for n in range(1, 41))
    assert {job.status for job in Job.objects.all()} == {S.DOWNLOADING}
    assert len(jobs) == Job.objects.exclude(remote_id="").count()
    assert not Errand.objects.exists()


def test_a_link_for_our_own_workers_is_given_out_once():
    for number in range(10):
        services.enqueue(order_for(f"https://files.example/{number}.mkv"))
    given = no_errors(at_once(lambda number: dispatching.run().given))
    assert sorted(pk for one in given for pk in one) == sorted(
        Job.objects.values_list("pk", flat=True)
    )


def test_what_nobody_knows_the_end_of_is_resolved_once(service: Double):
    downloader = announce(service, "box")
    jobs = [add(n) for n in range(1, 11)]
    outbox.intend(jobs, downloader, {job.pk: job.infohash for job in jobs})
    for job in jobs[:5]:
        service.have[job.infohash] = {"status": "downloading"}
    Errand.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    no_errors(at_once(lambda number: dispatching.run()))
    dispatching.run()
    assert sorted(service.taken()) == sorted(magnet(n) for n in range(6, 11))
    assert {job.status for job in Job.objects.all()} == {S.DOWNLOADING}


def test_cancelling_while_it_is_handed_over_leaves_nothing_there(service: Double):
    announce(service, "box")
    for round_ in range(5):
        jobs = [add(n) for n in range(10 * round_ + 1, 10 * round_ + 9)]

        def act(number: int, jobs: list[Job] = jobs) -> None:
            if number % 2:
                dispatching.run()
            else:
                for job in jobs:
                    services.cancel(job.pk)

        no_errors(at_once(act, threads=4))
        dispatching.run()
        while Errand.objects.exists():
            delivery.run()
            dispatching.run()
        assert service.have == {}
        assert {Job.objects.get(pk=job.pk).status for job in jobs} == {S.CANCELLED}


def test_polls_and_people_at_once_end_as_people_wanted(service: Double):
    downloader = announce(service, "box")
    job = add(1)
    dispatching.run()
    for round_ in range(5):

        def act(number: int, round_: int = round_) -> None:
            if number % 2:
                polling.poll(downloader.pk)
            elif number == 0:
                (services.pause if round_ % 2 == 0 else services.resume)(job.pk)
                delivery.run()

        no_errors(at_once(act, threads=4))
        while Errand.objects.exists():
            delivery.run()
        polling.poll(downloader.pk)
        assert Job.objects.get(pk=job.pk).status == (S.PAUSED if round_ % 2 == 0 else S.DOWNLOADING)


def test_many_deliveries_at_once_say_each_thing_once(service: Double):
    announce(service, "box")
    jobs = [add(n) for n in range(1, 9)]
    dispatching.run()
    for job in jobs:
        services.pause(job.pk)
    no_errors(at_once(lambda number: delivery.run()))
    assert sorted(service.commands()) == sorted(
        f"POST /downloads/{job.infohash}/pause" for job in jobs
    )


def test_registering_at_once_is_one_downloader(service: Double):
    said = registry.Registration("box", service.url, (DownloadType.MAGNET,))
    no_errors(at_once(lambda number: registry.register(said)))
    box = Downloader.objects.remote().get()
    assert list(box.capabilities.values_list("download_type", flat=True)) == ["magnet"]


def test_ordering_the_same_link_at_once_is_one_job():
    order = order_for("https://files.example/a.mkv")
    results = no_errors(at_once(lambda number: services.enqueue(order)))
    assert sum(created for _, created in results) == 1
    assert Job.objects.count() == 1
