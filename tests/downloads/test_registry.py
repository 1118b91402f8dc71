"""Downloaders announce themselves; what the owner decided stays."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from downloads import dispatching, registry, services
from downloads.detection import DownloadType
from downloads.models import Downloader, DownloaderKind, Job, JobStatus
from downloads.orders import order_for
from tests.downloads.dispatched import add, dead, now
from tests.downloads.protocol import Double, announce

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S = JobStatus
URL = "/api/v1/services"
OURS = {
    "name": "box",
    "service_type": "downloader",
    "base_url": "http://box:8002/",
    "priority": 70,
    "capabilities": {
        "download_endpoint": "/downloads",
        "supported_download_types": ["magnet", "torrent"],
    },
}
RECORDED = {
    "service_type": "downloader",
    "service_name": "qbittorrent-downloader",
    "host": "downloader-qbittorrent",
    "port": 8002,
    "capabilities": {
        "fetch_endpoint": None,
        "search_endpoint": None,
        "detail_endpoint": None,
        "download_endpoint": "/downloads",
        "sync_endpoint": None,
        "supported_download_types": ["magnet", "torrent"],
    },
}


@pytest.fixture
def api(client, settings):
    client.defaults["HTTP_X_API_KEY"] = settings.API_KEY
    return client


def register(api, body: object = OURS, **changes):
    data = {**body, **changes} if isinstance(body, dict) else body
    return api.post(f"{URL}/register", data, content_type="application/json")


def types(downloader: Downloader) -> set[str]:
    return set(downloader.capabilities.values_list("download_type", flat=True))


def test_a_downloader_registers(api):
    answer = register(api)
    assert answer.status_code == 201
    box = Downloader.objects.get(name="box")
    assert (box.kind, box.base_url, box.priority, box.enabled) == (
        DownloaderKind.REMOTE,
        "http://box:8002",
        70,
        True,
    )
    assert types(box) == {"magnet", "torrent"}
    body = answer.json()
    assert body["service_id"] == str(box.pk)
    assert body["registered_at"].endswith("Z")


def test_the_recorded_form_is_understood(api):
    assert register(api, RECORDED).status_code == 201
    box = Downloader.objects.get(name="qbittorrent-downloader")
    assert (box.base_url, box.priority) == ("http://downloader-qbittorrent:8002", 50)


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.7", "http://10.0.0.7:80"), ("fd00::7", "http://[fd00::7]:80")]
)
def test_a_host_may_be_an_address(api, host: str, url: str):
    assert register(api, RECORDED, host=host, port=80).status_code == 201
    assert Downloader.objects.remote().get().base_url == url


def test_registering_needs_the_api_key(client):
    assert register(client).status_code in (401, 403)
    client.defaults["HTTP_X_API_KEY"] = "wrong"
    assert register(client).status_code == 401
    assert client.get(URL).status_code == 401
    assert not Downloader.objects.remote().exists()


def test_registering_again_brings_it_up_to_date(api):
    register(api)
    changed = {**OURS["capabilities"], "supported_download_types": ["http"]}
    answer = register(api, base_url="http://elsewhere:1", capabilities=changed)
    assert answer.status_code == 200
    box = Downloader.objects.get(name="box")
    assert (box.base_url, types(box)) == ("http://elsewhere:1", {"http"})


def test_registering_again_neither_enables_nor_moves_it(api):
    register(api)
    box = Downloader.objects.get(name="box")
    Downloader.objects.filter(pk=box.pk).update(enabled=False, priority=5)
    answer = register(api, priority=99)
    assert (answer.json()["enabled"], answer.json()["priority"]) == (False, 5)
    box.refresh_from_db()
    assert (box.enabled, box.priority) == (False, 5)


def test_an_empty_list_of_types_leaves_no_stale_ones(api):
    register(api)
    register(api, capabilities={"supported_download_types": []})
    assert types(Downloader.objects.get(name="box")) == set()


def test_unknown_types_are_told_back_and_episodes_are_ours(api):
    offered = ["MAGNET", "ed2k", "episode"]
    answer = register(api, capabilities={"supported_download_types": offered})
    assert answer.json()["ignored_types"] == ["ed2k", "episode"]
    assert types(Downloader.objects.get(name="box")) == {"magnet"}


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "ftp://box"},
        {"base_url": "http://"},
        {"base_url": "http://user:pass@box"},
        {"base_url": "http://box/?x=1"},
        {"base_url": "http://box/#x"},
        {"base_url": "http://box:99999"},
        {"base_url": "http://b ox"},
        {"base_url": "http://box/" + "x" * 600},
        {"base_url": ""},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"service_type": "fetcher"},
        {"priority": 10**9},
        {"capabilities": None},
        {"capabilities": {"supported_download_types": ["magnet"] * 51}},
        {"capabilities": {"supported_download_types": "magnet"}},
        {"capabilities": {"download_endpoint": "http://other/x"}},
        {"capabilities": {"download_endpoint": "/../admin"}},
        {"capabilities": {"download_endpoint": "/a?b"}},
    ],
)
def test_what_makes_no_sense_is_refused_with_words(api, changes: dict):
    answer = register(api, **changes)
    assert answer.status_code in (400, 409)
    assert answer.json()["detail"]
    assert not Downloader.objects.remote().exists()


@pytest.mark.parametrize(
    "changes", [{"host": "a/b"}, {"host": "a@b"}, {"host": "[x"}, {"host": ""}, {"port": 0}]
)
def test_a_host_that_is_none_is_refused_with_words(api, changes: dict):
    answer = register(api, RECORDED, **changes)
    assert answer.status_code in (400, 409)
    assert not Downloader.objects.remote().exists()


@pytest.mark.parametrize("body", ["[]", "5", '"x"', "null", "{", ""])
def test_a_body_that_is_no_object_is_refused(api, body: str):
    assert register(api, body).status_code == 400


def test_nobody_takes_the_name_of_another_kind(api):
    answer = register(api, name="builtin")
    assert answer.status_code == 409
    assert answer.json()["code"] == "name_taken"
    assert Downloader.objects.get(name="builtin").base_url == ""


def test_registering_a_type_brings_the_jobs_that_waited_for_it(api, service: Double):
    job, other = add(1), services.enqueue(order_for("https://files.example/a.mkv"))[0]
    Downloader.objects.filter(kind="builtin").update(enabled=False)
    dispatching.run()
    assert {now(job).status, now(other).status} == {S.NO_DOWNLOADER}
    register(api, base_url=service.url)
    assert service.asked == [], "not on the request's time"
    dispatching.run()
    assert (now(job).status, now(other).status) == (S.DOWNLOADING, S.NO_DOWNLOADER)


def test_a_key_of_its_own_is_kept_and_never_shown(api):
    register(api, api_key="open sesame")
    box = Downloader.objects.get(name="box")
    assert box.secret == "open sesame"
    listed = api.get(f"{URL}/{box.pk}")
    assert listed.json()["has_credentials"] is True
    assert "sesame" not in listed.content.decode()
    register(api)
    box.refresh_from_db()
    assert box.secret == "open sesame", "not saying it again is not taking it back"


def test_the_list_is_in_the_order_in_which_they_are_asked(api):
    register(api, priority=10)
    register(api, name="first", priority=500)
    body = api.get(URL).json()
    assert [one["name"] for one in body["results"]] == ["first", "builtin", "box"]
    assert body["results"][1]["capabilities"]["supported_download_types"] == ["episode", "http"]
    assert body["results"][0]["service_type"] == "downloader"


def test_the_list_costs_few_queries(api, django_assert_max_num_queries):
    for number in range(5):
        register(api, name=f"box{number}")
    with django_assert_max_num_queries(5):
        api.get(URL)


def test_the_owner_changes_what_is_his(api, service: Double):
    box = announce(service, "box")
    answer = api.patch(
        f"{URL}/{box.pk}",
        {
            "enabled": False,
            "priority": 3,
            "remote_path": "/data",
            "name": "other",
            "kind": "builtin",
        },
        content_type="application/json",
    )
    assert answer.status_code == 200
    box.refresh_from_db()
    assert (box.enabled, box.priority, box.remote_path) == (False, 3, "/data")
    assert (box.name, box.kind) == ("box", "remote")


def test_enabling_brings_the_jobs_that_waited(api, service: Double):
    box = announce(service, "box")
    Downloader.objects.filter(pk=box.pk).update(enabled=False)
    job = add(1)
    dispatching.run()
    api.patch(f"{URL}/{box.pk}", {"enabled": True}, content_type="application/json")
    dispatching.run()
    assert now(job).status == S.DOWNLOADING


def test_disabling_the_builtin_one_for_links_leaves_episodes_and_what_runs(api):
    builtin = Downloader.objects.get(kind="builtin")
    begun, waiting = (
        services.enqueue(order_for(f"https://files.example/{n}.mkv"))[0] for n in (1, 2)
    )
    dispatching.run()
    from downloads import transitions

    transitions.claim(begun.pk, "worker")
    api.patch(f"{URL}/{builtin.pk}", {"enabled": False}, content_type="application/json")
    assert now(begun).downloader == builtin
    assert now(waiting).downloader is None
    dispatching.run()
    assert (now(begun).status, now(waiting).status) == (S.DOWNLOADING, S.NO_DOWNLOADER)


def test_the_builtin_one_cannot_be_deleted(api):
    builtin = Downloader.objects.get(kind="builtin")
    answer = api.delete(f"{URL}/{builtin.pk}?force=true")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_removable")


def test_one_that_is_busy_is_deleted_by_force_only_and_its_jobs_go_on(
    api, service: Double, second: Double
):
    box = announce(service, "box", priority=60)
    job = add(1)
    dispatching.run()
    announce(second, "next", priority=10)
    answer = api.delete(f"{URL}/{box.pk}")
    assert (answer.status_code, answer.json()["code"]) == (409, "still_busy")
    assert api.delete(f"{URL}/{box.pk}?force=true").status_code == 204
    assert (now(job).status, now(job).downloader) == (S.QUEUED, None)
    dispatching.run()
    assert now(job).downloader.name == "next"


def test_one_that_has_nothing_is_just_deleted(api, service: Double):
    box = announce(service, "box")
    assert api.delete(f"{URL}/{box.pk}").status_code == 204
    assert api.get(f"{URL}/{box.pk}").status_code == 404


def test_it_is_asked_for_a_sign_of_life(api, service: Double):
    box = announce(service, "box")
    assert api.post(f"{URL}/{box.pk}/test").json() == {"ok": True, "detail": '{"status": "ok"}'}
    Downloader.objects.filter(pk=box.pk).update(base_url=dead())
    answer = api.post(f"{URL}/{box.pk}/test").json()
    assert answer["ok"] is False
    assert "cannot be reached" in answer["detail"]


def test_registering_ends_the_pause_of_one_that_was_away(api, service: Double):
    box = announce(dead(), "box")
    job = add(1)
    dispatching.run()
    assert now(job).status == S.DOWNLOADER_ERROR
    register(api, base_url=service.url)
    dispatching.run()
    assert now(job).status == S.DOWNLOADING
    box.refresh_from_db()
    assert box.setbacks == 0


def test_the_schema_describes_it(api):
    schema = api.get("/api/schema/", HTTP_ACCEPT="application/json").content.decode()
    for path in ("/api/v1/services/register", "/api/v1/services/{id}/test", "/api/v1/services"):
        assert path in schema


@pytest.fixture
def owner(client):
    user = get_user_model().objects.create_superuser("owner", password="a long password")
    client.force_login(user)
    return client


FORM = {
    "name": "qb",
    "kind": "qbittorrent",
    "base_url": "http://qb:8080",
    "download_endpoint": "/downloads",
    "priority": "50",
    "enabled": "on",
    "username": "admin",
    "password": "hunter22",
    "remote_path": "",
    "local_path": "",
}


def test_the_owner_enters_a_qbittorrent_in_the_admin(owner):
    url = reverse("admin:downloads_downloader_add")
    assert owner.get(url).status_code == 200
    assert owner.post(url, FORM).status_code == 302
    qb = Downloader.objects.get(name="qb")
    assert (qb.secret, types(qb)) == ("hunter22", {"magnet", "torrent"})
    page = owner.get(reverse("admin:downloads_downloader_change", args=[qb.pk])).content.decode()
    assert "hunter22" not in page
    assert qb.credentials not in page


def test_an_empty_password_leaves_the_one_that_is_there(owner):
    owner.post(reverse("admin:downloads_downloader_add"), FORM)
    qb = Downloader.objects.get(name="qb")
    change = reverse("admin:downloads_downloader_change", args=[qb.pk])
    owner.post(change, {**FORM, "password": "", "priority": "7", "types": ["magnet"]})
    qb.refresh_from_db()
    assert (qb.priority, qb.secret, types(qb)) == (7, "hunter22", {"magnet"})
    owner.post(change, {**FORM, "password": "", "forget_password": "on", "types": ["magnet"]})
    qb.refresh_from_db()
    assert qb.secret == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_url": "ftp://x"}, "must look like http://host:port"),
        ({"types": ["http"]}, "qBittorrent takes magnets and torrents only"),
        ({"types": ["episode"]}, "only the built-in downloader takes episodes"),
        ({"kind": "builtin"}, "Select a valid choice"),
    ],
)
def test_the_admin_knows_the_same_rules(owner, changes: dict, words: str):
    page = owner.post(reverse("admin:downloads_downloader_add"), {**FORM, **changes})
    assert page.status_code == 200
    assert words in page.content.decode()


def test_the_admins_list_shows_how_each_is_doing(owner, service: Double):
    box = announce(service, "box")
    from downloads import contacts

    contacts.note_setback(box, ConnectionError("it is asleep"))
    page = owner.get(reverse("admin:downloads_downloader_changelist")).content.decode()
    assert "does not answer: it is asleep" in page
    assert "part of AniBridge" in page


def test_the_admins_actions_test_enable_and_disable(owner, service: Double):
    box = announce(service, "box")
    url = reverse("admin:downloads_downloader_changelist")

    def act(action: str):
        return owner.post(url, {"action": action, "_selected_action": [box.pk]}, follow=True)

    assert "box: {&quot;status&quot;: &quot;ok&quot;}" in act("test_connection").content.decode()
    act("disable")
    assert not Downloader.objects.get(pk=box.pk).enabled
    act("enable")
    assert Downloader.objects.get(pk=box.pk).enabled
    assert "delete_selected" not in owner.get(url).content.decode()


def test_the_admin_deletes_neither_the_builtin_one_nor_a_busy_one(owner, service: Double):
    box = announce(service, "box")
    builtin = Downloader.objects.get(kind="builtin")
    delete = reverse("admin:downloads_downloader_delete", args=[builtin.pk])
    assert owner.post(delete, {"post": "yes"}).status_code == 403
    job = add(1)
    dispatching.run()
    delete = reverse("admin:downloads_downloader_delete", args=[box.pk])
    assert owner.post(delete, {"post": "yes"}).status_code == 403
    services.cancel(job.pk)
    assert owner.post(delete, {"post": "yes"}).status_code == 302
    assert Job.objects.get(pk=job.pk).downloader is None


def test_the_builtin_row_is_made_once_and_left_alone():
    Downloader.objects.filter(kind="builtin").update(enabled=False, priority=1)
    Downloader.objects.get(kind="builtin").capabilities.filter(download_type="http").delete()
    registry.ensure_builtin()
    builtin = Downloader.objects.get(kind="builtin")
    assert (builtin.enabled, builtin.priority, types(builtin)) == (False, 1, {"episode"})


def test_two_at_the_same_moment_are_one(service: Double):
    first = announce(service, "box", DownloadType.MAGNET)
    assert announce(service, "box", DownloadType.MAGNET).pk == first.pk


def test_a_restart_of_a_downloader_sends_nothing_again_that_has_failed(service: Double):
    """Failed is failed until somebody retries it, and what happened stays on record."""
    announce(service, "box")
    service.reply = lambda items: (
        200,
        {"results": [{"url": items[0]["url"], "hash": None, "status": "rejected", "reason": "no"}]},
    )
    job = add(1)
    dispatching.run()
    history = job.events.count()
    for _ in range(3):
        announce(service, "box")
        dispatching.run()
    assert (now(job).status, len(service.batches())) == (S.FAILED, 1)
    assert job.events.count() == history


def test_a_bug_with_one_type_does_not_hold_up_the_others(service: Double, monkeypatch, caplog):
    from downloads import handing

    announce(service, "box")
    magnet, link = add(1), services.enqueue(order_for("https://files.example/a.mkv"))[0]

    def bug(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(handing, "hand_over", bug)
    dispatching.run()
    assert now(link).downloader.kind == "builtin"
    assert now(magnet).status == S.QUEUED
    assert "a bug: magnet links wait" in caplog.text
