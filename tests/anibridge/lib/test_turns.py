"""Reading takes turns, in order, and nobody waits for long for somebody else's."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from anibridge.lib import turns
from anibridge.lib.turns import Places


@pytest.fixture(autouse=True)
def all_are_free_afterwards() -> Iterator[None]:
    yield
    assert turns.places.free == turns.AT_ONCE


def _threads(*jobs: Callable[[], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    return threads


def test_who_has_a_place_needs_no_second_one():
    with turns.turn():
        assert turns.places.free == turns.AT_ONCE - 1
        with turns.turn():
            assert turns.places.free == turns.AT_ONCE - 1
        assert turns.places.free == turns.AT_ONCE - 1


def test_who_waits_for_somebodys_answer_has_no_place_meanwhile():
    with turns.aside():  # nothing to give
        assert turns.places.free == turns.AT_ONCE
    with turns.turn():
        with turns.aside():
            assert turns.places.free == turns.AT_ONCE
        assert turns.places.free == turns.AT_ONCE - 1


def test_places_are_given_in_the_order_in_which_they_were_asked_for():
    places, order = Places(1), list[int]()
    assert places.take(0)

    def come(number: int) -> Callable[[], None]:
        def job() -> None:
            assert places.take(60)
            order.append(number)
            places.give_back()

        return job

    threads = []
    for number in range(8):
        threads += _threads(come(number))
        while len(places._waiting) <= number:
            time.sleep(0.001)
    places.give_back()
    for thread in threads:
        thread.join(60)
    assert order == list(range(8))
    assert places.free == 1


def test_who_lost_patience_is_given_nothing():
    places = Places(1)
    assert places.take(0)
    assert not places.take(0.01)
    places.give_back()
    assert places.free == 1


def test_no_place_is_lost_or_given_twice_when_many_come_and_lose_patience():
    places, inside, most = Places(2), [0], [0]
    lock = threading.Lock()

    def come() -> None:
        for number in range(200):
            if not places.take(0.0005 * (number % 3)):
                continue
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            with lock:
                inside[0] -= 1
            places.give_back()

    for thread in _threads(*[come] * 8):
        thread.join(60)
    assert most[0] <= 2
    assert places.free == 2
