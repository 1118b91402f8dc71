"""What can go wrong between a player and the file that it wants to play."""

from anibridge.lib.errors import AniBridgeError


class BadLink(AniBridgeError):
    """The link is none of ours, or somebody has changed it."""


class LinkExpired(AniBridgeError):
    """The link was good once: its time is over, or its playback is."""


class TooManyStreams(AniBridgeError):
    """As many streams are running as the operator allows; `retry_after` is in seconds."""

    retryable = True

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class HostRefused(AniBridgeError):
    """The host answered with a status that ends this request; `status` is what it said."""

    retryable = True

    def __init__(self, message: str, *, status: int, retry_after: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class NotAVideo(AniBridgeError):
    """The host sent something that no player may be given, such as a page."""

    retryable = True


class Protected(AniBridgeError):
    """The video is protected by DRM, which is reported and not bypassed."""


class BadManifest(AniBridgeError):
    """A playlist that cannot be passed on: too large, malformed, or with something in it that is not followed."""


class Broken(AniBridgeError):
    """The host broke off, and what it offers now is not the rest of the same file."""


class NoLongerThere(AniBridgeError):
    """A live stream has gone on: what the link named is not in it any more."""


class StartAgain(AniBridgeError):
    """The host has gone in the middle, and the next one has the film cut differently: only a new start plays it."""
