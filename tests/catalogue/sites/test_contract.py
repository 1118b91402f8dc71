"""The same questions to every registered site, answered by the demo's rendering of its layout."""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest

from anibridge.demo.layouts import LAYOUTS
from anibridge.demo.model import DemoCatalogue
from anibridge.demo.pages import ORIGIN, Layout
from anibridge.demo.titles import catalogue
from anibridge.lib.errors import AniBridgeError
from catalogue.errors import NotFound, UnknownSite, UnsafeSlug
from catalogue.sites import SITES, get_adapter
from catalogue.sites.base import LANGUAGES, Answer, SiteAdapter

EXTRA = 300
Fetch = Callable[[str], Answer]


# Where each season is a title of its own, the site's own tests ask what is asked of series here.
SERIES_SITES = [key for key in sorted(SITES) if not SITES[key].links_are_direct]
MET_IN = [*((key, key) for key in SERIES_SITES), ("sto", "sto-classic")]


@pytest.fixture(params=sorted(SITES))
def any_site(request: pytest.FixtureRequest) -> SiteAdapter:
    return get_adapter(request.param)


@pytest.fixture(params=MET_IN, ids=lambda met: met[1])
def met(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A site, and a layout that it may be met in."""
    return request.param


@pytest.fixture
def site(met: tuple[str, str]) -> SiteAdapter:
    return get_adapter(met[0])


@pytest.fixture
def world(site: SiteAdapter) -> DemoCatalogue:
    """The demo's titles as this site can offer them."""
    return catalogue().speaking(site.languages)


@pytest.fixture
def fetch(site: SiteAdapter, met: tuple[str, str]) -> Fetch:
    layout: Layout = LAYOUTS[met[1]](catalogue(), EXTRA)
    base = site.base_urls[0]

    def ask(path: str) -> Answer:
        assert path.startswith("/")
        place, _, query = path.partition("?")
        reply = layout.respond("GET", place, dict(parse_qsl(query)))
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(base + path, reply.status, headers, reply.body.replace(ORIGIN, base))

    def answer(path: str) -> Answer:
        found = [ask(one) for one in (path, *site.alternatives(path))]
        return next((one for one in found if one.status != 404), found[0])

    return answer


def test_a_site_introduces_itself(any_site):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", any_site.key)
    assert SITES[any_site.key] is type(any_site)
    assert get_adapter(any_site.key) is any_site
    assert re.fullmatch(r"[A-Z0-9]+", any_site.release_group)
    assert any_site.display_name
    assert any_site.original_language.isalpha()
    assert all(re.fullmatch(r"https?://[^/]+", url) for url in any_site.base_urls)
    assert any_site.languages
    assert set(any_site.languages) <= set(LANGUAGES)


def test_keys_and_release_groups_are_not_shared():
    assert len({cls.release_group for cls in SITES.values()}) == len(SITES)


def test_an_unregistered_site_is_unknown():
    with pytest.raises(UnknownSite, match="nowhere"):
        get_adapter("nowhere")


@pytest.mark.parametrize("slug", ["", "..", "a/../b", "a%2fb", "a?b", "a#b", "a b", "a\nb"])
def test_no_site_takes_an_unsafe_slug(any_site, slug):
    with pytest.raises(UnsafeSlug):
        any_site.check_slug(slug)
    with pytest.raises(UnsafeSlug):
        any_site.episode_path(slug, 1, 1)


def test_the_index_lists_every_title_once_under_a_usable_slug(site, fetch):
    body = fetch(site.index_path()).text.encode()
    entries = list(site.parse_index(body[n : n + 4096] for n in range(0, len(body), 4096)))
    slugs = [entry.slug for entry in entries]
    assert len(slugs) == len(set(slugs)) == len(catalogue().titles) + EXTRA
    assert all(
        site.check_slug(slug) and entry.name for slug, entry in zip(slugs, entries, strict=True)
    )
    named = {entry.name for entry in entries}
    assert {title.name for title in catalogue().titles.values()} <= named


def test_titles_seasons_and_episodes_say_what_the_catalogue_holds(site, met, world, fetch):
    for title in world.titles.values():
        page = fetch(site.title_path(title.slug))
        site.check(page)
        facts = site.parse_title(page)
        assert (facts.name, facts.year) == (title.name, title.year)
        # The newer layout of series pages names no alternatives; its index does.
        assert set(facts.alternatives) == (set() if met[1] == "sto" else set(title.alternatives))
        assert (facts.end_year, facts.imdb_id) == (title.end_year, title.imdb)
        assert (facts.description, facts.genres) == (title.description, title.genres)
        assert facts.seasons == tuple(sorted(season.number for season in title.seasons))
        for season in title.seasons:
            page = fetch(site.season_path(title.slug, season.number))
            site.check(page)
            rows = site.parse_season(page, season.number)
            assert [row.episode for row in rows] == [e.number for e in season.episodes]
            for row, episode in zip(rows, season.episodes, strict=True):
                assert (row.german_title, row.english_title) == (episode.german, episode.english)
                assert row.languages == frozenset(episode.languages if episode.hosts else ())


def test_every_link_leads_to_its_hosts_page(site, world, fetch):
    for slug, season, number in (("sintel", 1, 1), ("404-maedchen-nicht-gefunden", 0, 2)):
        title = world.titles[slug]
        episode = title.season(season).episode(number)
        page = fetch(site.episode_path(slug, season, number))
        site.check(page)
        facts = site.parse_episode(page)
        expected = list(world.links_of(title, season, episode))
        assert [(link.language, link.host) for link in facts.links] == [
            (link.language, link.host.name) for link in expected
        ]
        assert facts.published_at == episode.published
        assert facts.published_at.utcoffset().total_seconds() == 0
        base = site.base_urls[0]
        assert [site.read_play_link(fetch(link.path), base) for link in facts.links] == [
            base + link.host_path for link in expected
        ]


def test_an_episode_without_uploads_has_no_links(site, fetch):
    page = fetch(site.episode_path("kaeptn-gruenspan-die-moewen", 2, 2))
    site.check(page)
    assert site.parse_episode(page).links == ()


@pytest.mark.parametrize(
    "path",
    [
        lambda site: site.title_path("no-such-title"),
        lambda site: site.season_path("sintel", 7),
        lambda site: site.season_path("caminandes", 0),
        lambda site: site.episode_path("sintel", 1, 7),
        lambda site: site.episode_path("sintel", 0, 7),
    ],
    ids=["title", "season", "films", "episode", "film"],
)
def test_what_the_site_lacks_is_not_found(site, fetch, path):
    with pytest.raises(NotFound):
        site.check(fetch(path(site)))


def test_a_dead_play_link_is_an_expected_error(site, fetch):
    with pytest.raises(AniBridgeError):
        site.read_play_link(fetch("/redirect/1"), site.base_urls[0])


def test_recent_episodes_exist(site, world, fetch):
    if site.recent_path() is None:
        pytest.skip("the site has no such list")
    page = fetch(site.recent_path())
    site.check(page)
    recent = site.parse_recent(page)
    assert len(recent) == len(set(recent)) > 10
    for entry in recent:
        episode = world.titles[entry.slug].season(entry.season).episode(entry.episode)
        assert entry.languages == frozenset(episode.languages)


def test_an_empty_or_foreign_page_is_an_expected_error(any_site):
    for text in ("", "<html></html>", "<html><body><p>hello</p></body></html>"):
        page = Answer(any_site.base_urls[0] + "/1-x.html", 200, {}, text)
        for read in (
            any_site.check,
            any_site.parse_title,
            lambda p: any_site.parse_season(p, 1),
            any_site.parse_episode,
        ):
            with pytest.raises(AniBridgeError):
                read(page)
        with pytest.raises(AniBridgeError):
            list(any_site.parse_index([text.encode()]))
