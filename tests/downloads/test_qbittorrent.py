"""A real qBittorrent fetches from a second real one: through the adapter, the dispatcher and the poller."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloads import delivery, dispatching, inside, polling, registry, services, torrents
from downloads.detection import DownloadType
from downloads.downloaders.base import LoginRefused, NotReached, Place, State
from downloads.downloaders.qbittorrent import QBittorrent
from downloads.models import Downloader, DownloaderKind, Job, JobStatus, JobTorrent, Subfolder
from downloads.orders import order_for, order_for_torrent
from qbshim import contents, rows
from qbshim.rows import Row
from tests.downloads.hybrid import hybrid_torrent
from tests.downloads.qbittorrents import (
    PASSWORD,
    QB,
    USER,
    Seeded,
    free_port,
    introduce,
    now,
    pause_and_resume,
    seed,
    until,
)

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("qbittorrent")]
S = JobStatus
SLOW = 16 * 1024
"""Bytes a second of the seeder: what is to be stopped must not be finished before."""


@pytest.fixture(scope="module")
def film(seeder: QB) -> Seeded:
    """One file of about a megabyte."""
    return seed(seeder, "Some.Film.2020.mkv", os.urandom(1_000_000))


@pytest.fixture(scope="module")
def show(seeder: QB) -> Seeded:
    """A folder of two episodes and a text."""
    files = {"S01E01.mkv": os.urandom(70_000), "S01E02.mkv": os.urandom(30_000), "a.nfo": b"words"}
    return seed(seeder, "Some.Show.S01", files)


@pytest.fixture
def leecher(fetching_qbittorrent: QB, seeder: QB) -> Iterator[QB]:
    """It starts each test with nothing, and at full speed."""
    seeder.api.transfer_set_upload_limit(limit=0)
    yield fetching_qbittorrent
    fetching_qbittorrent.clear()


@pytest.fixture
def box(db: None, leecher: QB, downloads_root: Path) -> Downloader:
    """The leecher as a downloader of AniBridge."""
    downloader = Downloader(name="qb", kind=DownloaderKind.QBITTORRENT, base_url=leecher.url)
    downloader.username, downloader.secret = USER, PASSWORD
    downloader.save()
    registry.set_types(downloader, (DownloadType.MAGNET, DownloadType.TORRENT))
    return downloader


def follow(box: Downloader, job: Job, status: str, *, seeder: QB, leecher: QB) -> Job:
    """Poll, with the two introduced to each other, until the job has a status."""

    def look() -> bool:
        introduce(seeder, leecher, now(job).remote_id or job.infohash)
        polling.poll(box.pk)
        return now(job).status == status

    until(look, f"the job is {status}")
    return now(job)


def test_a_magnet_is_fetched_from_the_other_one(box, seeder: QB, leecher: QB, film: Seeded):
    job = services.enqueue(order_for(film.magnet, category="films"))[0]
    dispatching.run()
    assert (now(job).status, now(job).remote_id) == (S.DOWNLOADING, film.infohash)
    row = leecher.torrent(film.infohash)
    assert (row.category, row.tags, row.save_path) == ("films", "anibridge", job.save_path)
    done = follow(box, job, S.COMPLETED, seeder=seeder, leecher=leecher)
    fetched = Path(done.result_path)
    assert fetched == Path(job.save_path) / film.path.name
    assert fetched.read_bytes() == film.path.read_bytes()
    assert [(file.path, file.size_bytes) for file in done.files.all()] == [
        (str(fetched), 1_000_000)
    ]
    assert (done.progress, done.total_bytes, done.error_message) == (1.0, 1_000_000, "")


def test_a_torrent_file_of_several_files_is_fetched(box, seeder: QB, leecher: QB, show: Seeded):
    job = services.enqueue(order_for_torrent(show.content))[0]
    assert job.infohash == show.infohash
    dispatching.run()
    done = follow(box, job, S.COMPLETED, seeder=seeder, leecher=leecher)
    assert done.result_path == f"{job.save_path}/Some.Show.S01"
    assert [Path(file.path).name for file in done.files.all()] == ["S01E01.mkv", "S01E02.mkv"]


def test_each_file_has_the_progress_and_the_priority_that_it_has_there(
    box, seeder: QB, leecher: QB, show: Seeded
):
    seeder.api.transfer_set_upload_limit(limit=SLOW)
    job = services.enqueue(order_for_torrent(show.content))[0]
    dispatching.run()
    leecher.api.torrents_file_priority(torrent_hash=show.infohash, file_ids=[2], priority=0)
    leecher.api.torrents_file_priority(torrent_hash=show.infohash, file_ids=[0], priority=7)

    def some() -> bool:
        introduce(seeder, leecher, show.infohash)
        polling.poll(box.pk)
        inside.shown(job.pk)  # somebody looks
        return 0 < now(job).progress < 1

    until(some, "a part of it is there")
    # In which order its pieces come is chance.
    parts = [_progress(job, name) for name in ("S01E01.mkv", "S01E02.mkv")]
    assert max(parts) > 0
    assert min(parts) < 1
    seeder.api.transfer_set_upload_limit(limit=0)
    follow(box, job, S.COMPLETED, seeder=seeder, leecher=leecher)
    rows = {
        row["name"]: (row["size"], row["priority"], row["progress"] == 1)
        for row in contents.of(row_of(job))
    }
    assert rows["Some.Show.S01/S01E01.mkv"] == (70_000, 7, True)
    assert rows["Some.Show.S01/S01E02.mkv"] == (30_000, 1, True)
    assert rows["Some.Show.S01/a.nfo"][:2] == (5, 0)


def _progress(job: Job, name: str) -> float:
    told = {row["name"].rpartition("/")[2]: row["progress"] for row in contents.of(row_of(job))}
    return float(told[name])


def row_of(job: Job) -> Row:
    [found] = rows.fetch("j.id = %s", [job.pk])
    return found


def test_a_limit_that_is_set_while_it_runs_reaches_it(box, seeder: QB, leecher: QB, film: Seeded):
    seeder.api.transfer_set_upload_limit(limit=SLOW)
    job = services.enqueue(order_for(film.magnet))[0]
    dispatching.run()
    there = lambda: leecher.torrent(film.infohash).dl_limit  # noqa: E731
    for limit, kept in (
        (40_000, lambda: there() == 40_000),
        (
            2**40,
            lambda: there() <= 0 or there() > 10**9,
        ),  # the largest that it can count to is none
        (50_000, lambda: there() == 50_000),
        (None, lambda: there() <= 0),
    ):
        services.set_rate_limit([job.pk], limit)
        assert delivery.run() == 1
        until(kept, f"it keeps to {limit}")
    assert now(job).limit_note == ""


def test_the_layout_and_the_limit_that_a_client_wished_reach_it(
    box, seeder: QB, leecher: QB, film: Seeded
):
    job, _ = services.enqueue(order_for(film.magnet))
    Job.objects.filter(pk=job.pk).update(subfolder=Subfolder.ALWAYS, rate_limit=50_000_000)
    dispatching.run()
    row = leecher.torrent(film.infohash)
    assert row is not None
    assert row["dl_limit"] == 50_000_000
    done = follow(box, job, S.COMPLETED, seeder=seeder, leecher=leecher)
    [file] = done.files.all()
    assert Path(file.path).parent.name == "Some.Film.2020"


def test_pause_and_resume_reach_it(box, seeder: QB, leecher: QB, film: Seeded):
    seeder.api.transfer_set_upload_limit(limit=SLOW)
    job = services.enqueue(order_for_torrent(film.content))[0]
    dispatching.run()
    pause_and_resume(box, job, leecher)
    follow(box, job, S.DOWNLOADING, seeder=seeder, leecher=leecher)


def test_stopped_at_qbittorrent_shows_here(box, seeder: QB, leecher: QB, film: Seeded):
    job = services.enqueue(order_for_torrent(film.content))[0]
    dispatching.run()
    leecher.api.torrents_pause(torrent_hashes=film.infohash)
    until(lambda: leecher.torrent(film.infohash).state == "pausedDL", "it is paused there")
    polling.poll(box.pk)
    assert now(job).status == S.PAUSED


def test_progress_speed_and_size_are_true_while_it_runs(box, seeder: QB, leecher: QB, film):
    seeder.api.transfer_set_upload_limit(limit=SLOW)
    job = services.enqueue(order_for_torrent(film.content))[0]
    dispatching.run()

    def moves() -> bool:
        introduce(seeder, leecher, film.infohash)
        polling.poll(box.pk)
        return bool(now(job).speed and now(job).downloaded_bytes)

    until(moves, "bytes come")
    seen = now(job)
    assert 0 < seen.progress < 1
    assert seen.total_bytes == 1_000_000
    assert seen.downloaded_bytes <= seen.total_bytes


def test_a_cancelled_download_goes_with_what_it_has_fetched(box, seeder, leecher: QB, film: Seeded):
    seeder.api.transfer_set_upload_limit(limit=SLOW)
    job = services.enqueue(order_for_torrent(film.content))[0]
    dispatching.run()
    partial = Path(job.save_path) / film.path.name

    def begun() -> bool:
        introduce(seeder, leecher, film.infohash)
        return any(path.exists() for path in (partial, partial.with_name(partial.name + ".!qB")))

    until(begun, "something lies on the disk")
    services.cancel(job.pk)
    delivery.run()
    until(lambda: not leecher.hashes(), "it is gone there")
    until(lambda: not any(Path(job.save_path).glob("Some.Film*")), "its data is gone")


@pytest.mark.parametrize("with_files", [True, False])
def test_a_finished_one_is_forgotten_with_or_without_its_file(
    box, seeder: QB, leecher: QB, show: Seeded, with_files: bool
):
    job = services.enqueue(order_for_torrent(show.content))[0]
    dispatching.run()
    done = follow(box, job, S.COMPLETED, seeder=seeder, leecher=leecher)
    services.remove(job.pk, delete_files=with_files)
    delivery.run()
    until(lambda: not leecher.hashes(), "it is gone there")
    nfo = Path(done.result_path) / "a.nfo"
    until(lambda: nfo.exists() is not with_files, "the files are as asked")


def test_a_torrent_that_was_there_before_is_followed_but_never_deleted(
    box, seeder: QB, leecher: QB, film: Seeded
):
    leecher.api.torrents_add(torrent_files=film.content, save_path=str(leecher.downloads))
    until(lambda: leecher.torrent(film.infohash), "somebody else's is there")
    job = services.enqueue(order_for(film.magnet))[0]
    dispatching.run()
    assert now(job).status == S.DOWNLOADING
    services.cancel(job.pk)
    delivery.run()
    assert leecher.hashes() == {film.infohash}


def test_finished_and_stopped_there_is_finished_here(box, seeder: QB, leecher: QB, show: Seeded):
    job = services.enqueue(order_for_torrent(show.content))[0]
    dispatching.run()

    def whole() -> bool:
        introduce(seeder, leecher, show.infohash)
        return leecher.torrent(show.infohash).progress == 1

    until(whole, "it has all of it")
    leecher.api.torrents_pause(torrent_hashes=show.infohash)
    until(lambda: leecher.torrent(show.infohash).state == "pausedUP", "it is stopped there")
    polling.poll(box.pk)
    assert now(job).status == S.COMPLETED


def test_a_lost_torrent_is_handed_over_again(box, leecher: QB, film: Seeded):
    job = services.enqueue(order_for(film.magnet))[0]
    dispatching.run()
    leecher.clear()
    for _ in range(polling.MISSES):
        polling.poll(box.pk)
    assert now(job).status == S.QUEUED
    dispatching.run()
    assert leecher.hashes() == {film.infohash}


def test_a_hybrid_torrent_is_followed_under_the_hash_that_it_has_there(
    box, leecher: QB, tmp_path: Path
):
    """qBittorrent lists it under its v2 hash; we know it by the v1 hash."""
    content = hybrid_torrent("Hybrid.mkv", os.urandom(10_000))
    job = services.enqueue(order_for_torrent(content))[0]
    torrent = JobTorrent.objects.get(job=job)
    dispatching.run()
    assert (now(job).status, now(job).remote_id) == (S.DOWNLOADING, torrent.v2[:40])
    assert leecher.hashes() == {torrent.v2[:40]}
    with_v1 = QBittorrent(Place("qb", leecher.url, username=USER, secret=PASSWORD))
    assert with_v1.status([torrent.v1])[torrent.v1].state is not State.NOT_FOUND
    with_v1.close()
    services.cancel(job.pk)
    delivery.run()
    until(lambda: not leecher.hashes(), "it is gone there")


def test_a_magnet_of_a_hybrid_torrent_is_followed_when_its_hash_changes(
    box, seeder: QB, leecher: QB
):
    """When the metadata arrives, qBittorrent lists the torrent under another hash than it was added with."""
    data = os.urandom(12_000)
    content = hybrid_torrent("Changing.mkv", data)
    (seeder.downloads / "Changing.mkv").write_bytes(data)
    torrent = torrents.read(content)
    seeder.api.torrents_add(torrent_files=content, save_path=str(seeder.downloads))
    until(lambda: (row := seeder.torrent(torrent.v2[:40])) and row.progress == 1, "it is seeded")
    job = services.enqueue(order_for(f"magnet:?xt=urn:btih:{torrent.v1}&dn=Changing"))[0]
    dispatching.run()
    assert now(job).remote_id == torrent.v1
    leecher.api.torrents_add_peers(torrent_hashes=torrent.v1, peers=f"127.0.0.1:{seeder.port}")
    until(lambda: leecher.hashes() == {torrent.v2[:40]}, "the hash has changed")
    done = follow(box, job, S.COMPLETED, seeder=seeder, leecher=leecher)
    assert Path(done.result_path).read_bytes() == data
    services.remove(job.pk, delete_files=True)
    delivery.run()
    until(lambda: not leecher.hashes(), "it is gone there")


def test_rubbish_is_rejected_with_words(leecher: QB):
    talk = QBittorrent(Place("qb", leecher.url, username=USER, secret=PASSWORD))
    from downloads.downloaders.base import Item

    answers = talk.submit([Item("k", "", "/tmp", ids=("f" * 40,), torrent=b"d4:infod4:name1:xee")])
    talk.close()
    assert answers["k"].refusal


def test_its_health_is_a_line_about_its_version(leecher: QB):
    talk = QBittorrent(Place("qb", leecher.url, username=USER, secret=PASSWORD))
    assert talk.health().startswith("qBittorrent v4.5")
    talk.close()


def test_a_wrong_password_is_reported(leecher: QB):
    talk = QBittorrent(Place("qb", leecher.url, username=USER, secret="wrong"))
    with pytest.raises(LoginRefused, match="does not accept the user name and password"):
        talk.health()
    talk.close()


def test_a_session_that_ended_is_renewed_once(leecher: QB):
    place = Place("qb", leecher.url, username=USER, secret=PASSWORD)
    talk = QBittorrent(place)
    talk.health()
    talk._client._http_session.cookies.set("SID", "stale", domain="127.0.0.1")
    assert talk.health()
    talk.close()
    again = QBittorrent(place)  # and the next conversation goes on with the last one's session
    assert again.status(["a" * 40])["a" * 40].state is State.NOT_FOUND
    again.close()


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("stoppedUP", State.COMPLETED),
        ("pausedUP", State.COMPLETED),
        ("stoppedDL", State.PAUSED),
        ("pausedDL", State.PAUSED),
        ("moving", State.DOWNLOADING),
        ("checkingUP", State.CHECKING),
        ("missingFiles", State.ERROR),
        ("newWordOf6", State.UNKNOWN),
    ],
)
def test_the_words_of_old_and_new_versions(word: str, state: State):
    talk = QBittorrent(Place("qb", "http://127.0.0.1:9"))
    talk._files = lambda remote_id: ()
    assert talk._report({"state": word, "hash": "a" * 40, "progress": 1}).state is state
    talk.close()


def test_nobody_there_is_not_reached():
    talk = QBittorrent(Place("qb", f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(NotReached, match="cannot be reached"):
        talk.health()
    talk.close()


def test_its_test_in_the_admin_says_what_is_wrong(box, leecher: QB):
    assert registry.test(box)[0]
    box.secret = "wrong"
    ok, text = registry.test(box)
    assert (ok, text) == (False, "it does not accept the user name and password")
    assert box.is_backing_off(Downloader.objects.get(pk=box.pk).last_error_at)
