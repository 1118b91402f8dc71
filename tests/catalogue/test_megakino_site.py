"""Megakino from its map of maps to a release, over HTTP; and indexes that come in several pages, well or not."""

from collections.abc import Iterator

import pytest

from anibridge.demo import megakino as demo
from anibridge.demo.server import build_app, in_thread
from anibridge.demo.titles import catalogue
from catalogue import refresh
from catalogue.errors import LayoutChanged, SiteError, SiteUnavailable
from catalogue.models import Site
from catalogue.search import search
from catalogue.sites.base import GERMAN_DUB
from tests.anibridge.lib.servers import Server


@pytest.fixture(params=["megakino", "megakino-b"])
def megakino(request, library, db, settings) -> Iterator[Site]:
    with in_thread(build_app(library, site=request.param, rate=0)) as url:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [url.removeprefix("http://")]
        yield Site.objects.create(
            site_id="megakino", display_name="Megakino", base_url=url, enabled=True
        )


@pytest.fixture
def mapped(other_server: Server, db) -> tuple[Site, Server]:
    """A site of which each test writes the maps."""
    site = Site.objects.create(
        site_id="megakino", display_name="Megakino", base_url=other_server.url(""), enabled=True
    )
    return site, other_server


def map_of(*paths: str, kind: str = "sitemap") -> bytes:
    rows = "".join(f"<{kind}><loc>https://elsewhere.example{path}</loc></{kind}>" for path in paths)
    outer = {"sitemap": "sitemapindex", "url": "urlset"}[kind]
    return f"<{outer}>{rows}</{outer}>".encode()


def names(site: Site) -> set[str]:
    return set(site.titles.values_list("slug", flat=True))


def test_the_index_holds_the_titles_of_every_map(megakino):
    done = refresh.refresh_index("megakino")
    posts = {post.slug for post in demo.posts(catalogue())}
    assert (done.titles, done.kept) == (len(posts), "")
    assert names(megakino) == posts


def test_a_film_is_found_and_fetched_as_a_film(megakino):
    refresh.refresh_index("megakino")
    (entry,) = search("Tears of Steel", budget=60).entries
    assert (entry.slug, entry.season, entry.episode) == ("123-tears-of-steel", 0, 0)
    assert (entry.language, entry.host) == (GERMAN_DUB, "Filemoon")
    assert entry.release.identity.infohash == "e7b8bcd5b4826300cc4ccd086d8e2f284b39d2b5"
    assert entry.release.name.endswith("-MEGAKINO")


def test_a_season_is_found_on_its_own_page(megakino):
    refresh.refresh_index("megakino")
    found = search("Käpt'n Grünspan & die Möwen", season=1, budget=60)
    assert found.troubles == {}
    assert {entry.slug for entry in found.entries} == {"129-kaeptn-gruenspan-die-moewen-1-staffel"}
    assert sorted(entry.episode for entry in found.entries) == [1, 2, 3]


def test_maps_that_name_each_other_are_read_once(mapped):
    site, server = mapped
    server.serve("/sitemap.xml", map_of("/a.xml", "/b.xml", "/a.xml"))
    server.serve("/a.xml", map_of("/sitemap.xml", "/b.xml"))
    server.serve("/b.xml", map_of("/films/1-x.html", "/2-y.html", kind="url"))
    assert refresh.refresh_index("megakino").titles == 2
    assert server.paths == ["/sitemap.xml", "/a.xml", "/b.xml"]
    assert names(site) == {"1-x", "2-y"}


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 404, LayoutChanged),
        (b"", 500, SiteUnavailable),
        (b"<urlset><url>", 200, SiteUnavailable),
        (b"<html></html>", 200, LayoutChanged),
    ],
)
def test_a_map_that_cannot_be_read_spoils_the_whole_index(mapped, body, status, error):
    site, server = mapped
    server.serve("/sitemap.xml", map_of("/films/1-x.html", "/films/2-y.html", kind="url"))
    refresh.refresh_index("megakino")
    server.serve("/sitemap.xml", map_of("/good.xml", "/bad.xml"))
    server.serve("/good.xml", map_of("/films/3-z.html", kind="url"))
    server.routes["/bad.xml"] = (status, {}, body)
    with pytest.raises(error):
        refresh.refresh_index("megakino", force=True)
    assert names(site) == {"1-x", "2-y"}


def test_maps_without_a_single_title_are_no_index(mapped):
    _, server = mapped
    server.serve("/sitemap.xml", map_of("/a.xml"))
    server.serve("/a.xml", map_of("/kontakt.html", kind="url"))
    with pytest.raises(LayoutChanged, match="2 pages"):
        refresh.refresh_index("megakino")


@pytest.mark.parametrize("wide", [True, False])
def test_maps_without_end_are_given_up(mapped, monkeypatch, wide):
    _, server = mapped
    monkeypatch.setattr(refresh, "MAX_PAGES", 5)
    server.serve("/sitemap.xml", map_of(*(f"/{n}.xml" for n in range(9 if wide else 1))))
    for number in range(9):
        server.serve(f"/{number}.xml", map_of(f"/{number + 1}.xml"))
    with pytest.raises(SiteError, match="more than 5 pages"):
        refresh.refresh_index("megakino")
    assert len(server.paths) <= 5
