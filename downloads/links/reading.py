"""An RSS or Atom document: bytes → entries. Pure: no network, no database.

feedparser reads the many dialects, but not what arrives: it takes minutes for 4 MB of attributes or of one author's name,
and expands entities (measured). So lxml, which is linear and bounded, reads the document first, and what feedparser gets
is written anew: the entries with the few elements that matter, each bounded, in UTF-8. A document that declares
entities is refused, since no feed needs them.
"""

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from html.entities import html5
from typing import Any, Final
from urllib.parse import urlsplit

import feedparser
from lxml import etree

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.text import shorten
from downloads.detection import DownloadType, detect
from downloads.errors import UnsupportedLink
from downloads.links.intake import MAX_URL, clean_description, clean_title

MAX_ENTRIES: Final = 1000
MAX_CHILDREN: Final = 60
MAX_TEXT: Final = 20_000
TORRENT_TYPE: Final = "application/x-bittorrent"
_TORRENT_NS: Final = "http://xmlns.ezrss.it/0.1/"
_KEPT: Final = frozenset(
    {
        "title", "link", "guid", "id", "pubDate", "published", "updated", "date", "enclosure", "description",
        "summary", "content", "encoded", "magnetURI",
    }
)  # fmt: skip
_ATTRIBUTES: Final = frozenset({"url", "href", "type", "rel", "length", "isPermaLink"})
_CODECS: Final = frozenset(
    codecs.lookup(name).name
    for name in [
        "utf-8",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "ascii",
        "latin-1",
        "iso8859-2",
        "iso8859-5",
        "iso8859-7",
        "iso8859-9",
        "iso8859-15",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "koi8-r",
        "koi8-u",
        "shift_jis",
        "cp932",
        "euc_jp",
        "iso2022_jp",
        "gb2312",
        "gbk",
        "gb18030",
        "big5",
        "euc_kr",
    ]
)
"""No others: some, such as utf-7, write «<» in ways that no look at the text would see."""
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_CHARSET = re.compile(r"""(?i)charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""")
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_NUMBERED = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,9}));")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_OF_XML: Final = frozenset({"amp", "lt", "gt", "quot", "apos"})


class NotAFeed(AniBridgeError):
    """What the address answered with is no feed; the message says what it looks like."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `url` is what to fetch, chosen among what it offers; `is_torrent` when the entry says that it is one."""

    title: str
    url: str
    guid: str = ""
    description: str = ""
    published_at: datetime | None = None
    is_torrent: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A feed as it was read: its own title, its entries in its order, and how many gave nothing to fetch."""

    title: str
    entries: tuple[Entry, ...]
    without_link: int = 0
    is_cut: bool = False
    """Has more than MAX_ENTRIES entries; the rest was not looked at."""


def read(body: bytes, *, url: str = "", content_type: str = "") -> Document:
    """The entries of a document. `url` is what relative links in it are relative to. Raises NotAFeed."""
    root = _tree(_text(body, content_type))
    headers = {"content-type": "application/xml; charset=utf-8", "content-location": url}
    try:
        plain, is_cut = _plain(root)
        parsed = feedparser.parse(
            io.BytesIO(plain),
            response_headers=headers,
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # Both libraries have stumbled over odd input before; a feed that they cannot read is no bug of ours.
        raise NotAFeed(f"the feed cannot be read ({type(error).__name__})") from error
    entries: list[Entry] = []
    without = 0
    for raw in parsed.entries[:MAX_ENTRIES]:
        entry = _entry(raw)
        if entry is None:
            without += 1
        else:
            entries.append(entry)
    return Document(clean_title(_str(parsed.feed.get("title"))), tuple(entries), without, is_cut)


def _text(body: bytes, content_type: str) -> str:
    """The document as text, in whichever encoding it says it is; UTF-8 where it says nothing good."""
    for bom, name in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace")
    declared = _DECLARED.match(body[:400])
    charset = _CHARSET.search(content_type)
    for named in (declared[1].decode() if declared else "", charset[1] if charset else ""):
        try:
            codec = codecs.lookup(named).name if named else ""
        except LookupError:
            continue
        if codec in _CODECS and not (declared and codec.startswith("utf-16")):
            return body.decode(codec, "replace")
    if body[:4] in (b"<\0?\0", b"\0<\0?"):
        return body.decode("utf-16-le" if body[:1] == b"<" else "utf-16-be", "replace")
    return body.decode("utf-8", "replace")


def _tree(text: str) -> Any:
    """The document's root. Raises NotAFeed."""
    if "<!ENTITY" in text:
        raise NotAFeed("the document declares entities, which no feed needs; it is not read")
    text = _NUMBERED.sub(_numbered, _NAMED.sub(_unnamed, text))
    parser = etree.XMLParser(
        # What the document says of its encoding no longer holds.
        encoding="utf-8",
        recover=True,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(text.lstrip().encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        root = None
    if root is None or _local(root) not in ("rss", "RDF", "feed"):
        looks = "a web page" if re.search(r"(?i)<(!doctype\s+)?html", text[:2000]) else ""
        raise NotAFeed(f"the answer is {looks or 'not RSS and not Atom'}: no feed is in it")
    return root


def _unnamed(match: re.Match[str]) -> str:
    """`&nbsp;` and the like, which feeds use although XML does not know them."""
    return match[0] if match[1] in _OF_XML else html5.get(f"{match[1]};", match[0])


def _numbered(match: re.Match[str]) -> str:
    """`&#xD800;` is no character; lxml takes it all the same, and then cannot give it back."""
    number = int(match[1], 16) if match[1] else int(match[2])
    if number > 0x10FFFF or _NOT_IN_XML.fullmatch(chr(number)):
        return ""
    return match[0]


def _plain(root: Any) -> tuple[bytes, bool]:
    """The document once more, with only what is read from it; and whether entries were left out."""
    top = etree.Element(root.tag, nsmap=_namespaces(root))
    if version := root.get("version"):
        top.set("version", version[:10])
    channel = next((one for one in root if _local(one) == "channel"), None)
    into = top
    if channel is not None:
        into = etree.SubElement(top, channel.tag)
    _copy(_children(channel if channel is not None else root), into, {"title"})
    if _local(root) == "RDF":
        into = top  # RSS 1.0 has its items beside the channel
    for number, found in enumerate(_items(root, channel)):
        if number >= MAX_ENTRIES:
            return etree.tostring(top, encoding="utf-8"), True
        item = etree.SubElement(into, found.tag)
        _copy(_children(found), item, _KEPT)
        _supplement(found, item)
    return etree.tostring(top, encoding="utf-8"), False


def _namespaces(root: Any) -> dict[str | None, str]:
    usual = {key: uri for key, uri in list(root.nsmap.items())[:30] if len(uri) < 200}
    return {"torrent": _TORRENT_NS, **{key: uri for key, uri in usual.items() if key != "torrent"}}


def _items(root: Any, channel: Any) -> Iterator[Any]:
    for parent in (channel, root):
        if parent is not None:
            yield from (one for one in parent if _local(one) in ("item", "entry"))


def _children(parent: Any) -> Iterator[Any]:
    for number, child in enumerate(parent):
        if number >= MAX_CHILDREN:
            return
        yield child


def _copy(children: Iterable[Any], into: Any, names: Iterable[str]) -> None:
    for child in children:
        if _local(child) in names:
            made = etree.SubElement(into, child.tag)
            made.text = _text_of(child)
            for name in _ATTRIBUTES:
                value = child.get(name)
                if value is not None and len(value) <= MAX_URL:
                    made.set(name, value)


def _supplement(found: Any, item: Any) -> None:
    """What feedparser would miss: it keeps the last of several `torznab:attr`, and does not look into `torrent`."""
    for child in _children(found):
        if _local(child) == "attr" and child.get("name") == "magneturl":
            magnet = etree.SubElement(item, f"{{{_TORRENT_NS}}}magnetURI")
            magnet.text = _NOT_IN_XML.sub("", child.get("value") or "")[:MAX_URL]
        elif _local(child) == "torrent" and not any(_local(one) == "pubDate" for one in item):
            for inner in _children(child):
                if _local(inner) == "pubDate":
                    etree.SubElement(item, "pubDate").text = _text_of(inner)[:100]


def _local(element: Any) -> str:
    """The name without its namespace; empty for what is no element."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _text_of(element: Any) -> str:
    parts: list[str] = []
    size = 0
    for part in element.itertext():
        parts.append(part[: MAX_TEXT - size])
        size += len(parts[-1])
        if size >= MAX_TEXT:
            break
    return _NOT_IN_XML.sub("", "".join(parts))


def _entry(raw: Any) -> Entry | None:
    """None when there is nothing to fetch in it."""
    url, is_torrent = _chosen(raw)
    if not url:
        return None
    # Escaped once for XML and once for HTML, as Atom's titles of the type «html» are, and many others.
    title = clean_title(unescape(_str(raw.get("title"))))
    return Entry(
        title=title or shorten(urlsplit(url).path.rpartition("/")[2] or url, 200),
        url=url,
        guid=_str(raw.get("id"))[:MAX_URL],
        description=clean_description(_str(raw.get("summary"))),
        published_at=_moment(raw),
        is_torrent=is_torrent,
    )


def _chosen(raw: Any) -> tuple[str, bool]:
    """What to fetch: an enclosure that is a torrent, a magnet that is named as such, then whatever is one by its looks,
    then another enclosure (a video, say), and the entry's link at last."""
    enclosures = [
        (_str(one.get("href") or one.get("url")), _str(one.get("type")).lower())
        for one in [*raw.get("enclosures", []), *raw.get("media_content", [])][:MAX_CHILDREN]
    ]
    links = [_str(one.get("href")) for one in raw.get("links", []) if one.get("rel") != "enclosure"]
    link, guid, magnet = (_str(raw.get(key)) for key in ("link", "id", "torrent_magneturi"))
    if raw.get("guidislink") and not _kind(guid):
        link, links = "", []  # made of an id that is no address
    for url, kind in enclosures:
        if url and kind.startswith(TORRENT_TYPE) and _kind(url):
            return url, True
    if _kind(magnet) == DownloadType.MAGNET:
        return magnet, False
    named = [url for url, _ in enclosures]
    for url in (*named, link, *links, guid):
        if _kind(url) in (DownloadType.MAGNET, DownloadType.TORRENT, DownloadType.EPISODE):
            return url, False
    for url, kind in enclosures:
        if _kind(url) and not kind.startswith(("image/", "text/")):
            return url, False
    # What is no link that can be fetched is kept as well: its owner is told why nothing comes of it.
    return link or next(iter(links), "") or (guid if _kind(guid) else ""), False


def _kind(url: str) -> DownloadType | None:
    try:
        return detect(url).download_type if url and len(url) <= MAX_URL else None
    except UnsupportedLink:
        return None


def _moment(raw: Any) -> datetime | None:
    parts = raw.get("published_parsed") or raw.get("updated_parsed")
    if not parts:
        return None
    try:
        year, month, day, hour, minute, second = parts[:6]
        found = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except (ValueError, OverflowError, TypeError):
        return None
    return found if 1990 <= found.year < 2200 else None


def _str(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
