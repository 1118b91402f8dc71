"""What a client's words ask for: title, season, episode, absolute number, year. Pure: whether it is so, the index says."""

import re

from catalogue.matching import parse

MAX_QUERY = 400
_NUMBERED = re.compile(
    r"""(?ix) ^(?P<title>.+?) [\s._-]+ (?:
        s(?P<season>\d{1,4}) (?: [\s._-]*e(?P<episode>\d{1,5}) )?
        | (?P<x_season>\d{1,2}) x (?P<x_episode>\d{1,4})
        | (?:season|staffel) [\s._-]* (?P<w_season>\d{1,4}) [\s,._-]+
          (?:episode|folge|ep) [\s._-]* (?P<w_episode>\d{1,5})
    ) \b .*$"""
)
_WORD = re.compile(r"[^\W_]+")
_SEASON_WORDS = frozenset({"season", "staffel", "saison", "temporada"})
# Sonarr writes absolute numbers with two digits at least; from 1900 on it is a year.
_ABSOLUTE = re.compile(r"(?P<title>.*\S)\s+(?P<number>[0-9]{2,3}|1[0-8][0-9]{2})", re.ASCII)
_YEAR = re.compile(r"(?P<title>.*\w.*?)[\s._(\[-]+(?P<year>19\d\d|20[0-3]\d)[)\]]?", re.ASCII)


def split_query(query: str) -> tuple[str, int | None, int | None]:
    """A free-text query as title, season and episode: «Sintel S01E02» → («Sintel», 1, 2)."""
    asked = query[:MAX_QUERY].strip()
    match = _NUMBERED.match(asked)
    if not match:
        return asked, None, None
    season = match["season"] or match["x_season"] or match["w_season"]
    episode = match["episode"] or match["x_episode"] or match["w_episode"]
    return match["title"], int(season), int(episode) if episode else None


def split_season(query: str) -> tuple[str, int] | None:
    """«Title Season 2», «Title 2nd Season» or «Title, 2. Staffel» as title and season; None without such an end.

    Whether it is one is for the index to say: there are titles that are called so.
    """
    runs = list(_WORD.finditer(query))
    ends = [run[0].casefold() for run in runs[-2:]]
    title = query[: runs[-2].start()].rstrip(" .,:;([_-") if len(runs) > 2 else ""
    if not title or _SEASON_WORDS.isdisjoint(ends):
        return None
    first, last = ends
    if first.isdecimal() and last in _SEASON_WORDS:
        return title, int(first[:6])
    # Read where it cannot be the beginning of a title, by the rules that titles are compared by.
    words = parse(f"title {first} {last}")
    if words.tokens - words.numbers != {"title"}:
        return None
    return title, int(next(iter(words.numbers), "1"))


def split_absolute(query: str) -> tuple[str, int] | None:
    """«Title 05» as title and number; None without such an end. There are titles that are called so."""
    found = _ABSOLUTE.fullmatch(query.strip())
    return (found["title"], int(found["number"])) if found else None


def split_year(query: str) -> tuple[str, int] | None:
    """«Title 2009» or «Title (2009)» as title and year; None without such an end."""
    found = _YEAR.fullmatch(query.strip())
    return (found["title"].rstrip(), int(found["year"])) if found else None


def holds_number(name: str, number: int) -> bool:
    """Whether a name has the number as a word or within one: «Mob Psycho 100» has 100, «1001 Nights» has not."""
    return re.search(rf"(?<![0-9])0*{number}(?![0-9])", name) is not None


def prefixes(query: str, *, most: int = 12) -> list[tuple[str, str]]:
    """The query cut in two at blanks, the longest beginning first; the rest is more than a number or a year."""
    cuts = [blank.start() for blank in re.finditer(r"\s+", query)][:most]
    halves = ((query[:cut].strip(), query[cut:].strip()) for cut in reversed(cuts))
    return [
        (title, rest)
        for title, rest in halves
        if _WORD.search(title) and any(char.isalpha() for char in rest)
    ]
