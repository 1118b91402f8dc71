"""The root of every expected failure. What is not an AniBridgeError is a bug and may be a 500."""


class AniBridgeError(Exception):
    """Something expected went wrong; `str(error)` is a sentence that a person can act on.

    `retryable` says whether the same attempt may succeed later without anybody changing anything.
    """

    retryable = False


class Misconfigured(AniBridgeError):
    """The operator has to change a setting before this can work."""


class Cancelled(AniBridgeError):
    """The work was called off while it ran: its owner lost it, or somebody cancelled it."""
