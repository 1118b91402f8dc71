"""What a body really is, by its first bytes: hosts call segments images, and playlists web pages.

Only what is on the lists here keeps its type; all else goes out as plain bytes, so that no browser runs it.
"""

import re
from typing import Final

OCTETS: Final = "application/octet-stream"
HLS: Final = "application/vnd.apple.mpegurl"
DASH: Final = "application/dash+xml"

_HLS_TYPES = frozenset(
    {"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl", "application/mpegurl"}
)  # fmt: skip
_DASH_TYPES = frozenset({DASH, "video/vnd.mpeg.dash.mpd"})
_HARMLESS = frozenset(
    {OCTETS, "text/vtt", "application/ttml+xml", "application/x-subrip", "application/mp4", "application/ogg"}
)  # fmt: skip
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}
_BOXES = frozenset(
    (b"ftyp", b"styp", b"moof", b"moov", b"sidx", b"emsg", b"prft", b"ssix", b"mdat", b"free", b"skip", b"wide")
)  # fmt: skip
_EXTENSIONS = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".m4s": "video/mp4", ".cmfv": "video/mp4", ".fmp4": "video/mp4",
    ".m4a": "audio/mp4", ".cmfa": "audio/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska",
    ".webm": "video/webm", ".ts": "video/mp2t", ".m2ts": "video/mp2t", ".avi": "video/x-msvideo",
    ".flv": "video/x-flv", ".aac": "audio/aac", ".mp3": "audio/mpeg", ".ac3": "audio/ac3", ".vtt": "text/vtt",
    ".ogg": "application/ogg", ".flac": "audio/flac", ".wav": "audio/wav",
}  # fmt: skip
_PAGE = re.compile(rb"\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head|body|script)\b", re.I | re.S)  # fmt: skip
_MANIFEST = re.compile(rb"<(?:[A-Za-z0-9_]+:)?MPD[\s/>]")
_DECLARED = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,80}")
_MULTIPART = re.compile(r"multipart/byteranges\s*;\s*boundary=\"?[A-Za-z0-9'()+_,./:=? -]{1,70}\"?", re.I)  # fmt: skip
_BOM = b"\xef\xbb\xbf"


def sniffed(start: bytes) -> str:
    """The type that the first bytes of a body give away; empty where they do not."""
    if start[4:8] in _BOXES:
        quick = start[8:12]
        if start[4:8] == b"ftyp" and quick == b"qt  ":
            return "video/quicktime"
        return "audio/mp4" if start[4:8] == b"ftyp" and quick.startswith(b"M4A") else "video/mp4"
    if start.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in start[:64] else "video/x-matroska"
    if start[:1] == b"G" and _synchronous(start):
        return "video/mp2t"
    if start.startswith(b"RIFF"):
        known = {b"AVI ": "video/x-msvideo", b"WAVE": "audio/wav", b"WEBP": "image/webp"}
        return known.get(start[8:12], "")
    text = start.removeprefix(_BOM).lstrip(b" \t\r\n")
    if text.startswith(b"#EXTM3U"):
        return HLS
    if text.startswith(b"WEBVTT"):
        return "text/vtt"
    if text.startswith(b"<"):
        return DASH if _MANIFEST.search(text) and not is_page(text) else ""
    for magic, kind in (
        (b"FLV\x01", "video/x-flv"), (b"OggS", "application/ogg"), (b"fLaC", "audio/flac"),
        (b"\x00\x00\x01\xba", "video/mpeg"), (b"ID3", "audio/mpeg"), (b"\x0b\x77", "audio/ac3"),
        *_IMAGES.items(),
    ):  # fmt: skip
        if start.startswith(magic):
            return kind
    if len(start) > 2 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:
        return "audio/aac"
    return ""


def _synchronous(start: bytes) -> bool:
    """MPEG-TS has its sync byte every 188 bytes."""
    places = range(188, min(len(start), 188 * 4), 188)
    return len(places) > 0 and all(start[place] == 0x47 for place in places)


def is_page(start: bytes) -> bool:
    """Whether this is a web page: an error, or the host's door."""
    return _PAGE.match(start.removeprefix(_BOM)) is not None


def declared(header: str) -> str:
    """The type that a header names, in lower case and without parameters; empty for what is none."""
    kind = header.partition(";")[0].strip().lower()
    return kind if _DECLARED.fullmatch(kind) else ""


def is_hls(kind: str) -> bool:
    """Whether this is one of the names of an HLS playlist."""
    return kind in _HLS_TYPES


def is_dash(kind: str) -> bool:
    """Whether this is one of the names of a DASH manifest."""
    return kind in _DASH_TYPES


def outgoing(header: str, start: bytes, name: str) -> str:
    """The type to send: what the bytes say, else what the host says where that is harmless, else what the name says.

    `start` is empty for a body that does not begin at the beginning.
    """
    if (multipart := multipart_type(header)) is not None:
        return multipart
    if found := sniffed(start):
        return found
    kind = declared(header)
    if kind.startswith(("video/", "audio/")) and not is_hls(kind) and not is_dash(kind):
        return kind
    extension = "." + name.rpartition(".")[2].lower()
    if extension in _EXTENSIONS and kind in ("", OCTETS, "text/plain", "text/html"):
        return _EXTENSIONS[extension]
    return kind if kind in _HARMLESS else _EXTENSIONS.get(extension, OCTETS)


def multipart_type(header: str) -> str | None:
    """The whole header of an answer in several ranges; None for any other."""
    return header.strip() if _MULTIPART.fullmatch(header.strip()) else None
