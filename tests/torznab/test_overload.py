"""More searches than there are threads for: the rest is told to come back, and everything else goes on."""

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
    overload.slots.cache_clear()
    with overload.slot(), overload.slot():
        yield
    overload.slots.cache_clear()


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


def test_a_search_that_ends_makes_room_for_the_next(ask: Ask, settings):
    settings.WEB_THREADS = 1
    overload.slots.cache_clear()
    make_show("Sintel")
    for _ in range(3):
        assert len(read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1"))) == 2
    overload.slots.cache_clear()
