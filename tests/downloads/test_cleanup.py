"""What downloads may forget, and what they must not."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from downloads import files, services, transitions
from downloads.cleanup import Cleaned, cleanup
from downloads.models import Errand, Heartbeat, Job, JobEvent, JobStatus
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.downloads.orders import order

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    settings.DOWNLOAD_KEEP_RECORD_DAYS = 90
    settings.DOWNLOAD_KEEP_PARTIAL_HOURS = 24
    return settings.DOWNLOAD_DIR


def partial(job: Job, size: int = 1000) -> Path:
    folder = files.partial_folder(job.pk)
    folder.mkdir(parents=True)
    (folder / "file.part").write_bytes(b"x" * size)
    return folder


def done(**options: Any) -> dict[str, Cleaned]:
    return {one.what: one for one in cleanup(now=NOW, **options)}


def test_unfinished_files_that_nobody_goes_on_with_go():
    kept = [partial(JobFactory(running=True)), partial(JobFactory(paused=True))]
    old = JobFactory(paused=True)
    gone = [partial(old, 500), partial(JobFactory(cancelled=True))]
    Job.objects.filter(pk=old.pk).update(updated_at=NOW - timedelta(hours=25))
    nobodys = files.partial_folder(10**6)
    nobodys.mkdir()
    found = done(dry_run=True)["unfinished files"]
    assert (found.count, found.bytes) == (3, 1500)
    assert all(path.exists() for path in (*kept, *gone, nobodys))
    assert done()["unfinished files"] == found
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in (*gone, nobodys))


def test_nothing_outside_of_the_folder_of_unfinished_files_is_touched(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "film.mkv").write_bytes(b"x")
    (folder / "film.mkv").write_bytes(b"x")
    (folder / files.PARTIAL).mkdir()
    (folder / files.PARTIAL / "notes").mkdir()
    (folder / files.PARTIAL / "77").symlink_to(tmp_path / "elsewhere")
    done()
    assert (tmp_path / "elsewhere" / "film.mkv").exists()
    assert (folder / "film.mkv").exists()
    assert (folder / files.PARTIAL / "notes").exists()


def test_downloads_that_were_removed_long_ago_are_forgotten_with_all_that_is_theirs():
    file = JobFileFactory()
    old, recent, listed = file.job, JobFactory(), JobFactory(completed=True)
    for job in (old, recent):
        services.remove(job.pk, delete_files=False)
    Job.objects.filter(pk=old.pk).update(removed_at=NOW - timedelta(days=91))
    Job.objects.filter(pk=listed.pk).update(updated_at=NOW - timedelta(days=999))
    assert done(dry_run=True)["removed downloads"].count == 1
    assert done()["removed downloads"].count == 1
    assert set(Job.objects.values_list("pk", flat=True)) == {recent.pk, listed.pk}


def test_one_that_a_downloader_is_still_to_be_told_about_is_kept():
    from downloads.models import Downloader

    job = JobFactory(removed_at=NOW - timedelta(days=400))
    box = Downloader.objects.create(name="box", kind="qbittorrent")
    Errand.objects.create(downloader=box, job=job, action="cancel", remote_id="x")
    assert done()["removed downloads"].count == 0


def test_old_history_goes_except_for_the_newest_entry_of_each_download():
    job, _ = services.enqueue(order())
    services.pause(job.pk)
    services.resume(job.pk)
    JobEvent.objects.update(at=NOW - timedelta(days=100))
    young, _ = services.enqueue(order(episode=2))
    transitions.move(young.pk, JobStatus.PAUSED)
    assert done()["old history"].count == 2
    (left,) = job.events.all()
    assert (left.old, left.new) == ("paused", "queued")
    assert young.events.count() == 2


def test_processes_that_are_gone_are_forgotten():
    Heartbeat.objects.create(name="old", role="default", beat_at=NOW - timedelta(days=2))
    Heartbeat.objects.create(name="new", role="default", beat_at=NOW)
    assert done()["processes that are gone"].count == 1
    assert Heartbeat.objects.get().name == "new"


def test_many_go_in_batches(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("downloads.cleanup.BATCH", 3)
    JobFactory.create_batch(10, removed_at=NOW - timedelta(days=91))
    assert done()["removed downloads"].count == 10
    assert done()["removed downloads"].count == 0
