"""Files stay below the folders of the operator, arrive whole, and never take the place of somebody else's."""

import errno
import os
import threading
from pathlib import Path

import pytest

from anibridge.lib import http
from anibridge.lib.errors import Cancelled
from downloads import files, finishing
from downloads.errors import DiskFull, NameTaken, OutsideRoot, StillWritten, WrongFile
from tests.downloads.placed import another_file_system

BODY = b"video" * 1000


@pytest.fixture
def root(settings, tmp_path: Path) -> Path:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    settings.DOWNLOAD_RESERVE = 0
    return settings.DOWNLOAD_DIR


@pytest.fixture
def partial(root: Path) -> Path:
    path = files.partial_folder(7) / "file.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    return path


@pytest.fixture
def elsewhere(settings, tmp_path_factory: pytest.TempPathFactory, root: Path):
    """A library on another file system."""
    with another_file_system(root) as library:
        settings.DOWNLOAD_LIBRARY_ROOTS = [library]
        yield library


def test_a_file_gets_its_name_and_nothing_is_left(root, partial):
    final = finishing.finish(partial, root / "tv" / "a.mp4")
    assert final.read_bytes() == BODY
    assert not partial.exists()


def test_a_file_of_somebody_else_is_never_overwritten(root, partial):
    (root / "a.mp4").write_bytes(b"mine")
    with pytest.raises(NameTaken):
        finishing.finish(partial, root / "a.mp4")
    assert (root / "a.mp4").read_bytes() == b"mine"
    assert partial.exists()
    finishing.finish(partial, root / "a.mp4", replace=True)
    assert (root / "a.mp4").read_bytes() == BODY


def test_a_file_system_without_hard_links_is_fine(root, partial, monkeypatch):
    def refuse(*args: object, **rest: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (root / "a.mp4").write_bytes(b"mine")
    with pytest.raises(NameTaken):
        finishing.finish(partial, root / "a.mp4")
    assert finishing.finish(partial, root / "b.mp4").read_bytes() == BODY


@pytest.mark.parametrize("place", ["../x.mp4", "/etc/anibridge-test.mp4", "tv/../../x.mp4"])
def test_nothing_is_put_outside(root, partial, place):
    with pytest.raises(OutsideRoot):
        finishing.finish(partial, root / place)
    assert partial.exists()


def test_a_link_that_leads_out_is_not_followed(root, partial, tmp_path):
    (tmp_path / "outside").mkdir()
    (root / "tv").symlink_to(tmp_path / "outside")
    with pytest.raises(OutsideRoot):
        finishing.finish(partial, root / "tv" / "a.mp4")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_within_the_roots_is_followed(root, partial):
    (root / "real").mkdir()
    (root / "tv").symlink_to(root / "real")
    assert finishing.finish(partial, root / "tv" / "a.mp4") == root / "real" / "a.mp4"


def test_a_link_that_appears_after_the_check_leads_nowhere(root, partial, tmp_path):
    """Between the check and the step into the folder, somebody puts a link there."""
    (tmp_path / "outside").mkdir()
    folder = root / "tv"
    folder.symlink_to(tmp_path / "outside")
    with pytest.raises(OutsideRoot), files.opened_folder(folder):
        raise AssertionError("it was followed")
    with pytest.raises(OutsideRoot), files.opened_folder(folder / "deeper"):
        raise AssertionError("it was followed")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_the_place_of_the_file_is_not_written_through(root, partial, tmp_path):
    (tmp_path / "precious").write_bytes(b"mine")
    (root / "a.mp4").symlink_to(tmp_path / "precious")
    with pytest.raises(NameTaken):
        finishing.finish(partial, root / "a.mp4")
    finishing.finish(partial, root / "a.mp4", replace=True)
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert not (root / "a.mp4").is_symlink()


def test_deleting_a_link_deletes_the_link(root, tmp_path):
    (tmp_path / "precious").write_bytes(b"mine")
    (root / "a.mp4").symlink_to(tmp_path / "precious")
    files.delete(root / "a.mp4")
    assert (tmp_path / "precious").exists()
    assert not (root / "a.mp4").is_symlink()


@pytest.mark.parametrize("path", ["", "..", "../precious", "tv/../../precious", "out/precious"])
def test_nothing_outside_is_deleted(root, tmp_path, path):
    (tmp_path / "precious").write_bytes(b"mine")
    (root / "out").symlink_to(tmp_path)
    files.delete(root / path)
    files.delete_folder(root / path)
    assert (tmp_path / "precious").exists()
    assert root.is_dir()


def test_a_copy_to_another_file_system_is_whole_and_leaves_nothing(elsewhere, partial):
    final = finishing.finish(partial, elsewhere / "Film (2010)" / "Film (2010).mp4")
    assert final.read_bytes() == BODY
    assert not partial.exists()
    assert [path.name for path in final.parent.iterdir()] == ["Film (2010).mp4"]


def test_a_copy_overwrites_nobody(elsewhere, partial):
    (elsewhere / "a.mp4").write_bytes(b"mine")
    with pytest.raises(NameTaken):
        finishing.finish(partial, elsewhere / "a.mp4")
    assert (elsewhere / "a.mp4").read_bytes() == b"mine"
    assert partial.exists()


def test_a_copy_that_came_out_differently_is_not_kept(elsewhere, partial, monkeypatch):
    real = finishing._copied

    def spoilt(source: Path, target: str, folder: int) -> tuple[int, str]:
        said = real(source, target, folder)
        descriptor = os.open(target, os.O_WRONLY, dir_fd=folder)
        os.pwrite(descriptor, b"X", 17)
        os.close(descriptor)
        return said

    monkeypatch.setattr(finishing, "_copied", spoilt)
    with pytest.raises(WrongFile, match="differs"):
        finishing.finish(partial, elsewhere / "a.mp4")
    assert partial.read_bytes() == BODY
    assert list(elsewhere.iterdir()) == []


def test_a_copy_needs_room_where_it_goes(elsewhere, partial, settings):
    settings.DOWNLOAD_RESERVE = 10**18
    with pytest.raises(DiskFull):
        finishing.finish(partial, elsewhere / "a.mp4")
    assert list(elsewhere.iterdir()) == []


def test_a_copy_stops_when_the_job_is_cancelled(elsewhere, partial):
    partial.write_bytes(bytes(5 << 20))

    def check() -> None:
        if any(path.name.startswith(files.COPY_PREFIX) for path in elsewhere.iterdir()):
            raise Cancelled("called off")

    with pytest.raises(Cancelled), http.cancellation(check, every=0.0):
        finishing.finish(partial, elsewhere / "a.mp4")
    assert list(elsewhere.iterdir()) == []
    assert partial.exists()


def test_a_copy_that_a_dead_worker_left_goes_with_the_job(elsewhere, partial, monkeypatch):
    def die(*args: object, **rest: object) -> None:
        raise SystemExit

    monkeypatch.setattr(finishing, "_read_back", die)
    monkeypatch.setattr(os, "unlink", lambda *args, **rest: None)
    with pytest.raises(SystemExit):
        finishing.finish(partial, elsewhere / "a.mp4")
    monkeypatch.undo()
    assert len(list(elsewhere.iterdir())) == 1
    files.drop_partial(7)
    assert list(elsewhere.iterdir()) == []
    assert not partial.parent.exists()


def test_a_note_about_a_copy_cannot_name_another_file(root, partial):
    (root / "precious").write_bytes(b"mine")
    (partial.parent / files.COPYING).write_text(str(root / "precious"))
    files.drop_partial(7)
    assert (root / "precious").exists()


def test_only_one_process_works_on_the_unfinished_files_of_a_job(root):
    with files.own_partial(3) as folder:
        (folder / "file.part").write_bytes(b"x")
        with pytest.raises(StillWritten), files.own_partial(3):
            raise AssertionError("two had it")
        with files.own_partial(4):
            pass
    with files.own_partial(3) as folder:
        assert (folder / "file.part").exists()


def test_whoever_is_about_to_let_go_is_waited_for(root):
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with files.own_partial(3):
            held.set()
            over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    threading.Timer(0.3, over.set).start()
    with files.own_partial(3, patience=30):
        assert over.is_set()
    thread.join()


def test_a_job_that_fetched_nothing_leaves_no_folder(root):
    with files.own_partial(3):
        pass
    assert not files.partial_folder(3).exists()


def test_a_folder_that_is_dropped_meanwhile_can_be_had_again(root):
    with files.own_partial(3):
        files.drop_partial(3)
        with files.own_partial(3) as folder:
            assert folder.is_dir()
