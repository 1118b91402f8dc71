"""Whole conversations, request by request as the clients hold them."""

import pytest

from tests.torznab.checker import document, read_feed
from tests.torznab.conftest import Ask, make_show

SONARR_RSS = "t=tvsearch&cat=5030,5040&extended=1"
SONARR_ANIME = "cat=5070&extended=1"
PAGE = "offset=0&limit=100"
RADARR_CATEGORIES = "2000,2010,2020,2030,2040,2045,2050,2060"


def sonarr_reads_caps(ask: Ask) -> dict[str, set[str]]:
    """The modes that are on, with their parameters; blanks count as part of a name."""
    root = document(ask("t=caps"))
    assert root.tag == "caps"
    limits = root.find("limits")
    assert (int(limits.attrib["default"]), int(limits.attrib["max"])) == (100, 100)
    return {
        mode.tag: set(mode.attrib["supportedParams"].split(","))
        for mode in root.find("searching")
        if mode.attrib["available"] == "yes"
    }


def test_sonarr_accepts_an_empty_installation(ask: Ask):
    modes = sonarr_reads_caps(ask)
    (item,) = read_feed(ask(f"{SONARR_RSS}&{PAGE}"))
    assert "q" in modes["search"]
    assert {"q", "season", "ep", "tvdbid", "imdbid", "tmdbid"} == modes["tv-search"]
    assert item.parsed == ("AniBridge Connectivity Test", 1, 1)
    assert item.categories & {5030, 5040}


def test_sonarr_accepts_an_empty_installation_with_anime_categories_alone(ask: Ask):
    (item,) = read_feed(ask(f"t=search&{SONARR_ANIME}&{PAGE}"))
    assert item.categories == {5070}


def test_radarr_accepts_an_empty_installation(ask: Ask):
    modes = sonarr_reads_caps(ask)
    declared = {int(c.attrib["id"]) for c in document(ask("t=caps")).iter("category")}
    (item,) = read_feed(ask(f"t=movie&cat={RADARR_CATEGORIES}&extended=1&{PAGE}"))
    assert "q" in modes["movie-search"]
    assert 2000 in declared
    assert item.title == "AniBridge.Connectivity.Test.2024.German.1080p.WEB.H264-ANIBRIDGE"
    assert item.categories <= {2000, 2030, 2040, 2045}


def test_radarr_accepts_an_installation_that_has_only_episodes(ask: Ask):
    make_show("Sintel", episodes=2)
    (item,) = read_feed(ask(f"t=movie&cat={RADARR_CATEGORIES}&extended=1&{PAGE}"))
    assert "Connectivity" in item.title


def test_prowlarr_accepts_an_empty_installation_and_maps_every_category(ask: Ask):
    root = document(ask("t=caps"))
    declared = {int(e.attrib["id"]) for tag in ("category", "subcat") for e in root.iter(tag)}
    assert all(e.attrib["name"] for tag in ("category", "subcat") for e in root.iter(tag))
    (item,) = read_feed(ask("t=search&extended=1"))
    assert item.categories <= declared


def test_caps_name_the_categories_that_releases_have(ask: Ask):
    tree = {
        int(parent.attrib["id"]): {int(child.attrib["id"]) for child in parent}
        for parent in document(ask("t=caps")).find("categories")
    }
    assert tree == {2000: {2030, 2040, 2045}, 5000: {5030, 5040, 5045, 5070}}


def test_sonarr_follows_the_feed_and_sees_the_new_episode_first(ask: Ask):
    make_show("Sintel", episodes=3)
    before = read_feed(ask(f"{SONARR_RSS}&{PAGE}"))
    assert read_feed(ask(f"{SONARR_RSS}&{PAGE}")) == before
    make_show("Elephants Dream")
    after = read_feed(ask(f"{SONARR_RSS}&{PAGE}"))
    assert after[2:] == before
    assert {item.parsed for item in after[:2]} == {("Elephants Dream", 1, 1)}


def test_sonarr_finds_an_episode_under_the_title_that_it_asked_for(ask: Ask):
    make_show("Für Dich, für Mich!", episodes=5)
    found = read_feed(
        ask(f"t=tvsearch&q=Fur%20Dich%20fur%20Mich&season=1&ep=5&cat=5030,5040&extended=1&{PAGE}")
    )
    assert {item.parsed for item in found} == {("Fur Dich fur Mich", 1, 5)}
    by_title = {item.one("language"): item for item in found}
    assert by_title.keys() == {"German", "Japanese"}
    assert ".German.1080p." in by_title["German"].title
    assert "subs" not in by_title["German"].attributes
    assert ".Japanese.GerSubbed.1080p." in by_title["Japanese"].title
    assert by_title["Japanese"].one("subs") == "German"
    assert by_title["German"].one("season") == "1"
    assert by_title["German"].one("episode") == "5"
    assert by_title["German"].categories == {5070, 5040}


@pytest.mark.usefixtures("no_season_pages")
def test_sonarr_finds_a_season(ask: Ask):
    make_show("Sintel", season=2, episodes=3)
    make_show("Sintel Returns")
    found = read_feed(ask(f"t=tvsearch&q=Sintel&season=2&cat=5030,5040&extended=1&{PAGE}"))
    assert {item.parsed for item in found} == {("Sintel", 2, n) for n in (1, 2, 3)}
    assert len(found) == 6


@pytest.mark.usefixtures("no_season_pages")
def test_sonarr_finds_specials_in_season_zero(ask: Ask):
    make_show("Sintel", season=0, episodes=2)
    found = read_feed(ask(f"t=tvsearch&q=Sintel&season=00&cat=5030,5040&{PAGE}"))
    assert {item.parsed for item in found} == {("Sintel", 0, 1), ("Sintel", 0, 2)}


def test_what_is_asked_by_id_alone_is_not_answered_with_the_newest_releases(ask: Ask):
    make_show("Sintel")
    for ids in ("tvdbid=81189", "rid=5&tvmazeid=6", "imdbid=tt0903747", "tmdbid=7&imdbid=0133093"):
        assert read_feed(ask(f"t=tvsearch&{ids}&season=1&ep=1&cat=5030,5040")) == []
        assert read_feed(ask(f"t=movie&{ids}&cat={RADARR_CATEGORIES}")) == []
    assert read_feed(ask("t=tvsearch&tvdbid=81189&q=05&cat=5070")) == []
    assert read_feed(ask("t=tvsearch&season=1&ep=1")) == []
    assert read_feed(ask("t=search&q=%00")) == []
    for function in ("movie", "search"):
        assert read_feed(ask(f"t={function}&year=2010")) == []
    assert len(read_feed(ask("t=search&year=0"))) == 2


def test_ids_beside_a_title_change_nothing(ask: Ask):
    make_show("Sintel")
    assert len(read_feed(ask("t=tvsearch&tvdbid=81189&q=Sintel&season=1&ep=1"))) == 2


@pytest.mark.parametrize(
    "daily",
    ["season=2024&ep=03/15", "season=2024&ep=03%2F15", "season=2024"],
)
def test_daily_episodes_are_an_empty_answer(ask: Ask, daily: str):
    make_show("Sintel")
    assert read_feed(ask(f"t=tvsearch&q=Sintel&{daily}&cat=5030,5040&{PAGE}")) == []


def test_an_absolute_number_is_an_episode_of_the_only_season(ask: Ask):
    make_show("Mob Psycho 100", episodes=6, seasons=[0, 1])
    found = read_feed(ask(f"t=search&{SONARR_ANIME}&q=Mob+Psycho+100+05&{PAGE}"))
    assert {item.parsed for item in found} == {("Mob Psycho 100", 1, 5)}


@pytest.mark.parametrize("seasons", [None, [], [1, 2], [0], [2]])
def test_an_absolute_number_is_not_guessed(ask: Ask, seasons: list[int] | None):
    make_show("Sintel", episodes=6, seasons=seasons)
    assert read_feed(ask(f"t=search&{SONARR_ANIME}&q=Sintel+05&{PAGE}")) == []


def test_of_two_sites_the_one_that_is_sure_answers_an_absolute_number(ask: Ask):
    make_show("Sintel", episodes=6, seasons=[1])
    make_show("Sintel", site="demo", episodes=6, seasons=[1, 2])
    found = read_feed(ask(f"t=search&{SONARR_ANIME}&q=Sintel+05&{PAGE}"))
    assert {item.guid.split(":")[0] for item in found} == {"aniworld"}


@pytest.mark.usefixtures("no_season_pages")
def test_a_number_that_belongs_to_the_title_is_no_episode(ask: Ask):
    make_show("Mob Psycho 100", episodes=2, seasons=[1])
    found = read_feed(ask(f"t=search&{SONARR_ANIME}&q=Mob+Psycho+100&{PAGE}"))
    assert {item.parsed for item in found} == {("Mob Psycho 100", 1, 1), ("Mob Psycho 100", 1, 2)}


@pytest.mark.usefixtures("no_season_pages")
def test_a_year_behind_the_title_is_no_episode(ask: Ask):
    make_show("Sintel", episodes=2, seasons=[1])
    found = read_feed(ask(f"t=search&{SONARR_ANIME}&q=Sintel+2010&{PAGE}"))
    assert {item.parsed[1:] for item in found} == {(1, 1), (1, 2)}


def test_numbers_in_a_free_query_are_understood(ask: Ask):
    make_show("Sintel", season=2, episodes=7)
    for free in ("Sintel%20S02E07", "Sintel+S02E07", "Sintel.s2e7", "sintel+2x07"):
        assert {item.parsed[1:] for item in read_feed(ask(f"t=search&q={free}"))} == {(2, 7)}


def test_season_and_episode_of_their_own_win_against_the_query(ask: Ask):
    make_show("Sintel", season=2, episodes=7)
    found = read_feed(ask("t=tvsearch&q=Sintel+S01E01&season=2&ep=3"))
    assert {item.parsed for item in found} == {("Sintel", 2, 3)}


def test_a_search_for_specials_by_their_title_is_answered(ask: Ask):
    make_show("Sintel")
    assert read_feed(ask("t=search&cat=5030,5040,5070&q=Sintel+The+Making+Of+Everything")) == []


def test_radarr_gets_valid_empty_answers_to_its_searches(ask: Ask):
    make_show("Sintel")
    assert read_feed(ask(f"t=search&cat={RADARR_CATEGORIES}&q=Sintel%202010&{PAGE}")) == []
    assert read_feed(ask(f"t=movie&cat={RADARR_CATEGORIES}&q=Sintel&{PAGE}")) == []


def test_no_match_is_an_empty_answer(ask: Ask):
    make_show("Sintel")
    assert read_feed(ask(f"t=tvsearch&q=Entirely%20Different&season=1&ep=1&{PAGE}")) == []


def test_two_sites_answer_together_and_each_alone(ask: Ask):
    make_show("Sintel")
    make_show("Sintel", site="demo")
    query = "t=tvsearch&q=Sintel&season=1&ep=1"
    both = read_feed(ask(query))
    assert [item.guid.split(":")[0] for item in both] == ["aniworld"] * 2 + ["demo"] * 2
    one = read_feed(ask(query, path="/torznab/demo/api"))
    assert {item.guid.split(":")[0] for item in one} == {"demo"}
    assert all(item.title.endswith("-DEMO") for item in one)


def test_a_site_that_cannot_be_reached_leaves_what_is_remembered(ask: Ask):
    make_show("Sintel", episodes=2)
    assert len(read_feed(ask("t=tvsearch&q=Sintel&season=1"))) == 4


def test_a_site_whose_adapter_is_gone_disturbs_nobody(ask: Ask):
    make_show("Sintel")
    make_show("Sintel", site="once_a_plugin")
    assert len(read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1"))) == 2
    assert len(read_feed(ask("t=search"))) == 2


def test_unknown_parameters_are_ignored(ask: Ask):
    make_show("Sintel")
    found = read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1&extended=1&o=json&attrs=poster&x"))
    assert len(found) == 2


def test_a_form_is_answered_like_a_query(client, settings):
    make_show("Sintel")
    form = {"t": "search", "q": "Sintel S01E01", "apikey": settings.API_KEY}
    assert len(read_feed(client.post("/torznab/api", form))) == 2


def test_head_is_answered(client, settings):
    response = client.head(f"/torznab/api?t=caps&apikey={settings.API_KEY}")
    assert response.status_code == 200
