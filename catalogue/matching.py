"""Words: how two titles are compared, and when they are the same title.

The score orders candidates. It alone accepts too much ("One Punch Man" against "Man"), and a wrong title is
imported as the one that was asked for; so `Score.accepted` asks more: most of the words of *both* titles must be
shared, and what tells sequels, remakes and national versions apart must not contradict.
"""

import re
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Final

from anibridge.lib.text import fold

ACCEPT: Final = 3.5
MAX_TEXT: Final = 400
"""Longer titles are compared by their beginning, so that no input can make a comparison slow."""

STOP_WORDS: Final = frozenset(
    "a an and das de del der die du el en et la le les los of the und y".split()
)
_SEASON_WORDS = frozenset(
    "season seasons staffel saison temporada series part pt parte teil cour vol volume".split()
)
_ORDINALS = {
    **{"first": "1", "second": "2", "third": "3", "fourth": "4", "fifth": "5", "sixth": "6"},
    **{"erste": "1", "zweite": "2", "dritte": "3", "vierte": "4", "funfte": "5", "sechste": "6"},
}
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate("one two three four five six seven eight nine ten".split(), 1)
}
_ROMAN = {
    word: str(number)
    for number, word in enumerate(
        "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split(), 1
    )
}
# Safe to recognise without brackets. «de», «it», «in» and others are words too often.
_BARE_COUNTRIES = {
    **{"us": "us", "usa": "us", "uk": "gb", "gb": "gb", "au": "au", "nz": "nz"},
    **{"jp": "jp", "kr": "kr"},
}
_COUNTRIES = _BARE_COUNTRIES | {
    code: code for code in "at be br ca ch cn de dk es fi fr ie in it mx nl no pl se tr".split()
}

_RUN = re.compile(r"[^\W_]+")
_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_APOSTROPHES = re.compile("['’‘`´ʼ′ʹ＇]")
_ACRONYM = re.compile(r"\b(?:[^\W\d_]\.){2,}(?:[^\W\d_]\b)?")
_DIGRAPH = re.compile(r"(?<![aeoq])ue(?=[a-z])|[ao]e(?=[a-z])")
_SEASON_TOKEN = re.compile(r"s0*(\d{1,2})", re.ASCII)
_ORDINAL_TOKEN = re.compile(r"0*(\d{1,2})(?:st|nd|rd|th)", re.ASCII)
_LETTERS = str.maketrans(
    {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D"}
    | {"ł": "l", "Ł": "L", "ı": "i", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
)


@dataclass(frozen=True, slots=True)
class Words:
    """A title, ready to be compared."""

    text: str
    """The alnum form: every letter and digit, nothing between them."""
    tokens: frozenset[str]
    """What the score counts: words without stop words, or all of them when nothing else is there."""
    core: frozenset[str]
    """What has to be covered: tokens without numbers, years, country and season marks. Empty only without tokens."""
    marks: frozenset[str]
    """The tokens left out of `core` for what they mean; the other title may use them as ordinary words."""
    numbers: frozenset[str]
    """Numbers in arabic digits. A first season or part is the same as none and is left out."""
    years: frozenset[int]
    countries: frozenset[str]


@dataclass(frozen=True, slots=True)
class Score:
    """How well a name answers a query. `precision` is the share of the name's tokens, `recall` of the query's."""

    value: float
    exact: bool = False
    contained: bool = False
    f1: float = 0.0
    precision: float = 0.0
    recall: float = 0.0
    ratio: float = 0.0
    accepted: bool = False
    reason: str = ""


def score(query: str, name: str) -> Score:
    """Compares a name with a query. A name that equals the query in letters and digits is always accepted."""
    return compare(parse(query), parse(name))


def compare(query: Words, name: Words) -> Score:
    """`score` for titles that are parsed already."""
    shared = len(query.tokens & name.tokens)
    exact = bool(query.text) and query.text == name.text
    if not (shared or exact):
        return Score(0.0, reason="no word in common")
    matcher = SequenceMatcher(None, name.text, query.text)
    grade = measure(matcher, name.text, shared, len(query.tokens), len(name.tokens))
    return judge(grade, contradiction(query, name) or uncovered(query, name))


def measure(
    matcher: "SequenceMatcher[str]", name: str, shared: int, in_query: int, in_name: int
) -> Score:
    """The score of an alnum form, not judged yet. The query's alnum form is the matcher's second sequence,
    which SequenceMatcher analyses once for many names."""
    query = matcher.b
    exact = name == query
    contained = exact or name in query or query in name
    f1, base = weigh(shared, in_query, in_name)
    ratio = 0.0
    if f1 >= 0.2:
        matcher.set_seq1(name)
        ratio = 1.0 if exact else matcher.ratio()
    return Score(
        value=8.0 * exact + 1.5 * contained + base + ratio,
        exact=exact,
        contained=contained,
        f1=f1,
        precision=shared / in_name,
        recall=shared / in_query,
        ratio=ratio,
    )


def weigh(shared: int, in_query: int, in_name: int) -> tuple[float, float]:
    """F1, and the part of the score that the number of shared tokens decides."""
    f1 = 2 * shared / (in_query + in_name)
    return f1, 3 * f1 + 2 * shared / in_name + shared / in_query


def judge(grade: Score, objection: str) -> Score:
    """The verdict: `objection` counts against any name but an equal one."""
    if grade.exact:
        return replace(grade, accepted=True, reason="equal")
    if grade.value < ACCEPT:
        return replace(grade, reason=f"score below {ACCEPT}")
    return replace(grade, accepted=not objection, reason=objection or "enough in common")


def contradiction(query: Words, name: Words) -> str:
    """What says that these are two titles however alike they read; empty when nothing does."""
    if query.numbers != name.numbers:
        return "numbers differ"
    if query.countries and name.countries and not query.countries & name.countries:
        return "countries differ"
    if query.years and name.years:
        # A premiere around New Year has two years, depending on who was asked.
        near = any(abs(mine - other) <= 1 for mine in query.years for other in name.years)
        return "" if near else "years differ"
    return ""


def uncovered(query: Words, name: Words) -> str:
    """Why too few words are shared for one title; empty when enough are."""
    if not enough(len(query.core & (name.core | name.marks)), len(query.core)):
        return "too little of the query"
    if not enough(len(name.core & (query.core | query.marks)), len(name.core)):
        return "too little of the name"
    return ""


def enough(shared: int, count: int) -> bool:
    """At least 0.6, in whole numbers: 3/5 must not depend on rounding."""
    return 5 * shared >= 3 * count


def parse(text: str) -> Words:
    """Takes a title apart. Never fails; a title without letters and digits has no words."""
    plain = _plain(text[:MAX_TEXT])
    raws, bracketed = _runs(plain)
    words = [_canonical(raw) for raw in raws]
    all_words = frozenset(words)
    tokens = all_words - STOP_WORDS or all_words
    numbers: set[str] = set()
    core: set[str] = set()
    seasons = _season_marks(words)
    years, countries, dated = _edition(raws, words, bracketed, seasons, plain)
    last = len(words) - 1
    for place, word in enumerate(words):
        if place in dated or place in seasons:
            continue
        number = _number(word, place, last)
        if number:
            numbers.add(number)
        elif word not in STOP_WORDS and not (word == "x" and 0 < place < last):
            core.add(word)
    if not core:
        # «1923 (2022)», «The 100»: what is neither year nor country is the title then.
        kept = {w for place, w in enumerate(words) if place not in dated and place not in seasons}
        core = (kept - STOP_WORDS) or set(tokens)
    numbers.update(value for value in seasons.values() if value not in ("", "1"))
    return Words(
        text="".join(words),
        tokens=tokens,
        core=frozenset(core),
        marks=(tokens - core) - {"x"},
        numbers=frozenset(numbers),
        years=years,
        countries=countries,
    )


def _plain(text: str) -> str:
    """Accents off, apostrophes closed up, «&» as a word, «S.W.A.T.» as one word. Case is kept."""
    if "&" in text:
        text = text.replace("&", " and ")
    if not text.isascii():
        text = fold(_APOSTROPHES.sub("", text).translate(_LETTERS))
    elif "'" in text or "`" in text:
        text = _APOSTROPHES.sub("", text)
    if "." in text:
        text = _ACRONYM.sub(lambda found: found[0].replace(".", "") + " ", text)
    return text


def _canonical(word: str) -> str:
    """One spelling for «für», «fur» and «fuer». At a word's end «ue» is English («blue»), after a vowel no umlaut."""
    word = word.casefold()
    if "ue" in word or "ae" in word or "oe" in word:
        return _DIGRAPH.sub(lambda found: found[0][0], word)
    return word


def _runs(plain: str) -> tuple[list[str], frozenset[int]]:
    """The runs of letters and digits, and the places of those in brackets."""
    if "(" not in plain and "[" not in plain:
        return _RUN.findall(plain), frozenset()
    found = list(_RUN.finditer(plain))
    spans = [bracket.span() for bracket in _BRACKETS.finditer(plain)]
    inside = (
        place
        for place, run in enumerate(found)
        if any(start < run.start() < end for start, end in spans)
    )
    return [run[0] for run in found], frozenset(inside)


def _season_marks(words: list[str]) -> dict[int, str]:
    """Places of «Season 2», «2nd Season», «S2», «Part II» with their number, "" for the word beside it.
    The first word of a title is never one."""
    marks: dict[int, str] = {}
    for place in range(1, len(words)):
        word = words[place]
        if word in _SEASON_WORDS:
            after = _numeral(words[place + 1]) if place + 1 < len(words) else ""
            before = _ordinal(words[place - 1]) if place > 1 else ""
            if after:
                marks[place], marks[place + 1] = "", after
            elif before:
                marks[place - 1], marks[place] = before, ""
        elif place not in marks and (season := _SEASON_TOKEN.fullmatch(word)):
            marks[place] = season[1]
    return marks


def _edition(
    raws: list[str],
    words: list[str],
    bracketed: frozenset[int],
    seasons: dict[int, str],
    plain: str,
) -> tuple[frozenset[int], frozenset[str], frozenset[int]]:
    """Years and countries that say which edition is meant, and their places: in brackets or at the end.

    In ordinary writing only capitals are a country: «The Office US», but «This Is Us».
    """
    years: set[int] = set()
    countries: set[str] = set()
    places: set[int] = set()
    one_case = plain.islower() or plain.isupper()
    at_end = True
    for place in range(len(words) - 1, 0, -1):
        inside = place in bracketed
        if not (at_end or bracketed):
            break
        if place in seasons:
            continue
        word = words[place]
        year = _year(word) if at_end or inside else 0
        country = _COUNTRIES.get(word) if inside else None
        if at_end and country is None and (one_case or raws[place].isupper()):
            country = _BARE_COUNTRIES.get(word)
        if year:
            years.add(year)
            places.add(place)
        elif country:
            countries.add(country)
            places.add(place)
        else:
            at_end = False
    return frozenset(years), frozenset(countries), frozenset(places)


def _year(word: str) -> int:
    """A year in which something can have been made, else 0: «Blade Runner 2049» names none."""
    if len(word) != 4 or not (word.isascii() and word.isdigit()):
        return 0
    return int(word) if 1900 <= int(word) < 2040 else 0


def _number(word: str, place: int, last: int) -> str:
    """A word's number in arabic digits, else "". «I» is a word; «V» and «X» are numbers only at the end."""
    if word.isascii() and word.isdigit():
        return word.lstrip("0") or "0"
    if place and word in _ROMAN and (len(word) > 1 or (place == last and word != "i")):
        return _ROMAN[word]
    return ""


def _numeral(word: str) -> str:
    if word.isascii() and word.isdigit():
        return (word.lstrip("0") or "0") if len(word) <= 2 else ""
    return _ROMAN.get(word) or _NUMBER_WORDS.get(word, "")


def _ordinal(word: str) -> str:
    found = _ORDINAL_TOKEN.fullmatch(word)
    return found[1] if found else _ORDINALS.get(word, "")
