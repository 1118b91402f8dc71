"""A grab of Sonarr and one of Radarr from beginning to end, with a worker that really downloads in between."""

from pathlib import Path
from typing import Any

import pytest

from anibridge.lib import media
from catalogue.models import Site
from catalogue.releases import Identity, Release
from downloads import queue, runner
from downloads.models import Job
from tests.qbshim.conftest import PASSWORD, Caller

EPISODE = Release(
    Identity("demo", "sintel", 1, 1, "German Dub"), title="Sintel", group="DEMO", height=1080
)


@pytest.fixture
def downloads_here(demo_site: Site, settings: Any) -> Path:
    """The demo catalogue's own folder, in place of the one of the other tests."""
    settings.QBIT_PUBLIC_SAVE_PATH = ""
    settings.DOWNLOAD_DIR = settings.DOWNLOAD_DIR.resolve()
    return settings.DOWNLOAD_DIR


def work() -> None:
    """What a worker does when it is woken."""
    claimed = queue.claim_next("worker@test")
    assert claimed is not None
    runner.execute(*claimed)


def multipart(caller: Caller, fields: dict[str, str]) -> bytes:
    """As .NET writes it: parts without a type, the boundary without quotes."""
    boundary = "8c1f0c1b-6d8e-4f5a-9d0e-2b9e1f3a7c55"
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    answer = caller.http.post(
        "/api/v2/torrents/add",
        f"{parts}--{boundary}--\r\n".encode(),
        content_type=f"multipart/form-data; boundary={boundary}",
    )
    return answer.content


def test_sonarr_from_the_grab_to_the_removal(owner: Any, downloads_here: Path, tmp_path: Path):
    sonarr = Caller()
    assert sonarr.post("auth/login", username="admin", password=PASSWORD).content == b"Ok."
    for name in ("tv-sonarr", "tv-imported"):
        sonarr.post("torrents/createCategory", category=name)

    # The grab: priority «first», forced, with the indexer's seed criteria.
    assert sonarr.get("app/preferences").json()["dht"] is True
    added = sonarr.post(
        "torrents/add",
        urls=EPISODE.magnet,
        category="tv-sonarr",
        stopped="False",
        ratioLimit="1.5",
        seedingTimeLimit="60",
    )
    assert added.content == b"Ok."
    lower = EPISODE.infohash
    assert sonarr.get("torrents/properties", hash=lower).status_code == 200
    share = {"ratioLimit": "1.5", "seedingTimeLimit": "60"}
    assert sonarr.post("torrents/setShareLimits", hashes=lower, **share).status_code == 200
    assert sonarr.post("torrents/topPrio", hashes=lower).status_code == 200
    assert sonarr.post("torrents/setForceStart", hashes=lower, value="true").status_code == 200
    assert sonarr.post("torrents/addTags", hashes=lower, tags="sintel").status_code == 200
    [item] = sonarr.info(category="tv-sonarr")
    assert (item["state"], item["progress"], item["force_start"]) == ("queuedDL", 0, True)

    work()
    [item] = sonarr.info(category="tv-sonarr")
    assert (item["state"], item["progress"]) == ("stoppedUP", 1)
    content = Path(item["content_path"])
    assert content.name == f"{EPISODE.name}.mp4"
    assert media.verify_video(content).height == 1080
    assert item["size"] == content.stat().st_size
    assert 0 <= item["ratio_limit"] <= item["ratio"] + 0.001, "so that it is moved, not copied"

    # The import moves the file away; then the post-import category, then the removal.
    library = tmp_path / "library"
    library.mkdir()
    content.rename(library / "Sintel - S01E01.mp4")
    answer = sonarr.post("torrents/setCategory", hashes=lower, category="tv-imported")
    assert answer.status_code == 200
    assert sonarr.info(category="tv-sonarr") == []
    [item] = sonarr.info(category="tv-imported")
    assert item["state"] == "stoppedUP"
    assert sonarr.post("torrents/delete", hashes=lower, deleteFiles="true").status_code == 200
    assert sonarr.info() == []
    assert (library / "Sintel - S01E01.mp4").exists()
    assert sorted(one.name for one in downloads_here.iterdir() if one.name[0] != ".") == [
        "tv-imported",
        "tv-sonarr",
    ]


def test_radarr_that_copies_keeps_its_file_in_the_imported_category(
    owner: Any, downloads_here: Path, tmp_path: Path
):
    radarr = Caller(Authorization="Basic Og==")
    assert radarr.post("auth/login", username="admin", password=PASSWORD).content == b"Ok."
    for name in ("radarr", "radarr-done"):
        radarr.post("torrents/createCategory", category=name)
    trackers = "".join(f"&tr=http%3A%2F%2Ftracker{number}.example" for number in range(60))
    fields = {"urls": EPISODE.magnet + trackers, "category": "radarr", "paused": "False"}
    assert len(fields["urls"]) > 1024
    assert multipart(radarr, fields) == b"Ok."
    work()
    [item] = radarr.info(category="radarr")
    linked = tmp_path / "library.mp4"
    linked.hardlink_to(item["content_path"])

    # Hard-linked into the library: the download goes on lying there, in the other category's folder.
    radarr.post("torrents/setCategory", hashes=EPISODE.infohash, category="radarr-done")
    [item] = radarr.info(category="radarr-done")
    moved = Path(item["content_path"])
    assert moved == downloads_here / "radarr-done" / f"{EPISODE.name}.mp4"
    assert moved.samefile(linked)
    radarr.post("torrents/delete", hashes=EPISODE.infohash, deleteFiles="true")
    assert not moved.exists()
    assert linked.exists()


def test_the_same_hash_deleted_and_grabbed_again_starts_fresh(owner: Any, downloads_here: Path):
    sonarr = Caller()
    sonarr.sign_in()
    for again in (False, True):
        assert sonarr.post("torrents/add", urls=EPISODE.magnet, category="tv").content == b"Ok."
        [item] = sonarr.info()
        assert (item["state"], item["progress"], item["downloaded"]) == ("queuedDL", 0, 0)
        work()
        [item] = sonarr.info()
        assert item["state"] == "stoppedUP"
        assert Path(item["content_path"]).exists()
        # Once with its files, once without: neither gets in the way of the next.
        sonarr.post("torrents/delete", hashes=EPISODE.infohash, deleteFiles=str(again))
    assert Job.objects.present().count() == 0
    assert len(list((downloads_here / "tv").iterdir())) == 1
