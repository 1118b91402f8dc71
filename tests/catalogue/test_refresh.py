"""Renewing the title index over HTTP, and what survives when it goes wrong."""

from datetime import timedelta

import pytest
from django.utils import timezone

from catalogue import refresh
from catalogue.errors import LayoutChanged, RateLimited, SiteError, SiteUnavailable, UnknownSite
from catalogue.models import Site, Title, TitleMapping
from catalogue.sites.base import IndexEntry
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import SiteFactory, TitleFactory, TitleMappingFactory

INDEX = "/animes-alphabet"


def page(*names: str) -> bytes:
    links = "".join(
        f'<li><a href="/anime/stream/{name.casefold().replace(" ", "-")}">{name}</a></li>'
        for name in names
    )
    return f'<html><div id="seriesContainer">{links}</div></html>'.encode()


def titles() -> list[str]:
    return sorted(Title.objects.values_list("slug", flat=True))


def test_every_title_gets_all_its_names(faulty: FaultySite):
    done = refresh.refresh_index("demo")
    assert (done.titles, done.kept) == (11, "")
    assert done.names == TitleMapping.objects.count() == 32
    bunny = TitleMapping.objects.filter(slug="big-buck-bunny")
    assert 'Das "große" Kaninchen' in bunny.values_list("name", flat=True)
    site = Site.objects.get()
    assert (site.index_size, site.index_generation, site.index_warning) == (11, 1, "")


def test_a_second_refresh_changes_what_differs_and_keeps_what_was_learnt(faulty: FaultySite):
    faulty.fail(INDEX, 200, page("One", "Two", "Three"))
    refresh.refresh_index("demo")
    Title.objects.filter(slug="two").update(year=1999, seasons=[1, 2], imdb_id="tt0000002")
    ids = dict(Title.objects.values_list("slug", "pk"))
    later = page("Two", "Three", "Four").replace(b">Two<", b">Two, renamed<")
    faulty.fail(INDEX, 200, later)
    done = refresh.refresh_index("demo")
    assert (done.titles, done.names) == (3, 3)
    assert titles() == ["four", "three", "two"]
    two = Title.objects.get(slug="two")
    assert (two.pk, two.name) == (ids["two"], "Two, renamed")
    assert (two.year, two.seasons, two.imdb_id) == (1999, [1, 2], "tt0000002")
    assert set(TitleMapping.objects.values_list("title_key", "slug")) == {
        ("tworenamed", "two"),
        ("three", "three"),
        ("four", "four"),
    }
    site = Site.objects.get()
    assert site.index_generation == 2
    assert set(Title.objects.values_list("seen_at", flat=True)) == {site.index_refreshed_at}
    stamps = TitleMapping.objects.values_list("last_refreshed_at", flat=True)
    assert set(stamps) == {site.index_refreshed_at}


def test_an_unchanged_index_rewrites_no_row(faulty: FaultySite, django_assert_max_num_queries):
    refresh.refresh_index("demo")
    with django_assert_max_num_queries(12):
        refresh.refresh_index("demo")


def test_a_refresh_touches_no_other_site(faulty: FaultySite):
    other = SiteFactory(site_id="aniworld")
    TitleFactory(site=other, slug="sintel")
    TitleMappingFactory(site=other, slug="sintel", title_key="sintel")
    refresh.refresh_index("demo")
    assert other.titles.get().slug == other.mappings.get().slug == "sintel"


def test_an_index_that_shrank_too_much_is_refused_until_it_is_forced(faulty: FaultySite):
    refresh.refresh_index("demo")
    faulty.fail(INDEX, 200, page("One"))
    done = refresh.refresh_index("demo")
    assert "kept the old one" in done.kept
    site = Site.objects.get()
    assert (site.titles.count(), site.index_generation) == (11, 1)
    assert "--force" in site.index_warning
    assert not site.index_is_due  # not once a minute
    assert refresh.refresh_index("demo", force=True).titles == 1
    site.refresh_from_db()
    assert (titles(), site.index_size, site.index_warning) == (["one"], 1, "")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"", SiteUnavailable),
        (200, page("One", "Two")[:-20], SiteUnavailable),
        (200, b"<html><body>parked</body></html>", LayoutChanged),
        (404, b"<html></html>", LayoutChanged),
        (429, b"", RateLimited),
    ],
)
def test_a_broken_index_leaves_the_old_one_and_a_note(faulty: FaultySite, status, body, error):
    refresh.refresh_index("demo")
    before = Site.objects.get()
    faulty.fail(INDEX, status, body)
    with pytest.raises(error):
        refresh.refresh_index("demo")
    site = Site.objects.get()
    assert site.titles.count() == 11
    assert (site.index_generation, site.index_refreshed_at) == (1, before.index_refreshed_at)
    assert site.failures == 1
    assert site.last_error


def test_an_index_beyond_reason_is_refused(faulty: FaultySite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refresh, "MAX_TITLES", 5)
    with pytest.raises(SiteError, match="more than 5 titles"):
        refresh.refresh_index("demo")
    assert titles() == []


def test_what_an_adapter_gives_twice_or_wrong_is_put_right(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    entries = [
        IndexEntry("one", "One", ("Uno", "ONE!")),
        IndexEntry("one", "Eins"),
        IndexEntry("../admin", "Bad Slug"),
        IndexEntry("empty", "\x00 "),
        IndexEntry("long", "L" * 999, tuple(f"Name {n}" for n in range(999))),
    ]
    monkeypatch.setattr(
        "catalogue.sites.demo.DemoSite.parse_index", lambda self, chunks: iter(entries)
    )
    assert refresh.refresh_index("demo").titles == 2
    assert titles() == ["long", "one"]
    assert set(TitleMapping.objects.filter(slug="one").values_list("name", flat=True)) == {
        "One", "Uno", "Eins",
    }  # fmt: skip
    assert Title.objects.get(slug="long").name == "L" * 300
    assert TitleMapping.objects.filter(slug="long").count() == 1 + refresh.MAX_NAMES


def test_an_index_that_was_read_earlier_does_not_replace_a_newer_one(
    faulty: FaultySite, monkeypatch: pytest.MonkeyPatch
):
    refresh.refresh_index("demo")
    before = Site.objects.get()
    monkeypatch.setattr(refresh.timezone, "now", lambda: before.index_refreshed_at - timedelta(1))
    faulty.fail(INDEX, 200, page(*"ABCDEFGHIJK"))
    done = refresh.refresh_index("demo")
    assert "newer" in done.kept
    assert "sintel" in titles()
    assert Site.objects.get().index_generation == before.index_generation


def test_a_success_steps_down_the_ladder(faulty: FaultySite):
    Site.objects.update(failures=2, back_off_until=timezone.now() + timedelta(hours=1))
    refresh.refresh_index("demo")
    site = Site.objects.get()
    assert (site.failures, site.back_off_until) == (1, None)


def test_an_unknown_site_has_no_index(db):
    with pytest.raises(UnknownSite):
        refresh.refresh_index("nowhere")


def test_an_unchanged_index_is_not_read_again_where_the_site_says_so(demo_site: Site):
    refresh.refresh_index("demo")
    before = Site.objects.get()
    assert before.index_validators["etag"]
    again = refresh.refresh_index("demo")
    after = Site.objects.get()
    assert "has not changed" in again.kept
    assert (again.titles, again.names) == (11, 32)
    assert after.index_generation == before.index_generation
    assert after.index_refreshed_at > before.index_refreshed_at, "it counts as read"


def test_force_reads_an_unchanged_index_all_the_same(demo_site: Site):
    refresh.refresh_index("demo")
    assert refresh.refresh_index("demo", force=True).kept == ""
    assert Site.objects.get().index_generation == 2


def test_validators_of_another_address_are_not_sent(demo_site: Site, demo_url: str):
    refresh.refresh_index("demo")
    validators = Site.objects.get().index_validators
    Site.objects.update(index_validators={**validators, "url": "https://elsewhere.test/index"})
    assert refresh.refresh_index("demo").kept == ""


def test_a_changed_index_is_read_although_validators_are_known(faulty: FaultySite):
    faulty.fail(
        INDEX, 200, page("One", "Two"), ETag='"1"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT"
    )
    refresh.refresh_index("demo")
    assert Site.objects.get().index_validators["last_modified"].startswith("Mon")
    faulty.fail(INDEX, 200, page("One", "Three"))
    assert refresh.refresh_index("demo").kept == ""
    assert titles() == ["one", "three"]
    assert Site.objects.get().index_validators == {}, "the new page gave none"


def test_a_not_modified_that_nobody_asked_for_is_no_answer(faulty: FaultySite):
    faulty.fail(INDEX, 304)
    with pytest.raises(SiteUnavailable):
        refresh.refresh_index("demo")
    assert Site.objects.get().index_refreshed_at is None
