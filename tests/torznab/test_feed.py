"""The query-less request: order, pages, categories, and what never changes."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from anibridge.lib import caches
from catalogue import grabs
from catalogue.errors import UnknownSite
from catalogue.models import AvailabilityRecord, Site, Title
from catalogue.sites import get_adapter
from tests.catalogue.factories import AvailabilityRecordFactory, SiteFactory
from tests.torznab.checker import read_feed
from tests.torznab.conftest import Ask, make_show
from torznab import services


def test_the_newest_come_first_with_the_date_of_their_first_sight(ask: Ask):
    make_show("Sintel", episodes=4)
    found = read_feed(ask("t=search"))
    dates = [item.published for item in found]
    assert dates == sorted(dates, reverse=True)
    newest = AvailabilityRecord.objects.order_by("-first_seen_at").first()
    assert dates[0] == newest.first_seen_at.replace(microsecond=0)


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), "Sun, 01 Mar 2026 23:59:59 GMT"),
        (datetime(2024, 2, 29, 0, 0, tzinfo=UTC), "Thu, 29 Feb 2024 00:00:00 GMT"),
    ],
)
def test_dates_are_in_greenwich_time_with_the_right_weekday(ask: Ask, moment, told):
    AvailabilityRecordFactory(first_seen_at=moment)
    response = ask("t=search")
    assert f"<pubDate>{told}</pubDate>".encode() in response.content
    assert read_feed(response)[0].published == moment


def test_a_release_keeps_its_guid_date_and_address_when_it_is_probed_again(ask: Ask):
    make_show("Sintel")
    before = read_feed(ask("t=search"))
    AvailabilityRecord.objects.update(checked_at=datetime.now(UTC), size_bytes=123_456_789)
    after = read_feed(ask("t=search"))
    assert [(i.guid, i.published, i.url) for i in after] == [
        (i.guid, i.published, i.url) for i in before
    ]
    assert {item.size for item in after} == {123_456_789}


def test_the_guid_is_the_identity_in_the_feed_and_in_a_search(ask: Ask):
    make_show("Sintel")
    guids = {"aniworld:sintel:1:1:German Dub", "aniworld:sintel:1:1:German Sub"}
    assert {item.guid for item in read_feed(ask("t=search"))} == guids
    assert {item.guid for item in read_feed(ask("t=search&q=Sintel+S01E01"))} == guids


def test_pages_follow_each_other_without_gap_or_overlap(ask: Ask):
    make_show("Sintel", episodes=5)
    whole = [item.guid for item in read_feed(ask("t=search&limit=100"))]
    pages = [
        [item.guid for item in read_feed(ask(f"t=search&offset={offset}&limit=4"))]
        for offset in (0, 4, 8, 12)
    ]
    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert [guid for page in pages for guid in page] == whole


def test_what_arrives_between_two_pages_repeats_nothing(ask: Ask):
    make_show("Sintel", episodes=3)
    expected = [item.guid for item in read_feed(ask("t=search"))]
    seen = []
    for offset in (0, 2, 4):
        seen += [item.guid for item in read_feed(ask(f"t=search&offset={offset}&limit=2"))]
        AvailabilityRecordFactory(slug="newcomer")
    assert seen == expected
    assert len(read_feed(ask("t=search"))) == len(expected) + 3


@pytest.mark.parametrize(
    ("site", "slug", "film", "name"),
    [
        ("aniworld", "die-lange-fahrt", False, "Die.Lange.Fahrt.S01E"),
        ("megakino", "122-die-lange-fahrt", True, "Die.Lange.Fahrt.German."),
        ("megakino", "123-die-lange-fahrt-2-staffel", False, "Die.Lange.Fahrt.S01E"),
    ],
)
def test_what_no_index_has_is_called_as_its_sites_slugs_are_read(
    ask: Ask, site: str, slug: str, film: bool, name: str
):
    AvailabilityRecordFactory(site=SiteFactory(site_id=site), slug=slug, film=film)
    (item,) = read_feed(ask("t=search"))
    assert item.title.startswith(name)


def test_the_feed_needs_nothing_that_is_only_remembered(
    ask: Ask, settings, tmp_path, request: pytest.FixtureRequest
):
    request.addfinalizer(caches._again.clear)
    settings.CACHES = {
        "default": {
            **settings.CACHES["default"],
            "BACKEND": "anibridge.lib.caches.Redis",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {},
        }
    }
    make_show("Sintel")
    assert len(read_feed(ask("t=search&limit=1"))) == 1
    assert len(read_feed(ask("t=search&limit=1&offset=1"))) == 1
    assert len(read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1"))) == 2


def test_one_client_turning_pages_hides_nothing_from_another(ask: Ask):
    make_show("Sintel")
    read_feed(ask("t=search&limit=1", HTTP_USER_AGENT="Sonarr/4"))
    AvailabilityRecordFactory(slug="newcomer")
    old = read_feed(ask("t=search&offset=1&limit=5", HTTP_USER_AGENT="Sonarr/4"))
    new = read_feed(ask("t=search&offset=1&limit=5", HTTP_USER_AGENT="Radarr/6"))
    assert (len(old), len(new)) == (1, 2)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", 7),
        ("limit=3", 3),
        ("limit=0", 0),
        ("limit=-1", 0),
        ("limit=5000", 7),
        ("offset=-5", 7),
        ("offset=6&limit=100", 1),
        ("offset=7", 0),
        ("offset=999999999999999999", 0),
    ],
)
def test_limit_and_offset_are_honoured_within_bounds(ask: Ask, asked: str, expected: int):
    for _ in range(7):
        AvailabilityRecordFactory()
    assert len(read_feed(ask(f"t=tvsearch&{asked}"))) == expected


def test_no_page_has_more_than_a_hundred_items(ask: Ask):
    AvailabilityRecordFactory.create_batch(103)
    assert len(read_feed(ask("t=search&limit=1000"))) == 100
    assert len(read_feed(ask("t=search"))) == 100


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", {"sd", "hd", "uhd", "unknown", "film"}),
        ("cat=5000", {"sd", "hd", "uhd", "unknown"}),
        ("cat=5070", {"sd", "hd", "uhd", "unknown"}),
        ("cat=5030,5040", {"sd", "hd", "unknown"}),
        ("cat=5045", {"uhd"}),
        ("cat=,5040,", {"hd"}),
        ("cat=2000", {"film"}),
        ("cat=2040,5045", {"film", "uhd"}),
        ("cat=2030", set()),
        ("cat=5030,100123", {"sd", "unknown"}),
        ("cat=3000", set()),
    ],
)
def test_categories_choose(ask: Ask, settings, asked: str, expected: set[str]):
    settings.TORZNAB_RETURN_TEST_RESULT = False
    for slug, height in (("sd", 480), ("hd", 720), ("uhd", 2160), ("unknown", None)):
        AvailabilityRecordFactory(slug=slug, height=height)
    AvailabilityRecordFactory(slug="film", film=True)
    found = read_feed(ask(f"t=search&{asked}"))
    assert {item.guid.split(":")[1] for item in found} == expected


def test_tvsearch_and_movie_keep_to_their_kind_without_categories(ask: Ask):
    AvailabilityRecordFactory(slug="series")
    AvailabilityRecordFactory(slug="film", film=True)
    (series,) = read_feed(ask("t=tvsearch"))
    (film,) = read_feed(ask("t=movie"))
    assert "series" in series.guid
    assert "film" in film.guid
    assert film.categories == {2000, 2040}
    assert "season" not in film.attributes


def test_what_is_absent_switched_off_or_a_whole_season_is_not_in_the_feed(ask: Ask):
    AvailabilityRecordFactory(absent=True)
    AvailabilityRecordFactory(site=SiteFactory(site_id="demo", enabled=False))
    AvailabilityRecordFactory(episode=None)
    AvailabilityRecordFactory(slug="wanted")
    (item,) = read_feed(ask("t=search"))
    assert "wanted" in item.guid


def test_the_feed_of_one_site_has_nothing_of_another(ask: Ask):
    make_show("Sintel")
    make_show("Sintel", site="demo", episodes=2)
    assert len(read_feed(ask("t=search", path="/torznab/aniworld/api"))) == 2
    assert len(read_feed(ask("t=search", path="/torznab/demo/api"))) == 4


def test_the_connectivity_item_answers_only_an_empty_feed(ask: Ask):
    (item,) = read_feed(ask("t=search"))
    assert item.guid == "connectivity:connectivity-test:1:1:German Dub"
    assert read_feed(ask("t=search")) == [item]
    assert read_feed(ask("t=search&offset=1")) == []
    assert read_feed(ask("t=search&limit=0")) == []
    assert read_feed(ask("t=search&q=Nothing")) == []
    make_show("Sintel")
    assert item.guid not in {one.guid for one in read_feed(ask("t=search"))}


@pytest.mark.parametrize("asked", ["5000", "5030", "5040", "5045", "5070", "2000", "2030", "2045"])
def test_the_connectivity_item_has_the_category_that_was_asked_for(ask: Ask, asked: str):
    (item,) = read_feed(ask(f"t=search&cat={asked}"))
    assert item.categories == {int(asked)}


def test_a_client_that_asks_for_what_never_comes_gets_nothing(ask: Ask):
    assert read_feed(ask("t=search&cat=3000,5060")) == []


def test_the_connectivity_item_can_be_switched_off(ask: Ask, settings):
    settings.TORZNAB_RETURN_TEST_RESULT = False
    assert read_feed(ask("t=search")) == []


def test_the_connectivity_item_belongs_to_no_site(ask: Ask):
    (item,) = read_feed(ask("t=search"))
    _, meant = grabs.read(item.url.rpartition("/")[2])
    identity = meant.identity
    with pytest.raises(UnknownSite):
        get_adapter(identity.site)


def queries(ask: Ask, asked: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert ask(asked).status_code == 200
    return len(captured)


@pytest.mark.parametrize("asked", ["t=search", "t=tvsearch&q=Sintel&season=1"])
@pytest.mark.usefixtures("no_season_pages")
def test_many_items_cost_no_more_queries_than_few(ask: Ask, monkeypatch, asked: str):
    monkeypatch.setattr("catalogue.index.LOOK_EVERY_SECONDS", 3600)
    slug = make_show("Sintel", episodes=2)
    ask("t=search&q=warm")
    few = queries(ask, asked)
    for episode in range(3, 40):
        AvailabilityRecordFactory(slug=slug, episode=episode)
    assert len(read_feed(ask(f"{asked}&limit=100"))) == 41
    assert queries(ask, asked) <= few


def test_the_feed_takes_three_queries_however_many_titles_it_names_and_two_when_nothing_changed(
    ask: Ask, django_assert_num_queries
):
    for number in range(30):
        make_show(f"Story {number}")
    with django_assert_num_queries(3):
        first = ask("t=search&cat=5030,5040&limit=50").content
    with django_assert_num_queries(2):
        assert ask("t=search&cat=5030,5040&limit=50").content == first


@pytest.mark.parametrize(
    "change",
    [
        lambda: Title.objects.update(name="Renamed"),
        lambda: Site.objects.update(base_url="https://elsewhere.example"),
        lambda: AvailabilityRecord.objects.update(height=480, checked_at=timezone.now()),
        lambda: AvailabilityRecord.objects.order_by("pk")[0].delete(),
        lambda: AvailabilityRecordFactory(slug="new-one"),
    ],
    ids=["a name", "an address", "a quality", "one gone", "one more"],
)
def test_a_page_that_was_remembered_is_told_anew_when_anything_in_it_changed(ask: Ask, change):
    make_show("Sintel", episodes=3)
    before = ask("t=search").content
    assert ask("t=search").content == before
    change()
    assert ask("t=search").content != before


def test_a_page_keeps_its_place_although_the_anchor_is_written_once(ask: Ask, monkeypatch):
    slug = make_show("Sintel", episodes=4)
    written: list[str] = []
    real = services.cache.set
    monkeypatch.setattr(
        services.cache, "set", lambda key, *rest: (written.append(key), real(key, *rest))
    )
    for _ in range(3):
        first = read_feed(ask("t=search&limit=2"))
    AvailabilityRecordFactory(slug=slug, episode=77)
    second = read_feed(ask("t=search&limit=2&offset=2"))
    assert len(written) == 1
    assert not {item.guid for item in first} & {item.guid for item in second}
