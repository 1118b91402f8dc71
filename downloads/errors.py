"""What can go wrong while a release is fetched."""

from anibridge.lib.errors import AniBridgeError, Cancelled


class IllegalTransition(AniBridgeError):
    """A job cannot go from its status to the one asked for."""


class JobLost(Cancelled):
    """The job is no longer ours: paused, cancelled, deleted, or claimed by another worker."""


class UnknownJob(AniBridgeError):
    """No job has this id or hash."""


class OutsideRoot(AniBridgeError):
    """A path does not lie below a folder that the operator configured."""


class DiskFull(AniBridgeError):
    """There is not enough room for the file."""

    retryable = True


class AllHostsFailed(AniBridgeError):
    """No host gave the episode; the message lists each host with its reason."""

    retryable = True
