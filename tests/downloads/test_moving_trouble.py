"""Moves that are cut short, that meet others, and disks that fail: no file is lost and nobody else's is touched."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from downloads import (
    files,
    finishing,
    services,
    tending,
)
from downloads.engines import base
from downloads.errors import StillWritten
from downloads.models import (
    Job,
    JobFile,
    JobStatus,
)
from tests.downloads.factories import JobFactory
from tests.downloads.placed import BODY, now, paths, put, said
from tests.downloads.placed import finished as finished
from tests.downloads.placed import other_disk as other_disk
from tests.downloads.placed import pack as pack
from tests.downloads.placed import root as root

pytestmark = pytest.mark.django_db
S = JobStatus


def test_a_copy_that_fails_leaves_the_file_where_it_was(
    finished, root: Path, other_disk: Path, monkeypatch
):
    job = finished()
    monkeypatch.setattr(finishing, "_read_back", lambda *_: (0, "something else"))
    tending.relocate(job.pk, other_disk / "tv")
    tending.run()
    after = now(job)
    assert (after.moving_to, after.save_path) == ("", job.save_path)
    assert Path(after.result_path).read_bytes() == BODY
    assert list((other_disk / "tv").iterdir()) == []
    assert "differs from what was fetched" in said(job)


def test_a_disk_that_is_too_small_is_seen_before_anything_moves(
    pack: Job, root: Path, other_disk: Path, settings
):
    tending.relocate(pack.pk, other_disk / "tv")
    settings.DOWNLOAD_RESERVE = 2**60
    tending.run()
    assert now(pack).moving_to == ""
    assert "do not fit" in said(pack)
    assert all(Path(path).exists() for path in paths(pack))
    assert now(pack).result_path == pack.result_path


def test_a_disk_that_fails_is_tried_some_times(finished, root: Path, monkeypatch):
    job = finished()

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(finishing, "finish", fail)
    tending.relocate(job.pk, root / "done")
    for _ in range(tending.MAX_TRIES - 1):  # the first was at once
        assert now(job).moving_to
        tending.run()
    assert (now(job).moving_to, now(job).save_path) == ("", job.save_path)
    assert said(job).endswith("Input/output error")


def test_a_worker_that_dies_of_a_move_is_not_sent_into_it_for_ever(finished, root: Path):
    job = finished()
    Job.objects.filter(pk=job.pk).update(moving_to=str(root / "x"), tending_tries=tending.MAX_TRIES)
    tending.run()
    assert (now(job).moving_to, now(job).save_path) == ("", job.save_path)


def test_a_move_that_was_cut_short_is_gone_on_with(pack: Job, root: Path):
    """One file has its new name, but nobody came to write it down; the other has both names."""
    target = root / "done" / "Caminandes.S01"
    target.mkdir(parents=True)
    first, second = (Path(path) for path in paths(pack))
    first.rename(target / first.name)
    os.link(second, target / second.name)
    Job.objects.filter(pk=pack.pk).update(moving_to=str(root / "done"))
    tending.run()
    assert sorted(paths(pack)) == [str(target / first.name), str(target / second.name)]
    assert sorted(path.name for path in target.iterdir()) == [first.name, second.name]
    assert not second.exists()
    assert now(pack).result_path == str(target)


def test_a_link_in_the_place_of_the_file_is_not_followed(finished, root: Path, tmp_path: Path):
    job = finished()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    Path(job.result_path).unlink()
    Path(job.result_path).symlink_to(secret)
    tending.relocate(job.pk, root / "done")
    assert secret.read_text() == "secret"
    assert now(job).save_path == job.save_path
    assert "no file that was put there" in said(job)


def test_the_lock_of_a_job_keeps_two_from_moving_it(finished, root: Path):
    job = finished()
    with files.own_partial(job.pk):
        tending.relocate(job.pk, root / "done")
        assert now(job).moving_to == str(root / "done")
        assert Path(job.result_path).exists()
        tending.run()
        assert Path(job.result_path).exists()
        with pytest.raises(StillWritten):
            tending.carry(job.pk)
    tending.run()
    assert now(job).save_path == str(root / "done")


def test_a_new_folder_is_seen_in_the_very_moment_that_a_file_is_placed(root: Path, monkeypatch):
    job = JobFactory(running=True)
    run = base.Run(Job.objects.get(pk=job.pk), token=1)
    partial = files.partial_folder(job.pk) / "x.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(BODY)
    real = base.targets.is_taken

    def meanwhile(*args: Any) -> bool:
        Job.objects.filter(pk=job.pk).update(save_path=str(root / "done"))
        return real(*args)

    monkeypatch.setattr(base.targets, "is_taken", meanwhile)
    fetched = run.place(partial, episode=job.episode, suffix=".mp4")
    assert fetched.path == root / "done" / f"{job.name}.mp4"
    assert paths(job) == [str(fetched.path)]


def test_a_job_that_is_deleted_during_the_copy_leaves_no_copy(
    finished, root: Path, other_disk: Path, monkeypatch
):
    job = finished()
    tending.relocate(job.pk, other_disk / "tv")
    real = finishing._copied

    def then_deleted(*args: Any) -> Any:
        copied = real(*args)
        services.remove(job.pk, delete_files=True)
        return copied

    monkeypatch.setattr(finishing, "_copied", then_deleted)
    tending.run()
    assert not Path(job.result_path).exists()
    assert list((other_disk / "tv").iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_two_who_move_the_same_job_at_once_lose_nothing(root: Path):
    job = JobFactory(completed=True)
    put(Path(job.result_path), job)
    ready = threading.Barrier(4)

    def move(number: int) -> None:
        try:
            ready.wait()
            tending.relocate(job.pk, root / f"place{number % 2}")
        finally:
            connection.close()

    threads = [threading.Thread(target=move, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    tending.run()
    after = now(job)
    assert after.moving_to == ""
    assert Path(after.result_path).read_bytes() == BODY
    assert Path(after.result_path).parent == Path(after.save_path)
    assert len(list(root.glob("place*/*"))) == 1


MOUNTED = """
import os, sys
from pathlib import Path
import django
from django.conf import settings
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()
settings.DOWNLOAD_DIR, settings.DOWNLOAD_RESERVE = Path(sys.argv[1]), 0
from downloads import finishing
from downloads.errors import NotARename
source, final = Path(sys.argv[1], "a.mp4"), Path(sys.argv[1], "mounted", "a.mp4")
assert source.stat().st_dev == final.parent.stat().st_dev
try:
    finishing.finish(source, final, may_copy=False)
    raise SystemExit("a name was enough")
except NotARename:
    pass
finishing.finish(source, final)
assert final.read_bytes() == b"video" and not source.exists()
print("moved")
"""


def test_two_mounts_of_one_file_system_are_told_apart_by_trying(tmp_path: Path):
    """As a container has them: one disk, two volumes."""
    for name in ("downloads/mounted", "volume"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "downloads" / "a.mp4").write_bytes(b"video")
    mounted = f"mount --bind {tmp_path}/volume {tmp_path}/downloads/mounted"
    unshare = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*unshare, mounted], capture_output=True).returncode:  # fmt: skip
        pytest.skip("needs a kernel that lets users mount folders")
    script = tmp_path / "script.py"
    script.write_text(MOUNTED)
    command = f"{mounted} && exec {sys.executable} {script} {tmp_path}/downloads"
    done = subprocess.run(
        [*unshare, command],
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert done.stdout.strip() == "moved", done.stderr
    assert (tmp_path / "volume" / "a.mp4").read_bytes() == b"video"


def test_a_file_is_only_adopted_when_it_is_nobody_elses(finished, root: Path):
    job, other = finished(), finished()
    target = root / "done" / f"{job.name}.mp4"
    target.parent.mkdir()
    target.write_bytes(BODY)
    JobFile.objects.filter(job=other).update(path=str(target))
    Path(job.result_path).unlink()
    Job.objects.filter(pk=job.pk).update(moving_to=str(root / "done"))
    tending.run()
    assert paths(job) == [job.result_path]
    assert paths(other) == [str(target)]
