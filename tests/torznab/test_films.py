"""Films as Radarr asks for them: by id, by title and year, and as a film whatever the site calls it."""

import pytest

from catalogue.availability import Finding, record
from catalogue.fetching import SiteClient
from catalogue.models import Title
from catalogue.releases import parse_magnet
from catalogue.sites.base import GERMAN_DUB, GERMAN_SUB, EpisodeFacts
from tests.catalogue.factories import AvailabilityRecordFactory, SiteFactory
from tests.catalogue.skyhook import SkyHook
from tests.torznab.checker import ReadItem, read_feed
from tests.torznab.conftest import Ask, make_show

CATEGORIES = "cat=2000,2010,2020,2030,2040,2045,2050,2060&extended=1&offset=0&limit=100"
FILM = EpisodeFacts(0, 2, "Der lange Nebel", "Fogworks the Movie: The Long Fog [Movie]")


@pytest.fixture(autouse=True)
def magnets(settings) -> None:
    settings.TORZNAB_LINK_MODE = "magnet"


@pytest.fixture
def fogworks(monkeypatch: pytest.MonkeyPatch) -> str:
    """A series on AniWorld with two films; the second is there in both languages."""
    listed = (EpisodeFacts(0, 1, "", "Teapot"), FILM)
    monkeypatch.setattr(SiteClient, "season", lambda self, slug, season: listed)
    slug = make_show("Fogworks", episodes=2, seasons=[0, 1])
    found = [
        Finding(slug, 0, 2, one, True, "VOE", 1080, "h264") for one in (GERMAN_DUB, GERMAN_SUB)
    ]
    record("aniworld", found)
    return slug


@pytest.fixture
def megakino(db: None) -> str:
    """The same film on Megakino."""
    site = SiteFactory(site_id="megakino", default_languages=[GERMAN_DUB])
    slug = "12-fogworks-the-long-fog"
    make_show("Fogworks The Long Fog", site="megakino", slug=slug, episodes=0)
    AvailabilityRecordFactory(site=site, slug=slug, film=True)
    return slug


def titles(items: list[ReadItem]) -> set[str]:
    return {item.title for item in items}


def test_radarr_finds_a_series_film_as_a_film(ask: Ask, fogworks: str):
    found = read_feed(ask(f"t=search&{CATEGORIES}&q=Fogworks%20The%20Long%20Fog%202016"))
    assert titles(found) == {
        "Fogworks.The.Long.Fog.2016.German.1080p.WEB.H264-ANIWORLD",
        "Fogworks.The.Long.Fog.2016.Japanese.GerSubbed.1080p.WEB.H264-ANIWORLD",
    }
    for item in found:
        identity = parse_magnet(item.url).identity
        assert (identity.slug, identity.season, identity.episode) == (fogworks, 0, 2)
        assert item.categories == {2000, 2040}
        assert item.one("year") == "2016"
        assert not {"season", "episode"} & item.attributes.keys()


@pytest.mark.parametrize(
    "asked",
    [
        "t=movie&q=Fogworks%20The%20Long%20Fog",
        "t=movie&q=Fogworks%20The%20Long%20Fog&year=2016",
        "t=movie-search&q=Fogworks%20Der%20lange%20Nebel%202016",
        "t=movie&q=Fogworks%20The%20Movie%20The%20Long%20Fog&year=0",
        "t=search&q=Fogworks%20The%20Long%20Fog%202016",
    ],
)
def test_a_film_is_found_by_its_german_and_english_title(ask: Ask, fogworks: str, asked: str):
    found = read_feed(ask(f"{asked}&{CATEGORIES}"))
    assert {parse_magnet(item.url).identity.episode for item in found} == {2}


def test_the_same_film_is_a_special_to_sonarr(ask: Ask, fogworks: str, skyhook: SkyHook):
    skyhook.add(77, "Fogworks", (0, 5, None, "The Long Fog"))
    special = read_feed(ask("t=tvsearch&tvdbid=77&season=00&ep=5&cat=5030,5040"))
    film = read_feed(ask(f"t=movie&q=Fogworks%20The%20Long%20Fog&{CATEGORIES}"))
    assert {item.parsed for item in special} == {("Fogworks", 0, 5)}
    assert {item.one("infohash") for item in special} == {item.one("infohash") for item in film}
    assert not {item.guid for item in special} & {item.guid for item in film}


@pytest.mark.parametrize("more", ["", "&cat=2000,5000", "&cat=2040,5040"])
def test_who_searches_everywhere_meets_films_as_films(
    ask: Ask, fogworks: str, megakino: str, more: str
):
    found = read_feed(ask(f"t=search&q=Fogworks%20The%20Long%20Fog{more}"))
    named = [item.title for item in found]
    assert "Fogworks.The.Long.Fog.German.1080p.WEB.H264-ANIWORLD" in named
    assert len([name for name in named if name.endswith("-MEGAKINO")]) == 1
    assert len({item.guid for item in found}) == len(found)


def test_films_stand_among_episodes_by_their_sites_order(ask: Ask, fogworks: str):
    make_show("Fogworks The Long Fog", site="demo")
    found = read_feed(ask("t=search&q=Fogworks%20The%20Long%20Fog"))
    order = [item.guid.split(":")[0] for item in found]
    assert order == sorted(order)
    assert set(order) == {"aniworld", "demo"}
    assert any(2000 in item.categories for item in found)


def test_who_searches_everywhere_for_a_season_means_no_film(ask: Ask, fogworks: str):
    found = read_feed(ask("t=search&q=Fogworks%20S01"))
    assert found
    assert not [item for item in found if 2000 in item.categories]


def test_one_sites_film_hides_no_others(ask: Ask, fogworks: str, megakino: str):
    found = read_feed(ask(f"t=movie&q=Fogworks%20The%20Long%20Fog%202016&{CATEGORIES}"))
    assert {item.guid.split(":")[0] for item in found} == {"aniworld", "megakino"}
    assert len(titles(found)) == 3


def test_a_film_of_another_year_is_no_answer(ask: Ask, fogworks: str, megakino: str):
    Title.objects.filter(slug=megakino).update(year=1999)
    for year, sites in (("2016", {"aniworld"}), ("1998", {"aniworld", "megakino"})):
        found = read_feed(ask(f"t=movie&q=Fogworks%20The%20Long%20Fog&year={year}&{CATEGORIES}"))
        assert {item.guid.split(":")[0] for item in found} == sites


@pytest.mark.parametrize("imdb", ["tt0123456", "0123456"])
def test_radarrs_first_tier_is_answered_from_what_was_learnt(ask: Ask, megakino: str, imdb: str):
    assert read_feed(ask(f"t=movie&imdbid={imdb}&{CATEGORIES}")) == []
    Title.objects.filter(slug=megakino).update(imdb_id="tt0123456", year=2016)
    (item,) = read_feed(ask(f"t=movie&tmdbid=603&imdbid={imdb}&{CATEGORIES}"))
    assert item.title == "Fogworks.The.Long.Fog.2016.German.1080p.WEB.H264-MEGAKINO"
    assert item.one("imdb") == "0123456"


def test_a_film_may_be_called_by_a_number(ask: Ask):
    site = SiteFactory(site_id="megakino", default_languages=[GERMAN_DUB])
    make_show("1917", site="megakino", slug="9-1917", episodes=0)
    AvailabilityRecordFactory(site=site, slug="9-1917", film=True)
    for asked in (
        "t=movie&q=1917&imdbid=8579674",
        "t=movie&q=1917&year=2019",
        "t=movie&q=1917%202019",
    ):
        (item,) = read_feed(ask(f"{asked}&{CATEGORIES}"))
        assert item.title.startswith("1917.")


@pytest.mark.parametrize("more", ["season=1", "season=1&ep=1", "ep=1"])
def test_episodes_are_never_among_films(ask: Ask, fogworks: str, more: str):
    assert read_feed(ask(f"t=movie&q=Fogworks&{more}&{CATEGORIES}")) == []
    assert read_feed(ask(f"t=movie&q=Fogworks&{CATEGORIES}")) == []


def test_sonarr_never_meets_a_film(ask: Ask, megakino: str):
    assert read_feed(ask("t=tvsearch&q=Fogworks%20The%20Long%20Fog&cat=5030,5040")) == []
