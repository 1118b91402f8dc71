"""What the engines make of a claim: files in place, in a library or to be imported; packs; room; hosts; deliveries."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.utils import timezone

from anibridge.demo.model import DemoCatalogue, Fault, Host
from anibridge.demo.server import build_app, in_thread
from anibridge.demo.titles import catalogue
from anibridge.demo.videos import VideoLibrary
from anibridge.lib import media
from catalogue.models import Site
from downloads import (
    deliveries,
    files,
    finishing,
    limits,
    queue,
    runner,
    services,
    transitions,
)
from downloads.engines import base
from downloads.engines.base import Outcome, Run
from downloads.models import Job, JobFile, JobStatus
from tests.anibridge.lib import servers
from tests.anibridge.lib.conftest import videos as videos
from tests.downloads.carrying import carry, link_job
from tests.downloads.orders import order

S = JobStatus
PACK = "Caminandes.S01.German.720p.WEB.H264-DEMO"


@pytest.fixture(autouse=True)
def little_patience(settings) -> None:
    """One of the demo's hosts never answers."""
    settings.DOWNLOAD_STALL_SECONDS = 2.0


def due_again() -> None:
    Job.objects.update(not_before=timezone.now())


def broken(slug: str, episode: int) -> DemoCatalogue:
    """The demo's catalogue in which no host has one episode."""
    titles = dict(catalogue().titles)
    title = titles[slug]
    first = title.seasons[0]
    gone = tuple(
        replace(one, hosts=tuple(Host(host.name, Fault.MISSING) for host in one.hosts))
        if one.number == episode
        else replace(one, hosts=(Host("Filemoon"),))
        for one in first.episodes
    )
    titles[slug] = replace(title, seasons=(replace(first, episodes=gone),))
    return DemoCatalogue(tuple(titles.values()))


@pytest.fixture
def site_with_a_gap(demo_site: Site, library: VideoLibrary, settings) -> Iterator[Site]:
    """The demo's site, at which the second Caminandes cannot be had."""
    with in_thread(build_app(library, rate=0, catalogue=broken("caminandes", 2))) as url:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS += [url.removeprefix("http://")]
        Site.objects.update(base_url=url)
        yield demo_site


def test_a_season_with_a_gap_fails_with_a_list_and_keeps_what_it_has(site_with_a_gap, demo_url):
    job, _ = services.enqueue(order(slug="caminandes", episode=None, name=PACK))
    failed = carry(job)
    assert failed.status == S.FAILED
    assert failed.error_message.startswith("not the whole season: E02: no host gave the file. ")
    here = failed.files.exclude(path="")
    assert [file.episode for file in here] == [1, 3]
    kept = {file.path: Path(file.path).stat().st_mtime_ns for file in here}

    Site.objects.update(base_url=demo_url)
    services.retry(job.pk)
    done = carry(job)
    assert done.status == S.COMPLETED, done.error_message
    assert [file.episode for file in done.files.all()] == [1, 2, 3]
    for path, written in kept.items():
        assert Path(path).stat().st_mtime_ns == written, "it was fetched again"
    assert done.total_bytes == sum(file.size_bytes for file in done.files.all())


def test_the_files_of_a_season_are_written_down_before_they_are_there(site_with_a_gap):
    job, _ = services.enqueue(order(slug="caminandes", episode=None, name=PACK))
    Run(job, 1).plan([1, 2])
    job.files.filter(episode=1).update(path="/x/E01.mkv")
    Run(job, 1).plan([2, 3])
    assert [(file.episode, file.path) for file in job.files.all()] == [
        (1, "/x/E01.mkv"),
        (2, ""),
        (3, ""),
    ]
    single, _ = services.enqueue(order(slug="caminandes", episode=1, name="x"))
    Run(single, 1).plan([1])
    assert not single.files.exists()


def test_an_episode_that_was_lost_since_is_fetched_again(site_with_a_gap, demo_url):
    job, _ = services.enqueue(order(slug="caminandes", episode=None, name=PACK))
    lost = Path(carry(job).files.get(episode=3).path)
    lost.unlink()
    Site.objects.update(base_url=demo_url)
    services.retry(job.pk)
    assert carry(job).status == S.COMPLETED
    assert lost.exists()


def test_a_pack_whose_name_has_no_season_still_names_each_episode(demo_site):
    job, _ = services.enqueue(order(slug="caminandes", episode=None, name="Caminandes Complete"))
    done = carry(job)
    assert [Path(file.path).name for file in done.files.all()] == [
        f"Caminandes Complete.S01E0{number}.mp4" for number in (1, 2, 3)
    ]


def test_each_failed_host_is_recorded(demo_site):
    job = carry(services.enqueue(order())[0])
    assert job.status == S.COMPLETED
    notes = [event.reason for event in job.events.filter(old=S.DOWNLOADING, new=S.DOWNLOADING)]
    assert len(notes) == 1
    assert notes[0].startswith("VOE: ")


def test_the_preferred_host_goes_first(demo_site):
    job = carry(services.enqueue(order(provider="Streamtape"))[0])
    assert (job.status, job.host) == (S.COMPLETED, "Streamtape")
    assert not job.events.filter(old=S.DOWNLOADING, new=S.DOWNLOADING).exists()


def busy_with(*hosts: str) -> None:
    for number, host in enumerate(hosts):
        job, _ = services.enqueue(order(episode=50 + number))
        token = transitions.claim(job.pk, "another")
        assert token
        limits.take_host(job.pk, token, host)


def test_a_host_that_is_asked_enough_is_left_for_the_next(demo_site, settings):
    settings.DOWNLOAD_PER_HOST = 1
    busy_with("VOE", "Filemoon")
    job = carry(services.enqueue(order())[0])
    assert (job.status, job.host) == (S.COMPLETED, "Streamtape")


def test_when_all_hosts_are_asked_enough_the_job_waits_and_it_does_not_count(demo_site, settings):
    settings.DOWNLOAD_PER_HOST = 1
    busy_with("VOE", "Filemoon", "Streamtape")
    settings.DOWNLOAD_CONCURRENCY = 9
    job, _ = services.enqueue(order())
    waiting = carry(job)
    assert (waiting.status, waiting.deferrals, waiting.host) == (S.QUEUED, 0, "VOE")
    assert "run from VOE already" in waiting.error_message
    due_again()
    assert queue.claim_next("worker") is None, "it is not even begun while VOE has no room"
    Job.objects.filter(host="VOE").exclude(pk=job.pk).update(heartbeat_at=None)
    assert queue.claim_next("worker") is not None


@pytest.fixture
def tv(settings, tmp_path: Path) -> Path:
    folder = tmp_path / "tv"
    settings.DOWNLOAD_LIBRARY_ROOTS = [folder, tmp_path / "films"]
    return folder


def test_an_episode_goes_right_into_a_library(demo_site, tv):
    naming = {
        "kind": "episode",
        "title": "Sintel: The Series",
        "root": str(tv),
        "episode_title": "A",
    }
    done = carry(services.enqueue(order(layout="library", naming=naming))[0])
    assert done.status == S.COMPLETED, done.error_message
    expected = tv / "Sintel - The Series" / "Season 01" / "Sintel - The Series - S01E01 - A.mp4"
    assert done.result_path == str(expected)
    assert expected.exists()
    services.remove(done.pk, delete_files=True)
    assert not expected.parent.exists()


def test_a_season_goes_right_into_a_library(demo_site, tv):
    naming = {"kind": "episode", "title": "Caminandes", "root": str(tv)}
    wanted = order(slug="caminandes", episode=None, name=PACK, layout="library", naming=naming)
    done = carry(services.enqueue(wanted)[0])
    assert done.result_path == str(tv / "Caminandes" / "Season 01")
    assert [Path(file.path).name for file in done.files.all()] == [
        f"Caminandes - S01E0{number}.mp4" for number in (1, 2, 3)
    ]


def test_a_film_that_is_there_already_is_not_overwritten(demo_site, tv):
    films = tv.parent / "films"
    there = films / "Sintel (2010)" / "Sintel (2010).mp4"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"mine")
    naming = {"kind": "movie", "title": "Sintel", "year": 2010, "root": str(films)}
    done = carry(services.enqueue(order(layout="library", naming=naming))[0])
    assert done.result_path == str(there.with_name("Sintel (2010) (2).mp4"))
    assert there.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("root", "told"),
    [("/etc", "none of DOWNLOAD_LIBRARY_ROOTS"), ("", "is not said"), ("{tv}/../x", "none of")],
)
def test_a_library_that_nobody_configured_is_refused(demo_site, tv, root, told):
    naming = {"kind": "movie", "title": "Sintel", "root": root.format(tv=tv)}
    done = carry(services.enqueue(order(layout="library", naming=naming))[0])
    assert done.status == S.FAILED
    assert told in done.error_message


def test_a_file_of_somebody_else_under_the_release_name_is_kept(demo_site, settings):
    wanted = order()
    mine = settings.DOWNLOAD_DIR / f"{wanted.name}.mp4"
    mine.write_bytes(b"mine")
    done = carry(services.enqueue(wanted)[0])
    assert mine.read_bytes() == b"mine"
    assert done.result_path == str(mine.with_name(f"{wanted.name}.2.mp4"))


def test_a_worker_that_died_after_naming_its_file_leaves_nothing_to_fetch(demo_site, settings):
    job, _ = services.enqueue(order())
    placed = settings.DOWNLOAD_DIR / f"{job.name}.mp4"
    placed.write_bytes(b"whole")
    JobFile.objects.create(job=job, season=1, episode=1, path=str(placed), size_bytes=5)
    done = carry(job)
    assert (done.status, done.result_path) == (S.COMPLETED, str(placed))
    assert placed.read_bytes() == b"whole"


def test_a_job_moved_while_it_runs_arrives_at_its_new_place(demo_site, settings, monkeypatch):
    job, _ = services.enqueue(order())
    new = settings.DOWNLOAD_DIR / "moved"
    real = media.verify_video

    def verify(path: Path, **rest: object) -> media.MediaFacts:
        Job.objects.filter(pk=job.pk).update(save_path=str(new), name="Renamed")
        return real(path, **rest)

    monkeypatch.setattr(media, "verify_video", verify)
    done = carry(job)
    assert (done.result_path, done.name) == (str(new / "Renamed.mp4"), "Renamed")


@pytest.fixture
def video_server(videos, settings) -> Iterator[servers.Server]:
    with servers.running() as server:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [server.place]
        yield server


@pytest.fixture
def here(db, settings, tmp_path: Path) -> Path:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    return settings.DOWNLOAD_DIR


@pytest.mark.parametrize("kind", ["hls", "dash"])
def test_a_link_to_a_manifest_is_fetched_part_by_part(here, video_server, videos, kind):
    if kind == "hls":
        for number, segment in enumerate(videos.hls):
            video_server.serve(f"/s{number}.ts", segment, "video/mp2t")
        url = video_server.serve("/Film.m3u8", videos.playlist.encode(), "audio/mpegurl")
    else:
        for file in videos.dash.iterdir():
            video_server.serve(f"/{file.name}", file.read_bytes(), "video/mp4")
        manifest = (videos.dash / "m.mpd").read_bytes()
        url = video_server.serve("/m.mpd", manifest, "application/dash+xml")
    done = carry(link_job(url, name="Film"))
    assert done.status == S.COMPLETED, done.error_message
    assert done.result_path == str(here / "Film.mp4")
    facts = media.verify_video(Path(done.result_path), expected_seconds=videos.seconds)
    assert (facts.video_streams, facts.audio_streams) == (1, 1)


def test_a_link_goes_right_into_a_library(here, video_server, videos, tv):
    url = video_server.ranged("/x.mp4", videos.mp4.read_bytes())
    naming = {"kind": "movie", "title": "Film", "year": 2001, "root": str(tv)}
    done = carry(link_job(url, layout="library", naming=naming))
    assert done.result_path == str(tv / "Film (2001)" / "Film (2001).mp4")


def test_a_folder_that_cannot_be_written_is_told(demo_site, settings):
    (settings.DOWNLOAD_DIR / "tv").write_text("a file where the folder should be")
    failed = carry(services.enqueue(order(category="tv"))[0])
    assert failed.status == S.FAILED
    assert "is no folder" in failed.error_message


def test_a_job_whose_file_another_process_still_writes_waits(demo_site, monkeypatch):
    monkeypatch.setattr(runner, "PATIENCE", 0.3)
    job, _ = services.enqueue(order())
    with files.own_partial(job.pk):
        waiting = carry(job)
    assert (waiting.status, waiting.deferrals) == (S.QUEUED, 0)
    assert "still writing" in waiting.error_message
    due_again()
    assert carry(job).status == S.COMPLETED


@pytest.mark.django_db(transaction=True)
def test_long_work_without_steps_keeps_the_job_alive(here, monkeypatch):
    monkeypatch.setattr(base, "SILENT_FOR", 0.05)
    monkeypatch.setattr(base, "BEAT_SECONDS", 0.05)
    job = link_job("http://a.test/x.mp4")
    run = Run(job, transitions.claim(job.pk, "worker"))
    before = Job.objects.get(pk=job.pk).heartbeat_at
    with run.kept_alive():
        for _ in range(600):
            if Job.objects.get(pk=job.pk).heartbeat_at > before:
                break
    assert Job.objects.get(pk=job.pk).heartbeat_at > before


def test_a_delivery_of_another_app_carries_its_jobs(demo_site, settings):
    def write_link(run: Run) -> Outcome:
        text = files.partial_folder(run.job.pk) / "link"
        text.write_text("http://stream.test/")
        return Outcome([run.place(text, episode=run.job.episode, suffix=".strm")])

    job, _ = services.enqueue(order())
    Job.objects.update(magnet_metadata={"mode": "postcard"})
    failed = carry(job)
    assert (failed.status, failed.error_message) == (
        S.FAILED,
        "this installation has no way «postcard»",
    )
    deliveries.register("postcard", write_link)
    try:
        services.retry(job.pk)
        done = carry(job)
    finally:
        deliveries.unregister("postcard")
    assert done.result_path == str(settings.DOWNLOAD_DIR / f"{job.name}.strm")
    assert Path(done.result_path).read_text() == "http://stream.test/"


def test_a_file_placed_for_a_job_that_was_deleted_meanwhile_goes_again(
    demo_site, settings, monkeypatch
):
    job, _ = services.enqueue(order())
    real = finishing.finish

    def finish(partial: Path, final: Path, *, replace: bool) -> Path:
        services.remove(job.pk, delete_files=True)
        return real(partial, final, replace=replace)

    monkeypatch.setattr(finishing, "finish", finish)
    monkeypatch.setattr(files, "drop_partial", lambda job_id: None)
    carry(job)
    assert not list(settings.DOWNLOAD_DIR.glob("*.mp4"))


def test_a_type_that_nothing_here_fetches_fails_with_words(here):
    job = link_job("http://a.test/x", download_type="magnet")
    assert "nothing here can fetch" in carry(job).error_message


def test_what_came_is_not_counted_against_a_job_that_moves_on(
    here, video_server, videos, monkeypatch
):
    monkeypatch.setattr(runner, "ENOUGH_TO_COUNT", 1000)
    job = link_job(video_server.url("/x.mp4"), deferrals=3)

    def breaks(handler: servers.Handler) -> None:
        handler.close_connection = True
        handler.answer(200, {"Content-Length": "900000"}, videos.mp4.read_bytes()[:50_000])

    video_server.routes["/x.mp4"] = breaks
    waiting = carry(job)
    assert (waiting.status, waiting.deferrals) == (S.QUEUED, 1)


@pytest.mark.parametrize(("episode", "host"), [(1, "Vidoza"), (2, "LoadX")])
def test_hls_and_dash_of_a_host_become_one_file(demo_site, episode, host):
    bakery = "die-baeckerei-am-ende-der-strasse"
    wanted = order(slug=bakery, season=2, episode=episode, language="German Sub")
    done = carry(services.enqueue(wanted)[0])
    assert (done.status, done.host) == (S.COMPLETED, host), done.error_message
    facts = media.verify_video(Path(done.result_path))
    assert (facts.height, facts.video_streams, facts.audio_streams) == (720, 1, 1)


def test_an_episode_larger_than_anything_allowed_is_refused(demo_site, settings):
    settings.DOWNLOAD_MAX_BYTES = 50_000
    failed = carry(services.enqueue(order())[0])
    assert failed.status == S.FAILED
    assert "larger than 50000 bytes" in failed.error_message


def test_what_was_in_the_way_is_forgotten_when_the_job_goes_on(demo_site):
    job, _ = services.enqueue(order(size_bytes=10**17))
    assert carry(job).error_message
    assert transitions.claim(job.pk, "worker")
    assert Job.objects.get(pk=job.pk).error_message == ""
