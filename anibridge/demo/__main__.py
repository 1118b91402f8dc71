"""`python -m anibridge.demo`: the demo server without Django."""

import argparse
import sys
from pathlib import Path

from anibridge.demo import cli
from anibridge.lib.errors import AniBridgeError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m anibridge.demo", description=__doc__)
    cli.add_arguments(parser, Path("data/demo"))
    try:
        cli.run(parser.parse_args(), _line)
    except AniBridgeError as error:
        sys.stderr.write(f"anibridge: {error}\n")
        return 1
    return 0


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
