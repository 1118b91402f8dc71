"""yt-dlp behind the guard: its one way to the network, and the downloaders it may use.

yt-dlp catches `Exception` in many places. What has to come out of it unchanged (a cancellation, a caller's
own error) therefore travels as `Stopped`, which is no Exception, and is unpacked by `anibridge.lib.ytdlp`.
"""

import contextlib
import json
import logging
import os
import re
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict
from yt_dlp import YoutubeDL
from yt_dlp.dependencies import Cryptodome
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.dash import DashSegmentsFD
from yt_dlp.downloader.hls import HlsFD
from yt_dlp.extractor import gen_extractor_classes
from yt_dlp.networking.common import RequestDirector, RequestHandler, Response
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError

from anibridge.lib import watch
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.http import CONNECT_TIMEOUT, MIB, GuardedSession
from anibridge.lib.outbound import OutboundError, TooLarge, host_of, translated
from anibridge.lib.watch import Throttle

logger = logging.getLogger("anibridge.ytdlp")

WHOLE_ANSWER = 16 * MIB
"""What yt-dlp may read in one go: pages, manifests and keys, but no videos."""
FRAGMENT = 512 * MIB
"""yt-dlp holds a whole fragment in memory to decrypt it."""

_SNIFFED = 64 * 1024
_QUERY = re.compile(r"\?[^\s'\"]+")
_TITLES = re.compile(
    rb"<title>\s*(?:just a moment|attention required|ddos-guard|one moment, please)", re.IGNORECASE
)
_CHALLENGE = re.compile(rb"cf-challenge|_cf_chl_opt|challenge-form", re.IGNORECASE)
# Cloudflare puts this script into ordinary pages as well: it counts only where the status is a refusal.
_SCRIPT = re.compile(rb"/cdn-cgi/challenge-platform", re.IGNORECASE)


class HostNotSupported(AniBridgeError):
    """Nobody here can get a video out of this page, and trying again will not help."""


class Stopped(BaseException):
    """Carries `reason` through yt-dlp."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def surfacing() -> Iterator[None]:
    """Network failures become yt-dlp's own errors; everything else will come out of it unchanged."""
    try:
        yield
    except RequestError:
        raise
    except OutboundError as error:
        if error is watch.stopped():
            raise Stopped(error) from error
        raise TransportError(str(error), cause=error) from error
    except Exception as error:
        raise Stopped(error) from error


class Network:
    """What the requests of one yt-dlp instance share: its session, its speed, and what was noticed."""

    def __init__(self, session: GuardedSession, throttle: Throttle | None = None) -> None:
        self.session = session
        self.throttle = throttle or Throttle()
        self.body_limit: int | None = None
        self.challenged = False
        # The headers are yt-dlp's business; ours would come on top of them.
        session.headers = CaseInsensitiveDict()

    def notice(self, status: int, headers: Mapping[str, str], start: bytes) -> None:
        """Looks whether an answer is a challenge page."""
        refused = status in (403, 429, 503)
        if (
            headers.get("cf-mitigated") == "challenge"
            or _TITLES.search(start)
            or _CHALLENGE.search(start)
            or (refused and _SCRIPT.search(start))
        ):
            self.challenged = True


class GuardedResponse(Response):
    """A bounded, throttled answer."""

    def __init__(self, response: requests.Response, network: Network) -> None:
        super().__init__(
            fp=response.raw,
            headers=response.headers,
            url=response.url,
            status=response.status_code,
            reason=response.reason,
        )
        self._network = network
        self._received = 0
        kind = response.headers.get("Content-Type", "").lower()
        self._is_page = kind.startswith("text/html") or not kind
        self._start = b""

    def read(self, amt: int | None = None) -> bytes:
        """Without `amt` the rest of the answer, which must be a small one."""
        if self.closed or self.fp.closed:
            return b""
        with surfacing(), translated(self.url):
            if amt is None:
                blocks = list(self._blocks())
                return b"".join(blocks)
            return self._block(amt)

    def _blocks(self) -> Iterator[bytes]:
        while block := self._block(64 * 1024):
            if self._received > WHOLE_ANSWER:
                raise TooLarge(
                    f"the answer of {host_of(self.url)} is larger than {WHOLE_ANSWER} bytes"
                )
            yield block

    def _block(self, amount: int) -> bytes:
        block: bytes = self.fp.read(
            min(amount, self._network.throttle.portion), decode_content=True
        )
        self._received += len(block)
        if self._network.body_limit is not None and self._received > self._network.body_limit:
            raise TooLarge(f"a part of the video at {host_of(self.url)} is too large")
        if self._is_page and len(self._start) < _SNIFFED:
            self._start += block[: _SNIFFED - len(self._start)]
            self._network.notice(self.status, {}, self._start)
        watch.tick()
        self._network.throttle.passed(len(block))
        if not block:
            self.close()
        return block

    def sniff(self) -> None:
        """Looks at the start of a page that nobody is going to read."""
        self._network.notice(self.status, {k.lower(): v for k, v in self.headers.items()}, b"")
        if self._is_page:
            with surfacing(), translated(self.url):
                self._network.notice(self.status, {}, self.fp.read(_SNIFFED, decode_content=True))


class GuardedRH(RequestHandler):
    """yt-dlp's requests over a guarded session. Proxies, also those of the environment, do not count."""

    _SUPPORTED_URL_SCHEMES = ("http", "https")

    def __init__(self, network: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._network = network
        self._open: weakref.WeakSet[GuardedResponse] = weakref.WeakSet()

    def _check_proxies(self, proxies: Any) -> None:
        """Any proxy is fine, since none is used."""

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        super()._check_extensions(extensions)
        for known in ("cookiejar", "timeout", "legacy_ssl", "keep_header_casing"):
            extensions.pop(known, None)

    def _prepare_headers(self, request: Any, headers: Any) -> None:
        headers.setdefault("Accept-Encoding", "gzip, deflate")

    def _send(self, request: Any) -> Response:
        session = self._network.session
        session.cookies = self._get_cookiejar(request)
        timeout = self._calculate_timeout(request)
        with surfacing(), translated(request.url):
            watch.tick()
            answer = session.request(
                request.method,
                request.url,
                data=request.data,
                headers=self._get_headers(request),
                timeout=(min(timeout, CONNECT_TIMEOUT), timeout),
                stream=True,
            )
        response = GuardedResponse(answer, self._network)
        self._open.add(response)
        if not 200 <= response.status < 300:
            response.sniff()
            raise HTTPError(response)
        return response

    def close(self) -> None:
        """Hangs up whatever yt-dlp left open."""
        for response in list(self._open):
            response.close()
        self._network.session.close()


class _Tidy:
    """Mixed into fragment downloaders, which leave their file open when they are interrupted.

    yt-dlp writes down how many fragments it has after it has added one. Killed in between, it would add that one
    again; so the length of the file is written down as well, and what is there beyond it goes.
    """

    _streams: list[Any]

    def _prepare_frag_download(self, ctx: Any) -> None:
        self._cut_back(Path(self.temp_name(ctx["filename"])), ctx)  # type: ignore[attr-defined]
        super()._prepare_frag_download(ctx)  # type: ignore[misc]

    def _cut_back(self, part: Path, ctx: Any) -> None:
        notes = Path(self.ytdl_filename(ctx["filename"]))  # type: ignore[attr-defined]
        size = 0
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            state = json.loads(notes.read_text())["downloader"]["extra_state"]
            if state["fragments"] == ctx["total_frags"]:
                size = int(state["bytes"])
        if not size or not part.is_file() or part.stat().st_size < size:
            notes.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
        else:
            os.truncate(part, size)

    def _append_fragment(self, ctx: Any, content: bytes) -> None:
        # Saved by yt-dlp in the same step as the number of the fragment.
        size = ctx["dest_stream"].tell() + len(content)
        ctx["extra_state"] = {"bytes": size, "fragments": ctx["total_frags"]}
        super()._append_fragment(ctx, content)  # type: ignore[misc]

    def real_download(self, filename: str, info_dict: Any) -> bool:
        self._streams = []
        try:
            done: bool = super().real_download(filename, info_dict)  # type: ignore[misc]
            return done
        finally:
            for stream in self._streams:
                stream.close()

    def sanitize_open(self, filename: str, open_mode: str) -> Any:
        stream, name = super().sanitize_open(filename, open_mode)  # type: ignore[misc]
        self._streams = [*(one for one in self._streams if not one.closed), stream]
        return stream, name


class _Hls(_Tidy, HlsFD):
    """The native HLS downloader; where it would hand over to ffmpeg, it gives up."""

    @classmethod
    def can_download(
        cls, manifest: str, info_dict: Any, allow_unplayable_formats: Any = False
    ) -> bool:
        if not super().can_download(manifest, info_dict, allow_unplayable_formats):
            if cls._has_drm(manifest):
                raise HostNotSupported("the video is protected by DRM")
            raise HostNotSupported("this kind of HLS stream cannot be fetched")
        if "#EXT-X-ENDLIST" not in manifest and "#EXT-X-PLAYLIST-TYPE:VOD" not in manifest:
            # yt-dlp would take what there is now for the whole video.
            raise HostNotSupported("live streams cannot be fetched")
        if "#EXT-X-KEY:METHOD=AES-128" in manifest and not Cryptodome.AES:
            raise HostNotSupported("encrypted HLS streams need the package pycryptodomex")
        return True


class _Dash(_Tidy, DashSegmentsFD):
    """The native DASH downloader."""


_DOWNLOADERS: dict[Any, Any] = {HlsFD: _Hls, DashSegmentsFD: _Dash}


class _Log:
    """yt-dlp's messages, without query strings: these may carry tokens."""

    def debug(self, message: str) -> None:
        logger.debug("%s", _QUERY.sub("?…", message))

    info = warning = error = stdout = debug


class GuardedYoutubeDL(YoutubeDL):
    """A yt-dlp whose every request passes the guard, and whose downloaders are native ones only."""

    def __init__(self, params: dict[str, Any], network: Network) -> None:
        self.network = network
        super().__init__({**params, "logger": _Log()})

    def add_default_info_extractors(self) -> None:
        """All that are on by default, in their order. yt-dlp works that out from its options anew for every page, which
        takes it longer than everything else that it does before it asks; there is no such option here."""
        for extractor in gen_extractor_classes():
            if extractor._ENABLED:
                self.add_info_extractor(extractor)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> RequestDirector:
        log = _Log()
        director = RequestDirector(logger=log)
        director.add_handler(
            GuardedRH(
                self.network,
                logger=log,
                headers=self.params["http_headers"].copy(),
                cookiejar=self.cookiejar,
                timeout=self.params.get("socket_timeout"),
            )
        )
        return director

    def dl(
        self, name: str, info: dict[str, Any], subtitle: bool = False, test: bool = False
    ) -> tuple[bool, bool]:
        """Fetches a format of many parts to a file. Raises HostNotSupported where ffmpeg or another program would."""
        if test:
            return True, False  # formats are believed: a test would fetch a part of each
        if info.get("is_live"):
            raise HostNotSupported("live streams cannot be fetched")
        kind = _DOWNLOADERS.get(get_suitable_downloader(info, self.params))
        if kind is None:
            raise HostNotSupported(f"the protocol {info.get('protocol')} is not supported")
        self.network.body_limit = FRAGMENT
        downloader = kind(self, self.params)
        for hook in self._progress_hooks:
            downloader.add_progress_hook(hook)
        complete = self._copy_infodict(info)
        complete["http_headers"] = self._calc_headers(complete, load_cookies=True)
        done: tuple[bool, bool] = downloader.download(name, complete)
        return done

    @contextlib.contextmanager
    def cookies_and_headers(self, info: dict[str, Any]) -> Iterator[dict[str, str]]:
        """The headers to ask for a format with; meanwhile, the session sends the cookies that belong to it."""
        headers = dict(self._calc_headers(self._copy_infodict(info), load_cookies=True))
        before, self.network.session.cookies = self.network.session.cookies, self.cookiejar
        try:
            yield headers
        finally:
            self.network.session.cookies = before
