"""XML for the clients: the feed, and what the indexer can do. Nothing here is ever pasted from strings."""

from collections.abc import Iterable, Iterator
from datetime import UTC
from email.utils import format_datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from anibridge.lib.text import without_controls
from torznab.categories import TREE
from torznab.items import Item
from torznab.query import MAX_LIMIT

NAMESPACE: Final = "http://torznab.com/schemas/2015/feed"
# Some clients look for the prefix and not for the namespace that it stands for.
register_namespace("torznab", NAMESPACE)
MAGNET_TYPE: Final = "application/x-bittorrent;x-scheme-handler/magnet"
"""The only type besides plain torrents under which Sonarr and Radarr take an enclosure with its size."""
SEEDERS: Final = 100
"""A source that is there is there at full speed; clients reject releases with fewer seeders than their owner demands."""
TITLE: Final = "AniBridge"
# Mode, whether it is available, its parameters. Sonarr asks by the ids first and by title when that gave nothing; the
# service that knows them knows series only, so films have none.
SEARCHING: Final = (
    ("search", True, "q"),
    ("tv-search", True, "q,season,ep,tvdbid,imdbid,tmdbid"),
    ("movie-search", True, "q"),
    ("audio-search", False, "q"),
    ("book-search", False, "q"),
)


def feed(items: Iterable[Item], *, link: str) -> bytes:
    """An RSS document with the items in the given order."""
    root = Element("rss", version="2.0")
    channel = SubElement(root, "channel")
    _text(channel, "title", TITLE)
    _text(channel, "description", "Episodes and films of the catalogue")
    _text(channel, "link", link)
    for item in items:
        _add(channel, item)
    return _document(root)


def caps(*, version: str) -> bytes:
    """What the indexer can do. Sonarr and Radarr keep it for seven days."""
    root = Element("caps")
    SubElement(root, "server", version=version, title=TITLE)
    SubElement(root, "limits", max=str(MAX_LIMIT), default=str(MAX_LIMIT))
    searching = SubElement(root, "searching")
    for mode, available, params in SEARCHING:
        # Clients split the list at commas and keep blanks, so there are none.
        SubElement(searching, mode, available="yes" if available else "no", supportedParams=params)
    listed = SubElement(root, "categories")
    for parent in TREE:
        element = SubElement(listed, "category", id=str(parent.id), name=parent.name)
        for child in parent.children:
            SubElement(element, "subcat", id=str(child.id), name=child.name)
    return _document(root)


def _add(channel: Element, item: Item) -> None:
    element = SubElement(channel, "item")
    _text(element, "title", item.title)
    _text(element, "guid", item.guid, isPermaLink="false")
    _text(element, "pubDate", format_datetime(item.published.astimezone(UTC), usegmt=True))
    for category in item.categories:
        _text(element, "category", str(category))
    SubElement(
        element,
        "enclosure",
        url=without_controls(item.magnet),
        length=str(item.size),
        type=MAGNET_TYPE,
    )
    for name, value in _attributes(item):
        SubElement(element, f"{{{NAMESPACE}}}attr", name=name, value=without_controls(value))


def _attributes(item: Item) -> Iterator[tuple[str, str]]:
    for category in item.categories:
        yield "category", str(category)
    yield "size", str(item.size)
    yield "seeders", str(SEEDERS)
    yield "peers", str(SEEDERS)
    yield "infohash", item.infohash
    yield "magneturl", item.magnet
    if item.spoken:
        yield "language", item.spoken
    if item.subtitles:
        yield "subs", item.subtitles
    if item.season is not None:
        yield "season", str(item.season)
    if item.episode is not None:
        yield "episode", str(item.episode)
    yield "downloadvolumefactor", "0"
    yield "uploadvolumefactor", "1"


def _text(parent: Element, tag: str, text: str, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = without_controls(text)


def _document(root: Element) -> bytes:
    return tostring(root, encoding="utf-8", xml_declaration=True)
