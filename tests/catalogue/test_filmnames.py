"""Which of a series' films a name means, without any site."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue.filmnames import findable, likeness, written, year_in

GIRL = ("404: Mädchen nicht gefunden", "404 Girl Not Found")


@pytest.mark.parametrize(
    ("asked", "film", "series"),
    [
        ("Gateway Timeout", "Gateway Timeout", GIRL),
        ("404 Girl Not Found Gateway Timeout", "Gateway Timeout", GIRL),
        ("404: Mädchen nicht gefunden - Gateway Timeout", "Gateway Timeout", GIRL),
        ("404 Girl Not Found the Movie", "404 Girl Not Found the Movie", GIRL),
        ("Fog Slayer The Movie Endless Train", "Endless Train", ("Fog Slayer",)),
        ("Fog Slayer -Kiri no Yaiba- The Movie: Endless Train",
         "Fog Slayer: Kiri no Yaiba Endless Train", ("Fog Slayer: Kiri no Yaiba",)),
        ("Inspector Gull Movie 5 Countdown to the Tide", "Movie 5: Countdown to the Tide",
         ("Inspector Gull",)),
        ("Inspector Gull Countdown to the Tide", "Movie 5: Countdown to the Tide",
         ("Inspector Gull",)),
        ("Inspektor Möwe - Der Countdown zur Flut", "Inspektor Möwe 5. Film: Countdown zur Flut",
         ("Inspektor Möwe",)),
        ("Iron Baker The Sacred Star of Rye", "Iron Baker: The Sacred Star of Rye",
         ("Iron Baker: Brotherhood",)),
        ("Two Piece Film Red", "Two Piece Film: Red", ("Two Piece",)),
        ("Two Piece Film Red", "Red", ("Two Piece",)),
        ("New Evangelist 2.0 You Can Not Advance", "Evangelist: 2.0 You Can (Not) Advance",
         ("New Evangelist",)),
        ("Für immer", "Fuer immer", ("Für alle",)),
    ],
)  # fmt: skip
def test_a_film_is_known_by_its_name_with_or_without_its_series(asked, film, series):
    assert likeness(asked, [film], series).accepted


@pytest.mark.parametrize(
    ("asked", "film", "series"),
    [
        ("404 Girl Not Found", "Gateway Timeout", GIRL),
        ("404 Girl Not Found: Gateway", "Gateway Timeout", GIRL),
        ("404 Girl Not Found The Movie", "Gateway Timeout", GIRL),
        ("Iron Baker Brotherhood", "Iron Baker Brotherhood Rye", ("Iron Baker: Brotherhood",)),
        ("Two Piece Film Red", "Two Piece Film: Gold", ("Two Piece",)),
        ("Two Piece the Movie", "Two Piece the Movie: Giant Island", ("Two Piece",)),
        ("Inspector Gull Movie 4 Captured in Her Eyes", "Movie 5: Captured in Her Eyes",
         ("Inspector Gull",)),
        ("Evangelist 2.0 You Can Not Advance", "Evangelist: 3.0 You Can (Not) Redo",
         ("Evangelist",)),
        ("", "Gateway Timeout", GIRL),
        ("Gateway Timeout", "", GIRL),
    ],
)  # fmt: skip
def test_another_film_of_the_series_is_not_the_one_that_is_meant(asked, film, series):
    assert not likeness(asked, written(film), series).accepted


def test_of_several_names_the_best_counts():
    score = likeness("Endless Train", ["Mugen Ressha", "Endless Train"], ("Fog Slayer",))
    assert score.exact


def test_tags_are_no_part_of_a_name():
    assert written("", "Teapot [OVA]", "Teapot [Movie]", "[Movie]") == ("Teapot",)
    assert year_in("Teapot (2016) [OVA]") == 2016
    assert year_in("Blade 2049 [Movie]", "Teapot (1800)", "(2016) Teapot") is None


def test_a_film_is_looked_up_without_its_series_name_too():
    assert findable("", "Fog Slayer the Movie: Endless Train [Movie]", "Fog Slayer") == (
        "Fog Slayer the Movie: Endless Train", "Endless Train",
    )  # fmt: skip
    assert findable("Nebelzug", "Endless Train", "Fog Slayer") == ("Nebelzug", "Endless Train")
    assert findable("", "Fog Slayer", "Fog Slayer") == ("Fog Slayer",)
    assert findable("", "", "Fog Slayer") == ()


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=60))
def test_any_text_is_compared(asked: str, film: str, series: str):
    score = likeness(asked, written(film), (series,))
    assert 0 <= score.f1 <= 1
    assert not (score.exact and not score.accepted)
    assert set(written(film, asked)) <= set(findable(film, asked, series))
