"""Filters, order and slices of `torrents/info`, and the sums of `transfer/info` and `sync/maindata`."""

from datetime import timedelta

import pytest
from django.utils import timezone

from downloads.models import Job, JobStatus
from qbshim import listing, rendering
from tests.downloads.factories import MIB, JobFactory
from tests.qbshim.conftest import Caller
from tests.qbshim.factories import ClientTaskFactory
from tests.qbshim.mirror import Clock

LONG_AGO = timedelta(minutes=3)


@pytest.fixture
def jobs(db: None) -> dict[str, Job]:
    """A job in every state, by a name of ours."""
    silent = timezone.now() - LONG_AGO
    return {
        "queued": JobFactory(),
        "meta": JobFactory(running=True, downloaded_bytes=0, progress=0, speed=0),
        "running": JobFactory(running=True),
        "stalled": JobFactory(running=True, active_at=silent),
        "paused": JobFactory(paused=True),
        "cancelled": JobFactory(cancelled=True),
        "failed": JobFactory(failed=True),
        "nobody": JobFactory(status=JobStatus.NO_DOWNLOADER),
        "away": JobFactory(status=JobStatus.DOWNLOADER_ERROR),
        "done": JobFactory(completed=True),
        "lost": JobFactory(completed=True, result_path=""),
    }


STATES = {
    "queued": "queuedDL",
    "meta": "metaDL",
    "running": "downloading",
    "stalled": "stalledDL",
    "paused": "stoppedDL",
    "cancelled": "stoppedDL",
    "failed": "error",
    "nobody": "error",
    "away": "error",
    "done": "stoppedUP",
    "lost": "missingFiles",
}
UNFINISHED = {"queued", "meta", "running", "stalled", "paused", "cancelled"}
ERRORS = {"failed", "nobody", "away"}


@pytest.mark.parametrize("name", STATES)
def test_each_status_has_its_state(sonarr: Caller, jobs: dict[str, Job], name: str):
    assert sonarr.one(jobs[name])["state"] == STATES[name]


@pytest.mark.parametrize(
    ("filter_name", "expected"),
    [
        ("all", set(STATES)),
        ("", set(STATES)),
        ("bogus", set(STATES)),
        ("downloading", UNFINISHED),
        ("completed", {"done"}),
        ("seeding", set()),
        ("paused", {"paused", "cancelled", "done"}),
        ("stopped", {"paused", "cancelled", "done"}),
        ("resumed", {"queued", "meta", "running", "stalled"}),
        ("running", {"queued", "meta", "running", "stalled"}),
        ("active", {"meta", "running"}),
        ("inactive", set(STATES) - {"meta", "running"}),
        ("stalled", {"stalled"}),
        ("stalled_downloading", {"stalled"}),
        ("stalled_uploading", set()),
        ("checking", set()),
        ("moving", set()),
        ("errored", ERRORS | {"lost"}),
    ],
)
def test_filters_of_both_dialects(
    sonarr: Caller, jobs: dict[str, Job], filter_name: str, expected: set[str]
):
    by_hash = {job.infohash: name for name, job in jobs.items()}
    assert {by_hash[item["hash"]] for item in sonarr.info(filter=filter_name)} == expected


def test_nothing_but_the_speed_of_what_moves_counts(sonarr: Caller, jobs: dict[str, Job]):
    speeds = {name: sonarr.one(job)["dlspeed"] for name, job in jobs.items()}
    assert {name for name, speed in speeds.items() if speed} == {"running"}
    info = sonarr.get("transfer/info").json()
    assert info["dl_info_speed"] == 5 * MIB
    assert sonarr.get("sync/maindata").json()["server_state"]["dl_info_speed"] == 5 * MIB


def test_sizes_agree_with_each_other(sonarr: Caller, jobs: dict[str, Job]):
    for item in sonarr.info():
        assert item["size"] == item["total_size"] > 0
        assert item["completed"] + item["amount_left"] == item["size"]
        assert item["downloaded"] == item["completed"]
        assert 0 <= item["progress"] <= 1
        assert isinstance(item["eta"], int)
        assert 0 <= item["eta"] <= 8640000
        assert item["content_path"] != item["save_path"]


def test_the_time_that_it_was_fetched_goes_on_after_a_pause(sonarr: Caller):
    begun = timezone.now() - timedelta(seconds=100)
    job = JobFactory(running=True, started_at=begun, active_seconds=50)
    assert 150 <= sonarr.one(job)["time_active"] < 200
    sonarr.post("torrents/stop", hashes=job.infohash)
    paused = sonarr.one(job)["time_active"]
    assert 150 <= paused < 200, "also of a time in which no byte came"
    Job.objects.filter(pk=job.pk).update(completed_at=timezone.now() + timedelta(days=1))
    assert sonarr.one(job)["time_active"] == paused
    properties = sonarr.get("torrents/properties", hash=job.infohash).json()
    assert properties["time_elapsed"] == paused


def test_completion_is_minus_one_until_it_is_done(sonarr: Caller, jobs: dict[str, Job]):
    done = sonarr.one(jobs["done"])
    assert done["completion_on"] == int(jobs["done"].completed_at.timestamp())
    assert (done["eta"], done["amount_left"], done["priority"]) == (8640000, 0, 0)
    for name in UNFINISHED | ERRORS:
        assert sonarr.one(jobs[name])["completion_on"] == -1


def test_a_second_host_starts_from_zero_without_going_back(sonarr: Caller):
    job = JobFactory(running=True, progress=0.6, downloaded_bytes=MIB, total_bytes=100 * MIB)
    item = sonarr.one(job)
    assert (item["progress"], item["completed"]) == (0.6, 60 * MIB)


def test_an_estimate_stands_in_for_a_size_that_nobody_knows(sonarr: Caller):
    sizes = {
        kind: sonarr.one(JobFactory(season=season, episode=episode))["size"]
        for kind, season, episode in (("episode", 1, 1), ("season", 1, None), ("film", 0, 0))
    }
    assert 0 < sizes["episode"] < sizes["film"] < sizes["season"]


def test_the_place_in_the_queue_counts_the_unfinished(sonarr: Caller, finished):
    first, _, third = JobFactory(), finished(), JobFactory()
    assert [sonarr.one(job)["priority"] for job in (first, third)] == [1, 2]


def test_category_and_hash_both_have_to_fit(sonarr: Caller):
    job = JobFactory(category="tv")
    JobFactory(category="tv")
    assert len(sonarr.info(category="tv")) == 2
    assert len(sonarr.info(category="tv", hashes=job.infohash)) == 1
    assert sonarr.info(category="TV") == sonarr.info(category="movies", hashes=job.infohash) == []
    assert sonarr.info(category="") == []
    assert sonarr.info(hashes="all") == []


def test_an_empty_tag_means_untagged(sonarr: Caller):
    tagged, bare = ClientTaskFactory(tags=["a"]).job, JobFactory()
    assert [item["hash"] for item in sonarr.info(tag="")] == [bare.infohash]
    assert [item["hash"] for item in sonarr.info(tag="a")] == [tagged.infohash]


def test_nothing_is_private(sonarr: Caller):
    JobFactory()
    assert sonarr.info(private="true") == []
    assert len(sonarr.info(private="false")) == 1


def test_every_key_can_be_sorted_by(sonarr: Caller, jobs: dict[str, Job]):
    def values(key: str, **params: str) -> list[object]:
        # «private» is nothing at all of a torrent whose files are not known yet.
        return [
            bool(item[key]) if key == "private" else item[key]
            for item in sonarr.info(sort=key, **params)
        ]

    for key in sonarr.info()[0]:
        found = values(key)
        assert found == sorted(found)
        assert values(key, reverse="true") == found[::-1]


def test_without_a_key_nothing_is_reversed(sonarr: Caller, jobs: dict[str, Job]):
    assert sonarr.info(reverse="true") == sonarr.info()


def test_a_key_that_no_item_has_is_refused(sonarr: Caller):
    assert sonarr.info(sort="bogus") == []
    JobFactory()
    response = sonarr.get("torrents/info", sort="bogus")
    assert (response.status_code, response.content) == (400, b"'sort' parameter is invalid")


@pytest.mark.parametrize(
    ("limit", "offset", "expected"),
    [
        ("2", "1", "bc"),
        ("0", "0", "abcd"),
        ("-3", "0", "abcd"),
        ("", "1", "bcd"),
        ("1", "-1", "d"),
        ("", "-9", "abcd"),
        ("", "1000", "abcd"),
        ("xyz", "abc", "abcd"),
        ("9" * 5000, "9" * 5000, "abcd"),
    ],
)
def test_slices_follow_the_real_server(sonarr: Caller, limit: str, offset: str, expected: str):
    for name in "dbca":
        JobFactory(name=name)
    items = sonarr.info(sort="name", limit=limit, offset=offset)
    assert "".join(item["name"] for item in items) == expected


def test_a_page_is_the_same_slice_as_of_the_whole_list(
    sonarr: Caller, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
):
    # The clock would go on between two answers, and with it how long each was active.
    clock = Clock()
    for module in (listing, rendering):
        monkeypatch.setattr(module, "time", clock)
    whole = sonarr.info()
    for limit, offset in ((3, 0), (3, 4), (3, -2), (3, 1000), (501, 2)):
        start = offset % len(whole) if offset < len(whole) else 0
        assert sonarr.info(limit=limit, offset=offset) == whole[start : start + limit]
    assert sonarr.info(limit=3, category="tv") == sonarr.info(limit=3, private="true") == []


def test_trackers_come_along_when_asked(sonarr: Caller):
    JobFactory()
    [item] = sonarr.info(includeTrackers="true")
    assert [row["url"] for row in item["trackers"]] == [item["tracker"]]
    assert "trackers" not in sonarr.info()[0]


def test_count_counts_what_is_listed(sonarr: Caller):
    JobFactory()
    JobFactory(removed_at=timezone.now())
    assert sonarr.get("torrents/count").content == b"1"


def test_what_a_deleted_job_fetched_still_counts(sonarr: Caller):
    JobFactory(completed=True, removed_at=timezone.now())
    assert sonarr.get("transfer/info").json()["dl_info_data"] == 400 * MIB


def test_free_space_is_known_before_the_folder_exists(sonarr: Caller, settings, tmp_path):
    settings.DOWNLOAD_DIR = tmp_path / "not" / "yet"
    assert sonarr.get("sync/maindata").json()["server_state"]["free_space_on_disk"] > 0
