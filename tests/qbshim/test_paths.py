"""One folder, two names."""

from pathlib import Path

import pytest

from qbshim import paths
from qbshim.errors import OutsideDownloads
from tests.downloads.factories import JobFactory
from tests.qbshim.conftest import Caller

PUBLIC = ["/data/downloads", "/data/downloads/", "/", "Z:\\", "Z:\\media\\in", "\\\\nas\\share"]


@pytest.mark.parametrize("public", PUBLIC)
def test_what_is_shown_is_understood(settings, downloads_here: Path, public: str):
    settings.QBIT_PUBLIC_SAVE_PATH = public
    for path in (downloads_here, downloads_here / "tv", downloads_here / "a" / "b c"):
        assert str(downloads_here) not in paths.shown(path)
        assert paths.local(paths.shown(path)) == path


@pytest.mark.parametrize(
    ("public", "root", "inside"),
    [
        ("", None, None),
        ("/data", "/data", "/data/tv/x.mp4"),
        ("/data/", "/data", "/data/tv/x.mp4"),
        ("/", "/", "/tv/x.mp4"),
        ("Z:\\", "Z:\\", "Z:\\tv\\x.mp4"),
        ("Z:/in", "Z:/in", "Z:/in\\tv\\x.mp4"),
    ],
)
def test_the_public_name_takes_the_place_of_the_root(
    settings, downloads_here: Path, public: str, root: str | None, inside: str | None
):
    settings.QBIT_PUBLIC_SAVE_PATH = public
    assert paths.shown(downloads_here) == (root or str(downloads_here))
    file = downloads_here / "tv" / "x.mp4"
    assert paths.shown(file) == (inside or str(file))
    assert paths.shown("/elsewhere/x.mp4") == "/elsewhere/x.mp4"
    assert paths.shown(f"{downloads_here}-2/x") == f"{downloads_here}-2/x"


def test_a_relative_path_starts_at_the_download_folder(settings, downloads_here: Path):
    for public in ("", "/data", "Z:\\"):
        settings.QBIT_PUBLIC_SAVE_PATH = public
        assert paths.local("tv") == downloads_here / "tv"
        assert paths.local(str(downloads_here / "tv")) == downloads_here / "tv"


@pytest.mark.parametrize("public", ["", "/data", "Z:\\in"])
@pytest.mark.parametrize(
    "asked",
    ["/etc", "..", "/data/../etc", "Z:\\in\\..\\..\\etc", "a/../../b", ".incomplete", "a\x00b"],
)
def test_there_is_no_way_out(settings, downloads_here: Path, public: str, asked: str):
    settings.QBIT_PUBLIC_SAVE_PATH = public
    try:
        found = paths.local(asked)
    except OutsideDownloads:
        return
    assert found.is_relative_to(downloads_here)
    assert found.name != "etc"


def test_a_link_out_of_the_folder_is_seen_through(downloads_here: Path, tmp_path: Path):
    (downloads_here / "out").symlink_to(tmp_path)
    (downloads_here / "round").symlink_to(downloads_here / "round")
    for asked in ("out", "out/x", "round/x"):
        with pytest.raises(OutsideDownloads):
            paths.local(asked)


def test_clients_see_the_public_name_everywhere(
    sonarr: Caller, settings, downloads_here: Path, finished, release
):
    settings.QBIT_PUBLIC_SAVE_PATH = "/mnt/bridge"
    done, waiting = finished(category="tv"), JobFactory(category="tv")
    assert sonarr.get("app/preferences").json()["save_path"] == "/mnt/bridge"
    assert sonarr.get("app/defaultSavePath").content == b"/mnt/bridge"
    assert sonarr.get("torrents/categories").json()["tv"]["savePath"] == "/mnt/bridge/tv"
    assert sonarr.one(done)["content_path"] == f"/mnt/bridge/tv/{done.name}.mp4"
    assert sonarr.one(waiting)["content_path"] == f"/mnt/bridge/tv/{waiting.name}"
    properties = sonarr.get("torrents/properties", hash=done.infohash).json()
    assert properties["save_path"] == sonarr.one(done)["save_path"] == "/mnt/bridge/tv"
    sonarr.post("torrents/createCategory", category="m", savePath="/mnt/bridge/films")
    assert (downloads_here / "films").is_dir()
    sonarr.post("torrents/add", urls=release().magnet, savepath="/mnt/bridge/films")
    assert sonarr.one(release().infohash)["save_path"] == "/mnt/bridge/films"
    assert str(downloads_here) not in sonarr.get("sync/maindata").content.decode()
