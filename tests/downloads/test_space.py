"""A full disk is no failure: before a download, during it, and when it is put in place; unfinished files go in time."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloads import (
    files,
    finishing,
    services,
    space,
    transitions,
)
from downloads.engines import base
from downloads.models import Job, JobStatus
from tests.anibridge.lib import servers
from tests.anibridge.lib.conftest import videos as videos
from tests.downloads.carrying import carry, link_job
from tests.downloads.orders import order

S = JobStatus


@pytest.fixture
def video_server(videos, settings) -> Iterator[servers.Server]:
    with servers.running() as server:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [server.place]
        yield server


@pytest.fixture
def here(db, settings, tmp_path: Path) -> Path:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    return settings.DOWNLOAD_DIR


def test_a_full_disk_puts_a_job_aside_without_counting_and_it_goes_on_by_itself(
    demo_site, settings
):
    job, _ = services.enqueue(order(size_bytes=10**17))
    waiting = carry(job)
    assert (waiting.status, waiting.deferrals, waiting.retry_count) == (S.QUEUED, 0, 0)
    assert "it goes on when there is room" in waiting.error_message
    assert waiting.space_needed > 10**17
    events = job.events.count()
    assert services.sweep() == []
    assert job.events.count() == events, "looking for room is no event"
    Job.objects.update(space_needed=10**6, total_bytes=None)
    assert services.sweep() == [job.pk]
    assert carry(job).status == S.COMPLETED


def test_one_that_waits_for_room_does_not_hold_up_the_rest(demo_site):
    waiting, _ = services.enqueue(order())
    Job.objects.filter(pk=waiting.pk).update(space_needed=10**18)
    other, _ = services.enqueue(order(slug="caminandes"))
    assert services.sweep() == [other.pk]


def test_small_ones_do_not_take_the_room_that_a_large_one_waits_for(demo_site):
    large, _ = services.enqueue(order())
    small, _ = services.enqueue(order(slug="caminandes"))
    Job.objects.filter(pk=large.pk).update(space_needed=10**18)
    Job.objects.filter(pk=small.pk).update(space_needed=1)
    assert services.sweep() == []
    Job.objects.filter(pk=large.pk).update(space_needed=1)
    assert services.sweep() == [large.pk, small.pk]


def test_the_reserve_is_kept_while_a_download_runs(demo_site, settings, monkeypatch):
    monkeypatch.setattr(base, "BEAT_SECONDS", 0.0)
    real, looks = space.free, []

    def filling_up(folder: Path) -> int:
        looks.append(folder)
        return real(folder) if len(looks) < 4 else 0

    monkeypatch.setattr(space, "free", filling_up)
    waiting = carry(services.enqueue(order())[0])
    assert (waiting.status, waiting.deferrals) == (S.QUEUED, 0)
    assert "the disk is full" in waiting.error_message


def test_what_running_downloads_will_still_write_is_reckoned_with(demo_site):
    free = space.free(files.partial_folder(1))
    large, _ = services.enqueue(order(episode=2, size_bytes=free))
    token = transitions.claim(large.pk, "another")
    transitions.beat(large.pk, token, total_bytes=free, downloaded_bytes=0)
    waiting = carry(services.enqueue(order(size_bytes=1000))[0])
    assert waiting.space_needed is not None


@pytest.fixture
def small_disk(settings, tmp_path: Path) -> Iterator[Path]:
    """A file system with room for three megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    settings.DOWNLOAD_DIR, settings.DOWNLOAD_RESERVE = folder, 0
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_puts_the_job_aside(db, small_disk, video_server, videos):
    body = videos.mp4.read_bytes()
    body += b"\0\0\x40\0free" * 600_000  # more than fits, and its size is not announced
    video_server.routes["/x.mp4"] = lambda handler: (
        handler.begin({"Content-Type": "video/mp4"}),
        handler.wfile.write(body),
    )
    job = link_job(video_server.url("/x.mp4"))
    waiting = carry(job)
    assert (waiting.status, waiting.deferrals) == (S.QUEUED, 0), waiting.error_message
    assert "the disk is full" in waiting.error_message
    assert files.partial_folder(job.pk).exists(), "what was fetched is kept"


def test_an_episode_on_a_disk_that_is_really_full_is_put_aside(
    small_disk, demo_site, library, settings
):
    settings.DOWNLOAD_DIR = small_disk
    (small_disk / "filler").write_bytes(bytes((3 << 20) - 200_000))
    waiting = carry(services.enqueue(order())[0])
    assert (waiting.status, waiting.deferrals) == (S.QUEUED, 0), waiting.error_message
    (small_disk / "filler").unlink()
    services.sweep()
    assert carry(waiting).status == S.COMPLETED


def test_a_disk_that_refuses_is_no_failure(demo_site, monkeypatch):
    def refuse(*args: object, **rest: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(finishing, "finish", refuse)
    waiting = carry(services.enqueue(order())[0])
    assert (waiting.status, waiting.deferrals) == (S.QUEUED, 0)
    monkeypatch.undo()
    services.sweep()
    assert carry(waiting).status == S.COMPLETED


@pytest.mark.parametrize(
    ("status", "kept"), [(S.PAUSED, False), (S.FAILED, False), (S.QUEUED, True)]
)
def test_unfinished_files_go_after_a_time(here, settings, status, kept):
    job = link_job("http://a.test/x.mp4")
    folder = files.partial_folder(job.pk)
    folder.mkdir(parents=True)
    transitions.move(job.pk, status)
    services.sweep()
    assert folder.exists()
    settings.DOWNLOAD_KEEP_PARTIAL_HOURS = 0
    services.sweep()
    assert folder.exists() is kept
