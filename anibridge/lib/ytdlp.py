"""Hosts' pages to videos, by yt-dlp behind the guard.

No challenge page is bypassed and no extractor is held here: what yt-dlp and its plug-ins cannot resolve is
reported as HostNotSupported. ffmpeg only ever touches a file that is already on the disk.
"""

import errno
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnsupportedError, YoutubeDLError

from anibridge.lib import http, media, watch
from anibridge.lib.errors import AniBridgeError, error_chain
from anibridge.lib.outbound import OutboundError, deadline, host_of
from anibridge.lib.ranged import RangedFile
from anibridge.lib.text import shorten
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
    formats: tuple[dict[str, Any], ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is; for fragmented streams `total` is an estimate."""

    downloaded: int
    total: int | None
    speed: float | None
    eta: float | None


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
    rate_limit: int | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    headers: Mapping[str, str] | None = None,
    ffmpeg: str | None = None,
    retries: int = 3,
    trusted: Iterable[str] = (),
) -> Path:
    """Fetches a page's video, or a stream from `extract`, to `folder/name.<ext>` and returns that path.

    Resumes what an earlier call left in the folder under the same name. The file is media when this returns;
    whether it is whole enough is `media.verify_video`'s question. `ffmpeg` puts HLS into an MP4 container;
    without it the file stays an MPEG-TS one. Raises HostNotSupported, HostBlocked or HostFailed, OSError when
    the disk does not take the file, and unchanged whatever `on_progress` or a `cancellation` raises.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError("the name of a download is a file name without an extension")
    page = source if isinstance(source, str) else source.url
    with _opened(headers, trusted, rate=rate_limit, retries=retries) as ydl:
        with _worded(page, ydl.network):
            stream = (
                _extracted(ydl, source, EXTRACTION_SECONDS) if isinstance(source, str) else source
            )
            parts = _wanted(stream, ffmpeg)
            counter = _Counter(on_progress)
            ydl.add_progress_hook(counter.hook)
            files = [
                _fetched(ydl, part, folder / f"{name}{mark}.{_extension(part)}", page)
                for part, mark in zip(parts, ("", ".audio"), strict=False)
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

    def hook(self, status: Mapping[str, Any]) -> None:
        self._now = int(status.get("downloaded_bytes") or status.get("total_bytes") or self._now)
        total = status.get("total_bytes") or status.get("total_bytes_estimate")
        try:
            watch.tick()
            self._report(
                Progress(
                    downloaded=self._before + self._now,
                    total=self._before + int(total) if total else None,
                    speed=status.get("speed"),
                    eta=status.get("eta"),
                )
            )
        except Exception as error:
            raise Stopped(error) from error


@contextmanager
def _opened(
    headers: Mapping[str, str] | None,
    trusted: Iterable[str],
    *,
    timeout: float = 20.0,
    rate: int | None = None,
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
        "socket_timeout": min(timeout, 20.0),
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
    network = Network(http.session(trusted=trusted), rate)
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


def _fetched(ydl: GuardedYoutubeDL, part: dict[str, Any], path: Path, page: str) -> Path:
    done, _ = ydl.dl(str(path), {"id": path.stem, "title": path.stem, **part})
    if not done or not path.is_file():
        raise HostFailed(f"the video at {host_of(page)} could not be fetched completely")
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
        return _joined(ffmpeg, files, kinds, target)
    if kinds[0] == "mpegts" and files[0].suffix != ".ts":
        return files[0].rename(stem.with_name(f"{stem.name}.ts"))
    return files[0]


def _joined(ffmpeg: str, files: list[Path], kinds: list[str], target: Path) -> Path:
    """Copies the streams of local files into one container; the originals are gone afterwards."""
    temporary = target.with_name(f"{target.name}.joining")
    command = [ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    for file, kind in zip(files, kinds, strict=True):
        # Format and protocol are named, so that a hostile file cannot make ffmpeg open another one.
        command += ["-protocol_whitelist", "file", "-f", kind, "-i", f"file:{file.absolute()}"]
    command += [option for number in range(len(files)) for option in ("-map", f"{number}:v?")]
    command += [option for number in range(len(files)) for option in ("-map", f"{number}:a?")]
    container = "mp4" if target.suffix == ".mp4" else "matroska"
    command += ["-c", "copy", "-f", container, f"file:{temporary.absolute()}"]
    try:
        _run(command)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    for file in files:
        if file != target:
            file.unlink(missing_ok=True)
    return target


def _run(command: list[str]) -> None:
    with subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            while True:
                try:
                    _, said = process.communicate(timeout=watch.STEP)
                    break
                except subprocess.TimeoutExpired:
                    watch.tick()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        reason = shorten(said.decode(errors="replace"), 200)
        raise HostFailed(f"the fetched stream cannot be put into a file: {reason}")


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
