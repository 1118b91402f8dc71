"""Servers and small generated videos for the tests of the outbound client."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anibridge.lib import ytdlp
from tests.anibridge.lib import servers


@pytest.fixture
def server() -> Iterator[servers.Server]:
    with servers.running() as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[servers.Server]:
    with servers.running() as running:
        yield running


@pytest.fixture
def allowed(settings, server) -> None:
    """The operator has named the first server, and nothing else."""
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [server.place]


@dataclass(frozen=True)
class Videos:
    """Generated files of a few seconds; `hls` are MPEG-TS segments, `encrypted` the same with `key`.

    `dash` is a folder with a manifest `m.mpd` and its segments, picture and sound apart.
    """

    mp4: Path
    dash: Path
    mkv: Path
    ts: Path
    hls: tuple[bytes, ...]
    playlist: str
    encrypted: tuple[bytes, ...]
    key: bytes
    seconds: float = 6.0


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    ffmpeg = ytdlp.find_ffmpeg()
    assert ffmpeg
    folder = tmp_path_factory.mktemp("videos")
    key = os.urandom(16)
    (folder / "key").write_bytes(key)
    (folder / "keyinfo").write_text(f"KEY\n{folder / 'key'}\n")

    def run(*options: str) -> None:
        command = [ffmpeg, "-nostdin", "-y", "-loglevel", "error", *options]
        subprocess.run(command, cwd=folder, check=True, timeout=60)

    run(
        *("-f", "lavfi", "-i", "testsrc=s=128x96:d=6:r=10", "-f", "lavfi", "-i", "sine=d=6"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-b:a", "32k", "a.mp4"),
    )
    for name in ("a.mkv", "a.ts"):
        run("-i", "a.mp4", "-c", "copy", name)
    segments = ("-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0")
    run("-i", "a.mp4", *segments, "-hls_segment_filename", "s%d.ts", "plain.m3u8")
    run(
        *("-i", "a.mp4", *segments, "-hls_key_info_file", "keyinfo"),
        *("-hls_segment_filename", "e%d.ts", "encrypted.m3u8"),
    )
    (folder / "dash").mkdir()
    run(
        *("-i", "a.mp4", "-c", "copy", "-f", "dash", "-seg_duration", "2"),
        *("-use_template", "1", "-use_timeline", "1", "dash/m.mpd"),
    )
    return Videos(
        mp4=folder / "a.mp4",
        dash=folder / "dash",
        mkv=folder / "a.mkv",
        ts=folder / "a.ts",
        hls=tuple(path.read_bytes() for path in sorted(folder.glob("s*.ts"))),
        playlist=(folder / "plain.m3u8").read_text(),
        encrypted=tuple(path.read_bytes() for path in sorted(folder.glob("e*.ts"))),
        key=key,
    )
