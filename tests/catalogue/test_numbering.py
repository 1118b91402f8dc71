from hypothesis import given
from hypothesis import strategies as st

from catalogue import numbering
from catalogue.metadata import Show, ShowEpisode


def test_the_metadatas_numbers_count_when_it_has_any():
    show = Show(1, "X", episodes=(ShowEpisode(0, 1, 99, "OVA"), ShowEpisode(2, 1, 13, "First")))
    numbers = numbering.from_show(show)
    assert numbers.episode(13) == (2, 1)
    assert numbers.absolute(2, 1) == 13
    assert numbers.episode(99) is None, "specials are not counted"
    assert not numbers.counted


def test_a_show_without_absolute_numbers_says_nothing():
    assert numbering.from_show(Show(1, "X", episodes=(ShowEpisode(1, 1, None, "A"),))) is None


def test_a_site_is_counted_season_after_season_without_films():
    numbers = numbering.from_seasons({0: 4, 1: 12, 2: 13})
    assert numbers.episode(12) == (1, 12)
    assert numbers.episode(13) == (2, 1)
    assert numbers.episode(26) is None
    assert numbers.counted


def test_counting_stops_before_a_season_that_is_missing():
    numbers = numbering.from_seasons({1: 3, 2: 2, 4: 3})
    assert numbers.episode(5) == (2, 2)
    assert numbers.episode(6) is None


@given(st.lists(st.integers(0, 60), max_size=8))
def test_both_directions_agree(counts: list[int]):
    numbers = numbering.from_seasons(dict(enumerate(counts, start=1)))
    for absolute, (season, episode) in numbers.to_episode.items():
        assert numbers.absolute(season, episode) == absolute
    assert len(numbers.to_episode) == sum(counts)
