"""What clients set and read back."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from downloads import categories as shared
from downloads import limits
from downloads.models import Job
from qbshim import preferences
from qbshim.models import Preference
from qbshim.preference_keys import ACTING, DEFAULTS, FIXED, LIMITS, RANGES
from tests.qbshim.conftest import Caller


def put(caller: Caller, **values: Any) -> int:
    return caller.post("app/setPreferences", json=json.dumps(values)).status_code


def get(caller: Caller) -> dict[str, Any]:
    return caller.get("app/preferences").json()


def test_the_table_of_keys_is_in_order():
    assert set(DEFAULTS) >= FIXED | ACTING | set(RANGES) | set(LIMITS) | set(LIMITS.values())
    assert not FIXED & ACTING
    assert len(DEFAULTS) == 221


def test_the_document_says_which_act_and_which_are_fixed():
    text = (settings.BASE_DIR / "docs" / "qbittorrent-api.md").read_text()
    text = text.partition("### Preferences")[2].partition("\n#")[0]
    acting, _, fixed = text.partition("These say what is so")
    assert set(re.findall(r"`(\w+)`", acting)) == ACTING
    assert set(re.findall(r"`(\w+)`", fixed)) == FIXED


def test_what_is_set_is_given_back(sonarr: Caller):
    wanted = {"pex": True, "listen_port": 4711, "locale": "de", "queueing_enabled": True}
    assert put(sonarr, **wanted) == 200
    assert get(sonarr).items() >= wanted.items()


def test_setting_everything_to_what_it_is_changes_nothing(sonarr: Caller):
    before = get(sonarr)
    assert put(sonarr, **before) == 200
    assert get(sonarr) == before
    assert not Preference.objects.exists()


def test_every_key_that_is_kept_keeps_another_value(sonarr: Caller):
    """But those whose meaning has bounds, which have tests of their own."""
    others = {bool: lambda v: not v, int: lambda v: v + 7, str: lambda v: f"{v}x"}
    own = FIXED | set(RANGES) | set(LIMITS) | set(LIMITS.values()) | {"save_path"}
    kept = {key: value for key, value in DEFAULTS.items() if key not in own}
    wanted = {key: others[type(value)](value) for key, value in kept.items()}
    put(sonarr, **wanted)
    read = get(sonarr)
    assert {key: read[key] for key in wanted} == wanted


def test_what_is_fixed_stays_as_it_is(sonarr: Caller):
    before = get(sonarr)
    others = {bool: lambda v: not v, int: lambda v: v + 7, str: lambda v: f"{v}x", dict: lambda v: {"/x": 1}}  # fmt: skip
    put(sonarr, **{key: others[type(before[key])](before[key]) for key in FIXED})
    assert get(sonarr) == before


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("ssl_enabled", "true", True),
        ("queueing_enabled", 0, False),
        ("queueing_enabled", [], True),
        ("queueing_enabled", None, True),
        ("listen_port", "4711", 4711),
        ("listen_port", 4711.0, 4711),
        ("listen_port", 1e300, 0),
        ("listen_port", "x", 0),
        ("listen_port", True, 1),
        ("listen_port", 2**40, 2**31 - 1),
        ("locale", 5, "en"),
        ("locale", "a\x00b\ud800", "ab?"),
        ("locale", "x" * 20_001, "en"),
        ("refresh_interval", 1, 500),
        ("web_ui_max_auth_fail_count", -3, 0),
        ("web_ui_ban_duration", 0, 1),
        ("no_such_preference", 1, None),
    ],
)
def test_a_value_is_brought_into_the_type_of_its_key_or_left_out(
    sonarr: Caller, key: str, value: Any, kept: Any
):
    assert put(sonarr, **{key: value}) == 200
    assert get(sonarr).get(key) == kept


@pytest.mark.parametrize(
    "text", ["", "{nope", "[1]", "5", "null", "NaN", '{"queueing_enabled": NaN, "max_ratio": Infinity}', "[" * 9999]
)  # fmt: skip
def test_what_is_no_set_of_preferences_is_passed_over(sonarr: Caller, text: str):
    before = get(sonarr)
    response = sonarr.post("app/setPreferences", json=text)
    assert (response.status_code, response.content) == (200, b"")
    assert get(sonarr) | {"queueing_enabled": True} == before


def test_a_limit_counts_only_beside_its_switch(sonarr: Caller):
    put(sonarr, max_ratio=2.5)
    assert get(sonarr)["max_ratio"] == -1
    put(sonarr, max_ratio_enabled=True, max_ratio=2.5, max_seeding_time_enabled=True, max_seeding_time=90)  # fmt: skip
    read = get(sonarr)
    assert (read["max_ratio_enabled"], read["max_ratio"], read["max_seeding_time"]) == (True, 2.5, 90)  # fmt: skip
    put(sonarr, max_ratio_enabled=False, max_seeding_time_enabled=False)
    read = get(sonarr)
    assert (read["max_ratio_enabled"], read["max_ratio"], read["max_seeding_time"]) == (False, -1, -1)  # fmt: skip


def test_nobody_is_told_that_something_is_removed_at_a_limit(sonarr: Caller):
    put(sonarr, max_ratio_act=1)
    assert get(sonarr)["max_ratio_act"] == 0


def test_nobody_can_have_sonarr_refuse_our_magnets(sonarr: Caller):
    """It refuses those without a tracker, as ours are, and warns of a torrent without metadata."""
    assert put(sonarr, dht=False) == 200
    assert get(sonarr)["dht"] is True


def test_speed_limits_are_those_that_the_engines_obey(sonarr: Caller):
    put(sonarr, dl_limit=1_000_000, alt_dl_limit=500_000, up_limit=7)
    assert limits.speed_limits().effective == 1_000_000
    assert get(sonarr).items() >= {"dl_limit": 1_000_000, "alt_dl_limit": 500_000, "up_limit": 7}.items()  # fmt: skip
    assert not Preference.objects.filter(key="dl_limit").exists()
    assert sonarr.get("transfer/downloadLimit").content == b"1000000"
    sonarr.post("transfer/setSpeedLimitsMode", mode="1")
    assert sonarr.get("transfer/downloadLimit").content == b"500000"
    sonarr.post("transfer/setDownloadLimit", limit="-1")
    assert get(sonarr)["alt_dl_limit"] == 0


def test_the_save_path_is_where_downloads_without_a_category_go(
    sonarr: Caller, release, downloads_here: Path
):
    assert put(sonarr, save_path=str(downloads_here / "in")) == 200
    assert get(sonarr)["save_path"] == str(downloads_here / "in")
    assert sonarr.get("app/defaultSavePath").content.decode() == str(downloads_here / "in")
    sonarr.post("torrents/add", urls=release(1).magnet)
    sonarr.post("torrents/add", urls=release(2).magnet, category="tv")
    found = dict(Job.objects.values_list("category", "save_path"))
    assert found == {"": str(downloads_here / "in"), "tv": str(downloads_here / "in" / "tv")}
    assert shared.folder("tv") == downloads_here / "in" / "tv", "for every other way in, too"


def test_with_another_save_path_every_folder_that_clients_are_shown_is_there(
    sonarr: Caller, downloads_here: Path
):
    """Sonarr's health check looks for its category's."""
    sonarr.post("torrents/createCategory", category="tv")
    put(sonarr, save_path=str(downloads_here / "in"))
    shown = sonarr.get("torrents/categories").json()["tv"]["savePath"]
    assert shown == str(downloads_here / "in" / "tv")
    assert Path(shown).is_dir()


def test_a_save_path_elsewhere_is_refused_and_nothing_else_kept(sonarr: Caller):
    before = get(sonarr)
    response = sonarr.post(
        "app/setPreferences", json=json.dumps({"save_path": "/etc", "pex": True})
    )
    assert response.status_code == 409
    assert "is not inside the download folder" in response.content.decode()
    assert get(sonarr) == before


def test_a_save_path_that_no_longer_fits_gives_way_to_the_root(sonarr: Caller, downloads_here: Path):  # fmt: skip
    Preference.objects.create(key="save_path", value="../../etc")
    assert get(sonarr)["save_path"] == str(downloads_here)


def test_rules_that_every_request_meets_are_believed_for_some_seconds(db: None, monkeypatch):
    assert preferences.believed.get("web_ui_domain_list") == "*"
    Preference.objects.create(key="web_ui_domain_list", value="nas")
    assert preferences.believed.get("web_ui_domain_list") == "*"
    monkeypatch.setattr(preferences, "_BELIEVED_SECONDS", -1)
    assert preferences.believed.get("web_ui_domain_list") == "nas"
