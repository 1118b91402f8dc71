"""What a client says beside the links, in the wording of every age."""

from pathlib import Path
from typing import Any

import pytest

from downloads import files, queue, transitions
from downloads.engines.base import Run
from downloads.models import Job, JobStatus
from qbshim import preferences
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.conftest import Caller


def set_preferences(**values: Any) -> None:
    for key, value in values.items():
        preferences.keep(key, value)


def add(sonarr: Caller, release: Any, **options: Any) -> dict[str, Any]:
    assert sonarr.post("torrents/add", urls=release.magnet, **options).content == b"Ok."
    return sonarr.one(release.infohash)


def placed(job: Job, episode: int | None = 1) -> Path:
    """Where a worker puts a file of this job."""
    token = transitions.claim(job.pk, "worker")
    assert token is not None
    partial = files.partial_folder(job.pk) / "x.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"video")
    return (
        Run(Job.objects.get(pk=job.pk), token).place(partial, episode=episode, suffix=".mp4").path
    )


def test_every_option_is_kept_and_given_back(sonarr: Caller, release, downloads_here: Path):
    """As recorded from a real 5.1.0 (add.all_options)."""
    item = add(
        sonarr,
        release(),
        category="pr-movies",
        savepath=str(downloads_here / "full"),
        tags="pr-a,pr-new",
        rename="Renamed.By.Add",
        stopped="true",
        paused="true",
        autoTMM="false",
        contentLayout="Original",
        root_folder="true",
        dlLimit="4096",
        upLimit="2048",
        ratioLimit="1.5",
        seedingTimeLimit="60",
        inactiveSeedingTimeLimit="30",
        sequentialDownload="true",
        firstLastPiecePrio="true",
        skip_checking="true",
        stopCondition="None",
    )
    told = {
        "auto_tmm": False,
        "category": "pr-movies",
        "dl_limit": 4096,
        "f_l_piece_prio": True,
        "inactive_seeding_time_limit": 30,
        "max_inactive_seeding_time": 30,
        "max_ratio": 1.5,
        "max_seeding_time": 60,
        "name": "Renamed.By.Add",
        "ratio_limit": 1.5,
        "save_path": str(downloads_here / "full"),
        "seeding_time_limit": 60,
        "seq_dl": True,
        "state": "stoppedDL",
        "tags": "pr-a, pr-new",
        "up_limit": 2048,
    }
    assert {key: item[key] for key in told} == told
    assert Job.objects.get().rate_limit == 4096
    properties = sonarr.get("torrents/properties", hash=release().infohash).json()
    assert (properties["dl_limit"], properties["up_limit"]) == (4096, 2048)


def test_what_is_finished_can_be_removed_whatever_limit_was_set(sonarr: Caller, release):
    """Nothing is ever shared: a ratio of 1.5 would never come."""
    add(sonarr, release(), ratioLimit="1.5", seedingTimeLimit="60")
    Job.objects.update(status=JobStatus.COMPLETED, result_path="/x", progress=1)
    item = sonarr.one(release().infohash)
    assert (item["ratio"], item["ratio_limit"]) == (0, 0)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"ratioLimit": "nan", "seedingTimeLimit": "x"}, (-2, -2)),
        ({"ratioLimit": "inf", "seedingTimeLimit": "9" * 30}, (9999, -2)),
        ({"ratioLimit": "-5", "seedingTimeLimit": "-5"}, (-1, -1)),
        ({"ratioLimit": "-1", "seedingTimeLimit": "99999999"}, (-1, 525_600)),
        ({"ratioLimit": "1,5", "seedingTimeLimit": "1.5"}, (-2, -2)),
    ],
)
def test_limits_that_are_none(sonarr: Caller, release, sent: dict[str, str], shown: tuple):
    item = add(sonarr, release(), **sent)
    assert (item["ratio_limit"], item["seeding_time_limit"]) == shown


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "9" * 40, "1.5"])
def test_a_rate_limit_that_is_none(sonarr: Caller, release, value: str):
    assert add(sonarr, release(), dlLimit=value, upLimit=value)["dl_limit"] == 0
    assert Job.objects.get().rate_limit is None


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("", "{}.mp4"),
        ("Original", "{}.mp4"),
        ("original", "{}.mp4"),
        ("Subfolder", "{0}/{0}.mp4"),
        ("NoSubfolder", "{}.mp4"),
        ("Nonsense", "{}.mp4"),
    ],
)
def test_the_layout_decides_where_the_file_lies(
    sonarr: Caller, release, downloads_here: Path, layout: str, expected: str
):
    grabbed = release()
    add(sonarr, grabbed, contentLayout=layout)
    job = Job.objects.get()
    path = placed(job)
    assert path == downloads_here / expected.format(grabbed.name)
    transitions.move(job.pk, JobStatus.COMPLETED, result_path=str(path), progress=1.0)
    item = sonarr.one(grabbed.infohash)
    assert item["content_path"] == str(path) != item["save_path"]
    assert item["root_path"] == (str(path.parent) if layout == "Subfolder" else "")
    [row] = sonarr.get("torrents/files", hash=grabbed.infohash).json()
    assert row["name"] == expected.format(grabbed.name)
    sonarr.post("torrents/delete", hashes=grabbed.infohash, deleteFiles="true")
    assert [one.name for one in downloads_here.iterdir()] in ([], [files.PARTIAL])


@pytest.mark.parametrize("options", [{"contentLayout": "NoSubfolder"}, {"root_folder": "false"}])
def test_a_season_without_a_folder(sonarr: Caller, release, downloads_here: Path, options):
    add(sonarr, release(None), **options)
    path = placed(Job.objects.get())
    assert path.parent == downloads_here
    assert ".S01E01." in path.name


def test_the_first_in_the_queue(sonarr: Caller, release):
    for episode in (1, 2):
        add(sonarr, release(episode), addToTopOfQueue="true" if episode == 2 else "false")
    assert [job.episode for job in queue.waiting()] == [2, 1]
    assert sonarr.one(release(2).infohash)["priority"] == 1


def test_a_forced_one_starts_at_once(sonarr: Caller, release):
    assert add(sonarr, release(), forced="true")["force_start"] is True


def test_preferences_decide_what_is_not_said(sonarr: Caller, release, downloads_here: Path):
    add(sonarr, release(1))
    set_preferences(
        add_stopped_enabled=True,
        add_to_top_of_queue=True,
        torrent_content_layout="Subfolder",
        auto_tmm_enabled=False,
        use_category_paths_in_manual_mode=False,
    )
    item = add(sonarr, release(2), category="tv")
    assert (item["state"], item["priority"], item["auto_tmm"]) == ("stoppedDL", 1, False)
    assert item["save_path"] == str(downloads_here)
    assert Job.objects.get(episode=2).subfolder == "always"
    item = add(sonarr, release(3), category="tv", stopped="false", autoTMM="true")
    assert (item["state"], item["save_path"]) == ("queuedDL", str(downloads_here / "tv"))


def test_a_folder_of_its_own_is_no_folder_of_the_category(sonarr: Caller, release):
    """And one that is to follow its category has no folder of its own."""
    assert add(sonarr, release(1), category="tv")["auto_tmm"] is True
    assert add(sonarr, release(2), category="tv", savepath="own")["auto_tmm"] is False
    item = add(sonarr, release(3), category="tv", savepath="/etc", autoTMM="true")
    assert item["save_path"].endswith("/tv")


def test_a_failed_season_added_again_takes_what_it_has_along(
    sonarr: Caller, release, downloads_here: Path
):
    add(sonarr, release(None), category="tv")
    job = Job.objects.get()
    path = downloads_here / "tv" / job.name / "x.S01E01.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"video")
    JobFileFactory(job=job, episode=1, path=str(path), size_bytes=5)
    transitions.claim(job.pk, "worker")
    transitions.move(job.pk, JobStatus.FAILED, error_message="not the whole season")
    item = add(sonarr, release(None), category="anime", dlLimit="1000", contentLayout="Original")
    assert (item["state"], item["category"], item["dl_limit"]) == ("queuedDL", "anime", 1000)
    assert item["save_path"] == str(downloads_here / "anime")
    assert job.files.get().path == str(downloads_here / "anime" / job.name / "x.S01E01.mp4")


def test_a_job_from_elsewhere_shows_whether_it_follows_its_category(
    sonarr: Caller, downloads_here: Path
):
    inside = JobFactory(category="tv")
    outside = JobFactory(category="tv", save_path=str(downloads_here / "own"))
    assert [sonarr.one(job)["auto_tmm"] for job in (inside, outside)] == [True, False]
