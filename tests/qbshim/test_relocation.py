"""setCategory, setLocation and their kin really move files, and say where they are at every moment."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from downloads import tending
from downloads.models import Downloader, DownloaderKind, Job, Layout
from qbshim import preferences
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.conftest import UNKNOWN, Caller
from tests.qbshim.factories import CategoryFactory, ClientTaskFactory


@pytest.fixture(autouse=True)
def categories_there(db: None, downloads_here: Path, settings: Any) -> None:
    settings.DOWNLOAD_RESERVE = 0
    for name in ("tv", "done"):
        CategoryFactory(name=name)
        (downloads_here / name).mkdir()


@pytest.fixture
def other_disk(downloads_here: Path, settings: Any) -> Iterator[Path]:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == downloads_here.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    library = shared / f"anibridge-relocation-{os.getpid()}-{threading.get_ident()}"
    library.mkdir()
    settings.DOWNLOAD_LIBRARY_ROOTS = [library]
    yield library
    shutil.rmtree(library)


def where(sonarr: Caller, job: Job) -> tuple[str, str]:
    item = sonarr.one(job)
    return item["save_path"], item["content_path"]


def test_the_post_import_category_takes_the_file_along(
    sonarr: Caller, finished, downloads_here: Path
):
    job, other = finished(category="tv"), finished(category="tv")
    answer = sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    assert (answer.status_code, answer.content) == (200, b"")
    final = downloads_here / "done" / f"{job.name}.mp4"
    assert where(sonarr, job) == (str(downloads_here / "done"), str(final))
    assert final.exists()
    assert not Path(job.result_path).exists()
    assert sonarr.one(job)["state"] == "stoppedUP"
    assert where(sonarr, other)[0] == str(downloads_here / "tv")


def test_a_file_that_sonarr_has_moved_away_is_no_hindrance(
    sonarr: Caller, finished, downloads_here: Path, tmp_path: Path
):
    job = finished(category="tv")
    Path(job.result_path).rename(tmp_path / "imported.mp4")
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    item = sonarr.one(job)
    assert (item["category"], item["state"]) == ("done", "stoppedUP")
    final = downloads_here / "done" / f"{job.name}.mp4"
    assert where(sonarr, job) == (str(downloads_here / "done"), str(final)), "as in qBittorrent"
    sonarr.post("torrents/delete", hashes=job.infohash, deleteFiles="true")
    assert (tmp_path / "imported.mp4").exists()


def test_a_file_that_is_gone_and_comes_back_is_taken_along_the_next_time(
    sonarr: Caller, finished, downloads_here: Path, tmp_path: Path
):
    """As one on a disk that was not there for a while."""
    job = finished(category="tv")
    Path(job.result_path).rename(tmp_path / "away.mp4")
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    (tmp_path / "away.mp4").rename(job.result_path)
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="")
    final = downloads_here / f"{job.name}.mp4"
    assert where(sonarr, job) == (str(downloads_here), str(final))
    assert final.exists()


def test_the_file_of_somebody_else_is_not_shown_as_one_that_is_gone(
    sonarr: Caller, finished, downloads_here: Path
):
    job = finished(category="tv")
    Path(job.result_path).unlink()
    (downloads_here / "done" / f"{job.name}.mp4").write_bytes(b"another")
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    assert where(sonarr, job) == (str(downloads_here / "done"), job.result_path)


def test_many_whose_files_are_gone_are_as_one(
    sonarr: Caller, finished, downloads_here: Path, monkeypatch
):
    monkeypatch.setattr(tending, "AT_ONCE", 1)
    jobs = [finished(category="tv") for _ in range(3)]
    for job in jobs:
        Path(job.result_path).unlink()
    sonarr.post("torrents/setCategory", hashes="all", category="done")
    tending.run()
    final = downloads_here / "done"
    assert [where(sonarr, job) for job in jobs] == [
        (str(final), str(final / f"{job.name}.mp4")) for job in jobs
    ]


def test_no_category_is_the_download_folder(sonarr: Caller, finished, downloads_here: Path):
    job = finished(category="tv")
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="")
    assert where(sonarr, job)[1] == str(downloads_here / f"{job.name}.mp4")


def test_a_folder_that_a_client_chose_is_left_alone(sonarr: Caller, finished, downloads_here: Path):
    job = finished(category="tv")
    ClientTaskFactory(job=job, auto_tmm=False)
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    assert where(sonarr, job)[1] == job.result_path


def test_a_preference_keeps_files_where_they_are(sonarr: Caller, finished):
    sonarr.post("app/setPreferences", json='{"torrent_changed_tmm_enabled": false}')
    job = finished(category="tv")
    ClientTaskFactory(job=job, auto_tmm=True)
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    item = sonarr.one(job)
    assert (item["category"], item["content_path"], item["auto_tmm"]) == (
        "done",
        job.result_path,
        False,
    )


def test_a_running_one_will_lie_in_the_new_folder(sonarr: Caller, downloads_here: Path):
    job = JobFactory(running=True, category="tv")
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    item = sonarr.one(job)
    assert (item["state"], item["save_path"]) == ("downloading", str(downloads_here / "done"))


def test_all_of_them_at_once(sonarr: Caller, finished, downloads_here: Path, monkeypatch):
    monkeypatch.setattr(tending, "AT_ONCE", 2)
    jobs = [finished(category="tv") for _ in range(4)] + [JobFactory(category="tv")]
    sonarr.post("torrents/setCategory", hashes="all", category="done")
    assert [sonarr.one(job)["state"] for job in jobs].count("moving") == 2
    assert len(sonarr.info(filter="moving")) == 2
    tending.run()
    assert {where(sonarr, job)[0] for job in jobs} == {str(downloads_here / "done")}


def test_set_location_moves_and_lets_go_of_the_category(
    sonarr: Caller, finished, downloads_here: Path
):
    job = finished(category="tv")
    target = downloads_here / "own" / "place"
    answer = sonarr.post("torrents/setLocation", hashes=job.infohash, location=str(target))
    assert (answer.status_code, answer.content) == (200, b"")
    assert where(sonarr, job) == (str(target), str(target / f"{job.name}.mp4"))
    assert sonarr.one(job)["auto_tmm"] is False
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    assert where(sonarr, job)[0] == str(target)


def test_set_location_on_another_disk_is_moving_until_it_is_there(
    sonarr: Caller, finished, other_disk: Path
):
    job = finished(category="tv")
    sonarr.post("torrents/setLocation", hashes=job.infohash, location=str(other_disk / "x"))
    item = sonarr.one(job)
    assert (item["state"], item["content_path"]) == ("moving", job.result_path)
    assert Path(job.result_path).exists()
    tending.run()
    item = sonarr.one(job)
    assert item["state"] == "stoppedUP"
    assert item["content_path"] == str(other_disk / "x" / f"{job.name}.mp4")
    assert Path(item["content_path"]).exists()


@pytest.mark.parametrize("location", ["/etc", "../x", "/", ".incomplete/7"])
def test_a_place_outside_of_the_roots_is_refused(sonarr: Caller, finished, location: str):
    job = finished(category="tv")
    for command, names in (
        ("setLocation", ("hashes", "location")),
        ("setSavePath", ("id", "path")),
    ):
        form = dict(zip(names, (job.infohash, location), strict=True))
        answer = sonarr.post(f"torrents/{command}", **form)
        assert answer.status_code == 409
        assert b"is not inside the download folder" in answer.content
    assert where(sonarr, job)[1] == job.result_path


@pytest.mark.parametrize(("command", "names"), [("setLocation", ("hashes", "location")), ("setSavePath", ("id", "path"))])  # fmt: skip
def test_an_empty_place_is_refused_as_qbittorrent_does(
    sonarr: Caller, command: str, names: tuple[str, str]
):
    answer = sonarr.post(f"torrents/{command}", **{names[0]: UNKNOWN, names[1]: " "})
    assert (answer.status_code, answer.content) == (400, b"Save path cannot be empty")
    assert sonarr.post(f"torrents/{command}", **{names[0]: UNKNOWN}).status_code == 400


def test_set_save_path_is_for_those_that_follow_no_category(
    sonarr: Caller, finished, downloads_here: Path
):
    follows, free = finished(category="tv"), finished(category="tv")
    ClientTaskFactory(job=free, auto_tmm=False)
    both = f"{follows.infohash}|{free.infohash}"
    assert sonarr.post("torrents/setSavePath", id=both, path="own").status_code == 200
    assert where(sonarr, follows)[1] == follows.result_path
    assert where(sonarr, free)[0] == str(downloads_here / "own")


def test_auto_management_gathers_and_lets_go(sonarr: Caller, finished, downloads_here: Path):
    job = finished(category="tv")
    sonarr.post("torrents/setLocation", hashes=job.infohash, location="own")
    sonarr.post("torrents/setAutoManagement", hashes=job.infohash, enable="true")
    assert where(sonarr, job) == (str(downloads_here / "tv"), job.result_path)
    assert sonarr.one(job)["auto_tmm"] is True
    sonarr.post("torrents/setAutoManagement", hashes=job.infohash, enable="false")
    assert sonarr.one(job)["auto_tmm"] is False


def test_editing_a_category_moves_nothing_and_lets_go(
    sonarr: Caller, finished, downloads_here: Path
):
    job = finished(category="tv")
    ClientTaskFactory(job=job, auto_tmm=True)
    sonarr.post("torrents/editCategory", category="tv", savePath="shows")
    assert where(sonarr, job)[1] == job.result_path
    assert sonarr.one(job)["auto_tmm"] is False


def test_a_preference_has_files_follow_an_edited_category(
    sonarr: Caller, finished, downloads_here: Path
):
    sonarr.post("app/setPreferences", json='{"category_changed_tmm_enabled": true}')
    jobs = [finished(category="tv"), JobFactory(category="tv")]
    ClientTaskFactory(job=jobs[0], auto_tmm=True)
    sonarr.post("torrents/editCategory", category="tv", savePath="shows")
    assert {where(sonarr, job)[0] for job in jobs} == {str(downloads_here / "shows")}
    assert (downloads_here / "shows" / f"{jobs[0].name}.mp4").exists()


def test_removing_a_category_moves_nothing(sonarr: Caller, finished):
    job = finished(category="tv")
    ClientTaskFactory(job=job, auto_tmm=True)
    sonarr.post("torrents/removeCategories", categories="tv")
    item = sonarr.one(job)
    assert (item["category"], item["content_path"], item["auto_tmm"]) == (
        "",
        job.result_path,
        False,
    )


def test_files_that_cannot_be_moved_keep_their_place_and_change_their_category(
    sonarr: Caller, finished, downloads_here: Path
):
    box = Downloader.objects.create(
        name="box", kind=DownloaderKind.QBITTORRENT, base_url="http://box"
    )
    jobs = [
        finished(category="tv", layout=Layout.LIBRARY),
        finished(category="tv", downloader=box, remote_id="ab" * 20, download_type="magnet"),
    ]
    for job in jobs:
        answer = sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
        assert answer.status_code == 200
        item = sonarr.one(job)
        assert (item["category"], item["content_path"]) == ("done", job.result_path)
        answer = sonarr.post("torrents/setLocation", hashes=job.infohash, location="own")
        assert answer.status_code == 409
        assert answer.content
        assert Path(job.result_path).exists()


def test_a_file_is_deleted_where_it_was_moved_to(sonarr: Caller, finished, downloads_here: Path):
    job = finished(category="tv")
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    sonarr.post("torrents/delete", hashes=job.infohash, deleteFiles="true")
    assert [list((downloads_here / name).iterdir()) for name in ("tv", "done")] == [[], []]


def test_paths_are_those_of_the_client(sonarr: Caller, finished, settings, downloads_here: Path):
    settings.QBIT_PUBLIC_SAVE_PATH = "/data/torrents"
    job = finished(category="tv")
    answer = sonarr.post("torrents/setLocation", hashes=job.infohash, location="/data/torrents/own")
    assert answer.status_code == 200
    assert where(sonarr, job)[1] == f"/data/torrents/own/{job.name}.mp4"
    assert (downloads_here / "own" / f"{job.name}.mp4").exists()


def test_a_season_that_is_being_fetched_is_moved_when_it_is_done(
    sonarr: Caller, downloads_here: Path
):
    job = JobFactory(running=True, episode=None, category="tv", name="Sintel.S01.German")
    path = downloads_here / "tv" / job.name / "Sintel.S01E01.German.mp4"
    path.parent.mkdir()
    path.write_bytes(b"video")
    JobFileFactory(job=job, episode=1, path=str(path), size_bytes=5)
    sonarr.post("torrents/setCategory", hashes=job.infohash, category="done")
    item = sonarr.one(job)
    assert (item["state"], item["category"]) == ("downloading", "done")
    assert item["save_path"] == str(downloads_here / "tv"), "the worker goes on there"
    assert preferences.get("torrent_changed_tmm_enabled") is True
    Job.objects.update(status="completed", result_path=str(path.parent), progress=1)
    assert sonarr.one(job)["state"] == "moving"
    tending.run()
    assert where(sonarr, job)[1] == str(downloads_here / "done" / job.name)
