"""XML for the clients: the feed, and what the indexer can do. Nothing here is ever pasted from strings.

Written as a stream of events: a page of a hundred items never exists as a tree.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from email.utils import format_datetime
from io import BytesIO
from typing import Final
from xml.sax.saxutils import XMLGenerator

from anibridge.lib.text import without_controls
from torznab.capabilities import Capabilities
from torznab.items import Item
from torznab.query import MAX_LIMIT

NAMESPACE: Final = "http://torznab.com/schemas/2015/feed"
MAGNET_TYPE: Final = "application/x-bittorrent;x-scheme-handler/magnet"
TORRENT_TYPE: Final = "application/x-bittorrent"
"""The two types under which Sonarr and Radarr take an enclosure with its size."""
SEEDERS: Final = 100
"""A source that is there is there at full speed; clients reject releases with fewer seeders than their owner demands."""
TITLE: Final = "AniBridge"


class Document:
    """An XML document under way. Whatever text it is given, what comes out is well formed."""

    def __init__(self, *, fragment: bool = False) -> None:
        self._buffer = BytesIO()
        self._xml = XMLGenerator(self._buffer, "utf-8", short_empty_elements=True)
        if not fragment:
            self._xml.startDocument()

    def open(self, tag: str, attributes: Mapping[str, str] | None = None) -> None:
        """Begin an element that others go into."""
        clean = {name: without_controls(value) for name, value in (attributes or {}).items()}
        self._xml.startElement(tag, clean)  # type: ignore[arg-type]

    def close(self, *tags: str) -> None:
        """End elements, the innermost first."""
        for tag in tags:
            self._xml.endElement(tag)

    def leaf(self, tag: str, text: str = "", attributes: Mapping[str, str] | None = None) -> None:
        """A whole element with nothing but text in it."""
        self.open(tag, attributes)
        if text:
            self._xml.characters(without_controls(text))
        self._xml.endElement(tag)

    def add(self, fragment: bytes) -> None:
        """Take over a whole element that another document has written; not as the first one within another."""
        self._buffer.write(fragment)

    def written(self) -> bytes:
        """What was written so far."""
        return self._buffer.getvalue()


def feed(fragments: Iterable[bytes], *, link: str, title: str = TITLE) -> bytes:
    """An RSS document with what `of_item` has written, in the given order."""
    document = Document()
    # Some clients look for the prefix and not for the namespace that it stands for.
    document.open("rss", {"version": "2.0", "xmlns:torznab": NAMESPACE})
    document.open("channel")
    document.leaf("title", title)
    document.leaf("description", "Episodes and films of the catalogue")
    document.leaf("link", link)
    for fragment in fragments:
        document.add(fragment)
    document.close("channel", "rss")
    return document.written()


def caps(offered: Capabilities, *, version: str) -> bytes:
    """What the indexer can do. Sonarr and Radarr keep it for seven days."""
    document = Document()
    document.open("caps")
    document.leaf("server", attributes={"version": version, "title": offered.title})
    document.leaf("limits", attributes={"max": str(MAX_LIMIT), "default": str(MAX_LIMIT)})
    document.open("searching")
    for mode, params in offered.modes.items():
        # Clients split the list at commas and keep blanks, so there are none.
        there = "yes" if params else "no"
        params_told = ",".join(params or ("q",))
        document.leaf(mode, attributes={"available": there, "supportedParams": params_told})
    document.close("searching")
    document.open("categories")
    for parent in offered.categories:
        document.open("category", {"id": str(parent.id), "name": parent.name})
        for child in parent.children:
            document.leaf("subcat", attributes={"id": str(child.id), "name": child.name})
        document.close("category")
    document.close("categories", "caps")
    return document.written()


def of_item(item: Item) -> bytes:
    """One element of a feed."""
    document = Document(fragment=True)
    document.open("item")
    document.leaf("title", item.title)
    document.leaf("guid", item.guid, {"isPermaLink": "false"})
    document.leaf("pubDate", format_datetime(item.published.astimezone(UTC), usegmt=True))
    for category in item.categories:
        document.leaf("category", str(category))
    if item.page:
        document.leaf("comments", item.page)
    document.leaf(
        "enclosure",
        attributes={
            "url": item.link or item.magnet,
            "length": str(item.size),
            "type": TORRENT_TYPE if item.link else MAGNET_TYPE,
        },
    )
    for name, value in _attributes(item):
        document.leaf("torznab:attr", attributes={"name": name, "value": value})
    document.close("item")
    return document.written()


def _attributes(item: Item) -> Iterator[tuple[str, str]]:
    for category in item.categories:
        yield "category", str(category)
    yield "size", str(item.size)
    yield "seeders", str(SEEDERS)
    yield "peers", str(SEEDERS)
    yield "infohash", item.infohash
    if not item.link:
        # Beside a link it would be taken instead, and nobody would look whether the release is still there.
        yield "magneturl", item.magnet
    if item.spoken:
        yield "language", item.spoken
    if item.subtitles:
        yield "subs", item.subtitles
    if item.season is not None:
        yield "season", str(item.season)
    if item.episode is not None:
        yield "episode", str(item.episode)
    if item.year is not None:
        yield "year", str(item.year)
    if item.tvdb_id:
        yield "tvdbid", str(item.tvdb_id)
    if item.imdb:
        # Digits alone: with «tt» Prowlarr loses the item.
        yield "imdb", item.imdb
    yield "files", str(item.files)
    yield "downloadvolumefactor", "0"
    yield "uploadvolumefactor", "1"
