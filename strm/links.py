"""Links: what is signed into them, and what is believed when they come back.

A **stream link** `/strm/stream?e=&lang=&s=&site=&slug=[&provider=][&exp=]&sig=` names what to play. `sig` is the
HMAC-SHA256 of the other parameters, sorted and form-encoded. It is permanent unless it has an `exp` (Unix time).

A **child link** `/strm/proxy/<name>?t=` is an address out of a playlist: of a variant, a segment, a key. `t` is sealed
(AES-SIV): nobody can read the upstream address out of it, change it, or point it elsewhere. It belongs to a playback and
dies with it. The same address in the same playback always gets the same link, since players compare links between
two loads of a live playlist. `name` only tells a player what to expect; it decides nothing.

A child link of a DASH template holds the template. The only thing that the player adds to it are numbers.
"""

import base64
import hmac
import json
import posixpath
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from functools import partial
from time import time
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from cryptography.exceptions import InvalidTag
from django.conf import settings

from anibridge.lib import apikeys
from anibridge.lib.errors import Misconfigured
from catalogue.releases import BARE_SITES, MAX_SLUG, Identity, language_label
from strm import keys
from strm.errors import BadLink, LinkExpired

MAX_QUERY: Final = 12_000
"""Characters of a query string that is read at all."""
MAX_URL: Final = 5_900
"""Characters of an upstream address that is made a link of: a web server reads a request line of 8,190."""
MAX_VARIABLES: Final = 1_000

_STREAM = frozenset({"e", "lang", "s", "site", "slug", "provider", "exp", "sig", "apikey"})
_SITE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_MOMENT = re.compile(r"[0-9]{1,12}")
_HEAD = struct.Struct(">B16sIiIIH")
_VERSION, _LIVE = 1, 2
_PLACEHOLDER = re.compile(r"\$(?:(Number|Time|SubNumber)(?:%0(\d{1,2})d)?)?\$")
_VARIABLE_NAMES = {"n": "Number", "i": "Time", "u": "SubNumber"}
_DIRECTIVE = re.compile(r"_HLS_[A-Za-z_]{1,40}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a stream link asks for; `by_secret` whether it proved itself, so that any web page may use it."""

    identity: Identity
    provider: str
    by_secret: bool


class Kind(IntEnum):
    """What a child link may lead to."""

    MEDIA = 1
    """A segment, an initialisation, a file; or a playlist, where that is what comes."""
    PLAYLIST = 2
    MANIFEST = 3
    KEY = 4
    DATA = 5
    STEERING = 6
    ASSETS = 7
    TEMPLATE = 8
    """A segment whose number the player fills in."""


ROOT: Final = -1
NOWHERE: Final = -2


@dataclass(frozen=True, slots=True)
class Child:
    """The address of one link in a playlist, and where it stood.

    `generation` is the version of the resolved link that it was found under; `parent` and `ordinal` say where: the
    n-th address of the root (ROOT) or of the root's n-th playlist, NOWHERE for what cannot be found again. `shape`
    is the checksum of what that playlist looked like without its addresses.

    The places in a `live` playlist change; there `ordinal` and `shape` are the `number` and `mark` of an `hls.Spot`.
    """

    playback: str
    kind: Kind
    url: str = field(repr=False)
    generation: int = 0
    parent: int = NOWHERE
    ordinal: int = 0
    shape: int = 0
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    live: bool = False


def base_url() -> str:
    """The address that players reach us at. Raises Misconfigured when the operator has named none."""
    base = settings.STRM_PUBLIC_BASE_URL or settings.PUBLIC_URL
    if not base:
        raise Misconfigured(
            "set STRM_PUBLIC_BASE_URL to the address under which your players reach AniBridge"
        )
    return str(base).rstrip("/")


def stream_url(
    identity: Identity, *, provider: str = "", base_url: str, expires_at: datetime | None = None
) -> str:
    """The link that plays `identity`, from `provider` first where one is named. Holds no secret of ours.

    How it proves itself follows STRM_PROXY_AUTH: a signature, a key that can only play, or nothing at all.
    """
    fields = _fields(identity, provider)
    if expires_at is not None:
        fields["exp"] = str(int(expires_at.timestamp()))
    query = _canonical(fields)
    if settings.STRM_PROXY_AUTH == "token":
        query += f"&sig={_signature(keys.signing()[0], query)}"
    elif settings.STRM_PROXY_AUTH == "apikey":
        query += f"&apikey={keys.playing()[0]}"
    return f"{base_url.rstrip('/')}/strm/stream?{query}"


def ending(now: datetime) -> datetime | None:
    """When the link in a file that is written now ends; None where links do not.

    STRM_LINK_DAYS ahead at least, and half of that more at most: in steps, so that the same file comes out for a while.
    """
    step = settings.STRM_LINK_DAYS * 86_400 / 2
    if step <= 0:
        return None
    return datetime.fromtimestamp((now.timestamp() // step + 3) * step, tz=UTC)


def read_stream(query: bytes, *, key: str = "") -> Asked:
    """What a stream link asks for; `key` is what came as X-Api-Key. Raises BadLink or LinkExpired."""
    fields = _read(query, _STREAM)
    proved = _proved(fields, key)
    if not proved and settings.STRM_PROXY_AUTH != "none":
        missing = "sig" not in fields and "apikey" not in fields and not key
        raise BadLink("the link is not signed" if missing else "the link's signature is not valid")
    if "exp" in fields:
        if not _MOMENT.fullmatch(fields["exp"]):
            raise BadLink("the link's expiry is no time")
        if int(fields["exp"]) < time():
            raise LinkExpired("the link has expired")
    return Asked(_identity(fields), _provider(fields.get("provider", "")), by_secret=proved)


def _fields(identity: Identity, provider: str) -> dict[str, str]:
    fields = {
        "e": "" if identity.episode is None else str(identity.episode),
        "lang": identity.language,
        "s": str(identity.season),
        "site": identity.site,
        "slug": identity.slug,
    }
    return {**fields, "provider": provider} if provider else fields


def _canonical(fields: Mapping[str, str]) -> str:
    return urlencode(sorted(fields.items()))


def _signature(key: bytes, query: str) -> str:
    return hmac.digest(key, query.encode(), "sha256").hex()


def _proved(fields: Mapping[str, str], key: str) -> bool:
    signed = {name: value for name, value in fields.items() if name not in ("sig", "apikey")}
    query, given = _canonical(signed), fields.get("sig", "").encode()
    if given and any(
        hmac.compare_digest(_signature(one, query).encode(), given) for one in keys.signing()
    ):
        return True
    if settings.STRM_PROXY_AUTH != "apikey":
        return False
    for candidate in (fields.get("apikey", ""), key):
        if candidate and (
            apikeys.is_valid(candidate)
            or any(hmac.compare_digest(one.encode(), candidate.encode()) for one in keys.playing())
        ):
            return True
    return False


def _read(query: bytes, known: frozenset[str]) -> dict[str, str]:
    """The known parameters, each at most once. Others are left out: they are not signed, so they mean nothing."""
    if len(query) > MAX_QUERY:
        raise BadLink("the link is too long")
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict"
        )
    except ValueError:
        raise BadLink("the link is malformed") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in known:
            if name in fields:
                raise BadLink(f"the link gives {name} more than once")
            fields[name] = value
    return fields


def _identity(fields: Mapping[str, str]) -> Identity:
    site, slug, language = (fields.get(name, "") for name in ("site", "slug", "lang"))
    season, episode = fields.get("s", ""), fields.get("e", "")
    bare = site in BARE_SITES
    label = language if bare else language_label(language)
    if not _SITE.fullmatch(site):
        raise BadLink("the link names no site")
    if not (0 < len(slug) <= MAX_SLUG and slug.isprintable()) or " " in slug:
        raise BadLink("the link names no title")
    if label is None or len(label) > 60 or not label.isprintable():
        raise BadLink("the link's language is not known")
    if not _NUMBER.fullmatch(season) or not (_NUMBER.fullmatch(episode) or (bare and not episode)):
        raise BadLink("the link names no episode")
    return Identity(site, slug, int(season), int(episode) if episode else None, label)


def _provider(text: str) -> str:
    if len(text) > 60 or not text.isprintable():
        raise BadLink("the link's provider is no host's name")
    return text


def child_link(child: Child, *, name: str = "") -> str:
    """The link of a child, relative to `/strm/proxy/`. A template's names the numbers that the player fills in."""
    if len(child.url) > MAX_URL:
        raise ValueError("the address is too long")
    link = f"{name or child_name(child.url, child.kind)}?t={_seal(child)}"
    if child.kind is Kind.TEMPLATE:
        used = {match[1] for match in _PLACEHOLDER.finditer(child.url)}
        for short, long in _VARIABLE_NAMES.items():
            if long in used:
                link += f"&{short}=${long}$"
    return link


def read_child(query: bytes) -> tuple[Child, Callable[[str], str]]:
    """The child, and what makes the address to ask out of its own: the player's numbers and HLS directives go in.

    Raises BadLink; so does what is returned.
    """
    fields = _read(query, frozenset({"t", *_VARIABLE_NAMES}))
    child = _unseal(fields.get("t", ""))
    if child.kind is Kind.TEMPLATE:
        given = {_VARIABLE_NAMES[name]: value for name, value in fields.items() if name != "t"}
        return child, partial(expanded, given=given)
    if child.kind is Kind.PLAYLIST:
        return child, partial(with_directives, query=query)
    return child, str


def expanded(template: str, given: Mapping[str, str]) -> str:
    """A DASH template with the player's numbers in it. Raises BadLink where one is missing or no number."""

    def fill(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        text = given.get(match[1], "")
        if not re.fullmatch(r"[0-9]{1,20}", text):
            raise BadLink(f"the link's {match[1]} is no number")
        return str(int(text)).zfill(int(match[2] or 1))

    return _PLACEHOLDER.sub(fill, template)


def with_directives(url: str, query: bytes) -> str:
    """The address of a playlist with the delivery directives (`_HLS_msn` …) that a player has added to our link."""
    if b"_HLS_" not in query:
        return url
    pairs = parse_qsl(query.decode("ascii", "replace"), max_num_fields=50)
    wanted = {
        name: value
        for name, value in pairs
        if _DIRECTIVE.fullmatch(name) and re.fullmatch(r"[A-Za-z0-9._~-]{1,64}", value)
    }
    if not wanted:
        return url
    address, _, fragment = url.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(wanted)}{'#' if fragment else ''}{fragment}"


def child_name(url: str, kind: Kind, *, extension: str = "") -> str:
    """A file name for the path of a link: safe, and with an extension by which players know what it is."""
    path = unquote(_PLACEHOLDER.sub("", urlsplit(url).path))
    stem, given = posixpath.splitext(posixpath.basename(path)[-80:])
    stem = _UNSAFE.sub("_", stem).strip("._")[:60] or "part"
    given = given.lower()
    fixed = {
        Kind.PLAYLIST: ".m3u8",
        Kind.MANIFEST: ".mpd",
        Kind.KEY: ".key",
        Kind.DATA: ".json",
        Kind.STEERING: ".json",
        Kind.ASSETS: ".json",
    }.get(kind, "")
    if not fixed and given not in MEDIA_EXTENSIONS:
        fixed = extension or ".bin"
    return stem + (fixed or given)


MEDIA_EXTENSIONS: Final = frozenset(
    [
        ".ts",
        ".m2ts",
        ".mp4",
        ".m4s",
        ".m4v",
        ".m4a",
        ".m4f",
        ".cmfv",
        ".cmfa",
        ".cmft",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".flv",
        ".mpg",
        ".aac",
        ".ac3",
        ".ec3",
        ".eac3",
        ".mp3",
        ".ogg",
        ".opus",
        ".oga",
        ".ogv",
        ".flac",
        ".wav",
        ".vtt",
        ".webvtt",
        ".srt",
        ".ttml",
        ".dfxp",
        ".mp2",
        ".3gp",
        ".fmp4",
        ".init",
        ".m3u8",
        ".mpd",
    ]
)


def _seal(child: Child) -> str:
    extra = json.dumps(child.variables).encode() if child.variables else b""
    head = _HEAD.pack(
        (_LIVE if child.live else _VERSION) << 4 | child.kind,
        bytes.fromhex(child.playback),
        child.generation & 0xFFFFFFFF,
        child.parent,
        child.ordinal,
        child.shape,
        len(extra),
    )
    sealed = keys.sealing()[0].encrypt(head + extra + child.url.encode("utf-8"), None)
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _unseal(token: str) -> Child:
    if not token:
        raise BadLink("the link is not signed")
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        opened = _opened(sealed)
        mark, playback, generation, parent, ordinal, shape, extra = _HEAD.unpack_from(opened)
        if mark >> 4 not in (_VERSION, _LIVE):
            raise ValueError("another version's")
        start = _HEAD.size + extra
        variables = json.loads(opened[_HEAD.size : start]) if extra else ()
        return Child(
            playback=playback.hex(),
            kind=Kind(mark & 15),
            url=opened[start:].decode("utf-8"),
            generation=generation,
            parent=parent,
            ordinal=ordinal,
            shape=shape,
            variables=tuple((str(name), str(value)) for name, value in variables),
            live=mark >> 4 == _LIVE,
        )
    except (ValueError, struct.error, InvalidTag):
        raise BadLink("the link's signature is not valid") from None


def _opened(sealed: bytes) -> bytes:
    for cipher in keys.sealing():
        try:
            return cipher.decrypt(sealed, None)
        except InvalidTag:
            continue
    raise InvalidTag
