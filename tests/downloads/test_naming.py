"""Names of library files: as the *arrs give them, and safe on every file system."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloads.errors import BadNaming
from downloads.naming import MAX_PART_BYTES, Naming, safe_part


def movie(**said: object) -> str:
    return str(Naming.read({"kind": "movie", **said}, season=0, episode=0).path())


def episode(**said: object) -> str:
    said = {"kind": "episode", "title": "Series", "season": 1, "episode": 5, **said}
    return str(Naming.read(said, season=0, episode=0).path())


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"title": "Sintel", "year": 2010}, "Sintel (2010)/Sintel (2010)"),
        ({"title": "Sintel (2010)", "year": 2010}, "Sintel (2010)/Sintel (2010)"),
        ({"title": "Sintel"}, "Sintel/Sintel"),
        (
            {"title": "Alien: Romulus", "year": 2024},
            "Alien - Romulus (2024)/Alien - Romulus (2024)",
        ),
        ({"title": "Face/Off", "year": 1997}, "Face+Off (1997)/Face+Off (1997)"),
        ({"title": "Who? *Me*", "year": 2000}, "Who! -Me- (2000)/Who! -Me- (2000)"),
        ({"title": "Sintel", "year": "2010"}, "Sintel/Sintel"),
        ({"title": "Sintel", "year": 2010, "folder": "S/Own"}, "S/Own/Sintel (2010)"),
        ({"title": "../../etc", "year": 2010}, "+..+etc (2010)/+..+etc (2010)"),
    ],
)
def test_a_film_is_named_as_radarr_names_it(said, path):
    assert movie(**said) == path


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({}, "Series/Season 01/Series - S01E05"),
        ({"episode_title": "The End?"}, "Series/Season 01/Series - S01E05 - The End!"),
        ({"season": 0}, "Series/Specials/Series - S00E05"),
        ({"season": 12, "episode": 104}, "Series/Season 12/Series - S12E104"),
        ({"episodes": [5, 6]}, "Series/Season 01/Series - S01E05-E06"),
        ({"folder": "Series (2010)"}, "Series (2010)/Season 01/Series - S01E05"),
        ({"folder": "../../x"}, "_/_/x/Season 01/Series - S01E05"),
    ],
)
def test_an_episode_is_named_as_sonarr_names_it(said, path):
    assert episode(**said) == path


def test_what_is_not_said_is_the_jobs_own():
    naming = Naming.read({"kind": "episode", "title": "Series"}, season=2, episode=3)
    assert str(naming.path()) == "Series/Season 02/Series - S02E03"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"kind": "song", "title": "x"},
        {"kind": "movie"},
        {"kind": "movie", "title": " "},
        {"kind": "movie", "title": 5},
        {"kind": "episode", "title": "x", "episode": "five"},
        {"kind": "episode", "title": "x", "episode": -1},
        {"kind": "episode", "title": "x", "episodes": [1, None]},
        {"kind": "episode", "title": "x", "episode": True},
    ],
)
def test_what_is_not_enough_for_a_name_is_told(said):
    with pytest.raises(BadNaming):
        Naming.read(said, season=1, episode=1)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nul", "_nul"),
        ("COM1.mp4", "_COM1.mp4"),
        ("com¹", "_com¹"),
        ("lpt9 .x", "_lpt9 .x"),
        ("console", "console"),
        ("CONIN$", "_CONIN$"),
        ("trailing. . ", "trailing"),
        ("...", "_"),
        (".hidden", "hidden"),
        ("fu\u0308r", "für"),
        ("a\u202egpm.exe", "agpm.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("a/b\\c", "a_b_c"),
        ("\ud800x", "x"),
    ],
)
def test_a_part_is_safe_on_every_file_system(text: str, part: str):
    assert safe_part(text) == part


def is_safe(part: str) -> bool:
    return (
        part not in ("", ".", "..")
        and not set(part) & set('\\/:*?"<>|\0')
        and not any(unicodedata.category(char) == "Cc" for char in part)
        and part == part.strip(". ")
        and len(part.encode()) <= MAX_PART_BYTES
        and part == unicodedata.normalize("NFC", part)
    )


words = st.text(max_size=300)


@given(words)
def test_whatever_a_text_is_its_part_is_safe(text: str):
    assert is_safe(safe_part(text))


@given(words.filter(str.strip), words, words, st.integers(1800, 2200))
def test_whatever_the_titles_are_every_part_of_a_path_is_safe(title, second, folder, year):
    for said in (
        {"kind": "movie", "title": title, "year": year, "folder": folder},
        {"kind": "episode", "title": title, "episode_title": second, "folder": folder},
    ):
        path = Naming.read(said, season=1, episode=2).path()
        assert all(is_safe(part) for part in path.parts), path
        assert not path.is_absolute()
        assert PurePosixPath(*path.parts) == path
