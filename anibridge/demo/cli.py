"""The options of the demo server, shared by `manage.py serve_demo` and `python -m anibridge.demo`."""

import argparse
from collections.abc import Callable
from pathlib import Path

from anibridge.demo.layouts import LAYOUTS
from anibridge.demo.server import DEFAULT_RATE, serve


def add_arguments(parser: argparse.ArgumentParser, data_dir: Path) -> None:
    parser.add_argument("--site", choices=tuple(LAYOUTS), default="demo", help="page layout")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=8001, help="0 takes a free one")
    parser.add_argument(
        "--rate",
        type=_count,
        default=DEFAULT_RATE,
        metavar="BYTES",
        help="bytes a second and connection, 0 for no limit (default: %(default)s)",
    )
    parser.add_argument(
        "--extra-titles",
        type=_count,
        default=0,
        metavar="N",
        help="add N invented titles to the index only",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=data_dir,
        help="folder of the generated videos (default: %(default)s)",
    )


def run(options: argparse.Namespace, out: Callable[[str], None]) -> None:
    """Serve until told to stop."""
    serve(
        options.host,
        options.port,
        data_dir=options.data_dir,
        site=options.site,
        rate=options.rate,
        extra_titles=options.extra_titles,
        out=out,
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be between 0 and 65535")
    return number
