"""Films of series in the query-less feed: Radarr, which asks for nothing but what is new, meets them as in a search."""

import re
from collections.abc import Collection

import pytest
from django.db import connection

from catalogue import feed, search
from catalogue.availability import Finding, record
from catalogue.fetching import SiteClient
from catalogue.models import AvailabilityRecord, Film, Site, Title
from catalogue.releases import parse_magnet
from catalogue.sites.base import GERMAN_DUB, GERMAN_SUB, EpisodeFacts
from tests.catalogue.factories import AvailabilityRecordFactory, FilmFactory, SiteFactory
from tests.torznab.checker import read_feed
from tests.torznab.conftest import Ask, make_show
from torznab import categories

MOVIES = "cat=2000,2010,2020,2030,2040,2045,2050,2060"
RADARR = f"t=movie&{MOVIES}&extended=1&offset=0&limit=100"
"""What Radarr asks every few minutes."""
SONARR = "t=tvsearch&cat=5030,5040,5045,5070&extended=1&offset=0&limit=100"
FOG = EpisodeFacts(0, 2, "Der lange Nebel", "Fogworks the Movie: The Long Fog [Movie]")
LAMP = EpisodeFacts(0, 1, "", "Lampenlicht")


@pytest.fixture
def fogworks(monkeypatch: pytest.MonkeyPatch) -> str:
    """A series on AniWorld with two films, both learnt; the second is there in both languages and of a known year."""
    monkeypatch.setattr(
        SiteClient, "season", lambda self, slug, season: (EpisodeFacts(0, 1, "", "Teapot"), FOG)
    )
    slug = make_show("Fogworks", episodes=2, seasons=[0, 1])
    title = Title.objects.get(slug=slug)
    FilmFactory(title=title, number=1, english_title="Teapot", year=None)
    remember(title, FOG, year=2016)
    available(slug, 2)
    return slug


@pytest.fixture
def lamp(monkeypatch: pytest.MonkeyPatch) -> str:
    """A title of AniWorld that is nothing but one film, whatever its list calls it."""
    monkeypatch.setattr(SiteClient, "season", lambda self, slug, season: (LAMP,))
    slug = make_show("The Thousand Lamps", episodes=0, seasons=[0])
    Title.objects.filter(slug=slug).update(year=2018, imdb_id="tt0012345")
    remember(Title.objects.get(slug=slug), LAMP, year=2018, alone=True)
    available(slug, 1)
    return slug


def remember(title: Title, film: EpisodeFacts, **more: object) -> None:
    FilmFactory(
        title=title, number=film.episode,
        german_title=film.german_title, english_title=film.english_title, **more,
    )  # fmt: skip


def available(slug: str, number: int, *languages: str) -> None:
    found = [
        Finding(slug, 0, number, one, True, "VOE", 1080, "h264", 734_003_200, 5400.0)
        for one in languages or (GERMAN_DUB, GERMAN_SUB)
    ]
    record("aniworld", found)


def names(ask: Ask, asked: str = RADARR) -> set[str]:
    return {item.title for item in read_feed(ask(asked))}


def test_radarr_is_told_of_a_series_film_without_asking_for_it(ask: Ask, fogworks: str, settings):
    settings.TORZNAB_LINK_MODE = "magnet"
    found = read_feed(ask(RADARR))
    assert {item.title for item in found} == {
        "Fogworks.the.Movie.The.Long.Fog.2016.German.1080p.WEB.H264-ANIWORLD",
        "Fogworks.the.Movie.The.Long.Fog.2016.Japanese.GerSubbed.1080p.WEB.H264-ANIWORLD",
    }
    for item in found:
        identity = parse_magnet(item.url).identity
        assert (identity.slug, identity.season, identity.episode) == (fogworks, 0, 2)
        assert item.categories == {2000, 2040}
        assert "season" not in item.attributes


def test_radarrs_next_round_has_the_new_film_on_top_and_the_others_as_they_were(
    ask: Ask, fogworks: str
):
    first = read_feed(ask(RADARR))
    assert read_feed(ask(RADARR.replace("t=movie", "t=search"))) == first
    Film.objects.filter(number=1).update(year=2012)
    available(fogworks, 1, GERMAN_DUB)
    second = read_feed(ask(RADARR))
    assert second[0].title == "Teapot.2012.German.1080p.WEB.H264-ANIWORLD"
    assert second[1:] == first
    assert read_feed(ask(f"t=movie&{MOVIES}&extended=1&offset=100&limit=100")) == []


@pytest.mark.parametrize("mode", ["verify", "magnet"])
@pytest.mark.parametrize("variants", ["no", "both", "only"])
@pytest.mark.parametrize("year", ["%202016", ""])
def test_the_feed_and_a_search_by_its_name_offer_one_and_the_same_item(
    ask: Ask, fogworks: str, settings, mode: str, variants: str, year: str
):
    settings.TORZNAB_LINK_MODE, settings.STRM_FILES_MODE = mode, variants
    told = read_feed(ask(RADARR))
    asked = f"t=search&{MOVIES}&q=Fogworks%20the%20Movie%20The%20Long%20Fog{year}"
    found = read_feed(ask(asked))
    assert len(told) == (4 if variants == "both" else 2)
    assert {item.guid: item for item in told} == {item.guid: item for item in found}


def test_a_title_that_is_nothing_but_a_film_goes_by_the_titles_name_year_and_id(
    ask: Ask, lamp: str
):
    told = read_feed(ask(RADARR))
    assert {item.title.partition(".2018.")[0] for item in told} == {"The.Thousand.Lamps"}
    assert {item.one("imdb") for item in told} == {"0012345"}
    found = read_feed(ask(f"t=search&{MOVIES}&q=The%20Thousand%20Lamps%202018"))
    assert {item.guid: item for item in told} == {item.guid: item for item in found}


def test_a_film_of_a_site_of_films_is_the_same_item_as_in_a_search_with_its_id(ask: Ask):
    site = SiteFactory(site_id="megakino", default_languages=[GERMAN_DUB])
    slug = make_show("The Long Fog", site="megakino", slug="12-the-long-fog", episodes=0)
    Title.objects.filter(slug=slug).update(year=2016, imdb_id="tt0123456")
    AvailabilityRecordFactory(site=site, slug=slug, film=True)
    (told,) = read_feed(ask(RADARR))
    (found,) = read_feed(ask(f"t=search&{MOVIES}&q=The%20Long%20Fog%202016"))
    assert told == found
    assert told.one("imdb") == "0123456"


def test_a_series_id_is_not_given_to_its_film(ask: Ask, fogworks: str):
    Title.objects.filter(slug=fogworks).update(imdb_id="tt0000404")
    assert not [item for item in read_feed(ask(RADARR)) if "imdb" in item.attributes]


def test_a_film_whose_year_or_name_is_not_known_stays_out(ask: Ask, fogworks: str, settings):
    settings.TORZNAB_RETURN_TEST_RESULT = False
    available(fogworks, 1)
    assert {guid_number(guid) for guid in guids(ask, RADARR)} == {"2"}
    Film.objects.filter(number=2).update(year=None)
    assert names(ask) == set()
    Film.objects.all().delete()
    assert names(ask) == set()


def test_another_titles_film_of_that_number_says_nothing_about_this_one(ask: Ask, fogworks: str):
    other = make_show("Invented Story", episodes=0)
    available(other, 2)
    same_slug = make_show("Fogworks", site="sto", slug=fogworks, episodes=0)
    AvailabilityRecordFactory(site=Site.objects.get(pk="sto"), slug=same_slug, season=0, episode=2)
    assert {guid.rpartition(":0:")[0] for guid in guids(ask, RADARR)} == {f"aniworld:{fogworks}"}


def test_sonarr_meets_the_episodes_and_never_the_film(ask: Ask, fogworks: str):
    assert {guid.split(":")[2] for guid in guids(ask, SONARR)} == {"1"}


def test_who_asks_for_everything_meets_film_and_episodes(ask: Ask, fogworks: str):
    for asked in ("t=search", f"t=search&{MOVIES},5000", "t=search&cat=2040,5040"):
        found = read_feed(ask(asked))
        assert sorted(len(item.categories & {2000, 5070}) for item in found) == [1] * 6
        assert sum(2000 in item.categories for item in found) == 2


def test_a_film_has_the_category_of_its_quality(ask: Ask, fogworks: str, settings):
    settings.TORZNAB_RETURN_TEST_RESULT = False
    assert len(names(ask, "t=search&cat=2040")) == 2
    assert names(ask, "t=search&cat=2030") == names(ask, "t=search&cat=2045") == set()


def test_a_film_that_is_gone_leaves_the_feed_and_a_site_that_is_switched_off_too(
    ask: Ask, fogworks: str, settings
):
    settings.TORZNAB_RETURN_TEST_RESULT = False
    AvailabilityRecord.objects.filter(language=GERMAN_SUB, season=0).update(is_available=False)
    assert len(names(ask)) == 1
    assert len(read_feed(ask(RADARR, path="/torznab/aniworld/api"))) == 1
    Site.objects.update(enabled=False)
    assert names(ask) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda: Film.objects.update(english_title="Fogworks: A Longer Fog"),
        lambda: Film.objects.update(english_title=""),
        lambda: Film.objects.update(year=2017),
        lambda: Film.objects.update(alone=True),
        lambda: Film.objects.filter(number=2).delete(),
        lambda: Film.objects.update(year=2001),
    ],
    ids=["its name", "its first name", "its year", "its title is it", "forgotten", "another's"],
)
def test_a_page_that_was_remembered_is_told_anew_when_something_else_was_learnt(
    ask: Ask, fogworks: str, change
):
    before = ask(RADARR).content
    assert ask(RADARR).content == before
    change()
    assert ask(RADARR).content != before


def test_the_german_name_stands_in_where_there_is_no_english_one(ask: Ask, fogworks: str):
    Film.objects.filter(number=2).update(english_title="[Movie]")
    assert {name.partition(".2016.")[0] for name in names(ask)} == {"Der.lange.Nebel"}


@pytest.mark.parametrize("asked", [RADARR, "t=search&limit=100", f"t=search&{MOVIES},5030,5040"])
def test_films_of_many_series_take_three_queries_and_two_when_nothing_changed(
    ask: Ask, django_assert_num_queries, asked: str
):
    for number in range(30):
        title = Title.objects.get(slug=make_show(f"Story {number}", seasons=[0, 1]))
        FilmFactory(title=title, number=1)
        available(title.slug, 1)
    with django_assert_num_queries(3):
        first = read_feed(ask(asked))
    assert sum(2000 in item.categories for item in first) >= 40
    with django_assert_num_queries(2):
        assert read_feed(ask(asked)) == first


def test_pages_do_not_overlap_while_new_films_arrive(ask: Ask):
    title = Title.objects.get(slug=make_show("Fogworks", seasons=[0, 1]))
    FilmFactory.create_batch(12, title=title)
    numbers = [film.number for film in Film.objects.all()]
    for number in numbers[:6]:
        AvailabilityRecordFactory(slug=title.slug, season=0, episode=number)
    expected = guids(ask, RADARR)
    seen: list[str] = []
    for page, number in zip(range(3), numbers[6:], strict=False):
        seen += guids(ask, f"t=movie&{MOVIES}&limit=2&offset={page * 2}")
        AvailabilityRecordFactory(slug=title.slug, season=0, episode=number)
    assert seen == expected
    assert len(guids(ask, RADARR)) == 9


@pytest.mark.parametrize(
    ("asked", "sites", "index"),
    [
        ({2000, 2010, 2020, 2030, 2040, 2045}, None, "availability_films"),
        ({2040}, None, "availability_films"),
        ({2000, 2040}, {"aniworld"}, "availability_films_of_site"),
        (set(), None, "availability_feed"),
        ({2040, 5040}, None, "availability_feed"),
        ({5030, 5040}, {"aniworld"}, "availability_feed_of_site"),
    ],
)
def test_a_page_is_read_along_an_index_in_the_order_of_time(
    fogworks: str, asked: set[int], sites: Collection[str] | None, index: str
):
    # So many of another site that it makes a difference along which index the page is read.
    other = SiteFactory(site_id="sto")
    AvailabilityRecord.objects.bulk_create(
        AvailabilityRecordFactory.build(site=other, season=number % 2, episode=number + 1)
        for number in range(1000)
    )
    shown = frozenset(sites or Site.objects.enabled().values_list("pk", flat=True))
    page = feed.Page(sites=shown, where=categories.condition(asked))
    statement, params = feed._statement(page, shown, frozenset())
    inner = statement.partition("FROM (")[2].rpartition(") p LEFT JOIN catalogue_title t")[0]
    told = plan(inner, params)
    assert re.findall(r"availability_(?:films|feed)\w*", told) == [index]
    assert "Sort" not in told
    assert "TEMP B-TREE" not in told
    # A statement that was planned once may use an index of films only where it says so itself.
    assert '"season" = (0)' in statement


def plan(statement: str, params: tuple[object, ...]) -> str:
    """How the database goes about it; PostgreSQL is kept from sorting what is only little in a test."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"ANALYZE {AvailabilityRecord._meta.db_table}")
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute(f"EXPLAIN {statement}", params)
            return "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", params)
        return "\n".join(row[3] for row in cursor.fetchall())


def test_whoever_reads_the_catalogues_feed_is_told_that_it_is_a_film(fogworks: str):
    films = [one for one in search.feed() if one.season == 0]
    assert {(one.is_film, one.year, one.title) for one in films} == {
        (True, 2016, "Fogworks the Movie: The Long Fog")
    }


def guids(ask: Ask, asked: str) -> list[str]:
    return [item.guid for item in read_feed(ask(asked))]


def guid_number(guid: str) -> str:
    return guid.split(":")[3]
