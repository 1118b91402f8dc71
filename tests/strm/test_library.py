"""The library: files on a real disk, titles of the demo catalogue over HTTP."""

import json
import os
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from aiohttp import web
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from anibridge.lib.errors import Misconfigured
from catalogue.errors import SiteUnavailable
from catalogue.models import Site
from catalogue.releases import Identity
from strm import links, tasks
from strm.library import listing as listings
from strm.library import syncing
from strm.library.listing import Entry, Listing
from strm.library.syncing import Done, sync
from strm.models import LibraryFile, LibraryTitle
from tests.strm.host import Host

BASE = "http://anibridge.test:8000"
SLUG = "404-maedchen-nicht-gefunden"
FOLDER = "404 - Mädchen nicht gefunden (2023)"
JPEG = b"\xff\xd8\xff\xe0" + bytes(100) + b"\xff\xd9"


@pytest.fixture
def shelf(settings: Any, tmp_path: Path) -> Path:
    settings.STRM_LIBRARY_DIR = tmp_path / "library"
    settings.STRM_PUBLIC_BASE_URL = BASE
    settings.DATA_DIR = tmp_path
    return tmp_path / "library"


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, db: None, shelf: Path) -> Listing:
    """A source of its own: what it lists is up to the test. It fails where its name is empty."""
    listing = Listing(
        "Show", 2020, entries=[Entry(1, 1, "German Dub", "One"), Entry(1, 2, "German Dub", "Two")]
    )

    def source(wish: listings.Wish) -> Listing:
        if not listing.name:
            raise SiteUnavailable("the site does not answer")
        return replace(listing, entries=list(listing.entries))

    monkeypatch.setitem(listings.SOURCES, "playlist", source)
    LibraryTitle.objects.create(site="playlist", slug="show")
    return listing


def tree(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def actions(done: list[Done]) -> list[tuple[str, str]]:
    return [(str(one.action), one.path) for one in done]


def stamps(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def test_a_series_becomes_seasons_of_files(demo_site: Site, shelf: Path):
    LibraryTitle.objects.create(site="demo", slug=SLUG, languages=["German Dub", "English Sub"])
    done = sync()
    assert {one.action for one in done} == {"add"}
    assert tree(shelf) == [
        f"{FOLDER}/Season 01/404 - Mädchen nicht gefunden - S01E01 - Nicht gefunden.strm",
        f"{FOLDER}/Season 01/404 - Mädchen nicht gefunden - S01E02 - Verboten.strm",
        f"{FOLDER}/Season 01/404 - Mädchen nicht gefunden - S01E03 - Zu viele Anfragen.strm",
        f"{FOLDER}/Season 01/404 - Mädchen nicht gefunden - S01E04 - Weg.strm",
        f"{FOLDER}/Season 02/404 - Mädchen nicht gefunden - S02E01 - Umgezogen.strm",
        f"{FOLDER}/Season 02/404 - Mädchen nicht gefunden - S02E02 - Maintenance.strm",
        f"{FOLDER}/Specials/404 - Mädchen nicht gefunden - S00E01 - Gateway Timeout [Movie].strm",
        f"{FOLDER}/Specials/404 - Mädchen nicht gefunden - S00E02 - Teapot [OVA].strm",
    ]
    second = shelf / FOLDER / "Season 02"
    expected = Identity(
        "demo", SLUG, 2, 2, "English Sub"
    )  # it is not there in the preferred language
    line = links.stream_url(expected, base_url=BASE)
    assert next(second.glob("*S02E02*")).read_bytes() == f"{line}\n".encode()
    title = LibraryTitle.objects.get()
    assert (title.name, title.trouble) == ("404: Mädchen nicht gefunden", "")


def test_the_second_run_does_nothing(listed: Listing, shelf: Path, settings: Any):
    settings.STRM_LIBRARY_NFO = True
    assert len(sync()) == 3
    before = stamps(shelf)
    assert sync() == []
    assert stamps(shelf) == before
    assert not list(shelf.rglob(".anibridge*"))


def test_a_dry_run_says_what_it_would_do_and_does_nothing(listed: Listing, shelf: Path):
    told = sync(dry_run=True)
    assert not shelf.exists()
    assert not LibraryFile.objects.exists()
    assert actions(told) == actions(sync())
    listed.entries.pop()
    told = sync(dry_run=True)
    assert actions(told) == [("remove", "Show (2020)/Season 01/Show - S01E02 - Two.strm")]
    assert len(tree(shelf)) == 2


def test_what_comes_and_goes_on_the_site_comes_and_goes_on_the_disk(listed: Listing, shelf: Path):
    sync()
    listed.entries[:] = [Entry(1, 2, "German Dub", "Two"), Entry(2, 1, "German Dub", "Three")]
    assert actions(sync()) == [
        ("remove", "Show (2020)/Season 01/Show - S01E01 - One.strm"),
        ("add", "Show (2020)/Season 02/Show - S02E01 - Three.strm"),
    ]
    listed.entries.pop(0)
    sync()
    assert tree(shelf) == ["Show (2020)/Season 02/Show - S02E01 - Three.strm"]
    assert not (shelf / "Show (2020)" / "Season 01").exists()


def test_a_new_name_moves_the_files_which_stay_as_old_as_they_are(listed: Listing, shelf: Path):
    sync()
    before = set(stamps(shelf).values())
    listed.name, listed.year = "Other Show", 2021
    assert {one.action for one in sync()} == {"rename"}
    assert tree(shelf) == [
        "Other Show (2021)/Season 01/Other Show - S01E01 - One.strm",
        "Other Show (2021)/Season 01/Other Show - S01E02 - Two.strm",
    ]
    assert set(stamps(shelf).values()) == before
    assert sync() == []


def test_another_language_changes_the_file_in_its_place(listed: Listing, shelf: Path):
    sync()
    listed.entries[0] = Entry(1, 1, "English Dub", "One")
    path = "Show (2020)/Season 01/Show - S01E01 - One.strm"
    assert actions(sync()) == [("change", path)]
    assert "lang=English+Dub" in (shelf / path).read_text()


def test_a_site_in_trouble_removes_nothing(listed: Listing, shelf: Path):
    sync()
    before = stamps(shelf)
    name, listed.name = listed.name, ""
    done = sync()
    assert [one.action for one in done] == ["trouble"]
    assert LibraryTitle.objects.get().trouble == "the site does not answer"
    listed.name, listed.entries[:] = name, []
    assert "its files stay" in sync()[0].detail
    listed.entries[:] = [Entry(2, 1, "German Dub", "Three")]
    listed.unread = {1: "it does not answer"}
    assert [one.action for one in sync()] == ["add", "trouble"]
    assert stamps(shelf).items() >= before.items()


def test_a_real_site_that_is_away_removes_nothing(demo_site: Site, shelf: Path):
    LibraryTitle.objects.create(site="demo", slug="sintel")
    sync()
    before = stamps(shelf)
    assert before
    for change in ({"base_url": "http://127.0.0.1:9"}, {"enabled": False}):
        Site.objects.update(**change)
        assert [one.action for one in sync()] == ["trouble"]
    assert stamps(shelf) == before


def test_what_somebody_has_changed_is_neither_overwritten_nor_removed(listed: Listing, shelf: Path):
    sync()
    own = shelf / "Show (2020)/Season 01/Show - S01E01 - One.strm"
    own.write_text("http://elsewhere.test/\n")
    listed.entries[0] = Entry(1, 1, "English Dub", "One")
    assert [one.action for one in sync()] == ["leave"]
    LibraryTitle.objects.update(enabled=False)
    sync()
    assert tree(shelf) == ["Show (2020)/Season 01/Show - S01E01 - One.strm"]
    assert own.read_text() == "http://elsewhere.test/\n"
    assert not LibraryFile.objects.exists()


def test_files_of_somebody_else_are_never_touched(listed: Listing, shelf: Path):
    folder = shelf / "Show (2020)" / "Season 01"
    folder.mkdir(parents=True)
    (folder / "Show - S01E01 - One.strm").write_text("theirs\n")
    (folder / "Show - S01E02 - Two.mkv").write_text("a video\n")
    done = sync()
    assert [one.action for one in done] == ["leave", "add"]
    LibraryTitle.objects.all().delete()
    assert [one.action for one in sync()] == ["remove"]
    assert tree(folder) == ["Show - S01E01 - One.strm", "Show - S01E02 - Two.mkv"]
    assert (folder / "Show - S01E01 - One.strm").read_text() == "theirs\n"


def test_a_file_that_is_missing_is_written_again(listed: Listing, shelf: Path):
    sync()
    gone = shelf / "Show (2020)/Season 01/Show - S01E01 - One.strm"
    gone.unlink()
    assert [one.action for one in sync()] == ["add"]
    assert gone.exists()


def test_a_title_that_is_deleted_takes_its_files_along(listed: Listing, shelf: Path, settings: Any):
    settings.STRM_LIBRARY_NFO = True
    sync()
    LibraryTitle.objects.get().delete()
    assert {one.action for one in sync()} == {"remove"}
    assert list(shelf.iterdir()) == []
    assert not LibraryFile.objects.exists()


@pytest.mark.parametrize("after", ["add", "rename"])
def test_a_run_that_was_killed_is_taken_up_by_the_next(
    listed: Listing, shelf: Path, after: str, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    def dies(*args: Any, **kwargs: Any) -> None:
        raise Killed

    if after == "rename":
        sync()
        listed.name = "Other"
        monkeypatch.setattr(LibraryFile, "save", dies)  # the disk is ahead of the database
    else:
        monkeypatch.setattr("strm.library.shelf.os.link", dies)  # the database is ahead of the disk
    with pytest.raises(Killed):
        sync()
    monkeypatch.undo()
    monkeypatch.setitem(
        listings.SOURCES, "playlist", lambda wish: replace(listed, entries=list(listed.entries))
    )
    sync()
    name = "Other" if after == "rename" else "Show"
    assert tree(shelf) == [
        f"{name} (2020)/Season 01/{name} - S01E01 - One.strm",
        f"{name} (2020)/Season 01/{name} - S01E02 - Two.strm",
    ]
    assert LibraryFile.objects.count() == 2
    assert sync() == []


def test_a_link_in_the_library_leads_nowhere(listed: Listing, shelf: Path, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    shelf.mkdir()
    (shelf / "Show (2020)").symlink_to(outside)
    sync()
    assert list(outside.iterdir()) == []
    (shelf / "Show (2020)").unlink()
    sync()
    season = shelf / "Show (2020)" / "Season 01"
    season.rename(outside / "Season 01")
    season.symlink_to(outside / "Season 01")
    LibraryTitle.objects.update(enabled=False)
    sync()
    assert len(tree(outside)) == 2


def test_names_of_a_hostile_site_stay_in_the_library(listed: Listing, shelf: Path):
    listed.name = "../../etc/\x00passwd\u202e" + "x" * 400
    listed.entries[:] = [Entry(1, 1, "German Dub", "../../../a/b\n" + "ü" * 300)]
    sync()
    (path,) = tree(shelf)
    parts = Path(path).parts
    assert len(parts) == 3
    assert all(part not in ("..", ".") and len(part.encode()) <= 255 for part in parts)


def test_two_titles_of_one_name_get_a_folder_each(listed: Listing, shelf: Path):
    LibraryTitle.objects.create(site="playlist", slug="remake")
    sync()
    assert sorted(path.name for path in shelf.iterdir()) == [
        "Show (2020)",
        "Show (2020) [playlist remake]",
    ]
    assert len(tree(shelf)) == 4
    assert sync() == []
    LibraryTitle.objects.filter(slug="show").delete()
    sync()  # the one that is left may take the plain name
    sync()
    assert [path.name for path in shelf.iterdir()] == ["Show (2020)"]


def test_a_film_lies_with_the_films_and_its_facts_beside_it(
    listed: Listing, shelf: Path, settings: Any
):
    settings.STRM_LIBRARY_NFO = True
    listed.entries[:] = [Entry(0, 0, "German Dub")]
    listed.name, listed.imdb_id = 'A & <B> "film"\x0b', "tt1234567"
    listed.description, listed.genres = "1 < 2 & ]]>", ("Drama", "GerSub", "Sci-Fi")
    sync()
    assert tree(shelf) == [
        "Movies/A & B film (2020)/A & B film (2020).strm",
        "Movies/A & B film (2020)/movie.nfo",
    ]
    root = ElementTree.parse(shelf / "Movies/A & B film (2020)/movie.nfo").getroot()
    assert (root.tag, root.findtext("title"), root.findtext("year")) == (
        "movie",
        'A & <B> "film"',
        "2020",
    )
    assert root.findtext("plot") == "1 < 2 & ]]>"
    assert [one.text for one in root.findall("genre")] == ["Drama", "Sci-Fi"]
    assert root.find("uniqueid").attrib == {"type": "imdb", "default": "true"}


def cover_of(host: Host, body: bytes, kind: str = "image/jpeg") -> list[int]:
    asked: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(1)
        return web.Response(body=body, content_type=kind)

    host.routes["/cover"] = answer
    return asked


def test_a_cover_is_fetched_once_and_again_when_it_is_another(
    listed: Listing, shelf: Path, settings: Any, host: Host
):
    settings.STRM_LIBRARY_COVERS = True
    asked = cover_of(host, JPEG)
    listed.cover = host.at("/cover")
    sync()
    poster = shelf / "Show (2020)" / "poster.jpg"
    assert poster.read_bytes() == JPEG
    assert sync() == []
    assert len(asked) == 1
    listed.cover = host.at("/cover?2")
    assert sync() == []  # the same picture
    assert len(asked) == 2
    sync()
    assert len(asked) == 2
    host.routes.pop("/cover")
    listed.cover = host.at("/cover?3")
    assert "its cover" in sync()[0].detail
    assert poster.read_bytes() == JPEG
    listed.cover = ""
    assert actions(sync()) == [("remove", "Show (2020)/poster.jpg")]


@pytest.mark.parametrize(
    "body",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html>",
        b"",
        JPEG[:-2],
        JPEG[:-2] + bytes(6 * 2**20) + JPEG[-2:],
    ],
)
def test_what_is_no_picture_of_a_reasonable_size_is_not_written(
    listed: Listing, shelf: Path, settings: Any, host: Host, body: bytes
):
    settings.STRM_LIBRARY_COVERS = True
    cover_of(host, body)
    listed.cover = host.at("/cover")
    assert any("its cover" in one.detail for one in sync())
    assert len(tree(shelf)) == 2


def test_a_cover_is_not_fetched_from_the_home_network(
    listed: Listing, shelf: Path, settings: Any, host: Host
):
    settings.STRM_LIBRARY_COVERS = True
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = []
    asked = cover_of(host, JPEG)
    listed.cover = host.at("/cover")
    assert any("its cover" in one.detail for one in sync())
    assert asked == []


def test_the_command_prints_the_plan_as_json(listed: Listing, shelf: Path):
    out = StringIO()
    call_command("strm_library", "--dry-run", "--json", stdout=out)
    assert [row["action"] for row in json.loads(out.getvalue())] == ["add", "add"]
    assert not shelf.exists()
    out = StringIO()
    call_command("strm_library", stdout=out)
    assert "Show - S01E01 - One.strm" in out.getvalue()
    listed.name = ""
    with pytest.raises(CommandError, match="nothing of it was removed"):
        call_command("strm_library", stdout=StringIO())


def test_the_schedule_is_off_until_somebody_wants_it(listed: Listing, shelf: Path, settings: Any):
    tasks.library(scheduled=True)
    assert not shelf.exists()
    settings.STRM_LIBRARY_HOURS = 6
    tasks.library(scheduled=True)
    assert len(tree(shelf)) == 2


def test_one_run_at_a_time(listed: Listing, shelf: Path):
    with syncing._alone(), pytest.raises(syncing.AlreadyRunning):
        sync()


def test_without_a_folder_or_an_address_it_says_what_to_set(listed: Listing, settings: Any):
    settings.STRM_PUBLIC_BASE_URL = settings.PUBLIC_URL = ""
    with pytest.raises(Misconfigured, match="STRM_PUBLIC_BASE_URL"):
        sync()
    settings.STRM_LIBRARY_DIR = None
    with pytest.raises(Misconfigured, match="STRM_LIBRARY_DIR"):
        sync()


def test_a_folder_that_cannot_be_written_is_told(listed: Listing, shelf: Path):
    shelf.write_text("a file in the place of the folder")
    (done,) = sync()
    assert done.action == "trouble"
    assert "could not be written" in done.detail


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"site": "nowhere"}, "site"),
        ({"slug": "../etc"}, "slug"),
        ({"languages": ["Klingon"]}, "languages"),
        ({"languages": ["German Dub", "German Dub"]}, "languages"),
        ({"languages": "German Dub"}, "languages"),
    ],
)
def test_a_title_that_cannot_be_is_refused(demo_site: Site, fields: dict[str, Any], wrong: str):
    title = LibraryTitle(**{"site": "demo", "slug": "sintel", **fields})
    with pytest.raises(ValidationError) as refused:
        title.full_clean()
    assert set(refused.value.error_dict) == {wrong}


def test_files_follow_the_umask_so_that_a_media_server_can_read_them(listed: Listing, shelf: Path):
    before = os.umask(0o027)
    try:
        sync()
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in shelf.rglob("*.strm")} == {0o640}
