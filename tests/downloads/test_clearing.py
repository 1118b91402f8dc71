"""The files of deleted downloads go, whoever dies on the way, and nobody else's do."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from downloads import cleanup, clearing, dispatch, files, services, sweeper, tasks
from downloads.models import Job, JobFile, Layout
from tests.downloads.factories import JobFactory, JobFileFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def root(downloads_root: Path) -> Path:
    return downloads_root


def finished(**rest: Any) -> Job:
    job = JobFactory(completed=True, **rest)
    path = Path(job.result_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")
    JobFileFactory(job=job, path=str(path))
    return job


def left(jobs: list[Job]) -> list[bool]:
    return [Path(job.result_path).exists() for job in jobs]


def test_few_are_gone_when_the_command_returns():
    jobs = [finished(category="tv") for _ in range(clearing.AT_ONCE)]
    services.remove_many([job.pk for job in jobs], delete_files=True)
    assert not any(left(jobs))
    assert not Job.objects.exclude(clear_at=None).exists()


def test_many_are_off_the_list_at_once_and_their_files_go_by_a_worker(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
):
    monkeypatch.setattr(clearing, "AT_ONCE", 3)
    monkeypatch.setattr(clearing, "_TAKEN", 2)
    sent: list[str] = []
    monkeypatch.setattr(dispatch.current_app, "send_task", lambda name, **how: sent.append(name))
    jobs, kept = [finished(category="tv") for _ in range(5)], finished(category="tv")
    partial = files.partial_folder(jobs[0].pk)
    partial.mkdir(parents=True)
    with django_capture_on_commit_callbacks(execute=True):
        services.remove_many([job.pk for job in jobs], delete_files=True)
    assert list(Job.objects.present()) == [kept]
    assert all(left(jobs))
    assert sent == [tasks.clear.name]
    tasks.clear()
    assert not any(left(jobs))
    assert left([kept]) == [True]
    assert not partial.exists()
    assert not Job.objects.exclude(clear_at=None).exists()
    assert clearing.run() == 0


def test_kept_files_stay_however_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clearing, "AT_ONCE", 1)
    jobs = [finished() for _ in range(3)]
    services.remove_many([job.pk for job in jobs], delete_files=False)
    assert clearing.run() == 0
    assert all(left(jobs))


def test_a_process_that_dies_before_the_files_are_gone_is_made_good(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
):
    job = finished()

    def die(jobs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(clearing, "clear", die)
        with pytest.raises(KeyboardInterrupt):
            services.remove(job.pk, delete_files=True)
    assert not Job.objects.present().exists()
    assert clearing.run() == 0, "it may still be at it"
    assert left([job]) == [True]
    Job.objects.update(clear_at=timezone.now() - timedelta(seconds=1))
    with django_capture_on_commit_callbacks() as nudges:
        sweeper.sweep()
    assert [nudge.__name__ for nudge in nudges] == ["_send_clearing"]
    assert clearing.run() == 1
    assert left([job]) == [False]


def test_a_worker_that_dies_in_the_middle_is_followed_by_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clearing, "AT_ONCE", 0)
    jobs = [finished() for _ in range(3)]
    services.remove_many([job.pk for job in jobs], delete_files=True)
    real, calls = files.delete, iter(range(9))

    def dies_at_the_second(path: Path) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        real(path)

    with monkeypatch.context() as patched:
        patched.setattr(files, "delete", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            clearing.run()
    assert left(jobs).count(True) == 2
    Job.objects.update(clear_at=timezone.now() - timedelta(seconds=1))
    assert clearing.run() == 3
    assert not any(left(jobs))


def test_a_file_that_a_new_download_has_put_in_the_same_place_stays(
    monkeypatch: pytest.MonkeyPatch,
):
    """The old one's file was deleted, but nobody came to write that down; then the release was fetched again."""
    monkeypatch.setattr(clearing, "AT_ONCE", 0)
    old = finished(category="tv")
    services.remove(old.pk, delete_files=True)
    new = JobFactory(completed=True, category="tv", result_path=old.result_path)
    JobFile.objects.create(job=new, season=1, episode=1, path=old.result_path)
    assert clearing.run() == 1
    assert left([new]) == [True]


def test_what_is_still_to_be_cleared_is_not_forgotten_by_a_cleanup(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clearing, "AT_ONCE", 0)
    job = finished()
    services.remove(job.pk, delete_files=True)
    Job.objects.update(removed_at=timezone.now() - timedelta(days=999))
    cleanup.cleanup()
    assert clearing.run() == 1
    assert left([job]) == [False]
    cleanup.cleanup()
    assert not Job.objects.exists()


def test_folders_of_their_own_go_and_nobody_elses(root: Path, settings: Any, tmp_path: Path):
    settings.DOWNLOAD_LIBRARY_ROOTS = [tmp_path / "library"]
    pack = JobFactory(completed=True, episode=None, name="Show.S01", category="tv")
    folder = root / "tv" / "Show.S01"
    film = JobFactory(completed=True, layout=Layout.LIBRARY, save_path=str(tmp_path / "library"))
    own = tmp_path / "library" / "Film (2010)"
    for path, job, episode in (
        (folder / "e1.mp4", pack, 1),
        (folder / "e2.mp4", pack, 2),
        (own / "Film (2010).mkv", film, 0),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")
        JobFileFactory(job=job, episode=episode, path=str(path))
    services.remove_many([pack.pk, film.pk], delete_files=True)
    assert not folder.exists()
    assert not own.exists()
    assert (root / "tv").is_dir()
    assert (tmp_path / "library").is_dir()
