"""A site that is asked over HTTP, well or not."""

import threading

import pytest

from catalogue import fetching
from catalogue.errors import (
    Blocked,
    LayoutChanged,
    NotFound,
    RateLimited,
    SiteUnavailable,
    UnknownSite,
    UnsafeSlug,
)
from catalogue.fetching import client_for
from catalogue.models import Site
from catalogue.sites.base import GERMAN_DUB, LANGUAGES
from tests.anibridge.lib.servers import Server, closed_port, stalling
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import SiteFactory

CHALLENGE = b"<html><title>Just a moment...</title></html>"
SERIES = "/anime/stream/sintel"
INDEX = "/animes-alphabet"


def read_all(chunks) -> int:
    return len(b"".join(chunks))


def slugs(faulty: FaultySite) -> set[str]:
    client = client_for(faulty.site)
    found = client.index(lambda chunks: list(client.adapter.parse_index(chunks)))
    return {entry.slug for entry in found}


def test_pages_become_facts(demo_site: Site):
    client = client_for(demo_site)
    assert client.title("sintel").year == 2010
    assert [row.episode for row in client.season("caminandes", 1)] == [1, 2, 3]
    assert client.season("404-maedchen-nicht-gefunden", 0)[0].season == 0
    page = client.episode("sintel", 1, 1)
    link = next(link for link in page.links if link.language == GERMAN_DUB)
    assert client.host_url(link).startswith(f"{demo_site.base_url}/host/")


@pytest.mark.parametrize("ask", ["title", "season", "episode"])
def test_what_the_site_does_not_have_is_not_found(demo_site: Site, ask: str):
    client = client_for(demo_site)
    with pytest.raises(NotFound):
        getattr(client, ask)(
            "no-such-title", *{"title": (), "season": (1,), "episode": (1, 1)}[ask]
        )


def test_a_slug_that_is_none_never_reaches_the_site(faulty: FaultySite):
    with pytest.raises(UnsafeSlug):
        client_for(faulty.site).season("../admin", 1)
    assert faulty.asked() == []


@pytest.mark.parametrize(
    ("status", "body", "headers", "error"),
    [
        (503, CHALLENGE, {}, Blocked),
        (403, b"<html>no</html>", {}, Blocked),
        (429, b"", {"Retry_After": "120"}, RateLimited),
        (500, b"<html>oops</html>", {}, SiteUnavailable),
        (503, b"<html>Wartungsarbeiten</html>", {}, SiteUnavailable),
        (200, b"", {}, SiteUnavailable),
        (200, b"<html><body>cut sho", {}, SiteUnavailable),
        (200, b"<html><body>buy this domain</body></html>", {}, LayoutChanged),
        (200, b"<html></html>", {"Content_Encoding": "br"}, SiteUnavailable),
        (404, b"<html>gone</html>", {}, NotFound),
    ],
)
def test_each_kind_of_trouble_has_its_name(faulty: FaultySite, status, body, headers, error):
    faulty.fail(SERIES, status, body, **headers)
    with pytest.raises(error) as raised:
        client_for(faulty.site).title("sintel")
    if error is RateLimited:
        assert raised.value.retry_after == 120


def test_a_page_without_end_is_cut_off(faulty: FaultySite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetching, "PAGE_BYTES", 1000)
    faulty.fail(SERIES, 200, b"<html>" + b"x" * 2000)
    with pytest.raises(SiteUnavailable, match="larger than 1000 bytes"):
        client_for(faulty.site).title("sintel")


def test_a_silent_site_is_given_up_after_its_timeout(faulty: FaultySite):
    faulty.site.search_timeout_seconds = 0.2
    faulty.server.routes[SERIES] = stalling(b"<html>", {}, threading.Event())
    with pytest.raises(SiteUnavailable):
        client_for(faulty.site).title("sintel")


def test_a_redirect_to_a_private_address_is_refused(faulty: FaultySite, other_server: Server):
    faulty.fail(SERIES, 302, Location=other_server.url("/secret"))
    with pytest.raises(SiteUnavailable, match="OUTBOUND_ALLOWED_PRIVATE_HOSTS"):
        client_for(faulty.site).title("sintel")
    assert other_server.paths == []


def test_a_mirror_is_asked_when_the_site_cannot_be_reached(faulty: FaultySite):
    faulty.site.mirrors = [faulty.site.base_url]
    with closed_port() as port:
        faulty.site.base_url = f"http://127.0.0.1:{port}"
        assert client_for(faulty.site).title("sintel").name == "Sintel"
        assert "sintel" in slugs(faulty)


def test_a_mirror_is_not_asked_what_the_site_has_answered(faulty: FaultySite, other_server: Server):
    faulty.site.mirrors = [other_server.url("")]
    faulty.fail(SERIES, 429)
    with pytest.raises(RateLimited):
        client_for(faulty.site).title("sintel")
    assert other_server.paths == []


def test_an_index_that_came_cut_short_is_read_anew_from_the_mirror(
    faulty: FaultySite, other_server: Server
):
    other_server.serve(INDEX, b'<html><a href="/anime/stream/half">Half</a>')
    faulty.site.mirrors = [faulty.site.base_url]
    faulty.site.base_url = other_server.url("")
    found = slugs(faulty)
    assert "sintel" in found
    assert "half" not in found


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b"<html>no</html>", LayoutChanged),
        (503, CHALLENGE, Blocked),
        (429, b"", RateLimited),
        (502, b"x" * 10**6, SiteUnavailable),
        (200, b"", SiteUnavailable),
        (200, b"<html><body>parked</body></html>", LayoutChanged),
        (200, CHALLENGE, Blocked),
        (204, b"", SiteUnavailable),
    ],
)
def test_an_index_that_is_none_says_why(faulty: FaultySite, status, body, error):
    faulty.fail(INDEX, status, body)
    with pytest.raises(error):
        slugs(faulty)


def test_an_index_without_end_is_cut_off(faulty: FaultySite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetching, "INDEX_BYTES", 1000)
    with pytest.raises(SiteUnavailable):
        client_for(faulty.site).index(read_all)


def test_a_site_without_an_adapter_has_no_client(db):
    with pytest.raises(UnknownSite):
        client_for(SiteFactory(site_id="stranger"))


def test_the_owners_languages_come_before_the_adapters(db):
    assert client_for(SiteFactory(default_languages=[GERMAN_DUB])).languages == (GERMAN_DUB,)
    every = client_for(SiteFactory(site_id="demo", default_languages=[])).languages
    assert set(every) == set(LANGUAGES)


BAKERY = "die-baeckerei-am-ende-der-strasse"


@pytest.mark.parametrize("kind", ["text/html; charset=iso-8859-1", "text/html", "text/plain"])
def test_pages_are_utf_8_whatever_their_header_says(faulty: FaultySite, kind: str):
    path = f"/anime/stream/{BAKERY}"
    _, _, body = faulty.server.routes.get(path)
    faulty.fail(path, 200, body, Content_Type=kind)
    assert client_for(faulty.site).title(BAKERY).name == "Die Bäckerei am Ende der Straße"


def test_bytes_that_are_no_utf_8_cost_their_letters_and_not_the_page(faulty: FaultySite):
    path = f"/anime/stream/{BAKERY}"
    _, _, body = faulty.server.routes.get(path)
    faulty.fail(path, 200, body.decode().encode("iso-8859-1", "replace"))
    assert (
        client_for(faulty.site).title(BAKERY).name
        == "Die B\N{REPLACEMENT CHARACTER}ckerei am Ende der Stra\N{REPLACEMENT CHARACTER}e"
    )
