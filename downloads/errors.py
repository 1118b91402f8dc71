"""What can go wrong while a release is fetched."""

from anibridge.lib.errors import AniBridgeError, Cancelled


class IllegalTransition(AniBridgeError):
    """A job cannot go from its status to the one asked for."""


class JobLost(Cancelled):
    """The job is no longer ours: paused, cancelled, deleted, or claimed by another worker."""


class UnknownJob(AniBridgeError):
    """No job has this id or hash."""


class UnsupportedLink(AniBridgeError):
    """This is nothing that can be fetched; the message says why."""


class BadWish(AniBridgeError):
    """What was asked for contradicts itself, or names something that there is not."""


class NotATorrent(UnsupportedLink):
    """The bytes are no .torrent file that can be used; the message says why."""


class OutsideRoot(AniBridgeError):
    """A path does not lie below a folder that the operator configured."""


class DiskFull(AniBridgeError):
    """There is not enough room for the file; `needed` bytes would have to be free."""

    retryable = True

    def __init__(self, message: str, *, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


class BadNaming(AniBridgeError):
    """What a job says about its name in a library is not enough, or not right."""


class NotARename(AniBridgeError):
    """A file cannot get its new place by a new name alone: it would have to be copied."""


class Unmovable(AniBridgeError):
    """A job's files cannot be brought to another folder; the message says why."""


class BadRename(AniBridgeError):
    """A file or folder of a job cannot be called that; the message says why, in qBittorrent's words."""


class NameTaken(AniBridgeError):
    """A file of that name is there already, and it is not ours."""


class StillWritten(AniBridgeError):
    """Another process holds the unfinished files of this job."""

    retryable = True


class SlotTaken(AniBridgeError):
    """As many downloads as are allowed run from this host or source already."""

    retryable = True


class WrongFile(AniBridgeError):
    """What arrived is not the file that it should be."""


class AllHostsFailed(AniBridgeError):
    """No host gave the episode; the message lists each host with its reason."""

    retryable = True
