"""`/api/v1/links`, `/feeds` and `/filters`; what they say of themselves in the schema."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from downloads.models import Feed, FilterRule, Job, Link
from tests.downloads.links.factories import make_feed, make_link, make_rule

pytestmark = pytest.mark.django_db

LINK_FIELDS = {
    "id", "source", "feed", "url", "title", "description", "published_at", "download_type", "mode", "state",
    "reason", "rule", "job", "parsed", "created_at", "last_seen_at",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Any) -> None:
    settings.DOWNLOAD_DIR = tmp_path


@pytest.mark.parametrize("path", ["links", "feeds", "filters", "links/1", "feeds/1", "filters/1"])
def test_nothing_is_told_without_the_key(client: Client, path: str):
    assert client.get(f"/api/v1/{path}").status_code == 401
    assert client.post(f"/api/v1/{path}", {}, "application/json").status_code == 401


def test_links_are_listed_the_newest_first_without_a_count(api):
    links = [make_link(n) for n in range(3)]
    answer = api.get("/api/v1/links").json()
    assert set(answer) == {"next", "previous", "results"}
    assert [one["id"] for one in answer["results"]] == [one.pk for one in links[::-1]]
    assert set(answer["results"][0]) == LINK_FIELDS


def test_links_are_paged_by_a_cursor_that_new_links_do_not_shift(api):
    first = [make_link(n).pk for n in range(5)]
    page = api.get("/api/v1/links?page_size=2").json()
    make_link(99)
    seen = [one["id"] for one in page["results"]]
    while page["next"]:
        page = api.get(page["next"]).json()
        seen += [one["id"] for one in page["results"]]
    assert seen == first[::-1]


def test_links_are_chosen_by_what_they_are(api):
    feed = make_feed()
    mine = make_link(1, feed=feed, source=feed.source, title="Some Show - 07")
    held = make_link(2, state="filtered")
    rejected = make_link(3, state="rejected", source="other")

    def found(query: str) -> set[int]:
        answer = api.get(f"/api/v1/links?{query}")
        assert answer.status_code == 200, answer.content
        return {one["id"] for one in answer.json()["results"]}

    assert found("state=filtered") == {held.pk}
    assert found("state=filtered,rejected") == {held.pk, rejected.pk}
    assert found("source=other") == {rejected.pk}
    assert found(f"source={feed.source}") == found(f"feed={feed.pk}") == {mine.pk}
    assert found("q=some+SHOW") == {mine.pk}
    assert found("q=%00") == {mine.pk, held.pk, rejected.pk}
    assert found("job=1") == set()


def test_links_are_sorted_as_asked(api):
    now = timezone.now()
    links = [make_link(n, published_at=now.replace(year=2020 + n)) for n in (2, 0, 1)]
    undated = make_link(9)
    links = [links[1], links[2], links[0]]
    for query, wanted in (
        ("published_at", [*links, undated]),
        ("-published_at", [*links[::-1], undated]),
    ):
        page = api.get(f"/api/v1/links?ordering={query}&page_size=3").json()
        rest = api.get(page["next"]).json()
        assert [one["id"] for one in page["results"] + rest["results"]] == [
            one.pk for one in wanted
        ]


@pytest.mark.parametrize(
    "query",
    [
        "state=nonsense",
        "feed=x",
        "feed=%C2%B2",
        "job=-1",
        "job=99999999999999999999",
        "ordering=url",
        "cursor=nonsense",
    ],
)
def test_a_question_that_makes_no_sense_is_a_400(api, query: str):
    make_link(1)
    assert api.get(f"/api/v1/links?{query}").status_code == 400


def test_a_list_costs_no_query_a_link(api, django_assert_max_num_queries):
    feed = make_feed()
    for number in range(40):
        make_link(number, feed=feed)
    with django_assert_max_num_queries(3):
        assert len(api.get("/api/v1/links").json()["results"]) == 40


def test_keys_in_addresses_are_masked(api):
    link = make_link(
        1, url="https://u:pass@a.example/dl/0123456789abcdef0123456789abcdef/1?passkey=geheim&id=3"
    )
    shown = api.get(f"/api/v1/links/{link.pk}").json()["url"]
    assert shown == "https://u:***@a.example/dl/***/1?passkey=***&id=3"


def test_a_link_is_dispatched_on_demand(api):
    link = make_link(1, state="filtered")
    answer = api.post(f"/api/v1/links/{link.pk}/dispatch")
    assert answer.status_code == 200
    job = Job.objects.get()
    assert (answer.json()["state"], answer.json()["job"]) == ("dispatched", job.pk)
    assert api.post(f"/api/v1/links/{link.pk}/dispatch").json()["job"] == job.pk
    bad = make_link(2, state="rejected", download_type="", reason="no link at all")
    refused = api.post(f"/api/v1/links/{bad.pk}/dispatch")
    assert (refused.status_code, refused.json()["code"]) == (409, "unsupported_link")
    assert refused.json()["detail"] == "no link at all"
    assert api.post("/api/v1/links/999999/dispatch").status_code == 404


def test_a_feed_is_added_and_asked(api, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = api.post(
            "/api/v1/feeds", {"url": "http://nas:9696/1/api?apikey=geheim", "category": "anime"}
        )
    feed = Feed.objects.get()
    assert answer.status_code == 201, answer.content
    said = answer.json()
    assert (said["id"], said["url"]) == (feed.pk, "http://nas:9696/1/api?apikey=***")
    assert (said["name"], said["interval_seconds"], said["enabled"]) == ("nas", 900, True)
    assert feed.url == "http://nas:9696/1/api?apikey=geheim"
    assert "geheim" not in answer.content.decode()
    assert sent == [("downloads.poll_feed", feed.pk)]


def test_adding_a_feed_again_is_the_same_feed(api):
    first = api.post("/api/v1/feeds", {"url": "https://a.example/rss", "name": "A"})
    again = api.post("/api/v1/feeds", {"url": " https://a.example/rss ", "category": "anime"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["name"], again.json()["category"]) == ("A", "anime")


def test_the_masked_address_sent_back_changes_nothing(api):
    feed = make_feed("https://a.example/rss?passkey=geheim", read_at=timezone.now())
    answer = api.patch(
        f"/api/v1/feeds/{feed.pk}", {"url": "https://a.example/rss?passkey=***", "name": "B"}
    )
    assert answer.status_code == 200
    feed.refresh_from_db()
    assert (feed.url, feed.name) == ("https://a.example/rss?passkey=geheim", "B")
    assert feed.read_at is not None


def test_a_new_address_begins_anew(api):
    feed = make_feed(
        "https://a.example/rss", read_at=timezone.now(), validators={"etag": "x"}, failures=3
    )
    api.patch(f"/api/v1/feeds/{feed.pk}", {"url": "https://b.example/rss"})
    feed.refresh_from_db()
    assert (feed.url, feed.read_at, feed.validators, feed.failures) == (
        "https://b.example/rss",
        None,
        {},
        0,
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://a.example/rss"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "words"}, "url"),
        ({"url": "https://a.example/" + "x" * 2000}, "url"),
        ({"url": "https://a.example/a b"}, "url"),
        ({"url": "https://other.example/rss"}, "url"),
        ({"name": ""}, "name"),
        ({"interval_seconds": 5}, "interval_seconds"),
        ({"interval_seconds": 10**9}, "interval_seconds"),
        ({"category": "a\\b"}, "category"),
        ({"category": "/a"}, "category"),
    ],
)
def test_what_a_feed_cannot_be_is_refused_by_field(api, change: dict, field: str):
    make_feed("https://other.example/rss")
    feed = make_feed("https://a.example/rss")
    answer = api.patch(f"/api/v1/feeds/{feed.pk}", change)
    assert answer.status_code == 400
    assert field in answer.json()["fields"]


def test_a_feed_without_an_address_is_refused(api):
    answer = api.post("/api/v1/feeds", {"name": "A"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["url"])


def test_a_feed_is_asked_on_demand_while_it_is_switched_on(
    api, sent, django_capture_on_commit_callbacks
):
    feed = make_feed(next_poll_at=timezone.now().replace(year=2100))
    with django_capture_on_commit_callbacks(execute=True):
        answer = api.post(f"/api/v1/feeds/{feed.pk}/poll")
    assert (answer.status_code, answer.json()) == (202, {"status": "queued"})
    assert sent == [("downloads.poll_feed", feed.pk)]
    feed.refresh_from_db()
    assert feed.next_poll_at <= timezone.now()
    Feed.objects.update(enabled=False)
    refused = api.post(f"/api/v1/feeds/{feed.pk}/poll")
    assert (refused.status_code, refused.json()["code"]) == (409, "feed_disabled")


def test_switching_a_feed_on_has_it_asked_at_once_and_a_shorter_interval_counts(api, sent):
    feed = make_feed(enabled=False, next_poll_at=timezone.now().replace(year=2100))
    api.patch(f"/api/v1/feeds/{feed.pk}", {"enabled": True})
    feed.refresh_from_db()
    assert feed.next_poll_at <= timezone.now()
    Feed.objects.update(next_poll_at=timezone.now().replace(year=2100))
    api.patch(f"/api/v1/feeds/{feed.pk}", {"interval_seconds": 60})
    feed.refresh_from_db()
    assert feed.next_poll_at < timezone.now() + timezone.timedelta(seconds=90)


def test_a_deleted_feed_takes_its_links_and_rules_and_leaves_downloads(api, sent):
    feed = make_feed()
    link = make_link(1, feed=feed, source=feed.source)
    make_rule("x", feed=feed)
    api.post(f"/api/v1/links/{link.pk}/dispatch")
    assert api.delete(f"/api/v1/feeds/{feed.pk}").status_code == 204
    assert (Link.objects.count(), FilterRule.objects.count(), Job.objects.count()) == (0, 0, 1)


def test_a_rule_is_added_changed_and_deleted_and_held_back_links_follow(api, sent):
    link = make_link(1, title="Show [720p]", state="filtered")
    answer = api.post("/api/v1/filters", {"kind": "exclude", "pattern": "720p"})
    assert answer.status_code == 201, answer.content
    rule = answer.json()
    assert (rule["scope"], rule["case_sensitive"], rule["enabled"], rule["feed"]) == (
        "all",
        False,
        True,
        None,
    )
    link.refresh_from_db()
    assert link.state == "new"
    Link.objects.update(state="filtered")
    changed = api.patch(f"/api/v1/filters/{rule['id']}", {"pattern": "480p"})
    assert (changed.status_code, changed.json()["pattern"]) == (200, "480p")
    assert Link.objects.get().state == "new"
    assert api.delete(f"/api/v1/filters/{rule['id']}").status_code == 204
    assert api.get("/api/v1/filters").json()["count"] == 0


def test_the_very_same_rule_is_the_same_rule(api, sent):
    body = {"kind": "include", "pattern": "x", "scope": "source", "source": "mikanani"}
    first, again = api.post("/api/v1/filters", body), api.post("/api/v1/filters", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = api.post("/api/v1/filters", {**body, "pattern": "y"}).json()
    clash = api.patch(f"/api/v1/filters/{other['id']}", {"pattern": "x"})
    assert clash.status_code == 400
    assert "the very same rule" in json.dumps(clash.json())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "include", "pattern": "(ab"}, "pattern"),
        ({"kind": "include", "pattern": "(?:a{65535}){65535}"}, "pattern"),
        ({"kind": "include", "pattern": "x" * 501}, "pattern"),
        ({"kind": "include"}, "pattern"),
        ({"pattern": "x"}, "kind"),
        ({"kind": "include", "pattern": "x", "scope": "feed"}, "feed"),
        ({"kind": "include", "pattern": "x", "scope": "feed", "feed": 999}, "feed"),
        ({"kind": "include", "pattern": "x", "scope": "source"}, "source"),
        ({"kind": "include", "pattern": "x", "source": "stray"}, "source"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_field(api, body: dict, field: str):
    answer = api.post("/api/v1/filters", body)
    assert answer.status_code == 400
    assert field in answer.json()["fields"], answer.json()
    assert not FilterRule.objects.exists()


def test_a_bad_pattern_is_told_with_the_place(api):
    answer = api.post("/api/v1/filters", {"kind": "include", "pattern": "Show (1080p"})
    assert answer.json()["fields"]["pattern"] == ["missing ) at position 11"]


def test_a_preview_says_what_rules_would_do(api):
    make_rule("480p", "exclude", name="small")
    make_link(1, title="A [480p]")
    held, kept = make_link(2, title="A [720p]"), make_link(3, title="A [1080p]")
    answer = api.post("/api/v1/filters/preview", {"rule": {"kind": "include", "pattern": "1080p"}})
    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert (shown["sampled"], shown["passing_before"], shown["passing_after"]) == (3, 2, 1)
    assert [one["id"] for one in shown["newly_failing"]] == [held.pk]
    assert shown["newly_failing_count"] == 1
    assert (shown["newly_passing"], shown["troubles"], shown["is_complete"]) == ([], [], True)
    assert FilterRule.objects.count() == 1
    assert kept.pk


def test_a_preview_takes_several_rules_and_the_place_of_saved_ones(api):
    rule = make_rule("720p", "exclude")
    link = make_link(1, title="A [720p]")
    body = {
        "rules": [
            {"id": rule.pk, "kind": "exclude", "pattern": "480p"},
            {"kind": "include", "pattern": "A"},
        ]
    }
    shown = api.post("/api/v1/filters/preview", body).json()
    assert [one["id"] for one in shown["newly_passing"]] == [link.pk]
    shown = api.post("/api/v1/filters/preview", {"without": [rule.pk]}).json()
    assert [one["id"] for one in shown["newly_passing"]] == [link.pk]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rule": {"kind": "include", "pattern": "("}},
        {"rule": {"kind": "include", "pattern": "x", "scope": "feed"}},
        {"rules": [{"kind": "include", "pattern": "x"}] * 21},
        {"rule": {"kind": "include", "pattern": "x"}, "sample": 100_000},
        {"rule": "x"},
        {"without": ["x"]},
    ],
)
def test_a_preview_of_nonsense_is_a_400(api, body: dict):
    assert api.post("/api/v1/filters/preview", body).status_code == 400


def test_the_schema_holds_everything(api):
    schema = api.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    paths = {path: set(methods) - {"parameters"} for path, methods in schema["paths"].items()}
    assert paths["/api/v1/fetcher-results"] == {"post"}
    assert paths["/api/v1/links"] == {"get"}
    assert paths["/api/v1/links/{id}"] == {"get"}
    assert paths["/api/v1/links/{id}/dispatch"] == {"post"}
    assert paths["/api/v1/feeds"] == paths["/api/v1/filters"] == {"get", "post"}
    assert (
        paths["/api/v1/feeds/{id}"] == paths["/api/v1/filters/{id}"] == {"get", "patch", "delete"}
    )
    assert paths["/api/v1/feeds/{id}/poll"] == paths["/api/v1/filters/preview"] == {"post"}
    asked = {one["name"] for one in schema["paths"]["/api/v1/links"]["get"]["parameters"]}
    assert {"state", "source", "feed", "job", "q", "ordering"} <= asked
    results = schema["paths"]["/api/v1/fetcher-results"]["post"]["responses"]
    assert set(results) == {"200", "413"}
    listed = schema["paths"]["/api/v1/links"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]["schema"]
    assert listed["$ref"].endswith("LinkList")
