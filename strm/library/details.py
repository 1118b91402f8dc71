"""What lies beside the .strm files, if its owner wants it: facts for media servers (.nfo) and a cover."""

from typing import Final
from xml.etree import ElementTree

from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.text import without_controls
from strm.library.listing import Listing

MAX_COVER: Final = 5 * 2**20
COVER_SECONDS: Final = 20.0
_LANGUAGES: Final = frozenset({"ger", "gersub", "gerdub", "eng", "engsub", "engdub", "omu"})
"""What sites list among the genres, and is none."""


class NoPicture(AniBridgeError):
    """What the site calls a cover is none that a media server shows."""


def nfo(listing: Listing) -> tuple[str, bytes]:
    """Name and content of the file of facts, as Kodi defined it: `movie.nfo` or `tvshow.nfo`."""
    kind = "movie" if listing.is_film else "tvshow"
    root = ElementTree.Element(kind)
    _add(root, "title", listing.name)
    _add(root, "year", str(listing.year or ""))
    _add(root, "plot", listing.description[:5000])
    for genre in listing.genres[:50]:
        if genre.strip().casefold() not in _LANGUAGES:
            _add(root, "genre", genre)
    if listing.imdb_id:
        _add(root, "uniqueid", listing.imdb_id).attrib.update(type="imdb", default="true")
        _add(root, "imdbid" if kind == "movie" else "imdb_id", listing.imdb_id)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return f"{kind}.nfo", text + b"\n"


def _add(root: ElementTree.Element, name: str, text: str) -> ElementTree.Element:
    element = ElementTree.Element(name)
    element.text = without_controls(text).strip()
    if element.text:
        root.append(element)
    return element


def cover(listing: Listing) -> tuple[str, bytes]:
    """Name and content of the cover. Raises NoPicture, and what the guarded client raises."""
    with http.session(trusted=listing.trusted) as session:
        got = http.fetch(listing.cover, session=session, timeout=COVER_SECONDS, max_bytes=MAX_COVER)
    if not got.ok:
        raise NoPicture(f"{http.host_of(listing.cover)} answered with HTTP status {got.status}")
    suffix = _suffix(got.body)
    if not suffix:
        raise NoPicture(f"{http.host_of(listing.cover)} sent a cover that is no JPEG, PNG or WebP")
    return f"poster.{suffix}", got.body


def _suffix(body: bytes) -> str:
    """By the bytes, whatever the header says: nothing else gets into the library."""
    if body.startswith(b"\xff\xd8\xff") and body.rstrip(b"\0").endswith(b"\xff\xd9"):
        return "jpg"
    if body.startswith(b"\x89PNG\r\n\x1a\n") and body[12:16] == b"IHDR":
        return "png"
    return "webp" if body.startswith(b"RIFF") and body[8:12] == b"WEBP" else ""
