"""What `torrents/add` takes, refuses and leaves alone."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from catalogue.releases import Identity, Release
from downloads import services as downloads
from downloads import transitions
from downloads.models import Job, JobStatus
from qbshim import adding
from qbshim.models import Category, ClientTask
from tests.catalogue.factories import AvailabilityRecordFactory
from tests.downloads.factories import JobFactory
from tests.downloads.orders import order
from tests.qbshim.conftest import Caller


def test_a_magnet_becomes_a_job_and_what_the_client_said_about_it(sonarr: Caller, release):
    grabbed = release()
    sonarr.post("torrents/add", urls=grabbed.magnet, category="tv", tags="a, b,,a")
    task = ClientTask.objects.select_related("job").get()
    assert (task.hash, task.name, task.magnet) == (grabbed.infohash, grabbed.name, grabbed.magnet)
    assert task.tags == ["a", "b"]
    assert (task.job.source_site, task.job.slug, task.job.status) == ("demo", "sintel", "queued")


def test_several_links_one_a_line_are_trimmed(sonarr: Caller, release):
    links = f"  {release(1).magnet}\r\n\n{release(2).magnet} \nrubbish"
    assert sonarr.post("torrents/add", urls=links).content == b"Ok."
    assert {item["hash"] for item in sonarr.info()} == {release(1).infohash, release(2).infohash}


@pytest.mark.parametrize("name", ["paused", "stopped"])
@pytest.mark.parametrize(
    ("value", "state"), [("True", "stoppedDL"), ("true", "stoppedDL"), ("False", "queuedDL")]
)
def test_both_words_for_paused_count(sonarr: Caller, release, name: str, value: str, state: str):
    sonarr.post("torrents/add", urls=release().magnet, **{name: value})
    assert sonarr.one(release().infohash)["state"] == state


def test_a_hash_in_capitals_is_listed_in_lower_case(sonarr: Caller, release):
    magnet = release().magnet.replace(release().infohash, release().infohash.upper())
    assert sonarr.post("torrents/add", urls=magnet).content == b"Ok."
    assert sonarr.one(release().infohash)["hash"] == release().infohash


def test_a_magnet_of_the_older_anibridge_is_listed_under_its_own_hash(sonarr: Caller, site):
    old = "magnet:?xt=urn:btih:{}&dn=Sintel.S01E01&aw_slug=sintel&aw_s=1&aw_e=1&aw_lang=German+Dub"
    infohash = hashlib.sha1(b"sintel|1|1|German Dub", usedforsecurity=False).hexdigest()
    magnet = old.format(infohash) + "&aw_site=demo"
    assert sonarr.post("torrents/add", urls=magnet).content == b"Ok."
    assert sonarr.one(infohash)["name"] == "Sintel.S01E01"


def test_rename_changes_what_clients_see_and_not_the_file(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet, rename="Another Name")
    item = sonarr.one(release().infohash)
    assert item["name"] == "Another Name"
    assert item["content_path"].endswith(f"/{release().name}")


def test_a_strm_release_shows_its_mark_and_keeps_it_out_of_the_file(sonarr: Caller, release):
    grabbed = release(strm=True)
    sonarr.post("torrents/add", urls=grabbed.magnet)
    assert sonarr.one(grabbed.infohash)["name"] == f"{grabbed.name} [STRM]"
    assert Job.objects.get().name == grabbed.name


def test_a_probed_size_is_shown_before_the_download_begins(sonarr: Caller, release, site):
    AvailabilityRecordFactory(site=site, slug="sintel", season=1, episode=1, size_bytes=123_456)
    sonarr.post("torrents/add", urls=f"{release(1).magnet}\n{release(2).magnet}")
    assert sonarr.one(release(1).infohash)["size"] == 123_456
    assert sonarr.one(release(2).infohash)["size"] > 0


def test_a_strm_release_is_as_small_before_it_is_written_as_it_will_be(
    sonarr: Caller, release, site
):
    """Of the video's size a client would say that gigabytes are left, and then that all of it was some bytes."""
    for episode in (1, None):
        AvailabilityRecordFactory(site=site, slug="sintel", season=1, episode=episode)
    sonarr.post("torrents/add", urls=f"{release(1, strm=True).magnet}\n{release(None, strm=True).magnet}")  # fmt: skip
    assert sonarr.one(release(1, strm=True).infohash)["size"] == 512
    assert sonarr.one(release(None, strm=True).infohash)["size"] == 12 * 512


@pytest.mark.parametrize(
    "urls",
    [
        "magnet:?dn=nothing",
        "magnet:?xt=urn:btmh:1220" + "ab" * 32,
        "file:///etc/passwd",
        "/etc/hostname",
        "not a url",
        "http://",
        Release(Identity("nosite", "x", 1, 1, "German Dub"), title="X", group="X").magnet,
        "",
    ],
)
def test_what_can_never_be_right_fails(sonarr: Caller, site, urls: str):
    response = sonarr.post("torrents/add", urls=urls, category="tv")
    assert (response.status_code, response.content) == (200, b"Fails.")
    assert not Job.objects.exists()
    assert not Category.objects.exists()


def test_a_file_that_is_no_torrent_is_called_so_under_any_field_name(sonarr: Caller):
    file = SimpleUploadedFile("x.torrent", b"<html>")
    response = sonarr.multipart("torrents/add", **{"fileselect[]": file})
    assert response.status_code == 415
    assert response.content == b"Error: 'x.torrent' is not a valid torrent file."


def test_adding_twice_is_ok_and_changes_nothing(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet, category="tv", tags="a")
    before = sonarr.info()
    response = sonarr.post(
        "torrents/add",
        urls=release().magnet,
        category="other",
        stopped="true",
        tags="b",
        rename="Else",
    )
    assert response.content == b"Ok."
    assert sonarr.info() == before


def test_a_job_from_elsewhere_takes_the_category_of_the_first_client(sonarr: Caller, site):
    job, _ = downloads.enqueue(order())
    magnet = Release(Identity("demo", "sintel", 1, 1, "German Dub"), title="S", group="G").magnet
    sonarr.post("torrents/add", urls=magnet, category="tv")
    assert sonarr.one(job)["category"] == "tv"
    assert sonarr.one(job)["save_path"].endswith("/tv")


def test_a_failed_release_added_again_starts_over_in_the_new_category(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet, category="tv")
    job = Job.objects.get()
    transitions.claim(job.pk, "worker")
    transitions.move(job.pk, JobStatus.FAILED, error_message="gone")
    sonarr.post("torrents/add", urls=release().magnet, category="anime", stopped="true")
    item = sonarr.one(job)
    assert (item["state"], item["category"], item["comment"]) == ("stoppedDL", "anime", "")
    assert item["save_path"].endswith("/anime")


def test_after_deletion_the_same_magnet_is_a_new_job(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet, category="tv", tags="old")
    sonarr.post("torrents/delete", hashes=release().infohash)
    sonarr.post("torrents/add", urls=release().magnet, category="tv")
    assert sonarr.one(release().infohash)["tags"] == ""
    assert Job.objects.count() == ClientTask.objects.count() == 2


def test_an_unknown_category_is_made_with_its_folder(sonarr: Caller, release, downloads_here: Path):
    sonarr.post("torrents/add", urls=release().magnet, category="new/one")
    assert list(sonarr.get("torrents/categories").json()) == ["new/one"]
    assert (downloads_here / "new" / "one").is_dir()
    assert sonarr.one(release().infohash)["save_path"] == str(downloads_here / "new" / "one")


def test_an_impossible_category_is_dropped_and_the_release_taken(sonarr: Caller, release):
    assert sonarr.post("torrents/add", urls=release().magnet, category="a//b").content == b"Ok."
    assert sonarr.one(release().infohash)["category"] == ""


def test_a_folder_that_cannot_be_made_does_not_lose_the_grab(
    sonarr: Caller, release, downloads_here: Path
):
    (downloads_here / "tv").write_text("a file is in the way")
    assert sonarr.post("torrents/add", urls=release().magnet, category="tv").content == b"Ok."
    assert sonarr.one(release().infohash)["category"] == "tv"


def test_the_folder_of_a_category_counts(sonarr: Caller, release, downloads_here: Path):
    sonarr.post(
        "torrents/createCategory", category="tv", savePath=str(downloads_here / "shows" / "all")
    )
    sonarr.post("torrents/add", urls=release().magnet, category="tv")
    assert sonarr.one(release().infohash)["save_path"] == str(downloads_here / "shows" / "all")


def test_a_save_path_inside_the_download_folder_is_honoured(
    sonarr: Caller, release, downloads_here: Path
):
    for episode, asked in ((1, str(downloads_here / "own")), (2, "own")):
        sonarr.post("torrents/add", urls=release(episode).magnet, savepath=asked, category="tv")
        item = sonarr.one(release(episode).infohash)
        assert item["save_path"] == str(downloads_here / "own")


def test_a_save_path_in_a_library_that_the_operator_has_named(
    sonarr: Caller, release, tmp_path: Path, settings
):
    settings.DOWNLOAD_LIBRARY_ROOTS = [tmp_path / "films"]
    sonarr.post("torrents/add", urls=release().magnet, savepath=str(tmp_path / "films" / "x"))
    assert sonarr.one(release().infohash)["save_path"] == str(tmp_path / "films" / "x")


@pytest.mark.parametrize("path", ["/etc", "../x", "/", ".incomplete/7", "x" * 300, "a/" * 600])
def test_a_save_path_elsewhere_is_refused_with_a_reason(sonarr: Caller, release, path: str):
    response = sonarr.post("torrents/add", urls=release().magnet, savepath=path)
    assert response.status_code == 409
    assert b"is not inside the download folder" in response.content
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"no boundary", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"&".join(b"f%d=1" % n for n in range(2000)), "application/x-www-form-urlencoded"),
        (b"x=1", "application/x-www-form-urlencoded; charset=utf-16"),
    ],
)
def test_a_body_that_cannot_be_read_is_never_a_500(sonarr: Caller, body: bytes, content_type: str):
    response = sonarr.http.post("/api/v2/torrents/createCategory", body, content_type=content_type)
    assert (response.status_code, response.content) == (400, b"Bad Request")


def test_a_present_job_without_a_client_is_listed_truthfully(sonarr: Caller):
    job = JobFactory(running=True)
    item = sonarr.one(job)
    assert (item["name"], item["state"], item["dlspeed"]) == (job.name, "downloading", job.speed)
    assert item["magnet_uri"].startswith(f"magnet:?xt=urn:btih:{job.infohash}")


@pytest.mark.django_db(transaction=True)
def test_two_clients_that_add_at_once_get_one_job_and_both_hear_ok(release):
    magnet = release().magnet
    ready = Barrier(4)

    def add(_: int) -> int:
        try:
            ready.wait()
            return len(adding.add([magnet], adding.AddOptions(category="tv")))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, range(4))) == [1] * 4
    assert Job.objects.count() == ClientTask.objects.count() == Category.objects.count() == 1
