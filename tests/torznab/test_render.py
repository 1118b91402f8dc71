"""Titles from anywhere and sizes from nowhere still make a document that every client reads."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.http import HttpResponse

from catalogue.models import AvailabilityRecord
from catalogue.releases import Identity, Release, resolution
from tests.catalogue.factories import AvailabilityRecordFactory, FilmFactory, TitleFactory
from tests.torznab.checker import read_feed
from tests.torznab.conftest import Ask, make_show
from torznab import categories, items, render
from torznab.items import Item

HOSTILE = [
    "]]> the End",
    "Tom & Jerry <b>\"'</b>",
    "Rainbow 🌈 Story",
    "Long " * 60,
    "\u202eRight\u202c to \u200fLeft",
    "進撃の巨人",
    "&amp; &nbsp; &#0; &#x1F;",
    "Tab\tand\nNewline",
    "C1 \x85 Control",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_title_of_any_letters_reaches_the_client(ask: Ask, name: str):
    make_show(name[:300], slug="hostile")
    in_feed = read_feed(ask("t=search"))
    assert len(in_feed) == 2
    assert [item.parsed[1:] for item in in_feed] == [(1, 1)] * 2


@pytest.mark.parametrize("name", HOSTILE)
def test_a_query_of_any_letters_is_answered(ask: Ask, name: str):
    make_show(name[:300], slug="hostile")
    found = read_feed(ask(f"t=tvsearch&q={quote(name)}&season=1&ep=1"))
    assert [item.parsed[1:] for item in found] == [(1, 1)] * 2


@pytest.mark.parametrize("raw", ["%00", "%ED%A0%80", "%FF%FE", "%EF%BF%BF", "%0D%0A", "%C2%85"])
def test_bytes_that_are_no_text_do_not_disturb_a_query(ask: Ask, raw: str):
    make_show("Sintel")
    assert len(read_feed(ask(f"t=tvsearch&q=Sintel{raw}&season=1&ep=1"))) == 2


@pytest.mark.parametrize("raw", ["x" * 4000, "." * 4000, "s1e" * 1000, "%20" * 2000, "]" * 400])
def test_a_query_without_end_is_answered(ask: Ask, raw: str):
    make_show("Sintel")
    assert read_feed(ask(f"t=tvsearch&q=y{raw}&season=1&ep=1")) == []


def made(**changed: object) -> Item:
    release = Release(Identity("aniworld", "sintel", 1, 1, "German Dub"), "Sintel", "ANIWORLD")
    values: dict[str, object] = {
        "site": "aniworld",
        "slug": "sintel",
        "guid": "aniworld:sintel:1:1:German Dub",
        "title": release.name,
        "published": datetime(2026, 1, 1, tzinfo=UTC),
        "size": 1,
        "categories": (5070, 5040),
        "infohash": release.infohash,
        "magnet": release.magnet,
        "spoken": "German",
        "subtitles": "",
        "season": 1,
        "episode": 1,
    }
    return Item(**(values | changed))


def rendered(*made_items: Item) -> HttpResponse:
    return HttpResponse(
        render.feed(map(render.of_item, made_items), link="http://localhost/"),
        content_type="application/rss+xml; charset=utf-8",
    )


@pytest.mark.parametrize(
    "name", [*HOSTILE, "N\x00U\x01L", "lone \ud800 and \udfff", "\ufffe\uffff!"]
)
def test_whatever_an_item_says_the_document_is_well_formed(name: str):
    (item,) = read_feed(rendered(made(title=name, guid=name)))
    assert "\x00" not in item.title
    assert item.title


def test_the_prefix_is_torznab_and_nothing_else():
    body = rendered(made()).content
    assert b'xmlns:torznab="http://torznab.com/schemas/2015/feed"' in body
    assert b'<torznab:attr name="infohash"' in body


def test_an_empty_feed_is_a_channel_without_items():
    assert read_feed(rendered()) == []


@pytest.mark.parametrize("seconds", [None, 0.0, -3.0, float("nan"), float("inf"), 1e12])
@pytest.mark.parametrize("known", [None, 0])
@pytest.mark.parametrize("height", [None, 1, 480, 720, 1080, 2160, 4320])
def test_there_is_always_a_size(seconds: float | None, known: int | None, height: int | None):
    size = items.size_of(known, seconds, height)
    assert 0 < size < 200 * 1024**3


@pytest.mark.parametrize(
    ("height", "least", "most"), [(480, 2, 100), (720, 3, 130), (1080, 4, 130), (2160, 35, 1000)]
)
@pytest.mark.parametrize("minutes", [24, 45, 60])
def test_a_size_that_is_not_known_is_within_sonarrs_limits(height, least, most, minutes):
    for size in (items.size_of(None, None, height), items.size_of(None, minutes * 60, height)):
        assert least <= size / minutes / 1024**2 <= most


def test_a_size_that_is_known_is_told(ask: Ask):
    AvailabilityRecordFactory(size_bytes=7, duration_seconds=1400)
    assert read_feed(ask("t=search"))[0].size == 7


def test_the_category_never_contradicts_the_name():
    for height in (None, *range(1, 4400)):
        told = resolution(height)
        expected = 5045 if told == "2160p" else 5040 if told in ("720p", "1080p") else 5030
        assert categories.carried(film=False, height=height) == (5070, expected)
        assert categories.carried(film=True, height=height) == (2000, expected - 3000)


@pytest.mark.parametrize(
    "asked",
    [
        {5000},
        {5070},
        {5030},
        {5040},
        {5045},
        {5030, 5045},
        {2000},
        {2030},
        {2040, 5040},
        {1},
        set(),
    ],
)
def test_the_database_and_the_table_choose_alike(asked: set[int]):
    for height in (None, 1, 649, 650, 1799, 1800, 4000):
        AvailabilityRecordFactory(height=height)
        AvailabilityRecordFactory(height=height, film=True, slug=f"film-{height}")
    series = TitleFactory()
    FilmFactory(title=series, number=3)
    AvailabilityRecordFactory(slug=series.slug, season=0, episode=3)
    AvailabilityRecordFactory(slug=series.slug, season=0, episode=4)
    chosen = set(AvailabilityRecord.objects.feed().filter(categories.condition(asked)))
    assert chosen == {
        row
        for row in AvailabilityRecord.objects.exclude(season=0, episode=4)
        if categories.is_asked(categories.carried(film=row.season == 0, height=row.height), asked)
    }
