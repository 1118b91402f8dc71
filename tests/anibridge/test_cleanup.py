"""`manage.py cleanup`: every part of the installation forgets, and says what."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalogue.models import AvailabilityRecord
from downloads import files
from downloads.models import Job
from tests.catalogue.factories import SiteFactory
from tests.downloads.factories import JobFactory

pytestmark = pytest.mark.django_db
OLD = timezone.now() - timedelta(days=400)


@pytest.fixture(autouse=True)
def old_things(settings: Any, tmp_path: Path) -> None:
    """Something old of every part."""
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    site = SiteFactory(site_id="demo")
    AvailabilityRecord.objects.create(
        site=site,
        slug="x",
        season=1,
        episode=1,
        language="German Dub",
        is_available=False,
        checked_at=OLD,
    )
    JobFactory(removed_at=OLD)
    (files.partial_folder(4711)).mkdir(parents=True)
    (files.partial_folder(4711) / "file.part").write_bytes(b"x" * 2000)
    Session.objects.create(session_key="old", session_data="", expire_date=OLD)


def cleanup(*arguments: str) -> str:
    out = StringIO()
    call_command("cleanup", *arguments, stdout=out)
    return out.getvalue()


def found(*arguments: str) -> dict[tuple[str, str], int]:
    rows = json.loads(cleanup("--json", *arguments))
    assert all(set(row) == {"part", "what", "count", "bytes", "detail"} for row in rows)
    return {(row["part"], row["what"]): row["count"] for row in rows if row["count"]}


EVERYTHING = {
    ("catalogue", "not available"): 1,
    ("downloads", "unfinished files"): 1,
    ("downloads", "removed downloads"): 1,
    ("sessions", "sessions that ended"): 1,
}


def test_a_dry_run_counts_and_drops_nothing():
    assert found("--dry-run") == EVERYTHING
    assert found("--dry-run") == EVERYTHING


def test_everything_old_goes_once():
    assert found() == EVERYTHING
    assert found() == {}
    assert not Job.objects.exists()
    assert not Session.objects.exists()
    assert not files.partial_folder(4711).exists()


def test_one_part_can_be_cleaned_alone():
    assert set(found("--part", "sessions")) == {("sessions", "sessions that ended")}
    assert set(found()) == set(EVERYTHING) - {("sessions", "sessions that ended")}


def test_a_table_says_how_large_it_is():
    table = cleanup("--dry-run")
    assert "unfinished files" in table
    assert "2.0 kB" in table
    assert "demo" in table


def test_an_unknown_part_is_refused():
    with pytest.raises(CommandError):
        cleanup("--part", "everything")
