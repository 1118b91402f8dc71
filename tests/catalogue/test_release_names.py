"""Release names as a parser reads them that nobody here has written."""

import warnings
from dataclasses import dataclass
from typing import Any

import pytest

from catalogue.releases import STRM_MARKER, Identity, Release

LONG = "Donaudampfschifffahrtsgesellschaft"


@dataclass(frozen=True)
class Read:
    """What the name of a release has to say."""

    title: str
    season: int | None = None
    episode: int | None = None
    size: str | None = "1080p"
    year: int | None = None
    language: str = "German"
    subtitles: str | None = None


def made(title: str, season: int, episode: int | None, **words: Any) -> Release:
    identity = Identity(
        words.pop("site", "aniworld"),
        "a-slug",
        season,
        episode,
        words.pop("language", "German Dub"),
        words.pop("strm", False),
    )
    words = {"group": "ANIWORLD", "original_language": "Japanese", "height": 1080} | words
    return Release(identity, title, **words)


SUBBED = {"language": "German Sub"}
ENGLISH = {"language": "English Sub"}
DUBS_AND_SUBS = [
    (made("One Piece", 1, 5), Read("One Piece", 1, 5)),
    (made("One Piece", 1, 5, language="English Dub"), Read("One Piece", 1, 5, language="English")),
    (
        made("One Piece", 1, 5, **SUBBED),
        Read("One Piece", 1, 5, language="Japanese", subtitles="German"),
    ),
    (
        made("One Piece", 1, 5, **ENGLISH, height=576),
        Read("One Piece", 1, 5, "576p", language="Japanese", subtitles="English"),
    ),
    (made("Naruto", 1, 3, height=None), Read("Naruto", 1, 3, None)),
    (made("Naruto", 0, 3, height=480), Read("Naruto", 0, 3, "480p")),
    (made("Show", 1, 1135, height=2160), Read("Show", 1, 1135, "2160p")),
]
TITLES = [
    ("Für immer", "Fuer immer"),
    ("Die Größten der Straße", "Die Groessten der Strasse"),
    ("Käpt'n Grünspan & die Möwen", "Kaeptn Gruenspan and die Moewen"),
    ("Pokémon", "Pokemon"),
    ("Don't Look Up", "Dont Look Up"),
    ("Tom & Jerry", "Tom and Jerry"),
    ("Re:ZERO -Starting Life in Another World-", "Re ZERO Starting Life in Another World"),
    ("That Time I Got Reincarnated as a Slime", "That Time I Got Reincarnated as a Slime"),
    ("Mob Psycho 100", "Mob Psycho 100"),
    ("86", "86"),
    ("86 Eighty-Six", "86 Eighty Six"),
    ("9-1-1", "9.1.1."),  # taken for an acronym; to compare titles, clients leave such dots out
    ("91 Days", "91 Days"),
    ("Zom 100: Bucket List of the Dead", "Zom 100 Bucket List of the Dead"),
    ("404: Mädchen nicht gefunden", "404 Maedchen nicht gefunden"),
    ("進撃の巨人", "進撃の巨人"),
    ("Мастер и Маргарита", "Мастер и Маргарита"),
    (LONG, LONG),
]
PACKS = [
    (made("Naruto", 2, None, height=540), Read("Naruto", 2, None, "540p")),
    (made("Mob Psycho 100", 1, None), Read("Mob Psycho 100", 1)),
    (made("86", 1, None), Read("86", 1)),
    (
        made("Für immer", 12, None, **SUBBED),
        Read("Fuer immer", 12, language="Japanese", subtitles="German"),
    ),
    (made(LONG, 1, None), Read(LONG, 1)),
]
SPECIALS = [
    (made("Naruto", 0, 3, alias=(0, 7)), Read("Naruto", 0, 7)),
    (
        made("404 Girl Not Found", 0, 1, alias=(0, 12), **SUBBED),
        Read("404 Girl Not Found", 0, 12, language="Japanese", subtitles="German"),
    ),
    (made("Naruto", 0, 3, alias=(2, 14)), Read("Naruto", 2, 14)),
]
FILMS = [
    (made("Sintel", 0, 0, year=2010), Read("Sintel", year=2010)),
    (made("Sintel", 0, 0), Read("Sintel")),
    (made("Blade Runner 2049", 0, 0, year=2017), Read("Blade Runner 2049", year=2017)),
    (made("2012", 0, 0, year=2009), Read("2012", year=2009)),
    (made("Wonder Woman 1984", 0, 0, year=2020), Read("Wonder Woman 1984", year=2020)),
    (made("Das Haus der tausend Lampen", 0, 1, year=2018, film=True),
     Read("Das Haus der tausend Lampen", year=2018)),
    (made("404: Girl Not Found - Gateway Timeout", 0, 1, year=2016, film=True, **SUBBED),
     Read("404 Girl Not Found Gateway Timeout", year=2016, language="Japanese", subtitles="German")),
    (made("Mob Psycho 100 Movie", 0, 2, year=2018, film=True), Read("Mob Psycho 100 Movie", year=2018)),
    (made(LONG, 0, 0, year=1999), Read(LONG, year=1999)),
]  # fmt: skip
OF_TITLES = [
    (made(title, 3, 12, **words), Read(read, 3, 12, **said))
    for title, read in TITLES
    for words, said in (({}, {}), (SUBBED, {"language": "Japanese", "subtitles": "German"}))
]
EVERY = [*DUBS_AND_SUBS, *OF_TITLES, *PACKS, *SPECIALS, *FILMS]


def guess(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from guessit import guessit

        return guessit(name)


@pytest.mark.parametrize(("release", "said"), EVERY, ids=[one.name for one, _ in EVERY])
def test_an_independent_parser_reads_the_name(release: Release, said: Read):
    read = guess(release.name)
    assert read["title"] == said.title
    assert (read.get("season"), read.get("episode")) == (said.season, said.episode)
    assert read.get("year") == said.year
    assert read.get("screen_size") == said.size
    assert read["source"] == "Web"
    assert read["release_group"] == "ANIWORLD"
    assert read["language"].name == said.language
    subtitles = read.get("subtitle_language")
    assert (subtitles.name if subtitles else None) == said.subtitles


@pytest.mark.parametrize(
    "release",
    [
        made("Mob Psycho 100", 1, 5, strm=True),
        made("86", 1, None, strm=True),
        made("Sintel", 0, 0, year=2010, strm=True),
        made("Naruto", 0, 3, alias=(0, 7), strm=True),
    ],
)
def test_the_mark_of_a_strm_file_changes_nothing_but_the_groups_end(release: Release):
    assert release.shown_name.endswith(f"-ANIWORLD{STRM_MARKER}")
    read, plain = guess(release.shown_name), guess(release.name)
    names = ("title", "season", "episode", "year", "screen_size", "source", "video_codec")
    assert {name: read.get(name) for name in names} == {name: plain.get(name) for name in names}
    assert read["release_group"].startswith("ANIWORLD")
