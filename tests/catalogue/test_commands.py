"""`manage.py refresh_index` and `manage.py search`."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from catalogue.models import Site
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import SiteFactory, TitleMappingFactory


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
