from pathlib import Path

import pytest

from downloads import files, services, transitions
from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import Job, JobFile, JobStatus
from tests.downloads.orders import order


@pytest.fixture(autouse=True)
def downloads_here(settings, tmp_path: Path) -> Path:
    settings.DOWNLOAD_DIR = tmp_path / "downloads"
    settings.DOWNLOAD_DIR.mkdir()
    return settings.DOWNLOAD_DIR


def completed(folder: Path, **rest) -> Job:
    job, _ = services.enqueue(order(**rest))
    token = transitions.claim(job.pk, "worker")
    path = folder / job.category / f"{job.name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")
    JobFile.objects.create(job=job, season=1, episode=1, path=str(path), size_bytes=5)
    return transitions.move(
        job.pk, JobStatus.COMPLETED, token=token, result_path=str(path), progress=1.0
    )


@pytest.mark.django_db
def test_adding_twice_is_one_job():
    first, created = services.enqueue(order())
    second, again = services.enqueue(order(name="Another.Name.S01E01-X"))
    assert (created, again) == (True, False)
    assert (first.pk, second.name) == (second.pk, first.name)


@pytest.mark.django_db
def test_a_job_remembers_site_and_magnet_metadata():
    job, _ = services.enqueue(order(category="tv"))
    assert job.source_site == "demo"
    assert job.magnet_metadata == {
        "site": "demo",
        "slug": "sintel",
        "season": 1,
        "episode": 1,
        "language": "German Dub",
        "mode": "download",
    }
    assert job.save_path.endswith("/downloads/tv")


@pytest.mark.django_db
def test_adding_a_failed_release_again_starts_it_over():
    job, _ = services.enqueue(order())
    token = transitions.claim(job.pk, "worker")
    transitions.move(job.pk, JobStatus.FAILED, token=token, error_message="gone", progress=0.4)
    again, created = services.enqueue(order())
    assert not created
    assert (again.pk, again.status, again.error_message) == (job.pk, JobStatus.QUEUED, "")
    assert Job.objects.get(pk=job.pk).retry_count == 1


@pytest.mark.django_db
def test_a_finished_job_is_fetched_again_only_when_its_file_is_gone(downloads_here: Path):
    job = completed(downloads_here)
    assert services.enqueue(order())[0].status == JobStatus.COMPLETED
    Path(job.result_path).unlink()
    assert services.enqueue(order())[0].status == JobStatus.QUEUED


@pytest.mark.django_db
def test_a_paused_order_waits_until_it_is_resumed():
    job, _ = services.enqueue(order(paused=True))
    assert transitions.claim(job.pk, "worker") is None
    services.resume(job.pk)
    assert transitions.claim(job.pk, "worker") is not None


@pytest.mark.django_db
def test_retry_refuses_what_is_under_way_or_in_place(downloads_here: Path):
    waiting, _ = services.enqueue(order(episode=2))
    with pytest.raises(IllegalTransition, match="queued already"):
        services.retry(waiting.pk)
    done = completed(downloads_here)
    with pytest.raises(IllegalTransition, match="its file is there"):
        services.retry(done.pk)
    told = services.retry_many([waiting.pk, done.pk])
    assert (told.jobs, set(told.refusals)) == ({}, {waiting.pk, done.pk})


@pytest.mark.django_db
@pytest.mark.parametrize("with_files", [True, False])
def test_removing_keeps_the_file_unless_asked(downloads_here: Path, with_files: bool):
    job = completed(downloads_here, category="tv")
    services.remove(job.pk, delete_files=with_files)
    assert Path(job.result_path).exists() is not with_files
    assert (downloads_here / "tv").is_dir(), "Sonarr's health check wants the category's folder"


@pytest.mark.django_db
def test_removing_never_deletes_outside_the_download_folder(downloads_here: Path, tmp_path: Path):
    job = completed(downloads_here)
    precious = tmp_path / "precious.mp4"
    precious.write_bytes(b"mine")
    JobFile.objects.filter(job=job).update(path=str(downloads_here / ".." / "precious.mp4"))
    services.remove(job.pk, delete_files=True)
    assert precious.exists()


@pytest.mark.django_db
def test_a_download_is_found_by_id_and_by_hash_in_any_case():
    job, _ = services.enqueue(order())
    assert services.get(job.infohash.upper()).pk == job.pk
    assert services.get(str(job.pk)).pk == job.pk
    with pytest.raises(UnknownJob):
        services.get("0" * 40)
    with pytest.raises(UnknownJob):
        services.get("9" * 30)


@pytest.mark.django_db
def test_the_sweeper_nudges_only_as_many_as_there_are_free_slots(settings):
    settings.DOWNLOAD_CONCURRENCY = 2
    jobs = [services.enqueue(order(episode=n))[0] for n in range(1, 6)]
    assert services.sweep() == [jobs[0].pk, jobs[1].pk]
    transitions.claim(jobs[0].pk, "worker")
    assert services.sweep() == [jobs[1].pk]


@pytest.mark.django_db
def test_the_sweeper_clears_unfinished_files_that_nobody_needs(downloads_here: Path):
    kept, _ = services.enqueue(order())
    gone, _ = services.enqueue(order(episode=2))
    for job in (kept, gone):
        files.partial_folder(job.pk).mkdir(parents=True)
    transitions.remove(gone.pk, delete_files=False)
    services.sweep()
    assert files.partial_folder(kept.pk).exists()
    assert not files.partial_folder(gone.pk).exists()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Für immer: S01E01", "Für immer_ S01E01"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "_"),
        ("", "_"),
        ("CON", "_CON"),
        ("a\x00b\nc", "ab c"),
        ("name. ", "name"),
    ],
)
def test_a_name_becomes_one_safe_path_component(text: str, part: str):
    assert files.safe_part(text) == part


def test_a_path_component_is_bounded_in_bytes():
    assert len(files.safe_part("ü" * 500).encode()) <= 200


def test_nested_categories_are_folders_below_the_root(downloads_here: Path):
    assert files.category_folder("tv/anime") == downloads_here / "tv" / "anime"
    assert files.category_folder("../../etc") == downloads_here / "_" / "_" / "etc"
