"""What can go wrong between a question about a title and an answer from a site."""

from anibridge.lib.errors import AniBridgeError


class SiteError(AniBridgeError):
    """The site could not answer; later it may."""

    retryable = True


class SiteUnavailable(SiteError):
    """The site did not answer, answered with a server error, or is under maintenance."""


class RateLimited(SiteError):
    """The site asks for patience; `retry_after` is in seconds where the site named it."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Blocked(SiteError):
    """The site demands a browser check, a login or a confirmation. Reported, never worked around."""


class LayoutChanged(SiteError):
    """A page lacks something that it must have; the message names what was looked for and where."""

    retryable = False


class IndexUnchanged(AniBridgeError):
    """The site says that its index is still the one that was read before: no failure, nothing to read."""


class NotFound(AniBridgeError):
    """The site has no such title, season or episode."""


class UnknownSite(AniBridgeError):
    """No such site is registered, or it is not enabled."""


class UnsafeSlug(AniBridgeError):
    """A slug does not fit the site's pattern; it is never pasted into a URL."""


class NoStream(AniBridgeError):
    """None of an episode's hosts gave a stream; `failures` holds (host, reason) pairs in the order tried."""

    retryable = True

    def __init__(self, message: str, *, failures: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.failures = failures


class MetadataUnavailable(AniBridgeError):
    """The service that knows ids and numbers did not answer; callers go on without it."""

    retryable = True


class InvalidMagnet(AniBridgeError):
    """Not a magnet link, or one of ours with a field missing or malformed."""


class InvalidGrabLink(AniBridgeError):
    """A grab link that was not made here."""


class GrabLinkExpired(AniBridgeError):
    """A grab link that is too old."""
