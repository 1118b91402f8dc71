"""HLS playlists, line by line: every address becomes a link of ours, everything else stays as it came.

Written out by hand, since the parsing libraries make a playlist anew and lose what they do not know: tags, comments,
variables, the order of tags (measured with m3u8 6.0). RFC 8216bis names the tags that hold addresses; any other
attribute whose name ends in URI is taken for one as well, but for those of date ranges. What is no http(s) address is refused, except where
a player would not fetch it: `data:`, and the `skd:` and `urn:` of keys.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urljoin, urlsplit

from strm.errors import BadManifest
from strm.links import Kind

MAX_LINE: Final = 16 * 1024
MAX_ENTRIES: Final = 20_000
"""Addresses in one playlist: eleven hours in segments of two seconds."""
MAX_VARIABLES: Final = 100

Variables = tuple[tuple[str, str], ...]
Link = Callable[[str, Kind, Variables], str]
"""Makes a link of an absolute address; the variables are those that the playlist behind it may import."""

_ATTRIBUTES: dict[str, dict[str, Kind]] = {
    "EXT-X-KEY": {"URI": Kind.KEY},
    "EXT-X-SESSION-KEY": {"URI": Kind.KEY},
    "EXT-X-MAP": {"URI": Kind.MEDIA},
    "EXT-X-PART": {"URI": Kind.MEDIA},
    "EXT-X-PRELOAD-HINT": {"URI": Kind.MEDIA},
    "EXT-X-MEDIA": {"URI": Kind.PLAYLIST},
    "EXT-X-I-FRAME-STREAM-INF": {"URI": Kind.PLAYLIST},
    "EXT-X-IMAGE-STREAM-INF": {"URI": Kind.PLAYLIST},
    "EXT-X-RENDITION-REPORT": {"URI": Kind.PLAYLIST},
    "EXT-X-SESSION-DATA": {"URI": Kind.DATA},
    "EXT-X-CONTENT-STEERING": {"SERVER-URI": Kind.STEERING},
    "EXT-X-DATERANGE": {"X-ASSET-URI": Kind.PLAYLIST, "X-ASSET-LIST": Kind.ASSETS},
}
_BARE = re.compile(r"(EXT-X-[A-Z-]*PREFETCH):(.*)")
"""Tags of low-latency dialects whose whole value is an address."""
_NEXT = re.compile(r",[ \t]*[A-Z0-9][A-Z0-9-]*=")
_NAME = re.compile(r"(?<![A-Za-z0-9-])([A-Za-z0-9-]+)[ \t]*=[ \t]*")
_TAG = re.compile(r"#(EXT[A-Za-z0-9-]*)(:?)(.*)", re.S)
_LEFT_OVER = re.compile(r"URI[ \t]*=[ \t]*\"?[^\" \t,]")
"""An address that a player may see in a tag where we see none: some look for `URI="` anywhere."""
_REFERENCE = re.compile(r"\{\$([A-Za-z0-9_-]{1,100})\}")
_LONE_CR = re.compile(r"\r(?!\n)")
_OTHER_ENDS = re.compile("[\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INLINE = {
    Kind.KEY: ("data", "skd", "urn"),
    Kind.MEDIA: ("data",),
    Kind.DATA: ("data",),
}
_SHAPED = ("#EXTINF:", "#EXT-X-STREAM-INF:", "#EXT-X-BYTERANGE:")
_NUMBERED = re.compile(r"^[ \t]*#EXT-X-(?:MEDIA-SEQUENCE|PLAYLIST-TYPE:[ \t]*EVENT)", re.M)
_WHOLE, _PARTS = 0, 0xFFFE
_UNKNOWN = 0xFFFF


@dataclass(frozen=True, slots=True)
class Attribute:
    """One `NAME=value` of a tag; `start` and `end` are where the value stands, quotation marks included."""

    name: str
    value: str
    start: int
    end: int


def attributes(text: str) -> Iterator[Attribute]:
    """The attributes of a tag. A value without quotation marks ends before the next `,NAME=`, not at a comma.

    What is no attribute is skipped, as players do.
    """
    place = 0
    while match := _NAME.search(text, place):
        start = match.end()
        if text[start : start + 1] == '"':
            close = text.find('"', start + 1)
            end = len(text) if close < 0 else close + 1
            value = text[start + 1 :] if close < 0 else text[start + 1 : close]
        else:
            following = _NEXT.search(text, start)
            end = following.start() if following else len(text)
            value = text[start:end].strip()
        yield Attribute(match[1], value, start, end)
        place = text.find(",", end)
        if place < 0:
            return


@dataclass(frozen=True, slots=True)
class Spot:
    """Which segment an address stands for, or which part of one: what stays when every address of a playlist changes.

    `sequence` is the media sequence number; `discontinuity` is -1 where a delta update leaves it open; `part` is None
    for the whole segment, and for parts that are ranges of it.
    """

    sequence: int
    discontinuity: int
    part: int | None = None

    @property
    def number(self) -> int:
        """The segment's number as it fits into a link: no window is large enough to hold one twice."""
        return self.sequence & 0xFFFFFFFF

    @property
    def mark(self) -> int:
        """Discontinuity and part in 32 bits."""
        era = _UNKNOWN if self.discontinuity < 0 else self.discontinuity % _UNKNOWN
        return era << 16 | (_WHOLE if self.part is None else min(self.part + 1, _PARTS))

    def is_at(self, number: int, mark: int) -> bool:
        """Whether a link with these two was made for it. What is not known on either side does not count."""
        if number != self.number or (mark ^ self.mark) & 0xFFFF:
            return False
        return mark >> 16 == self.mark >> 16 or _UNKNOWN in (mark >> 16, self.mark >> 16)


BY_PATH: Final = 0xFFFF
"""The mark of what is no segment: keys, maps and the like are known by their paths."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An address of a playlist; `spot` is None for what is no segment, or has no number that stays."""

    url: str = field(repr=False)
    kind: Kind
    spot: Spot | None


def in_lines(text: str) -> str:
    """The text with no other ends of lines than LF and CRLF: what players take for one must not hide addresses from us.

    ffmpeg ends a line at each CR and at NUL, browsers do at U+2028 and U+2029. Raises BadManifest for NUL.
    """
    if "\0" in text:
        raise BadManifest("the playlist holds NUL characters")
    text = _OTHER_ENDS.sub(" ", text)
    return _LONE_CR.sub("\n", text) if "\r" in text else text


def is_playlist(text: str) -> bool:
    """Whether this is an HLS playlist at all."""
    return text.removeprefix("\ufeff").lstrip(" \t\r\n").startswith("#EXTM3U")


def is_master(text: str) -> bool:
    """Whether this playlist lists playlists."""
    return re.search(r"^[ \t]*#EXT-X-(?:STREAM-INF|I-FRAME-STREAM-INF):", text, re.M) is not None


def is_live(text: str) -> bool:
    """Whether this playlist may say something else tomorrow."""
    ended = re.search(r"^[ \t]*#EXT-X-(?:ENDLIST|PLAYLIST-TYPE:[ \t]*VOD)", text, re.M)
    return ended is None and not is_master(text)


def is_protected(text: str) -> bool:
    """Whether its keys are to be had from a DRM system only."""
    if "#EXT-X-FAXS-CM" in text:
        return True
    closed = False
    for match in re.finditer(r"^[ \t]*#EXT-X-(?:SESSION-)?KEY:(.*)$", text, re.M):
        said = {one.name: one.value for one in attributes(match[1].strip())}
        if said.get("METHOD", "NONE") == "NONE":
            continue
        if said.get("KEYFORMAT", "identity") == "identity" and not said.get("URI", "").startswith("skd:"):  # fmt: skip
            return False
        closed = True
    return closed


def shape(text: str) -> int:
    """A checksum of what a playlist is apart from its addresses: the same film under new addresses has the same."""
    kept = [line.strip() for line in text.split("\n") if line.lstrip().startswith(_SHAPED)]
    return zlib.crc32("\n".join(kept).encode("utf-8", "surrogateescape")) or 1


def defined(text: str, base: str, imported: Mapping[str, str]) -> dict[str, str]:
    """The playlist's variables (EXT-X-DEFINE). Raises BadManifest for one that nobody has given a value."""
    found: dict[str, str] = {}
    for match in re.finditer(r"^[ \t]*#EXT-X-DEFINE:(.*)$", text, re.M):
        said = {one.name: one.value for one in attributes(match[1].strip())}
        if "NAME" in said:
            found[said["NAME"]] = _substituted(said.get("VALUE", ""), found)
        elif "IMPORT" in said:
            if said["IMPORT"] not in imported:
                raise BadManifest("the playlist imports a variable that nobody has defined")
            found[said["IMPORT"]] = imported[said["IMPORT"]]
        elif "QUERYPARAM" in said:
            found[said["QUERYPARAM"]] = _parameter(base, said["QUERYPARAM"])
        if len(found) > MAX_VARIABLES:
            raise BadManifest("the playlist defines too many variables")
    if any(_CONTROL.search(value) for value in found.values()):
        # It would come out as lines of its own.
        raise BadManifest("a variable of the playlist holds control characters")
    return found


def _parameter(base: str, name: str) -> str:
    for key, value in parse_qsl(urlsplit(base).query, keep_blank_values=True, max_num_fields=100):
        if key == name:
            return value
    raise BadManifest("the playlist wants a parameter that its address does not have")


def _substituted(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in variables:
            raise BadManifest("the playlist uses a variable that nobody has defined")
        return variables[match[1]]

    return _REFERENCE.sub(value, text)


@dataclass
class _Counter:
    """Which segment comes next, as the lines of a playlist go by."""

    numbered: bool
    sequence: int = 0
    discontinuity: int = 0
    part: int = 0
    spot: Spot | None = None
    """Of the address that is being looked at."""

    def tag(self, name: str, rest: str) -> None:
        """Counts what a tag says; its own addresses are no segment unless it is one of the two that are parts."""
        self.spot = None
        if name == "EXT-X-MEDIA-SEQUENCE":
            self.sequence = _integer(rest)
        elif name == "EXT-X-DISCONTINUITY-SEQUENCE":
            self.discontinuity = _integer(rest)
        elif name == "EXT-X-DISCONTINUITY" and self.discontinuity >= 0:
            self.discontinuity += 1
        elif name == "EXT-X-SKIP":
            said = {one.name: one.value for one in attributes(rest)}
            self.sequence += _integer(said.get("SKIPPED-SEGMENTS", ""))
            self.discontinuity = -1
        elif name in ("EXT-X-PART", "EXT-X-PRELOAD-HINT"):
            said = {one.name: one.value for one in attributes(rest)}
            if name == "EXT-X-PART" or said.get("TYPE") == "PART":
                ranged = "BYTERANGE" in said or "BYTERANGE-START" in said
                self.spot = self._at(None if ranged else self.part)
                self.part += name == "EXT-X-PART"

    def segment(self) -> None:
        """A line that is an address."""
        self.spot = self._at(None)
        self.sequence += 1
        self.part = 0

    def _at(self, part: int | None) -> Spot | None:
        return Spot(self.sequence, self.discontinuity, part) if self.numbered else None


def _integer(text: str) -> int:
    found = re.match(r"[ \t]*([0-9]{1,20})", text)
    return int(found[1]) if found else 0


@dataclass
class _Rewriter:
    base: str
    link: Link
    variables: dict[str, str]
    uses_variables: bool
    master: bool
    counter: _Counter
    entries: int = 0
    expect_playlist: bool = field(default=False)

    def line(self, line: str) -> str:
        if len(line) > MAX_LINE:
            raise BadManifest("a line of the playlist is too long")
        text = line.strip()
        if not text:
            return line
        if text.startswith("#EXT"):
            return self._tag(line, text)
        if text.startswith("#"):
            return line
        kind = Kind.PLAYLIST if self.expect_playlist or self.master else Kind.MEDIA
        self.expect_playlist = False
        self.counter.segment()
        return line.replace(text, self._linked(text, kind), 1)

    def _tag(self, line: str, text: str) -> str:
        parts = _TAG.fullmatch(text)
        if parts is None:
            return line
        name, colon, rest = parts.groups()
        self.counter.tag(name, rest)
        if name == "EXT-X-STREAM-INF":
            self.expect_playlist = True
        if bare := _BARE.fullmatch(text[1:]):
            return line.replace(text, f"#{bare[1]}:{self._linked(bare[2].strip(), Kind.MEDIA)}", 1)
        if not name.startswith("EXT-X-") or "=" not in rest:
            return line
        if name == "EXT-X-DEFINE":
            return line.replace(text, self._definition(text, rest), 1)
        known = _ATTRIBUTES.get(name, {})
        pieces, done = [], 0
        # Date ranges hold whatever their authors like, and players open only what is named here.
        strictly = name != "EXT-X-DATERANGE"
        for one in attributes(rest):
            kind = known.get(one.name)
            if kind is None and strictly and one.name.upper().endswith("URI"):
                kind = Kind.MEDIA
            if kind is None or not one.value:
                continue
            pieces += [rest[done : one.start], f'"{self._linked(one.value, kind)}"']
            done = one.end
        pieces.append(rest[done:])
        if strictly:
            _check(pieces[::2])
        if len(pieces) == 1:
            return line
        return line.replace(text, f"#{name}{colon}{''.join(pieces)}", 1)

    def _definition(self, text: str, rest: str) -> str:
        """The address of the playlist is another one now, so its parameters are written out."""
        for one in attributes(rest):
            if one.name == "QUERYPARAM":
                value = self.variables[one.value].replace('"', "%22")
                return f'#EXT-X-DEFINE:NAME="{one.value}",VALUE="{value}"'
        return text

    def _linked(self, address: str, kind: Kind) -> str:
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise BadManifest(f"the playlist has more than {MAX_ENTRIES} entries")
        if self.uses_variables:
            address = _substituted(address, self.variables)
        try:
            target = urljoin(self.base, address)
            scheme = urlsplit(target).scheme
        except ValueError:
            raise BadManifest("an address in the playlist is malformed") from None
        if scheme in ("http", "https"):
            shared = tuple(self.variables.items()) if kind is Kind.PLAYLIST else ()
            return self.link(target, kind, shared if self.master else ())
        if scheme in _INLINE.get(kind, ()) and '"' not in address:
            return address
        raise BadManifest("the playlist names an address that is neither http nor https")


def _check(pieces: Iterable[str]) -> None:
    """Pieces of a tag that stay as they are. Raises BadManifest where a player may find an address in one."""
    if any(map(_LEFT_OVER.search, pieces)):
        raise BadManifest("the attributes of a tag in the playlist are malformed")


def rewrite(text: str, base: str, link: Link, *, imported: Mapping[str, str] | None = None) -> str:
    """The playlist from `base` with every address replaced by what `link` makes of it. Raises BadManifest."""
    return _rewritten(text, base, link, imported)


def entries(text: str, base: str, *, imported: Mapping[str, str] | None = None) -> list[Entry]:
    """Every address of the playlist, in the order in which `rewrite` asks for their links. Raises BadManifest."""
    found: list[Entry] = []
    counter = _Counter(numbered=_NUMBERED.search(text) is not None and not is_master(text))

    def note(url: str, kind: Kind, variables: Variables) -> str:
        found.append(Entry(url, kind, counter.spot))
        return "x"

    _rewritten(text, base, note, imported, counter)
    return found


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the streams that a playlist of playlists offers; `ordinal` is the place of its address among all."""

    ordinal: int
    bandwidth: int
    has_own_sound: bool
    """Whether its sound comes from a playlist beside it."""


def variants(text: str, base: str) -> list[Variant]:
    """The streams of a playlist of playlists, in its order. Raises BadManifest."""
    count = 0

    def number(url: str, kind: Kind, shared: Variables) -> str:
        nonlocal count
        count += 1
        return str(count - 1)

    found: list[Variant] = []
    said: dict[str, str] | None = None
    for line in rewrite(text, base, number).split("\n"):
        plain = line.strip()
        if plain.startswith("#EXT-X-STREAM-INF:"):
            said = {one.name: one.value for one in attributes(plain.partition(":")[2])}
        elif plain and not plain.startswith("#") and said is not None:
            bandwidth = _integer(said.get("BANDWIDTH", ""))
            found.append(Variant(int(plain), bandwidth, "AUDIO" in said))
            said = None
    return found


def _rewritten(
    text: str,
    base: str,
    link: Link,
    imported: Mapping[str, str] | None,
    counter: _Counter | None = None,
) -> str:
    text = text.removeprefix("\ufeff")
    if not is_playlist(text):
        raise BadManifest("the playlist does not begin with #EXTM3U")
    variables = defined(text, base, imported or {})
    rewriter = _Rewriter(
        base=base,
        link=link,
        variables=variables,
        uses_variables=bool(variables),
        master=is_master(text),
        counter=counter or _Counter(numbered=False),
    )
    return "\n".join(rewriter.line(line) for line in text.split("\n"))
