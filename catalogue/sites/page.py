"""Reading a page by selectors, where «nothing there» is an answer and never an AttributeError."""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import Tag

from anibridge.lib.text import shorten, without_controls
from catalogue.errors import LayoutChanged

_INSTRUCTION = re.compile(r"<\?[^>]*>?")
_WHITESPACE = re.compile(r"\s+")


class Page:
    """A parsed page. Takes any text; text and attributes come out unescaped once, with single spaces."""

    def __init__(self, text: str, where: str = "the page") -> None:
        self.where = shorten(where, 120)
        # An XML declaration, or a text without any tag, makes BeautifulSoup warn; neither says anything here.
        text = _INSTRUCTION.sub("", without_controls(text))
        self._soup = BeautifulSoup(text if "<" in text else "", "lxml")

    def must(self, selector: str, attribute: str | None = None) -> str:
        """The first match's text or attribute; raises LayoutChanged when there is none or it is empty."""
        found = self.maybe(selector, attribute)
        if not found:
            what = f"«{selector}»" + (f" with «{attribute}»" if attribute else "")
            raise LayoutChanged(f"nothing at {what} on {self.where}")
        return found

    def maybe(self, selector: str, attribute: str | None = None) -> str | None:
        """The first match's text or attribute, or None; an empty one is None too."""
        element = self.first(selector)
        return (value_of(element, attribute) or None) if element is not None else None

    def each(self, selector: str, attribute: str | None = None) -> list[str]:
        """Text or attribute of every match that has one, in page order."""
        return [value for tag in self.all(selector) if (value := value_of(tag, attribute))]

    def first(self, selector: str) -> Tag | None:
        return self._soup.select_one(selector)

    def all(self, selector: str) -> Iterator[Tag]:
        yield from self._soup.select(selector)

    def element(self, selector: str) -> Tag:
        """The first match; raises LayoutChanged when there is none."""
        found = self.first(selector)
        if found is None:
            raise LayoutChanged(f"nothing at «{selector}» on {self.where}")
        return found

    def has(self, *selectors: str) -> bool:
        """Whether any of the selectors matches."""
        return any(self.first(selector) is not None for selector in selectors)

    def text(self) -> str:
        """All text of the page, on one line."""
        return _one_line(self._soup.get_text(" "))


def value_of(tag: Tag, attribute: str | None = None) -> str:
    """A tag's text, or an attribute of it, with single spaces; empty when it has none."""
    if attribute is None:
        return _one_line(tag.get_text())
    value = tag.get(attribute)
    return _one_line(" ".join(value) if isinstance(value, list) else str(value or ""))


def number_of(text: str | None, pattern: str = r"\d+") -> int | None:
    """The number that the pattern finds (its group 1, if it has one), bounded; None for anything else."""
    found = re.search(pattern, text or "", re.ASCII)
    if found is None:
        return None
    digits = found.group(found.re.groups and 1)
    return int(digits) if len(digits) <= 6 else None


def _one_line(text: str) -> str:
    return _WHITESPACE.sub(" ", text).strip()
