"""The checker itself: what a client would drop does not get past it."""

import pytest
from django.http import HttpResponse

from tests.torznab.checker import Dropped, date, magnet_hash, read_feed
from tests.torznab.test_render import made, rendered

MAGNET = "magnet:?xt=urn:btih:" + "a" * 40


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Mon, 01 Mar 2026 23:59:59 GMT",
        "Sun, 01 Mar 2026 23:59:59 CET",
        "Sun, 1 Mar 2026 23:59:59 GMT",
        "2026-03-01",
    ],
)
def test_a_date_that_dotnet_refuses_is_dropped(text: str | None):
    with pytest.raises(Dropped):
        date(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/file.torrent",
        "magnet:?xt=urn%3Abtih%3A" + "a" * 40 + "&dn=Name",
        MAGNET,
        MAGNET + "&dn=Name&x=y",
        MAGNET + "&dn=Name&broken",
        MAGNET + "&dn=Two=signs",
        MAGNET + "&xt.1=urn:btih:" + "b" * 40 + "&dn=Name",
        MAGNET + "&dn=Two words",
        "magnet:?xt=urn:btih:" + "g" * 40 + "&dn=Name",
    ],
)
def test_a_magnet_that_clients_refuse_is_dropped(url: str):
    with pytest.raises(Dropped):
        magnet_hash(url)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"<title>Sintel", b"<title> </title><other>Sintel"),
        (b"x-scheme-handler/magnet", b"x-scheme-handler/other"),
        (b'name="seeders" value="100"', b'name="seeders" value="0"'),
        (b'name="peers" value="100"', b'name="peers" value="1"'),
        (b'name="language" value="German"', b'name="language" value="de"'),
        (b"2015/feed", b"2016/feed"),
        (b"Thu, 01 Jan", b"Fri, 01 Jan"),
        (b'length="1"', b'length="0"'),
        (b"<channel>", b'<channel><error code="1" description="x"/>'),
    ],
)
def test_a_feed_that_clients_refuse_is_dropped(good: bytes, bad: bytes):
    whole = rendered(made()).content
    assert good in whole
    spoilt = whole.replace(good, bad)
    if b"<other>" in bad:
        spoilt = spoilt.replace(b"H264-ANIWORLD</title>", b"H264-ANIWORLD</other>")
    with pytest.raises((Dropped, KeyError)):
        read_feed(HttpResponse(spoilt, content_type="application/rss+xml; charset=utf-8"))


def test_the_same_guid_twice_is_dropped():
    with pytest.raises(Dropped):
        read_feed(rendered(made(), made()))
