"""How jobs follow what their downloader says."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from downloads import delivery, dispatching, polling, services
from downloads.downloaders import remote
from downloads.models import Downloader, Errand, Job, JobStatus
from tests.downloads.dispatched import add, dead, forget_pauses, now
from tests.downloads.dispatched import box as box
from tests.downloads.dispatched import job as job
from tests.downloads.protocol import Double, announce

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_root")]
S = JobStatus


def says(service: Double, job: Job, **row: object) -> None:
    service.have[job.remote_id] = {"status": "downloading", "progress": 0.5, "size": 1000, **row}


def gone(box: Downloader) -> None:
    Downloader.objects.filter(pk=box.pk).update(base_url=dead())


def back(box: Downloader, service: Double) -> None:
    Downloader.objects.filter(pk=box.pk).update(base_url=service.url)


def statuses(job: Job) -> list[str]:
    return [event.new for event in job.events.all()]


def test_progress_size_speed_and_rest_are_the_downloaders(service: Double, box, job: Job):
    says(service, job, downloaded=400, speed=50, eta=12)
    assert polling.poll(box.pk)
    job = now(job)
    assert (job.progress, job.total_bytes, job.downloaded_bytes) == (0.5, 1000, 400)
    assert (job.speed, job.eta) == (50, 12)
    assert statuses(job) == ["queued", "downloading"], "progress is no change of status"


def test_a_service_that_gives_no_speed_is_measured(service: Double, box, job: Job):
    says(service, job, progress=0.1, size=10_000_000)
    polling.poll(box.pk)
    assert (now(job).speed, now(job).eta) == (0, None), "one look is no speed"
    Job.objects.filter(pk=job.pk).update(polled_at=timezone.now() - timedelta(seconds=10))
    says(service, job, progress=0.2, size=10_000_000)
    polling.poll(box.pk)
    job = now(job)
    assert job.speed == pytest.approx(100_000, rel=0.2)
    assert job.eta == pytest.approx(80, rel=0.2)


def test_a_standstill_shows_as_one(service: Double, box, job: Job):
    says(service, job, progress=0.1)
    polling.poll(box.pk)
    before = now(job).active_at
    polling.poll(box.pk)
    assert now(job).active_at == before
    assert now(job).speed == 0


def test_a_finished_download_knows_its_videos(
    service: Double, box, job: Job, downloads_root: Path, client, settings
):
    folder = downloads_root / "Show.S01"
    (folder / "extras").mkdir(parents=True)
    for name, data in {
        "e1.mkv": b"11",
        "extras/e2.mp4": b"222",
        "info.nfo": b"x",
        "not-chosen.mkv": b"y",
    }.items():
        (folder / name).write_bytes(data)
    files = [str(folder / name) for name in ("e1.mkv", "extras/e2.mp4", "info.nfo")]
    says(
        service, job, status="completed", progress=1, size=6, content_path=str(folder), files=files
    )
    polling.poll(box.pk)
    job = now(job)
    assert (job.status, job.progress, job.error_message) == (S.COMPLETED, 1.0, "")
    assert (job.result_path, job.total_bytes) == (str(folder), 6)
    assert [(file.path, file.size_bytes) for file in job.files.all()] == [
        (str(folder / "e1.mkv"), 2),
        (str(folder / "extras" / "e2.mp4"), 3),
    ]
    shown = client.get(
        f"/api/v2/torrents/info?hashes={job.infohash}",
        headers={"Authorization": f"Bearer {settings.API_KEY}"},
    ).json()[0]
    assert (shown["content_path"], shown["progress"]) == (str(folder), 1), "as Sonarr sees it"


def test_finished_while_nobody_looked_is_found_in_recovery(
    service: Double, box, job: Job, downloads_root: Path
):
    """The downloader is away for long; when it is back, the file is there already."""
    gone(box)
    for _ in range(polling.GRACE):
        assert not polling.poll(box.pk)
    assert now(job).status == S.DOWNLOADER_ERROR
    film = downloads_root / "Film.mkv"
    film.write_bytes(b"film")
    says(service, job, status="completed", progress=1, size=4, content_path=str(film))
    back(box, service)
    polling.poll(box.pk)
    job = now(job)
    assert (job.status, job.result_path, job.files.count()) == (S.COMPLETED, str(film), 1)
    assert statuses(job)[-2:] == ["downloader_error", "completed"]


def test_recovery_does_not_wait_for_other_jobs_of_the_downloader(service: Double, box, job: Job):
    other = add(2)
    dispatching.run()
    Job.objects.filter(pk=job.pk).update(status=S.DOWNLOADER_ERROR)
    for one in (job, now(other)):
        says(service, one)
    polling.poll(box.pk)
    assert {now(job).status, now(other).status} == {S.DOWNLOADING}


def test_one_missed_poll_condemns_nobody(service: Double, box, job: Job):
    says(service, job)
    gone(box)
    for _ in range(polling.GRACE - 1):
        polling.poll(box.pk)
    assert now(job).status == S.DOWNLOADING
    back(box, service)
    polling.poll(box.pk)
    assert Downloader.objects.get(pk=box.pk).failures == 0
    gone(box)
    polling.poll(box.pk)
    assert now(job).status == S.DOWNLOADING, "counted anew"


def test_after_the_grace_its_jobs_say_what_is_wrong(box, job: Job):
    gone(box)
    for _ in range(polling.GRACE):
        polling.poll(box.pk)
    assert now(job).status == S.DOWNLOADER_ERROR
    assert now(job).error_message.startswith("box: it does not answer: 127.0.0.1 cannot be reached")


def test_stopped_at_the_downloader_is_paused_here_and_goes_on_with_it(service: Double, box, job):
    says(service, job, status="paused")
    polling.poll(box.pk)
    assert now(job).status == S.PAUSED
    says(service, job, status="downloading")
    polling.poll(box.pk)
    assert now(job).status == S.DOWNLOADING


def test_finished_while_it_was_paused_here(service: Double, box, job: Job, downloads_root: Path):
    services.pause(job.pk)
    delivery.run()
    (downloads_root / "f.mkv").write_bytes(b"x")
    says(service, job, status="completed", progress=1, content_path=str(downloads_root / "f.mkv"))
    polling.poll(box.pk)
    assert now(job).status == S.COMPLETED


def test_an_error_there_is_a_failure_with_the_downloaders_name(service: Double, box, job: Job):
    says(service, job, status="error", reason="disk full")
    polling.poll(box.pk)
    assert (now(job).status, now(job).error_message) == (S.FAILED, "box: disk full")


def test_a_job_that_is_unknown_twice_is_handed_over_again(service: Double, box, job: Job):
    service.have.clear()
    polling.poll(box.pk)
    assert (now(job).status, now(job).misses) == (S.DOWNLOADING, 1), "it may be new there"
    polling.poll(box.pk)
    assert (now(job).status, now(job).downloader) == (S.QUEUED, None)
    dispatching.run()
    assert (now(job).status, len(service.batches())) == (S.DOWNLOADING, 2)


def test_a_job_that_is_lost_again_and_again_fails(service: Double, box, job: Job):
    for _ in range(2 * polling.MAX_DISPATCHES):
        service.have.clear()
        polling.poll(box.pk)
        dispatching.run()
    assert now(job).status == S.FAILED
    assert "no longer knows this download, for the 3. time" in now(job).error_message
    assert len(service.batches()) == polling.MAX_DISPATCHES


def test_unknown_once_and_then_known_again_counts_for_nothing(service: Double, box, job: Job):
    service.have.clear()
    polling.poll(box.pk)
    says(service, job)
    polling.poll(box.pk)
    service.have.clear()
    polling.poll(box.pk)
    assert (now(job).status, now(job).misses) == (S.DOWNLOADING, 1)


def test_a_paused_job_that_is_lost_waits_here_until_it_is_resumed(service: Double, box, job: Job):
    services.pause(job.pk)
    delivery.run()
    service.have.clear()
    for _ in range(2):
        polling.poll(box.pk)
    assert (now(job).status, now(job).downloader) == (S.PAUSED, None)
    services.resume(job.pk)
    dispatching.run()
    assert now(job).status == S.DOWNLOADING


@pytest.mark.parametrize("word", ["resuming", "", "HYPERACTIVE", "7"])
def test_a_word_that_nobody_knows_changes_nothing(service: Double, box, job: Job, word: str):
    says(service, job, status=word)
    polling.poll(box.pk)
    assert now(job).status == S.DOWNLOADING


def test_what_somebody_changed_in_between_is_not_overwritten(
    service: Double, box, job, monkeypatch
):
    """The answer is about the moment of the question."""
    says(service, job, status="downloading")
    real = remote.Remote.status

    def meanwhile(self, ids):
        reports = real(self, ids)
        services.pause(job.pk)
        delivery.run()
        Errand.objects.all().delete()  # delivered
        return reports

    monkeypatch.setattr(remote.Remote, "status", meanwhile)
    polling.poll(box.pk)
    assert now(job).status == S.PAUSED


def test_a_job_about_which_something_is_on_its_way_is_not_asked_about(service: Double, box, job):
    services.pause(job.pk)
    service.asked.clear()
    polling.poll(box.pk)
    assert service.asked == []


def test_our_own_jobs_are_not_polled(box):
    assert polling.due() == []


def test_only_downloaders_with_jobs_are_asked(box, job: Job, second: Double):
    announce(second, "idle")
    assert polling.due() == [box.pk]


def test_hashes_are_asked_for_in_pages(service: Double, box, monkeypatch):
    jobs = [add(n) for n in range(1, 121)]
    dispatching.run()
    service.asked.clear()
    pages = []
    real = Double.statuses
    monkeypatch.setattr(
        Double, "statuses", lambda self, hashes: (pages.append(len(hashes)), real(self, hashes))[1]
    )
    polling.poll(box.pk)
    assert pages == [50, 50, 20]
    assert len(jobs) == 120


def test_long_ids_make_shorter_pages():
    ids = [f"{n:0200}" for n in range(60)]
    pages = list(remote._pages(ids))
    assert [one for page in pages for one in page] == ids
    assert all(len(",".join(page)) <= remote.MAX_QUERY for page in pages)


def test_two_polls_at_once_are_one(box, job: Job):
    Downloader.objects.filter(pk=box.pk).update(polling_until=timezone.now() + timedelta(minutes=1))
    assert not polling.poll(box.pk)
    Downloader.objects.filter(pk=box.pk).update(polling_until=timezone.now() - timedelta(minutes=1))
    assert polling.poll(box.pk), "the one that died holds up nobody for ever"


def test_a_magnet_without_a_name_gets_the_downloaders(service: Double, box):
    job = services.enqueue(services_order("magnet:?xt=urn:btih:" + "e" * 40))[0]
    dispatching.run()
    says(service, now(job), name="Real.Name.2020")
    polling.poll(box.pk)
    assert now(job).name == "Real.Name.2020"


def services_order(text: str):
    from downloads.orders import order_for

    return order_for(text)


def test_numbers_that_are_none_do_no_harm(service: Double, box, job: Job):
    says(service, job, progress=float("inf"), size=-5, speed="fast", eta=True, downloaded=None)
    service.have[job.remote_id]["progress"] = 1e308
    polling.poll(box.pk)
    job = now(job)
    assert (job.progress, job.speed, job.eta) == (1.0, 0, None)


def test_a_deleted_job_is_not_brought_back(service: Double, box, job: Job):
    says(service, job, status="completed", progress=1)
    services.remove(job.pk, delete_files=False)
    forget_pauses()
    polling.poll(box.pk)
    assert Job.objects.get(pk=job.pk).status == S.CANCELLED


def test_what_lies_elsewhere_is_completed_with_a_note(service: Double, box, job: Job):
    says(service, job, status="completed", progress=1, size=7, content_path="/seedbox/Film.mkv")
    polling.poll(box.pk)
    job = now(job)
    assert (job.status, job.result_path, job.total_bytes) == (S.COMPLETED, "/seedbox/Film.mkv", 7)
    assert "AniBridge does not look into" in job.error_message
    assert job.files.count() == 0


@pytest.mark.parametrize("status", S.values)
def test_every_status_can_be_stored(job: Job, status: str):
    Job.objects.filter(pk=job.pk).update(status=status)
    assert now(job).status == status
