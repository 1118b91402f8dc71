"""The single files of downloads that a qBittorrent runs: asked for seldom, shown as it says."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from downloads import inside, outbox, polling, services
from downloads.downloaders.base import Place, Report, State
from downloads.downloaders.qbittorrent import QBittorrent
from downloads.models import (
    Downloader,
    DownloaderKind,
    Job,
    JobContents,
    JobFile,
    JobStatus,
    JobTorrent,
)
from tests.downloads.factories import JobFactory
from tests.downloads.odd import Odd

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S = JobStatus
HASH = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
INFO, FILES = "/api/v2/torrents/info", "/api/v2/torrents/files"
TWO = [
    {"name": "Show/e1.mkv", "size": 700, "progress": 1, "priority": 7},
    {"name": "Show/e2.mkv", "size": 300, "progress": 0.25, "priority": 0},
]


@pytest.fixture
def box(odd: Odd) -> Downloader:
    return Downloader.objects.create(
        name="qb", kind=DownloaderKind.QBITTORRENT, base_url=odd.url, username="a"
    )


@pytest.fixture
def job(box: Downloader, odd: Odd) -> Job:
    says(odd, TWO)
    return JobFactory(
        status=S.DOWNLOADING, downloader=box, remote_id=HASH, infohash=HASH, download_type="magnet",
        episode=None,
    )  # fmt: skip


def says(odd: Odd, files: object, **row: Any) -> None:
    row = {"hash": HASH, "state": "downloading", "size": 1000, "progress": 0.775} | row
    odd.pages[INFO] = (200, json.dumps([row]).encode())
    odd.pages[FILES] = (200, json.dumps(files).encode())


def asked(odd: Odd) -> int:
    return odd.asked.count(FILES)


def listed(job: Job, settings: Any) -> list[dict[str, Any]]:
    """As a qBittorrent client is shown them."""
    answer = Client().get(
        f"/api/v2/torrents/files?hash={job.infohash}",
        headers={"Authorization": f"Bearer {settings.API_KEY}"},
    )
    assert answer.status_code == 200
    return answer.json()


def test_each_file_is_shown_as_its_downloader_says(odd: Odd, box, job: Job, settings: Any):
    polling.poll(box.pk)
    rows = listed(job, settings)
    assert [(row["name"], row["size"], row["progress"], row["priority"]) for row in rows] == [
        ("Show/e1.mkv", 700, 1, 7),
        ("Show/e2.mkv", 300, 0.25, 0),
    ]
    assert rows[0]["is_seed"] is False


def with_files(settings: Any, **params: Any) -> list[dict[str, Any]]:
    """The whole list as a client is shown it that asks for the files with it."""
    answer = Client().get(
        "/api/v2/torrents/info",
        {"includeFiles": "true", **params},
        headers={"Authorization": f"Bearer {settings.API_KEY}"},
    )
    assert answer.status_code == 200
    return answer.json()


def test_in_the_list_as_well_each_file_is_shown_as_its_downloader_says(
    odd: Odd, box, job: Job, settings: Any
):
    JobFactory(category="others")
    polling.poll(box.pk)
    for some in with_files(settings, hashes=HASH), with_files(settings, category=job.category):
        assert [item["files"] for item in some] == [listed(job, settings)]
    assert {item["hash"]: len(item["files"]) for item in with_files(settings)}[HASH] == 2


def test_whoever_asks_for_the_files_of_a_few_in_a_list_looks_at_them(
    odd: Odd, box, job: Job, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    polling.poll(box.pk)
    monkeypatch.setattr(inside, "MOST_ASKED", 1)
    other = JobFactory()
    with_files(settings)
    assert JobContents.objects.get().shown_at is None, "nobody looks at each of so many"
    with_files(settings, limit=1, offset=1)
    assert JobContents.objects.get().shown_at is not None, "only those that are answered count"
    assert other.created_at > job.created_at


def about_files(seen: CaptureQueriesContext) -> int:
    tables = (JobContents, JobFile, JobTorrent)
    return sum(any(table._meta.db_table in one["sql"] for table in tables) for one in seen)


def test_the_files_of_a_long_list_cost_as_many_questions_as_those_of_a_short_one(
    odd: Odd, box, job: Job, settings: Any
):
    polling.poll(box.pk)
    with_files(settings)
    with CaptureQueriesContext(connection) as short:
        with_files(settings)
    for number in range(20):
        more = JobFactory(
            status=S.COMPLETED, downloader=box, remote_id=f"{number:040x}", download_type="magnet"
        )
        files = [["a.mkv", 1, 1, 1]]
        JobContents.objects.create(
            job=more, downloader=box, remote_id=more.remote_id, files=files, asked_at=timezone.now()
        )
    with CaptureQueriesContext(connection) as long:
        assert [len(item["files"]) for item in with_files(settings)] == [1] * 20 + [2]
    assert about_files(long) == about_files(short) > 0


def test_files_are_asked_for_once_and_then_every_some_polls(odd: Odd, box, job: Job, settings: Any):
    for _ in range(3):
        polling.poll(box.pk)
    assert asked(odd) == 1
    long_ago = inside.EVERY * timedelta(seconds=settings.DOWNLOAD_POLL_INTERVAL)
    JobContents.objects.update(asked_at=timezone.now() - long_ago)
    for _ in range(3):
        polling.poll(box.pk)
    assert asked(odd) == 2


def test_while_somebody_looks_they_are_asked_for_at_every_poll(odd: Odd, box, job, settings: Any):
    polling.poll(box.pk)
    listed(job, settings)
    says(odd, [TWO[0], {**TWO[1], "progress": 0.5}])
    polling.poll(box.pk)
    assert [row["progress"] for row in listed(job, settings)] == [1, 0.5]
    JobContents.objects.update(shown_at=timezone.now() - inside.LOOKED_AT - timedelta(seconds=1))
    polling.poll(box.pk)
    assert asked(odd) == 2


def test_before_the_metadata_is_there_nothing_is_asked(odd: Odd, box, job: Job, settings: Any):
    says(odd, [], state="metaDL", size=-1, progress=0)
    polling.poll(box.pk)
    assert (asked(odd), listed(job, settings)) == (0, [])


def test_at_the_end_all_files_are_there_also_those_that_nobody_wanted(
    odd: Odd, box, job: Job, settings: Any
):
    polling.poll(box.pk)
    says(odd, [{**TWO[0]}, {**TWO[1], "progress": 0}], state="uploading", size=700, progress=1)
    polling.poll(box.pk)
    assert Job.objects.get(pk=job.pk).status == S.COMPLETED
    rows = listed(job, settings)
    assert [(row["progress"], row["priority"]) for row in rows] == [(1, 7), (0, 0)]
    assert asked(odd) == 2, "with the question how it goes"


def test_only_so_many_are_asked_about_in_one_page_the_longest_waiting_first(
    odd: Odd, box, job: Job, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inside, "MOST_ASKED", 2)
    others = [
        JobFactory(status=S.DOWNLOADING, downloader=box, remote_id=f"{n:040x}", download_type="magnet")
        for n in range(1, 5)
    ]  # fmt: skip
    rows = [{"hash": one.remote_id, "state": "downloading", "size": 9} for one in (job, *others)]
    odd.pages[INFO] = (200, json.dumps(rows).encode())
    seen = []
    for _ in range(4):
        polling.poll(box.pk)
        seen.append(asked(odd))
    assert seen == [2, 4, 5, 5]


def test_what_was_said_of_an_earlier_download_counts_no_more(odd: Odd, box, job: Job):
    polling.poll(box.pk)
    Job.objects.filter(pk=job.pk).update(remote_id="d" * 40)
    assert inside.shown(job.pk) is None
    Job.objects.filter(pk=job.pk).update(remote_id=HASH)
    assert inside.shown(job.pk) is not None
    services.cancel(job.pk)
    assert inside.shown(job.pk) is not None
    services.retry(job.pk)
    assert inside.shown(job.pk) is None
    # The same torrent at the same place, but its data went with the cancelled one.
    [errand] = outbox.intend([Job.objects.get(pk=job.pk)], box, {job.pk: HASH})
    outbox.accepted(errand, HASH)
    assert inside.shown(job.pk) is None


@pytest.mark.parametrize(
    "files",
    [
        {}, None, 5, [None, 7, {}, {"name": 5}],
        [{"name": "a\u0000b\n" + "x" * 9000, "size": -1, "progress": "x", "priority": None}],
        [{"name": "x", "size": 1e300, "progress": 7, "priority": -3}] * 3,
    ],
)  # fmt: skip
def test_nonsense_about_files_does_no_harm(odd: Odd, box, job: Job, settings: Any, files: object):
    says(odd, files)
    polling.poll(box.pk)
    for row in listed(job, settings):
        assert 0 <= row["progress"] <= 1
        assert 0 <= row["size"] < 2**63
        assert row["name"].isprintable()
        assert len(row["name"]) <= inside.MAX_NAME


def test_where_nobody_says_no_file_is_claimed_to_be_whole_before_all_are(settings: Any):
    job = JobFactory(status=S.DOWNLOADING, progress=1.0, download_type="torrent", episode=None)
    content = (
        b"d4:infod5:filesld6:lengthi7e4:pathl5:a.mkveed6:lengthi9e4:pathl5:b.mkveee4:name4:Showee"
    )
    JobTorrent.objects.create(job=job, content=content, v1=job.infohash)
    assert all(row["progress"] < 1 for row in listed(job, settings))


def test_a_job_that_was_deleted_meanwhile_is_not_written_about(odd: Odd, box, job: Job):
    Job.objects.filter(pk=job.pk).delete()
    talk = QBittorrent(Place("qb", odd.url, username="a"))
    inside.learn(box, talk, [job], {HASH: Report(State.DOWNLOADING, size=1000)})
    talk.close()
    assert not JobContents.objects.exists()


def test_files_that_are_not_told_hold_up_no_poll(odd: Odd, box, job: Job):
    odd.pages[FILES] = (500, b"oops")
    assert polling.poll(box.pk)
    assert Job.objects.get(pk=job.pk).progress == 0.775
    assert Downloader.objects.get(pk=box.pk).failures == 0
