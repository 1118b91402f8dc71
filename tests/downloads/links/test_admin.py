"""The owner's pages for links, feeds and rules."""

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from downloads.links import titles
from downloads.models import Feed, FilterRule, Job, Link
from tests.downloads.links.factories import make_feed, make_link, make_rule

pytestmark = pytest.mark.django_db

RULE = {
    "name": "",
    "kind": "include",
    "pattern": "1080p",
    "scope": "all",
    "source": "",
    "feed": "",
    "enabled": "on",
}
FEED = {
    "name": "A",
    "url": "https://a.example/rss?apikey=geheim",
    "enabled": "on",
    "interval_seconds": "900",
    "category": "",
    "mode": "download",
}


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Any) -> None:
    """WhiteNoise warns of a folder that is not there, and warnings are errors."""
    django_settings.STATIC_ROOT.mkdir(exist_ok=True)
    settings.DOWNLOAD_DIR = tmp_path


def post(client: Client, name: str, values: dict[str, str], *args: int) -> str:
    """What the form answers; empty when it took the values."""
    action = "change" if args else "add"
    answer = client.post(reverse(f"admin:downloads_{name}_{action}", args=args), values)
    return "" if answer.status_code == 302 else answer.content.decode()


def act(client: Client, name: str, action: str, *rows: Any) -> str:
    return client.post(
        reverse(f"admin:downloads_{name}_changelist"),
        {"action": action, "_selected_action": [row.pk for row in rows]},
        follow=True,
    ).content.decode()


@pytest.mark.parametrize("name", ["link", "feed", "filterrule"])
def test_a_list_costs_no_query_a_row(
    admin_client: Client, name: str, django_assert_max_num_queries
):
    for number in range(20):
        feed = make_feed(f"https://a.example/{number}")
        rule = make_rule(f"{number}", feed=feed)
        make_link(number, feed=feed, rule=rule, parsed=titles.parse("Show S01E01-E03 720p"))
    with django_assert_max_num_queries(12):
        page = admin_client.get(reverse(f"admin:downloads_{name}_changelist"))
    assert page.status_code == 200


def test_a_link_is_there_to_look_at_with_its_key_masked(admin_client: Client):
    link = make_link(1, url="https://a.example/1?passkey=geheim", parsed={})
    url = reverse("admin:downloads_link_change", args=[link.pk])
    page = admin_client.get(url)
    assert page.status_code == 200
    assert "passkey=***" in page.content.decode()
    assert "geheim" not in page.content.decode()
    assert admin_client.post(url, {}).status_code == 403


def test_links_are_dispatched_from_the_list(admin_client: Client):
    good, bad = (
        make_link(1, state="seen"),
        make_link(2, download_type="", reason="no link", state="rejected"),
    )
    page = act(admin_client, "link", "dispatch_now", good, bad)
    assert "1 given to the downloaders" in page
    assert "no link" in page
    assert Link.objects.get(pk=good.pk).job == Job.objects.get()


def test_a_feed_is_added_and_its_key_is_never_shown(admin_client: Client, sent):
    assert post(admin_client, "feed", FEED) == ""
    feed = Feed.objects.get()
    assert (feed.url, feed.name) == (FEED["url"], "A")
    page = admin_client.get(reverse("admin:downloads_feed_change", args=[feed.pk])).content.decode()
    assert "apikey=***" in page
    assert "geheim" not in page


def test_a_feed_is_changed_without_its_key(admin_client: Client, sent):
    feed = make_feed(FEED["url"], read_at=timezone.now(), failures=2)
    changed = {**FEED, "url": feed.url_shown, "interval_seconds": "60"}
    assert post(admin_client, "feed", changed, feed.pk) == ""
    feed.refresh_from_db()
    assert (feed.url, feed.interval_seconds, feed.failures) == (FEED["url"], 60, 2)
    assert feed.read_at is not None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"url": "ftp://a.example"}, "must be an address such as"),
        ({"url": "https://taken.example/rss"}, "another feed has this address"),
        ({"interval_seconds": "1"}, "greater than or equal to 60"),
        ({"category": "a//b"}, "names divided by single slashes"),
    ],
)
def test_a_feed_form_names_what_is_wrong(admin_client: Client, values: dict, told: str):
    make_feed("https://taken.example/rss")
    feed = make_feed("https://a.example/rss")
    assert told in post(admin_client, "feed", {**FEED, **values}, feed.pk)


def test_the_address_of_another_feed_is_no_new_one(admin_client: Client):
    make_feed("https://taken.example/rss")
    page = post(admin_client, "feed", {**FEED, "url": "https://taken.example/rss"})
    assert "another feed has this address" in page
    assert Feed.objects.count() == 1


def test_feeds_are_asked_and_switched_from_the_list(admin_client: Client, sent):
    feed = make_feed(next_poll_at=timezone.now().replace(year=2100))
    assert "is being asked" in act(admin_client, "feed", "ask_now", feed)
    act(admin_client, "feed", "switch_off", feed)
    assert not Feed.objects.get().enabled
    assert "switched off" in act(admin_client, "feed", "ask_now", feed)
    act(admin_client, "feed", "switch_on", feed)
    assert Feed.objects.get().enabled


def test_a_rule_is_previewed_before_it_is_saved(admin_client: Client):
    make_link(1, title="Show <b> [720p]")
    make_link(2, title="Show [1080p]")
    page = post(admin_client, "filterrule", {**RULE, "_preview": "1"})
    assert "nothing has been saved yet" in page
    assert "Of the latest 2 links, 2 pass now and" in page
    assert "Would be held back (1)" in page
    assert "Show &lt;b&gt; [720p]" in page
    assert not FilterRule.objects.exists()


def test_a_saved_rule_is_previewed_in_its_new_form(admin_client: Client):
    rule = make_rule("720p", "exclude")
    make_link(1, title="Show [720p]")
    page = post(
        admin_client,
        "filterrule",
        {**RULE, "kind": "exclude", "pattern": "480p", "_preview": "1"},
        rule.pk,
    )
    assert "Would pass (1)" in page
    rule.refresh_from_db()
    assert rule.pattern == "720p"


def test_saving_and_deleting_rules_has_links_judged_again(admin_client: Client, sent):
    link = make_link(1, state="filtered")

    def judged_again() -> bool:
        changed = Link.objects.filter(pk=link.pk, state="new").update(state="filtered")
        return bool(changed)

    assert post(admin_client, "filterrule", RULE) == ""
    assert judged_again()
    rule = FilterRule.objects.get()
    assert post(admin_client, "filterrule", {**RULE, "pattern": "720p"}, rule.pk) == ""
    assert judged_again()
    admin_client.post(reverse("admin:downloads_filterrule_delete", args=[rule.pk]), {"post": "yes"})
    assert judged_again()
    other = make_rule("x")
    answer = admin_client.post(
        reverse("admin:downloads_filterrule_changelist"),
        {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"},
    )
    assert answer.status_code == 302
    assert judged_again()
    assert not FilterRule.objects.exists()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"pattern": "(ab"}, "missing ) at position 3"),
        ({"pattern": ""}, "This field is required"),
        ({"scope": "source"}, "name the source"),
        ({"scope": "feed"}, "name the feed"),
        ({"source": "stray"}, "only for the scope"),
    ],
)
def test_a_rule_form_names_what_is_wrong(admin_client: Client, values: dict, told: str):
    assert told in post(admin_client, "filterrule", {**RULE, **values})
    assert not FilterRule.objects.exists()
