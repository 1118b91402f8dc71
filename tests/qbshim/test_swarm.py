"""What a client sets that only an engine which shares could act on: it is kept, given back, and changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from downloads.models import Job
from qbshim import swarm
from qbshim.models import Category, ClientTask
from tests.downloads.factories import JobFactory
from tests.downloads.hybrid import bencode
from tests.qbshim.conftest import UNKNOWN, Caller
from tests.qbshim.factories import ClientTaskFactory
from tests.qbshim.test_add_links import torrent, upload, v1_of

TRACKER = "http://t.example/announce"
OTHER = "udp://u.example:80"


def added(caller: Caller, job: Job) -> list[tuple[str, int, int]]:
    """Address, tier and status of the trackers after the four that every torrent has."""
    rows = caller.get("torrents/trackers", hash=job.infohash).json()
    return [(row["url"], row["tier"], row["status"]) for row in rows[4:]]


def of(caller: Caller, command: str, job: Job, **values: str) -> tuple[int, str]:
    response = caller.post(f"torrents/{command}", hash=job.infohash.upper(), **values)
    return response.status_code, response.content.decode()


def test_added_trackers_are_listed_as_not_contacted(sonarr: Caller):
    job, other = JobFactory(running=True), JobFactory()
    before = sonarr.one(job)
    urls = f"{TRACKER}\n{OTHER}\n\n 127.0.0.1 \n{TRACKER}"
    assert of(sonarr, "addTrackers", job, urls=urls) == (200, "")
    assert {*added(sonarr, job)} == {(TRACKER, 1, 1), (OTHER, 0, 1), ("127.0.0.1", 1, 1)}
    after = sonarr.one(job)
    # The one that is shown as its tracker is still ours, which works.
    assert after | {"time_active": 0} == before | {"trackers_count": 4, "time_active": 0}
    assert (
        sonarr.info(hashes=job.infohash, includeTrackers="true")[0]["trackers"][0]
        == (sonarr.get("torrents/trackers", hash=job.infohash).json()[3])
    )
    assert added(sonarr, other) == []
    of(sonarr, "addTrackers", job, urls=OTHER)
    assert len(added(sonarr, job)) == 3


def test_a_tracker_can_be_edited(sonarr: Caller):
    job = JobFactory()
    own = sonarr.one(job)["tracker"]
    of(sonarr, "addTrackers", job, urls=f"{TRACKER}\n\n{OTHER}")
    edit = {"origUrl": OTHER, "newUrl": "http://v.example"}
    assert of(sonarr, "editTracker", job, **edit) == (200, "")
    assert added(sonarr, job) == [(TRACKER, 0, 1), ("http://v.example", 1, 1)]
    assert of(sonarr, "editTracker", job, **edit) == (409, "New tracker URL already exists")
    unknown = {"origUrl": OTHER, "newUrl": "http://w.example"}
    assert of(sonarr, "editTracker", job, **unknown) == (409, "Tracker not found")
    assert of(sonarr, "editTracker", job, origUrl=own, newUrl="http://w.example")[0] == 409
    assert added(sonarr, job) == [(TRACKER, 0, 1), ("http://v.example", 1, 1)]


def test_trackers_can_be_removed_from_one_torrent_and_from_all(sonarr: Caller):
    one, two, three = JobFactory(), JobFactory(), JobFactory()
    for job in (one, two):
        of(sonarr, "addTrackers", job, urls=f"{TRACKER}\n{OTHER}")
    assert of(sonarr, "removeTrackers", one, urls=f"{OTHER}|http://no.example") == (200, "")
    assert ([*added(sonarr, one)], len(added(sonarr, two))) == ([(TRACKER, 0, 1)], 2)
    assert sonarr.post("torrents/removeTrackers", hash="*", urls=TRACKER).status_code == 200
    assert [added(sonarr, job) for job in (one, two, three)] == [[], [(OTHER, 0, 1)], []]
    assert ClientTask.objects.get(job=one).kept == {}
    assert not ClientTask.objects.filter(job=three).exists()


def test_trackers_survive_with_the_torrent_and_go_with_it(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet)
    job = Job.objects.get()
    of(sonarr, "addTrackers", job, urls=TRACKER)
    sonarr.post("torrents/add", urls=release().magnet)
    assert added(sonarr, job) == [(TRACKER, 0, 1)]
    sonarr.post("torrents/delete", hashes=job.infohash)
    sonarr.post("torrents/add", urls=release().magnet)
    assert added(sonarr, job) == []


def test_there_is_an_end_to_trackers(sonarr: Caller):
    job = JobFactory()
    urls = "\n".join(f"http://t.example/{number}" for number in range(swarm.MOST))
    assert of(sonarr, "addTrackers", job, urls=urls)[0] == 200
    assert of(sonarr, "addTrackers", job, urls=TRACKER)[0] == 409
    assert len(added(sonarr, job)) == swarm.MOST


@pytest.mark.parametrize("url", ["http://t.example/\x07", "http://t.example/" + "x" * 2000])
def test_an_address_that_is_none_is_refused(sonarr: Caller, url: str):
    job = JobFactory()
    assert of(sonarr, "addTrackers", job, urls=url)[0] == 409
    assert added(sonarr, job) == []


def test_web_seeds_are_added_edited_and_removed(sonarr: Caller):
    job = JobFactory(running=True)

    def seeds() -> list[str]:
        rows = sonarr.get("torrents/webseeds", hash=job.infohash).json()
        assert all(set(row) == {"url"} for row in rows)
        return [row["url"] for row in rows]

    assert of(sonarr, "addWebSeeds", job, urls="http://a.example/%C3%A4|ftp://b.example") == (200, "")  # fmt: skip
    assert seeds() == ["http://a.example/ä", "ftp://b.example"]
    edit = {"origUrl": "ftp://b.example", "newUrl": "https://c.example"}
    assert of(sonarr, "editWebSeed", job, **edit) == (200, "")
    gone = (409, '"ftp://b.example" is not an existing URL')
    assert of(sonarr, "editWebSeed", job, **edit) == gone
    assert seeds() == ["http://a.example/ä", "https://c.example"]
    assert of(sonarr, "removeWebSeeds", job, urls="https://c.example|http://no.example")[0] == 200
    assert seeds() == ["http://a.example/ä"]
    assert of(sonarr, "addWebSeeds", job, urls="http://a.example/%00")[0] == 409
    assert sonarr.post("torrents/addWebSeeds", hash=UNKNOWN, urls="http://a").status_code == 404


def several(*names: str) -> bytes:
    files = [{"length": 5, "path": ["sub", name]} for name in names]
    info = {"files": files, "name": "Folder", "piece length": 16384, "pieces": b"x" * 20}
    return bencode({"info": info})


def listed(caller: Caller, content: bytes) -> list[dict[str, Any]]:
    return caller.get("torrents/files", hash=v1_of(content)).json()


def test_the_priority_of_a_file_is_given_back(sonarr: Caller):
    content = several("a.mkv", "b.mkv", "c.mkv")
    sonarr.multipart("torrents/add", torrents=upload(content))
    job = Job.objects.get()
    assert of(sonarr, "filePrio", job, id="0|2", priority="7") == (200, "")
    assert of(sonarr, "filePrio", job, id="2", priority="1") == (200, "")
    assert [file["priority"] for file in listed(sonarr, content)] == [7, 1, 1]
    assert of(sonarr, "filePrio", job, id="1", priority="0")[0] == 409
    assert [file["priority"] for file in listed(sonarr, content)] == [7, 1, 1]
    assert ClientTask.objects.get().kept == {"file_priorities": {"0": 7}}


@pytest.mark.parametrize(
    ("layout", "of_one", "of_several"),
    [
        ("Original", "Some.Film.mkv", "Folder/sub/a.mkv"),
        ("Subfolder", "Some.Film/Some.Film.mkv", "Folder/sub/a.mkv"),
        ("NoSubfolder", "Some.Film.mkv", "sub/a.mkv"),
    ],
)
def test_the_files_of_a_torrent_are_listed_in_the_layout_that_was_asked_for(
    sonarr: Caller, layout: str, of_one: str, of_several: str
):
    for content, name in ((torrent(), of_one), (several("a.mkv"), of_several)):
        sonarr.multipart("torrents/add", torrents=upload(content), contentLayout=layout)
        assert [file["name"] for file in listed(sonarr, content)] == [name]


@pytest.mark.parametrize(
    ("used", "said"), [("true", "<folder>/inc"), ("false", False), (None, None)]
)
def test_a_category_gives_its_folder_for_unfinished_files_back(
    sonarr: Caller, downloads_here: Path, used: str | None, said: str | bool | None
):
    """A real server has the key only when somebody has said something."""
    form = {"category": "tv", "savePath": "", "downloadPath": "inc"}
    switch = {} if used is None else {"downloadPathEnabled": used}
    assert sonarr.post("torrents/createCategory", **form, **switch).status_code == 200
    told = json.loads(json.dumps(said).replace("<folder>", str(downloads_here)))
    assert sonarr.get("torrents/categories").json()["tv"].get("download_path") == told
    # Half of what was said before is not kept beside what is said now.
    sonarr.post("torrents/editCategory", category="tv", savePath="")
    assert "download_path" not in sonarr.get("torrents/categories").json()["tv"]
    sonarr.post("torrents/editCategory", **form, downloadPathEnabled="true")
    data = sonarr.get("sync/maindata").json()
    assert data["categories"]["tv"]["download_path"] == str(downloads_here / "inc")
    assert not (downloads_here / "inc").exists()


def test_a_folder_for_unfinished_files_elsewhere_is_refused(sonarr: Caller):
    asked = {"category": "tv", "downloadPath": "/etc", "downloadPathEnabled": "true"}
    assert sonarr.post("torrents/createCategory", **asked).status_code == 409
    assert not Category.objects.exists()


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({"savepath": "own", "useDownloadPath": "true"}, True),
        ({"savepath": "own", "useDownloadPath": "false"}, False),
        ({"savepath": "own"}, False),
        ({"useDownloadPath": "true", "autoTMM": "true"}, False),
    ],
)
def test_an_added_torrent_gives_its_folder_for_unfinished_files_back(
    sonarr: Caller, release, downloads_here: Path, form: dict[str, str], shown: bool
):
    asked = {"urls": release().magnet, "downloadPath": str(downloads_here / "inc")}
    assert sonarr.post("torrents/add", **asked, **form).content == b"Ok."
    [item] = sonarr.info()
    assert item["download_path"] == (str(downloads_here / "inc") if shown else "")
    assert "/inc" not in item["content_path"]


def test_what_is_kept_reaches_those_who_ask_for_changes(sonarr: Caller):
    job = JobFactory()
    ClientTaskFactory(job=job)
    rid = sonarr.get("sync/maindata").json()["rid"]
    of(sonarr, "addTrackers", job, urls=TRACKER)
    told = sonarr.get("sync/maindata", rid=rid).json()
    assert told["torrents"] == {job.infohash: {"trackers_count": 2}}
    of(sonarr, "addWebSeeds", job, urls="http://a.example")
    assert "torrents" not in sonarr.get("sync/maindata", rid=told["rid"]).json()
