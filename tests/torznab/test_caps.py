"""What the indexer says it can do, read by the rules of the clients that keep it for a week."""

import pytest

from catalogue.sites import SITES
from tests.catalogue.factories import SiteFactory
from tests.torznab.checker import document
from tests.torznab.conftest import Ask


def modes(root) -> dict[str, set[str]]:
    """The modes that are on, and their parameters; blanks count as part of a name."""
    return {
        mode.tag: set(mode.attrib["supportedParams"].split(","))
        for mode in root.find("searching")
        if mode.attrib["available"] == "yes"
    }


def categories(root) -> set[int]:
    return {int(one.attrib["id"]) for tag in ("category", "subcat") for one in root.iter(tag)}


def test_all_sites_together_can_do_everything(ask: Ask):
    root = document(ask("t=caps"))
    assert modes(root).keys() == {"search", "tv-search", "movie-search"}
    assert "q" in modes(root)["search"]
    assert {"q", "season", "ep", "tvdbid", "imdbid", "tmdbid"} == modes(root)["tv-search"]
    assert {"q", "imdbid"} <= modes(root)["movie-search"]
    assert categories(root) == {2000, 2030, 2040, 2045, 5000, 5030, 5040, 5045, 5070}


def test_every_attribute_that_a_client_demands_is_there(ask: Ask):
    root = document(ask("t=caps"))
    limits = root.find("limits")
    assert {limits.attrib["default"], limits.attrib["max"]} == {"100"}
    for mode in root.find("searching"):
        assert mode.attrib["available"] in ("yes", "no")
        assert " " not in mode.attrib["supportedParams"]
    for tag in ("category", "subcat"):
        assert all(one.attrib["name"] for one in root.iter(tag))
    server = root.find("server")
    assert server.attrib["title"]
    assert server.attrib["version"]


@pytest.mark.parametrize("site_id", sorted(SITES))
def test_one_site_says_what_it_has_itself(ask: Ask, site_id: str):
    SiteFactory(site_id=site_id, display_name="My <Site> & Co")
    root = document(ask("t=caps", path=f"/torznab/{site_id}/api"))
    assert root.find("server").attrib["title"] == "AniBridge: My <Site> & Co"
    films = "movie-search" in modes(root)
    assert films is SITES[site_id].has_films
    assert ({2000, 2030, 2040, 2045} <= categories(root)) is films
    assert {5000, 5030, 5040, 5045, 5070} <= categories(root)


def test_a_site_that_is_off_has_no_caps(ask: Ask):
    SiteFactory(site_id="sto", enabled=False)
    root = document(ask("t=caps", path="/torznab/sto/api"))
    assert (root.tag, root.attrib["code"]) == ("error", "201")


def test_caps_ask_no_site_and_few_questions(ask: Ask, django_assert_max_num_queries):
    for site_id in SITES:
        SiteFactory(site_id=site_id)
    with django_assert_max_num_queries(1):
        assert ask("t=caps").status_code == 200
