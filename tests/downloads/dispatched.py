"""Links and the downloaders that they are given to."""

import pytest
from django.utils import timezone

from downloads import dispatching, services
from downloads.models import Downloader, Errand, Job
from downloads.orders import order_for
from tests.downloads.protocol import Double, announce
from tests.downloads.qbittorrents import free_port


def magnet(number: int) -> str:
    return f"magnet:?xt=urn:btih:{number:040x}&dn=Film.{number}"


def add(number: int = 1, **rest) -> Job:
    return services.enqueue(order_for(magnet(number), **rest))[0]


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


def forget_pauses() -> None:
    """As if every pause were over."""
    Downloader.objects.update(back_off_until=None)
    Errand.objects.update(not_before=timezone.now(), leased_until=None)


@pytest.fixture
def box(service: Double) -> Downloader:
    return announce(service, "box")


@pytest.fixture
def job(box: Downloader) -> Job:
    """A job that the service is fetching."""
    job = add()
    dispatching.run()
    return now(job)
