"""The `qbittorrent-api` package drives every command against a running server, and reads back what came of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import qbittorrentapi

from catalogue.releases import Release
from downloads import tending
from downloads.models import Job
from tests.downloads.factories import JobFactory
from tests.qbshim.conftest import PASSWORD, UNKNOWN
from tests.qbshim.test_add_links import FOREIGN, HASH, torrent, v1_of


@pytest.fixture
def client(live_server, owner) -> Iterator[qbittorrentapi.Client]:
    client = qbittorrentapi.Client(live_server.url, username="admin", password=PASSWORD)
    client.auth_log_in()
    yield client
    client._trigger_session_initialization()  # closes its sockets


def one(client: qbittorrentapi.Client, infohash: str) -> qbittorrentapi.TorrentDictionary:
    [found] = client.torrents_info(torrent_hashes=infohash)
    return found


def test_adding_of_every_kind(client: qbittorrentapi.Client, release: Callable[..., Release]):
    links = [release(1).magnet, release(2).magnet, FOREIGN]
    assert client.torrents_add(urls=links, category="tv", is_stopped=True) == "Ok."
    content = torrent()
    files = {"a.torrent": content, "b.torrent": torrent("Other.mkv")}
    assert client.torrents_add(torrent_files=files, is_paused=True) == "Ok."
    assert client.torrents_add(urls="http://127.0.0.1:9/x.torrent", is_stopped=True) == "Ok."
    assert client.torrents_count() == 6
    assert one(client, HASH).category == "tv"
    assert one(client, v1_of(content)).state_enum.is_stopped
    assert client.torrents_export(v1_of(content)) == content
    assert client.torrents_add(urls=links) == "Ok."
    assert client.torrents_add(urls="rubbish") == "Fails."
    with pytest.raises(qbittorrentapi.UnsupportedMediaType415Error):
        client.torrents_add(torrent_files={"x.torrent": b"rubbish"})
    assert client.torrents_count() == 6


def test_adding_with_every_option(
    client: qbittorrentapi.Client, release: Callable[..., Release], downloads_here: Path
):
    said = client.torrents_add(
        urls=release().magnet,
        save_path=str(downloads_here / "own"),
        cookie="a=b",
        category="films",
        is_skip_checking=True,
        is_paused=True,
        is_root_folder=True,
        rename="Renamed",
        upload_limit=2048,
        download_limit=4096,
        use_auto_torrent_management=False,
        is_sequential_download=True,
        is_first_last_piece_priority=True,
        tags=["a", "b"],
        content_layout="Subfolder",
        ratio_limit=1.5,
        seeding_time_limit=60,
        inactive_seeding_time_limit=30,
        download_path="/x",
        use_download_path=False,
        stop_condition="MetadataReceived",
        add_to_top_of_queue=True,
        forced=False,
    )
    assert said == "Ok."
    item = one(client, release().infohash)
    assert (item.name, item.save_path, item.tags) == (
        "Renamed",
        str(downloads_here / "own"),
        "a, b",
    )
    assert (item.dl_limit, item.up_limit, item.ratio_limit) == (4096, 2048, 1.5)
    assert (item.seeding_time_limit, item.inactive_seeding_time_limit) == (60, 30)
    assert (item.seq_dl, item.f_l_piece_prio, item.auto_tmm) == (True, True, False)
    assert Job.objects.get().subfolder == "always"


def test_starting_stopping_and_the_queue(
    client: qbittorrentapi.Client, release: Callable[..., Release]
):
    hashes = [release(number).infohash for number in (1, 2, 3)]
    client.torrents_add(urls=[release(number).magnet for number in (1, 2, 3)])
    one(client, hashes[0]).stop()
    assert one(client, hashes[0]).state == "stoppedDL"
    client.torrents_pause(torrent_hashes=hashes[1])
    client.torrents_resume(torrent_hashes="all")
    assert {item.state for item in client.torrents_info()} == {"queuedDL"}
    one(client, hashes[2]).top_priority()
    one(client, hashes[0]).bottom_priority()
    places = [item.priority for item in (one(client, infohash) for infohash in hashes)]
    assert places == [3, 2, 1]
    one(client, hashes[0]).increase_priority()
    one(client, hashes[2]).decrease_priority()
    assert [one(client, infohash).priority for infohash in hashes] == [1, 3, 2]
    client.app_set_preferences({"queueing_enabled": False})
    with pytest.raises(qbittorrentapi.Conflict409Error):
        one(client, hashes[0]).top_priority()
    one(client, hashes[1]).set_force_start(enable=True)
    assert one(client, hashes[1]).force_start is True
    client.torrents_reannounce(torrent_hashes="all")
    client.torrents_recheck(torrent_hashes="all")
    client.torrents_delete(delete_files=True, torrent_hashes="all")
    assert client.torrents_info() == []


def test_limits(client: qbittorrentapi.Client, release: Callable[..., Release]):
    infohash = release().infohash
    client.torrents_add(urls=release().magnet)
    item = one(client, infohash)
    item.set_download_limit(limit=10_240)
    item.set_upload_limit(limit=5_120)
    item.set_share_limits(ratio_limit=1.25, seeding_time_limit=120, inactive_seeding_time_limit=-2)
    assert client.torrents_download_limit(torrent_hashes=infohash) == {infohash: 10_240}
    assert client.torrents_upload_limit(torrent_hashes=infohash) == {infohash: 5_120}
    item = one(client, infohash)
    assert (item.ratio_limit, item.seeding_time_limit) == (1.25, 120)
    item.toggle_sequential_download()
    item.toggle_first_last_piece_priority()
    item.set_super_seeding(enable=True)
    item = one(client, infohash)
    assert (item.seq_dl, item.f_l_piece_prio, item.super_seeding) == (True, True, True)


def test_files_and_folders(
    client: qbittorrentapi.Client, finished: Callable[..., Job], downloads_here: Path
):
    job = finished(category="tv")
    client.torrents_create_category("tv")
    client.torrents_create_category("done", save_path=str(downloads_here / "ready"))
    item = one(client, job.infohash)
    item.set_category("done")
    assert one(client, job.infohash).save_path == str(downloads_here / "ready")
    item.set_location(str(downloads_here / "own"))
    assert one(client, job.infohash).content_path == str(downloads_here / "own" / f"{job.name}.mp4")
    item.set_save_path(str(downloads_here / "other"))
    assert one(client, job.infohash).save_path == str(downloads_here / "other")
    item.set_auto_management(enable=True)
    assert one(client, job.infohash).save_path == str(downloads_here / "ready")
    item.rename_file(old_path=f"{job.name}.mp4", new_path="Folder/a.mp4")
    item.rename_folder(old_path="Folder", new_path="Other Folder")
    [file] = item.files
    assert file.name == "Other Folder/a.mp4"
    final = downloads_here / "ready" / "Other Folder" / "a.mp4"
    assert (one(client, job.infohash).content_path, final.exists()) == (str(final), True)
    item.rename("Shown Name")
    assert one(client, job.infohash).name == "Shown Name"
    with pytest.raises(qbittorrentapi.Conflict409Error):
        item.set_location("/etc")
    with pytest.raises(qbittorrentapi.Conflict409Error):
        item.set_download_path("/etc")
    with pytest.raises(qbittorrentapi.NotFound404Error):
        client.torrents_rename(torrent_hash=UNKNOWN, new_torrent_name="x")
    client.torrents_edit_category("done", save_path="")
    assert one(client, job.infohash).auto_tmm is False
    client.torrents_remove_categories(["done", "tv"])
    assert one(client, job.infohash).category == ""
    job.files.update(size_bytes=5)
    item.recheck()
    assert one(client, job.infohash).state == "checkingUP"
    tending.run()
    assert one(client, job.infohash).state == "stoppedUP"
    item.delete(delete_files=True)
    assert not final.exists()


def test_commands_for_hashes_that_are_not_there_are_fine(client: qbittorrentapi.Client):
    JobFactory()
    for name in ("stop", "start", "recheck", "reannounce", "top_priority", "delete"):
        getattr(client, f"torrents_{name}")(torrent_hashes=UNKNOWN)
    client.torrents_set_location(location="x", torrent_hashes=UNKNOWN)
    assert client.torrents_count() == 1
