"""The A-Z index in either layout, read while it streams in: megabytes become compact entries, never a tree."""

import codecs
import re
from collections.abc import Iterable, Iterator

from lxml import etree

from anibridge.lib.text import without_controls
from catalogue.errors import LayoutChanged, SiteUnavailable
from catalogue.sites.base import IndexEntry
from catalogue.sites.links import slug_of

_LONGEST_NAME = 300
_LONGEST_ALTERNATIVES = 2000
_ALTERNATIVES = "data-alternative-title"
_TITLE_SUFFIX = re.compile(r"\s+Stream anschauen$")
# A piece in quotes may hold commas; a quote inside a piece ends nothing.
_PIECE = re.compile(r"""\s*(?:"([^"]*)"|'((?:[^']|'(?=[^\s,]))*)'|([^,]*))\s*(?:,|$)""")


class _Anchors:
    """An lxml parser target that keeps the anchors below a prefix.

    The newer layout's prefix is short enough to be part of links in the navigation; below it, only the items of
    the list count, and anchors that name alternatives.
    """

    def __init__(self, prefix: str, item_prefix: str, slug_pattern: re.Pattern[str]) -> None:
        self.found: dict[str, IndexEntry] = {}
        self._prefix = prefix
        self._item_prefix = item_prefix
        self._slugs = slug_pattern
        self._in_item = False
        self._searchable = ""
        self._slug = ""
        self._title = ""
        self._alternatives = ""
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "li":
            self.end("a")
            self._in_item = "series-item" in attributes.get("class", "").split()
            self._searchable = attributes.get("data-search", "")
        if tag != "a":
            return
        self.end("a")  # an anchor left open ends where the next begins
        href = attributes.get("href", "")
        slug = slug_of(href, self._prefix)
        if not slug and self._item_prefix and (self._in_item or _ALTERNATIVES in attributes):
            slug = slug_of(href, self._item_prefix)
        if slug and self._slugs.fullmatch(slug):
            self._slug = slug
            self._title = attributes.get("title", "")
            self._alternatives = attributes.get(_ALTERNATIVES, "")

    def data(self, text: str) -> None:
        if self._slug:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if tag == "a" and self._slug:
            name = _clean("".join(self._text)) or _TITLE_SUFFIX.sub("", _clean(self._title))
            if name:
                others = split_alternatives(self._alternatives)
                rest = beyond_name(self._searchable, name) if self._in_item and not others else ""
                self._keep(self._slug, name[:_LONGEST_NAME], (*others, rest) if rest else others)
            self._slug = ""
            self._text.clear()
        if tag == "li":
            self._in_item = False

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
    chunks: Iterable[bytes],
    *,
    prefix: str,
    item_prefix: str = "",
    slug_pattern: re.Pattern[str],
    where: str,
) -> Iterator[IndexEntry]:
    """Each title below the prefix once, alternatives of repeated slugs merged; also the newer layout's items,
    whose links begin with `item_prefix`.

    Nothing is given before the page has arrived whole: SiteUnavailable for a page that is empty or cut short,
    LayoutChanged for a whole one without a single title.
    """
    anchors = _Anchors(prefix, item_prefix, slug_pattern)
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


def beyond_name(searchable: str, name: str) -> str:
    """What a searchable string holds besides the name; empty where that is nothing new.

    It runs the alternatives together in lower case, so with several of them this is none of them exactly. It
    still brings the title up for somebody who asks with most of its words.
    """
    text, key = _clean(searchable), _clean(name).lower()
    rest = text[len(key) :] if text.lower().startswith(key) else text
    rest = rest.strip(" ,;|/-")
    useful = len(rest) <= _LONGEST_NAME and any(char.isalnum() for char in rest)
    return rest if useful and rest.lower() not in key else ""


def _clean(text: str) -> str:
    return " ".join(text.split())
