"""Sitemaps, read while they stream in: bounded memory, no entities, nothing fetched."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.parsers import expat

from catalogue.errors import LayoutChanged, SiteUnavailable

_LONGEST_ADDRESS = 2000
_DEEPEST = 50
_LONGEST_TOKEN = 2**20
_HOLDERS = {"sitemap": "sitemapindex", "url": "urlset"}


@dataclass(frozen=True, slots=True)
class Place:
    """An address of a sitemap; `is_map` where it is another sitemap's. `path` has its query and no host."""

    path: str
    is_map: bool


class NoSitemap(LayoutChanged):
    """The document is something else: a page, most likely, which may say why it came instead."""


class _Reader:
    """The handlers of one expat parser; `found` is emptied by whoever feeds it."""

    def __init__(self, where: str) -> None:
        self.found: list[Place] = []
        # UTF-8 whatever the document claims: that is what sites send, and a name may be of no encoding at all.
        self.parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        # No sitemap needs one, and entities are what makes a small document large.
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._where = where
        self._open: list[str] = []
        self._text: list[str] | None = None
        self._length = 0

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(" ")[2]
        if not self._open and name not in _HOLDERS.values():
            raise NoSitemap(f"{self._where} is no sitemap: it begins with «{name[:40]}»")
        if len(self._open) >= _DEEPEST:
            raise LayoutChanged(f"{self._where} is no sitemap: its elements are nested too deep")
        self._open.append(name)
        if name == "loc" and self._holder():
            self._text, self._length = [], 0

    def _data(self, text: str) -> None:
        if self._text is not None and self._length <= _LONGEST_ADDRESS:
            self._length += len(text)
            self._text.append(text)

    def _end(self, name: str) -> None:
        if self._text is not None and self._open[-1] == "loc":
            path = path_of("".join(self._text)) if self._length <= _LONGEST_ADDRESS else ""
            if path:
                self.found.append(Place(path, self._holder() == "sitemap"))
            self._text = None
        self._open.pop()

    def _holder(self) -> str:
        """What the open «loc» is the address of; empty for one that stands elsewhere, such as an image's."""
        if len(self._open) != 3 or _HOLDERS.get(self._open[1]) != self._open[0]:
            return ""
        return self._open[1]

    def _doctype(self, name: str, *ignored: object) -> None:
        raise NoSitemap(f"{self._where} is no sitemap: it declares a document type «{name[:40]}»")


def parse(chunks: Iterable[bytes], *, where: str) -> Iterator[Place]:
    """The addresses in page order, repeated ones too, as far as the document has arrived.

    Raises NoSitemap or LayoutChanged for what is no sitemap, SiteUnavailable at the end of one that is empty or
    cut short.
    """
    reader, arrived = _Reader(where), 0
    for chunk in chunks:
        arrived += len(chunk)
        try:
            reader.parser.Parse(chunk, False)
        except (expat.ExpatError, ValueError) as error:
            raise NoSitemap(f"{where} is no sitemap: {error}") from error
        # A tag that does not end is read anew with every chunk.
        if arrived - reader.parser.CurrentByteIndex > _LONGEST_TOKEN + len(chunk):
            raise LayoutChanged(f"{where} is no sitemap: it has a tag without end")
        yield from reader.found
        reader.found.clear()
    try:
        reader.parser.Parse(b"", True)
    except (expat.ExpatError, ValueError) as error:
        raise SiteUnavailable(f"{where} arrived empty or cut short") from error
    yield from reader.found


def path_of(address: str) -> str:
    """Path and query of an address on the site; empty for none. The host is dropped: sites move, paths stay."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return ""
    if parts.scheme not in ("", "http", "https") or any(char.isspace() for char in address.strip()):
        return ""
    # One slash at the beginning: two would name a host.
    path = "/" + parts.path.lstrip("/\\")
    return f"{path}?{parts.query}" if parts.query else path
