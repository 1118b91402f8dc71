"""DASH manifests: every address becomes a link of ours.

A template's `$RepresentationID$` and `$Bandwidth$` are filled in here, so a template that several representations share
is given to each of them; what a player still fills in are numbers. No BaseURL is left but those of representations
without a template, since a player would resolve links against whatever BaseURL it finds, and ffmpeg forgets a relative
one above another (measured with 5.1).

Refused: document types (entities), remote elements (xlink), and parameters that a player would add to our links.
Left out, with what a player does without them: content steering, patches (it loads the whole manifest instead), metrics,
events that make a player ask an address, other manifests to go on with, clocks over HTTP (our own time is written in
instead).
"""

import re
import zlib
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from lxml import etree

from strm.errors import BadManifest
from strm.links import Kind

MAX_ENTRIES: Final = 20_000
MAX_ELEMENTS: Final = 200_000

Link = Callable[[str, Kind], str]
"""Makes a link, relative to `/strm/proxy/`, of an absolute address."""

_XLINK = "{http://www.w3.org/1999/xlink}"
_NOTHING = "urn:mpeg:dash:resolve-to-zero:2013"
_TEMPLATE_URLS = ("media", "initialization", "index", "bitstreamSwitching")
_LEFT_OUT = frozenset({"ContentSteering", "PatchLocation", "Metrics", "ImportedMPD"})
_PARAMETERS = re.compile(r"urn:mpeg:dash:urlparam:", re.I)
_ELSEWHERE = re.compile(r"urn:mpeg:dash:(?:event:callback|chaining|fallback|mpd-chaining)\b", re.I)
"""What names an address that a player asks, or goes on to, by itself."""
_CLOCK = re.compile(r"urn:mpeg:dash:utc:(?:http|ntp|sntp)", re.I)
_CLEAR_KEYS = ("e2719d58-a985-b3c9-781a-b030af78d30e", "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b")
_PLACEHOLDER = re.compile(r"\$([A-Za-z]*)(%0\d{1,2}d)?\$")
_SOURCES = ("{*}SegmentURL", "{*}Initialization", "{*}RepresentationIndex", "{*}BitstreamSwitching")
_FREE = frozenset({"Number", "Time", "SubNumber"})
_LEVELS = ("MPD", "Period", "AdaptationSet", "Representation")


def is_manifest(text: str) -> bool:
    """Whether this looks like a DASH manifest."""
    return re.search(r"<(?:[A-Za-z0-9_]+:)?MPD[\s>]", text[:20_000]) is not None


def rewrite(text: str, base: str, link: Link, *, prefix: str) -> str:
    """The manifest from `base` with links for addresses; `prefix` leads from it to `/strm/proxy/`.

    Raises BadManifest.
    """
    root = _parsed(text)
    _clear(root)
    _Rewriter(link, prefix).manifest(root, base)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return written.decode("utf-8")


def is_live(text: str) -> bool:
    """Whether the manifest may say something else later."""
    return _parsed(text).get("type", "static") == "dynamic"


def is_protected(text: str) -> bool:
    """Whether its keys are to be had from a DRM system only."""
    schemes = [one.get("schemeIdUri", "").lower() for one in _parsed(text).iter("{*}ContentProtection")]  # fmt: skip
    return bool(schemes) and not any(one.endswith(_CLEAR_KEYS) for one in schemes)


def shape(text: str) -> int:
    """A checksum of what a manifest is apart from its addresses; of a live one, of what stays in it.

    0 where nothing stays: a live list of segments.
    """
    root = _parsed(text)
    live = root.get("type", "static") == "dynamic"
    if live and next(root.iter("{*}SegmentURL"), None) is not None:
        return 0
    kept = [] if live else [root.get("mediaPresentationDuration", "")]
    kept += [
        f"{one.get('id')} {one.get('bandwidth')} {one.get('codecs')}"
        for one in root.iter("{*}Representation")
    ]
    if not live:
        kept += [f"{s.get('t')} {s.get('d')} {s.get('r')}" for s in root.iter("{*}S")]
    return zlib.crc32("\n".join(kept).encode("utf-8", "surrogateescape")) or 1


def _parsed(text: str) -> Any:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BadManifest("the manifest has a document type, which none needs")
    body = re.sub(r"^\s*<\?xml[^>]{0,200}\?>", "", text.removeprefix("\ufeff"), count=1)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise BadManifest("the manifest is no well-formed XML") from error
    if _name(root) != "MPD":
        raise BadManifest("the manifest is none")
    for number, one in enumerate(root.iter()):
        if number > MAX_ELEMENTS:
            raise BadManifest("the manifest has too many elements")
        if not isinstance(one.tag, str):
            raise BadManifest("the manifest holds entities")
    return root


def _name(element: Any) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _children(element: Any, name: str) -> list[Any]:
    return [one for one in element if _name(one) == name]


def _clear(root: Any) -> None:
    """Takes out what a player would follow past us, and refuses what cannot be taken out."""
    for one in list(root.iter()):
        href = one.get(f"{_XLINK}href")
        scheme = one.get("schemeIdUri", "")
        if href is not None and href != _NOTHING:
            raise BadManifest("the manifest refers to remote elements (xlink)")
        if _PARAMETERS.match(scheme.strip()):
            raise BadManifest("the manifest wants parameters added to its addresses")
        if href is not None or _name(one) in _LEFT_OUT or _ELSEWHERE.match(scheme.strip()):
            parent = one.getparent()
            if parent is not None:
                parent.remove(one)
        elif _name(one) == "UTCTiming" and _CLOCK.match(scheme.strip()):
            one.set("schemeIdUri", "urn:mpeg:dash:utc:direct:2014")
            one.set("value", datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))  # fmt: skip


class _Rewriter:
    def __init__(self, link: Link, prefix: str) -> None:
        self._make = link
        self._prefix = prefix
        self._entries = 0
        self._done: set[Any] = set()

    def manifest(self, root: Any, base: str) -> None:
        """Everything in the manifest, in an order that is the same for the same manifest."""
        for one in _children(root, "Location"):
            one.text = self._prefix + self._link(_joined(base, one.text), Kind.MANIFEST)
        bases = {one: _base_of(base, one) for one in root.iter() if _name(one) in _LEVELS}
        for one in list(root.iter("{*}Representation")):
            self._representation(one, bases[one])
        for one in list(root.iter("{*}SegmentTemplate", "{*}SegmentList")):
            if _name(one.getparent()) == "Representation":
                continue
            if _name(one) == "SegmentList":
                one.getparent().remove(one)
            for name in _TEMPLATE_URLS:
                one.attrib.pop(name, None)
        for one in list(root.iter(*_SOURCES)):
            above = next(up for up in one.iterancestors() if _name(up) in _LEVELS)
            self._sources(one, bases[above])
        for one in list(root.iter("{*}BaseURL")):
            if one not in self._done:
                one.getparent().remove(one)

    def _representation(self, element: Any, base: str) -> None:
        """Gives a representation the addresses that it inherits, as links."""
        levels = [*_above(element), element]
        templates = [one for level in levels for one in _children(level, "SegmentTemplate")]
        if templates:
            self._templates(element, templates, base)
            _keep_offset(levels, _children(element, "SegmentTemplate")[0])
        else:
            lists = [one for level in levels for one in _children(level, "SegmentList")]
            if lists and not _children(element, "SegmentList"):
                # Each has its own base address, so each gets its own copy of what they share.
                element.append(deepcopy(lists[-1]))
            parts = ("SubRepresentation", "SegmentBase", "SegmentList")
            own = _insert(element, "BaseURL", before=parts)
            own.text = self._prefix + self._link(base, Kind.MEDIA)
            self._done.add(own)
        for one in list(element.iter(*_SOURCES)):
            self._sources(one, base)

    def _templates(self, element: Any, templates: list[Any], base: str) -> None:
        own = _children(element, "SegmentTemplate")
        target = own[0] if own else etree.SubElement(element, templates[-1].tag)
        inherited = [one for one in templates if one is not target]
        for one in reversed(inherited):
            for name, value in one.attrib.items():
                if name not in target.attrib:
                    target.set(name, value)
        for name in _TEMPLATE_URLS:
            if value := target.get(name):
                target.set(name, self._prefix + self._template(value, element, base))

    def _sources(self, element: Any, base: str) -> None:
        if element in self._done:
            return
        self._done.add(element)
        # Elsewhere it stands below the BaseURL of a representation, which leads to where all links are.
        prefix = self._prefix if _name(element.getparent()) == "SegmentTemplate" else ""
        for name in ("media", "index", "sourceURL"):
            if value := element.get(name):
                element.set(name, prefix + self._link(_joined(base, value), Kind.MEDIA))

    def _template(self, value: str, element: Any, base: str) -> str:
        """The link of a template, the representation's own values filled in."""

        def fill(match: re.Match[str]) -> str:
            name, width = match[1], match[2] or ""
            if not name or name in _FREE:
                return match[0]
            if name == "RepresentationID":
                return str(element.get("id", "")).replace("$", "$$")
            if name == "Bandwidth":
                bandwidth = element.get("bandwidth", "")
                if not re.fullmatch(r"\d{1,15}", bandwidth, re.ASCII):
                    raise BadManifest("a representation has no bandwidth")
                return bandwidth.zfill(int(width[2:-1])) if width else bandwidth
            raise BadManifest("a template of the manifest has an unknown part")

        filled = _PLACEHOLDER.sub(fill, value)
        target = _joined(base, filled)
        parts = urlsplit(target)
        if "$" in parts.netloc or "$" in parts.scheme:
            raise BadManifest("a template of the manifest leaves its host open")
        free = any(match[1] in _FREE for match in _PLACEHOLDER.finditer(filled))
        if free:
            return self._link(target, Kind.TEMPLATE)
        return self._link(target.replace("$$", "$"), Kind.MEDIA)

    def _link(self, target: str, kind: Kind) -> str:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise BadManifest(f"the manifest has more than {MAX_ENTRIES} addresses")
        if urlsplit(target).scheme not in ("http", "https"):
            raise BadManifest("the manifest names an address that is neither http nor https")
        return self._make(target, kind)


def _above(element: Any) -> list[Any]:
    """The levels above an element, from the manifest down."""
    return [up for up in element.iterancestors() if _name(up) in _LEVELS][::-1]


def _base_of(base: str, element: Any) -> str:
    """The address that an element's own are relative to: the first BaseURL of each level counts."""
    for level in [*_above(element), element]:
        for one in _children(level, "BaseURL")[:1]:
            base = _joined(base, one.text)
    return base


def _insert(parent: Any, name: str, *, before: tuple[str, ...]) -> Any:
    """A new child where the schema wants it."""
    child = parent.makeelement(etree.QName(etree.QName(parent).namespace, name))
    place = next((n for n, one in enumerate(parent) if _name(one) in before), len(parent))
    parent.insert(place, child)
    return child


def _joined(base: str, address: str | None) -> str:
    try:
        return urljoin(base, (address or "").strip())
    except ValueError:
        raise BadManifest("an address in the manifest is malformed") from None


def _keep_offset(levels: list[Any], target: Any) -> None:
    """A BaseURL may say how early segments are there (low latency); without it the template says so."""
    for level in levels:
        for one in _children(level, "BaseURL")[:1]:
            for name in ("availabilityTimeOffset", "availabilityTimeComplete"):
                if one.get(name) and not target.get(name):
                    target.set(name, one.get(name))
