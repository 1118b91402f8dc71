"""A release: what identifies it, how it is called, and the magnet that carries it to a download client and back.

The infohash is a function of the identity alone, so a client that blocklists it or adds it twice means the same thing
tomorrow. The name is written for the parsers of Sonarr and Radarr.
"""

import base64
import hashlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus, unquote_plus

from anibridge.lib.text import shorten, transliterate, without_controls
from catalogue.errors import InvalidMagnet

STRM_MARKER: Final = " [STRM]"
MAX_NAME_BYTES: Final = 200
MAX_MAGNET_BYTES: Final = 64 * 1024
MAX_NUMBER: Final = 100_000
MAX_SLUG: Final = 200
BARE_SITES: Final = frozenset({"playlist", "link"})
"""Sources whose slug says everything: a playlist item's id, the sha1 of a pushed URL. No plug-in may use these ids."""

# (spoken, subtitles): None for the site's original language. The keys are the labels of `catalogue.sites`.
_LANGUAGES: dict[str, tuple[str | None, str | None]] = {
    "German Dub": ("German", None),
    "German Sub": (None, "German"),
    "English Dub": ("English", None),
    "English Sub": (None, "English"),
}
_ALIASES = {
    spelling: label
    for label, spellings in (
        ("German Dub", "german deutsch ger germandub germandubbed gerdub deutschdub"),
        ("German Sub", "germansub germansubbed gersub gersubbed deutschsub omu"),
        ("English Dub", "english englisch eng englishdub englishdubbed engdub englischdub"),
        ("English Sub", "englishsub englishsubbed engsub engsubbed englischsub"),
    )
    for spelling in spellings.split()
}
# Only «Subbed» is safe everywhere: Radarr takes «GerSub» for burnt-in subtitles, Sonarr «GER.SUB» for German speech.
_SUBTITLE_TAGS = {"German": "GerSubbed", "English": "EngSubbed"}
_CODECS = (
    (re.compile(r"hevc|h\.?265|x265|hvc1|hev1", re.I), "H265"),
    (re.compile(r"av01|av1", re.I), "AV1"),
    (re.compile(r"vp0?9", re.I), "VP9"),
)
# Cropped films are a little lower than their format; what lies between two formats is never promised as the higher.
_HEIGHTS = ((1800, "2160p"), (1000, "1080p"), (650, "720p"), (560, "576p"), (510, "540p"))
_PREFIXES = {"aniworld": "aw", "sto": "sto", "megakino": "mk"}
_SITE_OF_PREFIX = {prefix: site for site, prefix in _PREFIXES.items()}
_OLDER_SITES = {"aniworld.to": "aniworld", "s.to": "sto", "serienstream.to": "sto"}
_SITE_ID = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OURS = re.compile(r"([a-z][a-z0-9_]*)_(slug|s|e|lang|site|mode|provider)")
_NUMBER = re.compile(r"[0-9]{1,6}")
_BTIH = re.compile(r"urn:btih:([0-9a-z]+)", re.I)
_LIKE_A_HASH = re.compile(r"[0-9A-Za-z]{24}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a release is a release of. `episode` None is a whole season; season 0, episode 0 is a film on its own."""

    site: str
    slug: str
    season: int
    episode: int | None
    language: str
    strm: bool = False

    @property
    def infohash(self) -> str:
        """40 hex digits, the same on every machine and at any time."""
        parts = [self.site, self.slug]
        if self.site not in BARE_SITES:
            episode = "" if self.episode is None else str(self.episode)
            parts += [str(self.season), episode, self.language]
        return _sha1(parts, strm=self.strm)

    @property
    def is_pack(self) -> bool:
        return self.episode is None

    @property
    def is_film(self) -> bool:
        return self.season == 0 and self.episode == 0


@dataclass(frozen=True, slots=True)
class Release:
    """A release as it is offered. Everything but the identity only words its name.

    `alias` is the season and episode under which a client knows a special; the identity keeps the site's numbers. So
    it does where `film` is true: then it is one of a series' films, offered to a client that knows it as a film.
    """

    identity: Identity
    title: str
    group: str
    original_language: str = ""
    """What is spoken where the language is «… Sub»: an English word. Empty: the name leaves it open."""
    height: int | None = None
    vcodec: str | None = None
    year: int | None = None
    alias: tuple[int, int | None] | None = None
    provider: str | None = None
    film: bool = False

    @property
    def is_film(self) -> bool:
        """Whether it is called a film, not an episode."""
        return self.film or (self.identity.is_film and self.alias is None)

    @property
    def spoken(self) -> str:
        """The language that is heard, as an English word; empty when it is not known."""
        if self.identity.language not in _LANGUAGES:
            return ""
        return _LANGUAGES[self.identity.language][0] or self.original_language

    @property
    def subtitles(self) -> str:
        """The language of the subtitles, as an English word; empty without any."""
        return _LANGUAGES.get(self.identity.language, (None, None))[1] or ""

    @property
    def name(self) -> str:
        """The release name, which is also the finished file's, without extension.

        One safe path component of at most 200 bytes. Never empty: a title without a letter gives way to the slug.
        """
        title = dotted(self.title) or dotted(self.identity.slug) or "Unknown"
        rest = [
            self._year_of(title) if self.is_film else self._number(),
            dotted(self.spoken),
            _SUBTITLE_TAGS.get(self.subtitles, ""),
            *self._quality(),
        ]
        group = re.sub(r"[^A-Z0-9]", "", self.group.upper())[:40] or "ANIBRIDGE"
        tail = f".{'.'.join(part for part in rest if part)}-{group}"
        # Sonarr drops names that begin like a hash, and takes them with a group in front.
        mark = f"[{group}] " if _LIKE_A_HASH.match(title) else ""
        room = MAX_NAME_BYTES - len((mark + tail + STRM_MARKER).encode())
        return mark + _cut(title, room) + tail

    @property
    def strm_name(self) -> str:
        """The name as an indexer shows a release that becomes a `.strm` file; the file goes by `name`."""
        return self.name + STRM_MARKER

    @property
    def shown_name(self) -> str:
        """`strm_name` or `name`, whichever fits the identity."""
        return self.strm_name if self.identity.strm else self.name

    @property
    def infohash(self) -> str:
        return self.identity.infohash

    @property
    def magnet(self) -> str:
        return magnet(self)

    def _number(self) -> str:
        season, episode = self.alias or (self.identity.season, self.identity.episode)
        return f"S{season:02d}" if episode is None else f"S{season:02d}E{episode:02d}"

    def _year_of(self, title: str) -> str:
        """The film's year, unless the title ends with it already."""
        return "" if not self.year or title.endswith(f".{self.year}") else str(self.year)

    def _quality(self) -> tuple[str, str, str]:
        """An unknown height is left out: clients then assume 480p, the least that they know."""
        height = resolution(self.height)
        codec = next((tag for known, tag in _CODECS if known.search(self.vcodec or "")), "H264")
        # Beside these codecs or «…0p» a bare WEB is a source to Sonarr, otherwise only «WEB-DL» is.
        plain = codec in ("H264", "H265") or height.endswith("0p")
        return height, "WEB" if plain else "WEB-DL", codec


@dataclass(frozen=True, slots=True)
class Magnet:
    """What a magnet link says. `identity` is None for one that is not ours: a real torrent.

    `infohash` is the link's own. It differs from the identity's for links that an older AniBridge made.
    """

    infohash: str
    name: str | None
    identity: Identity | None = None
    provider: str | None = None
    trackers: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """The name as one safe path component without the STRM marker; the infohash when there is no name."""
        name = (self.name or "").removesuffix(STRM_MARKER)
        name = re.sub(r'[\\/:*?"<>|\s]+', " ", _without_invisible(name)).strip(" .")
        return _cut(name, MAX_NAME_BYTES).rstrip(" .") or self.infohash


def dotted(text: str) -> str:
    """Words joined by dots: umlauts written out, other accents off, letters of other scripts as they are.

    Empty when there is no letter or digit. Apostrophes close up and «&» is a word, as in Sonarr's own comparison.
    """
    text = re.sub("['’‘`´ʼ]", "", _without_invisible(text))
    text = re.sub(r"(?<=\d)%", " percent ", text.replace("&", " and "))
    kept = [char if _is_letter(char) else " " for char in transliterate(text)]
    words = "".join(kept).split()
    return ".".join(word for word in words if any(char.isalnum() for char in word))


def resolution(height: int | None) -> str:
    """The resolution that clients know for a height: 1440 lines are promised as 1080p. Empty when unknown."""
    if not height or height < 1:
        return ""
    return next((name for least, name in _HEIGHTS if height >= least), "480p")


def nominal_height(width: int, height: int) -> int:
    """The height of the 16:9 format that a picture was cut from: 1920x800 is 1080."""
    return max(height, round(width * 9 / 16))


def language_label(text: str) -> str | None:
    """The label that a spelling stands for («deutsch», «Ger.Sub»), or None."""
    if text in _LANGUAGES:
        return text
    return _ALIASES.get(re.sub(r"[\W_]", "", text.casefold()))


def magnet(release: Release, *, trackers: tuple[str, ...] = ()) -> str:
    """The magnet link of a release; `parse_magnet` reads it back. The colons of `urn:btih:` stay literal, since
    Sonarr and Prowlarr refuse encoded ones."""
    return magnet_of(
        release.identity, release.shown_name, provider=release.provider or "", trackers=trackers
    )


def magnet_of(
    identity: Identity, name: str, *, provider: str = "", trackers: tuple[str, ...] = ()
) -> str:
    """The magnet link of an identity under a name that is known already."""
    prefix = _PREFIXES.get(identity.site, identity.site)
    fields = [
        ("dn", name),
        (f"{prefix}_slug", identity.slug),
        (f"{prefix}_s", str(identity.season)),
        (f"{prefix}_e", "" if identity.episode is None else str(identity.episode)),
        (f"{prefix}_lang", identity.language),
        (f"{prefix}_site", identity.site),
    ]
    if identity.strm:
        fields.append((f"{prefix}_mode", "strm"))
    if provider:
        fields.append((f"{prefix}_provider", provider))
    fields += [("tr", tracker) for tracker in trackers]
    query = "&".join(f"{key}={quote_plus(value)}" for key, value in fields)
    return f"magnet:?xt=urn:btih:{identity.infohash}&{query}"


def parse_magnet(text: str) -> Magnet:
    """Reads a magnet link, ours or another. Raises InvalidMagnet with a sentence that says what is wrong."""
    pairs = _pairs(text)
    infohash = _infohash([value for key, value in pairs if re.fullmatch(r"xt(\.\d+)?", key, re.I)])
    names = [value for key, value in pairs if key.lower() == "dn"]
    name = shorten(names[0], 500) if names else ""
    trackers = tuple(dict.fromkeys(value for key, value in pairs if key.lower() == "tr" and value))
    prefix, fields = _own_fields(pairs)
    if not fields:
        return Magnet(infohash, name or None, trackers=trackers)
    if len(names) > 1:
        raise InvalidMagnet("The magnet gives dn more than once.")
    identity = _identity(prefix, fields, infohash)
    provider = fields.get("provider") or None
    if provider and not _printable(provider, 60):
        raise InvalidMagnet(f"The magnet's provider «{shorten(provider, 40)}» is no host's name.")
    return Magnet(infohash, name or None, identity, provider, trackers)


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        size = len(text.encode()) if len(text) <= MAX_MAGNET_BYTES else len(text)
    except UnicodeEncodeError:
        raise InvalidMagnet("The magnet is not valid Unicode.") from None
    if size > MAX_MAGNET_BYTES:
        raise InvalidMagnet(f"The magnet is longer than {MAX_MAGNET_BYTES // 1024} KiB.")
    scheme, _, query = text.strip().partition("?")
    if scheme.lower() != "magnet:":
        raise InvalidMagnet(f"«{shorten(text, 60)}» is not a magnet link.")
    parts = (part.partition("=") for part in query.partition("#")[0].split("&"))
    return [(unquote_plus(key), unquote_plus(value)) for key, equals, value in parts if equals]


def _infohash(topics: list[str]) -> str:
    found = {_hex(match[1]) for topic in topics if (match := _BTIH.fullmatch(topic))}
    if not found:
        raise InvalidMagnet("The magnet names no BitTorrent v1 hash (xt=urn:btih:…).")
    if len(found) > 1:
        raise InvalidMagnet("The magnet names more than one hash.")
    return found.pop()


def _hex(text: str) -> str:
    if re.fullmatch(r"[0-9a-f]{40}", text, re.I):
        return text.lower()
    if re.fullmatch(r"[2-7a-z]{32}", text, re.I):
        return base64.b32decode(text.upper()).hex()
    raise InvalidMagnet(f"«{text[:60]}» is no infohash: neither 40 hex digits nor 32 of base32.")


def _own_fields(pairs: list[tuple[str, str]]) -> tuple[str, dict[str, str]]:
    """Our prefix and fields; none for a foreign magnet. A lone look-alike among foreign parameters is theirs."""
    found = [(match, value) for key, value in pairs if (match := _OURS.fullmatch(key))]
    keys = [match[0] for match, _ in found]
    prefixes = {match[1] for match, _ in found}
    slugs = {match[1] for match, _ in found if match[2] == "slug"}
    if not slugs:
        for prefix in prefixes:
            if all(f"{prefix}_{field}" in keys for field in ("s", "e", "lang")):
                raise InvalidMagnet(f"The magnet lacks {prefix}_slug.")
        return "", {}
    if len(prefixes) > 1:
        raise InvalidMagnet(f"The magnet mixes fields of {' and '.join(sorted(prefixes)[:4])}.")
    key, count = Counter(keys).most_common(1)[0]
    if count > 1:
        raise InvalidMagnet(f"The magnet gives {shorten(key, 60)} more than once.")
    return slugs.pop(), {match[2]: value for match, value in found}


def _identity(prefix: str, fields: dict[str, str], infohash: str) -> Identity:
    for field in ("slug", "s", "e", "lang"):
        if field not in fields:
            raise InvalidMagnet(f"The magnet lacks {shorten(prefix, 60)}_{field}.")
    site = _site(prefix, fields.get("site", ""))
    slug, said = fields["slug"], fields["lang"]
    if not _printable(slug, MAX_SLUG) or " " in slug or "|" in slug:
        raise InvalidMagnet(f"The magnet's title «{shorten(slug, 60)}» is no slug.")
    free = site in BARE_SITES and (not said or _printable(said, 60))
    language = said if free else language_label(said)
    if language is None:
        raise InvalidMagnet(f"The magnet's language «{shorten(said, 40)}» is not known.")
    mode = fields.get("mode", "")
    if mode not in ("", "strm"):
        raise InvalidMagnet(f"The magnet's mode «{shorten(mode, 40)}» is not known.")
    identity = Identity(
        site=site,
        slug=slug,
        season=_int("season", fields["s"]),
        episode=_int("episode", fields["e"]) if fields["e"] else None,
        language=language,
        strm=mode == "strm",
    )
    episode = "" if identity.episode is None else str(identity.episode)
    older = _sha1([slug, str(identity.season), episode, said], strm=identity.strm)
    if infohash not in (identity.infohash, older):
        raise InvalidMagnet("The magnet's hash does not belong to its fields.")
    return identity


def _site(prefix: str, said: str) -> str:
    """The site id. Older magnets give host names, and «aw» for every site but s.to."""
    host = said.strip().lower().removeprefix("www.")
    site = _OLDER_SITES.get(host) or ("megakino" if host.startswith("megakino") else host)
    site = site or _SITE_OF_PREFIX.get(prefix, prefix)
    if not _SITE_ID.fullmatch(site):
        raise InvalidMagnet(f"The magnet's site «{shorten(said, 60)}» is not known.")
    expected = _PREFIXES.get(site, site)
    if prefix != expected and (prefix != "aw" or site == "sto"):
        raise InvalidMagnet(f"The magnet's fields of {shorten(prefix, 60)} name the site {site}.")
    return site


def _int(what: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_NUMBER:
        raise InvalidMagnet(
            f"The magnet's {what} «{shorten(text, 40)}» is no number from 0 to {MAX_NUMBER}."
        )
    return int(text)


def _sha1(parts: list[str], *, strm: bool) -> str:
    text = "|".join([*parts, "strm"] if strm else parts)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _printable(text: str, limit: int) -> bool:
    return 0 < len(text) <= limit and text.isprintable()


def _is_letter(char: str) -> bool:
    """Letters, digits, and the vowel signs without which Indic and Thai words fall apart."""
    return char.isalnum() or unicodedata.category(char) in ("Mn", "Mc")


def _without_invisible(text: str) -> str:
    """Zero-width and direction marks and trade marks gone; other control characters end a word."""
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in "™®©")
    return without_controls(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text))


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes, cut between words where the text has any."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    head = raw[:limit].decode(errors="ignore")
    words, dot, _ = head.rpartition("." if "." in head else " ")
    return words if dot and len(words) > len(head) // 2 else head
