"""Requests by id, by absolute number and for specials, as Sonarr holds them when ids are declared."""

import pytest

from catalogue.fetching import SiteClient
from catalogue.sites.base import EpisodeFacts
from tests.catalogue.factories import AvailabilityRecordFactory, SiteFactory
from tests.catalogue.skyhook import SkyHook
from tests.torznab.checker import read_feed
from tests.torznab.conftest import Ask, make_show

EPISODE = "season=1&ep=2&cat=5030,5040&extended=1&offset=0&limit=100"


@pytest.fixture
def fogworks(skyhook: SkyHook) -> SkyHook:
    skyhook.add(
        77,
        "Fogworks",
        (1, 1, 1, "One"),
        (1, 2, 2, "Two"),
        (2, 1, 3, "Three"),
        imdbId="tt7654321",
        tmdbId=55,
    )
    return skyhook


@pytest.mark.parametrize(
    "ids",
    [
        "tvdbid=77",
        "tvdbid=77&imdbid=tt7654321&rid=5&tvmazeid=6&tmdbid=55",
        "imdbid=tt7654321",
        "imdbid=7654321",
        "tmdbid=55",
        "tvdbid=0&imdbid=&tmdbid=55",
    ],
)
def test_sonarrs_first_tier_is_answered_by_any_id(ask: Ask, fogworks: SkyHook, ids: str):
    make_show("Fogworks", episodes=3)
    found = read_feed(ask(f"t=tvsearch&{ids}&{EPISODE}"))
    assert {item.parsed for item in found} == {("Fogworks", 1, 2)}


def test_when_the_service_is_away_the_second_tier_follows(ask: Ask):
    make_show("Fogworks", episodes=3)
    assert read_feed(ask(f"t=tvsearch&tvdbid=77&{EPISODE}")) == []
    found = read_feed(ask(f"t=tvsearch&q=Fogworks&{EPISODE}"))
    assert {item.parsed for item in found} == {("Fogworks", 1, 2)}


@pytest.mark.parametrize("ids", ["rid=5", "tvmazeid=6", "tvdbid=abc", "tvdbid=-1", "imdbid=nm5"])
def test_an_id_that_cannot_be_looked_up_is_no_error_and_no_feed(ask: Ask, ids: str):
    make_show("Fogworks", episodes=3)
    assert read_feed(ask(f"t=tvsearch&{ids}&{EPISODE}")) == []
    assert len(read_feed(ask(f"t=tvsearch&q=Fogworks&{ids}&{EPISODE}"))) == 2


def test_sonarr_asks_by_id_with_an_absolute_number(ask: Ask, fogworks: SkyHook):
    make_show("Fogworks", season=2, episodes=2)
    found = read_feed(ask("t=tvsearch&tvdbid=77&q=03&cat=5070&extended=1"))
    assert {item.parsed for item in found} == {("Fogworks", 2, 1)}
    assert read_feed(ask("t=tvsearch&tvdbid=77&q=99&cat=5070")) == []
    assert read_feed(ask("t=tvsearch&tvdbid=77&q=999999999&cat=5070")) == []


def test_a_number_as_title_beside_an_id_and_a_season_is_the_title(ask: Ask):
    make_show("911", episodes=2)
    found = read_feed(ask(f"t=tvsearch&tvdbid=77&q=911&{EPISODE}"))
    assert {item.parsed for item in found} == {("911", 1, 2)}


def test_sonarr_asks_by_title_with_an_absolute_number(ask: Ask, fogworks: SkyHook):
    make_show("Fogworks", season=2, episodes=2)
    found = read_feed(ask("t=search&q=Fogworks+03&cat=5070&extended=1"))
    assert {item.parsed for item in found} == {("Fogworks", 2, 1)}


def test_a_special_has_the_clients_number_and_the_sites_identity(
    ask: Ask, skyhook: SkyHook, monkeypatch
):
    films = (EpisodeFacts(0, 1, "", "The Long Fog [Movie]"), EpisodeFacts(0, 2, "", "Teapot"))
    monkeypatch.setattr(SiteClient, "season", lambda self, slug, season: films)
    skyhook.add(77, "Fogworks", (0, 5, None, "The Long Fog"))
    make_show("Fogworks", season=0, episodes=2)
    found = read_feed(ask("t=tvsearch&tvdbid=77&season=00&ep=5&cat=5030,5040"))
    assert {item.parsed for item in found} == {("Fogworks", 0, 5)}
    assert {item.guid for item in found} == {
        f"aniworld:fogworks:0:1:{language}:alias-s0e5" for language in ("German Dub", "German Sub")
    }
    assert {(item.one("season"), item.one("episode")) for item in found} == {("0", "5")}
    by_words = read_feed(ask("t=search&q=Fogworks+The+Long+Fog&cat=5030,5040,5070"))
    assert {item.guid for item in by_words} == {item.guid for item in found}


def test_a_film_is_searched_on_sites_that_have_films_and_never_by_a_number_of_series(
    ask: Ask, skyhook: SkyHook
):
    site = SiteFactory(site_id="megakino", default_languages=["German Dub"])
    make_show("Fogworks", site="megakino", slug="12-fogworks", episodes=0)
    AvailabilityRecordFactory(site=site, slug="12-fogworks", film=True)
    (item,) = read_feed(ask("t=search&cat=2000,2040&q=Fogworks%202020"))
    assert item.title == "Fogworks.2020.German.1080p.WEB.H264-MEGAKINO"
    assert item.categories == {2000, 2040}
    assert read_feed(ask("t=movie&tmdbid=603")) == []
    assert skyhook.asked == []
