"""What a client follows to grab a release: one more look, then on to the magnet, or 404 for the next release."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from catalogue import grabs
from catalogue.models import AvailabilityRecord, Site
from catalogue.releases import Identity, Release, parse_magnet
from tests.catalogue.factories import AvailabilityRecordFactory
from tests.torznab.checker import ReadItem, magnet_hash, read_feed
from tests.torznab.conftest import Ask, make_show

# How Sonarr, Radarr and Prowlarr ask for a torrent.
ARR = {"HTTP_ACCEPT": "application/x-bittorrent", "HTTP_USER_AGENT": "Sonarr/4.0.19"}

Grab = Callable[[ReadItem], HttpResponse]


@pytest.fixture
def grab(client: Client) -> Grab:
    """Follow an item's link as the *arrs do, which take a redirect to a magnet and follow none themselves."""

    def follow(item: ReadItem) -> HttpResponse:
        return client.get(urlsplit(item.url).path, **ARR)

    return follow


def one(ask: Ask) -> ReadItem:
    return read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1&cat=5040"))[0]


def test_a_grab_leads_to_the_magnet_of_the_release(ask: Ask, grab: Grab):
    make_show("Sintel")
    item = one(ask)
    answer = grab(item)
    assert answer.status_code == 302
    assert magnet_hash(answer.headers["Location"]) == item.one("infohash")
    assert parse_magnet(answer.headers["Location"]).name == item.title
    assert answer.content == b""
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_grab_needs_no_key_and_sets_no_cookie(ask: Ask, grab: Grab):
    make_show("Sintel")
    item = one(ask)
    assert "apikey" not in item.url
    assert not grab(item).cookies


def test_head_is_answered_as_get_is(ask: Ask, client: Client):
    make_show("Sintel")
    path = urlsplit(one(ask).url).path
    assert client.head(path).headers["Location"] == client.get(path).headers["Location"]
    AvailabilityRecord.objects.update(is_available=False)
    gone = client.head(path)
    assert (gone.status_code, gone.content) == (404, b"")


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_link_can_only_be_read(ask: Ask, method: str):
    make_show("Sintel")
    # As over the network, where nobody switches the check for forged forms off.
    strict = Client(enforce_csrf_checks=True)
    assert getattr(strict, method)(urlsplit(one(ask).url).path).status_code == 405


def test_a_link_is_answered_without_a_page(ask: Ask, grab: Grab, client: Client):
    make_show("Sintel")
    item = one(ask)
    assert "html" not in grab(item).headers["Content-Type"]
    beside = client.get(urlsplit(item.url).path + "/x", **ARR)
    assert (beside.status_code, beside.headers["Content-Type"].split(";")[0]) == (
        404,
        "application/xml",
    )


def test_what_is_gone_is_404_in_words(ask: Ask, grab: Grab):
    make_show("Sintel")
    item = one(ask)
    AvailabilityRecord.objects.update(is_available=False, reason="not offered in German Dub")
    answer = grab(item)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "not offered in German Dub" in answer.content.decode()
    assert item.title in answer.content.decode()


def test_the_next_release_of_the_same_search_can_be_had(ask: Ask, grab: Grab):
    make_show("Sintel")
    make_show("Sintel", site="demo")
    items = read_feed(ask("t=tvsearch&q=Sintel&season=1&ep=1&cat=5040"))
    AvailabilityRecord.objects.filter(site="aniworld").update(is_available=False)
    assert [grab(item).status_code for item in items] == [404, 404, 302, 302]


def test_a_site_that_was_switched_off_has_nothing_to_grab(ask: Ask, grab: Grab):
    make_show("Sintel")
    item = one(ask)
    Site.objects.update(enabled=False)
    assert grab(item).status_code == 404


@pytest.mark.parametrize(
    "token", ["x", "eJwrSy0~abc", "-" * 300, "%00", "%ED%A0%80", "a%2Fb", "..%2f..%2fadmin"]
)
def test_a_forged_link_is_404_in_words(client: Client, db: None, token: str):
    answer = client.get(f"/torznab/grab/{token}", **ARR)
    assert answer.status_code == 404


def test_a_link_of_long_ago_asks_for_a_new_search(
    ask: Ask, grab: Grab, monkeypatch: pytest.MonkeyPatch
):
    make_show("Sintel")
    item = one(ask)
    monkeypatch.setattr("catalogue.grabs.time.time", lambda: 4e9)
    answer = grab(item)
    assert answer.status_code == 404
    assert b"search again" in answer.content


def test_the_connectivity_item_says_what_it_is(ask: Ask, grab: Grab):
    (item,) = read_feed(ask("t=search"))
    answer = grab(item)
    assert answer.status_code == 404
    assert b"nothing to fetch" in answer.content


def test_links_are_below_the_public_address(ask: Ask, settings):
    settings.PUBLIC_URL = "https://bridge.example.org/anibridge/"
    make_show("Sintel")
    assert one(ask).url.startswith("https://bridge.example.org/anibridge/torznab/grab/")


def test_links_lead_where_the_client_came_from(ask: Ask):
    make_show("Sintel")
    (item, *_) = read_feed(ask("t=search", HTTP_HOST="anibridge:8000"))
    assert item.url.startswith("http://anibridge:8000/torznab/grab/")


def test_magnets_can_be_offered_instead(ask: Ask, settings):
    settings.TORZNAB_LINK_MODE = "magnet"
    make_show("Sintel")
    item = one(ask)
    assert magnet_hash(item.url) == item.one("infohash")
    assert item.one("magneturl") == item.url


def test_a_link_without_a_release_of_ours_is_a_torrent_like_any_other(client: Client, db: None):
    magnet = f"magnet:?xt=urn:btih:{'c' * 40}&dn=Somebody+Else"
    answer = client.get(f"/torznab/grab/{grabs.token(magnet, 'c' * 40)}", **ARR)
    assert (answer.status_code, answer.headers["Location"]) == (302, magnet)


def test_the_longest_release_still_has_a_link(client: Client, db: None):
    AvailabilityRecordFactory(slug="s" * 200, episode=1)
    release = Release(Identity("aniworld", "s" * 200, 1, 1, "German Dub"), "Ä " * 150, "ANIWORLD")
    answer = client.get(f"/torznab/grab/{grabs.token(release.magnet, release.infohash)}", **ARR)
    assert answer.headers["Location"] == release.magnet
