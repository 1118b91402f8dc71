"""What is behind a link to a .torrent file, fetched through the guarded client. Knows no job."""

from urllib.parse import urljoin

from anibridge.lib import http
from anibridge.lib.outbound import OutboundError
from downloads import torrents
from downloads.errors import UnsupportedLink

TIMEOUT = 30.0
MAX_HOPS = 5


class NotThere(UnsupportedLink):
    """The link gives no file."""


def fetch(url: str) -> bytes | str:
    """The bytes of the file, or the magnet that the link leads to: indexers hide magnets behind such links.

    Redirects are followed one guarded hop at a time. Raises OutboundError, retryable or not, and NotThere.
    """
    for _ in range(MAX_HOPS + 1):
        answer = http.fetch(url, timeout=TIMEOUT, max_bytes=torrents.MAX_BYTES, follow=False)
        if not 300 <= answer.status < 400 or "location" not in answer.headers:
            break
        url = urljoin(url, answer.headers["location"])
        if url[:7].lower() == "magnet:":
            return url
    else:
        raise NotThere(f"{http.host_of(url)} redirects in circles")
    if answer.status == 429 or answer.status >= 500:
        raise OutboundError(f"{http.host_of(url)} answered {answer.status}")
    if not answer.ok:
        raise NotThere(f"there is no .torrent file: {http.host_of(url)} answered {answer.status}")
    return answer.body
