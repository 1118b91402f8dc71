"""What a file is by its first bytes and its name: enough to tell a video from a web page that calls itself one."""

import re
from pathlib import PurePosixPath

HEAD_BYTES = 2048
"""How much of the start is looked at."""

VIDEO_EXTENSIONS = frozenset(
    "mp4 m4v mkv webm mov avi ts m2ts mts flv mpg mpeg wmv asf ogv ogm divx 3gp vob".split()  # noqa: SIM905
)
_FAMILIES: dict[str, tuple[str, ...]] = {
    "mov": ("mp4", "m4v", "mov", "3gp"),
    "matroska": ("mkv", "webm"),
    "mpegts": ("ts", "m2ts", "mts"),
    "avi": ("avi", "divx"),
    "flv": ("flv",),
    "mpeg": ("mpg", "mpeg", "vob"),
    "ogg": ("ogv", "ogm"),
    "asf": ("wmv", "asf"),
}
"""Container, as `anibridge.lib.media` calls it → extensions that are right for it, the usual one first."""
_TYPES = {
    "video/mp4": "mp4",
    "video/x-m4v": "m4v",
    "video/x-matroska": "mkv",
    "video/matroska": "mkv",
    "video/webm": "webm",
    "video/quicktime": "mov",
    "video/x-msvideo": "avi",
    "video/mp2t": "ts",
    "video/x-flv": "flv",
    "video/mpeg": "mpg",
    "video/x-ms-wmv": "wmv",
    "video/ogg": "ogv",
}
_PAGE = re.compile(
    rb"\s*(?><!--.*?-->\s*)*+<(?:!doctype\s+html|html|head|body|title|script|meta|div|h1|p)\b",
    re.IGNORECASE | re.DOTALL,
)
_XML = re.compile(rb"\s*<(?:\?xml|rss|feed|error|mpd)\b", re.IGNORECASE)
_JSON = re.compile(rb'\s*(?:\{\s*(?:"|\})|\[\s*(?:\{|"|\]))')
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*\Z")


def extension(name: str) -> str:
    """The extension of a name in lower case, without its dot; empty when there is none worth the name."""
    suffix = PurePosixPath(name).suffix.lower().lstrip(".")
    return suffix if re.fullmatch(r"[a-z0-9]{1,8}", suffix) and not suffix.isdecimal() else ""


def claims_video(*, name: str = "", content_type: str = "") -> bool:
    """Whether a name or a type says that this is a video."""
    return extension(name) in VIDEO_EXTENSIONS or _plain(content_type).startswith("video/")


def extension_of_type(content_type: str) -> str:
    """The usual extension of a video's media type; empty for any other."""
    return _TYPES.get(_plain(content_type), "")


def extension_of_container(container: str, named: str = "") -> str:
    """The extension for what is really inside: the named one where it is right, else the usual one."""
    family = _FAMILIES.get(container, ())
    return named if not family or named in family else family[0]


def text_kind(head: bytes, content_type: str = "") -> str | None:
    """«a web page», «an XML document», «a JSON answer», «a text», or None for what is not text by its first bytes."""
    head = head.removeprefix(b"\xef\xbb\xbf")[:HEAD_BYTES]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head[2:].replace(b"\0", b"")
    if _PAGE.match(head):
        return "a web page"
    if _XML.match(head):
        return "an XML document"
    if _JSON.match(head):
        return "a JSON answer"
    if head and _PRINTABLE.match(head):
        return "a web page" if is_page_type(content_type) else "a text"
    return None


def is_page_type(content_type: str) -> bool:
    """Whether the type is that of a web page."""
    return _plain(content_type) in ("text/html", "application/xhtml+xml")


def is_hls(head: bytes) -> bool:
    """Whether this is the beginning of an HLS playlist."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U")


def is_dash(head: bytes) -> bool:
    """Whether this is the beginning of a DASH manifest."""
    return bool(re.match(rb"\s*(?:<\?xml[^>]*\?>\s*)?(?><!--.*?-->\s*)*+<MPD\b", head, re.DOTALL))


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
