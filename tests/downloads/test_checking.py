"""A client wants the files looked at again: good ones stay, broken ones are fetched again, missing ones are said to be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anibridge.lib import media
from downloads import files, tending
from downloads.models import Downloader, DownloaderKind, Job, JobStatus
from tests.anibridge.lib.conftest import Videos
from tests.anibridge.lib.conftest import videos as videos
from tests.downloads.factories import JobFactory, JobFileFactory

pytestmark = pytest.mark.django_db
S = JobStatus


@pytest.fixture
def video(videos: Videos) -> Path:
    return videos.mp4


@pytest.fixture
def finished(downloads_root: Path, video: Path) -> Callable[..., Job]:
    """A job with a real video in place."""

    def made(**fields: Any) -> Job:
        job = JobFactory(completed=True, **fields)
        place(job, Path(job.result_path), video, job.episode)
        return job

    return made


def place(job: Job, path: Path, video: Path, episode: int | None, **fields: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(video.read_bytes())
    values = {"size_bytes": path.stat().st_size, "duration_seconds": None, **fields}
    JobFileFactory(job=job, path=str(path), episode=episode, **values)


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def check(job: Job) -> Job:
    tending.recheck([job.pk])
    assert now(job).checking
    tending.run()
    assert not now(job).checking
    return now(job)


def said(job: Job) -> list[str]:
    return [event.reason for event in job.events.all()]


def test_a_good_file_stays_what_it_is(finished):
    job = finished()
    job.files.update(duration_seconds=media_seconds(job))
    after = check(job)
    assert (after.status, after.result_path) == (S.COMPLETED, job.result_path)
    assert said(job) == ["its files were checked and are whole"]


def media_seconds(job: Job) -> float:
    return media.inspect(Path(job.result_path)).duration or 0.0


def test_a_file_that_was_cut_is_fetched_again(finished):
    job = finished()
    path = Path(job.result_path)
    path.write_bytes(path.read_bytes()[:-1])
    after = check(job)
    assert (after.status, after.result_path, after.progress) == (S.QUEUED, "", 0.0)
    assert not path.exists()
    assert not job.files.exists()
    assert "bytes instead of" in said(job)[0]


def test_a_file_of_the_right_size_that_does_not_play_is_fetched_again(finished):
    job = finished()
    job.files.update(duration_seconds=media_seconds(job))
    path = Path(job.result_path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert check(job).status == S.QUEUED
    assert path.name in said(job)[0]


def test_a_file_with_another_checksum_is_fetched_again(finished):
    job = finished(checksum=f"sha256:{'0' * 64}")
    assert check(job).status == S.QUEUED
    assert "the sha256 of" in said(job)[0]


def test_what_is_no_video_only_has_to_have_its_size(downloads_root: Path):
    job = JobFactory(completed=True)
    path = Path(job.result_path)
    path.write_bytes(b"http://127.0.0.1/stream")
    JobFileFactory(job=job, path=str(path), size_bytes=23)
    assert check(job).status == S.COMPLETED


def test_a_missing_file_is_said_to_be_and_not_fetched_behind_anybodys_back(finished):
    """Sonarr may have moved it away."""
    job = finished()
    path = Path(job.result_path)
    kept = path.rename(path.with_suffix(".away"))
    after = check(job)
    assert (after.status, after.result_path) == (S.COMPLETED, "")
    assert said(job) == [f"checked: {path.name} is not there"]

    kept.rename(path)
    assert check(job).result_path == str(path), "it is back"


def test_a_season_that_lacks_a_file_is_not_whole(downloads_root: Path, video: Path):
    folder = downloads_root / "Caminandes.S01"
    job = JobFactory(completed=True, episode=None, result_path=str(folder))
    for episode in (1, 2):
        place(job, folder / f"E{episode}.mp4", video, episode)
    (folder / "E2.mp4").unlink()
    assert check(job).result_path == ""
    place_back = folder / "E2.mp4"
    place_back.write_bytes(video.read_bytes())
    assert check(job).result_path == str(folder)


def test_a_paused_season_loses_only_what_is_broken(downloads_root: Path, video: Path):
    job = JobFactory(paused=True, episode=None)
    for episode in (1, 2):
        place(job, downloads_root / f"E{episode}.mp4", video, episode)
    (downloads_root / "E2.mp4").write_bytes(b"broken")
    assert check(job).status == S.PAUSED
    assert [file.episode for file in job.files.all()] == [1]
    assert not (downloads_root / "E2.mp4").exists()


def test_what_has_no_files_here_is_not_looked_at(downloads_root: Path):
    box = Downloader.objects.create(
        name="box", kind=DownloaderKind.QBITTORRENT, base_url="http://box"
    )
    jobs = [
        JobFactory(),
        JobFactory(running=True),
        JobFactory(completed=True, downloader=box, remote_id="ab" * 20),
    ]
    tending.recheck([job.pk for job in jobs])
    assert not Job.objects.filter(checking=True).exists()


def test_somebody_who_has_the_files_is_waited_for(finished):
    job = finished()
    tending.recheck([job.pk])
    with files.own_partial(job.pk):
        tending.run()
        assert now(job).checking
    tending.run()
    assert not now(job).checking


def test_a_job_that_is_to_be_moved_and_checked_gets_both(finished, downloads_root: Path):
    job = finished()
    tending.recheck([job.pk])
    tending.relocate(job.pk, downloads_root / "done")
    tending.run()
    after = now(job)
    assert (after.checking, after.moving_to) == (False, "")
    assert after.result_path.startswith(str(downloads_root / "done"))
