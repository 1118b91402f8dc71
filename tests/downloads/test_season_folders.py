"""A season has a folder for itself: what lies in it is what a client imports."""

from pathlib import Path
from typing import Any

import pytest

from catalogue.models import Site
from downloads import moving, services, tending
from downloads.models import Job, JobStatus
from tests.downloads.carrying import carry
from tests.downloads.factories import JobFactory
from tests.downloads.orders import order
from tests.downloads.placed import BODY, now, paths
from tests.downloads.placed import pack as pack
from tests.downloads.placed import root as root

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def hosts_that_answer(settings: Any) -> None:
    settings.PROVIDER_ORDER = ["Filemoon", "Streamtape"]


def season() -> Job:
    done = carry(services.enqueue(order(slug="caminandes", episode=None, category="tv"))[0])
    assert done.status == JobStatus.COMPLETED, done.error_message
    return done


def below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_whose_files_were_kept_and_that_is_grabbed_again_does_not_mix_with_them(
    demo_site: Site,
):
    first = season()
    folder = Path(first.result_path)
    (folder / "subtitles.srt").write_bytes(b"put there by somebody")
    kept = below(folder)
    services.remove(first.pk, delete_files=False)
    second = season()
    own = Path(second.result_path)
    assert own == folder.with_name(f"{folder.name}.2")
    assert below(folder) == kept
    assert {str(path) for path in own.iterdir()} == set(second.files.values_list("path", flat=True))
    assert {path.name for path in own.iterdir()} == set(kept) - {"subtitles.srt"}
    services.remove(second.pk, delete_files=True)
    assert not own.exists()
    assert below(folder) == kept


def test_a_folder_that_was_emptied_is_used_again(demo_site: Site):
    first = season()
    folder = Path(first.result_path)
    services.remove(first.pk, delete_files=False)
    for path in folder.iterdir():
        path.unlink()
    assert Path(season().result_path) == folder


def test_one_that_goes_on_keeps_to_the_folder_in_which_it_began(demo_site: Site):
    done = season()
    folder = Path(done.result_path)
    gone, *_ = sorted(folder.iterdir())
    gone.unlink()
    Job.objects.filter(pk=done.pk).update(status=JobStatus.FAILED)
    again = carry(services.retry(done.pk))
    assert Path(again.result_path) == folder
    assert gone.exists()


def test_the_folder_of_another_season_on_the_list_is_left_alone_also_when_it_is_empty(
    demo_site: Site, settings
):
    """Its client has moved the files away, and would find those of the other one there."""
    waiting, _ = services.enqueue(order(slug="caminandes", episode=None, category="tv"))
    folder = settings.DOWNLOAD_DIR / "tv" / waiting.name
    JobFactory(completed=True, result_path=str(folder))
    assert Path(carry(waiting).result_path) == folder.with_name(f"{folder.name}.2")


def test_it_is_moved_into_a_folder_that_nobody_elses_files_are_in(pack: Job, root: Path):
    theirs = root / "done" / "Caminandes.S01" / "Caminandes.S01E01.mp4"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"not ours")
    (theirs.parent / "Caminandes.S01E02.mp4").write_bytes(BODY)
    tending.relocate(pack.pk, root / "done")
    own = root / "done" / "Caminandes.S01.2"
    assert now(pack).result_path == str(own)
    assert below(own) == {f"Caminandes.S01E0{number}.mp4": BODY for number in (1, 2)}
    assert sorted(paths(pack)) == sorted(str(path) for path in own.iterdir())
    assert theirs.read_bytes() == b"not ours"
    assert not (root / "tv" / "Caminandes.S01").exists()
    tending.relocate(pack.pk, root / "tv")
    assert now(pack).result_path == str(root / "tv" / "Caminandes.S01.2")


def test_a_move_that_was_cut_short_goes_on_into_the_folder_in_which_it_began(
    pack: Job, root: Path, monkeypatch: pytest.MonkeyPatch
):
    theirs = root / "done" / "Caminandes.S01" / "Caminandes.S01E01.mp4"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"not ours")

    def cut(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(moving, "_note", cut)
        tending.relocate(pack.pk, root / "done")
    own = root / "done" / "Caminandes.S01.2"
    assert len(list(own.iterdir())) == 1, "one is there, and nobody has written it down"
    tending.run()
    assert now(pack).result_path == str(own)
    assert sorted(paths(pack)) == sorted(str(path) for path in own.iterdir())
    assert below(theirs.parent) == {theirs.name: b"not ours"}
