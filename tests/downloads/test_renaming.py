"""Files and folders of a job get other names, below its save path and nowhere else."""

from pathlib import Path

import pytest

from downloads import files, renaming
from downloads.errors import BadRename
from downloads.models import Job, Layout
from tests.downloads.factories import JobFactory, JobFileFactory

pytestmark = pytest.mark.django_db
PACK = "Caminandes.S01"


def put(job: Job, path: Path, episode: int | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")
    JobFileFactory(job=job, path=str(path), episode=episode, size_bytes=5)
    return path


@pytest.fixture
def film(downloads_root: Path) -> Job:
    job = JobFactory(completed=True, name="Film", category="films")
    put(job, downloads_root / "films" / "Film.mp4", job.episode)
    return job


@pytest.fixture
def season(downloads_root: Path) -> Job:
    folder = downloads_root / PACK
    job = JobFactory(completed=True, episode=None, name=PACK, result_path=str(folder))
    for episode in (1, 2):
        put(job, folder / f"E{episode}.mp4", episode)
    return job


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def names(job: Job) -> list[str]:
    base = Path(job.save_path)
    return sorted(Path(file.path).relative_to(base).as_posix() for file in job.files.all())


def test_a_file_gets_another_name(film: Job, downloads_root: Path):
    renaming.rename_file(film.pk, "Film.mp4", "Other Film.mkv")
    final = downloads_root / "films" / "Other Film.mkv"
    assert final.read_bytes() == b"video"
    assert now(film).result_path == str(final)
    assert names(film) == ["Other Film.mkv"]
    assert film.events.last().reason == "«Film.mp4» is called «Other Film.mkv» now"


def test_a_file_may_get_a_new_folder_and_lose_it_again(film: Job, downloads_root: Path):
    renaming.rename_file(film.pk, "Film.mp4", "New/Film.mp4")
    assert now(film).result_path == str(downloads_root / "films" / "New" / "Film.mp4")
    renaming.rename_file(film.pk, "New/Film.mp4", "Film.mp4")
    assert [path.name for path in (downloads_root / "films").iterdir()] == ["Film.mp4"]


def test_a_folder_gets_another_name_with_what_is_ours_in_it(season: Job, downloads_root: Path):
    other = downloads_root / PACK / "notes.txt"
    other.write_text("not ours")
    renaming.rename_folder(season.pk, PACK, "Better Name")
    assert names(season) == ["Better Name/E1.mp4", "Better Name/E2.mp4"]
    assert now(season).result_path == str(downloads_root / "Better Name")
    assert list(other.parent.iterdir()) == [other]


def test_one_file_of_a_season(season: Job, downloads_root: Path):
    renaming.rename_file(season.pk, f"{PACK}/E1.mp4", f"{PACK}/First.mp4")
    assert names(season) == [f"{PACK}/E2.mp4", f"{PACK}/First.mp4"]
    assert now(season).result_path == str(downloads_root / PACK)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("no/such", "x", "No such file: 'no/such'."),
        ("Film.mp4", "/etc/passwd", "Absolute path isn't allowed: '/etc/passwd'."),
        ("Film.mp4", "../x.mp4", "The new path is invalid: '../x.mp4'."),
        ("Film.mp4", "a/../../x.mp4", "The new path is invalid: 'a/../../x.mp4'."),
        ("Film.mp4", "", "The new path is invalid: ''."),
        ("Film.mp4", "a//b", "The new path is invalid: 'a//b'."),
        ("Film.mp4", "a\\b", "The new path is invalid: 'a\\b'."),
        ("Film.mp4", "a\x00b", "The new path is invalid: 'a\x00b'."),
        ("Film.mp4", ".hidden", "The new path is invalid: '.hidden'."),
        ("Film.mp4", "x" * 300, f"The new path is invalid: '{'x' * 300}'."),
        ("", "x", "The old path is invalid: ''."),
    ],
)
def test_what_cannot_be_says_so_as_qbittorrent_does(film: Job, old: str, new: str, text: str):
    with pytest.raises(BadRename) as caught:
        renaming.rename_file(film.pk, old, new)
    assert str(caught.value) == text
    assert names(film) == ["Film.mp4"]


def test_nothing_that_is_there_is_overwritten(season: Job, downloads_root: Path):
    taken = downloads_root / PACK / "taken.mp4"
    taken.write_text("not ours")
    for new in (f"{PACK}/E2.mp4", f"{PACK}/taken.mp4"):
        with pytest.raises(BadRename, match="The file already exists"):
            renaming.rename_file(season.pk, f"{PACK}/E1.mp4", new)
    assert taken.read_text() == "not ours"


def test_a_folder_of_somebody_else_is_not_joined(season: Job, downloads_root: Path):
    (downloads_root / "tv-sonarr").mkdir()
    for rename, old in (
        (renaming.rename_file, f"{PACK}/E1.mp4"),
        (renaming.rename_folder, PACK),
    ):
        new = "tv-sonarr/E1.mp4" if rename is renaming.rename_file else "tv-sonarr"
        with pytest.raises(BadRename, match="The folder already exists"):
            rename(season.pk, old, new)
    assert list((downloads_root / "tv-sonarr").iterdir()) == []


def test_an_unknown_folder(season: Job):
    with pytest.raises(BadRename, match=r"No such folder: 'no-such'\."):
        renaming.rename_folder(season.pk, "no-such", "x")


def test_links_on_the_way_lead_nowhere(film: Job, downloads_root: Path, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (downloads_root / "films" / "way").symlink_to(tmp_path / "outside")
    with pytest.raises(BadRename):
        renaming.rename_file(film.pk, "Film.mp4", "way/Film.mp4")
    assert list((tmp_path / "outside").iterdir()) == []


def test_files_of_a_library_and_those_in_use_keep_their_names(film: Job):
    with files.own_partial(film.pk), pytest.raises(BadRename, match="being written or moved"):
        renaming.rename_file(film.pk, "Film.mp4", "x.mp4")
    Job.objects.update(layout=Layout.LIBRARY)
    with pytest.raises(BadRename, match="library"):
        renaming.rename_file(film.pk, "Film.mp4", "x.mp4")


def test_a_file_that_is_gone_cannot_be_renamed(film: Job, downloads_root: Path):
    (downloads_root / "films" / "Film.mp4").unlink()
    with pytest.raises(BadRename, match="No such file"):
        renaming.rename_file(film.pk, "Film.mp4", "x.mp4")
