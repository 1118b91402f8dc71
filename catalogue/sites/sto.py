"""s.to, also known as SerienStream: the newer layout first, the classic one where a page still has it."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import quote

from anibridge.lib.text import without_controls
from catalogue.errors import LayoutChanged
from catalogue.sites import signs
from catalogue.sites.base import ENGLISH_DUB, GERMAN_DUB, GERMAN_SUB, Answer, IndexEntry
from catalogue.sites.languages import LanguageWords
from catalogue.sites.links import path_of
from catalogue.sites.series import SeriesSite

_SUGGEST = "/api/search/suggest"
_CLASSIC_SUGGEST = "/ajax/seriesSearch"
_LONGEST_TERM = 100
_LONGEST_ANSWER = 1_000_000
_LONGEST_NAME = 300
_MOST_SUGGESTIONS = 100
_MARKS = re.compile(r"</?(?:em|b|strong|mark)>", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d", re.ASCII)


class Sto(SeriesSite):
    """s.to. Series of any origin, mostly American and British; what is subtitled is heard in the original."""

    key = "sto"
    display_name = "s.to"
    base_urls: ClassVar[tuple[str, ...]] = ("https://s.to", "https://serienstream.to")
    release_group = "STO"
    original_language = "English"
    languages: ClassVar[tuple[str, ...]] = (GERMAN_DUB, ENGLISH_DUB, GERMAN_SUB)

    root = "/serie"
    overviews: ClassVar[tuple[str, ...]] = ("serien", "serien-alphabet", "beliebte-serien")
    index_paths: ClassVar[tuple[str, ...]] = ("/serien?by=alpha", "/serien-alphabet")
    newer_first = True
    both_spellings = True
    words: ClassVar[LanguageWords] = LanguageWords(
        site="s.to",
        flags={"german": GERMAN_DUB, "english": ENGLISH_DUB, "english-german": GERMAN_SUB},
        keys={"1": GERMAN_DUB, "2": ENGLISH_DUB, "3": GERMAN_SUB},
        labels={
            "deutsch": GERMAN_DUB,
            "german": GERMAN_DUB,
            "englisch": ENGLISH_DUB,
            "english": ENGLISH_DUB,
            "deutsch sub": GERMAN_SUB,
            "german sub": GERMAN_SUB,
        },
    )

    def alternatives(self, path: str) -> tuple[str, ...]:
        asked, _, term = path.partition("?term=")
        if asked == _SUGGEST:
            return (f"{_CLASSIC_SUGGEST}?keyword={term}",)
        return super().alternatives(path)

    def check(self, answer: Answer) -> None:
        """As for any page; an answer to a search is JSON and no page."""
        is_json = answer.text.lstrip()[:1] in ("{", "[")
        if is_json and path_of(answer.url) in (_SUGGEST, _CLASSIC_SUGGEST):
            signs.check_status(answer, self.display_name)
            return
        super().check(answer)

    def suggest_paths(self, term: str) -> tuple[str, ...]:
        """The term as it is, without punctuation, and with long numbers dashed: «9-1-1» is not found as «911»."""
        return tuple(f"{_SUGGEST}?term={quote(one, safe='')}" for one in spellings(term))

    def parse_suggest(self, answer: Answer) -> tuple[IndexEntry, ...]:
        """The series of the answer, each once; people and genres are left out."""
        try:
            # Unescaped only once it is parsed: an entity may stand for the quote that would end a string.
            found = json.loads(answer.text[:_LONGEST_ANSWER])
        except (ValueError, RecursionError) as error:
            raise LayoutChanged("the answer to a search is no JSON") from error
        rows = found.get("shows") if isinstance(found, dict) else found
        if not isinstance(rows, list):
            raise LayoutChanged("no list «shows» in the answer to a search")
        entries: dict[str, IndexEntry] = {}
        for entry in self._suggested(rows[:_MOST_SUGGESTIONS]):
            entries.setdefault(entry.slug.casefold(), entry)
        return tuple(entries.values())

    def _suggested(self, rows: list[Any]) -> Iterator[IndexEntry]:
        for row in rows:
            if not isinstance(row, dict):
                continue
            name = _plain(row.get("name") or row.get("title"))
            url = row.get("url") or row.get("link")
            slug = html.unescape(url) if isinstance(url, str) else ""
            # The older answer gives the slug alone.
            slug = self.slug_in(slug if "/" in slug else self.newer_prefix + slug)
            if name and slug:
                yield IndexEntry(slug, name)


def spellings(term: str) -> tuple[str, ...]:
    """The ways to write a search term that a literal-minded search may want, each once; none for no words."""
    raw = " ".join(without_controls(term).split())[:_LONGEST_TERM]
    plain = " ".join("".join(char for char in raw if char.isalnum() or char == " ").split())
    dashed = re.sub(r"\d{3,}", _dashed, plain, flags=re.ASCII)
    return tuple(dict.fromkeys((raw, plain, dashed))) if plain else ()


def _dashed(number: re.Match[str]) -> str:
    digits = number.group()
    return digits if _YEAR.fullmatch(digits) else "-".join(digits)


def _plain(value: object) -> str:
    if not isinstance(value, str):
        return ""
    text = html.unescape(_MARKS.sub("", value))
    return " ".join(without_controls(text).split())[:_LONGEST_NAME]
