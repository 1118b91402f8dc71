"""prepare and doctor; `up` and `demo` are walked in tests/e2e with real processes."""

import contextlib
import json
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from anibridge.management.commands import doctor
from catalogue.models import Site
from downloads import heartbeats


@pytest.fixture
def folders(settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    return tmp_path


def examined() -> dict[str, dict[str, object]]:
    out = StringIO()
    with contextlib.suppress(CommandError):
        call_command("doctor", "--json", stdout=out)
    return {row["check"]: row for row in json.loads(out.getvalue())}


@pytest.mark.django_db
def test_prepare_creates_user_and_sites_once(folders: Path, settings):
    settings.CATALOGUE_SITES = ["demo"]
    out = StringIO()
    for _ in range(2):
        call_command("prepare", stdout=out)
    assert out.getvalue().count("Created the user «admin»") == 1
    assert settings.ADMIN_PASSWORD not in out.getvalue()
    user = get_user_model().objects.get(username="admin")
    assert user.is_superuser
    assert user.check_password(settings.ADMIN_PASSWORD)
    assert Site.objects.get(pk="demo").enabled
    assert not Site.objects.get(pk="aniworld").enabled


@pytest.mark.django_db
def test_prepare_names_a_folder_that_cannot_be_written(folders: Path, settings):
    (folders / "downloads").write_text("a file in the way")
    with pytest.raises(CommandError, match="ANIBRIDGE_DOWNLOAD_DIR"):
        call_command("prepare", stdout=StringIO())


@pytest.mark.django_db
def test_prepare_names_a_site_that_does_not_exist(folders: Path, settings):
    settings.CATALOGUE_SITES = ["demo", "nosuch"]
    with pytest.raises(CommandError, match="nosuch"):
        call_command("prepare", stdout=StringIO())


@pytest.mark.django_db
def test_the_doctor_finds_everything_in_order(folders: Path, demo_site: Site, settings):
    settings.DOWNLOAD_DIR = folders / "downloads"
    Site.objects.update(index_size=11)
    for role in heartbeats.ROLES:
        heartbeats.beat(f"{role}@here", role)
    out = StringIO()
    call_command("doctor", stdout=out, no_color=True)
    assert "FAIL" not in out.getvalue()
    assert all(row["ok"] for row in examined().values())


@pytest.mark.django_db
def test_the_doctor_says_what_is_wrong_and_what_to_do(folders: Path, settings):
    (folders / "downloads").write_text("a file in the way")
    with pytest.raises(CommandError, match="something is not in order"):
        call_command("doctor", stdout=StringIO())
    found = examined()
    assert not found["downloads"]["ok"]
    assert "ANIBRIDGE_DOWNLOAD_DIR" in str(found["downloads"]["detail"])
    assert "manage.py up" in str(found["processes"]["detail"])
    assert "CATALOGUE_SITES" in str(found["sites"]["detail"])
    assert found["database"]["ok"]


@pytest.mark.django_db
def test_the_doctor_passes_on_what_a_site_said(folders: Path, demo_site: Site):
    Site.objects.update(index_size=11, failures=2, last_error="asks for a browser check")
    assert examined()["demo"]["detail"] == "asks for a browser check"
    Site.objects.update(index_size=0, failures=0)
    assert examined()["demo"]["detail"] == "its index was not read yet"


@pytest.mark.django_db
def test_the_doctor_survives_a_check_that_fails(monkeypatch: pytest.MonkeyPatch):
    def _broker():
        raise OSError("connection refused")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (_broker,))
    assert examined()["broker"] == {"check": "broker", "ok": False, "detail": "connection refused"}
