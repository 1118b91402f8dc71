"""Whatever happens, in whatever order and by however many at once: every client knows all of it."""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from downloads import limits
from downloads.models import Job, JobStatus
from qbshim import maindata
from qbshim import tags as tag_cases
from qbshim.models import Category, Change
from tests.downloads.factories import JobFactory
from tests.qbshim.conftest import Caller
from tests.qbshim.factories import ClientTaskFactory
from tests.qbshim.mirror import Clock, Mirror

pytestmark = pytest.mark.usefixtures("asked_next")


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(maindata, "time", clock)
    return clock


def _steps(rng: random.Random, caller: Caller) -> list[Callable[[], object]]:
    """Things that happen, all by chance."""

    def some() -> Job | None:
        jobs = list(Job.objects.present().order_by("pk"))
        return rng.choice(jobs) if jobs else None

    def on(change: Callable[[Job], object]) -> Callable[[], object]:
        return lambda: (job := some()) and change(job)

    def set_columns(**values: Callable[[], Any]) -> Callable[[], object]:
        return on(
            lambda job: Job.objects.filter(pk=job.pk).update(
                **{key: value() for key, value in values.items()}
            )
        )

    return [
        lambda: JobFactory(category=rng.choice(["", "tv", "by-hand"])),
        lambda: ClientTaskFactory(job__running=True, tags=["a"]),
        lambda: JobFactory(completed=True),
        on(lambda job: caller.post("torrents/delete", hashes=job.infohash)),
        on(lambda job: Job.objects.filter(pk=job.pk).delete()),
        on(lambda job: caller.post("torrents/setTags", hashes=job.infohash, tags=rng.choice(["", "a", "a,b"]))),
        on(lambda job: caller.post("torrents/rename", hash=job.infohash, name=rng.choice("xyz"))),
        set_columns(progress=rng.random, speed=lambda: rng.randrange(9**9), downloaded_bytes=lambda: rng.randrange(9**9)),
        set_columns(queue_place=lambda: rng.randrange(10**9)),
        set_columns(category=lambda: rng.choice(["", "tv", "other"])),
        set_columns(error_message=lambda: rng.choice(["", "ünglück «x»", '"quoted" \\'])),
        set_columns(status=lambda: rng.choice(JobStatus.values), completed_at=timezone.now),
        set_columns(heartbeat_at=timezone.now),
        lambda: Category.objects.get_or_create(pk=rng.choice(["tv", "films"])),
        lambda: Category.objects.filter(pk=rng.choice(["tv", "films"])).update(save_path=rng.choice(["", "elsewhere"])),
        lambda: Category.objects.filter(pk="tv").delete(),
        lambda: tag_cases.create([rng.choice("abc")]),
        lambda: tag_cases.delete([rng.choice("abc")]),
        lambda: limits.set_speed_limits(download_limit=rng.choice([0, 5, 7])),
        lambda: caller.post("app/setPreferences", json=f'{{"refresh_interval": {rng.choice([500, 1500])}}}'),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_every_client_knows_all_of_it(sonarr: Caller, seed: int, clock: Clock):
    rng = random.Random(seed)
    clients = [Mirror(sonarr), Mirror(sonarr)]
    steps = _steps(rng, sonarr)
    for _ in range(5):
        steps[0]()
    for _ in range(30):
        for step in rng.choices(steps, k=rng.randrange(4)):
            step()
        clock.now += rng.choice([0, 1, 15])
        client = rng.choice(clients)
        if rng.random() < 0.2:
            client.ask()  # lost on the way
        client.poll()
        client.has_all()
    assert Change.objects.count() > 25


@pytest.mark.django_db(transaction=True)
def test_clients_that_ask_while_others_write_miss_nothing(owner: Any):
    jobs = [JobFactory() for _ in range(100)]
    over = threading.Event()
    mirrors = []
    for _ in range(3):
        mirrors.append(Mirror(Caller()))
        mirrors[-1].caller.sign_in()
    wrong: list[BaseException] = []

    def write(number: int) -> None:
        # Each job once: what is lost then is never told.
        rng = random.Random(number)
        for job in jobs[number::4]:
            with transaction.atomic():
                Job.objects.filter(pk=job.pk).update(error_message=f"written by {number}")
                if connection.vendor != "sqlite":  # has one writer at a time
                    time.sleep(rng.random() / 20)

    def ask(mirror: Mirror) -> None:
        while not over.is_set():
            mirror.poll()

    def safely(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  the test looks at it
            wrong.append(error)
        finally:
            connection.close()

    pollers = [threading.Thread(target=safely, args=(partial(ask, one),)) for one in mirrors]
    writers = [threading.Thread(target=safely, args=(partial(write, n),)) for n in range(4)]
    for thread in (*pollers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in pollers:
        thread.join()
    assert wrong == []
    for mirror in mirrors:
        mirror.poll()
        mirror.has_all()
