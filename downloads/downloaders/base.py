"""What AniBridge asks of a downloader. One module for each kind; they know neither jobs nor the database.

A request that fails is one of two things, and the difference decides whether a download may be given to somebody
else: `NotReached` – it surely was not heard – or `NoAnswer` – it may have been.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import requests.exceptions
import urllib3.exceptions

from anibridge.lib import http
from anibridge.lib.errors import AniBridgeError, error_chain
from anibridge.lib.outbound import AddressRefused, InvalidUrl, OutboundError, UnsupportedScheme

MAX_FILES = 10_000
"""Files of one download; a torrent may name any number."""
MAX_BATCH = 50
"""Downloads in one request, of whatever kind."""
LONGEST_ETA = 8_640_000


class DownloaderAway(AniBridgeError):
    """The downloader could not be asked."""

    retryable = True


class NotReached(DownloaderAway):
    """It surely did not hear what was said: nobody listens there, or it let nobody in."""


class NoAnswer(DownloaderAway):
    """It may have heard what was said, but gave no usable answer."""


class BatchRefused(NotReached):
    """It takes nothing of this batch, perhaps because of one item; the others may do without it."""


class LoginRefused(NotReached):
    """It does not accept the user name and password, or the key."""


class State(StrEnum):
    """How a download goes, in the words that every kind is translated to."""

    QUEUED = "queued"
    DOWNLOADING = "downloading"
    CHECKING = "checking"
    PAUSED = "paused"
    COMPLETED = "completed"
    ERROR = "error"
    NOT_FOUND = "not_found"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a downloader is and how it lets us in."""

    name: str
    base_url: str = ""
    endpoint: str = "/downloads"
    username: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A download to be handed over. `ids` are the hashes under which it may be listed there, where they are known
    before; `torrent` is the .torrent file where there is one. `subfolder` and `rate_limit` (bytes a second) are for
    whoever can keep to them."""

    key: str
    url: str
    save_path: str
    category: str = ""
    ids: tuple[str, ...] = ()
    torrent: bytes = b""
    subfolder: str = "usual"
    rate_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a downloader said to one item: taken, as `remote_id`, or not, with a reason."""

    remote_id: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """One file of a download: its name below the folder that the download was given, its bytes, how much of it is there
    (0 to 1), and its priority in qBittorrent's numbers, 0 for «do not download»."""

    name: str
    size: int
    progress: float
    priority: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """How one download goes. Sizes in bytes, `speed` in bytes a second, `eta` in seconds; None is «it does not say».

    `content_path` and `files` are paths as the downloader sees them: absolute, or below its folder for the download.
    `contents` says more of each file, also of those that were not wanted, where the downloader says it unasked.
    """

    state: State
    progress: float = 0.0
    size: int | None = None
    downloaded: int | None = None
    speed: int | None = None
    eta: int | None = None
    name: str = ""
    content_path: str = ""
    save_path: str = ""
    files: tuple[str, ...] = ()
    contents: tuple[Content, ...] = ()
    reason: str = ""


NOT_FOUND = Report(State.NOT_FOUND)


class Adapter(Protocol):
    """One conversation with a downloader. Every method raises DownloaderAway (NotReached or NoAnswer)."""

    def submit(self, items: Sequence[Item]) -> Mapping[str, Answer]:
        """Hand over up to MAX_BATCH items. By `Item.key`; an item without an answer may or may not have been taken.
        Handing over what it has already is the same as the first time."""

    def status(self, ids: Sequence[str]) -> Mapping[str, Report]:
        """How each of these goes; NOT_FOUND for the ones that it does not know."""

    def pause(self, remote_id: str) -> None:
        """Stop for now. What it does not know is no error."""

    def resume(self, remote_id: str) -> None:
        """Go on. What it does not know is no error."""

    def cancel(self, ids: Sequence[str]) -> Mapping[str, bool]:
        """Drop unfinished downloads with what they have fetched; by id, whether it is surely gone."""

    def delete(self, remote_id: str, *, delete_files: bool) -> None:
        """Forget a download; its files go only if asked. What it does not know is no error."""

    def limit(self, remote_id: str, rate_limit: int | None) -> bool:
        """Let a download take so many bytes a second, None for any number. False where the downloader has no such
        thing; what it does not know may count as that."""

    def contents(self, remote_id: str) -> Sequence[Content]:
        """How each file of a download goes; none where it does not say, or does not know yet what is in it."""

    def health(self) -> str:
        """A line about it, as proof that it answers."""

    def close(self) -> None:
        """The conversation is over."""


_BEFORE_SENDING = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    requests.exceptions.ConnectTimeout,
    socket.gaierror,
    ssl.SSLCertVerificationError,
    AddressRefused,
    InvalidUrl,
    UnsupportedScheme,
)


@contextmanager
def spoken_to(place: Place) -> Iterator[None]:
    """Turns what goes wrong on the way into NotReached or NoAnswer."""
    try:
        with http.translated(place.base_url):
            yield
    except OutboundError as error:
        unheard = any(isinstance(one, _BEFORE_SENDING) for one in error_chain(error))
        raise (NotReached if unheard else NoAnswer)(str(error)) from error


def fraction(value: object) -> float:
    """A progress from outside as a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return 0.0
    return min(max(float(value), 0.0), 1.0)


def count(value: object, *, most: int = 2**62) -> int | None:
    """A size, speed or duration from outside; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if 0 <= value <= most else None
