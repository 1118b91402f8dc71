"""What a video file is, learnt from its own header. Hostile files open nothing but themselves."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error

from anibridge.lib.errors import AniBridgeError

FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "avi", "flv", "mpeg", "ogg", "asf")
"""The demuxers that may look at a file: none of them reads a list of other files to open."""

_CODECS = {"hevc": "h265", "vp09": "vp9", "av01": "av1"}
_PROBE_BYTES = 5_000_000


class NotMedia(AniBridgeError):
    """The file is no playable video or audio."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What the header says; a fact that it does not give is None or empty."""

    container: str
    duration: float | None
    width: int | None
    height: int | None
    vcodec: str | None
    acodec: str | None
    video_streams: int
    audio_streams: int


def inspect(source: Path | str | BinaryIO | io.RawIOBase) -> MediaFacts:
    """Reads the header of a file, or of a seekable file object, which stays open.

    Raises NotMedia with a sentence for people. What reading a file object raises comes through unchanged.
    """
    with opened(source) as container:
        return _facts(container)


def verify_video(
    path: Path, *, min_seconds: float = 1.0, expected_seconds: float | None = None
) -> MediaFacts:
    """Makes sure that a finished file plays: a picture decodes, its end is there, its length is right.

    An expected length is met within 5 % or 3 s, whichever is more. Raises NotMedia.
    """
    with opened(path) as container:
        facts = _facts(container)
        if not facts.video_streams:
            raise NotMedia("the file has no video")
        if _first_frame(container) is None:
            raise NotMedia("no picture of the video can be decoded")
        if facts.duration and not _reaches_end(container, facts.duration):
            raise NotMedia("the file ends before the video does")
    if facts.duration is None:
        raise NotMedia("the file does not say how long it is")
    if facts.duration < min_seconds:
        raise NotMedia(f"the video is only {facts.duration:.1f} s long")
    if expected_seconds is not None:
        slack = max(3.0, 0.05 * expected_seconds)
        if abs(facts.duration - expected_seconds) > slack:
            raise NotMedia(
                f"the video is {facts.duration:.0f} s long, but {expected_seconds:.0f} s were expected"
            )
    return facts


@contextmanager
def opened(source: Path | str | BinaryIO | io.RawIOBase) -> Iterator[Any]:
    """A PyAV container that can open nothing beyond `source`. Raises NotMedia, also from the inside."""
    with ExitStack() as stack:
        file: Any = source
        if isinstance(source, str | Path):
            # Never the name: ffmpeg would take it for a URL or a pattern.
            file = stack.enter_context(Path(source).open("rb"))
        window = _Window(file)
        try:
            container = av.open(
                window,
                mode="r",
                metadata_errors="replace",
                io_open=_nothing_else,
                container_options={
                    "format_whitelist": ",".join(FORMATS),
                    "protocol_whitelist": "none",
                    "probesize": str(_PROBE_BYTES),
                },
            )
            stack.enter_context(container)
            window.complain()
            if container.format.name not in FORMATS:
                raise NotMedia("the file is no video of a known kind")
            yield container
            window.complain()
        except av.error.FFmpegError as error:
            window.complain()
            raise NotMedia("the file is no video, or a damaged one") from error


class _Window:
    """What PyAV sees of a file object. It keeps exceptions from PyAV, which raises them at odd times.

    An error in a callback is kept by PyAV until some later call fails, which may be about another file.
    Here the file ends instead, and `complain` raises the error.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._failure: Exception | None = None

    def read(self, size: int) -> bytes:
        if self._failure is not None:
            return b""
        try:
            return self._file.read(size) or b""
        except Exception as error:  # noqa: BLE001 - raised by complain
            self._failure = error
            return b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return int(self._file.seek(offset, whence))
        except (ValueError, OSError):
            return -1  # ffmpeg tries impossible positions and takes no for an answer

    def tell(self) -> int:
        return int(self._file.tell())

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def complain(self) -> None:
        if self._failure is not None:
            raise self._failure


def _nothing_else(url: str, flags: int, options: Any) -> Any:
    raise NotMedia("the file refers to other files")


def _facts(container: Any) -> MediaFacts:
    videos = [one for one in container.streams.video if not _is_cover(one)]
    audios = list(container.streams.audio)
    if not videos and not audios:
        raise NotMedia("the file has neither video nor audio")
    video = videos[0] if videos else None
    return MediaFacts(
        container=container.format.name.partition(",")[0],
        duration=_seconds(container, [*videos, *audios]),
        width=(video.codec_context.width or None) if video else None,
        height=(video.codec_context.height or None) if video else None,
        vcodec=_codec(video) if video else None,
        acodec=_codec(audios[0]) if audios else None,
        video_streams=len(videos),
        audio_streams=len(audios),
    )


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _codec(stream: Any) -> str:
    name = str(stream.codec_context.name).removeprefix("lib")
    name = {"dav1d": "av1", "aom-av1": "av1", "vpx-vp9": "vp9"}.get(name, name)
    return _CODECS.get(name, name)


def _seconds(container: Any, streams: list[Any]) -> float | None:
    if container.duration:
        return float(container.duration) / av.time_base
    known = [float(one.duration * one.time_base) for one in streams if one.duration]
    return max(known, default=None)


def _first_frame(container: Any) -> Any:
    stream = next(one for one in container.streams.video if not _is_cover(one))
    for number, packet in enumerate(container.demux(stream)):
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError:
            # A stream that was cut at its start has a few packets that need an earlier picture.
            pass
        if number > 500:
            break
    return None


def _reaches_end(container: Any, duration: float) -> bool:
    """Whether there is data near the end: a header claims its length even when the rest is missing."""
    wanted = duration * 0.9 - 3.0
    if wanted <= 0:
        return True
    start = (container.start_time or 0) / av.time_base
    try:
        container.seek(int((start + wanted) * av.time_base), backward=True)
        for packet in container.demux():
            if packet.pts is not None and float(packet.pts * packet.time_base) - start >= wanted:
                return True
    except av.error.FFmpegError:
        return False
    return False
