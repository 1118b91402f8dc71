"""What a server calls a file: Content-Disposition (RFC 6266, RFC 8187), or else the last part of its address.

Servers send every kind of broken header, so whatever cannot be read is left out and nothing here raises. What comes
back is a name only, without any folder; making it safe for a file system is the caller's business.
"""

import contextlib
import re
from urllib.parse import unquote, unquote_to_bytes, urlsplit

LONGEST_HEADER = 8192
_PARAMETER = re.compile(
    r""";\s*(?P<name>[A-Za-z0-9!#$&+\-.^_`|~]+(?:\*[0-9]*\*?)?)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<plain>[^;]*))""",
    re.DOTALL,
)
_EXTENDED = re.compile(r"(?P<charset>[^']*)'[^']*'(?P<value>.*)", re.DOTALL)
_ENCODINGS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1", "us-ascii": "ascii"}


def file_name(header: str) -> str | None:
    """The file name of a Content-Disposition header, `filename*` before `filename`; None when there is none."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(f";{header[:LONGEST_HEADER].partition(';')[2]}"):
        quoted, name = match["quoted"], match["name"].lower()
        if quoted is None:
            found.setdefault(name, match["plain"].strip())
        else:
            found.setdefault(name, _unescaped(quoted))
    extended = _decoded(found.get("filename*", ""))
    plain = _readable(found["filename"]) if "filename" in found else None
    return _base(extended or "") or _base(plain or "")


def name_of_address(url: str) -> str | None:
    """The last part of an address's path, percent-decoded; None when it ends in a slash or is no address."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return _base(unquote(path.rpartition("/")[2], errors="replace"))


def _unescaped(text: str) -> str:
    # A backslash before a letter is a path of some Windows program and no escape.
    return re.sub(r'\\(["\\])', r"\1", text)


def _decoded(text: str) -> str | None:
    """The value of an extended parameter: charset'language'percent-encoded."""
    match = _EXTENDED.fullmatch(text)
    if match is None:
        return None
    encoding = _ENCODINGS.get(match["charset"].strip().lower())
    if encoding is None:
        return None
    try:
        return unquote_to_bytes(match["value"]).decode(encoding)
    except UnicodeDecodeError:
        return None


def _readable(text: str) -> str:
    """Headers arrive as Latin-1; most servers mean UTF-8, and some percent-encode where they should not."""
    with contextlib.suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        try:
            return unquote_to_bytes(text).decode("utf-8")
        except UnicodeDecodeError:
            return text
    return text


def _base(name: str) -> str | None:
    """The last part of whatever path the server put there."""
    name = re.split(r"[/\\]", name)[-1].strip()
    return None if name in ("", ".", "..") else name
