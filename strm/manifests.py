"""Playlists and manifests on their way through: read within bounds, remembered when they stay as they are, linked."""

import asyncio
import json
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final
from urllib.parse import urljoin

from strm import dash, hls, kinds, links
from strm.errors import BadManifest
from strm.hls import Entry, Variables
from strm.links import NOWHERE, ROOT, Child, Kind
from strm.models import StreamKind
from strm.threads import PARSING, in_thread
from strm.upstream import Answer

MAX_SENT: Final = 4 * 2**20
"""Bytes of a playlist as it is sent."""
MAX_BYTES: Final = 8 * 2**20
"""Bytes of a playlist when it is decompressed."""
MAX_LINES: Final = 200_000
MAX_LINKED: Final = 32 * 2**20
SECONDS: Final = 20.0
REMEMBERED_SECONDS: Final = 600.0
REMEMBERED_BYTES: Final = 64 * 2**20
_ON_THE_SPOT: Final = 64 * 1024
"""Characters that are parsed without a thread of their own."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Document:
    """A playlist or manifest as its host wrote it; `url` is what its addresses are relative to. One that `is_protected` can
    only be played with a DRM system's leave."""

    url: str
    text: str
    kind: StreamKind
    live: bool
    shape: int
    is_protected: bool = False

    @property
    def content_type(self) -> str:
        return kinds.HLS if self.kind is StreamKind.HLS else kinds.DASH


async def read_bounded(
    blocks: AsyncIterator[bytes], *, encoding: str, most: int, seconds: float = SECONDS
) -> bytes:
    """A whole small body, decompressed. Raises BadManifest for one too large, too slow, or not to be decompressed."""
    pieces: list[bytes] = []
    total = 0
    try:
        async with asyncio.timeout(seconds):
            async for block in blocks:
                total += len(block)
                if total > min(most, MAX_SENT):
                    raise BadManifest(f"what should be small is larger than {total // 1024} KiB")
                pieces.append(block)
    except TimeoutError:
        raise BadManifest(f"it did not arrive within {seconds:g} s") from None
    return decompressed(b"".join(pieces), encoding.strip().lower(), most)


def decompressed(body: bytes, encoding: str, most: int) -> bytes:
    """A body as it was before its host compressed it, whether the host says so or not. Raises BadManifest."""
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise BadManifest("it is compressed in a way that was not asked for")
    if encoding in ("", "identity", "gzip", "x-gzip") and not body.startswith(_GZIP):
        return body
    # 47: gzip or zlib, whichever it is; deflate without a header is the third thing that hosts send.
    for window in (47, -15) if encoding == "deflate" else (47,):
        try:
            work = zlib.decompressobj(window)
            opened = work.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(opened) > most:
            raise BadManifest(f"it is larger than {most // 1024} KiB when it is decompressed")
        return opened
    raise BadManifest("it cannot be decompressed")


async def read(answer: Answer) -> Document:
    """The playlist that is arriving. Raises BadManifest or OutboundError."""
    encoding = answer.header("Content-Encoding")
    body = await read_bounded(answer.blocks(), encoding=encoding, most=MAX_BYTES)
    return await _maybe_in_thread(len(body), document, answer.url, body)


def document(url: str, body: bytes) -> Document:
    """A playlist or manifest by its content. Raises BadManifest."""
    text = hls.in_lines(_decoded(body))
    if text.count("\n") > MAX_LINES:
        raise BadManifest(f"it has more than {MAX_LINES} lines")
    if hls.is_playlist(text):
        live = hls.is_live(text)
        shape = 0 if live else hls.shape(text)
        return Document(url, text, StreamKind.HLS, live, shape, hls.is_protected(text))
    if dash.is_manifest(text):
        live, shape = dash.is_live(text), dash.shape(text)
        return Document(url, text, StreamKind.DASH, live, shape, dash.is_protected(text))
    raise BadManifest("it is neither an HLS playlist nor a DASH manifest")


def _decoded(body: bytes) -> str:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")


async def linked(
    source: Document,
    *,
    playback: str,
    generation: int,
    child: Child | None,
    known: dict[str, str],
) -> bytes:
    """The document as a player gets it; `child` is the link by which it was asked for, None for the root's.

    `known` are the links of playlists that the player has; those of a root are added to it.
    """
    text = await _maybe_in_thread(
        len(source.text), _linked, source, playback, generation, child, known
    )
    if len(text) > MAX_LINKED:
        raise BadManifest("it becomes too large")
    return text


def _linked(
    source: Document, playback: str, generation: int, child: Child | None, known: dict[str, str]
) -> bytes:
    prefix = "proxy/" if child is None else ""
    parent = ROOT if child is None else NOWHERE
    if child is not None and child.parent == ROOT and not child.live:
        parent = child.ordinal
    if not source.shape and source.kind is StreamKind.DASH:
        parent = NOWHERE
    spots = _spots(source, child)
    extension = ".m4s" if "#EXT-X-MAP" in source.text or source.kind is StreamKind.DASH else ".ts"
    count = 0

    def make(url: str, kind: Kind, variables: Variables = ()) -> str:
        nonlocal count
        place = (count, source.shape) if spots is None else spots[count]
        own = Child(playback, kind, url, generation, parent, *place, variables, spots is not None)
        count += 1
        if kind is Kind.PLAYLIST and child is not None and url in known:
            return known[url]
        if sum(len(name) + len(value) for name, value in variables) > links.MAX_VARIABLES:
            raise BadManifest("its variables are too long")
        try:
            link = links.child_link(own, name=links.child_name(url, kind, extension=extension))
        except ValueError:
            raise BadManifest("an address in it is too long or malformed") from None
        if kind is Kind.PLAYLIST and child is None and len(known) < 200:
            known[url] = link
        return link

    return _rewritten(source, make, prefix, child).encode("utf-8")


def _spots(source: Document, child: Child | None) -> list[tuple[int, int]] | None:
    """Number and mark of each address of a live playlist; None for what keeps its places."""
    if not source.live or source.kind is not StreamKind.HLS:
        return None
    found = targets(source, _imported(child))
    return [
        (0, hls.BY_PATH) if one.spot is None else (one.spot.number, one.spot.mark) for one in found
    ]


def _imported(child: Child | None) -> dict[str, str]:
    return dict(child.variables) if child is not None else {}


def _rewritten(source: Document, make: Callable[..., str], prefix: str, child: Child | None) -> str:
    if source.kind is StreamKind.DASH:
        return dash.rewrite(source.text, source.url, make, prefix=prefix)

    def below(url: str, kind: Kind, variables: Variables) -> str:
        return prefix + make(url, kind, variables)

    return hls.rewrite(source.text, source.url, below, imported=_imported(child))


def targets(source: Document, imported: dict[str, str] | None = None) -> list[Entry]:
    """Every address in a document, in the order in which its links are numbered. Raises BadManifest."""
    if source.kind is StreamKind.HLS:
        return hls.entries(source.text, source.url, imported=imported)
    found: list[Entry] = []

    def note(url: str, kind: Kind) -> str:
        found.append(Entry(url, kind, None))
        return "x"

    dash.rewrite(source.text, source.url, note, prefix="")
    return found


def aside(kind: Kind, body: bytes, base: str, make: Callable[[str, Kind], str]) -> bytes:
    """The JSON beside a playlist: which pathway to prefer, which assets to put in. Raises BadManifest.

    Clones of pathways are left out: a player would make addresses of them that are none of ours.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise BadManifest("it is no JSON") from None
    if not isinstance(said, dict):
        raise BadManifest("it is not the JSON that it should be")
    if kind is Kind.STEERING:
        said.pop("PATHWAY-CLONES", None)
        if isinstance(said.get("RELOAD-URI"), str):
            said["RELOAD-URI"] = make(_absolute(base, said["RELOAD-URI"]), Kind.STEERING)
    else:
        for asset in _assets(said):
            asset["URI"] = make(_absolute(base, asset["URI"]), Kind.PLAYLIST)
    return json.dumps(said).encode()


def _assets(said: dict[str, Any]) -> list[dict[str, Any]]:
    listed = said.get("ASSETS")
    if not isinstance(listed, list) or len(listed) > 1000:
        raise BadManifest("it lists no assets, or too many")
    return [one for one in listed if isinstance(one, dict) and isinstance(one.get("URI"), str)]


def _absolute(base: str, address: str) -> str:
    try:
        target = urljoin(base, address)
    except ValueError:
        raise BadManifest("an address in it is malformed") from None
    if not target.startswith(("http://", "https://")):
        raise BadManifest("it names an address that is neither http nor https")
    return target


async def _maybe_in_thread(size: int, work: Callable[..., Any], *args: Any) -> Any:
    """Large documents are worked on beside the event loop: other streams go on meanwhile."""
    if size <= _ON_THE_SPOT:
        return work(*args)
    return await in_thread(PARSING, work, *args)


@dataclass(frozen=True, slots=True)
class Held:
    """A document, the version of the link under which it was read, and when."""

    document: Document
    generation: int
    read_at: float

    def is_young(self, seconds: float) -> bool:
        """Whether it can be taken for what the host would say now; what does not change always can."""
        return not self.document.live or self.read_at > monotonic() - seconds


class Documents:
    """Documents for a while: a player asks for them again when it seeks. Live ones only serve to find things again."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._targets: dict[str, list[Entry]] = {}
        self._size = 0

    def get(self, url: str, *, least: int = 0, since: float | None = None) -> Held | None:
        """What was kept of this address, if it is not too old; a live one only for who says since when.

        `least` is the version of the link that it must have been read under: one that was read before holds addresses
        that have ended.
        """
        found = self._held.get(url)
        begin = monotonic() - REMEMBERED_SECONDS if since is None else since
        if found is None or found.generation < least or found.read_at < begin:
            return None
        if found.document.live and since is None:
            return None
        self._held.move_to_end(url)
        return found

    def keep(self, url: str, source: Document, generation: int) -> None:
        """Remembers a document under the address that was asked for."""
        self._drop(url)
        self._held[url] = Held(source, generation, monotonic())
        self._size += len(source.text)
        while self._size > REMEMBERED_BYTES and self._held:
            self._drop(next(iter(self._held)))

    async def targets(self, url: str, source: Document, imported: dict[str, str]) -> list[Entry]:
        """As `targets`, remembered with the document."""
        held = self._held.get(url)
        found = self._targets.get(url) if held is not None and held.document is source else None
        if found is None:
            found = await _maybe_in_thread(len(source.text), targets, source, imported)
            held = self._held.get(url)
            if held is not None and held.document is source:
                self._targets[url] = found
        return found

    def _drop(self, url: str) -> None:
        held = self._held.pop(url, None)
        self._targets.pop(url, None)
        if held is not None:
            self._size -= len(held.document.text)
