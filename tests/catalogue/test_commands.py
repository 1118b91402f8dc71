"""`manage.py refresh_index` and `manage.py search`."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from catalogue.models import Site
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import SiteFactory, TitleMappingFactory
from tests.catalogue.skyhook import SkyHook


def run(*args: str, **options: object) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def test_refreshing_prints_what_came_of_it(faulty: FaultySite):
    assert json.loads(run("refresh_index", "--json")) == [
        {"site": "demo", "outcome": "refreshed", "titles": 11, "names": 32, "detail": ""}
    ]
    assert "refreshed" in run("refresh_index", "demo", "demo")
    assert faulty.asked() == ["/animes-alphabet"] * 2


def test_an_index_that_was_kept_is_said_to_be_and_can_be_forced(faulty: FaultySite):
    run("refresh_index")
    faulty.fail("/animes-alphabet", 200, b'<html><a href="/anime/stream/one">One</a></html>')
    assert json.loads(run("refresh_index", "--json"))[0]["outcome"] == "kept"
    assert json.loads(run("refresh_index", "--force", "--json"))[0]["titles"] == 1


def test_one_failing_site_fails_the_command_after_the_others(faulty: FaultySite):
    SiteFactory(site_id="aniworld", search_priority=1)
    out = io.StringIO()
    with pytest.raises(CommandError, match="not every index"):
        call_command("refresh_index", "--json", stdout=out)
    rows = {row["site"]: row["outcome"] for row in json.loads(out.getvalue())}
    assert rows == {"aniworld": "failed", "demo": "refreshed"}


@pytest.mark.parametrize("args", [("refresh_index", "nowhere"), ("refresh_index",)])
def test_nothing_to_refresh_is_an_error(db, args):
    with pytest.raises(CommandError):
        run(*args)


def test_a_search_prints_releases(faulty: FaultySite):
    run("refresh_index")
    rows = json.loads(run("search", "Sintel S01E01", "--json"))
    assert {row["site"] for row in rows} == {"demo"}
    german = next(row for row in rows if row["language"] == "German Dub")
    assert german["release"] == "Sintel.S01E01.German.1080p.WEB.H264-DEMO"
    assert german["infohash"] in german["magnet"]
    table = run("search", "Sintel", "--season", "1", "--site", "demo")
    assert "Sintel.S01E01.German" in table


def test_a_search_for_a_film_prints_its_releases(faulty: FaultySite):
    run("refresh_index")
    table = run("search", "Sintel 2010", "--film")
    assert "Sintel.2010.German" in table
    assert "S00E01" not in table


def test_a_season_of_which_nothing_is_missing_is_printed_as_a_pack(
    faulty: FaultySite, skyhook: SkyHook
):
    run("refresh_index")
    skyhook.add(3, "Caminandes", *[(1, number, None, "") for number in (1, 2, 3)])
    rows = json.loads(run("search", "Caminandes S01", "--json"))
    assert [(row["episode"], row["episodes"]) for row in rows].count((None, 3)) == 2
    assert "Caminandes.S01.German" in run("search", "Caminandes S01")


def test_a_search_tells_which_site_is_in_trouble(db):
    down = SiteFactory(site_id="aniworld")
    TitleMappingFactory(site=down, name="Sintel")
    errors = io.StringIO()
    call_command("search", "Sintel S01", stdout=io.StringIO(), stderr=errors)
    assert "aniworld: " in errors.getvalue()
    assert Site.objects.get().failures == 1


def test_an_episode_needs_its_season(db):
    with pytest.raises(CommandError):
        run("search", "Sintel", "--episode", "1")


def test_a_search_explains_itself(faulty: FaultySite):
    run("refresh_index")
    told = json.loads(run("search", "Sintel S01E01", "--json", "--explain"))
    (site,) = told["explained"]["sites"]
    assert (site["site"], site["probed"]) == ("demo", len(told["results"]))
    assert site["titles"][0]["exact"]
    assert told["results"][0]["matched"] == site["titles"][0]
    table = run("search", "Sintel S01E01", "--explain")
    assert "answered in" in table
    assert "demo: " in table
    assert "3 from the cache" in table


def test_a_search_without_an_answer_explains_that_too(faulty: FaultySite):
    run("refresh_index")
    told = json.loads(run("search", "Sintel 7", "--json", "--explain"))
    assert told["results"] == []
    assert told["explained"]["sites"][0]["titles"][0]["reason"] == "numbers differ"


def test_a_search_by_id_says_which_show_it_took(faulty: FaultySite, skyhook: SkyHook):
    run("refresh_index")
    skyhook.add(4711, "Sintel", year=2010)
    table = run("search", "--tvdb", "4711", "--season", "1", "--explain")
    assert "Sintel.S01E01.German" in table
    assert "«Sintel» (2010), TVDB 4711" in table


def test_a_search_needs_something_to_go_by(db):
    with pytest.raises(CommandError, match="name a title"):
        run("search")
