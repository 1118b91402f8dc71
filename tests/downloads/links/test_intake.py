"""Links come in: `POST /api/v1/fetcher-results` and what is stored of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from downloads.detection import DownloadType
from downloads.links import intake
from downloads.links.intake import Item
from downloads.models import Link
from tests.downloads.links.factories import magnet, make_link

PATH = "/api/v1/fetcher-results"
TORRENT = "https://a.example/1.torrent"


def item(**values: Any) -> dict[str, Any]:
    return {"title": "[Group] Show - 07 [1080p]", "url": TORRENT, **values}


def push(api, *items: Any, source: Any = "mikanani") -> list[dict[str, Any]]:
    # By hand, since the client's own renderer knows no half characters.
    body = json.dumps({"source": source, "items": list(items)})
    answer = api.post(PATH, body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


@pytest.mark.django_db
def test_it_needs_the_key(client: Client):
    assert client.post(PATH, {}, "application/json").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_link_is_stored_and_a_worker_woken(api, sent):
    (answer,) = push(api, item(description="300 MB", pub_date="2026-01-02T03:04:05Z"))
    link = Link.objects.get()
    assert answer == {"url": TORRENT, "status": "created", "id": link.pk}
    assert (link.source, link.url, link.title) == ("mikanani", TORRENT, "[Group] Show - 07 [1080p]")
    assert (link.description, link.download_type, link.state) == ("300 MB", "torrent", "new")
    assert link.published_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert sent == [("downloads.process_links",)]


@pytest.mark.django_db(transaction=True)
def test_sending_it_again_changes_nothing(api, sent):
    (first,) = push(api, item())
    sent.clear()
    (again,) = push(api, item(title="another title"))
    assert again == {"url": TORRENT, "status": "duplicate", "id": first["id"]}
    assert Link.objects.get().title == "[Group] Show - 07 [1080p]"
    assert sent == []


@pytest.mark.django_db
def test_the_same_link_twice_in_one_request_is_one(api):
    first, second = push(api, item(), item(url=f"  {TORRENT.replace('https', 'HTTPS')}#part "))
    assert (first["status"], second["status"]) == ("created", "duplicate")
    assert first["id"] == second["id"]


@pytest.mark.django_db
def test_another_source_may_have_the_same_link(api):
    push(api, item())
    (answer,) = push(api, item(), source="other")
    assert answer["status"] == "created"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("text", "an item is an object"),
        (None, "an item is an object"),
        ([], "an item is an object"),
        ({}, "«url» is missing"),
        (item(url=""), "«url» is missing"),
        (item(url=17), "«url» is missing"),
        (item(url={"a": 1}), "«url» is missing"),
        (item(url="https://a.example/" + "x" * 20_000), "longer than 16384"),
        (item(url="https://a.example/" + "x" * 9_000), "longer than 8192"),
        (item(url="https://a.example/\x00x"), "control characters"),
        (item(url="https://a.example/\ud800"), "control characters"),
        (item(url="ftp://a.example/x"), "«ftp» links cannot be fetched"),
        (item(url="https://"), "names no host"),
        (item(url="just words"), "it must begin with"),
        (item(url="magnet:?dn=x"), ""),
        (item(title=None), "«title» is missing"),
        (item(title=["x"]), "«title» is missing"),
        (item(title=" \x00\t "), "«title» is empty"),
    ],
)
def test_a_bad_item_is_answered_and_spoils_no_other(api, bad: Any, reason: str):
    before, answer, after = push(api, item(), bad, item(url=magnet(1)))
    assert (before["status"], after["status"]) == ("created", "created")
    assert answer["status"] == "rejected"
    assert reason in answer["reason"]
    assert Link.objects.filter(state="new").count() == 2


@pytest.mark.django_db
def test_an_unsupported_link_is_kept_with_its_reason_and_answered_the_same_again(api):
    (answer,) = push(api, item(url="ftp://a.example/x"))
    link = Link.objects.get()
    assert (link.state, link.download_type, link.pk) == ("rejected", "", answer["id"])
    assert link.reason == answer["reason"]
    assert push(api, item(url="ftp://a.example/x")) == [answer]


@pytest.mark.django_db
def test_texts_are_bounded_and_cleaned(api):
    push(
        api,
        item(title="A\x00B\x1b[31m\n" + "x" * 290, url=magnet(1)),
        item(title="\ud800half", url=magnet(2), description="\x00d\ud800" + "y" * 9000),
        item(title="z" * 70_000, url=magnet(3)),
        item(title="x", url=magnet(4), description=17, pub_date={"no": "date"}),
    )
    first, second, third, fourth = (Link.objects.get(url=magnet(n)) for n in range(1, 5))
    assert first.title == "AB[31m " + "x" * 290
    assert (second.title, second.description) == ("half", "d" + "y" * 1999)
    assert len(third.title) == 500
    assert (fourth.description, fourth.published_at) == ("", None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05+00:00"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05+00:00"),
        ("Fri, 02 Jan 2026 03:04:05 +0100", "2026-01-02T02:04:05+00:00"),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-13-45T00:00:00Z", None),
        ("yesterday", None),
        (1767323045, None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_or_left_out(date: Any, said: str | None):
    found = intake.moment(date)
    assert (found.isoformat() if found else None) == said


@pytest.mark.django_db
def test_the_recorded_older_shape_is_taken(api):
    answer = api.post(
        PATH,
        {
            "subscription_id": 3,
            "items": [
                {
                    "title": "[Group] Show - 07 [1080p]",
                    "description": None,
                    "download_url": "https://a.example/abc.torrent",
                    "pub_date": "2026-01-02T03:04:05Z",
                },
                {"title": "x", "download_url": None},
            ],
            "fetcher_source": "mikanani",
            "success": True,
            "error_message": None,
        },
    )
    assert answer.status_code == 200
    good, bad = answer.json()["results"]
    assert (good["url"], good["status"]) == ("https://a.example/abc.torrent", "created")
    assert bad["status"] == "rejected"
    assert Link.objects.get().source == "mikanani"


@pytest.mark.django_db
def test_an_older_fetchers_report_of_a_failure_is_taken(api):
    report = {
        "subscription_id": 3,
        "fetcher_source": "mikanani",
        "success": False,
        "error_message": "x",
    }
    for items in ({}, {"items": []}):
        answer = api.post(PATH, {**report, **items})
        assert (answer.status_code, answer.json()) == (200, {"results": []})


@pytest.mark.django_db
def test_with_a_source_the_new_shape_counts(api):
    answer = api.post(PATH, {"source": "a", "fetcher_source": "b", "items": [item()]})
    assert answer.json()["results"][0]["status"] == "created"
    assert Link.objects.get().source == "a"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "source"),
        ({"source": 3, "items": []}, "source"),
        ({"source": "", "items": []}, "source"),
        ({"source": " ", "items": []}, "source"),
        ({"source": "x" * 101, "items": []}, "source"),
        ({"source": "a\x00b", "items": []}, "source"),
        ({"source": "a\ud800b", "items": []}, "source"),
        ({"source": "feed:1", "items": []}, "source"),
        ({"source": "Feed:1", "items": []}, "source"),
        ({"fetcher_source": None, "items": []}, "fetcher_source"),
        ({"source": "x"}, "items"),
        ({"source": "x", "items": {"a": 1}}, "items"),
        ({"source": "x", "items": None}, "items"),
    ],
)
def test_a_body_that_is_none_names_the_field(api, body: dict, field: str):
    answer = api.post(PATH, json.dumps(body), content_type="application/json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b"{", b'{"source": NaN}', b"[" * 100_000, b"\xff\xfe"]
)
def test_a_body_that_is_no_object_is_a_400(api, body: bytes):
    answer = api.post(PATH, body, content_type="application/json")
    assert answer.status_code == 400, answer.content


@pytest.mark.django_db
def test_too_many_items_are_a_413_with_words(api):
    answer = api.post(PATH, {"source": "x", "items": [item()] * 501})
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert "500" in answer.json()["detail"]
    assert not Link.objects.exists()


@pytest.mark.django_db
def test_a_body_that_is_too_large_is_a_413(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
    answer = api.post(PATH, {"source": "x", "items": [item(description="x" * 2**20)]})
    assert answer.status_code == 413


@pytest.mark.django_db
def test_a_full_batch_costs_a_handful_of_queries(api, django_assert_max_num_queries):
    items = [item(url=f"https://a.example/{n}.torrent") for n in range(500)]
    with django_assert_max_num_queries(16):
        results = push(api, *items)
    assert {one["status"] for one in results} == {"created"}
    assert [one["url"] for one in results] == [one["url"] for one in items]
    with django_assert_max_num_queries(8):
        assert {one["status"] for one in push(api, *items)} == {"duplicate"}


@pytest.mark.django_db
def test_a_link_that_is_named_again_is_remembered_once_a_day():
    before = timezone.now() - timedelta(days=2)
    old = make_link(1, last_seen_at=before)
    recent = make_link(2, last_seen_at=timezone.now() - timedelta(hours=2))
    intake.store("fetcher", [Item("x", old.url), Item("x", recent.url)])
    seen = {link.pk: link.last_seen_at for link in Link.objects.all()}
    assert seen[old.pk] > before
    assert seen[recent.pk] == recent.last_seen_at


@pytest.mark.django_db
def test_an_entry_whose_address_changes_is_the_same_by_its_id():
    first, *_ = intake.store("x", [Item("t", "https://a.example/1?token=a", guid="one")])
    again, *_ = intake.store("x", [Item("t", "https://a.example/1?token=b", guid="one")])
    assert (again.status, again.id) == ("duplicate", first.id)


@pytest.mark.django_db
def test_an_id_that_several_entries_share_is_none():
    answers = intake.store(
        "x", [Item("t", f"https://a.example/{n}", guid="same") for n in range(3)]
    )
    assert [one.status for one in answers] == ["created"] * 3


@pytest.mark.django_db
def test_what_its_source_calls_a_torrent_is_one():
    intake.store("x", [Item("t", "https://a.example/download/1", is_torrent=True)])
    assert Link.objects.get().download_type == DownloadType.TORRENT


TEXTS = st.one_of(
    st.none(), st.integers(), st.text(max_size=40), st.lists(st.text(max_size=3), max_size=2)
)
URLS = st.one_of(
    TEXTS,
    st.integers(min_value=0, max_value=5).map(magnet),
    st.sampled_from(
        [
            "https://a.example/1",
            "HTTPS://A.example/1#x",
            "ftp://x",
            "https://[",
            "magnet:?xt=urn:btih:0",
        ]
    ),
)
ITEMS = st.one_of(
    TEXTS,
    st.fixed_dictionaries(
        {}, optional={"url": URLS, "title": TEXTS, "description": TEXTS, "pub_date": TEXTS}
    ),
)


@pytest.mark.django_db
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(items=st.lists(ITEMS, max_size=8))
def test_whatever_the_items_each_is_answered_and_twice_alike(items: list[Any]):
    before = Link.objects.count()
    first = intake.take("property", items)
    stored = Link.objects.count()
    again = intake.take("property", items)
    assert len(first) == len(again) == len(items)
    assert stored == Link.objects.count()
    assert stored - before == len({one.id for one in first if one.status == "created"}) + len(
        {one.id for one in first if one.status == "rejected" and one.id} - _known_before(before)
    )
    for one, other in zip(first, again, strict=True):
        assert other.status == ("rejected" if one.status == "rejected" else "duplicate")
        assert one.id == other.id
        assert (one.reason != "") == (one.status == "rejected")


def _known_before(count: int) -> set[int]:
    """Ids of the links that earlier examples left."""
    return set(Link.objects.order_by("pk").values_list("pk", flat=True)[:count])
