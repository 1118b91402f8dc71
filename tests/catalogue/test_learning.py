"""What is learnt of a title from its own page, and that it stays."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from catalogue import learning, refresh, search, tasks
from catalogue.errors import LayoutChanged, SiteUnavailable, UnknownSite
from catalogue.index import current
from catalogue.models import Film, Site, Title, TitleMapping
from catalogue.sites.base import EpisodeFacts, TitleFacts
from tests.catalogue.conftest import FaultySite
from tests.catalogue.factories import TitleFactory, TitleMappingFactory

SINTEL = "/anime/stream/sintel"
GIRL = "404-maedchen-nicht-gefunden"
FILMS = f"/anime/stream/{GIRL}/filme"
PATIENT = 30.0


def say(monkeypatch: pytest.MonkeyPatch, facts: TitleFacts) -> None:
    """Every title's page says this."""
    monkeypatch.setattr("catalogue.sites.demo.DemoSite.parse_title", lambda self, answer: facts)


def names(slug: str = "sintel") -> set[str]:
    return set(TitleMapping.objects.filter(slug=slug).values_list("name", flat=True))


def test_a_titles_page_tells_what_the_index_does_not(indexed: FaultySite):
    assert learning.learn("demo", "sintel")
    title = Title.objects.get(slug="sintel")
    assert (title.year, title.end_year, title.imdb_id) == (2010, 2010, "tt1727587")
    assert title.seasons == [0, 1]
    assert "Fantasy" in title.genres
    assert title.description.startswith("Eine junge Frau")
    assert title.cover
    assert title.learned_at is not None


def test_a_refresh_keeps_what_was_learnt(indexed: FaultySite, monkeypatch):
    say(monkeypatch, TitleFacts("Sintel", ("Durian", "The Dragon Girl"), year=2010))
    learning.learn("demo", "sintel")
    assert "The Dragon Girl" in names()
    refresh.refresh_index("demo")
    assert "The Dragon Girl" in names()
    assert Title.objects.get(slug="sintel").year == 2010


def test_a_refresh_drops_learnt_names_with_their_title(indexed: FaultySite, monkeypatch):
    say(monkeypatch, TitleFacts("Sintel", ("The Dragon Girl",)))
    learning.learn("demo", "sintel")
    only = (
        b'<html><a data-alternative-title="" href="/anime/stream/caminandes">Caminandes</a></html>'
    )
    indexed.fail("/animes-alphabet", 200, only)
    refresh.refresh_index("demo", force=True)
    assert names() == set()


def test_a_name_that_the_page_no_longer_has_goes_and_those_of_the_index_stay(
    indexed: FaultySite, monkeypatch
):
    before = names()
    say(monkeypatch, TitleFacts("Sintel", ("The Dragon Girl",)))
    learning.learn("demo", "sintel")
    say(monkeypatch, TitleFacts("Sintel", ("The Dragon's Girl Again",)))
    learning.learn("demo", "sintel")
    assert names() == before | {"The Dragon's Girl Again"}


def test_learning_twice_changes_nothing(indexed: FaultySite):
    learning.learn("demo", "sintel")
    facts = Title.objects.filter(slug="sintel").values().get()
    learning.learn("demo", "sintel")
    again = Title.objects.filter(slug="sintel").values().get()
    assert facts.pop("learned_at") < again.pop("learned_at")
    assert facts == again


def test_what_a_page_does_not_say_stays(indexed: FaultySite, monkeypatch):
    learning.learn("demo", "sintel")
    say(monkeypatch, TitleFacts("Sintel"))
    learning.learn("demo", "sintel")
    assert Title.objects.get(slug="sintel").imdb_id == "tt1727587"


def test_facts_that_no_column_holds_are_not_said(indexed: FaultySite, monkeypatch):
    wild = TitleFacts(
        "x" * 1000, ("\x00", "y" * 500), year=99999, end_year=-1, imdb_id="tt1' or 1",
        description="d\x00" * 9000, cover="c" * 4000, genres=("g" * 200,) * 99,
        seasons=tuple(range(-5, 5000)),
    )  # fmt: skip
    say(monkeypatch, wild)
    learning.learn("demo", "sintel")
    title = Title.objects.get(slug="sintel")
    assert (title.year, title.end_year, title.imdb_id, title.cover) == (None, None, "", "")
    assert len(title.description) <= 5000
    assert len(title.seasons) == learning.MAX_SEASONS
    assert min(title.seasons) == 0


def test_a_learnt_name_is_found_once_it_is_published(indexed: FaultySite, monkeypatch):
    say(monkeypatch, TitleFacts("Sintel", ("The Dragon Girl",)))
    learning.learn("demo", "sintel")
    learning.learn("demo", "caminandes")
    generation = Site.objects.get().index_generation
    assert learning.publish() == 1
    assert learning.publish() == 0
    assert Site.objects.get().index_generation == generation + 1
    current.forget()
    assert {hit.slug for hit in current.get().search("The Dragon Girl")} == {"sintel", "caminandes"}


def test_nothing_new_is_no_reason_to_renew_an_index(indexed: FaultySite):
    learning.learn("demo", "sintel")
    assert learning.publish() == 1, "the name of its film"
    learning.learn("demo", "sintel")
    learning.learn("demo", "caminandes")
    assert learning.publish() == 0


def films(slug: str) -> set[tuple[int, str, str]]:
    rows = Film.objects.filter(title__slug=slug)
    return set(rows.values_list("number", "german_title", "english_title"))


def test_a_series_films_are_learnt_with_it(indexed: FaultySite):
    learning.learn("demo", GIRL)
    assert films(GIRL) == {(1, "", "Gateway Timeout [Movie]"), (2, "", "Teapot [OVA]")}
    assert str(Film.objects.get(number=2)) == "Teapot [OVA]"
    assert [hit.slug for hit in current.films().search("Gateway Timeout")] == [GIRL]
    assert current.get().search("Gateway Timeout") == []
    learning.learn("demo", "caminandes")
    assert films("caminandes") == set()
    assert "/anime/stream/caminandes/filme" not in indexed.asked()


def test_the_list_of_films_is_kept_as_it_is_now(indexed: FaultySite):
    learning.learn("demo", GIRL)
    learning.publish()
    kept = Film.objects.get(number=2)
    page = indexed.server.routes.layout.respond("GET", FILMS, {}).body
    indexed.fail(FILMS, 200, page.replace("Gateway Timeout", "Long Wait").encode())
    learning.learn("demo", GIRL)
    assert films(GIRL) == {(1, "", "Long Wait [Movie]"), (2, "", "Teapot [OVA]")}
    assert Film.objects.get(number=2) == kept
    assert learning.publish() == 1


def test_a_list_that_cannot_be_read_is_read_another_time(indexed: FaultySite):
    indexed.fail(FILMS, 503)
    with pytest.raises(SiteUnavailable):
        learning.learn("demo", GIRL)
    title = Title.objects.get(slug=GIRL)
    assert (title.year, title.seasons, title.learned_at) == (2023, [0, 1, 2], None)
    del indexed.server.routes[FILMS]
    learning.learn("demo", GIRL)
    assert len(films(GIRL)) == 2
    assert not learning.is_due(Title.objects.get(slug=GIRL).learned_at)


def test_films_go_with_their_title_and_stay_through_a_refresh(indexed: FaultySite):
    learning.learn("demo", GIRL)
    refresh.refresh_index("demo", force=True)
    assert len(films(GIRL)) == 2
    Site.objects.update(enabled=False)
    current.forget()
    assert len(current.films()) == 0
    Title.objects.all().delete()
    assert Film.objects.count() == 0


def test_films_that_no_column_holds_are_cut_or_left_out(indexed: FaultySite, monkeypatch):
    wild = (
        EpisodeFacts(0, 10**12, "x", "y"),
        EpisodeFacts(0, -1, "x", "y"),
        EpisodeFacts(0, 3, "g\x00" * 400, ""),
        EpisodeFacts(0, 4, "", ""),
    )
    monkeypatch.setattr("catalogue.sites.demo.DemoSite.parse_season", lambda *args: wild)
    learning.learn("demo", GIRL)
    assert films(GIRL) == {(3, "g" * 300, ""), (4, "", "")}
    assert str(Film.objects.get(number=4)) == "film 4"


def test_a_title_that_the_index_does_not_have_is_not_learnt(indexed: FaultySite):
    assert not learning.learn("demo", "stranger")
    assert indexed.asked() == []


def test_a_page_that_is_gone_is_not_asked_for_again(indexed: FaultySite):
    TitleFactory(site=indexed.site, slug="gone", name="Gone")
    assert learning.learn("demo", "gone")
    assert not learning.is_due(Title.objects.get(slug="gone").learned_at)


def test_a_site_that_fails_is_told_and_leaves_the_facts(indexed: FaultySite):
    learning.learn("demo", "sintel")
    indexed.fail(SINTEL, 503)
    with pytest.raises(SiteUnavailable):
        learning.learn("demo", "sintel")
    indexed.site.refresh_from_db()
    assert indexed.site.failures == 1
    assert Title.objects.get(slug="sintel").year == 2010


def test_a_page_that_cannot_be_read_is_no_outage(indexed: FaultySite):
    indexed.fail(SINTEL, 200, b"<html><body>nothing that is known</body></html>")
    with pytest.raises(LayoutChanged):
        learning.learn("demo", "sintel")
    indexed.site.refresh_from_db()
    assert (indexed.site.failures, indexed.site.last_error != "") == (0, True)


def test_a_site_that_was_switched_off_is_not_learnt_from(indexed: FaultySite):
    Site.objects.update(enabled=False)
    with pytest.raises(UnknownSite):
        learning.learn("demo", "sintel")


def test_a_search_never_reads_a_titles_page_but_leaves_a_note(indexed: FaultySite, sent):
    search.search("Sintel", season=1, episode=1, budget=PATIENT)
    assert SINTEL not in indexed.asked()
    assert sent == [("catalogue.learn_title", "demo", "sintel")]
    search.search("Sintel", season=1, episode=1)
    assert len(sent) == 1, "once an hour"


def test_a_title_is_learnt_again_after_a_month(indexed: FaultySite, sent):
    now = timezone.now()
    for age, due in ((timedelta(days=29), False), (timedelta(days=31), True)):
        cache.clear()
        sent.clear()
        Title.objects.update(learned_at=now - age)
        search.search("Sintel", season=1, episode=1, budget=PATIENT)
        assert bool(sent) is due


def test_the_notes_of_one_search_are_few(db, sent):
    learning.nudge([("demo", f"title-{number}") for number in range(50)])
    assert len(sent) == learning.PER_SEARCH


def test_a_broker_that_is_away_costs_nothing(indexed: FaultySite, monkeypatch):
    def send_task(*args: object, **options: object) -> None:
        raise OSError("no broker")

    monkeypatch.setattr("catalogue.probing.current_app.send_task", send_task)
    assert learning.nudge([("demo", "sintel")]) is None
    assert Title.objects.get(slug="sintel").learned_at is None
    monkeypatch.undo()


def test_the_task_leaves_a_site_alone_that_backs_off(indexed: FaultySite):
    indexed.site.back_off_until = timezone.now() + timedelta(minutes=5)
    indexed.site.save()
    tasks.learn_title("demo", "sintel")
    assert indexed.asked() == []
    Site.objects.update(back_off_until=None)
    tasks.learn_title("demo", "sintel")
    assert Title.objects.get(slug="sintel").year == 2010


def test_the_minutes_task_publishes_learnt_names(indexed: FaultySite, monkeypatch):
    say(monkeypatch, TitleFacts("Sintel", ("The Dragon Girl",)))
    tasks.learn_title("demo", "sintel")
    # With its new episodes already looked at: that takes long, and is another subject.
    Site.objects.update(recent_polled_at=timezone.now())
    generation = Site.objects.get().index_generation
    tasks.refresh_due()
    assert Site.objects.get().index_generation == generation + 1


def test_a_learnt_name_of_a_mapping_that_exists_is_left_as_it_is(indexed: FaultySite, monkeypatch):
    TitleMappingFactory(
        site=indexed.site, slug="sintel", name="THE DRAGON GIRL", title_key="thedragongirl"
    )
    say(monkeypatch, TitleFacts("Sintel", ("The Dragon Girl",)))
    learning.learn("demo", "sintel")
    assert "THE DRAGON GIRL" in names()
    assert not TitleMapping.objects.get(name="THE DRAGON GIRL").learned
