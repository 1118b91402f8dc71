"""Files in place are brought to another folder: as a name where that is enough, as a copy where not, and always whole."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from downloads import (
    dispatch,
    files,
    finishing,
    moving,
    services,
    sweeper,
    tasks,
    tending,
    transitions,
)
from downloads.engines import base
from downloads.errors import OutsideRoot, StillWritten, UnknownJob, Unmovable
from downloads.models import (
    Downloader,
    DownloaderKind,
    Job,
    JobFile,
    JobStatus,
    Layout,
    Subfolder,
)
from tests.downloads.factories import JobFactory, JobFileFactory

pytestmark = pytest.mark.django_db
S = JobStatus
BODY = b"video" * 1000


@pytest.fixture
def root(downloads_root: Path, settings: Any) -> Path:
    settings.DOWNLOAD_RESERVE = 0
    return downloads_root


@pytest.fixture
def other_disk(root: Path, settings: Any) -> Iterator[Path]:
    """A library on another file system."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == root.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    library = shared / f"anibridge-moving-{os.getpid()}-{threading.get_ident()}"
    library.mkdir()
    settings.DOWNLOAD_LIBRARY_ROOTS = [library]
    yield library
    shutil.rmtree(library)


@pytest.fixture
def finished(root: Path) -> Callable[..., Job]:
    """Jobs that are done, with their file on the disk."""

    def made(**fields: Any) -> Job:
        job = JobFactory(completed=True, **fields)
        put(Path(job.result_path), job)
        return job

    return made


@pytest.fixture
def pack(root: Path) -> Job:
    """A season of two episodes, in a folder of its own."""
    folder = root / "tv" / "Caminandes.S01"
    job = JobFactory(
        completed=True, episode=None, category="tv", name="Caminandes.S01", result_path=str(folder)
    )
    for episode in (1, 2):
        put(folder / f"Caminandes.S01E0{episode}.mp4", job, episode)
    return job


def put(path: Path, job: Job, episode: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BODY)
    JobFileFactory(
        job=job,
        path=str(path),
        size_bytes=len(BODY),
        episode=job.episode if episode is None else episode,
    )


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def paths(job: Job) -> list[str]:
    return list(job.files.values_list("path", flat=True))


def said(job: Job) -> str:
    return job.events.last().reason


def test_a_finished_file_gets_its_new_place_at_once(finished, root: Path):
    job = finished(category="tv")
    tending.relocate(job.pk, root / "done")
    after = now(job)
    final = root / "done" / f"{job.name}.mp4"
    assert final.read_bytes() == BODY
    assert not Path(job.result_path).exists()
    assert (after.save_path, after.result_path, after.moving_to) == (
        str(root / "done"),
        str(final),
        "",
    )
    assert paths(job) == [str(final)]
    assert said(job) == f"its files were brought to {root / 'done'}"
    assert (root / "tv").is_dir(), "a category's folder stays"


def test_a_season_moves_with_its_folder(pack: Job, root: Path):
    tending.relocate(pack.pk, root / "done")
    folder = root / "done" / "Caminandes.S01"
    assert now(pack).result_path == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "Caminandes.S01E01.mp4",
        "Caminandes.S01E02.mp4",
    ]
    assert not (root / "tv" / "Caminandes.S01").exists()


def test_files_that_somebody_else_put_into_the_folder_stay_with_it(pack: Job, root: Path):
    other = root / "tv" / "Caminandes.S01" / "notes.txt"
    other.write_text("not ours")
    tending.relocate(pack.pk, root / "done")
    assert list(other.parent.iterdir()) == [other]


def test_nothing_of_somebody_else_is_overwritten(finished, root: Path):
    job = finished()
    taken = root / "done" / f"{job.name}.mp4"
    taken.parent.mkdir()
    taken.write_text("not ours")
    tending.relocate(job.pk, root / "done")
    assert taken.read_text() == "not ours"
    assert now(job).result_path == str(root / "done" / f"{job.name}.2.mp4")


def test_the_same_place_costs_nothing(finished, root: Path):
    job = finished(category="tv")
    tending.relocate(job.pk, root / "tv")
    assert not job.events.exists()


def test_a_job_without_files_only_changes_its_folder(root: Path):
    waiting, running = JobFactory(category="tv"), JobFactory(running=True, category="tv")
    for job in (waiting, running):
        tending.relocate(job.pk, root / "done")
        assert (now(job).save_path, now(job).moving_to) == (str(root / "done"), "")


def test_a_file_that_was_imported_away_does_not_stop_the_job(finished, root: Path):
    job = finished(category="tv")
    Path(job.result_path).unlink()
    tending.relocate(job.pk, root / "done")
    assert (now(job).save_path, now(job).result_path) == (str(root / "done"), job.result_path)


def test_what_has_to_be_copied_is_left_to_a_worker(finished, root: Path, other_disk: Path):
    job = finished(category="tv")
    tending.relocate(job.pk, other_disk / "tv")
    waiting = now(job)
    assert (waiting.moving_to, waiting.save_path) == (str(other_disk / "tv"), job.save_path)
    assert waiting.result_path == job.result_path
    assert Path(job.result_path).read_bytes() == BODY
    assert list(Job.objects.to_tend()) == [job]

    assert tending.run() == 1
    after = now(job)
    assert (after.save_path, after.moving_to) == (str(other_disk / "tv"), "")
    assert Path(after.result_path).read_bytes() == BODY
    assert after.result_path.startswith(str(other_disk))
    assert not Path(job.result_path).exists()
    assert not files.partial_folder(job.pk).exists()


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


def test_another_link_to_the_same_folder_costs_no_file(finished, root: Path):
    job = finished(category="tv")
    (root / "series").symlink_to(root / "tv")
    tending.relocate(job.pk, root / "series")
    assert (root / "tv" / f"{job.name}.mp4").read_bytes() == BODY
    assert now(job).save_path == str(root / "series")


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


def test_only_folders_that_the_operator_named(finished, tmp_path: Path):
    with pytest.raises(OutsideRoot):
        tending.relocate(finished().pk, tmp_path / "outside")
    with pytest.raises(UnknownJob):
        tending.relocate(0, files.category_folder("tv"))


def test_files_of_a_library_and_of_another_downloader_stay(finished, root: Path):
    library = finished(layout=Layout.LIBRARY)
    box = Downloader.objects.create(
        name="box", kind=DownloaderKind.QBITTORRENT, base_url="http://box"
    )
    remote = finished(downloader=box, remote_id="ab" * 20, download_type="magnet")
    for job in (library, remote):
        with pytest.raises(Unmovable):
            tending.relocate(job.pk, root / "done")
        assert Path(job.result_path).exists()


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


def test_what_is_being_fetched_is_moved_when_it_is_done(root: Path):
    """A season under way has an episode in place; the worker goes on in the old folder until it has all of them."""
    job = JobFactory(running=True, episode=None, name="Caminandes.S01")
    put(root / "Caminandes.S01" / "Caminandes.S01E01.mp4", job, 1)
    tending.relocate(job.pk, root / "done")
    assert (now(job).moving_to, now(job).save_path) == (str(root / "done"), str(root))
    assert not Job.objects.to_tend().exists()
    transitions.move(
        job.pk,
        S.COMPLETED,
        token=1,
        result_path=str(root / "Caminandes.S01"),
        progress=1.0,
    )
    tending.carry_if_free(job.pk)
    assert now(job).result_path == str(root / "done" / "Caminandes.S01")
    assert (root / "done" / "Caminandes.S01" / "Caminandes.S01E01.mp4").exists()


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


def test_the_last_wish_counts(finished, root: Path, other_disk: Path):
    job = finished()
    tending.relocate(job.pk, other_disk / "one")
    tending.relocate(job.pk, root / "two")
    assert now(job).save_path == str(root / "two")
    tending.relocate(job.pk, other_disk / "one")
    tending.relocate(job.pk, root / "two")
    assert (now(job).save_path, now(job).moving_to) == (str(root / "two"), "")
    assert not (other_disk / "one").exists() or not list((other_disk / "one").iterdir())


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


def test_the_sweeper_wakes_a_worker_and_leaves_the_lock_alone(
    finished, root: Path, django_capture_on_commit_callbacks
):
    job = finished()
    Job.objects.filter(pk=job.pk).update(moving_to=str(root / "done"))
    with files.own_partial(job.pk) as folder, django_capture_on_commit_callbacks() as nudges:
        sweeper.sweep()
        assert folder.exists()
    assert [nudge.__name__ for nudge in nudges] == ["_send_tending"]


def test_the_message_names_the_task(
    finished, root: Path, other_disk: Path, monkeypatch, django_capture_on_commit_callbacks
):
    sent = []
    monkeypatch.setattr(
        dispatch.current_app, "send_task", lambda name, **how: sent.append((name, how["queue"]))
    )
    job = finished()
    with django_capture_on_commit_callbacks(execute=True):
        tending.relocate(job.pk, other_disk / "tv")
        tending.recheck([job.pk])
    assert sent == [(tasks.tend.name, "downloads")], "once for both"
    tasks.tend()
    assert now(job).save_path == str(other_disk / "tv")


@pytest.mark.parametrize(
    ("subfolder", "episode", "expected"),
    [
        (Subfolder.USUAL, 1, "X.S01E01.mp4"),
        (Subfolder.ALWAYS, 1, "X.S01E01/X.S01E01.mp4"),
        (Subfolder.NEVER, 1, "X.S01E01.mp4"),
        (Subfolder.USUAL, None, "X.S01.German/X.S01E01.German.mp4"),
        (Subfolder.NEVER, None, "X.S01E01.German.mp4"),
    ],
)
def test_a_folder_of_its_own_where_one_is_wanted(
    root: Path, subfolder: Subfolder, episode: int | None, expected: str
):
    name = "X.S01.German" if episode is None else "X.S01E01"
    job = JobFactory(running=True, episode=episode, name=name, subfolder=subfolder)
    run = base.Run(Job.objects.get(pk=job.pk), token=1)
    partial = files.partial_folder(job.pk) / "x.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(BODY)
    fetched = run.place(partial, episode=1, suffix=".mp4")
    assert fetched.path.relative_to(root).as_posix() == expected
    assert moving.tail(Job.objects.get(pk=job.pk), fetched.path).as_posix() == expected
    services.remove(job.pk, delete_files=True)
    assert [path for path in root.iterdir() if path.name != files.PARTIAL] == []


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


def test_many_at_once_are_some_here_and_the_rest_a_workers(finished, root: Path, monkeypatch):
    monkeypatch.setattr(tending, "AT_ONCE", 2)
    jobs = [finished(category="tv") for _ in range(4)] + [JobFactory() for _ in range(3)]
    assert tending.relocate_many([job.pk for job in jobs], root / "done") == {}
    assert [now(job).save_path == str(root / "done") for job in jobs] == [True, True, False, False] + [True] * 3  # fmt: skip
    tending.run()
    assert {now(job).save_path for job in jobs} == {str(root / "done")}


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
