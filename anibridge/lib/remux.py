"""Fetched streams to one file, by ffmpeg, which only ever touches files that are already on the disk."""

import subprocess
from pathlib import Path

from anibridge.lib import watch
from anibridge.lib.errors import AniBridgeError
from anibridge.lib.text import shorten


class CannotJoin(AniBridgeError):
    """The streams do not fit into one file."""


def joined(ffmpeg: str, files: list[Path], kinds: list[str], target: Path) -> Path:
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
        raise CannotJoin(f"the fetched stream cannot be put into a file: {reason}")
