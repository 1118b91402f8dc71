"""What the films of a series are called, and which of them a name means. Pure.

A site writes «Fogworks the Movie: The Long Fog [Movie]», «Movie 2: The Long Fog» or just «The Long Fog»; whoever asks
writes «Fogworks: The Long Fog». A series has several films, and a wrong one would be imported as the one that was asked
for. So the series' own words and the word «movie» count on neither side, and of what is left most must be shared.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from catalogue.matching import Score, compare
from catalogue.words import parse

_TAG = re.compile(r"\[[^\]]*\]")
_KIND = re.compile(
    r"(?:\b(\d{1,2})\.\s*|\bthe[\s:]+|\bder[\s:]+|\b)(?:movie|film|kinofilm|gekijouban)\b(?:[\s:]+(\d{1,2})\b)?",
    re.I,
)
_YEAR = re.compile(r"\((19\d\d|20\d\d)\)\s*$", re.ASCII)
_RUN = re.compile(r"[^\W_]+(?:['’`´][^\W_]+)*")
NO_NAME = Score(0.0, reason="none of its films is called so")


def written(*titles: str) -> tuple[str, ...]:
    """The names of a film without the site's tags («[Movie]»), each once; none that is empty."""
    names = (" ".join(_TAG.sub(" ", title).split()) for title in titles)
    return tuple(dict.fromkeys(name for name in names if name))


def findable(german: str, english: str, series: str) -> tuple[str, ...]:
    """Under which names a film is looked up: as it is written, and without the series' name in front."""
    whole = written(german, english)
    beginning = parse(series).text
    rests = []
    for name in whole:
        runs = list(_RUN.finditer(name))
        at = next((run.end() for run in runs if parse(name[: run.end()]).text == beginning), 0)
        rests.append(_bare(name[at:].strip(" :-–.,")))
    return tuple(dict.fromkeys([*whole, *(rest for rest in rests if parse(rest).text)]))


def year_in(*titles: str) -> int | None:
    """The year in brackets that a film's name ends with."""
    found = (_YEAR.search(name) for name in written(*titles))
    return next((int(year[1]) for year in found if year), None)


def says_no_more(asked: str, names: Iterable[str]) -> bool:
    """Whether a query has no word that one of these names has not: «Ghost Harbour Returns» is not «Ghost Harbour»."""
    wanted = parse(_bare(asked))
    told = map(parse, names)
    return any(wanted.text == one.text or wanted.tokens <= one.tokens for one in told)


def likeness(asked: str, film: Iterable[str], series: Sequence[str]) -> Score:
    """How well the best of a film's names is what was asked for; `series` is what the series is called."""
    scores = [_likeness(asked, name, series) for name in film]
    return max(scores, key=lambda one: (one.exact, one.accepted, one.value), default=NO_NAME)


def _likeness(asked: str, name: str, series: Sequence[str]) -> Score:
    mine, other = _number(asked), _number(name)
    if mine and other and mine != other:
        return replace(NO_NAME, reason="numbers differ")
    wanted = {parse(text).text for text in (asked, _bare(asked))} - {""}
    for text in (name, *(f"{one} {name}" for one in series)):
        same = {parse(text).text, parse(_bare(text)).text} & wanted
        if same:
            return compare(parse(word := same.pop()), parse(word))
    own = {parse(word).text for one in series for word in _RUN.findall(one)}
    left, right = _without(_bare(asked), own), _without(_bare(name), own)
    return compare(parse(left), parse(right)) if left and right else NO_NAME


def _number(text: str) -> str:
    """«Movie 5: Countdown» is the fifth film, and so is «Der 5. Film»."""
    found = _KIND.search(text)
    return (found[1] or found[2] or "").lstrip("0") if found else ""


def _bare(text: str) -> str:
    """A name without «the Movie» and its number; a name that is nothing else has no other."""
    rest = " ".join(_KIND.sub(" ", text).split()).strip(" :-–")
    return rest if parse(rest).text else text


def _without(text: str, words: set[str]) -> str:
    return " ".join(word for word in _RUN.findall(text) if parse(word).text not in words)
