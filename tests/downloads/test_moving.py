"""Files in place are brought to another folder: as a name where that is enough, as a copy where not, and always whole."""

from pathlib import Path

import pytest

from downloads import (
    dispatch,
    files,
    moving,
    services,
    sweeper,
    tasks,
    tending,
    transitions,
)
from downloads.engines import base
from downloads.errors import OutsideRoot, UnknownJob, Unmovable
from downloads.models import (
    Downloader,
    DownloaderKind,
    Job,
    JobStatus,
    Layout,
    Subfolder,
)
from tests.downloads.factories import JobFactory
from tests.downloads.placed import BODY, now, paths, put, said
from tests.downloads.placed import finished as finished
from tests.downloads.placed import other_disk as other_disk
from tests.downloads.placed import pack as pack
from tests.downloads.placed import root as root

pytestmark = pytest.mark.django_db
S = JobStatus


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
    final = root / "done" / f"{job.name}.mp4"
    assert (now(job).save_path, now(job).result_path) == (str(root / "done"), str(final))
    assert paths(job) == [job.result_path], "where it was, should it come back"


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


def test_another_link_to_the_same_folder_costs_no_file(finished, root: Path):
    job = finished(category="tv")
    (root / "series").symlink_to(root / "tv")
    tending.relocate(job.pk, root / "series")
    assert (root / "tv" / f"{job.name}.mp4").read_bytes() == BODY
    assert now(job).save_path == str(root / "series")


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


def test_the_last_wish_counts(finished, root: Path, other_disk: Path):
    job = finished()
    tending.relocate(job.pk, other_disk / "one")
    tending.relocate(job.pk, root / "two")
    assert now(job).save_path == str(root / "two")
    tending.relocate(job.pk, other_disk / "one")
    tending.relocate(job.pk, root / "two")
    assert (now(job).save_path, now(job).moving_to) == (str(root / "two"), "")
    assert not (other_disk / "one").exists() or not list((other_disk / "one").iterdir())


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


def test_many_at_once_are_some_here_and_the_rest_a_workers(finished, root: Path, monkeypatch):
    monkeypatch.setattr(tending, "AT_ONCE", 2)
    jobs = [finished(category="tv") for _ in range(4)] + [JobFactory() for _ in range(3)]
    assert tending.relocate_many([job.pk for job in jobs], root / "done") == {}
    assert [now(job).save_path == str(root / "done") for job in jobs] == [True, True, False, False] + [True] * 3  # fmt: skip
    tending.run()
    assert {now(job).save_path for job in jobs} == {str(root / "done")}
