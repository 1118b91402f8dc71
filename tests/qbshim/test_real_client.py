"""The `qbittorrent-api` package, which knows nothing of us, against a running server."""

from collections.abc import Iterator

import pytest
import qbittorrentapi
from django.conf import settings

from catalogue.releases import Release
from downloads.models import Job
from tests.catalogue.factories import SiteFactory
from tests.qbshim.conftest import PASSWORD


@pytest.fixture
def client(live_server, owner) -> Iterator[qbittorrentapi.Client]:
    client = qbittorrentapi.Client(live_server.url, username="admin", password=PASSWORD)
    client.auth_log_in()
    yield client
    client._trigger_session_initialization()  # closes its sockets


def test_the_whole_life_of_a_release(client: qbittorrentapi.Client, release):
    grabbed: Release = release()
    assert client.app_version() == "v5.1.0"
    assert client.app_web_api_version() == "2.11.4"
    assert client.app_preferences().save_path == client.app_default_save_path()
    assert client.app_build_info().bitness in (32, 64)
    client.torrents_create_category("tv-sonarr")
    assert list(client.torrents_categories()) == ["tv-sonarr"]

    added = client.torrents_add(urls=grabbed.magnet, category="tv-sonarr", is_stopped=True)
    assert added == "Ok."
    [torrent] = client.torrents_info(category="tv-sonarr", status_filter="stopped")
    assert (torrent.hash, torrent.name) == (grabbed.infohash, grabbed.name)
    assert torrent.state_enum.is_stopped
    assert client.torrents_count() == 1

    torrent.start()
    torrent.add_tags(["a", "b"])
    assert client.torrents_tags() == ["a", "b"]
    torrent.rename("Another Name")
    assert client.torrents_properties(grabbed.infohash).name == "Another Name"
    assert [row.status for row in torrent.trackers] == [0, 0, 0, 2]
    assert list(torrent.files) == list(torrent.webseeds) == list(torrent.piece_states) == []
    torrent.top_priority()
    with pytest.raises(qbittorrentapi.NotFound404Error):
        client.torrents_properties("0" * 40)

    data = client.sync_maindata()
    assert data.torrents[grabbed.infohash].state == "queuedDL"
    assert client.transfer_info().connection_status == "connected"
    assert [line.message for line in client.log_main()][-1].endswith("(resumed)")

    torrent.delete(delete_files=True)
    assert list(client.torrents_info()) == []
    assert Job.objects.present().count() == 0


def test_a_torrent_file_that_is_none_is_refused(client: qbittorrentapi.Client):
    with pytest.raises(qbittorrentapi.UnsupportedMediaType415Error):
        client.torrents_add(torrent_files={"x.torrent": b"rubbish"})


def test_wrong_credentials_are_a_failed_login(live_server, owner):
    client = qbittorrentapi.Client(live_server.url, username="admin", password="wrong")
    with pytest.raises(qbittorrentapi.LoginFailed):
        client.auth_log_in()
    client._trigger_session_initialization()


def test_it_signs_in_again_by_itself_after_a_403(client: qbittorrentapi.Client):
    SiteFactory(site_id="demo")
    client.auth_log_out()
    assert client.torrents_info() == []


def test_the_api_key_works_instead_of_a_password(live_server, db):
    client = qbittorrentapi.Client(
        live_server.url, EXTRA_HEADERS={"Authorization": f"Bearer {settings.API_KEY}"}
    )
    assert client.app_version() == "v5.1.0"
    client._trigger_session_initialization()
