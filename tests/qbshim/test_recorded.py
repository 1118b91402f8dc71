"""The conversation that was held with a real qBittorrent 5.1.0, held again: status, content type, text, and the keys and
types of what is JSON.

What is answered differently on purpose is in DIFFERENT, with its reason; docs/qbittorrent-api.md says the same in more
words.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse

from downloads import files
from downloads.models import Job, JobTorrent
from qbshim.models import FailedLogin, Preference
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.conftest import PASSWORD, Caller
from tests.qbshim.factories import ClientTaskFactory

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
CHECKS: list[dict[str, Any]] = RECORDED["checks"]

_FEEDS = "feeds and rules are kept in AniBridge's admin; 409 with the reason"
DIFFERENT = {
    "add.duplicate_magnet": "a repeated grab is no failure: Ok.",
    "add.magnet.v2": "downloaders are told apart by the v1 hash, which it has not",
    "info.count": "a link is a download of its own here, also one that leads nowhere",
    "auth.host.other_port": "a container's port may be mapped to another one; switched on by a preference",
    "auth.basic.ok": "newer clients send it, and it is right",
    "auth.bearer.ok": "newer clients send it, and it is right",
    "auth.bearer.ok_no_cookie": "newer clients send it, and it is right",
    "ctl.pause": "4.x's name of stop",
    "ctl.resume": "4.x's name of start",
    "ctl.setShareLimits.arr": "older Sonarr sends two of the three limits",
    "del.missing_deleteFiles": "Sonarr leaves it out to keep the files",
    "files.filePrio": "every file is fetched; leaving one out is 409 with the reason",
    "rss.addFolder": _FEEDS,
    "rss.addFolder_duplicate": _FEEDS,
    "rss.addFeed": _FEEDS,
    "rss.setRule": _FEEDS,
    "rss.removeItem": "there is none to remove",
    "http.put": "405 as for every other method that is not taken",
    "http.delete": "405 as for every other method that is not taken",
    "http.options": "405 as for every other method that is not taken",
    "http.post_json_body": "the same status, with a text",
}
SHAPES_DIFFER = {
    "rss.items": "no feed could be added before",
    "rss.rules": "no rule could be added before",
    "log.main": "nothing of ours has happened at that moment",
}
ANONYMOUS = re.compile(
    r"auth\.(anon|login\.|basic\.(ok|wrong)|bearer|bad_cookie|logout\.(anon|old))|ban\.(first|second|right|over)|end\.after"
)
SIGNED_IN = {"auth.login.again", "auth.login.again_wrong", "auth.login.get", "ban.session_still_works"}  # fmt: skip
NAMES = sorted(set(re.findall(r"<H:(\w+)>", json.dumps(CHECKS))))
INSIDE = {"t_multi": ("E01", "E02", "E03"), "t_single": ("",), "t_done": ("",), "t_donedir": ("E01", "E02")}  # fmt: skip


def hash_of(name: str) -> str:
    return f"{NAMES.index(name) + 0xABC:040x}"


def make(name: str) -> None:
    """The torrent of that name as the recording had it at the moment when it was listed first."""
    if Job.objects.filter(infohash=hash_of(name)).exists():
        return
    done, season = name.startswith("t_done"), name in ("t_multi", "t_donedir")
    state: dict[str, Any] = {"completed": True} if done else {"paused": name != "m_run"}
    title = "Probe.Multi.S01" if season else f"Probe.{name}.S01E01"
    if season:
        state["episode"] = None
    if season and done:
        state["result_path"] = str(files.category_folder("pr-tv") / title)
    job = JobFactory(
        infohash=hash_of(name),
        name=title,
        category="pr-tv",
        downloaded_bytes=int(name.startswith("t_")),
        **state,
    )
    ClientTaskFactory(job=job)
    for number, part in enumerate(INSIDE.get(name, ()), 1):
        path = Path(job.save_path) / title / f"{title}{part}.mkv"
        if here := done or season:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"video")
        JobFileFactory(job=job, episode=number, path=str(path) if here else "")
    if name.startswith("t_"):
        JobTorrent.objects.create(job=job, content=b"d4:infod4:name1:xee", v1=hash_of(name))


def filled(value: Any, session: str, folder: Path) -> Any:
    """A recorded value with this server's names in place of the placeholders."""
    if isinstance(value, dict):
        return {key: filled(item, session, folder) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    for mark, ours in {
        "<base>": "http://testserver",
        "<save>": str(folder),
        "<session>": f"SID={session}",
        "<key>": settings.API_KEY,
        "<port>": "80",
        "<files>": "http://127.0.0.1:9",
        "<the session that was ended>": "SID=00000000000000000000000000000000",
        "<all of the probe's>": "all",
    }.items():
        value = value.replace(mark, ours)
    return re.sub(r"<H:(\w+)>", lambda match: hash_of(match[1]), value)


def asked(check: dict[str, Any], signed_in: Caller, folder: Path) -> HttpResponse:
    """The recorded request, made by a client of its own with or without the session."""
    request = filled(check.get("request", {}), signed_in.sid, folder)
    headers = request.get("headers", {})
    caller = Caller()
    if check["id"] == "auth.bad_cookie":
        caller.http.cookies["SID"] = "nosuchsession"
    elif "Cookie" not in headers and (check["id"] in SIGNED_IN or not ANONYMOUS.match(check["id"])):
        caller.http.cookies["SID"] = signed_in.sid
    http, path = caller.http, check["path"]
    path = path if path.startswith("/") else f"/api/v2/{path}"
    if check["id"] == "auth.login.charset":
        body = f"username=admin&password={PASSWORD}"
        return http.post(path, body, content_type=headers["Content-Type"])
    if "Content-Type" in headers:
        return http.post(path, request.get("data", ""), content_type=headers["Content-Type"])
    if "multipart" in request:
        return http.post(path, _form(check, request["multipart"]))
    if check["method"] == "POST":
        if "params" in request:
            return http.post(path, query_params=request["params"], headers=headers)
        return http.post(path, request.get("data", {}), headers=headers)
    ask = getattr(http, check["method"].lower())
    return ask(path, request.get("params", {}), headers=headers)


def _form(check: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """What the recording says of a multipart form are the names of its fields."""
    values = {"username": "admin", "password": PASSWORD, "stopped": "true", "paused": "true"}
    rubbish = b"" if check["id"].endswith("empty") else b"not bencoded"
    file = SimpleUploadedFile("x.torrent", rubbish, "application/octet-stream")
    return {name: values.get(name, file) for name in fields}


def is_replayed(check: dict[str, Any]) -> bool:
    """Of uploaded .torrent files and long magnets only the names of the fields were recorded."""
    fields = check.get("request", {}).get("multipart", [])
    whole = {"username", "torrents"}.issuperset(fields[:1]) and len(fields) in (1, 2)
    return not fields or (whole and check["id"] != "add.duplicate_torrent" and "two" not in check["id"])  # fmt: skip


def difference(check: dict[str, Any], response: HttpResponse, folder: Path) -> str:
    """What is not as it was recorded, or nothing."""
    ctype = response["Content-Type"].partition(";")[0]
    got: list[Any] = [response.status_code, ctype if check["ctype"] else ""]
    want: list[Any] = [check["status"], check["ctype"]]
    if "text" in check:
        got.append(response.content.decode())
        want.append(filled(check["text"], "", folder))
    if got != want:
        return f"{check['id']}: {got} instead of {want}"
    for cookie in check.get("cookies", ()):
        ours = response.cookies[cookie["name"]].output(header="").lower()
        lacking = [attribute for attribute in cookie["attrs"] if attribute.lower() not in ours]
        if lacking or cookie["empty"] != (f'{cookie["name"].lower()}="";' in ours):
            return f"{check['id']}: the cookie is {ours}"
    if "shape" in check and check["id"] not in SHAPES_DIFFER:
        lines = departures(RECORDED["shapes"][check["shape"]], response.json())
        return f"{check['id']}: {'; '.join(lines[:5])}" if lines else ""
    return ""


def prepared(check: dict[str, Any]) -> None:
    """What had happened before this request in the recording."""
    if not check["id"].startswith("ban."):
        FailedLogin.objects.all().delete()
    if check["id"] == "info.all.arr":
        for name in NAMES:
            make(name)
    if check["id"] == "ctl.topPrio.queueing_off":
        Preference.objects.update_or_create(pk="queueing_enabled", defaults={"value": False})
    if check["id"] == "ban.first":
        Preference.objects.create(key="web_ui_max_auth_fail_count", value=2)
    if check["id"] == "ban.over":
        FailedLogin.objects.all().delete()
    if check["id"] == "transfer.downloadLimit_off":
        Preference.objects.all().delete()


@pytest.fixture
def conversation(
    sonarr: Caller, downloads_here: Path
) -> Callable[[], list[tuple[dict[str, Any], str]]]:
    """Holds it; returns each request with what was answered differently."""

    def held() -> list[tuple[dict[str, Any], str]]:
        found = []
        for check in CHECKS:
            prepared(check)
            if is_replayed(check):
                response = asked(check, sonarr, downloads_here)
                found.append((check, difference(check, response, downloads_here)))
            if check["id"] in ("auth.logout.post", "end.logout"):
                sonarr.sign_in()
            if check["id"] == "transfer.uploadLimit":
                sonarr.post("transfer/setDownloadLimit", limit="0")
        return found

    return held


def test_every_recorded_answer_is_given_again(conversation):
    held = conversation()
    assert len(held) > 400
    wrong = [text for check, text in held if text and check["id"] not in DIFFERENT]
    assert not wrong, "\n".join(wrong)
    same = {check["id"] for check, text in held if not text}
    assert sorted(same & set(DIFFERENT)) == [], "they are answered alike and need no reason"
    assert set(DIFFERENT) | set(SHAPES_DIFFER) <= {check["id"] for check, _ in held}


def kind(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "string", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def departures(shape: Any, value: Any, at: str = "") -> list[str]:
    """Where a value has not the recorded keys and types. A fraction is allowed where the recording saw 0 or 1."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{at} is {kind(value)}, not a list"]
        items = value if shape else []
        return [line for item in items for line in departures(shape[0], item, f"{at}[]")]
    if isinstance(shape, dict) and not isinstance(value, dict):
        return [f"{at} is {kind(value)}, not an object"]
    if isinstance(shape, dict) and "*" in shape:
        return [
            line for key, item in value.items() for line in departures(shape["*"], item, f"{at}.*")
        ]
    if isinstance(shape, dict):
        optional = {key.rstrip("?") for key in shape if key.endswith("?")}
        keys = {filled(key.rstrip("?"), "", Path()) for key in shape}
        lines = [f"{at}.{key} is missing" for key in keys - optional - set(value)]
        # Some recorded shapes hold only what a client reads.
        lines += [f"{at}.{key} is new" for key in set(value) - keys if len(keys) > 25]
        for key, wanted in shape.items():
            if (name := filled(key.rstrip("?"), "", Path())) in value:
                lines += departures(wanted, value[name], f"{at}.{name}")
        return lines
    allowed = {"object": "dict", "array": "list"}.get(shape, shape).split("|")
    if at.endswith((".progress", "ratio_limit", "max_ratio")):
        allowed = ["int", "float"]
    return [] if kind(value) in allowed else [f"{at} is {kind(value)}, not {shape}"]


def test_an_item_has_57_keys_in_whatever_state_it_is(sonarr: Caller):
    for trait in ("running", "paused", "failed", "cancelled", "completed"):
        ClientTaskFactory(job=JobFactory(**{trait: True}), tags=["a", "b"])
    JobFactory(running=True, active_at=None)
    [shape] = [shape[0] for shape in RECORDED["shapes"] if isinstance(shape, list) and shape and isinstance(shape[0], dict) and len(shape[0]) == 57]  # fmt: skip
    items = sonarr.info()
    assert {len(item) for item in items} == {57}
    assert departures([shape], items) == []
