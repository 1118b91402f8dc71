"""Titles taken apart: one spelling for what is written differently, and what a word of a title is there for.

«Für», «Fur» and «Fuer» meet, and so do «Season 2», «S2», «Part II» and «2nd Season». Pure: text in, facts out.
"""

import re
from dataclasses import dataclass
from typing import Final

from anibridge.lib.text import fold

MAX_TEXT: Final = 400
"""Longer titles are compared by their beginning, so that no input can make a comparison slow."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _numbered(text: str) -> dict[str, str]:
    return {word: str(number) for number, word in enumerate(text.split(), 1)}


STOP_WORDS: Final = _words("a an and das de del der die du el en et la le les los of the und y")
_SEASON_WORDS = _words(
    "season seasons staffel saison temporada series part pt parte teil cour vol volume"
)
_ORDINALS = _numbered(
    "first second third fourth fifth sixth seventh eighth ninth tenth"
) | _numbered("erste zweite dritte vierte funfte sechste siebte achte neunte zehnte")
# Who publishes it stands before some names and not before others: «Marvel's Daredevil», «DC's Legends of Tomorrow».
_BRANDS = _words("marvels dcs disneys")
_NUMBER_WORDS = _numbered("one two three four five six seven eight nine ten")
_ROMAN = _numbered("i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx")
_AGAIN = " again"
"""Behind a word for the second time that it comes; no word ends so."""
_OTHER_NAMES = {"usa": "us", "uk": "gb"}
# Safe to recognise without brackets; «de», «it», «in» and others are words too often.
_BARE_COUNTRIES = {code: code for code in _words("us gb au nz jp kr")} | _OTHER_NAMES
_COUNTRIES = _BARE_COUNTRIES | {
    code: code for code in _words("at be br ca ch cn de dk es fi fr ie in it mx nl no pl se tr")
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
    """What the score counts: words without stop words, or all of them when nothing else is there. Sequels count
    as their number, however they are written."""
    core: frozenset[str]
    """What has to be covered: tokens without numbers, years, country and season marks. Empty only without tokens."""
    marks: frozenset[str]
    """The tokens left out of `core` for what they mean; the other title may use them as ordinary words."""
    numbers: frozenset[str]
    """Numbers in arabic digits. A first season or part is the same as none and is left out."""
    years: frozenset[int]
    countries: frozenset[str]


def title_key(text: str) -> str:
    """The alnum form of a title, by which equal titles are known; of a title without letters and digits, itself."""
    return parse(text).text or " ".join(text[:MAX_TEXT].split()).casefold()


def parse(text: str) -> Words:
    """Takes a title apart. Never fails; a title without letters and digits has no words."""
    plain = _plain(text[:MAX_TEXT])
    raws, bracketed = _runs(plain)
    words = [_canonical(raw) for raw in raws]
    seasons = _season_marks(words)
    years, countries, dated = _edition(raws, words, bracketed, seasons, plain)
    numbers = {number for number in seasons.values() if number}
    terms = set(numbers)
    title: set[str] = set()  # neither edition nor season
    core: set[str] = set()
    last = len(words) - 1
    for place, word in enumerate(words):
        if place in seasons:
            continue
        number = "" if place in dated else _number(word, place, last)
        term = number or word
        if word in core and place not in dated and word not in STOP_WORDS:
            # «Hunter x Hunter» is not «Hunter»: a word that comes again is one more to be shared.
            term += _AGAIN
        terms.add(term)
        if place in dated:
            continue
        title.add(term)
        if number:
            numbers.add(number)
        elif not ((word == "x" and 0 < place < last) or (word in _BRANDS and not place)):
            core.add(term)
    tokens = frozenset(terms - STOP_WORDS or terms)
    # Without any other word the numbers are the title («The 100», «1923 (2022)»), or the stop words («The The»).
    core = core - STOP_WORDS or title - STOP_WORDS or set(tokens)
    return Words(
        text="".join(words),
        tokens=tokens,
        core=frozenset(core),
        marks=(tokens - core) - {"x"} - _BRANDS,
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
    """Places of «Season 2», «2nd Season», «S2», «Part II» with their number, "" for the word beside it and for 1.
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
    return {place: "" if number == "1" else number for place, number in marks.items()}


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
    """The number of «2nd», «zweite» or the «2.» of «2. Staffel», whose full stop is gone by now."""
    found = _ORDINAL_TOKEN.fullmatch(word)
    if found:
        return found[1]
    if word.isascii() and word.isdigit() and len(word) <= 2:
        return word.lstrip("0")
    return _ORDINALS.get(word, "")
