"""Run a command that ends when its parent is gone: `python tethered.py PARENT_PID command …`.

Run as a file, not as a module: it must start fast and import nothing of ours. Linux only does it by itself
(PR_SET_PDEATHSIG survives exec); elsewhere the command runs untethered.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if parent and os.getppid() != parent:  # it went before the tether was tied
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  the command is ours, no shell


if __name__ == "__main__":
    main()
