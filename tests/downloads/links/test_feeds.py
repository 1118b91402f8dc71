"""Feeds over real HTTP: conditional, compressed, redirected, broken, endless."""

import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.utils import timezone

from downloads import tasks
from downloads.links import feeds, processing, saving
from downloads.models import Feed, Job, Link
from tests.anibridge.lib.servers import Server, endless
from tests.downloads.links.factories import make_feed

pytestmark = pytest.mark.django_db
RSS = {"Content-Type": "application/rss+xml"}


def entry(number: int, published: datetime | None = None) -> str:
    date = f"<pubDate>{format_datetime(published)}</pubDate>" if published else ""
    return (
        f"<item><title>[Group] Show - {number:02} [1080p]</title><guid isPermaLink='false'>id {number}</guid>{date}"
        f"<enclosure url='https://a.example/{number}.torrent' type='application/x-bittorrent' length='1'/></item>"
    )


def document(*entries: str) -> bytes:
    return (
        f'<rss version="2.0"><channel><title>A</title>{"".join(entries)}</channel></rss>'.encode()
    )


def feed_at(server: Server, **values: Any) -> Feed:
    return make_feed(server.url("/rss?apikey=secret"), **values)


def again(feed: Feed) -> feeds.Polled | None:
    """Poll it as if its turn had come."""
    Feed.objects.filter(pk=feed.pk).update(next_poll_at=timezone.now())
    polled = feeds.poll(feed.pk)
    feed.refresh_from_db()
    return polled


def states() -> dict[str, str]:
    return dict(Link.objects.values_list("title", "state"))


def test_what_a_feed_lists_at_first_is_seen_and_what_comes_later_is_fetched(
    server, sent, settings, tmp_path
):
    settings.DOWNLOAD_DIR = tmp_path
    feed = feed_at(server, category="anime")
    server.serve("/rss", document(entry(2), entry(1)))
    polled = again(feed)
    assert polled == feeds.Polled(entries=2, created=2)
    assert set(states().values()) == {"seen"}
    server.serve("/rss", document(entry(3), entry(2), entry(1)))
    assert again(feed) == feeds.Polled(entries=3, created=1)
    processing.run()
    job = Job.objects.get()
    assert (job.name, job.category, job.download_type) == (
        "[Group] Show - 03 [1080p]",
        "anime",
        "torrent",
    )
    assert again(feed).created == 0
    assert list(Link.objects.order_by("pk").values_list("url", flat=True)) == [
        f"https://a.example/{n}.torrent" for n in (1, 2, 3)
    ]


def test_what_was_published_since_the_feed_was_added_is_fetched_at_first_too(server, sent):
    """Such as while its server was down."""
    now = timezone.now()
    feed = feed_at(server, since=now - timedelta(days=3))
    server.serve(
        "/rss",
        document(
            entry(4, now + timedelta(hours=8)),
            entry(3, now - timedelta(days=1)),
            entry(2, now - timedelta(days=4)),
            entry(1),
        ),
    )
    again(feed)
    assert [states()[f"[Group] Show - {n:02} [1080p]"] for n in (1, 2, 3, 4)] == [
        "seen",
        "seen",
        "new",
        "seen",
    ]


def test_a_feed_may_be_fetched_from_its_beginning(server, sent):
    feed = feed_at(server, fetch_existing=True)
    server.serve("/rss", document(entry(1)))
    again(feed)
    assert set(states().values()) == {"new"}


def test_another_address_is_another_feed(server, sent):
    feed = feed_at(server, fetch_existing=False)
    server.serve("/rss", document(entry(1)))
    again(feed)
    saving.save_feed(feed, {"url_shown": server.url("/rss?apikey=another")})
    server.serve("/rss", document(entry(2), entry(1)))
    again(feed)
    assert set(states().values()) == {"seen"}


def test_it_asks_whether_anything_has_changed(server, sent):
    feed = feed_at(server)
    given = {**RSS, "ETag": 'W/"abc"', "Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}
    server.routes["/rss"] = (200, given, document(entry(1)))
    again(feed)
    server.routes["/rss"] = (304, {"ETag": 'W/"abc"'}, b"")
    assert again(feed) == feeds.Polled(unchanged=True)
    first, second = (headers for _, headers in server.asked)
    assert "if-none-match" not in first
    assert (second["if-none-match"], second["if-modified-since"]) == (
        'W/"abc"',
        given["Last-Modified"],
    )
    assert (feed.failures, feed.last_error) == (0, "")
    assert feed.listed_at is not None
    assert feed.polled_at is not None
    assert feed.polled_at > feed.listed_at
    # What changed later is read, and asked for with what came then.
    server.routes["/rss"] = (200, {**RSS, "ETag": '"def"'}, document(entry(2), entry(1)))
    assert again(feed).created == 1
    assert feed.validators == {"etag": '"def"'}


def test_validators_that_could_not_be_sent_back_are_left(server, sent):
    feed = feed_at(server)
    server.routes["/rss"] = (200, {**RSS, "ETag": "x" * 400}, document(entry(1)))
    again(feed)
    assert feed.validators == {}


def test_not_changed_is_no_answer_to_a_question_that_was_not_asked(server, sent):
    feed = feed_at(server)
    server.routes["/rss"] = (304, {}, b"")
    assert "HTTP status 304" in again(feed).error


def test_a_compressed_feed_is_read(server, sent):
    feed = feed_at(server)
    server.routes["/rss"] = (
        200,
        {**RSS, "Content-Encoding": "gzip"},
        gzip.compress(document(entry(1))),
    )
    assert again(feed).created == 1


def test_a_compressed_bomb_is_refused(server, sent, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeds, "MAX_BYTES", 2**20)
    feed = feed_at(server)
    bomb = gzip.compress(document(" " * 2**24))
    server.routes["/rss"] = (200, {**RSS, "Content-Encoding": "gzip"}, bomb)
    assert len(bomb) < 2**20
    assert "larger than" in again(feed).error


def test_an_endless_feed_is_refused(server, sent, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeds, "MAX_BYTES", 2**20)
    feed = feed_at(server)
    server.routes["/rss"] = endless(b"<item>" * 1000)
    assert "larger than" in again(feed).error


def test_a_feed_that_drips_is_given_up(server, sent, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feeds, "SECONDS", 0.5)
    feed = feed_at(server)
    server.routes["/rss"] = endless(b"<", every=0.05)
    assert "took longer than" in again(feed).error


def test_the_owners_address_may_be_private_but_where_it_leads_to_may_not(
    server, other_server, sent
):
    feed = feed_at(server)
    other_server.serve("/rss", document(entry(1)))
    server.redirect("/rss", other_server.url("/rss"))
    polled = again(feed)
    assert polled.error
    assert other_server.paths == []
    assert not Link.objects.exists()


def test_a_redirect_within_the_same_place_is_followed(server, sent):
    feed = feed_at(server)
    server.redirect("/rss", "/moved", status=301)
    server.serve("/moved", document(entry(1)))
    assert again(feed).created == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants a user name"),
        (403, "refuses to answer"),
        (404, "has no such feed"),
        (410, "gone for good"),
        (500, "did not answer with a feed"),
        (204, "did not answer with a feed"),
        (503, "asks for patience"),
    ],
)
def test_a_failure_is_told_in_words_without_the_key(server, sent, status: int, words: str, caplog):
    feed = feed_at(server)
    server.routes["/rss"] = (status, {}, b"")
    polled = again(feed)
    assert words in polled.error
    assert feed.last_error == polled.error
    assert feed.failures == 1
    assert "secret" not in polled.error + caplog.text


def test_a_page_in_place_of_the_feed_is_told(server, sent):
    feed = feed_at(server)
    server.serve("/rss", b"<html><body>Log in</body></html>")
    assert "a web page" in again(feed).error


def test_failures_earn_longer_pauses_and_a_success_ends_them(server, sent):
    feed = feed_at(server, interval_seconds=600)
    pauses = []
    for _ in range(4):
        before = timezone.now()
        again(feed)
        pauses.append(round((feed.next_poll_at - before).total_seconds() / 60))
    assert pauses == [10, 10, 15, 30]
    server.serve("/rss", document(entry(1)))
    before = timezone.now()
    again(feed)
    assert round((feed.next_poll_at - before).total_seconds() / 60) == 10
    assert (feed.failures, feed.last_error) == (0, "")
    assert feed.last_error_at is not None


def test_retry_after_is_heeded(server, sent):
    feed = feed_at(server)
    for header, least in (
        ("7200", 7000),
        (format_datetime(datetime.now(UTC) + timedelta(hours=3)), 10_000),
    ):
        server.routes["/rss"] = (429, {"Retry-After": header}, b"")
        again(feed)
        assert (feed.next_poll_at - timezone.now()).total_seconds() > least
    server.routes["/rss"] = (429, {"Retry-After": "999999999"}, b"")
    again(feed)
    assert feed.next_poll_at - timezone.now() <= feeds.LONGEST_PAUSE


def test_a_feed_is_asked_when_it_is_its_turn_and_by_one_worker(server, sent):
    feed = feed_at(server)
    server.serve("/rss", document(entry(1)))
    assert feeds.poll(feed.pk) is not None
    assert feeds.poll(feed.pk) is None
    assert len(server.paths) == 1
    Feed.objects.update(next_poll_at=timezone.now(), enabled=False)
    assert feeds.poll(feed.pk) is None
    assert feeds.poll(10**9) is None


def test_a_worker_that_died_costs_a_few_minutes(server, sent, monkeypatch: pytest.MonkeyPatch):
    feed = feed_at(server)

    def die(feed: Feed) -> Any:
        raise SystemExit

    monkeypatch.setattr(feeds, "_ask", die)
    with pytest.raises(SystemExit):
        feeds.poll(feed.pk)
    feed.refresh_from_db()
    assert timezone.now() < feed.next_poll_at <= timezone.now() + feeds.LEASE


def test_asking_for_a_turn_while_it_is_asked_gives_another(
    server, sent, monkeypatch: pytest.MonkeyPatch
):
    feed = feed_at(server)
    server.serve("/rss", document(entry(1)))
    real = feeds._ask

    def ask(asked: Feed) -> Any:
        found = real(asked)
        feeds.ask_soon(feed.pk)
        return found

    monkeypatch.setattr(feeds, "_ask", ask)
    feeds.poll(feed.pk)
    feed.refresh_from_db()
    assert feed.polled_at is not None
    assert feed.next_poll_at <= timezone.now()


@pytest.mark.parametrize("what", ["deleted", "moved"])
def test_the_answer_of_a_feed_that_is_gone_is_dropped(server, sent, monkeypatch, what: str):
    feed = feed_at(server)
    server.serve("/rss", document(entry(1)))
    real = feeds._ask

    def ask(asked: Feed) -> Any:
        found = real(asked)
        if what == "deleted":
            feed.delete()
        else:
            saving.save_feed(feed, {"url_shown": "https://b.example/rss"})
        return found

    monkeypatch.setattr(feeds, "_ask", ask)
    assert feeds.poll(feed.pk) == feeds.Polled()
    assert not Link.objects.exists()
    if what == "moved":
        feed.refresh_from_db()
        assert (feed.read_at, feed.polled_at) == (None, None)


def test_the_schedule_leaves_each_feed_to_a_message_of_its_own(
    server, sent, django_capture_on_commit_callbacks
):
    due = [make_feed(f"https://a.example/{n}") for n in range(3)]
    make_feed("https://a.example/off", enabled=False)
    Feed.objects.filter(pk=due[0].pk).update(next_poll_at=timezone.now() + timedelta(minutes=1))
    with django_capture_on_commit_callbacks(execute=True):
        tasks.poll_feeds()
    assert sent == [("downloads.poll_feed", one.pk) for one in due[1:]]


def test_a_warning_says_what_is_odd_about_a_feed_that_works(server, sent):
    feed = feed_at(server)
    server.serve("/rss", document(entry(1), "<item><title>nothing</title></item>"))
    again(feed)
    assert feed.last_warning == "1 entries hold nothing to fetch"


def test_the_address_is_encrypted_at_rest_and_masked_where_it_is_shown(server):
    feed = feed_at(server)
    feed.refresh_from_db()
    assert feed.url == server.url("/rss?apikey=secret")
    assert feed.url_shown == server.url("/rss?apikey=***")
    assert "secret" not in feed.address


def test_a_feed_costs_no_query_an_entry(server, sent, django_assert_max_num_queries):
    feed = feed_at(server)
    server.serve("/rss", document(*(entry(n) for n in range(150))))
    with django_assert_max_num_queries(20):
        assert again(feed).created == 150
    with django_assert_max_num_queries(16):
        assert again(feed).created == 0
