"""The same conversation with the real qBittorrent that Debian has (4.5) and with us: what both dialects share is answered
alike, in status, type, text, keys and types of values."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.downloads.qbittorrents import PASSWORD, qbittorrent

HASH, OTHER, UNKNOWN = "c1" * 20, "c2" * 20, "0" * 40
MAGNET = f"magnet:?xt=urn:btih:{HASH}&dn=Some.Show.S01E01&tr=http%3A%2F%2F127.0.0.1%3A9%2Fannounce"
SECOND = f"magnet:?xt=urn:btih:{OTHER}&dn=Another.Show.S01E02"
PAUSED = {"paused": "true"}
LOGIN = {"username": "admin", "password": PASSWORD}
ONE = {"hash": HASH}

Request = tuple[str, str, dict[str, str]]
CONVERSATION: list[Request] = [
    ("GET", "app/version", {}),
    ("POST", "auth/logout", {}),
    ("GET", "nope/nope", {}),
    ("GET", "auth/login", {}),
    ("POST", "auth/login", {}),
    ("POST", "auth/login", {"username": "admin", "password": "wrong"}),
    ("POST", "auth/login", LOGIN),
    ("POST", "auth/login", {"username": "admin", "password": "wrong"}),
    ("GET", "app/buildInfo", {}),
    ("GET", "app/preferences", {}),
    (
        "POST",
        "app/setPreferences",
        {"json": '{"refresh_interval": 2000, "queueing_enabled": false}'},
    ),
    ("POST", "app/setPreferences", {"json": "{nope"}),
    ("POST", "app/setPreferences", {}),
    ("GET", "app/setPreferences", {"json": "{}"}),
    ("GET", "app/networkInterfaceList", {}),
    ("GET", "app/networkInterfaceAddressList", {}),
    ("GET", "torrents/info", {}),
    ("GET", "torrents/info", {"sort": "bogus"}),
    ("GET", "torrents/categories", {}),
    ("GET", "torrents/tags", {}),
    ("GET", "sync/maindata", {}),
    ("POST", "torrents/createCategory", {"category": "tv"}),
    ("POST", "torrents/createCategory", {"category": "tv"}),
    ("POST", "torrents/createCategory", {"category": ""}),
    ("POST", "torrents/createCategory", {"category": "a//b"}),
    ("POST", "torrents/createCategory", {}),
    ("GET", "torrents/createCategory", {"category": "x"}),
    ("POST", "torrents/editCategory", {"category": "nope", "savePath": ""}),
    ("GET", "torrents/categories", {}),
    ("POST", "torrents/createTags", {"tags": "a, b"}),
    ("GET", "torrents/tags", {}),
    ("POST", "torrents/add", {"urls": MAGNET, "category": "tv", "tags": "a", **PAUSED}),
    ("POST", "torrents/add", {"urls": SECOND, "category": "auto", **PAUSED}),
    ("POST", "torrents/add", {"urls": ""}),
    ("POST", "torrents/add", {"urls": "magnet:?dn=nothing"}),
    ("POST", "torrents/add", {"urls": "/etc/hostname"}),
    ("GET", "torrents/add", {"urls": MAGNET}),
    ("GET", "torrents/info", {"category": "tv"}),
    ("POST", "torrents/info", {"category": "tv"}),
    ("GET", "torrents/info", {"category": "no-such"}),
    ("GET", "torrents/info", {"category": ""}),
    ("GET", "torrents/info", {"tag": "a"}),
    ("GET", "torrents/info", {"tag": ""}),
    ("GET", "torrents/info", {"hashes": HASH.upper()}),
    ("GET", "torrents/info", {"hashes": "all"}),
    ("GET", "torrents/info", {"hashes": f"{HASH}|{UNKNOWN}"}),
    ("GET", "torrents/info", {"filter": "paused"}),
    ("GET", "torrents/info", {"filter": "completed"}),
    ("GET", "torrents/info", {"filter": "bogus"}),
    ("GET", "torrents/info", {"sort": "name", "limit": "1"}),
    ("GET", "torrents/info", {"sort": "name", "reverse": "true", "offset": "1"}),
    ("GET", "torrents/info", {"sort": "name", "offset": "-1"}),
    ("GET", "torrents/info", {"sort": "name", "offset": "99", "limit": "xyz"}),
    ("GET", "torrents/properties", ONE),
    ("GET", "torrents/properties", {"hash": HASH.upper()}),
    ("GET", "torrents/properties", {"hash": UNKNOWN}),
    ("GET", "torrents/properties", {}),
    ("GET", "torrents/files", ONE),
    ("GET", "torrents/trackers", ONE),
    ("GET", "torrents/webseeds", ONE),
    ("GET", "torrents/pieceStates", ONE),
    ("GET", "torrents/pieceHashes", ONE),
    ("POST", "torrents/downloadLimit", {"hashes": f"{HASH}|{UNKNOWN}"}),
    ("POST", "torrents/setCategory", {"hashes": HASH, "category": "nope"}),
    ("POST", "torrents/setCategory", {"hashes": UNKNOWN, "category": "nope"}),
    ("POST", "torrents/setCategory", {"hashes": HASH, "category": ""}),
    ("POST", "torrents/addTags", {"hashes": HASH, "tags": "c"}),
    ("POST", "torrents/removeTags", {"hashes": HASH, "tags": "a"}),
    ("POST", "torrents/rename", {**ONE, "name": "New Name"}),
    ("POST", "torrents/rename", {**ONE, "name": " "}),
    ("POST", "torrents/rename", {"hash": UNKNOWN, "name": "x"}),
    ("POST", "torrents/topPrio", {"hashes": HASH}),
    ("POST", "torrents/setForceStart", {"hashes": UNKNOWN, "value": "true"}),
    ("POST", "torrents/setForceStart", {"hashes": UNKNOWN}),
    ("POST", "torrents/filePrio", {**ONE, "id": "0", "priority": "1"}),
    ("POST", "torrents/filePrio", {**ONE, "id": "0", "priority": "99"}),
    ("POST", "torrents/addTrackers", {**ONE, "urls": "http://127.0.0.1:9/a\n\n127.0.0.1"}),
    ("POST", "torrents/addTrackers", {"hash": UNKNOWN, "urls": "http://127.0.0.1:9/a"}),
    ("GET", "torrents/trackers", ONE),
    (
        "POST",
        "torrents/editTracker",
        {**ONE, "origUrl": "127.0.0.1", "newUrl": "http://127.0.0.1:9/b"},
    ),
    (
        "POST",
        "torrents/editTracker",
        {**ONE, "origUrl": "http://127.0.0.1:9/a", "newUrl": "http://127.0.0.1:9/b"},
    ),
    (
        "POST",
        "torrents/editTracker",
        {**ONE, "origUrl": "http://127.0.0.1:9/no", "newUrl": "http://127.0.0.1:9/c"},
    ),
    (
        "POST",
        "torrents/removeTrackers",
        {**ONE, "urls": "http://127.0.0.1:9/a|http://127.0.0.1:9/b"},
    ),
    ("POST", "torrents/addPeers", {"hashes": HASH, "peers": "nope"}),
    ("POST", "torrents/setLocation", {"hashes": HASH, "location": ""}),
    ("POST", "torrents/pause", {"hashes": "all"}),
    ("POST", "torrents/pause", {}),
    ("GET", "torrents/pause", {"hashes": "all"}),
    ("GET", "torrents/info", {"hashes": HASH}),
    ("GET", "sync/maindata", {"rid": "0"}),
    ("GET", "sync/torrentPeers", ONE),
    ("GET", "sync/torrentPeers", {"hash": UNKNOWN}),
    ("GET", "transfer/info", {}),
    ("GET", "transfer/speedLimitsMode", {}),
    ("POST", "transfer/toggleSpeedLimitsMode", {}),
    ("GET", "transfer/speedLimitsMode", {}),
    ("POST", "transfer/toggleSpeedLimitsMode", {}),
    ("POST", "transfer/setDownloadLimit", {"limit": "1048576"}),
    ("GET", "transfer/downloadLimit", {}),
    ("POST", "transfer/setDownloadLimit", {"limit": "0"}),
    ("POST", "transfer/setDownloadLimit", {}),
    ("GET", "log/peers", {}),
    ("GET", "log/main", {"last_known_id": "99999999"}),
    ("GET", "rss/items", {}),
    ("GET", "rss/rules", {}),
    ("GET", "search/status", {}),
    ("GET", "search/status", {"id": "5"}),
    ("GET", "search/results", {"id": "5"}),
    ("POST", "search/stop", {"id": "5"}),
    ("POST", "torrents/delete", {"hashes": HASH, "deleteFiles": "true"}),
    ("POST", "torrents/delete", {"hashes": HASH, "deleteFiles": "true"}),
    ("POST", "torrents/delete", {"deleteFiles": "true"}),
    ("GET", "torrents/properties", ONE),
    ("POST", "torrents/add", {"urls": MAGNET, **PAUSED}),
    ("GET", "torrents/nope", {}),
    ("POST", "auth/logout", {}),
    ("GET", "torrents/info", {}),
]
# In 4.5 and no longer in 5.1, or of a torrent that has metadata at one and not at the other.
GONE = {"app/preferences": {"proxy_torrents_only", "proxy_type", "start_paused_enabled"}}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    status: int
    ctype: str
    text: str
    cookie: str


class Talk:
    """One side of it: keeps its cookie."""

    def __init__(self, base: str) -> None:
        self.base = base
        jar = urllib.request.HTTPCookieProcessor()
        self.http = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)

    def say(self, request: Request) -> Answer:
        method, path, values = request
        form = urllib.parse.urlencode(values)
        url = f"{self.base}/api/v2/{path}"
        try:
            answer = (
                self.http.open(f"{url}?{form}", timeout=60)
                if method == "GET"
                else self.http.open(url, form.encode(), timeout=60)
            )
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            ctype = answer.headers.get("Content-Type", "").partition(";")[0]
            cookie = answer.headers.get("Set-Cookie", "")
            return Answer(answer.status, ctype, answer.read().decode(), cookie)


def fits(theirs: Any, ours: Any, at: str) -> Iterator[str]:
    """Where ours lacks a key of theirs, or has a value of another kind."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key, value in theirs.items():
            if key in ours:
                yield from fits(value, ours[key], f"{at}.{key}")
            elif not _is_a_name(key):
                yield f"{at}.{key} is missing"
    elif isinstance(theirs, list) and isinstance(ours, list):
        for one, other in zip(theirs, ours, strict=False):
            yield from fits(one, other, f"{at}[]")
    elif _kind(theirs) != _kind(ours) and None not in (theirs, ours):
        yield f"{at} is {ours!r} here and {theirs!r} there"


def _is_a_name(key: str) -> bool:
    """Of a tracker or an interface: something that only one of the two has."""
    return "://" in key


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def differences(request: Request, theirs: Answer, ours: Answer) -> list[str]:
    path = f"{request[0]} {request[1]} {request[2]}"
    if (theirs.status, theirs.ctype) != (ours.status, ours.ctype):
        return [f"{path}: {ours.status} {ours.ctype}, there {theirs.status} {theirs.ctype}"]
    if theirs.ctype != "application/json":
        same = theirs.text == ours.text or request[1] == "app/version"
        return [] if same else [f"{path}: {ours.text!r}, there {theirs.text!r}"]
    real, shim = json.loads(theirs.text), json.loads(ours.text)
    gone = GONE.get(request[1], set())
    lines = [line for line in fits(real, shim, "") if line.split(" ")[0].lstrip(".") not in gone]
    if request[1] == "torrents/info" and len(real) != len(shim):
        lines.append(f"{len(shim)} items, there {len(real)}")
    return [f"{path}: {line}" for line in lines]


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[str]:
    with qbittorrent(tmp_path / "qb") as real:
        yield real.url


@pytest.mark.timeout(240)
def test_both_answer_alike(debian: str, live_server: Any, db: None):
    User.objects.create_superuser("admin", password=PASSWORD)
    real, shim = Talk(debian), Talk(live_server.url)
    wrong = []
    for request in CONVERSATION:
        theirs, ours = real.say(request), shim.say(request)
        wrong += differences(request, theirs, ours)
        if theirs.cookie:
            wrong += cookie_differences(request, theirs, ours)
    assert not wrong, "\n".join(wrong)


def cookie_differences(request: Request, theirs: Answer, ours: Answer) -> list[str]:
    def attributes(answer: Answer) -> set[str]:
        parts = answer.cookie.lower().split(";")
        named = {part.strip().partition("=")[0] for part in parts[1:]}
        return {parts[0].partition("=")[0], *named}

    lacking = attributes(theirs) - attributes(ours)
    return [f"{request[1]}: the cookie lacks {lacking}"] if lacking else []


@pytest.mark.timeout(240)
def test_increments_are_of_the_same_form(debian: str, live_server: Any, db: None):
    User.objects.create_superuser("admin", password=PASSWORD)
    told = []
    for base in (debian, live_server.url):
        talk = Talk(base)
        talk.say(("POST", "auth/login", LOGIN))
        talk.say(("POST", "torrents/add", {"urls": MAGNET, **PAUSED}))
        talk.say(("POST", "torrents/createCategory", {"category": "tv"}))
        answers = []
        rid = 0
        for step in (
            None,
            ("POST", "torrents/createTags", {"tags": "x"}),
            ("POST", "torrents/addTags", {"hashes": HASH, "tags": "x"}),
            ("POST", "torrents/deleteTags", {"tags": "x"}),
            ("POST", "torrents/createCategory", {"category": "films"}),
            ("POST", "torrents/removeCategories", {"categories": "films"}),
            ("POST", "torrents/rename", {**ONE, "name": "Y"}),
            ("POST", "torrents/delete", {"hashes": HASH, "deleteFiles": "false"}),
        ):
            if step is not None:
                assert talk.say(step).status == 200
            data = json.loads(talk.say(("GET", "sync/maindata", {"rid": str(rid)})).text)
            rid = data["rid"]
            answers.append(data)
        told.append([_form(data) for data in answers])
    real, shim = told
    assert shim == real


def _form(data: dict[str, Any]) -> dict[str, Any]:
    """What an answer is about, without what a torrent engine changes by itself."""
    found: dict[str, Any] = {"rid": data["rid"], "full_update": data.get("full_update", False)}
    for part in ("tags", "tags_removed", "torrents_removed", "categories_removed"):
        if data.get(part):
            found[part] = data[part]
    if data.get("categories"):
        found["categories"] = sorted(data["categories"])
    if not found["full_update"]:
        changed = data.get("torrents", {}).get(HASH, {})
        found["torrent"] = {key: changed[key] for key in ("tags", "name") if key in changed}
    return found
