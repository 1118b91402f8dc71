"""The demo's videos: test pictures and a tone, made once with ffmpeg and named as generated.

They are low in bitrate but longer than the limits below which Sonarr calls a file a sample: 10 minutes for a film,
5 minutes for an episode of up to half an hour, 90 seconds for a short. `expected_seconds` says how long a finished
download has to be.
"""

import contextlib
import fcntl
import hashlib
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from anibridge.lib.errors import Cancelled, Misconfigured
from anibridge.lib.text import shorten

FILM_SECONDS = 630
EPISODE_SECONDS = 330
SHORT_SECONDS = 100

_WIDTHS = {360: 640, 480: 854, 720: 1280, 1080: 1920}
_VIDEO_KBITS = {360: 80, 480: 100, 720: 120, 1080: 150}
_AUDIO_KBITS = 32
_MARKER = "recipe.txt"
_SERVED = re.compile(
    r"generated-\d+p-\d+s(\.mp4|-hls/(master\.m3u8|media\.m3u8|segment-\d+\.ts)"
    r"|-dash/(manifest\.mpd|(init|chunk)-[0-9-]+\.m4s))",
    re.A,
)


@dataclass(frozen=True, slots=True, order=True)
class Video:
    """One generated video; many episodes may show the same one."""

    height: int
    seconds: int

    @property
    def name(self) -> str:
        return f"generated-{self.height}p-{self.seconds}s"

    @property
    def file(self) -> str:
        return f"{self.name}.mp4"

    @property
    def width(self) -> int:
        return _WIDTHS[self.height]

    @property
    def kbits(self) -> int:
        return _VIDEO_KBITS[self.height] + _AUDIO_KBITS


FILM_1080 = Video(1080, FILM_SECONDS)
FILM_720 = Video(720, FILM_SECONDS)
EPISODE_1080 = Video(1080, EPISODE_SECONDS)
EPISODE_720 = Video(720, EPISODE_SECONDS)
EPISODE_480 = Video(480, EPISODE_SECONDS)
EPISODE_360 = Video(360, EPISODE_SECONDS)
SHORT_720 = Video(720, SHORT_SECONDS)
VIDEOS = (SHORT_720, EPISODE_360, EPISODE_480, EPISODE_720, EPISODE_1080, FILM_720, FILM_1080)

HLS_VIDEOS = (EPISODE_480, EPISODE_720)
"""Those that are offered as HLS as well; a master playlist lists the lower ones of the same length too."""
DASH_VIDEOS = (EPISODE_720,)
"""Those that are offered as DASH as well, picture and sound apart."""


def expected_seconds(video: Video) -> float:
    """How long a complete download of this video plays, under the default recipe."""
    return float(video.seconds)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How videos are made. Anything that differs makes the cache stale; `scale` shortens them for tests."""

    version: int = 2
    fps: int = 1
    scale: float = 1.0

    def seconds(self, video: Video) -> float:
        return max(1.0, video.seconds * self.scale)

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()[:16]


def find_ffmpeg() -> str:
    """The system's ffmpeg, else the one that imageio-ffmpeg brings; raises Misconfigured without either."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise Misconfigured(
            "ffmpeg was not found; install it or the Python package imageio-ffmpeg"
        ) from error


class VideoLibrary:
    """The folder of generated videos. Several processes may share one: only one of them generates."""

    def __init__(self, folder: Path, recipe: Recipe | None = None) -> None:
        self.folder = folder
        self.recipe = recipe or Recipe()

    def ready(self) -> bool:
        """Whether every video of this recipe is in place."""
        try:
            current = (self.folder / _MARKER).read_text() == self.recipe.digest
        except OSError:
            return False
        return current and not self._missing()

    def path(self, name: str) -> Path | None:
        """The file of this library called `name` (`x.mp4`, or `x-hls/y.ts`), or None; never one outside it."""
        path = self.folder / name
        return path if _SERVED.fullmatch(name) and path.is_file() else None

    def ensure(
        self,
        out: Callable[[str], None] = lambda line: None,
        stop: threading.Event | None = None,
    ) -> None:
        """Generate what is missing. Repeating it does nothing; raises Cancelled once `stop` is set."""
        stop = stop or threading.Event()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock(out, stop):
            if self.ready():
                return
            marker = self.folder / _MARKER
            if not marker.exists() or marker.read_text() != self.recipe.digest:
                self._clear()
                marker.write_text(self.recipe.digest)
            ffmpeg, began = find_ffmpeg(), time.monotonic()
            missing = self._missing()
            out(f"Generating {len(missing)} test videos in {self.folder} (once)")
            for number, video in enumerate(missing, 1):
                started = time.monotonic()
                self._generate(ffmpeg, video, stop)
                took = time.monotonic() - started
                out(f"  {number} of {len(missing)}: {video.file} ({took:.1f} s)")
            out(f"Test videos are ready ({time.monotonic() - began:.0f} s)")

    def _missing(self) -> list[Video]:
        return [
            video
            for video in VIDEOS
            if not (self.folder / video.file).is_file()
            or (video in HLS_VIDEOS and not (self.folder / f"{video.name}-hls").is_dir())
            or (video in DASH_VIDEOS and not (self.folder / f"{video.name}-dash").is_dir())
        ]

    def _clear(self) -> None:
        for old in self.folder.glob("generated-*"):
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink()

    def _generate(self, ffmpeg: str, video: Video, stop: threading.Event) -> None:
        final = self.folder / video.file
        if not final.is_file():
            partial = self.folder / f"generated-{video.height}p.partial"
            _run(self._encode(ffmpeg, video, partial), stop)
            partial.replace(final)
        if video in HLS_VIDEOS:
            with self._whole(f"{video.name}-hls") as folder:
                _run(self._segments(ffmpeg, video, folder), stop)
                (folder / "master.m3u8").write_text(_master_playlist(video))
        if video in DASH_VIDEOS:
            with self._whole(f"{video.name}-dash") as folder:
                _run(self._dash(ffmpeg, video, folder), stop)

    def _encode(self, ffmpeg: str, video: Video, target: Path) -> list[str]:
        kbits, gop = _VIDEO_KBITS[video.height], str(self.recipe.fps * 10)
        return [
            *(ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
            # A small picture made large: nothing but the height matters, and it encodes in a third of the time.
            *("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={self.recipe.fps}"),
            *("-f", "lavfi", "-i", "sine=frequency=220:sample_rate=22050:beep_factor=4"),
            *("-t", f"{self.recipe.seconds(video):.3f}"),
            *("-vf", f"scale={video.width}:{video.height}:flags=neighbor"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
            *("-b:v", f"{kbits}k", "-maxrate", f"{kbits}k", "-bufsize", "1000k"),
            *("-g", gop, "-keyint_min", gop, "-sc_threshold", "0"),
            *("-c:a", "aac", "-b:a", f"{_AUDIO_KBITS}k", "-ac", "1"),
            *("-metadata", f"title=AniBridge generated test video, {video.height}p"),
            *("-movflags", "+faststart", "-f", "mp4", str(target)),
        ]

    @contextlib.contextmanager
    def _whole(self, name: str) -> Iterator[Path]:
        """A folder to fill; it appears complete or not at all."""
        final, partial = self.folder / name, self.folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        shutil.rmtree(final, ignore_errors=True)
        partial.replace(final)

    def _segments(self, ffmpeg: str, video: Video, folder: Path) -> list[str]:
        """Cut a finished video into HLS without encoding it again."""
        return [
            *(ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
            *("-i", str(self.folder / video.file), "-c", "copy", "-f", "hls"),
            *("-hls_time", "10", "-hls_playlist_type", "vod"),
            *("-hls_segment_filename", str(folder / "segment-%03d.ts")),
            str(folder / "media.m3u8"),
        ]

    def _dash(self, ffmpeg: str, video: Video, folder: Path) -> list[str]:
        """The same for DASH."""
        return [
            *(ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
            *("-i", str(self.folder / video.file), "-c", "copy", "-f", "dash"),
            *("-seg_duration", "10", "-use_template", "1", "-use_timeline", "1"),
            *("-init_seg_name", "init-$RepresentationID$.m4s"),
            *("-media_seg_name", "chunk-$RepresentationID$-$Number%05d$.m4s"),
            str(folder / "manifest.mpd"),
        ]

    @contextlib.contextmanager
    def _lock(self, out: Callable[[str], None], stop: threading.Event) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as handle:
            told = False
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if not told:
                        out("Waiting for another process that generates the test videos")
                        told = True
                if stop.wait(0.2):
                    raise Cancelled("stopped while waiting for the test videos")
            yield  # closing the file frees the lock


def _master_playlist(video: Video) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
    for variant in HLS_VIDEOS:
        if variant.seconds == video.seconds and variant.height <= video.height:
            lines += [
                f"#EXT-X-STREAM-INF:BANDWIDTH={variant.kbits * 1200},"
                f'RESOLUTION={variant.width}x{variant.height},CODECS="avc1.42c028,mp4a.40.2"',
                f"../{variant.name}-hls/media.m3u8",
            ]
    return "\n".join(lines) + "\n"


def _run(command: list[str], stop: threading.Event) -> None:
    """Run ffmpeg to its end, or kill it as soon as `stop` is set."""
    with subprocess.Popen(  # noqa: S603 - every argument is ours
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        while True:
            try:
                _, errors = process.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    process.kill()
                    raise Cancelled("stopped while generating the test videos") from None
        if process.returncode:
            words = shorten(errors.decode(errors="replace")) or f"exit code {process.returncode}"
            raise Misconfigured(f"ffmpeg could not generate a test video: {words}")
