"""Releases that become a `.strm` file, beside the videos or in their place."""

import pytest
from django.test import Client

from catalogue import grabs
from tests.torznab.checker import ReadItem, read_feed
from tests.torznab.conftest import Ask, make_show

SEARCH = "t=tvsearch&q=Sintel&season=1&ep=1"


@pytest.fixture(autouse=True)
def both(settings):
    settings.STRM_FILES_MODE = "both"


def identity_of(item: ReadItem):
    return grabs.read(item.url.rpartition("/")[2])[1].identity


def test_each_release_comes_twice(ask: Ask):
    make_show("Sintel")
    video, strm, *_ = read_feed(ask(SEARCH))
    assert strm.title == f"{video.title} [STRM]"
    assert strm.guid == f"{video.guid}:strm"
    assert strm.one("infohash") != video.one("infohash")
    assert (strm.size, strm.published) == (video.size, video.published)
    assert [identity_of(item).strm for item in (video, strm)] == [False, True]


def test_a_variant_can_be_grabbed(ask: Ask, client: Client):
    make_show("Sintel")
    strm = read_feed(ask(SEARCH))[1]
    answer = client.get(strm.url.removeprefix("http://testserver"))
    assert "aw_mode=strm" in answer.headers["Location"]


def test_only_variants_can_be_offered(ask: Ask, settings):
    settings.STRM_FILES_MODE = "only"
    make_show("Sintel")
    assert all(item.title.endswith(" [STRM]") for item in read_feed(ask(SEARCH)))
    assert len(read_feed(ask(SEARCH))) == 2
    assert len(read_feed(ask("t=search"))) == 2


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_of_any_size_follow_each_other_without_gap_or_overlap(ask: Ask, size: int):
    make_show("Sintel", episodes=3)
    whole = [item.guid for item in read_feed(ask("t=search"))]
    assert len(set(whole)) == 12
    pages, offset = [], 0
    while page := read_feed(ask(f"t=search&offset={offset}&limit={size}")):
        assert len(page) <= size
        pages += page
        offset += size
    assert [item.guid for item in pages] == whole


def test_pages_of_a_search_follow_each_other_too(ask: Ask):
    make_show("Sintel")
    whole = read_feed(ask(SEARCH))
    parts = [read_feed(ask(f"{SEARCH}&offset={n}&limit=1")) for n in range(5)]
    assert [item for part in parts for item in part] == whole
