"""Who gets in, and how."""

import base64
import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from qbshim import auth, urls
from qbshim.models import ClientSession
from tests.qbshim.conftest import PASSWORD, Caller

PATHS = [str(entry.pattern) for entry in urls.urlpatterns if str(entry.pattern) != "auth/login"] + [
    "app/nope",
    "nope/nope",
    "app/version/",
    "torrents/info/x",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_hears_forbidden_whatever_the_path(stranger: Caller, path: str):
    url = f"/api/v2/{path.replace('<path:', '').strip('>')}"
    for method in ("get", "post", "put", "delete", "options"):
        response = getattr(stranger.http, method)(url)
        assert (response.status_code, response.content) == (403, b"Forbidden")
        assert response["Content-Type"].startswith("text/plain")


def test_a_login_sets_a_cookie_that_scripts_cannot_read(owner: User, stranger: Caller):
    response = stranger.sign_in()
    cookie = response.cookies["SID"]
    assert (response.status_code, response.content) == (200, b"Ok.")
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert cookie["secure"] == ""
    assert cookie.value.isalnum()


def test_behind_https_the_cookie_stays_there(owner: User):
    caller = Caller(X_Forwarded_Proto="https")
    assert caller.sign_in().cookies["SID"]["secure"] is True


@pytest.mark.parametrize(
    ("username", "password"),
    [("admin", "wrong"), ("nobody", PASSWORD), ("", PASSWORD), ("admin", ""), ("a\x00b", "x")],
)
def test_wrong_credentials_fail_with_200(
    owner: User, stranger: Caller, username: str, password: str
):
    response = stranger.sign_in(username=username, password=password)
    assert (response.status_code, response.content) == (200, b"Fails.")
    assert "SID" not in response.cookies
    assert not ClientSession.objects.exists()


def permission() -> Permission:
    return Permission.objects.get(codename="use_download_client")


def test_a_user_with_the_permission_gets_in(db: None, stranger: Caller):
    user = User.objects.create_user("sonarr", password=PASSWORD)
    assert stranger.sign_in(username="sonarr").content == b"Fails."
    user.user_permissions.add(permission())
    assert stranger.sign_in(username="sonarr").content == b"Ok."
    assert stranger.get("app/version").status_code == 200


def test_a_group_can_have_the_permission(db: None, stranger: Caller):
    group = Group.objects.create(name="download clients")
    group.permissions.add(permission())
    User.objects.create_user("sonarr", password=PASSWORD).groups.add(group)
    assert stranger.sign_in(username="sonarr").content == b"Ok."


@pytest.mark.parametrize("standing", [{"is_active": False}, {"is_staff": True}])
def test_who_is_not_active_or_only_staff_does_not_get_in(
    db: None, stranger: Caller, standing: dict[str, bool]
):
    user = User.objects.create_user("admin", password=PASSWORD, **standing)
    if not user.is_active:
        user.user_permissions.add(permission())
    assert stranger.sign_in().content == b"Fails."


def test_a_user_who_loses_the_permission_is_out(owner: User, sonarr: Caller):
    User.objects.filter(pk=owner.pk).update(is_superuser=False)
    assert sonarr.get("app/version").status_code == 403


def test_the_cookie_itself_is_kept_nowhere(sonarr: Caller):
    [row] = ClientSession.objects.values()
    assert sonarr.sid not in str(row)


@pytest.mark.parametrize("name", ["SID", "QBT_SID_8080"])
def test_the_cookie_is_taken_under_its_older_and_newer_name(sonarr: Caller, name: str):
    cookie = f"theme=dark; {name}={sonarr.sid}; lang=de"
    assert Caller(Cookie=cookie).get("app/version").status_code == 200


def test_a_new_password_ends_the_sessions(owner: User, sonarr: Caller):
    owner.set_password("another secret")
    owner.save()
    assert sonarr.get("app/version").status_code == 403
    assert sonarr.sign_in("another secret").content == b"Ok."
    assert sonarr.get("app/version").status_code == 200


def test_a_multipart_login_works(owner: User, stranger: Caller):
    response = stranger.multipart("auth/login", username="admin", password=PASSWORD)
    assert response.content == b"Ok."


def test_a_valid_cookie_wins_over_a_wrong_password(sonarr: Caller):
    response = sonarr.sign_in("wrong")
    assert response.content == b"Ok."
    assert "SID" not in response.cookies


def test_two_sessions_of_one_user_live_side_by_side(sonarr: Caller, stranger: Caller):
    stranger.sign_in()
    assert stranger.sid != sonarr.sid
    assert sonarr.get("app/version").status_code == stranger.get("app/version").status_code == 200


@pytest.mark.parametrize("cookie", ["", "0" * 32, "../../x", "ä" * 32, "x" * 5000])
def test_a_stale_or_foreign_cookie_is_forbidden_not_unauthorized(owner: User, cookie: str):
    caller = Caller()
    caller.http.cookies["SID"] = cookie
    assert caller.get("app/webapiVersion").status_code == 403


def test_a_session_that_ran_out_is_forbidden(sonarr: Caller):
    ClientSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert sonarr.get("app/version").status_code == 403


def test_a_login_clears_away_sessions_that_ran_out(sonarr: Caller, stranger: Caller):
    ClientSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    stranger.sign_in()
    assert ClientSession.objects.count() == 1
    assert stranger.get("app/version").status_code == 200


def test_using_a_session_prolongs_it_once_a_day(sonarr: Caller, django_assert_num_queries):
    sonarr.get("app/version")
    soon = timezone.now() + timedelta(days=29) - timedelta(minutes=1)
    ClientSession.objects.update(expires_at=soon)
    with django_assert_num_queries(2):
        sonarr.get("app/version")
    assert ClientSession.objects.get().expires_at > soon + timedelta(hours=23)
    with django_assert_num_queries(1):
        sonarr.get("app/version")


def test_the_cookie_of_the_admin_does_not_open_the_api(owner: User, stranger: Caller):
    stranger.http.force_login(owner)
    stranger.http.cookies["SID"] = stranger.http.cookies["sessionid"].value
    assert stranger.get("app/version").status_code == 403


def test_the_cookie_of_the_api_does_not_open_the_admin(sonarr: Caller):
    sonarr.http.cookies["sessionid"] = sonarr.sid
    assert sonarr.http.get("/admin/").status_code == 302


def test_logout_ends_the_session_for_good(sonarr: Caller):
    old = sonarr.sid
    response = sonarr.post("auth/logout")
    assert (response.status_code, response.content) == (200, b"")
    assert response.cookies["SID"].value == ""
    assert response.cookies["SID"]["expires"].startswith("Thu, 01 Jan 1970")
    sonarr.http.cookies["SID"] = old
    assert sonarr.get("app/version").status_code == 403


def test_the_api_key_as_bearer_needs_no_cookie(db: None):
    caller = Caller(Authorization=f"Bearer {settings.API_KEY}")
    assert caller.get("app/version").content == b"v5.1.0"
    assert caller.post("auth/logout").status_code == 200


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_name_and_a_password_need_no_cookie(owner: User):
    caller = Caller(Authorization=basic(f"admin:{PASSWORD}"))
    assert caller.get("app/version").content == b"v5.1.0"
    assert caller.post("torrents/createTags", tags="a").status_code == 200
    assert not caller.http.cookies


def test_a_password_that_was_right_is_not_hashed_again_until_it_changes(owner: User, monkeypatch):
    caller = Caller(Authorization=basic(f"admin:{PASSWORD}"))
    assert caller.get("app/version").status_code == 200
    monkeypatch.setattr(auth, "authenticate", None)
    assert caller.get("app/version").status_code == 200
    monkeypatch.undo()
    owner.set_password("another secret")
    owner.save()
    assert caller.get("app/version").status_code == 403


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer nope",
        "Bearer ä",
        "Basic",
        "Basic %%%",
        "Basic " + "A" * 5000,
        basic(":"),
        basic("admin:"),
        basic(f":{PASSWORD}"),
        basic("admin:wrong"),
        basic("a\x00b:x"),
        "Digest x",
    ],
)
def test_another_authorization_opens_nothing(owner: User, header: str):
    assert Caller(Authorization=header).get("app/version").status_code == 403


@pytest.mark.parametrize("header", ["Basic OmFkbWlu", "Bearer nope", "Negotiate x"])
def test_an_authorization_beside_a_cookie_is_ignored(sonarr: Caller, header: str):
    response = sonarr.http.get("/api/v2/app/version", headers={"Authorization": header})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://nas.example:8000"}, 200),
        ({"Origin": "http://nas.example"}, 401),
        ({"Origin": "http://nas.example:99999999"}, 401),
        ({"Origin": "null"}, 401),
        ({"Referer": "http://[::1"}, 401),
        ({"Referer": "http://evil.example/nas.example:8000"}, 401),
        ({"Referer": "http://nas.example:8000/some/page"}, 200),
        ({"Origin": "https://bridge.example", "X-Forwarded-Host": "bridge.example"}, 200),
        ({"Origin": "https://evil.example", "X-Forwarded-Host": "bridge.example"}, 401),
    ],
)
def test_a_browser_must_come_from_our_own_page(
    sonarr: Caller, headers: dict[str, str], status: int
):
    response = sonarr.http.get(
        "/api/v2/app/version", headers={"Host": "nas.example:8000", **headers}
    )
    assert response.status_code == status


def test_a_foreign_page_cannot_add_anything(sonarr: Caller):
    response = sonarr.http.post(
        "/api/v2/torrents/createCategory",
        {"category": "evil"},
        headers={"Origin": "http://evil.example"},
    )
    assert (response.status_code, response.content) == (401, b"Unauthorized")
    assert sonarr.get("torrents/categories").json() == {}


def test_ten_logins_a_minute_are_fine(owner: User):
    assert {Caller().sign_in().content for _ in range(10)} == {b"Ok."}


def test_sessions_that_last_shorter_or_for_ever(owner: User, sonarr: Caller, stranger: Caller):
    sonarr.post("app/setPreferences", json=json.dumps({"web_ui_session_timeout": 3600}))
    stranger.sign_in()
    session = ClientSession.objects.latest("pk")
    assert session.expires_at < timezone.now() + timedelta(hours=1, minutes=1)
    sonarr.post("app/setPreferences", json=json.dumps({"web_ui_session_timeout": 0}))
    other = Caller()
    other.sign_in()
    assert ClientSession.objects.latest("pk").expires_at > timezone.now() + timedelta(days=3000)
    assert other.get("app/version").status_code == 200


def test_a_name_in_the_host_header_is_looked_at_when_a_client_says_so(sonarr: Caller):
    asked = {"web_ui_host_header_validation_enabled": True, "web_ui_domain_list": "*.home;nas"}
    assert sonarr.post("app/setPreferences", json=json.dumps(asked)).status_code == 200
    answers = {}
    for host in ("nas", "nas:80", "nas:81", "a.home", "evil.example", "testserver"):
        headers = {"Host": host, "Cookie": f"SID={sonarr.sid}"}
        answers[host] = Caller(**headers).get("app/version").status_code
    assert answers == {
        "nas": 200, "nas:80": 200, "nas:81": 401, "a.home": 200, "evil.example": 401, "testserver": 200,
    }  # fmt: skip
