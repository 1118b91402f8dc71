"""AniWorld. Dubs are told from subtitles by the flag's file name, never by its title."""

from typing import ClassVar

from catalogue.sites.base import ENGLISH_DUB, ENGLISH_SUB, GERMAN_DUB, GERMAN_SUB
from catalogue.sites.languages import LanguageWords
from catalogue.sites.series import SeriesSite


class AniWorld(SeriesSite):
    """AniWorld, by its classic paths first."""

    key = "aniworld"
    display_name = "AniWorld"
    base_urls: ClassVar[tuple[str, ...]] = ("https://aniworld.to",)
    release_group = "ANIWORLD"
    original_language = "Japanese"
    languages: ClassVar[tuple[str, ...]] = (GERMAN_DUB, GERMAN_SUB, ENGLISH_SUB, ENGLISH_DUB)

    root = "/anime"
    overviews: ClassVar[tuple[str, ...]] = ("animes", "animes-alphabet", "beliebte-animes")
    index_paths: ClassVar[tuple[str, ...]] = ("/animes-alphabet",)
    words: ClassVar[LanguageWords] = LanguageWords(
        site="AniWorld",
        flags={
            "german": GERMAN_DUB,
            "japanese-english": ENGLISH_SUB,
            "japanese-german": GERMAN_SUB,
            "english": ENGLISH_DUB,
        },
        keys={"1": GERMAN_DUB, "2": ENGLISH_SUB, "3": GERMAN_SUB, "4": ENGLISH_DUB},
        # «Englisch» is said here of subtitles and of a dub alike, so it says nothing.
        labels={"deutsch": GERMAN_DUB, "german": GERMAN_DUB},
    )
