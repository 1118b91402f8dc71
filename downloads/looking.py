"""What is behind a link that does not say what it is: a .torrent file, a magnet, or just a file.

Indexers' links seldom end in `.torrent`, and to a qBittorrent every link is one to a torrent. So a link that a client
gave without saying more is looked at once, by a worker, before somebody fetches it.
"""

import re
from typing import Final
from urllib.parse import urljoin

from django.db import transaction

from anibridge.lib import http
from anibridge.lib.outbound import OutboundError
from downloads import torrents
from downloads.detection import DownloadType, detect
from downloads.errors import NotATorrent
from downloads.models import Job, JobTorrent

PERHAPS: Final = "perhaps_torrent"
"""In a job's `magnet_metadata`: nobody has looked yet."""
TIMEOUT: Final = 30.0
MAX_HOPS: Final = 5
_START: Final = re.compile(rb"d[1-9][0-9]?:")
_TYPE: Final = "application/x-bittorrent"


def look(job: Job) -> None:
    """Make a plain link the torrent or the magnet that it leads to; anything else stays a plain link.

    Changes `job` as it changes the row. Raises OutboundError where nobody answers now, UnsupportedLink for what calls
    itself a torrent and cannot be used.
    """
    found = _behind(job.url)
    values: dict[str, object] = {}
    if isinstance(found, str):
        link = detect(found)
        if link.download_type != DownloadType.MAGNET:
            raise NotATorrent(
                "the link leads to a magnet of AniBridge's own; add that magnet instead"
            )
        values = {"download_type": DownloadType.MAGNET.value, "url": link.url, "episode": None}
    elif found is not None:
        torrent = torrents.read(found)
        values = {
            "download_type": DownloadType.TORRENT.value,
            "total_bytes": torrent.size_bytes,
            "episode": None,
        }
    rest = {key: value for key, value in job.magnet_metadata.items() if key != PERHAPS}
    values |= {"magnet_metadata": rest, "deferrals": 0}
    with transaction.atomic():
        if isinstance(found, bytes):
            JobTorrent.objects.get_or_create(
                job=job, defaults={"content": found, "v1": torrent.v1, "v2": torrent.v2}
            )
        Job.objects.filter(pk=job.pk).update(**values)
    for name, value in values.items():
        setattr(job, name, value)


def _behind(url: str) -> bytes | str | None:
    """A .torrent file, a magnet, or None for anything else. Redirects are followed one guarded hop at a time."""
    for _ in range(MAX_HOPS):
        with http.stream(
            url, timeout=TIMEOUT, total=TIMEOUT, max_bytes=torrents.MAX_BYTES, follow=False
        ) as answer:
            if 300 <= answer.status < 400 and "location" in answer.headers:
                url = urljoin(url, answer.headers["location"])
                if url[:7].lower() == "magnet:":
                    return url
                continue
            if answer.status == 429 or answer.status >= 500:
                raise OutboundError(f"{http.host_of(url)} answered {answer.status}")
            if not 200 <= answer.status < 300:
                return None  # whoever fetches it says why
            return _torrent(answer)
    return None


def _torrent(answer: http.Streamed) -> bytes | None:
    claims = answer.headers.get("content-type", "").partition(";")[0].strip().lower() == _TYPE
    if (answer.length or 0) > torrents.MAX_BYTES and not claims:
        return None
    read = b""
    for block in answer.iter_bytes():
        read += block
        if not claims and not _START.match(read):
            return None
    if claims:
        return read
    try:
        torrents.read(read)
    except NotATorrent:
        return None
    return read
