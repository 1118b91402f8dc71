"""The index in memory: built when it is first needed, renewed beside the searches."""

import threading

import pytest

from catalogue import index
from catalogue.index import Current
from catalogue.models import Site
from tests.catalogue.factories import SiteFactory, TitleMappingFactory


@pytest.fixture
def here() -> Current:
    return Current()


def add(site: Site, name: str) -> None:
    TitleMappingFactory(site=site, name=name)
    Site.objects.filter(pk=site.pk).update(index_generation=site.index_generation + 1)
    site.refresh_from_db()


def wait_for_the_new_one(here: Current) -> None:
    for thread in threading.enumerate():
        if thread.name == "title-index":
            thread.join(10)


@pytest.mark.django_db
def test_the_first_call_builds_and_the_next_ones_ask_nothing(
    here: Current, django_assert_num_queries
):
    add(SiteFactory(), "Sintel")
    first = here.get()
    with django_assert_num_queries(0):
        assert here.get() is first
    assert [hit.slug for hit in first.search("sintel")] == ["sintel"]


@pytest.mark.django_db
def test_an_empty_index_is_built_once(here: Current):
    assert len(here.get()) == 0
    assert here.get() is here.get()


@pytest.mark.django_db
def test_a_switched_off_site_is_not_in_it(here: Current):
    add(SiteFactory(enabled=False), "Sintel")
    assert len(here.get()) == 0


@pytest.mark.django_db(transaction=True)
def test_a_moved_marker_renews_it_beside_the_searches(
    here: Current, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(index, "LOOK_EVERY_SECONDS", 0.0)
    site = SiteFactory()
    add(site, "Sintel")
    old = here.get()
    add(site, "Caminandes")
    assert here.get() is old  # nobody waits
    wait_for_the_new_one(here)
    assert here.get().search("Caminandes")


@pytest.mark.django_db(transaction=True)
def test_switching_a_site_off_renews_it(here: Current, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index, "LOOK_EVERY_SECONDS", 0.0)
    add(SiteFactory(), "Sintel")
    assert len(here.get()) == 1
    Site.objects.update(enabled=False)
    here.get()
    wait_for_the_new_one(here)
    assert len(here.get()) == 0


@pytest.mark.django_db(transaction=True)
def test_a_renewal_that_fails_leaves_the_old_one_and_may_be_tried_again(
    here: Current, monkeypatch: pytest.MonkeyPatch, caplog
):
    monkeypatch.setattr(index, "LOOK_EVERY_SECONDS", 0.0)
    site = SiteFactory()
    add(site, "Sintel")
    old = here.get()
    add(site, "Caminandes")

    def broken() -> None:
        raise OSError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(index, "_names", broken)
        here.get()
        wait_for_the_new_one(here)
        assert here.get() is old
        wait_for_the_new_one(here)
    assert "the old one stays" in caplog.text
    here.get()
    wait_for_the_new_one(here)
    assert here.get().search("Caminandes")


@pytest.mark.django_db
def test_without_a_thread_to_spare_the_old_one_stays(
    here: Current, monkeypatch: pytest.MonkeyPatch, caplog
):
    site = SiteFactory()
    add(site, "Sintel")
    old = here.get()
    monkeypatch.setattr(index, "LOOK_EVERY_SECONDS", 0.0)
    add(site, "Caminandes")

    def exhausted(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", exhausted)
        assert here.get() is old
        assert here.get() is old
    assert "no thread" in caplog.text
    here.forget()
    assert here.get().search("Caminandes")


@pytest.mark.django_db
def test_of_equal_titles_the_preferred_sites_comes_first(here: Current):
    for priority, site_id in ((20, "aniworld"), (10, "demo")):
        TitleMappingFactory(
            site=SiteFactory(site_id=site_id, search_priority=priority), name="Twins"
        )
    assert [hit.site for hit in here.get().search("Twins")] == ["demo", "aniworld"]
