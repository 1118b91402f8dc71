"""Which titles are the same, and that the index finds what comparing every name would find."""

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from catalogue.matching import ACCEPT, TitleIndex, compare, parse, score, title_key

SAME = [
    ("Naruto Shippuden", "Naruto: Shippuden"),
    ("SPY×FAMILY", "Spy Family"),
    ("911", "9-1-1"),
    ("9-1-1 Lone Star", "911: Lone Star"),
    ("Für immer", "Fuer immer"),
    ("Fur immer", "Für immer"),
    ("Die Schlumpfe", "Die Schluempfe"),
    ("Fünf Freunde", "Fuenf Freunde"),
    ("Weiße Rose", "Weisse Rose"),
    ("Pokemon", "Pokémon"),
    ("Cafe Minamdang", "Café Minamdang"),
    ("Shōgun", "Shogun"),
    ("Søren", "Soeren"),
    ("Don't Toy with Me, Miss Nagatoro", "Don’t Toy With Me Miss Nagatoro"),
    ("Tom & Jerry", "Tom and Jerry"),
    ("S.W.A.T.", "SWAT"),
    ("Marvel's Agents of S.H.I.E.L.D.", "Agents of SHIELD"),
    ("The Office US", "The Office"),
    ("the office us", "The Office (US)"),
    ("Ghosts (US)", "Ghosts US"),
    ("Ghosts (UK)", "Ghosts (GB)"),
    ("Shameless USA", "Shameless (US)"),
    ("This Is Us", "This is us"),
    ("the last of us 2023", "The Last of Us"),
    ("Us 2019", "Us"),
    ("Cosmos 2014", "Cosmos (2014)"),
    ("Cosmos (2014)", "Cosmos"),
    ("Hunter x Hunter", "Hunter × Hunter (2011)"),
    ("One Piece 2023", "One Piece (2023)"),
    ("Dune 2021", "Dune (2022)"),
    ("Wonder Woman 1984 2020", "Wonder Woman 1984"),
    ("Blade Runner 2049 2017", "Blade Runner 2049"),
    ("2012 2009", "2012"),
    ("1923", "1923 (2022)"),
    ("2001: A Space Odyssey 1968", "2001 A Space Odyssey"),
    ("Mob Psycho 100 II", "Mob Psycho 100 Season 2"),
    ("Mob Psycho 100 2nd Season", "Mob Psycho 100 S2"),
    ("Overlord Staffel 3", "Overlord III"),
    ("Overlord Season 1", "Overlord"),
    ("Attack on Titan Season 3 Part 2", "Attack on Titan S3 Pt. 2"),
    ("Rocky II", "Rocky 2"),
    ("Saw V", "Saw 5"),
    ("Final Fantasy VII", "Final Fantasy 7"),
    ("Kill Bill Vol. 2", "Kill Bill Volume II"),
    ("Alien³", "Alien 3"),
    ("Demon Slayer Kimetsu no Yaiba", "Demon Slayer: Kimetsu no Yaiba"),
    ("Star Wars The Clone Wars", "Star Wars: The Clone Wars"),
    ("The Lord of the Rings", "Lord of the Rings"),
    ("86 EIGHTY-SIX", "86 Eighty Six"),
    ("24", "24"),
    ("V", "V"),
    ("The The", "the the"),
    ("進撃の巨人", "進撃の巨人"),
    ("Мастер и Маргарита", "Мастер и Маргарита"),
    ("The Walking Dead", "Walking Dead"),
    ("Grey's Anatomy", "Greys Anatomy"),
]

DIFFERENT = [
    ("One Punch Man", "Man"),
    ("Man", "One Punch Man"),
    ("The Promised Neverland", "Promised"),
    ("Naruto", "Naruto Shippuden"),
    ("Naruto Shippuden", "Naruto"),
    ("Bleach Thousand Year Blood War", "Bleach"),
    ("Bleach", "Bleach Thousand Year Blood War"),
    ("Attack on Titan", "Shingeki no Kyojin"),
    ("Kaguya-sama: Love is War", "Kaguya-sama wa Kokurasetai"),
    ("Rocky", "Rocky II"),
    ("Rocky II", "Rocky III"),
    ("Rocky 2", "Rocky 3"),
    ("Saw V", "Saw VI"),
    ("Mob Psycho", "Mob Psycho 100"),
    ("Overlord Season 2", "Overlord"),
    ("Overlord II", "Overlord Season 3"),
    ("Kill Bill Vol. 1", "Kill Bill Vol. 2"),
    ("The Office (US)", "The Office (UK)"),
    ("Ghosts US", "Ghosts (UK)"),
    ("Cosmos (1980)", "Cosmos (2014)"),
    ("Dune 1984", "Dune (2021)"),
    ("Blade Runner", "Blade Runner 2049"),
    ("9-1-1", "9-1-1: Lone Star"),
    ("9-1-1 Lone Star", "9-1-1"),
    ("24", "24: Legacy"),
    ("District 9", "9"),
    ("1923", "1883"),
    ("Game of Thrones", "Thrones"),
    ("House", "House of Cards"),
    ("House of the Dragon", "House"),
    ("Law and Order", "Law & Order: Special Victims Unit"),
    ("CSI: Miami", "CSI: Vegas"),
    ("The Last of Us", "The Last Ship"),
    ("Joe", "Jo"),
    ("かき", "がき"),
    ("Dragon Ball", "Dragon"),
]


@pytest.mark.parametrize(("query", "name"), SAME)
def test_a_title_is_recognised_however_it_is_written(query: str, name: str):
    assert score(query, name).accepted, score(query, name)


@pytest.mark.parametrize(("query", "name"), DIFFERENT)
def test_another_title_is_not_taken_for_it(query: str, name: str):
    assert not score(query, name).accepted, score(query, name)


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("naruto", "Naruto", 16.5),
        ("SPY×FAMILY", "Spy Family", 16.5),
        ("naruto shippuden", "Naruto", 6.57),
        ("One Punch Man", "Man", 5.76),
        ("The Promised Neverland", "Promised", 6.57),
        ("Bleach Thousand Year Blood War", "Bleach", 5.08),
        ("Kaguya-sama: Love is War", "Kaguya-sama wa Kokurasetai", 3.35),
        ("Attack on Titan", "Shingeki no Kyojin", 0.0),
    ],
)
def test_the_score_is_the_documented_formula(query: str, name: str, value: float):
    assert score(query, name).value == pytest.approx(value, abs=0.005)


def test_a_verdict_says_why():
    assert score("Naruto", "Bleach").reason == "no word in common"
    assert score("Rocky", "Rocky II").reason == "numbers differ"
    assert score("Cosmos 1980", "Cosmos 2014").reason == "years differ"
    assert score("Ghosts US", "Ghosts UK").reason == "countries differ"
    assert score("One Punch Man", "Man").reason == "too little of the query"
    assert score("Man", "One Punch Man").reason == "too little of the name"
    assert score("911", "9-1-1").reason == "equal"


def test_a_longer_title_may_lack_a_word_and_a_short_one_may_not():
    assert score("red green blue", "red green blue black").accepted
    assert score("red green blue black", "red green blue").accepted
    assert not score("red green", "red green blue").accepted
    assert not score("red green blue", "red green").accepted
    assert not score("red green blue", "red green blue one two three").accepted


def test_no_word_stands_in_the_place_of_another():
    told = score("red green blue white", "red green blue black")
    assert (told.accepted, told.reason) == (False, "each has a word that the other lacks")


def test_a_spin_off_is_not_the_show_itself():
    index = TitleIndex(
        [("sto", "std", "Star Trek: Discovery"), ("sto", "st", "Star Trek"), ("sto", "x", "Star")]
    )
    assert [hit.slug for hit in index.search("Star Trek")] == ["st"]
    assert index.search("Star Trek: Picard") == []


def test_precision_is_the_names_share_and_recall_the_querys():
    part = score("one punch man", "man")
    assert (part.precision, part.recall) == (1.0, pytest.approx(1 / 3))


def test_a_title_without_letters_matches_nothing_and_breaks_nothing():
    assert not score("!!!", "!!!").accepted
    assert TitleIndex([("sto", "x", "…")]).search("…") == []
    assert title_key(" !? ") == "!?"


def test_equal_titles_have_one_key():
    assert title_key("9-1-1") == title_key("911") == "911"
    assert title_key("Für Élise") == title_key("FUER ELISE")


@given(st.text(max_size=60))
def test_a_name_that_equals_the_query_is_always_accepted(name: str):
    words = parse(name)
    assume(words.text)
    verdict = score(name, name)
    assert verdict.accepted
    assert verdict.value == pytest.approx(16.5)


@given(st.text(max_size=40), st.text(max_size=40))
def test_equality_containment_and_f1_do_not_depend_on_the_direction(left: str, right: str):
    there, back = score(left, right), score(right, left)
    assert (there.exact, there.contained, there.f1) == (back.exact, back.contained, back.f1)
    assert (there.precision, there.recall) == (back.recall, back.precision)


@given(st.text(max_size=80))
def test_the_parts_of_a_title_are_among_its_words(text: str):
    words = parse(text)
    assert words.core <= words.tokens
    assert words.marks <= words.tokens
    assert not words.core & words.marks
    assert bool(words.core) == bool(words.tokens) == bool(words.text)


def test_an_endless_title_is_compared_by_its_beginning():
    assert score("tale " + "a " * 100_000 + "end", "Tale").f1 == 1.0
    assert parse("9" * 100_000).numbers == {"9" * 400}


Row = tuple[str, str, str]
Found = list[tuple[str, str, str, float]]


def naive(rows: Iterable[Row], query: str, sites: set[str] | None = None) -> Found:
    """Every name compared; a title's first best name counts."""
    best: dict[tuple[str, str], tuple[float, int, str]] = {}
    for place, (site, slug, name) in enumerate(rows):
        verdict = compare(parse(query), parse(name))
        wanted = sites is None or site in sites
        if verdict.accepted and wanted and verdict.value > best.get((site, slug), (0, 0, ""))[0]:
            best[site, slug] = (verdict.value, place, name)
    ranked = sorted(best.items(), key=lambda one: (-one[1][0], one[1][1]))
    return [(*key, name, value) for key, (value, _, name) in ranked]


def found(index: TitleIndex, query: str, **options) -> Found:
    return [
        (hit.site, hit.slug, hit.name, hit.score.value) for hit in index.search(query, **options)
    ]


WORDS = st.sampled_from(
    [
        *("love", "war", "hero", "king", "night", "the", "of", "und", "x", "us", "US", "(US)"),
        *("(UK)", "2", "II", "V", "100", "(2019)", "2014", "Season 2", "S3", "Part 1", "für"),
        *("fuer", "fur", "9-1-1", "911", "S.H.I.E.L.D.", "shield", "don't", "&", "blue", "がき"),
    ]
)
NAMES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join) | st.text(max_size=12)
ROWS = st.lists(
    st.tuples(st.sampled_from(["aniworld", "sto"]), st.sampled_from("abcdefgh"), NAMES),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ROWS, NAMES, st.integers(1, 6))
def test_the_index_finds_what_comparing_every_name_finds(rows: list[Row], query: str, limit: int):
    index = TitleIndex(rows)
    expected = naive(rows, query)
    assert found(index, query, limit=1000) == expected
    assert found(index, query, limit=limit) == expected[:limit]
    assert found(index, query, sites={"sto"}) == naive(rows, query, {"sto"})[:20]
    for hit in index.search(query):
        assert hit.score == compare(parse(query), parse(hit.name))


def test_the_index_agrees_on_a_larger_catalogue():
    rng = random.Random(3)
    common = ["love", "war", "hero", "king", "night", "star", "red", "blue", "dark", "high"]
    rare = [f"{a}{b}" for a in "bdfgklm" for b in ("ano", "eri", "uku", "iso", "ora")]

    def name() -> str:
        words = [
            rng.choice(common if rng.random() < 0.6 else rare) for _ in range(rng.randint(1, 5))
        ]
        return " ".join(words) + rng.choice(["", "", "", " 2", " II", " (2019)"])

    rows = [("sto", f"t{number // 2}", name()) for number in range(1500)]
    index = TitleIndex(rows)
    for query in [name() for _ in range(25)]:
        expected = naive(rows, query)
        assert found(index, query, limit=10_000) == expected
        assert found(index, query, limit=3) == expected[:3]


def test_a_title_answers_once_with_its_best_name():
    index = TitleIndex(
        [
            ("sto", "aot", "Shingeki no Kyojin"),
            ("sto", "aot", "Attack on Titan"),
            ("sto", "aot", "Attack on a Titan Wall"),
        ]
    )
    [hit] = index.search("attack on titan")
    assert (hit.site, hit.slug, hit.name) == ("sto", "aot", "Attack on Titan")
    assert hit.score.exact
    assert hit.score.value > ACCEPT


def test_equally_good_titles_keep_their_order():
    rows = [("b", "2", "Sintel"), ("a", "1", "Sintel"), ("a", "0", "Sintel")]
    assert [(h.site, h.slug) for h in TitleIndex(rows).search("Sintel")] == [
        ("b", "2"),
        ("a", "1"),
        ("a", "0"),
    ]


def test_a_number_written_with_dashes_is_found_without_them():
    [hit] = TitleIndex([("sto", "9-1-1", "9-1-1")]).search("911")
    assert hit.score.exact


def test_only_the_asked_sites_answer():
    index = TitleIndex([("a", "x", "Sintel"), ("b", "y", "Sintel")])
    assert [hit.site for hit in index.search("Sintel", sites=["b"])] == ["b"]
    assert index.search("Sintel", sites=[]) == []
    assert index.search("Sintel", sites={"nowhere"}) == []


def test_repeated_names_are_held_once():
    index = TitleIndex([("playlist", "show", "Sintel")] * 1000 + [("playlist", "show", "…")])
    assert len(index) == 1


def test_an_empty_index_and_an_empty_query_give_nothing():
    assert TitleIndex([]).search("Sintel") == []
    index = TitleIndex([("a", "x", "Sintel")])
    assert index.search("") == []
    assert index.search("Sintel", limit=0) == []


def test_many_threads_may_search_at_once():
    index = TitleIndex([("a", f"s{number}", f"hero number{number} tale") for number in range(500)])
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda number: index.search(f"hero number{number} tale")[0], range(500))
    assert [hit.slug for hit in answers] == [f"s{number}" for number in range(500)]


def test_a_broken_character_comes_out_as_it_went_in():
    [hit] = TitleIndex([("a", "x", "Sintel \ud800")]).search("Sintel")
    assert hit.name == "Sintel \ud800"
