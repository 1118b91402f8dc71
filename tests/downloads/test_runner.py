"""Downloads for real: the demo catalogue over HTTP, yt-dlp, the file system."""

import threading
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from anibridge.demo.server import build_app, in_thread
from anibridge.demo.videos import VideoLibrary
from anibridge.lib import media, ytdlp
from catalogue.models import Site
from downloads import files, runner, services, transitions
from downloads.models import Job, JobStatus
from tests.downloads.orders import order


def run(job: Job) -> Job:
    token = transitions.claim(job.pk, "worker@test")
    assert token is not None
    runner.execute(job.pk, token)
    return Job.objects.get(pk=job.pk)


def everything_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_an_episode_arrives_under_the_grabbed_name(demo_site: Site, settings):
    job, _ = services.enqueue(order(category="tv"))
    done = run(job)
    assert (done.status, done.progress, done.error_message) == (JobStatus.COMPLETED, 1.0, "")
    path = Path(done.result_path)
    assert path == settings.DOWNLOAD_DIR / "tv" / f"{job.name}.mp4"
    facts = media.verify_video(path, expected_seconds=18.9)
    assert (facts.height, facts.vcodec, facts.acodec) == (1080, "h264", "aac")
    file = done.files.get()
    assert (file.path, file.size_bytes) == (str(path), path.stat().st_size)
    assert done.total_bytes == path.stat().st_size
    assert everything_below(settings.DOWNLOAD_DIR) == [f"tv/{job.name}.mp4"]


def test_the_host_that_is_broken_gives_way_to_the_next(demo_site: Site):
    # The first host of this episode is a 404 (anibridge/demo/titles.py).
    done = run(services.enqueue(order())[0])
    assert done.status == JobStatus.COMPLETED
    assert done.host != "VOE"


@pytest.mark.parametrize(
    ("slug", "episode", "language"),
    [
        ("big-buck-bunny", 1, "German Dub"),  # a page without a video
        ("tears-of-steel", 1, "German Dub"),  # HTML that calls itself video/mp4
        ("caminandes", 2, "German Dub"),  # an endless redirect
        ("die-baeckerei-am-ende-der-strasse", 2, "German Dub"),  # 404, then HLS
    ],
)
def test_each_kind_of_broken_host_is_survived(
    demo_site: Site, slug: str, episode: int, language: str
):
    done = run(services.enqueue(order(slug=slug, episode=episode, language=language))[0])
    assert done.status == JobStatus.COMPLETED, done.error_message
    assert media.verify_video(Path(done.result_path)).video_streams == 1


def test_when_every_host_is_broken_the_error_names_each(demo_site: Site, settings, monkeypatch):
    # One of the five never answers: the patience for it is shortened, nothing else.
    monkeypatch.setattr(ytdlp, "EXTRACTION_SECONDS", 3.0)
    settings.DOWNLOAD_RETRIES = 0
    links = {"VOE", "Filemoon", "Streamtape", "Vidmoly", "Doodstream"}
    done = run(services.enqueue(order(slug="nebelwerk", episode=3))[0])
    assert done.status == JobStatus.FAILED
    for host in links:
        assert f"{host}: " in done.error_message
    assert everything_below(settings.DOWNLOAD_DIR) == []
    assert done.progress == 0, "pages that call themselves videos are no part of one"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"slug": "no-such-title"}, "nicht gefunden"),
        ({"episode": 99}, "99"),
        ({"language": "English Sub"}, "not offered in English Sub"),
        (
            {"slug": "kaeptn-gruenspan-die-moewen", "season": 2, "episode": 2},
            "nothing was uploaded",
        ),
    ],
)
def test_what_is_not_there_fails_with_words(demo_site: Site, settings, wrong: dict, told: str):
    done = run(services.enqueue(order(**wrong))[0])
    assert done.status == JobStatus.FAILED
    assert told in done.error_message
    assert everything_below(settings.DOWNLOAD_DIR) == []


def test_a_dead_site_is_tried_again_later_and_fails_in_the_end(demo_site: Site):
    Site.objects.update(base_url="http://127.0.0.1:9")
    job, _ = services.enqueue(order())
    for pause in runner.DEFER_SECONDS:
        waiting = run(job)
        assert waiting.status == JobStatus.QUEUED
        assert f"next try in {pause:.0f} s" in waiting.error_message
        assert transitions.claim(job.pk, "too early") is None
        Job.objects.update(not_before=timezone.now())
    done = run(job)
    assert done.status == JobStatus.FAILED
    assert "127.0.0.1:9" in done.error_message
    assert services.retry(job.pk).deferrals == 0


def test_a_site_that_comes_back_is_downloaded_from(demo_site: Site, demo_url: str):
    Site.objects.update(base_url="http://127.0.0.1:9")
    job, _ = services.enqueue(order())
    assert run(job).status == JobStatus.QUEUED
    Site.objects.update(base_url=demo_url)
    Job.objects.update(not_before=timezone.now())
    done = run(job)
    assert (done.status, done.error_message) == (JobStatus.COMPLETED, "")


def test_a_season_pack_is_one_file_per_episode_in_its_own_folder(demo_site: Site, settings):
    settings.PROVIDER_ORDER = ["Filemoon", "Streamtape"]
    pack = order(slug="caminandes", episode=None, name="Caminandes.S01.German.720p.WEB.H264-DEMO")
    done = run(services.enqueue(pack)[0])
    assert done.status == JobStatus.COMPLETED, done.error_message
    assert Path(done.result_path).name == "Caminandes.S01.German.720p.WEB.H264-DEMO"
    assert [Path(f.path).name for f in done.files.all()] == [
        f"Caminandes.S01E0{n}.German.720p.WEB.H264-DEMO.mp4" for n in (1, 2, 3)
    ]
    services.remove(done.pk, delete_files=True)
    assert not Path(done.result_path).exists()


def test_two_jobs_of_one_name_do_not_overwrite_each_other(demo_site: Site):
    first = run(services.enqueue(order(name="Same.Name"))[0])
    second = run(services.enqueue(order(slug="caminandes", name="Same.Name"))[0])
    assert Path(first.result_path).name == "Same.Name.mp4"
    assert Path(second.result_path).name == "Same.Name.2.mp4"


def test_a_hostile_name_stays_below_the_download_folder(demo_site: Site, settings):
    done = run(services.enqueue(order(name="../../../etc/passwd"))[0])
    assert done.status == JobStatus.COMPLETED
    assert Path(done.result_path).parent == settings.DOWNLOAD_DIR


def test_a_full_disk_is_told_and_tried_again(demo_site: Site):
    waiting = run(services.enqueue(order(size_bytes=10**17))[0])
    assert waiting.status == JobStatus.QUEUED
    assert "do not fit" in waiting.error_message


class Downloading:
    """A job that runs in a thread from a throttled demo site, stopped in the middle by the test."""

    def __init__(self, library: VideoLibrary, settings, rate: int = 20_000, **what) -> None:
        self.server = in_thread(build_app(library, rate=rate))
        self.settings = settings
        self.what = what

    def __enter__(self) -> "Downloading":
        url = self.server.__enter__()
        self.settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [url.removeprefix("http://")]
        Site.objects.update(base_url=url)
        self.job, _ = services.enqueue(order(**self.what))
        self.token = transitions.claim(self.job.pk, "worker@test")
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.thread.join(20)
        self.server.__exit__(None, None, None)

    def _run(self) -> None:
        try:
            runner.execute(self.job.pk, self.token)
        finally:
            connection.close()

    def until_host(self, host: str) -> None:
        ticks = threading.Event()
        while Job.objects.get(pk=self.job.pk).host != host and self.thread.is_alive():
            ticks.wait(0.05)

    def until_bytes_come(self) -> Job:
        ticks = threading.Event()
        for _ in range(200):
            job = Job.objects.get(pk=self.job.pk)
            if job.downloaded_bytes or not self.thread.is_alive():
                return job
            ticks.wait(0.1)
        raise AssertionError("no progress was written")

    def ended(self) -> Job:
        self.thread.join(20)
        assert not self.thread.is_alive(), "the download went on"
        return Job.objects.get(pk=self.job.pk)


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_download_stops_and_leaves_nothing(demo_site: Site, library, settings):
    with Downloading(library, settings) as running:
        job = running.until_bytes_come()
        assert 0 < job.progress < 1
        assert job.speed > 0
        services.cancel(job.pk)
        after = running.ended()
    assert after.status == JobStatus.CANCELLED
    assert everything_below(settings.DOWNLOAD_DIR) == []


@pytest.mark.django_db(transaction=True)
def test_a_parked_download_goes_on_from_its_bytes(demo_site: Site, library, settings):
    with Downloading(library, settings) as running:
        running.until_bytes_come()
        transitions.park("worker@test")
        after = running.ended()
        assert after.status == JobStatus.QUEUED
        partial = [p for p in files.partial_folder(after.pk).iterdir() if p.stat().st_size]
        assert partial, "what was fetched is kept"
    with in_thread(build_app(library, rate=0)) as url:
        settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [url.removeprefix("http://")]
        Site.objects.update(base_url=url)
        done = run(after)
    assert done.status == JobStatus.COMPLETED, done.error_message
    whole = library.path("generated-1080p-630s.mp4")
    assert Path(done.result_path).read_bytes() == whole.read_bytes()


@pytest.mark.django_db(transaction=True)
def test_deleting_a_running_download_leaves_nothing(demo_site: Site, library, settings):
    with Downloading(library, settings) as running:
        running.until_bytes_come()
        services.remove(running.job.pk, delete_files=False)
        after = running.ended()
    assert after.removed_at is not None
    assert everything_below(settings.DOWNLOAD_DIR) == []


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_download_stops_although_its_host_never_answers(
    demo_site: Site, library, settings
):
    with Downloading(library, settings, slug="caminandes", episode=3) as running:
        running.until_host("VOE")  # takes the connection and stays silent
        services.cancel(running.job.pk)
        after = running.ended()
    assert (after.status, after.host) == (JobStatus.CANCELLED, "VOE")
    assert everything_below(settings.DOWNLOAD_DIR) == []
