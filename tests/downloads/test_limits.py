"""Who may take how much of the line, and how many may ask one host."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from downloads import limits
from downloads.engines import base
from downloads.errors import SlotTaken
from downloads.limits import Taker, divide
from downloads.models import Job, SpeedLimits
from tests.downloads.factories import JobFactory

MB = 1_000_000


def test_equals_share_equally():
    assert divide(9 * MB, [Taker(n) for n in range(3)]) == dict.fromkeys(range(3), 3 * MB)


def test_what_a_capped_one_leaves_goes_to_the_others():
    shares = divide(9 * MB, [Taker(1, cap=MB), Taker(2), Taker(3)])
    assert shares == {1: MB, 2: 4 * MB, 3: 4 * MB}


def test_what_a_slow_one_leaves_goes_to_the_others():
    slow = Taker(1, speed=100_000, share=3 * MB)
    hungry = [Taker(n, speed=3 * MB, share=3 * MB) for n in (2, 3)]
    shares = divide(9 * MB, [slow, *hungry])
    assert shares[1] < MB
    assert shares[2] == shares[3] > 4 * MB


def test_a_slow_one_that_becomes_faster_gets_its_fair_share_within_a_few_turns():
    share, other = 130_000, 8_870_000
    for _ in range(12):
        takers = [Taker(1, speed=share, share=share), Taker(2, speed=other, share=other)]
        shares = divide(9 * MB, takers)
        share, other = shares[1], shares[2]
    assert share == other == 4_500_000


def test_whoever_is_alone_may_take_everything_however_slow_it_was():
    assert divide(9 * MB, [Taker(1, speed=10, share=100)]) == {1: 9 * MB}


def test_a_cap_holds_when_nobody_else_is_there():
    assert divide(9 * MB, [Taker(1, cap=MB, speed=10, share=100)]) == {1: MB}


def test_nobody_gets_nothing():
    assert divide(10 * MB, []) == {}


takers = st.lists(
    st.builds(
        Taker,
        pk=st.integers(),
        cap=st.none() | st.integers(1024, 10**9),
        speed=st.integers(0, 10**9),
        share=st.none() | st.integers(1024, 10**9),
    ),
    max_size=30,
    unique_by=lambda one: one.pk,
)


@given(limit=st.integers(100_000, 10**9), those=takers)
def test_shares_never_exceed_the_limit_nor_a_cap(limit: int, those: list[Taker]):
    shares = divide(limit, those)
    assert set(shares) == {one.pk for one in those}
    # Each may be rounded up to the smallest share.
    assert sum(shares.values()) <= limit + len(those) * limits.SMALLEST_SHARE
    for one in those:
        assert limits.SMALLEST_SHARE <= shares[one.pk] <= max(one.cap or limit, 1024)


@given(limit=st.integers(100_000, 10**9), those=takers)
def test_nothing_is_left_over_while_somebody_is_not_capped(limit: int, those: list[Taker]):
    if any(one.cap is None for one in those):
        assert sum(divide(limit, those).values()) >= limit - len(those)


@pytest.mark.django_db
def test_the_environment_is_the_default_until_somebody_sets_a_limit(settings):
    settings.DOWNLOAD_RATE_LIMIT = 5 * MB
    assert limits.speed_limits().effective == 5 * MB
    limits.set_speed_limits(alternative_download_limit=MB)
    assert limits.speed_limits().effective == 5 * MB
    limits.set_speed_limits(alternative_enabled=True)
    assert limits.speed_limits().effective == MB
    limits.set_speed_limits(download_limit=2 * MB, alternative_enabled=False)
    settings.DOWNLOAD_RATE_LIMIT = 7 * MB
    assert limits.speed_limits().effective == 2 * MB
    limits.set_speed_limits(download_limit=0)
    assert limits.speed_limits().effective == 0
    assert SpeedLimits.objects.count() == 1


@pytest.mark.django_db
def test_an_alternative_limit_of_nothing_is_no_limit(settings):
    settings.DOWNLOAD_RATE_LIMIT = 5 * MB
    limits.set_speed_limits(alternative_enabled=True)
    assert limits.speed_limits().effective == 0


@pytest.mark.django_db
def test_a_jobs_own_limit_counts_with_and_without_a_common_one():
    job = JobFactory(running=True, rate_limit=MB)
    assert limits.share_of(job.pk) == MB
    limits.set_speed_limits(download_limit=4 * MB)
    assert limits.share_of(job.pk) == MB
    Job.objects.update(rate_limit=None)
    assert limits.share_of(job.pk) == 4 * MB
    limits.set_speed_limits(download_limit=0)
    assert limits.share_of(job.pk) is None


@pytest.mark.django_db
def test_jobs_of_dead_workers_and_of_other_downloaders_take_no_share():
    job = JobFactory(running=True, speed=0)
    JobFactory(running=True, heartbeat_at=timezone.now() - timedelta(minutes=1))
    JobFactory(running=True, heartbeat_at=None)
    limits.set_speed_limits(download_limit=4 * MB)
    assert limits.share_of(job.pk) == 4 * MB


@pytest.mark.django_db
def test_only_so_many_downloads_run_from_one_host(settings):
    settings.DOWNLOAD_PER_HOST = 2
    first, second, third = (JobFactory(running=True) for _ in range(3))
    limits.take_host(first.pk, 1, "VOE")
    limits.take_host(second.pk, 1, "voe")
    with pytest.raises(SlotTaken, match="2 downloads run from VOE"):
        limits.take_host(third.pk, 1, "VOE")
    limits.take_host(third.pk, 1, "Filemoon")
    limits.take_host(first.pk, 1, "VOE")
    settings.DOWNLOAD_PER_HOST = 0
    limits.take_host(third.pk, 1, "VOE")
    assert Job.objects.get(pk=third.pk).host == "VOE"


@pytest.mark.django_db(transaction=True)
def test_the_last_slot_of_a_host_is_given_once(settings):
    settings.DOWNLOAD_PER_HOST = 3
    jobs = [JobFactory(running=True).pk for _ in range(8)]
    won: list[int] = []
    barrier = threading.Barrier(len(jobs))

    def take(job_id: int) -> None:
        barrier.wait()
        try:
            limits.take_host(job_id, 1, "VOE")
            won.append(job_id)
        except SlotTaken:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=(pk,)) for pk in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 3


class Line:
    """Downloads without a network: each passes as many bytes as its run lets it, or as its source gives."""

    def __init__(self, sources: list[int | None]) -> None:
        self.over = threading.Event()
        self.runs: list[base.Run] = []
        self.threads: list[threading.Thread] = []
        for source in sources:
            self.join(source)

    def join(self, source: int | None = None, **fields: object) -> Job:
        job = JobFactory(running=True, speed=0, **fields)
        run = base.Run(job, 1)
        self.runs.append(run)
        thread = threading.Thread(target=self._carry, args=(run, source))
        thread.start()
        self.threads.append(thread)
        return job

    def _carry(self, run: base.Run, source: int | None) -> None:
        try:
            run.write()
            while not self.over.is_set():
                block = min(run.throttle.portion, 64 * 1024)
                if source:
                    time.sleep(block / source)
                run.throttle.passed(block)
                run.progress(run.throttle.count, None)
        finally:
            connection.close()

    def rates(self, seconds: float) -> list[float]:
        """Bytes a second of each, over so long."""
        before, began = [run.throttle.count for run in self.runs], time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        after = [run.throttle.count for run in self.runs]
        return [(b - a) / took for a, b in zip(before, after, strict=True)]

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(30)

    def settles(self, total: float, slack: float = 0.15, patience: float = 45.0) -> list[float]:
        """The rates once they add up as they should, measured over two seconds."""
        until = time.monotonic() + patience
        while True:
            rates = self.rates(2.0)
            if abs(sum(rates) - total) <= slack * total:
                return rates
            assert time.monotonic() < until, f"{rates} add up to {sum(rates):.0f}, not {total}"


@pytest.mark.django_db(transaction=True)
def test_downloads_together_keep_the_limit_as_they_come_and_go_and_it_changes():
    limits.set_speed_limits(download_limit=2 * MB)
    with Line([None, None, 200_000]) as line:
        fast, also, slow = line.settles(2 * MB)
        assert slow < 350_000 < min(fast, also)
        capped = line.join(rate_limit=300_000)
        assert line.settles(2 * MB)[3] < 360_000
        Job.objects.filter(pk=capped.pk).update(rate_limit=600_000)
        until = time.monotonic() + 45
        while line.settles(2 * MB)[3] < 400_000:
            assert time.monotonic() < until, "the new limit of one job was not seen"
        limits.set_speed_limits(alternative_download_limit=MB, alternative_enabled=True)
        line.settles(MB)
