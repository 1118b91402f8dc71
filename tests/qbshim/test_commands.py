"""Commands for one job, for several, for all, and for hashes that are not there."""

from pathlib import Path

import pytest

from downloads import files, transitions
from downloads.models import Job, JobTorrent
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.conftest import UNKNOWN, Caller
from tests.qbshim.factories import ClientTaskFactory

BULK = [
    ("delete", {}),
    ("stop", {}),
    ("start", {}),
    ("pause", {}),
    ("resume", {}),
    ("recheck", {}),
    ("reannounce", {}),
    ("setForceStart", {"value": "true"}),
    ("setCategory", {"category": ""}),
    ("setLocation", {"location": "x"}),
    ("setAutoManagement", {"enable": "true"}),
    ("setSuperSeeding", {"value": "true"}),
    ("setDownloadLimit", {"limit": "1000"}),
    ("setUploadLimit", {"limit": "1000"}),
    ("setShareLimits", {"ratioLimit": "1", "seedingTimeLimit": "1"}),
    ("toggleSequentialDownload", {}),
    ("toggleFirstLastPiecePrio", {}),
    ("topPrio", {}),
    ("bottomPrio", {}),
    ("increasePrio", {}),
    ("decreasePrio", {}),
    ("addTags", {"tags": "a"}),
    ("removeTags", {"tags": "a"}),
]


def status(job: Job) -> str:
    return Job.objects.get(pk=job.pk).status


@pytest.mark.parametrize(("command", "rest"), BULK)
def test_an_unknown_hash_is_fine_for_a_command(sonarr: Caller, command: str, rest: dict[str, str]):
    response = sonarr.post(f"torrents/{command}", hashes=UNKNOWN, **rest)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("path", ["properties", "files", "trackers", "webseeds", "pieceStates"])
def test_an_unknown_hash_is_not_found_when_reading(sonarr: Caller, path: str):
    for infohash in (UNKNOWN, "xyz", "all", ""):
        response = sonarr.get(f"torrents/{path}", hash=infohash)
        assert (response.status_code, response.content) == (404, b"Not Found")


@pytest.mark.parametrize(("command", "rest"), BULK)
def test_a_command_needs_hashes(sonarr: Caller, command: str, rest: dict[str, str]):
    assert sonarr.post(f"torrents/{command}", **rest).status_code == 400
    assert sonarr.get(f"torrents/{command}", hashes="all").status_code == 405


def test_a_hash_is_understood_in_any_case(sonarr: Caller):
    job = JobFactory(infohash="ab" * 20)
    assert sonarr.get("torrents/properties", hash="AB" * 20).json()["hash"] == job.infohash
    sonarr.post("torrents/stop", hashes="Ab" * 20)
    assert status(job) == "paused"
    sonarr.post("torrents/delete", hashes="AB" * 20)
    assert sonarr.info() == []


@pytest.mark.parametrize(("stop", "start"), [("stop", "start"), ("pause", "resume")])
def test_both_dialects_stop_and_start(sonarr: Caller, stop: str, start: str):
    running, waiting = JobFactory(running=True), JobFactory()
    both = f"{running.infohash}|{waiting.infohash}"
    sonarr.post(f"torrents/{stop}", hashes=both)
    assert {item["state"] for item in sonarr.info()} == {"stoppedDL"}
    sonarr.post(f"torrents/{start}", hashes=running.infohash)
    assert (status(running), status(waiting)) == ("queued", "paused")


def test_all_stops_what_runs_and_starts_what_is_paused(sonarr: Caller, finished):
    jobs = [JobFactory(), JobFactory(running=True), JobFactory(failed=True), finished()]
    sonarr.post("torrents/stop", hashes="all")
    assert [status(job) for job in jobs] == ["paused", "paused", "failed", "completed"]
    sonarr.post("torrents/start", hashes="all")
    assert [status(job) for job in jobs] == ["queued", "queued", "failed", "completed"]


@pytest.mark.parametrize("trait", ["failed", "cancelled"])
def test_starting_a_named_job_tries_it_again(sonarr: Caller, trait: str):
    job = JobFactory(**{trait: True})
    sonarr.post("torrents/start", hashes=job.infohash)
    assert status(job) == "queued"


def test_deleting_keeps_the_files_unless_asked(sonarr: Caller, finished):
    kept, gone, default = finished(), finished(), finished()
    sonarr.post("torrents/delete", hashes=kept.infohash, deleteFiles="False")
    sonarr.post("torrents/delete", hashes=gone.infohash, deleteFiles="True")
    sonarr.post("torrents/delete", hashes=default.infohash)
    assert sonarr.info() == []
    assert [Path(job.result_path).exists() for job in (kept, gone, default)] == [True, False, True]


def test_deleting_everything_touches_nothing_else(sonarr: Caller, finished, downloads_here: Path):
    finished(category="tv")
    stranger = downloads_here / "tv" / "somebody else's.mkv"
    stranger.write_text("not ours")
    sonarr.post("torrents/delete", hashes="all", deleteFiles="true")
    assert list((downloads_here / "tv").iterdir()) == [stranger]


def test_a_pack_goes_with_its_folder(sonarr: Caller, downloads_here: Path):
    folder = downloads_here / "Sintel.S01"
    folder.mkdir()
    job = JobFactory(completed=True, episode=None, result_path=str(folder), name="Sintel.S01")
    for episode in (1, 2):
        path = folder / f"Sintel.S01E0{episode}.mp4"
        path.write_bytes(b"video")
        JobFileFactory(job=job, episode=episode, path=str(path))
    item = sonarr.one(job)
    assert item["content_path"] == item["root_path"] == str(folder)
    names = [row["name"] for row in sonarr.get("torrents/files", hash=job.infohash).json()]
    assert names == ["Sintel.S01/Sintel.S01E01.mp4", "Sintel.S01/Sintel.S01E02.mp4"]
    sonarr.post("torrents/delete", hashes=job.infohash, deleteFiles="true")
    assert not folder.exists()


def test_deleting_a_running_job_ends_it_and_drops_what_it_has(sonarr: Caller):
    job = JobFactory()
    token = transitions.claim(job.pk, "worker")
    partial = files.partial_folder(job.pk)
    partial.mkdir(parents=True)
    sonarr.post("torrents/delete", hashes=job.infohash, deleteFiles="true")
    assert not partial.exists()
    assert transitions.beat(job.pk, token) is False


def test_many_hashes_in_one_request(sonarr: Caller):
    jobs = [JobFactory() for _ in range(3)]
    hashes = "|".join([f"{n:040x}" for n in range(10**6, 10**6 + 1500)] + [jobs[0].infohash])
    sonarr.post("torrents/stop", hashes=hashes)
    assert [status(job) for job in jobs] == ["paused", "queued", "queued"]
    assert [i["hash"] for i in sonarr.post("torrents/info", hashes=hashes).json()] == [
        jobs[0].infohash
    ]


def test_rename_works_for_a_job_from_elsewhere_too(sonarr: Caller):
    ours, other = ClientTaskFactory().job, JobFactory()
    for job in (ours, other):
        sonarr.post("torrents/rename", hash=job.infohash.upper(), name=" New\nName ")
        assert sonarr.one(job)["name"] == "New Name"
        assert Job.objects.get(pk=job.pk).name == job.name


def test_the_comment_says_when_a_file_is_gone(sonarr: Caller, finished):
    job = finished()
    assert sonarr.get("torrents/properties", hash=job.infohash).json()["comment"] == ""
    Path(job.result_path).unlink()
    comment = sonarr.get("torrents/properties", hash=job.infohash).json()["comment"]
    assert comment == "the file is no longer where it was placed"


def test_a_failed_job_says_why(sonarr: Caller):
    job = JobFactory(failed=True)
    assert sonarr.one(job)["comment"] == job.error_message
    properties = sonarr.get("torrents/properties", hash=job.infohash).json()
    assert properties["comment"] == job.error_message
    tracker = sonarr.get("torrents/trackers", hash=job.infohash).json()[-1]
    assert (tracker["status"], tracker["msg"]) == (4, job.error_message)


def test_files_by_index(sonarr: Caller, finished):
    job = finished(category="tv")
    [row] = sonarr.get("torrents/files", hash=job.infohash, indexes="0").json()
    assert (row["name"], row["priority"], row["progress"]) == (f"{job.name}.mp4", 1, 1)
    beyond = sonarr.get("torrents/files", hash=job.infohash, indexes="99")
    assert (beyond.status_code, beyond.content) == (409, b"Index 99 is out of bounds.")
    for wrong in ("x", "", "-1", "0|"):
        answer = sonarr.get("torrents/files", hash=job.infohash, indexes=wrong)
        assert answer.status_code == 409
        assert b"is not a valid file index." in answer.content


def test_a_file_on_its_way_is_listed_with_what_has_come(sonarr: Caller):
    job = JobFactory(running=True, progress=0.25)
    [row] = sonarr.get("torrents/files", hash=job.infohash).json()
    assert (row["name"], row["progress"], row["is_seed"]) == (f"{job.name}.mp4", 0.25, False)
    assert row["size"] == sonarr.one(job)["size"]
    job = JobFactory(running=True, downloaded_bytes=0, progress=0)
    assert sonarr.get("torrents/files", hash=job.infohash).json() == []


def test_each_episode_of_a_season_has_its_own_progress(sonarr: Caller, downloads_here: Path):
    job = JobFactory(running=True, episode=None, name="Sintel.S01.German", progress=0.375)
    folder = downloads_here / "Sintel.S01.German"
    for episode in (1, 2, 3, 4):
        here = str(folder / "Sintel.S01E01.German.mkv") if episode == 1 else ""
        JobFileFactory(job=job, episode=episode, path=here, size_bytes=7 if here else 0)
    rows = sonarr.get("torrents/files", hash=job.infohash).json()
    assert [(row["name"], row["progress"]) for row in rows] == [
        ("Sintel.S01.German/Sintel.S01E01.German.mkv", 1),
        ("Sintel.S01.German/Sintel.S01E02.German.mp4", 0.5),
        ("Sintel.S01.German/Sintel.S01E03.German.mp4", 0),
        ("Sintel.S01.German/Sintel.S01E04.German.mp4", 0),
    ]
    assert [row["size"] for row in rows] == [7, *[100 * 2**20] * 3]
    [item] = sonarr.info(hashes=job.infohash, includeFiles="true")
    assert item["files"] == rows
    assert "files" not in sonarr.one(job)


def test_a_torrent_file_says_what_is_inside(sonarr: Caller):
    job = JobFactory(paused=True, episode=None, progress=0.5)
    content = b"d4:infod5:filesld6:lengthi7e4:pathl5:a.mkveed6:lengthi9e4:pathl3:sub5:b.mkveee4:name4:Showee"
    JobTorrent.objects.create(job=job, content=content, v1=job.infohash)
    rows = sonarr.get("torrents/files", hash=job.infohash).json()
    assert [(row["name"], row["size"], row["progress"]) for row in rows] == [
        ("Show/a.mkv", 7, 0.5),
        ("Show/sub/b.mkv", 9, 0.5),
    ]
    assert sonarr.get("torrents/export", hash=job.infohash).content == content
    other = JobFactory()
    listed = sonarr.info(includeFiles="true", sort="name")
    assert {item["hash"]: item["files"] for item in listed} == {
        job.infohash: rows,
        other.infohash: [],
    }


def test_a_file_outside_the_save_path_is_listed_by_its_name(sonarr: Caller, downloads_here: Path):
    job = JobFactory(completed=True, save_path=str(downloads_here / "new"))
    JobFileFactory(job=job, path=str(downloads_here / "old" / "x.mp4"))
    assert [r["name"] for r in sonarr.get("torrents/files", hash=job.infohash).json()] == ["x.mp4"]


def test_the_folder_that_a_file_was_moved_away_from_is_not_the_folder_of_its_torrent(
    sonarr: Caller, downloads_here: Path
):
    """An import takes the file, and then the torrent gets the post-import category."""
    old, new = downloads_here / "tv", downloads_here / "imported"
    path = str(old / "x.mp4")
    job = JobFactory(completed=True, save_path=str(new), result_path=path)
    assert sonarr.one(job)["root_path"] == ""
    Job.objects.filter(pk=job.pk).update(result_path=str(new / "own" / "x.mp4"))
    assert sonarr.one(job)["root_path"] == str(new / "own")
