"""Covers of the demo catalogue: pictures as media servers take them, each title's in a colour of its own."""

import colorsys
import zlib
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import av

WIDTH: Final = 220
HEIGHT: Final = 330


@lru_cache(maxsize=256)
def cover(slug: str) -> bytes:
    """A PNG for the title."""
    hue = zlib.crc32(slug.encode()) % 360 / 360
    frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
    plane: Any = frame.planes[0]
    filling = bytes(plane.line_size - 3 * WIDTH)
    # From top to bottom darker, as covers of films so often are.
    plane.update(b"".join(_shade(hue, row) * WIDTH + filling for row in range(HEIGHT)))
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "rgb24"
    encoder.time_base = Fraction(1, 1)
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def _shade(hue: float, row: int) -> bytes:
    value = 0.75 - 0.5 * row / HEIGHT
    return bytes(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.6, value))
