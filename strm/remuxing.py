"""HLS as one file, for players that need one: made by ffmpeg without touching a picture, kept in a bounded cache.

ffmpeg asks nobody but this very server, on this machine, for the same playlist that players get: every address in it is a
child link of ours, so whatever it fetches goes through the proxy and its guard. One process makes a file, however many
ask for it. Until it is there players get the playlist.
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Final

from django.conf import settings
from django.utils import timezone

from anibridge.lib import media, tethered, ytdlp
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.text import shorten
from catalogue.releases import Identity
from strm import hls, links, probing
from strm.limits import Turn
from strm.manifests import Document
from strm.models import StreamKind, mapping_key
from strm.opening import Opener
from strm.playbacks import Playback
from strm.remuxed import FOLDER, Cache, Made
from strm.resolving import Resolved
from strm.threads import PARSING, in_thread

logger = logging.getLogger(__name__)

AGENT: Final = "AniBridge-remux"
"""Whoever calls himself so gets the playlist: it is what files are made of."""
BUILDS: Final = 2
"""Files that are made at once, on this machine."""
LOOK_SECONDS: Final = 0.5
LINK_LIFE: Final = timedelta(hours=12)
LONGEST_SECONDS: Final = 6 * 3600
FAILED_SECONDS: Final = 600
"""What could not be made is not tried again before."""
BUSY_SECONDS: Final = 30
"""What could not be made because there were too many streams just then."""
_BUSY = re.compile(rb"HTTP error (?:429|503)", re.I)
_HOLES = re.compile(
    rb"Failed to open|failed too many|HTTP error|ends prematurely|Connection (?:reset|refused|timed)|Error when loading",
    re.I,
)
"""What ffmpeg says when a part is missing in what it makes; it goes on and ends well all the same."""


class CannotRemux(AniBridgeError):
    """No file can be made of this stream. `again` is in how many seconds it can be tried again."""

    again: float = FAILED_SECONDS


class TooBusy(CannotRemux):
    """No file can be made of it just now."""

    again = BUSY_SECONDS


class Remuxer:
    """One per event loop."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._builds: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, float] = {}
        self._cache: Cache | None = None

    @property
    def cache(self) -> Cache:
        """The files; those that a dead process has left half made are gone."""
        if self._cache is None:
            self._cache = Cache(settings.DATA_DIR / FOLDER, settings.STRM_REMUX_CACHE)
            self._cache.sweep()
        return self._cache

    def ready(self, playback: Playback) -> Made | None:
        """The file of what is played, opened for reading; None where there is none."""
        return self.cache.opened(_name(playback))

    async def made(
        self,
        playback: Playback,
        document: Document,
        resolved: Resolved,
        turn: Turn,
        server: tuple[str, int] | None,
    ) -> Made | None:
        """The file, once it is there; None where that takes too long, or where it cannot be made of this playlist."""
        name = _name(playback)
        if document.kind is not StreamKind.HLS or server is None:
            return None
        if name not in self._builds:
            if await self._is_live(document, resolved, turn):
                self._give_up(name)
                return None
            self._start(name, playback, server)
        build = self._builds.get(name)
        if build is not None:
            await asyncio.wait({build}, timeout=settings.STRM_REMUX_WAIT_SECONDS)
        return self.ready(playback)

    async def close(self) -> None:
        """Ends what is under way; nothing is left of it."""
        builds = list(self._builds.values())
        for build in builds:
            build.cancel()
        if builds:
            await asyncio.wait(builds)

    def has_failed(self, playback: Playback) -> bool:
        """Whether it was tried a moment ago, and cannot be made."""
        return self._failed.get(_name(playback), 0.0) > monotonic()

    def _give_up(self, name: str, seconds: float = FAILED_SECONDS) -> None:
        now = monotonic()
        self._failed = {one: until for one, until in self._failed.items() if until > now}
        self._failed[name] = now + seconds

    async def _is_live(self, document: Document, resolved: Resolved, turn: Turn) -> bool:
        if hls.is_master(document.text):
            url, _ = probing.first(document)
            document = await self._opener.document(url, resolved, turn)
        return document.live

    def _start(self, name: str, playback: Playback, server: tuple[str, int]) -> None:
        if name in self._builds:  # somebody else was quicker while this one looked
            return
        task = asyncio.get_running_loop().create_task(
            self._build(name, playback.identity, playback.provider, server)
        )
        self._builds[name] = task
        task.add_done_callback(lambda _: self._builds.pop(name, None))

    async def _build(
        self, name: str, identity: Identity, provider: str, server: tuple[str, int]
    ) -> None:
        cache = self.cache
        with cache.alone(name, BUILDS) as alone:
            if not alone or cache.has(name):
                await _for_others(cache, name)
                return
            part = cache.part(name)
            part.unlink(missing_ok=True)
            try:
                url = links.stream_url(
                    identity,
                    provider=provider,
                    base_url=_own_address(server),
                    expires_at=timezone.now() + LINK_LIFE,
                )
                await self._run(_command(url, part), part)
                await in_thread(PARSING, media.verify_video, part)
                cache.keep(name)
                logger.info("%s is one file now", name)
            except (AniBridgeError, OSError) as error:
                self._give_up(name, getattr(error, "again", FAILED_SECONDS))
                logger.warning("%s S%sE%s cannot be made one file: %s", identity.slug, identity.season, identity.episode, error)  # fmt: skip
            finally:
                part.unlink(missing_ok=True)

    async def _run(self, command: list[str], part: Path) -> None:
        """ffmpeg to its end. Raises CannotRemux; it is dead in any case."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        said = asyncio.ensure_future(_said(process))
        try:
            until = monotonic() + LONGEST_SECONDS
            while not said.done():
                await asyncio.wait({said}, timeout=LOOK_SECONDS)
                if not self.cache.has_room(part):
                    raise CannotRemux("there is no room for it")
                if monotonic() > until:
                    raise CannotRemux("it takes too long")
            code, told = await process.wait(), said.result()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            said.cancel()
            await asyncio.shield(process.wait())
        if code or (hole := _HOLES.search(told)):
            reason = told.decode("utf-8", "replace") if code or not hole else "a part is missing"
            kind = TooBusy if _BUSY.search(told) else CannotRemux
            raise kind(f"ffmpeg ended with {code}: {shorten(_masked(reason), 200)}")


async def _for_others(cache: Cache, name: str) -> None:
    """Another process is making it: as long as anybody would wait."""
    until = monotonic() + settings.STRM_REMUX_WAIT_SECONDS
    while not cache.has(name) and monotonic() < until:
        await asyncio.sleep(LOOK_SECONDS)


async def _said(process: asyncio.subprocess.Process) -> bytes:
    """What ffmpeg complained about: the last of it."""
    assert process.stderr is not None
    told = b""
    while block := await process.stderr.read(4096):
        told = (told + block)[-65536:]
    return told


def _masked(text: str) -> str:
    """Links do not belong in a log."""
    return re.sub(r"\?\S+", "?…", text)


def _name(playback: Playback) -> str:
    return f"{mapping_key(playback.identity, playback.provider)}.{settings.STRM_REMUX}"


def _own_address(server: tuple[str, int]) -> str:
    """Where the request came in that is being answered: this process, on this machine."""
    host = server[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        address = ipaddress.ip_address("127.0.0.1")
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1")
    named = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{named}:{server[1]}"


def _command(url: str, part: Path) -> list[str]:
    ffmpeg = ytdlp.find_ffmpeg()
    if ffmpeg is None:
        raise CannotRemux("there is no ffmpeg")
    form = (
        ["-movflags", "+faststart", "-f", "mp4"]
        if settings.STRM_REMUX == "mp4"
        else ["-f", "matroska"]
    )
    return [
        # It ends when this process does, however that ends.
        sys.executable, str(Path(tethered.__file__)), str(os.getpid()),
        ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "warning", "-y",
        # What is named here is all that it can open: no file, no TLS, no list of other inputs.
        "-protocol_whitelist", "http,tcp,crypto", "-rw_timeout", "60000000", "-user_agent", AGENT,
        "-f", "hls", "-i", url, "-sn", "-dn", "-c", "copy", *form, f"file:{part.absolute()}",
    ]  # fmt: skip
