"""Megakino's map of maps: read as it arrives, and refused where it is something else."""

from collections.abc import Iterator

import pytest

from catalogue.errors import Blocked, LayoutChanged, SiteUnavailable
from catalogue.sites.base import IndexEntry, IndexPage
from tests.catalogue.sites.megakino import (
    PAGES,
    site,
)


def index(body: bytes, size: int = 4096) -> list[IndexEntry | IndexPage]:
    return list(site.parse_index(body[n : n + size] for n in range(0, len(body), size)))


def test_a_map_of_maps_gives_the_maps_without_their_hosts():
    assert index((PAGES / "sitemap-index.xml").read_bytes()) == [
        IndexPage("/uploads/news_pages.xml"),
        IndexPage("/uploads/news_pages2.xml?part=2&x=1"),
    ]


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_map_gives_each_title_once_under_a_name_made_of_its_slug(size):
    assert index((PAGES / "sitemap.xml").read_bytes(), size) == [
        IndexEntry("4711-404-der-film", "404 Der Film"),
        IndexEntry("88-die-bernsteinfuechsin-2-staffel", "Die Bernsteinfuechsin"),
        IndexEntry("12-straße", "Straße"),
        IndexEntry("77-ohne-ordner", "Ohne Ordner"),
    ]


def test_a_map_without_titles_is_one_of_other_pages():
    assert index(b"<urlset><url><loc>/films/</loc></url></urlset>") == []
    assert index(b"<sitemapindex/>") == []


def test_titles_are_given_while_the_map_is_still_arriving():
    def chunks() -> Iterator[bytes]:
        yield b"<urlset><url><loc>/films/1-x.html</loc></url>"
        raise AssertionError("read too far")

    assert next(site.parse_index(chunks())) == IndexEntry("1-x", "X")


@pytest.mark.parametrize("share", [0, 0.3, 0.95])
def test_a_truncated_map_may_be_tried_again(share):
    body = (PAGES / "sitemap.xml").read_bytes()
    with pytest.raises(SiteUnavailable, match="cut short") as caught:
        index(body[: int(len(body) * share)])
    assert caught.value.retryable


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = [
    f'<?xml version="1.0"?><!DOCTYPE urlset [<!ENTITY l0 "ha">{LAUGHS}]><urlset><url><loc>&l9;</loc></url></urlset>',
    '<!DOCTYPE urlset [<!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>/films/1-&x;.html</loc></url></urlset>',
    '<!DOCTYPE urlset SYSTEM "http://127.0.0.1:9/x.dtd"><urlset/>',
    f'<!DOCTYPE urlset [<!ENTITY x "{"a" * 50_000}">]><urlset><url><loc>{"&x;" * 5000}</loc></url></urlset>',
]


@pytest.mark.parametrize("text", BOMBS, ids=["laughs", "file", "dtd", "quadratic"])
@pytest.mark.parametrize("size", [5, 10**6])
def test_a_map_that_declares_entities_is_refused_before_they_count(text, size):
    with pytest.raises(LayoutChanged, match="document type"):
        index(text.encode(), size)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<rss><channel/></rss>", "begins with"),
        (b"not xml", "no sitemap"),
        (b"<urlset>&undefined;</urlset>", "no sitemap"),
        (b"<urlset>" + b"<a>" * 100, "nested too deep"),
        (b"<urlset><a b='" + b"x" * 2**21, "tag without end"),
        (b"<urlset><!--" + b"x" * 2**21, "tag without end"),
    ],
)
def test_what_is_no_map_is_a_changed_layout(body, words):
    with pytest.raises(LayoutChanged, match=words):
        index(body)


def test_a_map_is_utf_8_whatever_it_claims():
    body = (
        '<?xml version="1.0" encoding="klingon"?><urlset><url><loc>/1-ü.html</loc></url></urlset>'
    )
    for mark in ("", "\ufeff"):
        assert index((mark + body).encode()) == [IndexEntry("1-ü", "Ü")]


def test_an_endless_address_is_left_out():
    text = f"<urlset><url><loc>/films/1-{'x' * 10**6}.html</loc></url></urlset>"
    assert index(text.encode()) == []


@pytest.mark.parametrize("size", [3, 10**6])
@pytest.mark.parametrize(("name", "words"), [("challenge.html", "browser"), ("gate.html", "gate")])
def test_a_page_in_place_of_the_map_says_why(name, words, size):
    with pytest.raises(Blocked, match=words):
        index((PAGES / name).read_bytes(), size)
