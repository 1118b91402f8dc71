"""Every endpoint there is: that it is described, how it may be asked, and what the smaller ones say."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse

from downloads import limits, transitions
from downloads.models import JobStatus
from qbshim import urls
from qbshim.endpoint import COMMAND, READ
from qbshim.models import Preference
from tests.downloads.factories import JobFactory
from tests.qbshim.conftest import UNKNOWN, Caller

DOCUMENT = (settings.BASE_DIR / "docs" / "qbittorrent-api.md").read_text()
PATHS = [str(entry.pattern) for entry in urls.urlpatterns if "<" not in str(entry.pattern)]
PATHS.remove("")


def described() -> list[str]:
    """The endpoints that the table has a line for."""
    table = DOCUMENT.partition("## Endpoints")[2].partition("\n### ")[0]
    found = []
    for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE):
        scope = ""
        for name in re.findall(r"`([^`]+)`", row):
            scope = name.rpartition("/")[0] or scope
            found.append(f"{scope}/{name.rpartition('/')[2]}")
    return found


def test_the_document_has_a_line_for_each_endpoint_and_no_other():
    listed = described()
    assert sorted(listed) == sorted(set(listed)), "none has two"
    assert sorted(listed) == sorted(PATHS)


def methods(path: str) -> frozenset[str]:
    [entry] = [entry for entry in urls.urlpatterns if str(entry.pattern) == path]
    return entry.callback.methods


# What a real 5.1.0 takes by POST alone.
_POSTED = """
app: sendTestEmail setCookies setPreferences shutdown
auth: login logout
rss: addFeed addFolder markAsRead moveItem refreshItem removeItem removeRule renameRule setFeedURL setRule
search: delete enablePlugin installPlugin start stop uninstallPlugin updatePlugins
torrentcreator: addTask deleteTask
torrents: add addPeers addTags addTrackers addWebSeeds bottomPrio createCategory createTags decreasePrio delete
 deleteTags editCategory editTracker editWebSeed filePrio increasePrio pause reannounce recheck removeCategories
 removeTags removeTrackers removeWebSeeds rename renameFile renameFolder resume setAutoManagement setCategory
 setDownloadLimit setDownloadPath setForceStart setLocation setSavePath setShareLimits setSSLParameters
 setSuperSeeding setTags setUploadLimit start stop toggleFirstLastPiecePrio toggleSequentialDownload topPrio
transfer: banPeers setDownloadLimit setSpeedLimitsMode setUploadLimit toggleSpeedLimitsMode
"""


def test_commands_are_posted_and_everything_else_may_be_read_either_way():
    posted, scope = set(), ""
    for word in _POSTED.split():
        if word.endswith(":"):
            scope = word[:-1]
        else:
            posted.add(f"{scope}/{word}")
    assert {path for path in PATHS if methods(path) == COMMAND} == posted
    assert {path for path in PATHS if methods(path) == READ} == set(PATHS) - posted


def answer(response: HttpResponse) -> tuple[int, str]:
    return response.status_code, response.content.decode()


def test_the_operator_alone_stops_the_server(sonarr: Caller):
    assert sonarr.post("app/shutdown").status_code == 409
    assert sonarr.post("app/sendTestEmail").status_code == 409


def test_folders_to_choose_from_are_the_download_folder_and_the_way_there(
    sonarr: Caller, downloads_here: Path, tmp_path: Path
):
    (downloads_here / "tv").mkdir()
    (downloads_here / ".incomplete").mkdir()
    (downloads_here / "x.txt").write_text("x")
    (downloads_here / "out").symlink_to(tmp_path)
    (tmp_path / "secret").write_text("x")

    def content(folder: Path | str, **rest: str) -> list[str]:
        return sonarr.get("app/getDirectoryContent", dirPath=str(folder), **rest).json()

    top = str(downloads_here)
    assert content(downloads_here) == [f"{top}/tv", f"{top}/x.txt"]
    assert content(downloads_here, mode="dirs") == [f"{top}/tv"]
    assert content(downloads_here, mode="files") == [f"{top}/x.txt"]
    assert content(downloads_here / "tv") == []
    assert content(tmp_path) == [top]
    assert content("/") == ["/" + top.split("/")[1]]
    assert content("/", mode="files") == []
    settings.QBIT_PUBLIC_SAVE_PATH = "/mnt/bridge"
    assert content("/mnt") == ["/mnt/bridge"]
    assert content("/mnt/bridge") == ["/mnt/bridge/tv", "/mnt/bridge/x.txt"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, (400, "Bad Request")),
        ({"dirPath": ""}, (400, "Invalid directory path")),
        ({"dirPath": "tv"}, (400, "Invalid directory path")),
        ({"dirPath": "/etc"}, (404, "Directory does not exist")),
        ({"dirPath": "<here>/nope"}, (404, "Directory does not exist")),
        ({"dirPath": "<here>/../../etc"}, (404, "Directory does not exist")),
        ({"dirPath": "<here>/.incomplete"}, (404, "Directory does not exist")),
        ({"dirPath": "<here>", "mode": "x"}, (400, "Invalid mode, allowed values: all, dirs, files")),
    ],
)  # fmt: skip
def test_no_other_folder_is_shown(sonarr: Caller, downloads_here: Path, params, expected):
    params = {key: value.replace("<here>", str(downloads_here)) for key, value in params.items()}
    assert answer(sonarr.get("app/getDirectoryContent", **params)) == expected


def test_cookies_are_kept_encrypted_and_given_back(sonarr: Caller):
    cookie = {"domain": "x.example", "path": "/", "name": "n", "value": "hushhush", "expirationDate": 1729366667}  # fmt: skip
    assert sonarr.get("app/cookies").json() == []
    assert sonarr.post("app/setCookies", cookies=json.dumps([cookie])).status_code == 200
    assert sonarr.get("app/cookies").json() == [cookie]
    assert "hushhush" not in str(Preference.objects.values())
    assert "cookies" not in sonarr.get("app/preferences").json()
    sonarr.post("app/setCookies", cookies="[]")
    assert sonarr.get("app/cookies").json() == []


@pytest.mark.parametrize("text", ["", "{", "5", '{"a": 1}', "[5]", json.dumps([{}] * 201)])
def test_what_are_no_cookies_is_refused(sonarr: Caller, text: str):
    assert sonarr.post("app/setCookies", cookies=text).status_code == 400
    assert sonarr.get("app/cookies").json() == []


def test_the_machine_has_interfaces_with_addresses(sonarr: Caller):
    interfaces = sonarr.get("app/networkInterfaceList").json()
    assert {"name": "lo", "value": "lo"} in interfaces
    assert sonarr.get("app/networkInterfaceAddressList", iface="lo").json() == ["127.0.0.1"]
    assert "127.0.0.1" in sonarr.get("app/networkInterfaceAddressList", iface="").json()
    assert sonarr.get("app/networkInterfaceAddressList", iface="nope\x00").json() == []


def test_the_speed_limit_of_the_mode_that_is_on_is_set(sonarr: Caller):
    sonarr.post("transfer/setDownloadLimit", limit="1000")
    sonarr.post("transfer/setUploadLimit", limit="2000")
    assert sonarr.get("transfer/speedLimitsMode").content == b"0"
    sonarr.post("transfer/toggleSpeedLimitsMode")
    assert sonarr.get("transfer/speedLimitsMode").content == b"1"
    assert sonarr.get("transfer/downloadLimit").content == b"0"
    sonarr.post("transfer/setDownloadLimit", limit="10")
    sonarr.post("transfer/setUploadLimit", limit="20")
    found = limits.speed_limits()
    assert (found.download_limit, found.alternative_download_limit) == (1000, 10)
    assert sonarr.get("transfer/uploadLimit").content == b"20"
    sonarr.post("transfer/setSpeedLimitsMode", mode="0")
    assert sonarr.get("transfer/uploadLimit").content == b"2000"
    assert sonarr.get("transfer/info").json()["dl_rate_limit"] == 1000
    assert sonarr.post("transfer/setSpeedLimitsMode", mode="x").status_code == 400


def test_banned_peers_are_kept_in_the_preferences(sonarr: Caller):
    sonarr.post("transfer/banPeers", peers="1.1.1.1:8080|nope|2.2.2.2:1")
    sonarr.post("transfer/banPeers", peers="1.1.1.1:9")
    assert sonarr.get("app/preferences").json()["banned_IPs"] == "1.1.1.1\n2.2.2.2"


def test_the_log_says_what_happened_to_jobs(sonarr: Caller):
    job = JobFactory()
    transitions.move(job.pk, JobStatus.FAILED, reason="http://x.example/?apikey=hushhush is gone")
    other = JobFactory()
    transitions.move(other.pk, JobStatus.PAUSED, reason="paused")
    lines = sonarr.get("log/main").json()
    assert [(line["type"], line["message"]) for line in lines] == [
        (8, f"«{job.name}»: queued → failed (http://x.example/?apikey=*** is gone)"),
        (1, f"«{other.name}»: queued → paused (paused)"),
    ]
    assert lines[0]["id"] < lines[1]["id"]
    assert sonarr.get("log/main", normal="false").json() == lines[:1]
    assert sonarr.get("log/main", critical="false").json() == lines[1:]
    assert sonarr.get("log/main", last_known_id=lines[0]["id"]).json() == lines[1:]
    assert sonarr.get("log/main", last_known_id=99999999).json() == []
    assert sonarr.get("log/main", last_known_id="x").json() == lines
    assert sonarr.get("log/peers").json() == []


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("addTrackers", {"urls": "http://t.example"}, 200),
        ("addTrackers", {"urls": f"http://t.example/{'x' * 2000}"}, 409),
        ("addTrackers", {}, 400),
        ("editTracker", {"origUrl": "http://a", "newUrl": "http://b"}, 409),
        ("editTracker", {"origUrl": "http://a", "newUrl": "http://a"}, 200),
        ("editTracker", {"origUrl": "http://a", "newUrl": ""}, 400),
        ("editTracker", {"origUrl": "http://a", "newUrl": "http://[::1"}, 400),
        ("removeTrackers", {"urls": "http://t.example"}, 200),
        ("removeTrackers", {"urls": "<tracker>"}, 409),
        ("editTracker", {"origUrl": "<tracker>", "newUrl": "http://b"}, 409),
        ("editTracker", {"origUrl": "http://b", "newUrl": "<tracker>"}, 409),
        ("addWebSeeds", {"urls": "http://w.example/x"}, 200),
        ("addWebSeeds", {"urls": "rubbish"}, 400),
        ("addWebSeeds", {"urls": "file:///etc/passwd"}, 400),
        ("editWebSeed", {"origUrl": "http://a", "newUrl": "http://b"}, 409),
        ("removeWebSeeds", {"urls": "http://w.example/x"}, 200),
        ("filePrio", {"id": "0", "priority": "1"}, 200),
        ("filePrio", {"id": "0", "priority": "0"}, 409),
        ("filePrio", {"id": "0", "priority": "5"}, 400),
        ("filePrio", {"id": "0", "priority": "x"}, 400),
        ("filePrio", {"id": "x", "priority": "1"}, 400),
        ("filePrio", {"id": "9", "priority": "1"}, 409),
        ("setSSLParameters", {"ssl_certificate": "", "ssl_private_key": "", "ssl_dh_params": ""}, 415),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_what_is_so_anyway_is_fine(
    sonarr: Caller, path: str, data: dict[str, str], status: int
):
    job = JobFactory(running=True)
    tracker = sonarr.one(job)["tracker"]
    data = {key: value.replace("<tracker>", tracker) for key, value in data.items()}
    assert sonarr.post(f"torrents/{path}", hash=job.infohash, **data).status_code == status
    if status not in (400,):
        assert sonarr.post(f"torrents/{path}", hash=UNKNOWN, **data).status_code == 404
    assert sonarr.one(job)["tracker"] == tracker


def test_no_peer_can_be_added_and_the_answer_says_so(sonarr: Caller):
    job = JobFactory()
    answer = sonarr.post("torrents/addPeers", hashes=job.infohash, peers="127.0.0.1:9|nope")
    assert answer.json() == {job.infohash: {"added": 0, "failed": 2}}
    assert sonarr.post("torrents/addPeers", hashes=UNKNOWN, peers="127.0.0.1:9").json() == {}
    assert sonarr.post("torrents/addPeers", hashes=UNKNOWN, peers="nope").status_code == 400


def test_there_is_nothing_to_export_but_what_was_given(sonarr: Caller):
    job = JobFactory()
    assert answer(sonarr.get("torrents/export", hash=job.infohash)) == (
        409,
        "Unable to export torrent file. Error: Missing metadata",
    )
    assert sonarr.get("torrents/SSLParameters", hash=job.infohash).json() == {
        "ssl_certificate": "",
        "ssl_dh_params": "",
        "ssl_private_key": "",
    }


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("rss/addFolder", {"path": "x"}, 409),
        ("rss/addFeed", {"path": "x", "url": "http://x"}, 409),
        ("rss/setRule", {"ruleName": "x", "ruleDef": "{}"}, 409),
        ("rss/setFeedURL", {"path": "x", "url": "http://x"}, 409),
        ("rss/moveItem", {"itemPath": "x", "destPath": "y"}, 409),
        ("rss/removeItem", {"path": "x"}, 409),
        ("rss/removeRule", {"ruleName": "x"}, 200),
        ("rss/renameRule", {"ruleName": "x", "newRuleName": "y"}, 200),
        ("rss/markAsRead", {"itemPath": "x"}, 200),
        ("rss/refreshItem", {"itemPath": "x"}, 200),
        ("rss/matchingArticles", {"ruleName": "x"}, 200),
        ("search/start", {"pattern": "x", "category": "all", "plugins": "all"}, 409),
        ("search/stop", {"id": "1"}, 404),
        ("search/delete", {"id": "1"}, 404),
        ("search/results", {"id": "1"}, 404),
        ("search/installPlugin", {"sources": "x"}, 409),
        ("search/uninstallPlugin", {"names": "x"}, 200),
        ("search/enablePlugin", {"names": "x", "enable": "true"}, 200),
        ("search/updatePlugins", {}, 200),
        ("search/downloadTorrent", {"torrentUrl": "x", "pluginName": "y"}, 409),
        ("torrentcreator/addTask", {"sourcePath": "/x"}, 409),
        ("torrentcreator/torrentFile", {"taskID": "x"}, 404),
        ("torrentcreator/deleteTask", {"taskID": "x"}, 404),
    ],
)
def test_feeds_searches_and_making_torrents_are_honest(
    sonarr: Caller, path: str, data: dict[str, str], expected: int
):
    assert sonarr.post(path, **data).status_code == expected
    if data:
        assert sonarr.post(path).status_code == 400


def test_what_there_is_none_of_is_an_empty_list(sonarr: Caller):
    for path in ("search/status", "search/plugins", "torrentcreator/status", "log/peers"):
        assert sonarr.get(path).json() == []
    for path in ("rss/items", "rss/rules"):
        assert sonarr.get(path).json() == {}
    assert sonarr.get("search/status", id="5").status_code == 404
    assert sonarr.get("torrentcreator/status", taskID="5").status_code == 404
