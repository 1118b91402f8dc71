"""`manage.py download …` as a user and a script see it."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalogue.models import Site
from catalogue.releases import Identity, Release
from downloads import services, transitions
from downloads.models import Job, JobStatus
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db


def download(*arguments: str) -> str:
    out = StringIO()
    call_command("download", *arguments, stdout=out)
    return out.getvalue()


def as_json(*arguments: str) -> list[dict[str, Any]]:
    return json.loads(download(*arguments, "--json"))


def magnet(**rest: Any) -> str:
    identity = Identity("demo", rest.pop("slug", "sintel"), 1, 1, "German Dub")
    return Release(identity=identity, title="Sintel", group="DEMO", height=1080).magnet


def test_a_magnet_is_added_and_listed():
    (added,) = as_json("add", magnet(), "--category", "tv")
    assert (added["status"], added["category"]) == ("queued", "tv")
    assert added["name"] == "Sintel.S01E01.German.1080p.WEB.H264-DEMO"
    assert [row["id"] for row in as_json("list")] == [added["id"]]
    assert "Sintel.S01E01.German" in download("list")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no magnet", "magnet"),
        (f"magnet:?xt=urn:btih:{'0' * 40}&dn=Foreign", "own releases"),
    ],
)
def test_what_cannot_be_added_is_refused_with_words(text: str, told: str):
    with pytest.raises(CommandError, match=told):
        download("add", text)
    assert not Job.objects.exists()


def test_a_slug_that_would_leave_the_site_is_refused():
    with pytest.raises(CommandError, match="not a Demo catalogue title"):
        download("add", magnet(slug="../../admin"))


def test_the_list_can_be_narrowed():
    services.enqueue(order())
    paused, _ = services.enqueue(order(episode=2, paused=True))
    assert [row["id"] for row in as_json("list", "--status", "paused")] == [paused.pk]
    assert len(as_json("list", "--limit", "1")) == 1
    assert download("list", "--status", "failed") == "nothing\n"


def test_status_shows_the_history():
    job, _ = services.enqueue(order())
    token = transitions.claim(job.pk, "worker@here")
    transitions.move(job.pk, JobStatus.FAILED, token=token, reason="VOE: gone", error_message="x")
    told = download("status", job.infohash.upper())
    assert "queued → downloading  worker@here" in told
    assert "downloading → failed  VOE: gone" in told


def test_pause_resume_cancel_and_retry_go_through():
    job, _ = services.enqueue(order())
    for action, status in (
        ("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued"),
    ):  # fmt: skip
        (row,) = as_json(action, str(job.pk))
        assert row["status"] == status
    assert row["retry_count"] == 1


def test_what_is_not_possible_says_why():
    job, _ = services.enqueue(order())
    with pytest.raises(CommandError, match="not possible: it is queued already"):
        download("retry", str(job.pk))
    with pytest.raises(CommandError, match="no download «4711»"):
        download("status", "4711")


def test_removing_takes_it_off_the_list():
    job, _ = services.enqueue(order())
    assert job.name in download("remove", str(job.pk), "--files")
    assert as_json("list") == []


def test_a_name_with_control_characters_cannot_disturb_the_terminal():
    Site.objects.create(site_id="demo", display_name="Demo", base_url="https://demo.test")
    services.enqueue(order(name="evil\x1b[2J\nname"))
    assert "\x1b" not in download("list")
