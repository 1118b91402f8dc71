import pytest

from catalogue import specials
from catalogue.metadata import Show, ShowEpisode
from catalogue.sites.base import EpisodeFacts

SHOW = Show(
    tvdb_id=1,
    title="Kaguya-sama: Love Is War",
    episodes=(
        ShowEpisode(0, 1, None, "Kaguya-sama wa Kokurasetai OVA"),
        ShowEpisode(0, 5, None, "The First Kiss That Never Ends (Part 1)"),
        ShowEpisode(0, 6, None, "The First Kiss That Never Ends (Part 2)"),
        ShowEpisode(1, 1, 1, "I Will Make You Invite Me to a Movie"),
    ),
)
FILMS = (
    EpisodeFacts(0, 1, "", "The First Kiss That Never Ends Part 2 [Movie]"),
    EpisodeFacts(0, 2, "Der erste Kuss, der niemals endet", "The First Kiss That Never Ends Part 1 [Movie]"),
    EpisodeFacts(0, 3, "", "Kaguya-sama wa Kokurasetai [OVA]"),
)  # fmt: skip


def mapped(season: int, episode: int, threshold: float = 0.5) -> tuple[int, int] | None:
    found = specials.for_request(SHOW, season, episode, FILMS, threshold=threshold)
    return None if found is None else (found.source_season, found.source_episode)


def test_the_sites_order_is_not_sonarrs():
    assert mapped(0, 5) == (0, 2)
    assert mapped(0, 6) == (0, 1)
    assert mapped(0, 1) == (0, 3)


def test_a_mapping_keeps_the_number_that_was_asked_for_as_its_alias():
    found = specials.for_request(SHOW, 0, 5, FILMS, threshold=0.5)
    assert (found.alias_season, found.alias_episode) == (0, 5)
    assert 0.5 < found.score <= 1


def test_an_episode_that_no_film_resembles_has_no_mapping():
    assert mapped(1, 1) is None


def test_an_episode_that_the_show_does_not_have_has_no_mapping():
    assert mapped(0, 99) is None


def test_an_equal_number_alone_is_no_resemblance():
    films = (EpisodeFacts(0, 5, "Etwas ganz anderes", "Something Else"),)
    assert specials.for_request(SHOW, 0, 5, films, threshold=0.0) is None


def test_a_stricter_threshold_refuses_what_a_loose_one_takes():
    films = (EpisodeFacts(0, 9, "", "First Kiss"),)
    assert specials.for_request(SHOW, 0, 5, films, threshold=0.5) is not None
    assert specials.for_request(SHOW, 0, 5, films, threshold=1.0) is None


def test_a_query_finds_the_special_by_its_words():
    found = specials.for_query(
        SHOW, "Kaguya sama Love Is War The First Kiss That Never Ends Part 2", FILMS, threshold=0.5
    )
    assert (found.source_episode, found.alias_episode) == (1, 6)


def test_a_query_with_the_series_name_alone_means_no_special():
    assert specials.for_query(SHOW, "Kaguya-sama Love Is War", FILMS, threshold=0.5) is None


@pytest.mark.parametrize(
    ("left", "right", "better_than"),
    [
        ("The Last Wish", "The Last Wish", "The Wish"),
        ("Film Part 2", "Film Part 2", "Film Part 1"),
        ("Über den Wolken", "Uber den Wolken", "Unter den Wolken"),
    ],
)
def test_the_score_prefers_the_right_title(left: str, right: str, better_than: str):
    assert specials.title_score(left, right) > specials.title_score(left, better_than)


def test_scores_stay_between_nothing_and_all():
    assert specials.title_score("A Part 1", "A Part 1") == 1.0
    assert specials.title_score("", "anything") == 0.0
    assert specials.title_score("Part 1", "Part 2") >= 0.0
