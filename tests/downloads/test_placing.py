"""Paths of a downloader and paths of ours."""

from pathlib import Path

import pytest

from downloads import placing
from downloads.downloaders.base import Report, State
from downloads.models import Downloader


def report(**rest) -> Report:
    return Report(State.COMPLETED, **rest)


def find(downloader: Downloader, **rest) -> placing.Found:
    return placing.find(downloader, report(**rest), save_path="/save", name="Name")


@pytest.fixture
def same() -> Downloader:
    return Downloader(name="box")


@pytest.fixture
def mapped(tmp_path: Path) -> Downloader:
    (tmp_path / "mount").mkdir()
    return Downloader(name="box", remote_path="/data/torrents", local_path=str(tmp_path / "mount"))


def test_without_a_mapping_both_see_the_same_path(same, downloads_root: Path):
    (downloads_root / "film.mkv").write_bytes(b"12")
    path = str(downloads_root / "film.mkv")
    assert placing.remote_folder(same, "/downloads/tv") == "/downloads/tv"
    found = find(same, content_path=path)
    assert (found.path, found.note) == (path, "")
    assert found.videos == ((Path(path), 2),)


def test_with_a_mapping_the_downloader_hears_its_own_name_of_the_folder(mapped, downloads_root):
    assert placing.remote_folder(mapped, str(downloads_root / "tv")) == "/data/torrents/tv"
    assert placing.remote_folder(mapped, str(downloads_root)) == "/data/torrents"
    assert placing.remote_folder(mapped, mapped.local_path + "/x") == "/data/torrents/x"
    assert placing.remote_folder(mapped, "/somewhere/else") == "/data/torrents"


def test_what_the_downloader_says_is_found_under_our_name(mapped, downloads_root, tmp_path: Path):
    (tmp_path / "mount" / "tv").mkdir()
    (tmp_path / "mount" / "tv" / "e.mkv").write_bytes(b"1")
    found = find(mapped, content_path="/data/torrents/tv/e.mkv")
    assert found.path == str(tmp_path / "mount" / "tv" / "e.mkv")
    assert len(found.videos) == 1


def test_a_downloader_on_windows(downloads_root: Path):
    box = Downloader(name="box", remote_path="D:\\Torrents")
    assert placing.remote_folder(box, str(downloads_root / "tv")) == "D:\\Torrents\\tv"
    (downloads_root / "tv").mkdir()
    (downloads_root / "tv" / "e.mkv").write_bytes(b"1")
    assert find(box, content_path="d:\\torrents\\tv\\e.mkv").path == str(
        downloads_root / "tv" / "e.mkv"
    )


def test_what_cannot_be_seen_here_is_said_with_its_path(same, downloads_root: Path):
    """Clients may see it there; so its path is shown, and nothing is claimed about files."""
    path = f"{downloads_root}/not/here.mkv"
    found = find(same, content_path=path)
    assert (found.path, found.videos) == (path, ())
    assert "which AniBridge cannot see" in found.note


def test_a_path_outside_of_the_named_folders_is_not_looked_into(same, downloads_root, tmp_path):
    secret = tmp_path / "secret.mkv"
    secret.write_bytes(b"mine")
    found = find(same, content_path=str(secret))
    assert found.videos == ()
    assert "does not look into" in found.note


def test_a_link_out_of_the_folder_is_not_followed(same, downloads_root: Path, tmp_path: Path):
    (tmp_path / "secret.mkv").write_bytes(b"mine")
    folder = downloads_root / "show"
    folder.mkdir()
    (folder / "a.mkv").symlink_to(tmp_path / "secret.mkv")
    (folder / "b").symlink_to(tmp_path)
    assert find(same, content_path=str(folder)).videos == ()
    assert find(same, content_path=str(folder / "a.mkv")).videos == ()


@pytest.mark.parametrize(
    "text", ["", "relative/path.mkv", "/downloads/../etc/passwd", "\x00", "/" + "x" * 1200]
)
def test_what_is_no_path_is_answered_with_a_guess(same, downloads_root, text: str):
    found = find(same, content_path=text)
    assert found.path == "/save/Name"
    assert "did not say where" in found.note


def test_a_downloader_that_names_only_files(same, downloads_root: Path):
    for name in ("show/e1.mkv", "show/sub/e2.mkv"):
        (downloads_root / name).parent.mkdir(parents=True, exist_ok=True)
        (downloads_root / name).write_bytes(b"1")
    found = find(same, save_path=str(downloads_root), files=("show/e1.mkv", "show/sub/e2.mkv"))
    assert found.path == str(downloads_root / "show")
    assert len(found.videos) == 2
    one = find(same, save_path=str(downloads_root), files=("show/e1.mkv",))
    assert one.path == str(downloads_root / "show" / "e1.mkv")
    assert find(same, files=("show/e1.mkv",)).path == "/save/Name"


def test_a_download_without_a_video_says_so(same, downloads_root: Path):
    (downloads_root / "book.epub").write_bytes(b"1")
    found = find(same, content_path=str(downloads_root / "book.epub"))
    assert found.note == "finished, but there is no video among its files"
    assert found.path == str(downloads_root / "book.epub")
