"""Real titles against the rules of matching."""

import pytest

from catalogue.matching import TitleIndex, score
from tests.catalogue.pairs import MATCH, NO_MATCH

EVERY = (*MATCH, *NO_MATCH)


@pytest.mark.parametrize(("query", "name"), MATCH)
def test_the_same_title_is_recognised(query: str, name: str):
    found = score(query, name)
    assert found.accepted, found


@pytest.mark.parametrize(("query", "name"), NO_MATCH)
def test_another_title_is_not_taken_for_it(query: str, name: str):
    found = score(query, name)
    assert not found.accepted, found


def test_there_are_many_pairs_and_none_twice():
    assert len(MATCH) + len(NO_MATCH) >= 200
    assert len(set(EVERY)) == len(EVERY)


def test_the_index_answers_as_comparing_each_name_does():
    names = list(dict.fromkeys(name for _, name in EVERY))
    index = TitleIndex(("site", str(number), name) for number, name in enumerate(names))
    for query, _ in EVERY:
        told = {hit.slug for hit in index.search(query, limit=len(names))}
        assert told == {str(n) for n, name in enumerate(names) if score(query, name).accepted}


def test_the_right_title_comes_first_among_all_of_them():
    names = list(dict.fromkeys(name for _, name in EVERY))
    index = TitleIndex(("site", str(number), name) for number, name in enumerate(names))
    for query, name in MATCH:
        best = index.search(query, limit=1)[0]
        # Where two are called so, either is right; a lesser one never is.
        assert best.score.value >= score(query, name).value
