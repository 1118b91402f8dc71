"""Commands that act on the queue, on limits, and on files in place."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from downloads import dispatch, tending
from downloads.models import Downloader, DownloaderKind, Job
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.conftest import UNKNOWN, Caller
from tests.qbshim.factories import ClientTaskFactory


@pytest.mark.parametrize("value", ["true", "false"])
def test_force_start_starts_with_either_value(sonarr: Caller, value: str):
    """As a real server does: the value says whether past the limits of the queue."""
    job = JobFactory(paused=True)
    sonarr.post("torrents/setForceStart", hashes=job.infohash, value=value)
    item = sonarr.one(job)
    assert (item["state"], item["force_start"]) == ("queuedDL", value == "true")
    sonarr.post("torrents/setForceStart", hashes=job.infohash, value="false")
    assert sonarr.one(job)["force_start"] is False


def test_forced_ones_go_first(sonarr: Caller):
    first, second = JobFactory(), JobFactory()
    sonarr.post("torrents/setForceStart", hashes=second.infohash, value="True")
    assert list(Job.objects.due(timezone.now())) == [second, first]


def places(sonarr: Caller, *jobs: Job) -> list[int]:
    return [sonarr.one(job)["priority"] for job in jobs]


def test_the_queue_can_be_reordered(sonarr: Caller):
    a, b, c, d = (JobFactory() for _ in range(4))
    assert places(sonarr, a, b, c, d) == [1, 2, 3, 4]
    sonarr.post("torrents/topPrio", hashes=f"{d.infohash}|{c.infohash.upper()}")
    assert places(sonarr, a, b, c, d) == [3, 4, 1, 2]
    sonarr.post("torrents/bottomPrio", hashes=c.infohash)
    assert places(sonarr, a, b, c, d) == [2, 3, 4, 1]
    sonarr.post("torrents/increasePrio", hashes=b.infohash)
    assert places(sonarr, a, b, c, d) == [3, 2, 4, 1]
    sonarr.post("torrents/decreasePrio", hashes=d.infohash)
    assert places(sonarr, a, b, c, d) == [3, 1, 4, 2]
    sonarr.post("torrents/topPrio", hashes="all")
    assert places(sonarr, a, b, c, d) == [3, 1, 4, 2]


@pytest.mark.parametrize("command", ["topPrio", "bottomPrio", "increasePrio", "decreasePrio"])
def test_a_queue_that_was_switched_off_cannot(sonarr: Caller, command: str):
    sonarr.post("app/setPreferences", json='{"queueing_enabled": false}')
    answer = sonarr.post(f"torrents/{command}", hashes=JobFactory().infohash)
    assert (answer.status_code, answer.content) == (409, b"Torrent queueing must be enabled")


def test_old_sonarr_sets_two_share_limits(sonarr: Caller):
    job = JobFactory()
    answer = sonarr.post(
        "torrents/setShareLimits", hashes=job.infohash, ratioLimit="1.25", seedingTimeLimit="120"
    )
    assert answer.status_code == 200
    item = sonarr.one(job)
    assert (item["ratio_limit"], item["seeding_time_limit"], item["max_ratio"]) == (1.25, 120, 1.25)
    assert item["inactive_seeding_time_limit"] == -2
    sonarr.post(
        "torrents/setShareLimits",
        hashes=job.infohash,
        ratioLimit="-2",
        seedingTimeLimit="-2",
        inactiveSeedingTimeLimit="-1",
    )
    item = sonarr.one(job)
    assert (item["ratio_limit"], item["inactive_seeding_time_limit"]) == (-2, -1)


def test_limits_of_one_torrent(sonarr: Caller):
    job, other = JobFactory(infohash="ab" * 20), JobFactory()
    both = f"{job.infohash.upper()}|{UNKNOWN}|{other.infohash}"
    sonarr.post("torrents/setDownloadLimit", hashes=job.infohash, limit="10240")
    sonarr.post("torrents/setUploadLimit", hashes=job.infohash, limit="5120")
    down = sonarr.post("torrents/downloadLimit", hashes=both).json()
    assert down == {job.infohash.upper(): 10240, UNKNOWN: -1, other.infohash: 0}
    up = sonarr.get("torrents/uploadLimit", hashes=both).json()
    assert up == {job.infohash.upper(): 5120, UNKNOWN: -1, other.infohash: 0}
    assert Job.objects.get(pk=job.pk).rate_limit == 10240, "the engine looks there every second"
    item = sonarr.one(job)
    assert (item["dl_limit"], item["up_limit"]) == (10240, 5120)
    sonarr.post("torrents/setDownloadLimit", hashes="all", limit="-1")
    assert Job.objects.get(pk=job.pk).rate_limit is None


def test_switches_of_an_engine_that_shares_are_kept(sonarr: Caller):
    jobs = [JobFactory(), ClientTaskFactory(kept={"seq_dl": True}).job]
    both = "|".join(job.infohash for job in jobs)
    sonarr.post("torrents/toggleSequentialDownload", hashes=both)
    assert [sonarr.one(job)["seq_dl"] for job in jobs] == [True, False]
    sonarr.post("torrents/toggleFirstLastPiecePrio", hashes=both)
    assert [sonarr.one(job)["f_l_piece_prio"] for job in jobs] == [True, True]
    sonarr.post("torrents/setSuperSeeding", hashes=both, value="true")
    assert [sonarr.one(job)["super_seeding"] for job in jobs] == [True, True]
    sonarr.post("torrents/setSuperSeeding", hashes=both, value="false")
    assert [sonarr.one(job)["super_seeding"] for job in jobs] == [False, False]


def test_what_is_kept_is_told_to_clients_that_only_hear_changes(sonarr: Caller):
    job = JobFactory()
    rid = sonarr.get("sync/maindata").json()["rid"]
    sonarr.post("torrents/setUploadLimit", hashes=job.infohash, limit="5120")
    sonarr.post("torrents/setSuperSeeding", hashes=job.infohash, value="true")
    changed = sonarr.get("sync/maindata", rid=rid).json()["torrents"][job.infohash]
    assert (changed["up_limit"], changed["super_seeding"]) == (5120, True)


def test_reannounce_tries_now_what_was_put_off(sonarr: Caller):
    later = timezone.now() + timedelta(hours=1)
    rested = JobFactory(not_before=later, started_at=timezone.now() - timedelta(minutes=5))
    JobFactory(not_before=later, started_at=timezone.now())
    JobFactory(not_before=later, space_needed=1)
    sonarr.post("torrents/reannounce", hashes="all")
    due = Job.objects.filter(not_before__lte=timezone.now())
    assert list(due) == [rested], "a host that asks for patience, and a full disk, are waited for"


def test_reannounce_has_the_downloader_asked(sonarr: Caller, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(dispatch, "nudge_poll", asked.append)
    box = Downloader.objects.create(
        name="box", kind=DownloaderKind.QBITTORRENT, base_url="http://box"
    )
    jobs = [
        JobFactory(running=True, downloader=box, remote_id=f"{number:040x}") for number in (1, 2)
    ]
    sonarr.post("torrents/reannounce", hashes="|".join(job.infohash for job in jobs))
    assert asked == [box.pk]


def test_recheck_finds_a_file_that_is_gone(sonarr: Caller, finished):
    job = finished(category="tv")
    sonarr.post("torrents/recheck", hashes=job.infohash)
    assert sonarr.one(job)["state"] == "checkingUP"
    assert [item["hash"] for item in sonarr.info(filter="checking")] == [job.infohash]
    Path(job.result_path).unlink()
    tending.run()
    assert sonarr.one(job)["state"] == "missingFiles"
    assert [item["hash"] for item in sonarr.info(filter="errored")] == [job.infohash]
    sonarr.post("torrents/start", hashes="all")
    assert sonarr.one(job)["state"] == "missingFiles"
    sonarr.post("torrents/start", hashes=job.infohash)
    assert sonarr.one(job)["state"] == "queuedDL"


def test_recheck_of_a_good_file_changes_nothing(sonarr: Caller, finished):
    job = finished()
    job.files.update(size_bytes=5)
    before = sonarr.one(job)
    sonarr.post("torrents/recheck", hashes="all")
    tending.run()
    assert sonarr.one(job) == before


def test_recheck_of_what_is_not_finished(sonarr: Caller, downloads_here: Path):
    season = JobFactory(paused=True, episode=None)
    path = downloads_here / "x.mp4"
    path.write_bytes(b"broken")
    JobFileFactory(job=season, episode=1, path=str(path), size_bytes=5)
    waiting = JobFactory()
    sonarr.post("torrents/recheck", hashes="all")
    assert [sonarr.one(job)["state"] for job in (season, waiting)] == ["checkingDL", "queuedDL"]
    tending.run()
    assert sonarr.one(season)["state"] == "stoppedDL"
    assert not path.exists()


def test_renaming_a_file_through_the_api(sonarr: Caller, finished, downloads_here: Path):
    job = finished(category="tv")
    old = f"{job.name}.mp4"
    asked = {"hash": job.infohash, "oldPath": old, "newPath": "Better.mp4"}
    answer = sonarr.post("torrents/renameFile", **asked)
    assert (answer.status_code, answer.content) == (200, b"")
    assert sonarr.one(job)["content_path"] == str(downloads_here / "tv" / "Better.mp4")
    answer = sonarr.post("torrents/renameFile", **asked)
    assert (answer.status_code, answer.content.decode()) == (409, f"No such file: '{old}'.")
    answer = sonarr.post("torrents/renameFile", hash=UNKNOWN, oldPath="a", newPath="b")
    assert (answer.status_code, answer.content) == (404, b"Not Found")
    assert sonarr.post("torrents/renameFile", hash=UNKNOWN, oldPath="a").status_code == 400


def test_renaming_a_folder_through_the_api(sonarr: Caller, downloads_here: Path):
    folder = downloads_here / "Sintel.S01"
    job = JobFactory(completed=True, episode=None, result_path=str(folder), name="Sintel.S01")
    folder.mkdir()
    (folder / "E1.mp4").write_bytes(b"video")
    JobFileFactory(job=job, episode=1, path=str(folder / "E1.mp4"))
    asked = {"hash": job.infohash, "oldPath": "Sintel.S01", "newPath": "Sintel"}
    assert sonarr.post("torrents/renameFolder", **asked).status_code == 200
    assert sonarr.one(job)["content_path"] == str(downloads_here / "Sintel")
    answer = sonarr.post("torrents/renameFolder", **{**asked, "oldPath": "no-such"})
    assert (answer.status_code, answer.content) == (409, b"No such folder: 'no-such'.")


def test_a_folder_for_unfinished_files_is_given_back_and_changes_nothing(
    sonarr: Caller, downloads_here: Path
):
    job, following = JobFactory(), JobFactory()
    ClientTaskFactory(job=job, auto_tmm=False)
    ClientTaskFactory(job=following, auto_tmm=True)
    both = f"{job.infohash}|{following.infohash}|{UNKNOWN}"
    before = sonarr.one(job)
    assert sonarr.post("torrents/setDownloadPath", id=both, path="inc").status_code == 200
    folder = str(downloads_here / "inc")
    assert sonarr.one(job) == before | {"download_path": folder}
    properties = sonarr.get("torrents/properties", hash=job.infohash).json()
    assert properties["download_path"] == folder
    assert sonarr.one(following)["download_path"] == ""
    assert sonarr.post("torrents/setDownloadPath", id=both, path="/etc").status_code == 409
    assert sonarr.post("torrents/setDownloadPath", id=both, path="").status_code == 200
    assert sonarr.one(job) == before
