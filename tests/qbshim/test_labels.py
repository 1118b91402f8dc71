"""Categories and tags."""

from pathlib import Path

import pytest

from downloads.models import Job
from qbshim import categories, tags
from qbshim.models import Category
from tests.downloads.factories import JobFactory
from tests.qbshim.conftest import Caller
from tests.qbshim.factories import CategoryFactory, ClientTaskFactory


def names(caller: Caller) -> list[str]:
    return list(caller.get("torrents/categories").json())


def test_a_category_and_its_folder_are_made_by_its_name_alone(sonarr: Caller, downloads_here: Path):
    sonarr.post("torrents/createCategory", category="tv-sonarr")
    assert sonarr.get("torrents/categories").json() == {
        "tv-sonarr": {"name": "tv-sonarr", "savePath": str(downloads_here / "tv-sonarr")}
    }
    assert (downloads_here / "tv-sonarr").is_dir()


def test_names_are_case_sensitive_and_may_hold_anything_printable(sonarr: Caller):
    for name in ("tv", "TV", "pr Täg & co", "日本"):
        assert sonarr.post("torrents/createCategory", category=name).status_code == 200
    assert names(sonarr) == ["TV", "pr Täg & co", "tv", "日本"]


@pytest.mark.parametrize("name", ["a//b", "/a", "a/", "a\\b", "a\nb", "x" * 201])
def test_impossible_names_are_refused(sonarr: Caller, name: str):
    response = sonarr.post("torrents/createCategory", category=name)
    assert (response.status_code, response.content) == (409, b"Incorrect category name")


@pytest.mark.parametrize("command", ["createCategory", "editCategory"])
def test_a_folder_elsewhere_is_refused_with_a_reason(sonarr: Caller, command: str):
    CategoryFactory(name="old")
    name = "new" if command == "createCategory" else "old"
    response = sonarr.post(f"torrents/{command}", category=name, savePath="/etc")
    assert response.status_code == 409
    assert "«/etc» is not inside the download folder" in response.content.decode()
    assert names(sonarr) == ["old"]


def test_a_folder_that_cannot_be_made_is_said(sonarr: Caller, downloads_here: Path):
    (downloads_here / "tv").write_text("a file is in the way")
    response = sonarr.post("torrents/createCategory", category="tv")
    assert response.status_code == 409
    assert b"cannot be made" in response.content
    assert names(sonarr) == []


def test_a_folder_is_kept_relative_and_moves_with_the_download_folder(
    sonarr: Caller, settings, downloads_here: Path, tmp_path: Path
):
    sonarr.post("torrents/createCategory", category="tv", savePath=str(downloads_here / "shows"))
    assert Category.objects.get().save_path == "shows"
    settings.DOWNLOAD_DIR = tmp_path / "moved"
    assert sonarr.get("torrents/categories").json()["tv"]["savePath"] == str(
        tmp_path / "moved" / "shows"
    )


def test_a_folder_that_no_longer_fits_gives_way_to_the_default(sonarr: Caller, downloads_here):
    CategoryFactory(name="tv", save_path="/old/downloads/tv")
    path = sonarr.get("torrents/categories").json()["tv"]["savePath"]
    assert path == str(downloads_here / "tv")


def test_a_folder_can_be_edited_and_taken_back(sonarr: Caller, downloads_here: Path):
    CategoryFactory(name="tv")
    for asked, folder in (("shows", "shows"), ("", "tv"), (str(downloads_here), "")):
        sonarr.post("torrents/editCategory", category="tv", savePath=asked)
        path = sonarr.get("torrents/categories").json()["tv"]["savePath"]
        assert Path(path) == downloads_here / folder
        assert Path(path).is_dir()


def test_removing_a_category_keeps_jobs_folder_and_files(
    sonarr: Caller, finished, downloads_here: Path
):
    CategoryFactory(name="tv")
    job = finished(category="tv")
    assert sonarr.post("torrents/removeCategories", categories="tv\nnope").status_code == 200
    assert names(sonarr) == []
    assert sonarr.one(job)["category"] == ""
    assert Path(job.result_path).exists()


def test_a_category_that_only_a_job_names_is_listed(sonarr: Caller):
    JobFactory(category="by-hand")
    JobFactory(category="by-hand")
    assert names(sonarr) == ["by-hand"]
    assert sonarr.post("torrents/createCategory", category="by-hand").status_code == 200


def test_set_category_touches_the_named_jobs_only(sonarr: Caller):
    CategoryFactory(name="tv")
    named, other = JobFactory(), JobFactory()
    sonarr.post("torrents/setCategory", hashes=named.infohash.upper(), category="tv")
    assert (sonarr.one(named)["category"], sonarr.one(other)["category"]) == ("tv", "")


def test_an_unknown_category_is_refused_for_jobs_that_are_there(sonarr: Caller):
    job = JobFactory()
    response = sonarr.post("torrents/setCategory", hashes=job.infohash, category="nope")
    assert (response.status_code, response.content) == (409, b"Incorrect category name")


def test_jobs_follow_their_category_and_those_with_a_place_of_their_own_stay(
    sonarr: Caller, finished, downloads_here: Path
):
    CategoryFactory(name="tv", save_path="shows")
    waiting, running, done = JobFactory(), JobFactory(running=True), finished()
    chosen = JobFactory(save_path=str(downloads_here / "chosen"))
    sonarr.post("torrents/setCategory", hashes="all", category="tv")
    assert {item["category"] for item in sonarr.info()} == {"tv"}
    paths = [Job.objects.get(pk=job.pk).save_path for job in (waiting, running, done, chosen)]
    assert [Path(path).name for path in paths] == ["shows", "shows", "shows", "chosen"]


def test_a_tag_is_known_before_a_torrent_carries_it(sonarr: Caller):
    assert sonarr.post("torrents/createTags", tags=" b, a,,b,").status_code == 200
    assert sonarr.get("torrents/tags").json() == ["a", "b"]
    sonarr.post("torrents/deleteTags", tags="a,nope")
    assert sonarr.get("torrents/tags").json() == ["b"]


def test_tags_that_torrents_carry_are_known(sonarr: Caller):
    first, second = ClientTaskFactory().job, JobFactory()
    both = f"{first.infohash}|{second.infohash}"
    sonarr.post("torrents/addTags", hashes=both, tags="pr-b, pr-a,")
    sonarr.post("torrents/addTags", hashes=first.infohash, tags="pr-c")
    assert sonarr.get("torrents/tags").json() == ["pr-a", "pr-b", "pr-c"]
    assert sonarr.one(first)["tags"] == "pr-a, pr-b, pr-c"
    assert [item["hash"] for item in sonarr.info(tag="pr-c")] == [first.infohash]


def test_tags_are_taken_off_one_by_one_or_all_at_once(sonarr: Caller):
    one, two = (ClientTaskFactory(tags=["a", "b", "c"]).job for _ in range(2))
    tags.create(["a", "b", "c"])
    sonarr.post("torrents/removeTags", hashes=one.infohash, tags="a,nope")
    assert sonarr.one(one)["tags"] == "b, c"
    sonarr.post("torrents/deleteTags", tags="b")
    assert [sonarr.one(job)["tags"] for job in (one, two)] == ["c", "a, c"]
    sonarr.post("torrents/removeTags", hashes=two.infohash, tags="")
    assert sonarr.one(two)["tags"] == ""
    sonarr.post("torrents/deleteTags", tags="")
    assert sonarr.get("torrents/tags").json() == ["a", "c"]


def test_set_tags_replaces_what_was_there(sonarr: Caller):
    one, two = ClientTaskFactory(tags=["a", "b"]).job, JobFactory()
    sonarr.post("torrents/setTags", hashes=f"{one.infohash}|{two.infohash}", tags="c, b")
    assert [sonarr.one(job)["tags"] for job in (one, two)] == ["b, c", "b, c"]
    sonarr.post("torrents/setTags", hashes=one.infohash, tags="")
    assert sonarr.one(one)["tags"] == ""


def test_a_tag_outlives_the_torrents_that_carried_it(sonarr: Caller, release):
    sonarr.post("torrents/add", urls=release().magnet, tags="a")
    sonarr.post("torrents/delete", hashes=release().infohash)
    assert sonarr.get("torrents/tags").json() == ["a"]


def test_there_is_an_end_to_tags(sonarr: Caller, monkeypatch):
    monkeypatch.setattr(tags, "MAX_TAGS", 3)
    job = JobFactory()
    sonarr.post("torrents/addTags", hashes=job.infohash, tags="a,b,c,d,e")
    assert sonarr.get("torrents/tags").json() == ["a", "b", "c"]
    assert sonarr.one(job)["tags"] == "a, b, c"


def test_a_tag_without_an_end_is_left_out(sonarr: Caller):
    job = JobFactory()
    sonarr.post("torrents/addTags", hashes=job.infohash, tags="x" * 101 + ",ok")
    assert sonarr.one(job)["tags"] == "ok"


@pytest.mark.parametrize("name", [".incomplete", "..", "a/../../b"])
def test_no_name_leads_out_of_the_download_folder(name: str, downloads_here: Path, db: None):
    folder = categories.folder_of(name).resolve()
    assert folder.is_relative_to(downloads_here)
    assert folder.name not in ("downloads", ".incomplete")
