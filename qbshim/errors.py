"""What a client may be told, and in which words: qBittorrent's own statuses and texts."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.core.exceptions import BadRequest as DjangoBadRequest
from django.core.exceptions import SuspiciousOperation
from django.http import HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from anibridge.lib.errors import AniBridgeError
from downloads.errors import BadRename, IllegalTransition, OutsideRoot, UnknownJob, Unmovable

TEXT = "text/plain; charset=utf-8"


class ParameterMissing(AniBridgeError):
    """A parameter that the endpoint cannot do without was not sent."""


class ParameterInvalid(AniBridgeError):
    """A parameter was sent with a value that means nothing; the message is what qBittorrent says."""


class Conflict(AniBridgeError):
    """The request is understood but cannot be done as things are; the message goes to the client."""


class OutsideDownloads(Conflict):
    """A path that a client or the owner named does not lie below the download folder."""


class Refused(AniBridgeError):
    """Nothing of what was to be added can ever be fetched. The message is for our log: clients read `Fails.`"""


class NotATorrentFile(AniBridgeError):
    """An uploaded file is no torrent."""


class UnknownPath(AniBridgeError):
    """There is no such endpoint."""


class NoSuchFolder(AniBridgeError):
    """A folder that a client asks for is not there, or is none of its business."""


class NotSignedIn(AniBridgeError):
    """The request carries no valid session and no API key."""


class Banned(AniBridgeError):
    """Too many wrong passwords came from this address."""


class CrossSite(AniBridgeError):
    """A browser sent this request from somebody else's page."""


class WrongMethod(AniBridgeError):
    """The endpoint exists, but not under this HTTP method."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How an error goes out. Without `text` the error's own message does."""

    status: int
    text: str | None = None


WIRE: Mapping[type[Exception], Wire] = {
    ParameterMissing: Wire(400, "Bad Request"),
    ParameterInvalid: Wire(400),
    DjangoBadRequest: Wire(400, "Bad Request"),
    SuspiciousOperation: Wire(400, "Bad Request"),
    MultiPartParserError: Wire(400, "Bad Request"),
    UnreadablePostError: Wire(400, "Bad Request"),
    CrossSite: Wire(401, "Unauthorized"),
    NotSignedIn: Wire(403, "Forbidden"),
    Banned: Wire(
        403, "Your IP address has been banned after too many failed authentication attempts."
    ),
    NoSuchFolder: Wire(404, "Directory does not exist"),
    UnknownPath: Wire(404, "Not Found"),
    UnknownJob: Wire(404, "Not Found"),
    WrongMethod: Wire(405, "Method Not Allowed"),
    Conflict: Wire(409),
    BadRename: Wire(409),
    IllegalTransition: Wire(409),
    OutsideRoot: Wire(409),
    Unmovable: Wire(409),
    NotATorrentFile: Wire(415),
    Refused: Wire(200, "Fails."),
}


def error_response(error: Exception) -> HttpResponse | None:
    """The answer for an expected error; None lets a bug surface as a 500."""
    wire = next((WIRE[cls] for cls in type(error).__mro__ if cls in WIRE), None)
    if wire is None:
        return None
    text = str(error) if wire.text is None else wire.text
    return HttpResponse(text, status=wire.status, content_type=TEXT)
