"""Whatever a client sends to whatever endpoint: an answer, and never a crash."""

import json
import re
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from downloads.models import Job
from qbshim import urls
from tests.catalogue.factories import SiteFactory
from tests.downloads.factories import JobFactory, JobFileFactory
from tests.qbshim.factories import CategoryFactory, ClientTaskFactory

VIEWS = settings.BASE_DIR / "qbshim" / "views"
PATHS = [str(entry.pattern) for entry in urls.urlpatterns if "<" not in str(entry.pattern)]
NAMES = sorted(
    {
        name
        for file in VIEWS.glob("*.py")
        for call in re.findall(r"params\.\w+\(([^()]*)\)", file.read_text())
        for name in re.findall(r'"(\w+)"', call)
    }
)
"""Every parameter that a view asks for."""
HASH = "ab" * 20
KNOWN = [
    "", "all", "*", "0", "-1", "1", "true", "False", "NaN", "-inf", "1e999", "9" * 400, str(2**31), str(2**63), "٣",
    HASH, HASH.upper(), "x" * 300, "a//b", "../..", "/", "/etc/passwd", "Z:\\", "\x00", "\ufffe", "💥" * 200, "|", "||",
    ",", "\n", "%00", "tv", "name", "state", "priority", "magnet:?xt=urn:btih:" + HASH, "magnet:?xt=urn:btih:zz&dn=%",
    "http://127.0.0.1:9/x.torrent", "http://[::1", "file:///etc/passwd", "127.0.0.1:9", "{}", "[]", "[[[[", "null",
    json.dumps({"save_path": "..", "dht": None, "dl_limit": -5, "max_ratio": 1e308}), json.dumps([{"name": 5}]),
    "downloading", "private", "Invented.Story.mp4", "http://a.example/announce",
]  # fmt: skip
VALUES = st.sampled_from(KNOWN) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
FORMS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)


def test_the_parameters_are_found():
    assert {"hashes", "rid", "urls", "savePath", "json", "dirPath", "peers"} <= set(NAMES)
    assert len(PATHS) > 110


@pytest.fixture
def http(db: None) -> Client:
    SiteFactory(site_id="demo")
    CategoryFactory(name="tv")
    ClientTaskFactory(job=JobFactory(infohash=HASH, running=True), tags=["a"])
    JobFileFactory()
    return Client(headers={"Authorization": f"Bearer {settings.API_KEY}"})


FUZZ = hypothesis_settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def assert_answered(path: str, form: dict[str, Any], response: Any) -> None:
    assert response.status_code in {200, 400, 401, 403, 404, 405, 409, 415}, (path, form)
    assert "html" not in response["Content-Type"]
    if response["Content-Type"] == "application/json":
        json.loads(response.content)
    assert len(response.content) < 200_000


@FUZZ
@given(path=st.sampled_from(PATHS), form=FORMS, method=st.sampled_from(["get", "post", "post"]))
def test_no_form_breaks_an_endpoint(http: Client, path: str, form: dict[str, str], method: str):
    assert_answered(path, form, getattr(http, method)(f"/api/v2/{path}", form))
    if not Job.objects.present().filter(infohash=HASH).exists():
        JobFactory(infohash=HASH)


@FUZZ
@given(
    path=st.sampled_from(PATHS),
    body=st.binary(max_size=200),
    ctype=st.sampled_from(
        [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=nope",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "application/json",
            "text/plain",
            "",
            "\x7f;;;",
        ]
    ),
)
def test_no_body_breaks_an_endpoint(http: Client, path: str, body: bytes, ctype: str):
    assert_answered(
        path, {"body": body}, http.generic("POST", f"/api/v2/{path}", body, content_type=ctype)
    )


@FUZZ
@given(name=VALUES, content=st.binary(max_size=300), form=FORMS)
def test_no_file_breaks_add(http: Client, name: str, content: bytes, form: dict[str, str]):
    file = SimpleUploadedFile("x", content)
    file._name = (
        name.replace("\x00", "").replace("\n", "") or "x"
    )  # it would be made harmless here already
    assert_answered("add", form, http.post("/api/v2/torrents/add", {**form, "torrents": file}))


@FUZZ
@given(
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "Cookie", "Origin", "Referer", "X-Forwarded-Host", "X-Forwarded-For", "User-Agent", "Accept"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)
        | st.sampled_from(["Basic " + "A" * 200, "Bearer \xff", "SID=" + "\xe4" * 9, "http://[", "null", "::1, ::1"]),
        max_size=4,
    )
)  # fmt: skip
def test_no_header_breaks_an_endpoint(http: Client, headers: dict[str, str]):
    response = Client().get("/api/v2/app/version", headers=headers)
    assert response.status_code in {200, 401, 403}
    response = http.get("/api/v2/sync/maindata", headers=headers)
    assert response.status_code in {200, 401, 403}
