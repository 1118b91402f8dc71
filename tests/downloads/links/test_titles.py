"""What titles say."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downloads.links import titles

KEYS = {
    "title", "kind", "season", "episodes", "absolute", "year", "date", "resolution", "source", "codec", "group",
    "languages", "subtitles",
}  # fmt: skip


@pytest.mark.parametrize(
    ("title", "said"),
    [
        (
            "[Group] Show - 07 [1080p]",
            {
                "title": "Show",
                "season": None,
                "episodes": [],
                "absolute": [7],
                "resolution": "1080p",
                "group": "Group",
                "kind": "episode",
            },
        ),
        (
            "[SubsPlease] Sousou no Frieren - 28 (1080p) [A1B2C3D4].mkv",
            {"title": "Sousou no Frieren", "absolute": [28], "group": "SubsPlease"},
        ),
        (
            "[Erai-raws] One Piece - 1107 [1080p][Multiple Subtitle][ENG][POR-BR]",
            {"title": "One Piece", "absolute": [1107], "subtitles": ["en"]},
        ),
        ("[Group] Show S2 - 07v2 [720p]", {"title": "Show", "season": 2, "episodes": [7]}),
        ("[Group] Show 2nd Season - 05 [480p]", {"title": "Show", "season": 2, "episodes": [5]}),
        ("[Group] Show - 01-03 [BD 1080p]", {"absolute": [1, 2, 3], "source": "bluray"}),
        ("[Group] Show - 01 ~ 03 [1080p]", {"title": "Show", "absolute": [1, 2, 3]}),
        ("[Group] Show - 12.5 [1080p]", {"absolute": [12.5]}),
        ("[Group] Show - 24 END [1080p]", {"title": "Show", "absolute": [24]}),
        ("[Group] 86 - 07 [1080p]", {"title": "86", "absolute": [7]}),
        ("[Group] 3-gatsu no Lion - 07 [1080p].mkv", {"title": "3-gatsu no Lion", "absolute": [7]}),
        ("[Group] Show (2019) - 03 [1080p]", {"title": "Show", "year": 2019, "absolute": [3]}),
        (
            "【喵萌奶茶】★10月新番★[葬送的芙莉莲 / Sousou no Frieren][28][1080p][简日双语]",
            {"title": "Sousou no Frieren", "absolute": [28], "group": "喵萌奶茶"},
        ),
        (
            "[ANi] 葬送的芙莉蓮 - 28 [1080P][Baha][WEB-DL][AAC AVC][CHT][MP4]",
            {"title": "葬送的芙莉蓮", "absolute": [28], "group": "ANi", "codec": "H.264"},
        ),
        ("[Group] Show S01E05 [1080p]", {"title": "Show", "season": 1, "episodes": [5]}),
        ("[Group] A Film - 2024 [1080p]", {"title": "A Film", "kind": "movie", "year": 2024}),
        (
            "Show.S01E05.German.1080p.WEB.H264-ANIWORLD",
            {
                "title": "Show",
                "season": 1,
                "episodes": [5],
                "absolute": [],
                "languages": ["de"],
                "source": "web",
                "codec": "H.264",
                "group": "ANIWORLD",
            },
        ),
        ("Show S01E01-E03 720p", {"season": 1, "episodes": [1, 2, 3]}),
        ("Show 2024 S01 COMPLETE 1080p WEB-DL", {"season": 1, "episodes": [], "year": 2024}),
        ("Show Staffel 1 Folge 2 German", {"title": "Show", "season": 1, "episodes": [2]}),
        ("Show.2024.01.15.720p.HDTV", {"date": "2024-01-15", "episodes": [], "absolute": []}),
        ("Show - 107 [720p]", {"title": "Show", "absolute": [107]}),
        (
            "Movie.Name.2021.1080p.BluRay.x264-GROUP",
            {"title": "Movie Name", "kind": "movie", "year": 2021, "group": "GROUP"},
        ),
    ],
)
def test_a_title_says(title: str, said: dict):
    found = titles.parse(title)
    assert {key: found[key] for key in said} == said


@pytest.mark.parametrize(
    "title",
    [
        "",
        " ",
        "[",
        "[] - 01",
        "[G] - 07",
        "A" * 5000,
        "1" * 300,
        "S01E" * 75,
        "[G] X - 1-9999 [1080p]",
    ],
)
def test_an_odd_title_gives_every_key(title: str):
    assert set(titles.parse(title)) == KEYS


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(
                [
                    "[Group]",
                    "【组】",
                    " - ",
                    "07",
                    "S01",
                    "E02",
                    "1080p",
                    "(2019)",
                    "END",
                    "v2",
                    "/",
                    "第",
                    "]",
                    "x265",
                ]
            ),
            max_size=12,
        ).map("".join),
    )
)
def test_whatever_the_title_the_answer_is_plain_json(title: str):
    said = titles.parse(title)
    assert set(said) == KEYS
    assert json.loads(json.dumps(said)) == said
    assert all(isinstance(number, int | float) for number in said["episodes"] + said["absolute"])
