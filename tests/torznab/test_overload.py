"""More searches than there are threads for: the rest is told to come back, and everything else goes on."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client

from tests.torznab.checker import read_feed
from tests.torznab.conftest import Ask, make_show
from torznab import overload


@pytest.fixture
def full(settings, monkeypatch: pytest.MonkeyPatch):
    """Every place of the process is taken."""
    settings.WEB_THREADS = 4
    monkeypatch.setattr(overload, "PATIENCE_SECONDS", 0.01)
    overload.places.cache_clear()
    with overload.slot(), overload.slot():
        yield
    overload.places.cache_clear()


def test_one_search_too_many_is_told_when_to_come_back(ask: Ask, full: None):
    answer = ask("t=tvsearch&q=Sintel&season=1&ep=1")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) == overload.RETRY_AFTER_SECONDS
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert b'code="500"' in answer.content


def test_what_asks_no_site_is_answered_all_the_same(ask: Ask, full: None):
    make_show("Sintel")
    assert len(read_feed(ask("t=search"))) == 2
    assert ask("t=caps").status_code == 200


def test_a_grab_is_told_when_to_come_back(ask: Ask, client: Client, full: None):
    make_show("Sintel")
    item = read_feed(ask("t=search"))[0]
    answer = client.get(item.url.removeprefix("http://testserver"))
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_where_one_waited_in_vain_nobody_waits_until_somebody_leaves(monkeypatch):
    places = overload.Places(1)
    assert places.take()
    monkeypatch.setattr(overload, "PATIENCE_SECONDS", 0.01)
    assert not places.take()
    # Each that waits holds a thread; a long patience shows whether one does.
    monkeypatch.setattr(overload, "PATIENCE_SECONDS", 600)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(places.take).result(timeout=60) is False
        places.give_back()
        assert places.take()
        waiting = pool.submit(places.take)
        places.give_back()
        assert waiting.result(timeout=60) is True


def test_all_that_wait_give_up_together(monkeypatch):
    places = overload.Places(1)
    assert places.take()
    monkeypatch.setattr(overload, "PATIENCE_SECONDS", 0.2)
    with ThreadPoolExecutor(4) as pool:
        assert [one.result(60) for one in [pool.submit(places.take) for _ in range(4)]] == [
            False
        ] * 4


def test_a_search_that_ends_makes_room_for_the_next(ask: Ask, settings):
    settings.WEB_THREADS = 1
    overload.places.cache_clear()
    make_show("Sintel")
    for _ in range(3):
        assert len(read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1"))) == 2
    overload.places.cache_clear()
