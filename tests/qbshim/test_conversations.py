"""Whole conversations, in the order and wording in which Sonarr and Radarr hold them."""

from pathlib import Path

from django.contrib.auth.models import User
from django.utils import timezone

from downloads import transitions
from downloads.models import Job, JobFile, JobStatus
from tests.qbshim.conftest import PASSWORD, UNKNOWN, Caller

# Radarr sends Basic credentials with every request, also beside its cookie.
BASIC = {"Authorization": "Basic YWRtaW46YWRtaW5hZG1pbg=="}
WRONG = {"Authorization": "Basic Og=="}  # Radarr's, without a name and a password


def complete(job: Job) -> Path:
    """Carry a job to its end, as a worker does."""
    token = transitions.claim(job.pk, "worker")
    path = Path(job.save_path) / f"{job.name}.mp4"
    path.write_bytes(b"a video")
    JobFile.objects.create(job=job, season=1, episode=1, path=str(path), size_bytes=7)
    transitions.move(
        job.pk,
        JobStatus.COMPLETED,
        token=token,
        progress=1.0,
        downloaded_bytes=7,
        total_bytes=7,
        result_path=str(path),
        completed_at=timezone.now(),
    )
    return path


def test_the_connection_test_of_sonarr(owner: User):
    assert Caller().get("app/webapiVersion").status_code == 403
    assert Caller(**WRONG).get("app/webapiVersion").status_code == 403
    sonarr = Caller(**BASIC)
    assert sonarr.get("app/webapiVersion").content == b"2.11.4"
    assert sonarr.post("auth/login", username="admin", password=PASSWORD).content == b"Ok."
    for _ in range(2):
        assert sonarr.get("app/webapiVersion").content == b"2.11.4"
    preferences = sonarr.get("app/preferences").json()
    assert preferences["dht"] is True
    assert preferences["max_ratio_enabled"] is preferences["max_seeding_time_enabled"] is False
    assert preferences["max_ratio_act"] == 0
    assert Path(preferences["save_path"]).is_dir()
    assert sonarr.get("torrents/categories").json() == {}
    assert sonarr.post("torrents/createCategory", category="tv-sonarr").status_code == 200
    [category] = sonarr.get("torrents/categories").json().values()
    assert category["name"] == "tv-sonarr"
    assert Path(category["savePath"]).is_dir()
    assert sonarr.info(category="tv-sonarr") == []


def test_from_grab_to_removal(sonarr: Caller, release, django_capture_on_commit_callbacks):
    grabbed = release()
    sonarr.post("torrents/createCategory", category="tv-sonarr")
    with django_capture_on_commit_callbacks() as nudges:
        response = sonarr.post(
            "torrents/add", urls=grabbed.magnet, category="tv-sonarr", stopped="False"
        )
    assert (response.status_code, response.content, len(nudges)) == (200, b"Ok.", 1)

    [item] = sonarr.info(category="tv-sonarr")
    assert (item["hash"], item["name"]) == (grabbed.infohash, grabbed.name)
    assert (item["state"], item["progress"], item["eta"]) == ("queuedDL", 0, 8640000)
    assert item["size"] > 0
    assert sonarr.info(category="radarr") == []

    path = complete(Job.objects.get())
    [item] = sonarr.info(category="tv-sonarr")
    assert (item["state"], item["progress"], item["size"]) == ("stoppedUP", 1, 7)
    assert item["content_path"] == str(path) != item["save_path"]
    assert item["ratio_limit"] >= 0
    assert item["ratio_limit"] - item["ratio"] <= 0.001

    path.rename(path.parent.parent / "imported.mp4")
    [item] = sonarr.info(category="tv-sonarr")
    assert item["state"] == "stoppedUP", "else Sonarr would not remove what it has imported"
    response = sonarr.post("torrents/delete", hashes=grabbed.infohash, deleteFiles="true")
    assert response.status_code == 200
    assert sonarr.info() == []
    assert (path.parent.parent / "imported.mp4").exists()


def test_the_post_import_category_moves_an_item_out(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release(1).magnet, category="tv-sonarr")
    sonarr.post("torrents/add", urls=release(2).magnet, category="tv-sonarr")
    sonarr.post("torrents/createCategory", category="tv-done")
    response = sonarr.post("torrents/setCategory", hashes=release(1).infohash, category="tv-done")
    assert response.status_code == 200
    assert [item["hash"] for item in sonarr.info(category="tv-sonarr")] == [release(2).infohash]


def test_priority_first_polls_properties_and_puts_it_first(sonarr: Caller, release):
    grabbed = release()
    assert sonarr.get("torrents/properties", hash=grabbed.infohash).status_code == 404
    sonarr.post("torrents/add", urls=grabbed.magnet, category="tv-sonarr")
    assert sonarr.get("torrents/properties", hash=grabbed.infohash).status_code == 200
    sonarr.post("torrents/add", urls=release(2).magnet, category="tv-sonarr")
    grabbed = release(2)
    assert sonarr.post("torrents/topPrio", hashes=grabbed.infohash).status_code == 200
    assert sonarr.one(grabbed.infohash)["priority"] == 1
    share = {"ratioLimit": "1.5", "seedingTimeLimit": "60"}
    for path, rest in (
        ("torrents/setForceStart", {"value": "true"}),
        ("torrents/setShareLimits", share),
        ("torrents/addTags", {"tags": "sintel"}),
    ):
        assert sonarr.post(path, hashes=grabbed.infohash, **rest).status_code == 200


def test_a_long_magnet_comes_as_multipart(sonarr: Caller, release):
    trackers = "".join(f"&tr=http%3A%2F%2Ftracker{n}.example%2Fannounce" for n in range(40))
    magnet = release().magnet + trackers
    assert len(magnet) > 1024
    body = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("urls", magnet), ("category", "tv"), ("stopped", "True"))
    )
    response = sonarr.http.post(
        "/api/v2/torrents/add",
        (body + "--x--\r\n").encode(),
        content_type="multipart/form-data; boundary=x",
    )
    assert response.content == b"Ok."
    item = sonarr.one(release().infohash)
    assert (item["state"], item["category"]) == ("stoppedDL", "tv")


def test_after_a_restart_an_expired_cookie_leads_back_to_the_login(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet, category="tv")
    before = sonarr.info()
    sonarr.http.cookies["SID"] = "0" * 32
    assert sonarr.get("torrents/info").status_code == 403
    sonarr.sign_in()
    assert sonarr.info() == before


def test_a_poll_costs_the_same_few_queries_for_any_number_of_jobs(
    sonarr: Caller, release, django_assert_max_num_queries
):
    for count in (1, 5):
        for episode in range(count):
            sonarr.post("torrents/add", urls=release(episode + 1).magnet, category="tv")
        # Session and user, jobs, and the places in the queue, which have changed.
        with django_assert_max_num_queries(5):
            assert len(sonarr.info(category="tv")) == count


def test_cross_seed_posts_everything_and_sends_the_whole_cookie_line(sonarr: Caller):
    caller = Caller(Cookie=f"SID={sonarr.sid}; HttpOnly; SameSite=Strict; path=/")
    for path in ("torrents/info", "torrents/categories", "torrents/tags", "app/version"):
        response = caller.http.post(f"/api/v2/{path}", b"", content_type="text/plain;charset=UTF-8")
        assert response.status_code == 200


def test_cleanuparr_finds_a_download_by_filter_and_hash(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet)
    [item] = sonarr.info(filter="all", hashes=release().infohash.upper())
    assert item["hash"] == release().infohash
    assert sonarr.get("torrents/properties", hash=item["hash"]).json()["is_private"] is False
    assert sonarr.get("sync/maindata").json()["server_state"]["connection_status"] == "connected"


def test_autobrr_sees_a_working_tracker(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet)
    rows = sonarr.get("torrents/trackers", hash=release().infohash).json()
    assert [row["url"] for row in rows[:3]] == ["** [DHT] **", "** [PeX] **", "** [LSD] **"]
    assert [(row["status"], row["msg"]) for row in rows] == [(0, "")] * 3 + [(2, "")]
    assert sonarr.get("torrents/trackers", hash=UNKNOWN).status_code == 404
