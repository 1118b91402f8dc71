#!/usr/bin/env python
"""AniBridge's command line."""

import os
import sys


def main() -> int:
    """Run a management command; a bad setting is one line on stderr and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anibridge.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.stderr.write(f"anibridge: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
