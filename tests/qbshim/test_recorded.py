"""The answers that a real qBittorrent 5.1.0 gave, asked again.

`recorded.json` leaves out what is answered differently on purpose; docs/qbittorrent-api.md says what and why.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.utils import timezone

from downloads.models import Job
from qbshim.models import Category
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.conftest import Caller
from tests.qbshim.factories import ClientTaskFactory

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())
ANONYMOUS = re.compile(r"auth\.(anon|login|basic\.(ok|wrong)|bearer|bad_cookie|logout\.anon)")
NAMES = ("m_run", "m_stop", "m_form", "m_two_a", "m_two_b", "m_full")


def hash_of(name: str) -> str:
    return f"{NAMES.index(name) + 0xABC:040x}"


def filled(value: Any, session: str, folder: Path) -> Any:
    """A recorded value with this server's names in place of the placeholders."""
    if isinstance(value, dict):
        return {key: filled(item, session, folder) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    value = value.replace("<base>", "http://testserver").replace("<save>", str(folder))
    value = value.replace("<session>", f"SID={session}")
    return re.sub(r"<H:(\w+)>", lambda match: hash_of(match[1]), value)


def asked(check: dict[str, Any], signed_in: Caller, folder: Path) -> HttpResponse:
    """The recorded request, made by a client of its own with or without the session."""
    request = filled(check.get("request", {}), signed_in.sid, folder)
    caller = Caller()
    headers = request.get("headers", {})
    if check["id"] == "auth.bad_cookie":
        caller.http.cookies["SID"] = "nosuchsession"
    elif "Cookie" not in headers and not ANONYMOUS.match(check["id"]):
        caller.http.cookies["SID"] = signed_in.sid
    http, path = caller.http, f"/api/v2/{check['path']}"
    if "Content-Type" in headers:
        return http.post(path, b"", content_type=headers["Content-Type"])
    if "multipart" in request:
        rubbish = b"" if check["id"].endswith("empty") else b"not bencoded"
        file = SimpleUploadedFile("x.torrent", rubbish, "application/octet-stream")
        return http.post(path, {"torrents": file})
    if check["method"] == "POST":
        if "params" in request:
            return http.post(path, query_params=request["params"], headers=headers)
        return http.post(path, request.get("data", {}), headers=headers)
    ask = http.head if check["method"] == "HEAD" else http.get
    return ask(path, request.get("params", {}), headers=headers)


def difference(check: dict[str, Any], response: HttpResponse, folder: Path) -> str:
    """What is not as it was recorded, or nothing."""
    ctype = response["Content-Type"].partition(";")[0]
    got: list[Any] = [response.status_code, ctype]
    want: list[Any] = [check["status"], check["ctype"]]
    if "text" in check:
        got.append(response.content.decode())
        want.append(filled(check["text"], "", folder))
    return "" if got == want else f"{check['id']}: {got} instead of {want}"


def test_every_recorded_answer_is_given_again(sonarr: Caller, downloads_here: Path):
    differences = []
    for check in RECORDED["checks"]:
        if check["id"] == "info.all.full":
            for name in NAMES:
                job = JobFactory(infohash=hash_of(name), category="pr-tv", paused=name != "m_run")
                ClientTaskFactory(job=job)
        response = asked(check, sonarr, downloads_here)
        differences.append(difference(check, response, downloads_here))
        if check["id"] == "auth.logout.post":
            sonarr.sign_in()
    assert [found for found in differences if found] == []


def kind(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "string", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def departures(shape: Any, value: Any, at: str = "") -> list[str]:
    """Where a value has not the recorded keys and types. A fraction is allowed where the probe saw 0 or 1."""
    if isinstance(shape, list):
        return [line for item in value for line in departures(shape[0], item, f"{at}[]")]
    if isinstance(shape, dict) and "*" in shape:
        return [
            line for key, item in value.items() for line in departures(shape["*"], item, f"{at}.*")
        ]
    if isinstance(shape, dict):
        optional = {key.rstrip("?") for key in shape if key.endswith("?")}
        keys = {key.rstrip("?") for key in shape}
        lines = [f"{at}.{key} is missing" for key in keys - optional - set(value)]
        lines += [f"{at}.{key} is new" for key in set(value) - keys]
        for key, wanted in shape.items():
            if key.rstrip("?") in value:
                lines += departures(wanted, value[key.rstrip("?")], f"{at}.{key}")
        return lines
    allowed = {"object": "dict", "array": "list"}.get(shape, shape).split("|")
    if at.endswith(".progress"):
        allowed = ["int", "float"]
    return [] if kind(value) in allowed else [f"{at} is {kind(value)}, not {shape}"]


@pytest.fixture
def one_of_each(owner: Any) -> Job:
    """A job in every state; returns the finished one."""
    for trait in ("running", "paused", "failed", "cancelled"):
        ClientTaskFactory(job=JobFactory(**{trait: True}), tags=["a", "b"])
    JobFactory(running=True, active_at=None, started_at=timezone.now())
    Category.objects.create(name="tv-sonarr")
    done = JobFactory(completed=True)
    JobFileFactory(job=done)
    return done


@pytest.mark.parametrize("path", RECORDED["shapes"])
def test_keys_and_types_are_those_of_the_real_server(sonarr: Caller, one_of_each: Job, path: str):
    answer = sonarr.get(path, hash=one_of_each.infohash).json()
    assert answer
    assert departures(RECORDED["shapes"][path], answer) == []


def test_an_item_has_57_keys(sonarr: Caller, one_of_each: Job):
    assert {len(item) for item in sonarr.info()} == {57}
