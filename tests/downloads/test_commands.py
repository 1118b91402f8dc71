"""`manage.py download …` as a user and a script see it."""

import io
import json
import threading
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from catalogue.models import Site
from catalogue.releases import Identity, Release
from downloads import queue, services, transitions, watching
from downloads.models import Job, JobStatus
from tests.catalogue.factories import SiteFactory
from tests.downloads.factories import JobFactory
from tests.downloads.hybrid import hybrid_torrent
from tests.downloads.orders import order
from tests.downloads.rest import KEYS

pytestmark = pytest.mark.django_db
FOREIGN = f"magnet:?xt=urn:btih:{'5' * 40}&dn=Some.Film.2020"


@pytest.fixture(autouse=True)
def demo(settings: Any, tmp_path: Path) -> Site:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    return SiteFactory(site_id="demo")


def download(*arguments: str, errors: io.StringIO | None = None) -> str:
    out = StringIO()
    call_command("download", *arguments, stdout=out, stderr=errors or StringIO())
    return out.getvalue()


def as_json(*arguments: str) -> list[dict[str, Any]]:
    return json.loads(download(*arguments, "--json"))


def magnet(**rest: Any) -> str:
    identity = Identity("demo", rest.pop("slug", "sintel"), 1, 1, "German Dub")
    return Release(identity=identity, title="Sintel", group="DEMO", height=1080).magnet


# --- adding ------------------------------------------------------------------------------------------


def test_a_magnet_is_added_and_listed():
    (added,) = as_json("add", magnet(), "--category", "tv")
    assert set(added) == KEYS
    assert (added["status"], added["category"]) == ("queued", "tv")
    assert added["name"] == "Sintel.S01E01.German.1080p.WEB.H264-DEMO"
    assert [row["id"] for row in as_json("list")] == [added["id"]]
    assert "Sintel.S01E01.German" in download("list")


def test_any_link_is_added():
    rows = as_json("add", FOREIGN, "https://a.test/film.mkv", "https://a.test/x.torrent")
    assert [row["download_type"] for row in rows] == ["magnet", "http", "torrent"]


def test_links_come_from_the_standard_input_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", StringIO(f"{FOREIGN}\n\nhttps://a.test/film.mkv\n"))
    assert len(as_json("add", "-", "--paused")) == 2
    assert set(Job.objects.values_list("status", flat=True)) == {"paused"}


def test_a_torrent_file_is_added(tmp_path: Path):
    (tmp_path / "some.torrent").write_bytes(hybrid_torrent("x", b"data"))
    (row,) = as_json("add", str(tmp_path / "some.torrent"), "--name", "Mine")
    assert (row["download_type"], row["name"]) == ("torrent", "Mine")
    assert Job.objects.get().torrent.content
    (tmp_path / "other.torrent").write_bytes(b"no torrent")
    with pytest.raises(CommandError):
        download("add", str(tmp_path / "other.torrent"))


def test_an_episode_of_a_site_is_added():
    (row,) = as_json("add", "--site", "demo", "--slug", "sintel", "--season", "1", "--episode", "2")
    assert row["hash"] == Identity("demo", "sintel", 1, 2, "German Dub").infohash
    (row,) = as_json(
        "add", "--site", "demo", "--slug", "sintel", "--season", "1", "--language", "German Sub"
    )
    assert row["hash"] == Identity("demo", "sintel", 1, None, "German Sub").infohash


def test_what_is_said_about_it_is_kept():
    as_json("add", "https://a.test/1.mkv")
    checksum = f"md5:{'0' * 32}"
    (row,) = as_json(
        "add", "https://a.test/2.mkv", "--priority", "top", "--rate-limit", "2MB", "--checksum", checksum,
        "--save-path", "here", "--name", "Two",
    )  # fmt: skip
    job = Job.objects.get(pk=row["id"])
    assert (job.rate_limit, job.checksum, job.name) == (2_000_000, checksum, "Two")
    assert job.save_path.endswith("/downloads/here")
    assert next(iter(queue.waiting())).pk == job.pk


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["no magnet"], "must begin with magnet:", 1),
        (["ftp://a.test/x"], "ftp", 1),
        ([FOREIGN, "--save-path", "/etc"], "inside the download folder", 1),
        ([FOREIGN, "--category", "a//b"], "single slashes", 1),
        ([FOREIGN, "--checksum", "x"], "checksum", 1),
        ([], "give links", 2),
        ([FOREIGN, "--slug", "x"], "give links", 2),
        (["--slug", "x"], "needs --site", 2),
        (["--slug", "x", "--site", "nowhere", "--season", "1"], "no site is called", 1),
        (["--slug", "x", "--site", "demo", "--season", "-1"], "numbers from 0", 1),
    ],
)
def test_what_cannot_be_added_is_refused_with_words(arguments: list[str], told: str, code: int):
    with pytest.raises(CommandError, match=told) as refused:
        download("add", *arguments)
    assert refused.value.returncode == code
    assert not Job.objects.exists()


def test_a_rate_limit_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as refused:
        download("add", FOREIGN, "--rate-limit", "fast")
    assert refused.value.code == 2
    assert "number of bytes such as" in capsys.readouterr().err


def test_the_good_ones_of_many_are_added_and_the_others_named():
    errors = StringIO()
    with pytest.raises(CommandError, match="1 not added, 1 are") as refused:
        download("add", "ftp://a.test/x", FOREIGN, errors=errors)
    assert refused.value.returncode == 1
    assert "ftp://a.test/x" in errors.getvalue()
    assert Job.objects.count() == 1


def test_a_slug_that_would_leave_the_site_is_refused():
    with pytest.raises(CommandError, match="not a Demo catalogue title"):
        download("add", magnet(slug="../../admin"))


# --- looking -----------------------------------------------------------------------------------------


def test_the_list_can_be_narrowed_and_sorted():
    first, _ = services.enqueue(order(category="tv"))
    paused, _ = services.enqueue(order(episode=2, paused=True))
    assert [row["id"] for row in as_json("list", "--status", "paused")] == [paused.pk]
    assert [row["id"] for row in as_json("list", "--category", "tv")] == [first.pk]
    assert [row["id"] for row in as_json("list", "--name", "e02 sintel")] == [paused.pk]
    assert len(as_json("list", "--status", "paused", "--status", "queued")) == 2
    assert [row["id"] for row in as_json("list", "--sort", "id")] == [first.pk, paused.pk]
    assert len(as_json("list", "--limit", "1")) == 1
    assert download("list", "--status", "failed") == "nothing\n"
    with pytest.raises(CommandError, match="--sort takes"):
        download("list", "--sort", "colour")


def test_status_shows_the_history():
    job, _ = services.enqueue(order())
    token = transitions.claim(job.pk, "worker@here")
    transitions.move(job.pk, JobStatus.FAILED, token=token, reason="VOE: gone", error_message="x")
    told = download("status", job.infohash.upper())
    assert "queued → downloading  worker@here" in told
    assert "downloading → failed  VOE: gone" in told


def test_a_name_with_control_characters_cannot_disturb_the_terminal():
    services.enqueue(order(name="evil\x1b[2J\nname"))
    assert "\x1b" not in download("list")


# --- commands ----------------------------------------------------------------------------------------


def test_pause_resume_cancel_and_retry_go_through():
    job, _ = services.enqueue(order())
    for action, status in (
        ("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued"),
    ):  # fmt: skip
        (row,) = as_json(action, str(job.pk))
        assert row["status"] == status
    assert row["retry_count"] == 1


def test_several_are_told_at_once_and_one_refusal_stops_none():
    jobs = [JobFactory(), JobFactory(completed=True), JobFactory()]
    errors = StringIO()
    with pytest.raises(CommandError, match="not possible") as refused:
        download("pause", *(str(job.pk) for job in jobs), errors=errors)
    assert refused.value.returncode == 4
    assert f"{jobs[1].pk}: not possible" in errors.getvalue()
    assert [Job.objects.get(pk=job.pk).status for job in jobs] == ["paused", "completed", "paused"]


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["retry", "JOB"], "not possible: it is queued already", 4),
        (["status", "4711"], "no download «4711»", 3),
        (["pause", "JOB", "4711"], "no download «4711»", 3),
        (["remove", "4711"], "no download «4711»", 3),
        (["watch", "4711"], "no download «4711»", 3),
    ],
)
def test_what_is_not_possible_says_why(arguments: list[str], told: str, code: int):
    job, _ = services.enqueue(order())
    with pytest.raises(CommandError, match=told) as refused:
        download(*(str(job.pk) if one == "JOB" else one for one in arguments))
    assert refused.value.returncode == code
    assert services.get(job.pk).status == JobStatus.QUEUED


def test_removing_takes_it_off_the_list():
    job, _ = services.enqueue(order())
    other = JobFactory()
    assert job.name in download("remove", str(job.pk), "--files")
    (row,) = as_json("remove", other.infohash)
    assert row["id"] == other.pk
    assert as_json("list") == []


# --- watching ----------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.0)


def test_what_is_over_is_told_at_once():
    job = JobFactory(completed=True, name="Done.S01E01")
    JobFactory(paused=True)
    assert "completed    100 %" in download("watch", str(job.pk))
    assert download("watch") == "nothing is under way\n"
    assert download("watch", "--json") == ""


def test_one_that_does_not_arrive_is_a_failure():
    good, bad = JobFactory(completed=True), JobFactory(failed=True)
    with pytest.raises(CommandError, match="1 of 2 did not arrive") as refused:
        download("watch", str(good.pk), str(bad.pk))
    assert refused.value.returncode == 1


def test_watching_ends_in_time(quick: None):
    JobFactory()
    with pytest.raises(CommandError, match="not over yet") as refused:
        download("watch", "--timeout", "0.1")
    assert refused.value.returncode == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("as_lines", [True, False])
def test_progress_is_followed_to_the_end(quick: None, as_lines: bool, demo: Site):
    job = JobFactory(running=True, name="Sintel.S01E01")
    seen = threading.Event()

    class Out(StringIO):
        def write(self, text: str) -> int:
            if "25" in text:
                seen.set()
            return super().write(text)

    def work() -> None:
        seen.wait(30)
        transitions.beat(job.pk, job.attempts, progress=0.5)
        transitions.move(job.pk, JobStatus.COMPLETED, token=job.attempts, progress=1.0)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    out = Out()
    try:
        call_command("download", "watch", *([] if as_lines else ["--json"]), stdout=out)
    finally:
        seen.set()
        worker.join(30)
    if as_lines:
        lines = out.getvalue().splitlines()
        assert (
            "downloading   25 %  104.9 MB of 419.4 MB  5.2 MB/s  60 s left  Sintel.S01E01"
            in lines[0]
        )
        assert "completed    100 %" in lines[-1]
    else:
        states = [json.loads(line) for line in out.getvalue().splitlines()]
        assert states[0]["progress"] == 0.25
        assert states[-1]["status"] == "completed"
        assert all(a != b for a, b in pairwise(states))


def test_a_terminal_gets_a_bar_for_each(quick: None):
    job, other = JobFactory(completed=True, name="One [x]"), JobFactory(completed=True, name="Two")

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    call_command("download", "watch", str(job.pk), str(other.pk), stdout=out)
    assert "One [x]" in out.getvalue()
    assert "━" in out.getvalue()


def test_one_that_is_deleted_while_it_is_watched_is_no_longer_waited_for(quick: None):
    job = JobFactory()
    states = watching.follow([job.pk], seconds=30)
    assert next(states)[job.pk]["status"] == "queued"
    services.remove(job.pk, delete_files=False)
    assert next(states) == {}
    assert next(states, None) is None
