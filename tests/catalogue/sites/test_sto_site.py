"""s.to's adapter over HTTP: the demo in either layout, and which spelling of a path is asked first."""

from pathlib import Path

import pytest

from anibridge.demo.model import Fault
from anibridge.demo.server import build_app, in_thread
from anibridge.demo.titles import catalogue
from anibridge.demo.v2 import EDITION, play_token
from catalogue.errors import (
    NotFound,
    SiteError,
    SiteUnavailable,
)
from catalogue.fetching import SiteClient
from catalogue.sites.base import (
    ENGLISH_DUB,
    GERMAN_DUB,
    HostLink,
    IndexEntry,
)
from catalogue.sites.sto import Sto
from tests.anibridge.lib.servers import Server, running

PAGES = Path(__file__).parent / "pages" / "sto"
HOME = b"<html><body><p>Willkommen</p></body></html>"
site = Sto()


@pytest.fixture(params=["sto", "sto-classic"])
def client(request, library, settings) -> SiteClient:
    with in_thread(build_app(library, site=request.param, rate=0, extra_titles=50)) as url:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [url.removeprefix("http://")]
        yield SiteClient("sto", site, (url,), 5.0, site.languages)


def test_the_client_reads_either_layout_over_http(client):
    world = catalogue().speaking(site.languages)
    entries = client.index(lambda chunks: list(site.parse_index(chunks)))
    assert len(entries) == len(world.titles) + 50
    title = world.titles["caminandes"]
    assert (client.title(title.slug).name, client.title(title.slug).year) == ("Caminandes", 2013)
    rows = client.season(title.slug, 1)
    assert [row.languages for row in rows] == [{GERMAN_DUB, ENGLISH_DUB}] * 3
    links = client.episode("sintel", 0, 1).links
    assert {link.language for link in links} == set(site.languages)
    expected = list(
        world.links_of(world.titles["sintel"], 0, world.titles["sintel"].season(0).episode(1))
    )
    assert [client.host_url(link) for link in links] == [
        client.base_urls[0] + link.host_path for link in expected
    ]  # fmt: skip
    recent = client.page(site.recent_path(), site.parse_recent)
    assert recent[0].slug in world.titles
    for missing in (
        lambda: client.title("no-such-title"),
        lambda: client.season("sintel", 7),
        lambda: client.episode("sintel", 1, 7),
        lambda: client.season("caminandes", 0),
    ):
        with pytest.raises(NotFound):
            missing()


def test_suggestions_come_in_either_layout(client):
    found = client.page(site.suggest_paths("grünspan &")[0], site.parse_suggest)
    assert found == (IndexEntry("kaeptn-gruenspan-die-moewen", "Käpt'n Grünspan & die Möwen"),)


def test_the_demos_old_tokens_have_run_out(library, settings):
    link = next(one for one in catalogue().links.values() if one.host.fault is not Fault.SILENT)
    with in_thread(build_app(library, site="sto", rate=0)) as url:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [url.removeprefix("http://")]
        client = SiteClient("sto", site, (url,), 5.0, site.languages)
        for token in (play_token(link.id, EDITION - 1), "unheard-of"):
            with pytest.raises(SiteError, match="read the episode's page anew"):
                client.host_url(HostLink(link.language, "VOE", f"/r?t={token}"))


@pytest.fixture
def server(settings) -> Server:
    with running() as found:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [found.place]
        yield found


def test_the_spelling_that_worked_is_tried_first_from_then_on(server):
    client = SiteClient("sto", site, (server.url(""),), 5.0, site.languages)
    # A site may answer a path that it does not know with a page of its own, and no 404.
    server.serve("/serie/x", HOME)
    server.serve("/serie/stream/x", (PAGES / "classic-series.html").read_bytes())
    server.serve("/serie/stream/x/staffel-1", (PAGES / "classic-series.html").read_bytes())
    client.title("x")
    client.season("x", 1)
    assert server.paths == ["/serie/x", "/serie/stream/x", "/serie/stream/x/staffel-1"]


def test_where_no_spelling_helps_the_first_answer_stands(server):
    client = SiteClient("sto", site, (server.url(""),), 5.0, site.languages)
    server.serve("/serie/stream/x", HOME)
    with pytest.raises(NotFound):
        client.title("x")


def test_trouble_with_the_second_spelling_is_not_taken_for_a_missing_page(server):
    client = SiteClient("sto", site, (server.url(""),), 5.0, site.languages)
    server.routes["/serie/stream/x"] = (503, {}, b"<h1>Wartungsarbeiten</h1>")
    with pytest.raises(SiteUnavailable):
        client.title("x")
