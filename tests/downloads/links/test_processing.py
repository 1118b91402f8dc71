"""New links become jobs, or are held back."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from downloads import orders, services, tasks, transitions
from downloads.errors import UnsupportedLink
from downloads.links import intake, processing, titles
from downloads.links.intake import Item
from downloads.models import FilterRule, Job, JobStatus, Link
from tests.downloads.links.factories import magnet, make_feed, make_link, make_rule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Any) -> None:
    settings.DOWNLOAD_DIR = tmp_path


def state_of(link: Link) -> str:
    return Link.objects.get(pk=link.pk).state


def test_a_link_that_passes_becomes_a_job_of_its_title(sent):
    link = make_link(1, title="[Group] Show - 07 [1080p]")
    assert processing.run() is False
    link.refresh_from_db()
    job = Job.objects.get()
    assert (link.state, link.job, link.reason) == ("dispatched", job, "")
    assert (job.name, job.download_type, job.url) == (link.title, "magnet", magnet(1))
    assert job.infohash == f"{2:040x}"


def test_a_feeds_links_get_its_category(sent):
    feed = make_feed(category="anime/shows")
    make_link(1, feed=feed, source=feed.source)
    processing.run()
    assert Job.objects.get().category == "anime/shows"


def test_a_link_that_the_rules_hold_back_says_why(sent):
    rule = make_rule("1080p", "exclude", name="too large")
    link = make_link(1)
    processing.run()
    link.refresh_from_db()
    assert (link.state, link.rule) == ("filtered", rule)
    assert link.reason == "the exclude rule «too large» matches"
    assert not Job.objects.exists()


def test_when_the_rule_goes_the_link_becomes_a_job(sent):
    rule = make_rule("1080p", "exclude")
    link = make_link(1)
    processing.run()
    rule.delete()
    processing.rules.changed()
    processing.run()
    assert state_of(link) == "dispatched"


def test_a_rule_that_was_deleted_meanwhile_is_not_named(sent, monkeypatch: pytest.MonkeyPatch):
    rule = make_rule("1080p", "exclude")
    monkeypatch.setattr(processing.rules, "saved", lambda: [rule])
    FilterRule.objects.all().delete()
    link = make_link(1)
    processing.run()
    link.refresh_from_db()
    assert (link.state, link.rule) == ("filtered", None)


def test_running_again_makes_no_second_job(sent):
    make_link(1)
    for _ in range(3):
        tasks.process_links()
    assert Job.objects.count() == 1


@pytest.mark.parametrize("status", ["queued", "failed", "cancelled", "deleted"])
def test_what_was_asked_for_before_is_not_fetched_again_by_itself(sent, status: str):
    job, _ = services.enqueue(orders.order_for(magnet(1), name="before"))
    if status == "deleted":
        transitions.remove(job.pk, delete_files=False)
    elif status != "queued":
        transitions.move(job.pk, JobStatus(status), reason="test")
    link = make_link(1)
    processing.run()
    link.refresh_from_db()
    assert (link.state, link.job) == ("duplicate", job)
    assert link.reason == "«before» is the same"
    assert Job.objects.get().status == ("cancelled" if status == "deleted" else status)


def test_two_sources_with_the_same_torrent_make_one_job(sent):
    first, second = make_link(1), make_link(1, source="other", url=magnet(1) + "&dn=another")
    processing.run()
    assert (state_of(first), state_of(second)) == ("dispatched", "duplicate")
    assert Job.objects.count() == 1


def test_one_odd_link_does_not_stop_the_others(sent, monkeypatch: pytest.MonkeyPatch):
    odd, worse, good = make_link(1, url="ftp://x"), make_link(2), make_link(3)
    real = processing.order_of

    def order_of(link: Link) -> Any:
        if link.pk == worse.pk:
            raise UnicodeError("a bug of ours")
        return real(link)

    monkeypatch.setattr(processing, "order_of", order_of)
    processing.run()
    assert [state_of(one) for one in (odd, worse, good)] == ["rejected", "rejected", "dispatched"]
    odd.refresh_from_db()
    assert "«ftp» links cannot be fetched" in odd.reason


def test_what_its_feed_calls_a_torrent_is_ordered_as_one(sent):
    url = "https://a.example/download/1"
    intake.store("x", [Item("Show", url, is_torrent=True)])
    processing.run()
    job = Job.objects.get()
    assert (job.download_type, job.url, job.episode) == ("torrent", url, None)


def test_forcing_a_link_makes_a_job_whatever_the_rules_say(sent):
    make_rule(".", "exclude")
    for number, state in enumerate(("new", "seen", "filtered", "duplicate")):
        link = make_link(number, state=state, reason="because")
        done = processing.dispatch_now(link.pk)
        assert (done.state, done.reason, done.job) == (
            "dispatched",
            "",
            Job.objects.get(pk=done.job_id),
        )
    assert Job.objects.count() == 4


def test_forcing_again_is_the_same_job_and_starts_a_failed_one_over(sent):
    link = make_link(1)
    job = processing.dispatch_now(link.pk).job
    assert processing.dispatch_now(link.pk).job == job
    assert job is not None
    transitions.move(job.pk, JobStatus.FAILED, reason="test")
    processing.dispatch_now(link.pk)
    job.refresh_from_db()
    assert (job.status, Job.objects.count()) == ("queued", 1)


def test_forcing_what_cannot_be_fetched_is_refused_with_the_reason():
    intake.store("x", [Item("Show", "ftp://a.example/x")])
    with pytest.raises(UnsupportedLink, match="«ftp» links"):
        processing.dispatch_now(Link.objects.get().pk)
    with pytest.raises(Link.DoesNotExist):
        processing.dispatch_now(10**9)


def test_titles_are_read_and_kept(sent):
    link = make_link(7, state="seen")
    processing.run()
    link.refresh_from_db()
    assert link.parsed == titles.parse(link.title)
    assert link.parsed["absolute"] == [7]


def test_titles_are_read_the_newest_first_within_the_time():
    links = [make_link(n, state="seen") for n in range(3)]
    assert processing.parse_titles(seconds=-1) is True
    assert [Link.objects.get(pk=one.pk).parsed is None for one in links] == [True, True, False]
    assert processing.parse_titles() is False


def test_what_is_left_is_the_next_messages_business(
    sent, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(processing, "PAGE", 2)
    monkeypatch.setattr(processing, "PER_RUN", 2)
    for number in range(5):
        make_link(number)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.process_links()
    assert Link.objects.waiting().count() == 3
    assert ("downloads.process_links",) in sent


def test_a_page_costs_no_query_for_a_link_that_is_held_back(sent, django_assert_max_num_queries):
    make_rule("nothing")
    for number in range(100):
        make_link(number, parsed={})
    with django_assert_max_num_queries(10):
        processing.run()
    assert Link.objects.filter(state="filtered").count() == 100


def test_a_slow_rule_is_told_on_its_row(sent):
    rule = make_rule("(a+)+$", "exclude")
    make_link(1, title="a" * 400 + "!")
    processing.run()
    rule.refresh_from_db()
    assert "took more than 50 ms" in rule.last_error


def test_a_magnet_of_ours_for_a_pushed_link_finds_it(sent):
    url = "https://a.example/video.mp4"
    intake.store("x", [Item("Show", url)])
    link = Link.objects.get()
    assert orders.resolvers["link"](link.url_sha1) == url
    assert orders.resolvers["link"]("0" * 40) is None


def test_links_that_nobody_names_any_more_are_forgotten():
    now = timezone.now()
    old = now - processing.KEPT - timedelta(days=1)
    listed = make_feed("https://a.example/1", listed_at=now)
    quiet = make_feed("https://a.example/2", listed_at=old)
    gone = [
        make_link(1, last_seen_at=old),
        make_link(2, feed=listed, source=listed.source, last_seen_at=old),
    ]
    kept = [
        make_link(
            3, feed=quiet, source=quiet.source, last_seen_at=old
        ),  # answers «not changed» ever since
        make_link(4),
        make_link(5, state="new", last_seen_at=old),
    ]
    for link in gone:
        Link.objects.filter(pk=link.pk).update(state="dispatched")
    for link in kept[:2]:
        Link.objects.filter(pk=link.pk).update(state="seen")
    assert processing.forget(now, dry_run=True) == 2
    tasks.forget_links()
    assert set(Link.objects.values_list("pk", flat=True)) == {link.pk for link in kept}
