"""The classic A-Z index, read while it streams in: several megabytes become a few compact entries, never a tree."""

import codecs
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from lxml import etree  # type: ignore[import-untyped]

from anibridge.lib.text import without_controls
from catalogue.errors import LayoutChanged, SiteUnavailable
from catalogue.sites.base import IndexEntry

_LONGEST_NAME = 300
_LONGEST_ALTERNATIVES = 2000
_TITLE_SUFFIX = re.compile(r"\s+Stream anschauen$")
# A piece in quotes may hold commas; a quote inside a piece ends nothing.
_PIECE = re.compile(r"""\s*(?:"([^"]*)"|'((?:[^']|'(?=[^\s,]))*)'|([^,]*))\s*(?:,|$)""")


class _Anchors:
    """An lxml parser target that keeps the anchors below a prefix."""

    def __init__(self, prefix: str, slug_pattern: re.Pattern[str]) -> None:
        self.found: dict[str, IndexEntry] = {}
        self._prefix = prefix
        self._slugs = slug_pattern
        self._slug = ""
        self._title = ""
        self._alternatives = ""
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag != "a":
            return
        self.end("a")  # an anchor left open ends where the next begins
        slug = slug_of(attributes.get("href", ""), self._prefix)
        if slug and self._slugs.fullmatch(slug):
            self._slug = slug
            self._title = attributes.get("title", "")
            self._alternatives = attributes.get("data-alternative-title", "")

    def data(self, text: str) -> None:
        if self._slug:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if tag != "a" or not self._slug:
            return
        name = _clean("".join(self._text)) or _TITLE_SUFFIX.sub("", _clean(self._title))
        if name:
            self._keep(self._slug, name[:_LONGEST_NAME], split_alternatives(self._alternatives))
        self._slug = ""
        self._text.clear()

    def close(self) -> None:
        self.end("a")

    def _keep(self, slug: str, name: str, alternatives: tuple[str, ...]) -> None:
        key = slug.casefold()
        first = self.found.get(key)
        if first is not None:
            alternatives = (*first.alternatives, name, *alternatives)
            slug, name = first.slug, first.name
        others = tuple(other for other in dict.fromkeys(alternatives) if other != name)
        self.found[key] = IndexEntry(slug, name, others)


def parse(
    chunks: Iterable[bytes], *, prefix: str, slug_pattern: re.Pattern[str], where: str
) -> Iterator[IndexEntry]:
    """Each title below the prefix once, alternatives of repeated slugs merged.

    Nothing is given before the page has arrived whole: SiteUnavailable for a page that is empty or cut short,
    LayoutChanged for a whole one without a single title.
    """
    anchors = _Anchors(prefix, slug_pattern)
    parser = etree.HTMLParser(target=anchors, encoding="utf-8", huge_tree=True)
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    ended, tail = False, b""
    try:
        for chunk in chunks:
            window = (tail + chunk).lower()
            ended = ended or b"</html" in window
            tail = window[-6:]
            parser.feed(without_controls(decoder.decode(chunk)).encode())
        parser.close()
    except etree.LxmlError as error:
        if ended:
            raise LayoutChanged(f"{where} is no HTML page: {error}") from error
    if not ended:
        raise SiteUnavailable(f"{where} arrived empty or cut short")
    if not anchors.found:
        raise LayoutChanged(f"no link below «{prefix}» on {where}")
    yield from anchors.found.values()


def slug_of(href: str, prefix: str) -> str:
    """What stands after the prefix in a link to a title, percent-decoded once; empty for any other link."""
    try:
        path = urlsplit(href.strip()).path
    except ValueError:
        return ""
    if not path.startswith(prefix):
        return ""
    slug = path.removeprefix(prefix).removesuffix("/")
    return "" if "/" in slug else unquote(slug, errors="replace")


def split_alternatives(text: str) -> tuple[str, ...]:
    """The comma-separated names of an attribute, quotes taken off, each once."""
    text = _clean(text)[:_LONGEST_ALTERNATIVES]
    names: dict[str, None] = {}
    for found in _PIECE.finditer(text):
        double, single, bare = found.groups()
        name = _clean(double or single or (bare or "").strip(' "'))
        if name and len(name) <= _LONGEST_NAME:
            names[name] = None
    return tuple(names)


def _clean(text: str) -> str:
    return " ".join(text.split())
