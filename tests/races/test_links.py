"""Links, feeds and rules under many threads at once."""

from typing import Any

import pytest
from django.utils import timezone

from downloads import services
from downloads.links import feeds, intake, processing, rules, saving
from downloads.models import Feed, FilterRule, Job, Link
from tests.anibridge.lib import servers
from tests.downloads.links.factories import magnet, make_feed, make_link, make_rule
from tests.races.test_catalogue import no_errors
from tests.races.test_claims import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Any) -> None:
    settings.DOWNLOAD_DIR = tmp_path


def test_the_same_batch_at_once_is_stored_once_and_one_is_told_created():
    for round_ in range(3):
        items = [{"title": f"Show {n}", "url": magnet(1000 * round_ + n)} for n in range(60)]

        def push(number: int, items: list[Any] = items) -> list[intake.Answer]:
            return intake.take("fetcher", items if number % 2 else items[::-1])

        answers = no_errors(at_once(push))
        created = [one.id for told in answers for one in told if one.status == "created"]
        assert len(created) == len(set(created)) == 60
        assert {one.id for told in answers for one in told} == set(created)
    assert Link.objects.count() == 180


def test_links_looked_at_at_once_make_one_job_each():
    for number in range(30):
        make_link(number, parsed={})
    no_errors(at_once(lambda n: processing.run(), threads=4))
    assert Job.objects.count() == 30
    assert set(Link.objects.values_list("state", flat=True)) == {"dispatched"}


def test_a_link_that_is_forced_while_it_is_looked_at_is_one_job():
    link = make_link(1, parsed={})
    no_errors(
        at_once(
            lambda n: processing.dispatch_now(link.pk) if n % 2 else processing.run(), threads=6
        )
    )
    assert Job.objects.count() == 1
    link.refresh_from_db()
    assert (link.state, link.job) == ("dispatched", Job.objects.get())


def test_rules_that_change_while_links_are_looked_at_leave_none_between():
    for number in range(40):
        make_link(number, parsed={})
    make_rule("nothing matches this")

    def work(number: int) -> None:
        if number % 2:
            processing.run()
        else:
            rules.changed()

    no_errors(at_once(work, threads=6))
    processing.run()
    assert set(Link.objects.values_list("state", flat=True)) == {"filtered"}
    assert not Job.objects.exists()


def test_the_same_feed_and_rule_added_at_once_are_one():
    def add(number: int) -> bool:
        _, created = saving.save_feed(
            None, {"url_shown": "https://a.example/rss", "name": f"{number}"}
        )
        saving.save_rule(None, {"kind": "include", "pattern": "x", "name": f"{number}"})
        return created

    assert sum(no_errors(at_once(add))) == 1  # type: ignore[arg-type]
    assert (Feed.objects.count(), FilterRule.objects.count()) == (1, 1)


def test_a_feed_is_asked_by_one_of_many_workers():
    body = b"<rss><channel><item><title>x</title><link>https://a.example/1.torrent</link></item></channel></rss>"
    with servers.running() as server:
        feed = make_feed(server.url("/rss"), fetch_existing=True)
        server.serve("/rss", body, kind="application/rss+xml")
        polled = no_errors(at_once(lambda n: feeds.poll(feed.pk)))
        assert len(server.paths) == 1
    assert sum(one is not None for one in polled) == 1
    assert Link.objects.count() == 1


def test_a_feed_deleted_while_links_come_leaves_nothing_behind():
    body = b"<rss><channel><item><title>x</title><link>https://a.example/1.torrent</link></item></channel></rss>"
    with servers.running() as server:
        server.serve("/rss", body, kind="application/rss+xml")
        for _ in range(3):
            feed = make_feed(server.url("/rss"), next_poll_at=timezone.now())

            def work(number: int, feed: Feed = feed) -> None:
                if number:
                    feeds.poll(feed.pk)
                else:
                    saving.delete_feed(feed)

            no_errors(at_once(work, threads=3))
            assert not Link.objects.exists()


def test_a_job_deleted_while_its_link_is_forced_again_is_no_error():
    link = make_link(1, parsed={})
    for _ in range(3):
        job = processing.dispatch_now(link.pk).job
        assert job is not None

        def work(number: int, job_id: int = job.pk) -> None:
            if number % 2:
                processing.dispatch_now(link.pk)
            else:
                services.remove(job_id, delete_files=False)

        no_errors(at_once(work, threads=4))
        link.refresh_from_db()
        assert link.job is not None


def test_rules_deleted_while_they_are_applied_hold_back_without_an_error():
    for round_ in range(3):
        for number in range(20):
            make_link(100 * round_ + number, parsed={})
        rule = make_rule("show", "exclude")
        kept = make_rule("group", "exclude")

        def work(number: int, rule: FilterRule = rule) -> None:
            if number:
                processing.run()
            else:
                saving.delete_rule(rule)

        no_errors(at_once(work, threads=3))
        processing.run()
        held = Link.objects.filter(state="filtered")
        assert held.count() == 20 * (round_ + 1)
        kept.delete()
