"""Wrong passwords are counted by address, and after too many the address has to wait."""

import json
from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.utils import timezone

from qbshim import bans, origin
from qbshim.models import FailedLogin
from tests.qbshim.conftest import PASSWORD, Caller
from tests.qbshim.test_auth import basic

BANNED = b"Your IP address has been banned after too many failed authentication attempts."


def fail(caller: Caller, times: int) -> list[bytes]:
    return [caller.sign_in("wrong").content for _ in range(times)]


def answer(response: HttpResponse) -> tuple[int, bytes]:
    return response.status_code, response.content


def test_after_five_wrong_passwords_the_right_one_is_refused_too(owner: User, stranger: Caller):
    assert fail(stranger, 5) == [b"Fails."] * 5
    assert answer(stranger.sign_in()) == (403, BANNED)
    assert stranger.sign_in()["Content-Type"].startswith("text/plain")


def test_who_is_signed_in_stays_in(sonarr: Caller, stranger: Caller):
    fail(stranger, 5)
    assert sonarr.get("app/version").status_code == 200
    assert answer(sonarr.sign_in()) == (200, b"Ok.")


def test_a_right_password_begins_the_count_anew(owner: User, stranger: Caller):
    fail(stranger, 4)
    assert Caller().sign_in().content == b"Ok."
    assert fail(stranger, 4) == [b"Fails."] * 4
    assert Caller().sign_in().content == b"Ok."
    assert not FailedLogin.objects.exists()


def test_a_ban_ends(owner: User, stranger: Caller):
    fail(stranger, 5)
    [entry] = FailedLogin.objects.all()
    assert timedelta(minutes=59) < entry.banned_until - timezone.now() <= timedelta(hours=1)
    FailedLogin.objects.update(banned_until=timezone.now() - timedelta(seconds=1))
    assert fail(stranger, 1) == [b"Fails."]
    assert FailedLogin.objects.get().failures == 1
    assert stranger.sign_in().content == b"Ok."


def test_failures_of_long_ago_count_no_more(owner: User, stranger: Caller):
    fail(stranger, 4)
    FailedLogin.objects.update(last_at=timezone.now() - timedelta(hours=2))
    fail(stranger, 1)
    assert stranger.sign_in().content == b"Ok."


def test_how_many_and_how_long_is_a_preference(sonarr: Caller, stranger: Caller):
    wanted = {"web_ui_max_auth_fail_count": 2, "web_ui_ban_duration": 60}
    sonarr.post("app/setPreferences", json=json.dumps(wanted))
    assert fail(stranger, 2) == [b"Fails."] * 2
    assert answer(stranger.sign_in()) == (403, BANNED)
    assert FailedLogin.objects.get().banned_until <= timezone.now() + timedelta(seconds=60)
    FailedLogin.objects.all().delete()
    sonarr.post("app/setPreferences", json='{"web_ui_max_auth_fail_count": 0}')
    assert fail(stranger, 8) == [b"Fails."] * 8


def test_wrong_basic_credentials_count_and_empty_ones_do_not(owner: User):
    radarr = Caller(Authorization=basic(":"))
    for _ in range(6):
        assert radarr.get("app/version").status_code == 403
    assert not FailedLogin.objects.exists()
    guesser = Caller(Authorization=basic("admin:wrong"))
    for _ in range(6):
        assert answer(guesser.get("app/version")) == (403, b"Forbidden")
    assert FailedLogin.objects.get().failures == 5, "a banned address is not asked any more"
    assert answer(Caller(Authorization=basic(f"admin:{PASSWORD}")).get("app/version")) == (
        403,
        b"Forbidden",
    )


def test_wrong_basic_credentials_beside_a_cookie_are_not_looked_at(sonarr: Caller):
    for _ in range(6):
        header = {"Authorization": basic("admin:wrong")}
        assert sonarr.http.get("/api/v2/app/version", headers=header).status_code == 200
    assert not FailedLogin.objects.exists()


def test_another_address_is_another_matter(owner: User):
    here, there = Caller(), Caller()
    there.http.defaults["REMOTE_ADDR"] = "192.0.2.7"
    fail(here, 5)
    assert there.sign_in().content == b"Ok."


def test_a_made_up_forwarded_address_is_not_believed(owner: User):
    for number in range(5):
        caller = Caller(X_Forwarded_For=f"192.0.2.{number}")
        assert fail(caller, 1) == [b"Fails."]
    assert answer(Caller().sign_in()) == (403, BANNED)


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        ("10.0.0.1", "192.0.2.7:4711, 10.0.0.2:80", "192.0.2.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "rubbish", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.1", "6.6.6.6", "192.0.2.1"),
        ("fe80::1%eth0", "", "fe80::1"),
        ("", "", ""),
        ("unix:", "6.6.6.6", ""),
    ],
)
def test_whose_address_counts_behind_a_proxy(
    rf, settings, remote: str, forwarded: str, address: str
):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/24")]
    request = rf.get("/", REMOTE_ADDR=remote, headers={"X-Forwarded-For": forwarded})
    assert origin.address_of(request) == address


@pytest.mark.parametrize(
    ("address", "banned"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("", "")],
)
def test_of_ipv6_the_whole_network_is_banned(address: str, banned: str):
    assert origin.banned_as(address) == banned


def test_there_is_an_end_to_what_is_remembered(db: None, monkeypatch):
    monkeypatch.setattr(bans, "MAX_ADDRESSES", 5)
    for number in range(12):
        bans.note_failure(f"192.0.2.{number}")
    assert FailedLogin.objects.count() == 5
    assert FailedLogin.objects.filter(pk="192.0.2.11").exists()
    FailedLogin.objects.update(last_at=timezone.now() - timedelta(hours=2))
    bans.prune()
    assert not FailedLogin.objects.exists()
