"""Whatever a form holds, the answer is one of qBittorrent's and never a 500, and what is kept stays below the roots."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from downloads.models import Job
from qbshim.models import ClientTask
from tests.downloads.hybrid import bencode
from tests.qbshim.conftest import Caller

pytestmark = pytest.mark.django_db
QUICK = how(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", "True", "true", "False", "0", "-1", "1e309", "nan", "9" * 400, "\x00", "\ud83d", "../..", "/etc",
         "a//b", "tv", " ", "\n", "Subfolder", "NoSubfolder", ",,a,,", "x" * 5000, "ü" * 300]
    ),
)  # fmt: skip
OPTIONS = (
    "savepath", "category", "tags", "paused", "stopped", "rename", "ratioLimit", "seedingTimeLimit",
    "inactiveSeedingTimeLimit", "sequentialDownload", "firstLastPiecePrio", "contentLayout", "root_folder", "autoTMM",
    "skip_checking", "upLimit", "dlLimit", "cookie", "addToTopOfQueue", "forced", "downloadPath", "useDownloadPath",
    "stopCondition", "shareLimitAction",
)  # fmt: skip
NUMBERS = st.integers(0, 3).map(str)
MAGNETS = st.builds(
    "magnet:?xt=urn:btih:{}&dn={}&demo_slug={}&demo_s={}&demo_e={}&demo_lang={}&demo_site=demo".format,
    st.sampled_from(["ab" * 20, "AB" * 20, "zz", ""]),
    st.text(max_size=20),
    st.sampled_from(["sintel", "../x", "a/b", "", "x" * 300]),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["German Dub", "German+Dub", "Klingon", ""]),
)
FOREIGN = st.builds(
    "magnet:?xt=urn:btih:{:040x}&dn={}&tr={}".format,
    st.integers(0, 50),
    st.text(max_size=40),
    st.text(max_size=20),
)
WEB = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["http", "https", "HTTP", "ftp", "file"]),
    st.sampled_from(
        ["127.0.0.1:9", "x.example", "[::1", "x:99999", "", "user:pw@x", "ünïcode.example"]
    ),
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(
            ["x.torrent", "torznab/grab/rabc", "a/torznab/grab/", "%00", "x.mkv?dn=..%2F.."]
        ),
    ),
)
LINKS = st.lists(st.one_of(MAGNETS, FOREIGN, WEB, TEXTS), max_size=4).map("\n".join)
VALUES = st.recursive(
    st.one_of(st.integers(-(2**70), 2**70), st.binary(max_size=30), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "info",
                    "name",
                    "length",
                    "pieces",
                    "piece length",
                    "files",
                    "path",
                    "meta version",
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=8,
)
TORRENTS = st.one_of(
    st.binary(max_size=80),
    VALUES.map(bencode),
    st.builds(
        lambda name, length: bencode(
            {"info": {"name": name, "length": length, "piece length": 16384, "pieces": b"x" * 20}}
        ),
        st.text(max_size=30),
        st.integers(-5, 2**65),
    ),
)
ANSWERS = {(200, b"Ok."), (200, b"Fails.")}


@pytest.fixture
def caller(sonarr: Caller, owner: User, site: Any) -> Caller:
    return sonarr


def assert_answered(response: Any) -> None:
    known = (response.status_code, response.content) in ANSWERS or response.status_code in (
        400,
        409,
        415,
    )
    assert known, (response.status_code, response.content[:300])
    assert response["Content-Type"].startswith("text/plain")
    roots = [settings.DOWNLOAD_DIR, *settings.DOWNLOAD_LIBRARY_ROOTS]
    for path in Job.objects.values_list("save_path", flat=True):
        assert any(Path(path).resolve().is_relative_to(root) for root in roots), path
    for name in ClientTask.objects.values_list("name", flat=True):
        assert len(name) <= 255


@QUICK
@given(
    links=LINKS,
    options=st.dictionaries(st.sampled_from(OPTIONS), TEXTS, max_size=8),
)
def test_any_urlencoded_form(caller: Caller, links: str, options: dict[str, str]):
    texts = {"urls": links, **options}
    assert_answered(
        caller.post(
            "torrents/add", **{key: text.encode("utf-8", "replace") for key, text in texts.items()}
        )
    )
    listed = caller.info()
    assert all(isinstance(item["ratio_limit"], int | float) for item in listed)


@QUICK
@given(
    links=LINKS,
    torrents=st.lists(TORRENTS, max_size=3),
    name=st.text(max_size=30),
    options=st.dictionaries(st.sampled_from(OPTIONS), TEXTS, max_size=4),
)
def test_any_multipart_form(
    caller: Caller, links: str, torrents: list[bytes], name: str, options: dict[str, str]
):
    # A name of dots and slashes alone is none, for those who make the form.
    called = name.encode("utf-8", "replace").decode()
    called = called if called.rpartition("/")[2].strip(".") else "x"
    files = [SimpleUploadedFile(called, one) for one in torrents]
    texts = {"urls": links, **options}
    data = {key: text.encode("utf-8", "replace").decode() for key, text in texts.items()}
    assert_answered(caller.multipart("torrents/add", **data, torrents=files))


COMMANDS = {
    "setCategory": ("hashes", "category"), "setLocation": ("hashes", "location"), "setSavePath": ("id", "path"),
    "setDownloadPath": ("id", "path"), "setAutoManagement": ("hashes", "enable"), "rename": ("hash", "name"),
    "renameFile": ("hash", "oldPath", "newPath"), "renameFolder": ("hash", "oldPath", "newPath"),
    "setDownloadLimit": ("hashes", "limit"), "setUploadLimit": ("hashes", "limit"), "downloadLimit": ("hashes",),
    "uploadLimit": ("hashes",), "setShareLimits": ("hashes", "ratioLimit", "seedingTimeLimit"),
    "setForceStart": ("hashes", "value"), "setSuperSeeding": ("hashes", "value"), "recheck": ("hashes",),
    "toggleSequentialDownload": ("hashes",), "toggleFirstLastPiecePrio": ("hashes",), "reannounce": ("hashes",),
    "topPrio": ("hashes",), "bottomPrio": ("hashes",), "increasePrio": ("hashes",), "decreasePrio": ("hashes",),
    "stop": ("hashes",), "start": ("hashes",), "delete": ("hashes", "deleteFiles"),
    "createCategory": ("category", "savePath"), "editCategory": ("category", "savePath"),
    "addTrackers": ("hash", "urls"), "editTracker": ("hash", "origUrl", "newUrl"), "removeTrackers": ("hash", "urls"),
    "addWebSeeds": ("hash", "urls"), "editWebSeed": ("hash", "origUrl", "newUrl"), "removeWebSeeds": ("hash", "urls"),
    "filePrio": ("hash", "id", "priority"),
    "removeCategories": ("categories",),
}  # fmt: skip
HASHES = st.one_of(
    st.lists(st.one_of(st.just("{hash}"), st.text(max_size=45), st.just("0" * 40)), max_size=4).map(
        "|".join
    ),
    st.just("all"),
)


@QUICK
@given(
    command=st.sampled_from(sorted(COMMANDS)),
    hashes=HASHES,
    values=st.lists(TEXTS, min_size=3, max_size=3),
    left_out=st.sets(st.integers(0, 3), max_size=1),
)
def test_any_command(
    caller: Caller, finished: Any, command: str, hashes: str, values: list[str], left_out: set[int]
):
    job = Job.objects.present().first() or finished(category="tv")
    names = COMMANDS[command]
    texts = (
        [hashes.replace("{hash}", job.infohash), *values]
        if names[0] in ("hashes", "hash", "id")
        else values
    )
    form = {
        name: texts[number].encode("utf-8", "replace")
        for number, name in enumerate(names)
        if number not in left_out
    }
    response = caller.http.post(
        f"/api/v2/torrents/{command}",
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
    )
    assert response.status_code in (200, 400, 404, 409), response.content[:300]
    for path in Job.objects.values_list("save_path", flat=True):
        assert Path(path).resolve().is_relative_to(settings.DOWNLOAD_DIR), path
