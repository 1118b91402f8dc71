"""Every method of the `qbittorrent-api` package against a running server.

The package knows nothing of us. What it calls is looked up in its own source, so a method that it gains is missed here.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import qbittorrentapi
from django.conf import settings
from qbittorrentapi import (  # fmt: skip
    Client,
    Conflict409Error,
    MissingRequiredParameters400Error,
    NotFound404Error,
    UnsupportedMediaType415Error,
)

from catalogue.releases import Release
from downloads import limits
from downloads.models import Job
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.conftest import PASSWORD

NAMESPACES = ("app", "auth", "torrents", "sync", "transfer", "log", "rss", "search", "torrentcreator")  # fmt: skip
CLAIMED = (2, 11, 4)
UNKNOWN = "0" * 40


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def methods() -> dict[str, bool]:
    """Each method of the package under its plain name → whether the version that we claim has it."""
    names: dict[Callable[..., Any], str] = {}
    for name in dir(Client):
        namespace, _, rest = name.partition("_")
        if namespace in NAMESPACES and rest and (name == name.lower()):
            names.setdefault(getattr(Client, name), name)
    found = {}
    for method, name in names.items():
        source = inspect.getsource(method)
        since = re.search(r'version_introduced="([\d.]+)"', source)
        until = re.search(r'version_removed="([\d.]+)"', source)
        there = (since is None or _version(since[1]) <= CLAIMED) and until is None
        found[name] = there
    return found


@pytest.fixture
def client(live_server, owner) -> Iterator[Client]:
    client = Client(
        live_server.url,
        username="admin",
        password=PASSWORD,
        RAISE_NOTIMPLEMENTEDERROR_FOR_UNIMPLEMENTED_API_ENDPOINTS=True,
    )
    client.auth_log_in()
    yield client
    client._trigger_session_initialization()  # closes its sockets


class Scene:
    """A server with a few torrents: one that waits, one that runs, one that is done, and a release to add."""

    def __init__(self, client: Client, release: Callable[..., Release]) -> None:
        self.client = client
        self.waiting, self.running = JobFactory(), JobFactory(running=True)
        self.done = JobFactory(completed=True, episode=None, name="Sintel.S01")
        folder = Path(self.done.save_path) / "Sintel.S01"
        folder.mkdir(parents=True)
        for episode in (1, 2):
            path = folder / f"Sintel.S01E0{episode}.mp4"
            path.write_bytes(b"video")
            JobFileFactory(job=self.done, episode=episode, path=str(path), size_bytes=5)
        Job.objects.filter(pk=self.done.pk).update(result_path=str(folder))
        self.release = release()
        self.a, self.b, self.c = (j.infohash for j in (self.waiting, self.running, self.done))


@pytest.fixture
def scene(client: Client, release) -> Scene:
    return Scene(client, release)


Step = tuple[str, tuple[Any, ...] | dict[str, Any], Any]
"""A method, what it is given, and what comes of it: a value, a check of the value, or the error that it raises."""


def steps(s: Scene) -> list[Step]:
    """In an order in which each finds what it needs."""
    top = str(settings.DOWNLOAD_DIR)
    tracker = s.client.torrents_info(torrent_hashes=s.a)[0].tracker
    return [
        *app_steps(top),
        *transfer_steps(),
        *label_steps(s),
        *reading_steps(s),
        *control_steps(s, top),
        *swarm_steps(s, tracker),
        *other_steps(),
        ("torrents_delete", {"torrent_hashes": s.a, "delete_files": True}, None),
        ("torrents_count", (), 3),
        ("log_main", (), lambda lines: len(lines) > 0 and lines[-1].type == 1),
        ("auth_log_out", (), None),
        ("auth_log_in", (), None),
    ]


def app_steps(top: str) -> list[Step]:
    return [
        ("app_version", (), "v5.1.0"),
        ("app_web_api_version", (), "2.11.4"),
        ("app_build_info", (), lambda info: info.bitness in (32, 64)),
        ("app_set_preferences", ({"pex": True, "refresh_interval": 2000},), None),
        ("app_preferences", (), lambda p: (p.pex, p.refresh_interval) == (True, 2000)),
        ("app_default_save_path", (), top),
        ("app_get_directory_content", (top,), lambda names: f"{top}/Sintel.S01" in names),
        ("app_get_directory_content", ("/",), lambda names: len(names) == 1),
        ("app_get_directory_content", ("/etc",), NotFound404Error),
        ("app_set_cookies", ([{"name": "a", "value": "b", "domain": "x", "path": "/", "expirationDate": 5}],), None),
        ("app_cookies", (), lambda cookies: cookies[0].value == "b"),
        ("app_network_interface_list", (), lambda names: "lo" in [one.value for one in names]),
        ("app_network_interface_address_list", ("lo",), ["127.0.0.1"]),
        ("app_send_test_email", (), Conflict409Error),
        ("app_shutdown", (), Conflict409Error),
    ]  # fmt: skip


def transfer_steps() -> list[Step]:
    return [
        ("transfer_info", (), lambda info: info.connection_status == "connected" and info.dl_info_speed > 0),
        ("transfer_speed_limits_mode", (), "0"),
        ("transfer_set_speed_limits_mode", (True,), None),
        ("transfer_speed_limits_mode", (), "1"),
        ("transfer_set_speed_limits_mode", (), None),  # toggles
        ("transfer_speed_limits_mode", (), "0"),
        ("transfer_set_download_limit", (2048,), None),
        ("transfer_download_limit", (), 2048),
        ("transfer_set_upload_limit", (1024,), None),
        ("transfer_upload_limit", (), 1024),
        ("transfer_ban_peers", ("127.0.0.1:9",), None),
    ]  # fmt: skip


def label_steps(s: Scene) -> list[Step]:
    return [
        ("torrents_create_category", ("tv",), None),
        ("torrents_edit_category", ("tv", "shows"), None),
        ("torrents_categories", (), lambda found: found["tv"].savePath.endswith("/shows")),
        ("torrents_set_category", ("tv", s.a), None),
        ("torrents_set_category", ("nope", s.a), Conflict409Error),
        ("torrents_info", {"category": "tv"}, lambda found: [one.hash for one in found] == [s.a]),
        ("torrents_remove_categories", ("tv",), None),
        ("torrents_create_tags", (["a", "b"],), None),
        ("torrents_add_tags", (["c"], s.a), None),
        ("torrents_set_tags", (["a", "c"], s.a), None),
        ("torrents_info", {"tag": "c"}, lambda found: found[0].tags == "a, c"),
        ("torrents_remove_tags", (["a"], s.a), None),
        ("torrents_delete_tags", (["b"],), None),
        ("torrents_tags", (), ["a", "c"]),
    ]


def reading_steps(s: Scene) -> list[Step]:
    return [
        ("torrents_add", {"urls": s.release.magnet, "is_stopped": True, "tags": ["a"]}, "Ok."),
        ("torrents_count", (), 4),
        ("torrents_info", {"status_filter": "stopped"}, lambda found: len(found) == 2),
        ("torrents_info", {"sort": "name", "reverse": True, "limit": 1, "offset": 1}, lambda found: len(found) == 1),
        ("torrents_properties", (s.c,), lambda one: one.name == "Sintel.S01" and one.completion_date > 0),
        ("torrents_properties", (UNKNOWN,), NotFound404Error),
        ("torrents_properties", (), MissingRequiredParameters400Error),
        ("torrents_trackers", (s.a,), lambda rows: [row.status for row in rows] == [0, 0, 0, 2]),
        ("torrents_webseeds", (s.a,), []),
        ("torrents_files", (s.c,), lambda rows: [row.name for row in rows] == [f"Sintel.S01/Sintel.S01E0{n}.mp4" for n in (1, 2)]),
        ("torrents_piece_states", (s.a,), []),
        ("torrents_piece_hashes", (s.a,), []),
        ("torrents_export", (s.a,), Conflict409Error),
        ("torrents_ssl_parameters", (s.a,), lambda one: one.ssl_certificate == ""),
        ("sync_maindata", {"rid": 0}, lambda data: data.full_update and data.torrents[s.a].tags == "c"),
        ("sync_maindata", {"rid": 1}, lambda data: "full_update" not in data),
        ("sync_torrent_peers", (s.a,), lambda data: data.full_update and data.peers == {}),
    ]  # fmt: skip


def control_steps(s: Scene, top: str) -> list[Step]:
    first = "Sintel.S01/Sintel.S01E01.mp4"
    return [
        ("app_set_preferences", ({"queueing_enabled": True},), None),
        ("torrents_top_priority", (s.a,), None),
        ("torrents_bottom_priority", (s.a,), None),
        ("torrents_increase_priority", (s.a,), None),
        ("torrents_decrease_priority", (s.a,), None),
        ("app_set_preferences", ({"queueing_enabled": False},), None),
        ("torrents_top_priority", (s.a,), Conflict409Error),
        ("torrents_pause", ([s.a, s.b],), None),
        ("torrents_resume", (s.a,), None),
        ("torrents_set_force_start", (True, s.b), None),
        ("torrents_recheck", (s.c,), None),
        ("torrents_reannounce", (s.a,), None),
        ("torrents_rename", (s.a, "Another Name"), None),
        ("torrents_info", {"torrent_hashes": s.a}, lambda found: found[0].name == "Another Name"),
        ("torrents_set_download_limit", (4096, s.a), None),
        ("torrents_download_limit", ([s.a, UNKNOWN],), {s.a: 4096, UNKNOWN: -1}),
        ("torrents_set_upload_limit", (2048, s.a), None),
        ("torrents_upload_limit", (s.a,), lambda found: found[s.a] >= 0),
        ("torrents_set_share_limits", {"ratio_limit": 1.5, "seeding_time_limit": 60, "inactive_seeding_time_limit": 30, "torrent_hashes": s.a}, None),
        ("torrents_set_super_seeding", (True, s.a), None),
        ("torrents_toggle_sequential_download", (s.a,), None),
        ("torrents_toggle_first_last_piece_priority", (s.a,), None),
        ("torrents_set_auto_management", (True, s.a), None),
        ("torrents_set_auto_management", (False, s.a), None),
        ("torrents_set_location", (f"{top}/moved", s.a), None),
        ("torrents_set_save_path", (f"{top}/again", s.a), None),
        ("torrents_info", {"torrent_hashes": s.a}, lambda found: found[0].save_path == f"{top}/again"),
        ("torrents_set_download_path", (f"{top}/x", s.a), None),
        ("torrents_set_download_path", ("/etc", s.a), Conflict409Error),
        ("torrents_info", {"torrent_hashes": s.a}, lambda found: found[0].download_path == f"{top}/x"),
        ("torrents_rename_file", {"torrent_hash": s.c, "old_path": first, "new_path": "Sintel.S01/one.mp4"}, None),
        ("torrents_rename_file", {"torrent_hash": s.c, "old_path": "no/such", "new_path": "x"}, Conflict409Error),
        ("torrents_rename_folder", (s.c, "Sintel.S01", "Renamed"), None),
        ("torrents_files", (s.c,), lambda rows: "Renamed/one.mp4" in [row.name for row in rows]),
    ]  # fmt: skip


def swarm_steps(s: Scene, tracker: str) -> list[Step]:
    return [
        ("torrents_file_priority", (s.c, 0, 1), None),
        ("torrents_file_priority", (s.c, 0, 0), Conflict409Error),
        ("torrents_add_trackers", (s.a, ["http://t.example", "http://u.example"]), None),
        ("torrents_edit_tracker", (s.a, "http://t.example", "http://v.example"), None),
        ("torrents_edit_tracker", (s.a, tracker, "http://t.example"), Conflict409Error),
        ("torrents_remove_trackers", (s.a, "http://u.example"), None),
        (
            "torrents_trackers",
            (s.a,),
            lambda rows: [row.url for row in rows][3:] == [tracker, "http://v.example"],
        ),
        ("torrents_add_peers", ("127.0.0.1:9", s.a), {s.a: {"added": 0, "failed": 1}}),
        ("torrents_add_webseeds", (s.a, ["http://w.example", "http://v.example"]), None),
        ("torrents_edit_webseed", (s.a, "http://w.example", "http://x.example"), None),
        ("torrents_edit_webseed", (s.a, "http://w.example", "http://x.example"), Conflict409Error),
        ("torrents_remove_webseeds", (s.a, "http://v.example"), None),
        (
            "torrents_webseeds",
            (s.a,),
            lambda rows: [row.url for row in rows] == ["http://x.example"],
        ),
        ("torrents_set_ssl_parameters", (s.a, "x", "y", "z"), UnsupportedMediaType415Error),
    ]


def other_steps() -> list[Step]:
    return [
        ("log_peers", (), []),
        ("rss_items", (), {}),
        ("rss_rules", (), {}),
        ("rss_matching_articles", ("x",), {}),
        ("rss_add_folder", ("x",), Conflict409Error),
        ("rss_add_feed", ("http://x", "x"), Conflict409Error),
        ("rss_set_feed_url", ("http://x", "x"), Conflict409Error),
        ("rss_remove_item", ("x",), Conflict409Error),
        ("rss_move_item", ("x", "y"), Conflict409Error),
        ("rss_mark_as_read", ("x",), None),
        ("rss_refresh_item", ("x",), None),
        ("rss_set_rule", ("x", {}), Conflict409Error),
        ("rss_rename_rule", ("x", "y"), None),
        ("rss_remove_rule", ("x",), None),
        ("search_start", ("x", "all", "all"), Conflict409Error),
        ("search_stop", (1,), NotFound404Error),
        ("search_status", (), []),
        ("search_results", (1,), NotFound404Error),
        ("search_delete", (1,), NotFound404Error),
        ("search_plugins", (), []),
        ("search_install_plugin", ("x",), Conflict409Error),
        ("search_uninstall_plugin", ("x",), None),
        ("search_enable_plugin", ("x",), None),
        ("search_update_plugins", (), None),
        ("search_download_torrent", ("http://x", "y"), Conflict409Error),
        ("torrentcreator_add_task", ("/x",), Conflict409Error),
        ("torrentcreator_status", (), []),
        ("torrentcreator_torrent_file", ("x",), NotFound404Error),
        ("torrentcreator_delete_task", ("x",), NotFound404Error),
    ]


def outcome(client: Client, step: Step) -> str:
    """What went otherwise than it should, or nothing."""
    name, given, expected = step
    call = getattr(client, name)
    is_error = isinstance(expected, type) and issubclass(expected, Exception)
    try:
        value = call(**given) if isinstance(given, dict) else call(*given)
    except qbittorrentapi.APIError as error:
        return "" if is_error and isinstance(error, expected) else f"{name}{given}: {error!r}"
    if is_error:
        return f"{name}{given}: no {expected.__name__}"
    right = expected(value) if callable(expected) else value == expected
    return "" if right else f"{name}{given}: {value!r}"


def test_every_method_of_the_package_does_what_it_should(scene: Scene):
    todo = steps(scene)
    found = [outcome(scene.client, step) for step in todo]
    wrong = [text for text in found if text]
    assert not wrong, "\n".join(wrong)
    there = {name for name, is_there in methods().items() if is_there}
    assert {name for name, _, _ in todo} == there
    assert len(there) > 95
    assert limits.speed_limits().download_limit == 2048


def test_what_is_newer_than_our_claim_is_not_called(client: Client):
    newer = [name for name, is_there in methods().items() if not is_there]
    assert "app_process_info" in newer
    for name in newer:
        with pytest.raises((NotImplementedError, TypeError)):
            getattr(client, name)()


def test_increments_reach_the_package(scene: Scene):
    data = scene.client.sync.maindata
    assert data.delta().full_update is True
    scene.client.torrents_add_tags("x", scene.a)
    told = data.delta()
    # The one that runs may have become a second older.
    assert told.torrents[scene.a] == {"tags": "x"}
    assert list(told.tags) == ["x"]


def test_a_hash_stands_for_its_torrent(scene: Scene):
    torrent = scene.client.torrents_info(torrent_hashes=scene.c.upper())[0]
    assert torrent.state_enum.is_complete
    assert torrent.info.hash == scene.c
    assert [file.progress for file in torrent.files] == [1, 1]
    assert torrent.properties.total_size == torrent.total_size
