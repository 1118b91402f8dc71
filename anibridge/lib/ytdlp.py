"""Hosts' pages to videos, by yt-dlp behind the guard.

No challenge page is bypassed and no extractor is held here: what yt-dlp and its plug-ins cannot resolve is
reported as HostNotSupported. ffmpeg only ever touches a file that is already on the disk.
"""

import errno
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnsupportedError, YoutubeDLError

from anibridge.lib import http, media, remux, sniff, transfer, watch
from anibridge.lib.errors import AniBridgeError, error_chain
from anibridge.lib.outbound import OutboundError, UnexpectedAnswer, deadline, host_of
from anibridge.lib.ranged import RangedFile
from anibridge.lib.text import shorten
from anibridge.lib.watch import Throttle
from anibridge.lib.ytdlp_network import GuardedYoutubeDL, HostNotSupported, Network, Stopped

__all__ = [
    "GuardedYoutubeDL",
    "HostBlocked",
    "HostFailed",
    "HostNotSupported",
    "Progress",
    "StreamInfo",
    "download",
    "extract",
    "find_ffmpeg",
]

EXTRACTION_SECONDS = 60.0
_PROTOCOLS = ("http", "https", "m3u8", "m3u8_native", "http_dash_segments")
_EXTENSIONS = frozenset({"mp4", "m4v", "m4a", "mkv", "webm", "mov", "avi", "flv", "ts", "mpg"})
_CODECS = {
    "avc": "h264",
    "h264": "h264",
    "hvc1": "h265",
    "hev1": "h265",
    "hevc": "h265",
    "av01": "av1",
    "vp09": "vp9",
    "vp9": "vp9",
}
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_DRM = re.compile(r"\bDRM\b")
_GONE = frozenset({404, 410, 451})


class HostFailed(AniBridgeError):
    """The host did not deliver this time; `retryable` is False where its answer was a final one."""

    retryable = True

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class HostBlocked(AniBridgeError):
    """The host asks for a browser check, which is not bypassed here."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Where the best video of a page is and what yt-dlp says about it; these are hints, not measurements.

    `headers` are to be sent with every request for `url`, and may hold a cookie. A stream without sound of
    its own (`has_audio` False) has its sound in `manifest_url`, when it is HLS.
    """

    url: str
    protocol: str
    ext: str
    headers: dict[str, str] = field(repr=False)
    height: int | None
    width: int | None
    vcodec: str | None
    acodec: str | None
    duration: float | None
    filesize: int | None
    is_hls: bool
    has_audio: bool = True
    manifest_url: str | None = None
    """Of HLS and DASH."""
    formats: tuple[dict[str, Any], ...] = field(default=(), repr=False, compare=False)

    @property
    def is_dash(self) -> bool:
        return self.protocol == "http_dash_segments"

    @property
    def is_in_parts(self) -> bool:
        """Whether there is no single file at `url` whose header could be read."""
        return self.is_hls or self.is_dash


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is; for fragmented streams `total` is an estimate."""

    downloaded: int
    total: int | None


def find_ffmpeg() -> str | None:
    """The ffmpeg of the system, or else the one that imageio-ffmpeg brings along."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def extract(
    url: str,
    *,
    timeout: float = 20.0,
    headers: Mapping[str, str] | None = None,
    trusted: Iterable[str] = (),
) -> StreamInfo:
    """The best single video stream behind a page, found within `timeout` seconds in all.

    One with sound comes before one without, then the higher picture, then progressive before HLS. Raises
    HostNotSupported, HostBlocked or HostFailed, and what a surrounding `cancellation` raises.
    """
    with _opened(headers, trusted, timeout=timeout) as ydl, _worded(url, ydl.network):
        return _extracted(ydl, url, timeout)


def download(
    source: str | StreamInfo,
    *,
    folder: Path,
    name: str,
    throttle: Throttle | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    headers: Mapping[str, str] | None = None,
    ffmpeg: str | None = None,
    retries: int = 3,
    stall: float = 20.0,
    trusted: Iterable[str] = (),
) -> Path:
    """Fetches a page's video, or a stream from `extract`, to `folder/name.<ext>` and returns that path.

    Resumes what an earlier call left in the folder under the same name; `stall` seconds without bytes are too many.
    The file is media when this returns;
    whether it is whole enough is `media.verify_video`'s question. `ffmpeg` puts HLS into an MP4 container;
    without it the file stays an MPEG-TS one. Raises HostNotSupported, HostBlocked or HostFailed, OSError when
    the disk does not take the file, and unchanged whatever `on_progress` or a `cancellation` raises.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError("the name of a download is a file name without an extension")
    page = source if isinstance(source, str) else source.url
    with _opened(headers, trusted, throttle=throttle, timeout=stall, retries=retries) as ydl:
        with _worded(page, ydl.network):
            stream = (
                _extracted(ydl, source, EXTRACTION_SECONDS) if isinstance(source, str) else source
            )
            parts = _wanted(stream, ffmpeg)
            counter = _Counter(on_progress)
            ydl.add_progress_hook(counter.hook)
            marks = ("",) if len(parts) == 1 else (".video", ".audio")
            files = [
                _fetched(ydl, part, folder / f"{name}{mark}.{_extension(part)}", page, counter)
                for part, mark in zip(parts, marks, strict=True)
                if counter.next()
            ]
        return _finished(files, folder / name, parts[0], ffmpeg, page)


class _Counter:
    """Adds up the progress of the parts of a download."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._before = 0
        self._now = 0

    def next(self) -> bool:
        self._before, self._now = self._before + self._now, 0
        return True

    def at(self, done: int, total: int | None) -> None:
        """The part under way has so many bytes of so many."""
        self._now = done
        watch.tick()
        self._report(Progress(self._before + done, self._before + total if total else None))

    def hook(self, status: Mapping[str, Any]) -> None:
        """What yt-dlp's own downloaders call."""
        done = int(status.get("downloaded_bytes") or status.get("total_bytes") or self._now)
        total = status.get("total_bytes") or status.get("total_bytes_estimate")
        try:
            self.at(done, int(total) if total else None)
        except Exception as error:
            raise Stopped(error) from error


@contextmanager
def _opened(
    headers: Mapping[str, str] | None,
    trusted: Iterable[str],
    *,
    timeout: float = 20.0,
    throttle: Throttle | None = None,
    retries: int = 1,
) -> Iterator[GuardedYoutubeDL]:
    params: dict[str, Any] = {
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
        "noplaylist": True,
        "playlist_items": "1",
        "format": "b/bv*/b*",
        "cachedir": False,
        "updatetime": False,
        "fixup": "never",
        "geo_bypass": False,
        "js_runtimes": {},
        "check_formats": False,
        "socket_timeout": timeout,
        "http_headers": dict(headers or {}),
        "retries": retries,
        "fragment_retries": retries,
        "extractor_retries": 1,
        "skip_unavailable_fragments": False,
        "concurrent_fragment_downloads": 1,
        "hls_prefer_native": True,
        "external_downloader": None,
        "continuedl": True,
        "noresizebuffer": True,
        "buffersize": 64 * 1024,
    }
    network = Network(http.session(trusted=trusted), throttle)
    ydl = GuardedYoutubeDL(params, network)
    try:
        yield ydl
    finally:
        ydl.close()
        network.session.close()


def _extracted(ydl: GuardedYoutubeDL, url: str, timeout: float) -> StreamInfo:
    with deadline(timeout, f"looking for the video at {host_of(url)}"):
        info = ydl.extract_info(url, download=False)
        while info and info.get("_type") in ("playlist", "multi_video"):
            info = next((one for one in info.get("entries") or () if one), None)
        if not info:
            raise _no_video(url)
        formats = info.get("formats") or [info]
        stream = _best(url, info, formats, ydl.cookiejar)
        if stream.ext == "unknown_video":
            # yt-dlp takes whatever is no HTML for a video.
            _look_inside(ydl, stream)
        return stream


def _best(
    page: str, info: Mapping[str, Any], formats: list[dict[str, Any]], jar: Any
) -> StreamInfo:
    if info.get("is_live"):
        raise HostNotSupported("live streams cannot be fetched")
    usable = [one for one in formats if one.get("protocol") in _PROTOCOLS and one.get("url")]
    videos = [one for one in usable if one.get("vcodec") != "none"]
    if not videos:
        raise _no_video(page)
    best = max(enumerate(videos), key=_rank)[1]
    parts = [best]
    if best.get("acodec") == "none":
        audios = [one for one in usable if one.get("vcodec") == "none"]
        parts += [max(audios, key=lambda one: one.get("tbr") or 0)] if audios else []
    headers = dict(best.get("http_headers") or {})
    cookies = jar.get_cookie_header(best["url"])
    size = best.get("filesize") or best.get("filesize_approx")
    return StreamInfo(
        url=best["url"],
        protocol=best["protocol"],
        ext=best.get("ext") or "mp4",
        headers={**headers, "Cookie": cookies} if cookies else headers,
        height=best.get("height"),
        width=best.get("width"),
        vcodec=_codec(best.get("vcodec")),
        acodec=_codec(best.get("acodec")),
        duration=info.get("duration"),
        filesize=int(size) if size else None,
        is_hls=_is_hls(best),
        has_audio=best.get("acodec") != "none",
        manifest_url=best.get("manifest_url"),
        formats=tuple(dict(one) for one in parts),
    )


def _rank(numbered: tuple[int, dict[str, Any]]) -> tuple[Any, ...]:
    number, one = numbered
    return (
        one.get("acodec") != "none",
        one.get("height") or 0,
        not _is_hls(one),
        one.get("tbr") or 0,
        number,  # yt-dlp lists the better ones last
    )


def _is_hls(one: Mapping[str, Any]) -> bool:
    return str(one.get("protocol", "")).startswith("m3u8")


def _codec(name: str | None) -> str | None:
    if not name or name == "none":
        return None
    return next((ours for start, ours in _CODECS.items() if name.startswith(start)), name)


def _look_inside(ydl: GuardedYoutubeDL, stream: StreamInfo) -> None:
    try:
        with RangedFile(stream.url, session=ydl.network.session, headers=stream.headers) as file:
            media.inspect(file)
    except media.NotMedia:
        raise _no_video(stream.url) from None


def _wanted(stream: StreamInfo, ffmpeg: str | None) -> list[dict[str, Any]]:
    parts = [dict(one) for one in stream.formats] or [
        {
            "url": stream.url,
            "protocol": stream.protocol,
            "ext": stream.ext,
            "http_headers": dict(stream.headers),
        }
    ]
    if len(parts) > 1 and ffmpeg is None:
        raise HostNotSupported("picture and sound come separately; ffmpeg is needed to join them")
    return parts


def _extension(part: Mapping[str, Any]) -> str:
    ext = str(part.get("ext") or "")
    return ext if ext in _EXTENSIONS else "mp4"


def _fetched(
    ydl: GuardedYoutubeDL, part: dict[str, Any], path: Path, page: str, counter: _Counter
) -> Path:
    if path.is_file():  # from an earlier attempt, which was stopped between two parts
        return path
    if part.get("protocol") in ("http", "https"):
        return _fetched_whole(ydl, part, path, counter)
    done, _ = ydl.dl(str(path), {"id": path.stem, "title": path.stem, **part})
    if not done or not path.is_file():
        raise HostFailed(f"the video at {host_of(page)} could not be fetched completely")
    return path


def _fetched_whole(
    ydl: GuardedYoutubeDL, part: dict[str, Any], path: Path, counter: _Counter
) -> Path:
    """One file from one address. Not by yt-dlp, which would join the bytes of two versions of a file."""
    partial = path.with_name(f"{path.name}.part")
    partial.parent.mkdir(parents=True, exist_ok=True)

    def accept(head: transfer.Head, start: bytes) -> None:
        if sniff.is_page_type(head.content_type):
            ydl.network.notice(200, {}, start)
            raise UnexpectedAnswer(
                f"{host_of(part['url'])} sent a web page instead of a video",
                status=200,
                retryable=False,
            )

    with ydl.cookies_and_headers(part) as headers:
        transfer.fetch_file(
            part["url"],
            partial,
            session=ydl.network.session,
            headers=headers,
            throttle=ydl.network.throttle,
            on_progress=counter.at,
            accept=accept,
            on_refusal=ydl.network.notice,
            stall=ydl.params["socket_timeout"],
            retries=ydl.params["retries"],
        )
    partial.replace(path)
    transfer.notes_of(partial).unlink(missing_ok=True)
    return path


def _finished(
    files: list[Path], stem: Path, part: Mapping[str, Any], ffmpeg: str | None, page: str
) -> Path:
    try:
        kinds = [media.inspect(file).container for file in files]
    except media.NotMedia as error:
        for file in files:
            file.unlink(missing_ok=True)
        raise HostFailed(f"{host_of(page)} sent something else than a video: {error}") from error
    fragmented = part.get("protocol") not in ("http", "https")
    remuxable = all(kind in ("mpegts", "mov") for kind in kinds)
    if ffmpeg and (len(files) > 1 or (fragmented and remuxable)):
        # Concatenated fragments are a stream, not a file: no index, and often no length.
        target = stem.with_name(f"{stem.name}.{'mp4' if remuxable else 'mkv'}")
        try:
            return remux.joined(ffmpeg, files, kinds, target)
        except remux.CannotJoin as error:
            raise HostFailed(str(error)) from error
    if kinds[0] == "mpegts" and files[0].suffix != ".ts":
        return files[0].rename(stem.with_name(f"{stem.name}.ts"))
    return files[0]


def _no_video(url: str) -> HostNotSupported:
    return HostNotSupported(f"hoster not supported or page has no video ({host_of(url)})")


@contextmanager
def _worded(url: str, network: Network) -> Iterator[None]:
    """Turns what yt-dlp raises into the errors of this module, and unpacks what it must not touch."""
    try:
        yield
    except Stopped as stopped:
        reason = stopped.reason
        if isinstance(reason, OutboundError) and reason is not watch.stopped():
            raise _meaning(reason, url, network) from reason
        raise reason from None
    except (OutboundError, YoutubeDLError) as error:
        raise _meaning(error, url, network) from error


def _meaning(error: BaseException, url: str, network: Network) -> Exception:
    chain = list(error_chain(error))
    host = host_of(url)
    for one in chain:
        if isinstance(one, Stopped):
            return one.reason
        if isinstance(one, HostNotSupported | HostFailed):
            return one
        if isinstance(one, OSError) and (one.errno in _DISK or one.filename):
            return one
    if network.challenged:
        return HostBlocked(f"{host} asks for a browser check")
    for one in chain:
        if isinstance(one, HTTPError):
            gone = one.status in _GONE
            return HostFailed(f"{host} answered with HTTP status {one.status}", retryable=not gone)
        if isinstance(one, OutboundError):
            return HostFailed(str(one), retryable=one.retryable)
    for one in chain:
        if isinstance(one, UnsupportedError):
            return _no_video(url)
        if isinstance(one, GeoRestrictedError):
            return HostFailed(f"{host} does not show this video here", retryable=False)
        if isinstance(one, ExtractorError):
            if _DRM.search(str(one)):
                return HostNotSupported("the video is protected by DRM")
            return _no_video(url)
        if isinstance(one, RequestError):
            return HostFailed(f"{host} gave an address that cannot be fetched")
    return HostFailed(f"{host} did not deliver the video: {_short(error)}")


def _short(error: BaseException) -> str:
    text = re.sub(r"https?://\S+", "…", str(error)).removeprefix("ERROR:")
    return shorten(text, 200).strip()
