"""A link that a client of the qBittorrent API gave goes under the hash of the torrent that it leads to.

Such clients know a torrent by its own hash and nothing else. Until somebody has looked behind the link there is only the
link's, which other ways in (links that fetchers push) know a job by for good.
"""

import logging
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from downloads import orders, torrents, transitions
from downloads.detection import DownloadType, detect
from downloads.models import Job, JobTorrent

logger = logging.getLogger(__name__)

AS_TORRENT: Final = "as_torrent"
"""In a job's `magnet_metadata`: it is to go under the hash of its torrent as soon as that is known."""


def adopt(job: Job, link: str) -> bool:
    """Give a job the hash of the torrent that `link` led to, and its name where the job has only the link's.

    Changes `job` as it changes the row. False when the same torrent is there already: then this job is deleted, as a
    real qBittorrent has each torrent only once.
    """
    known = _of_torrent(job) if job.magnet_metadata.get(AS_TORRENT) else None
    if known is None:
        return True
    infohash, name = known
    values: dict[str, object] = {
        "infohash": infohash,
        "magnet_metadata": {
            key: value for key, value in job.magnet_metadata.items() if key != AS_TORRENT
        },
    }
    if job.name == orders.name_in(link):
        values["name"] = name
    try:
        with transaction.atomic():
            Job.objects.filter(pk=job.pk).update(**values, updated_at=timezone.now())
    except IntegrityError:
        logger.info("job %s: torrent %s is there already", job.pk, infohash)
        transitions.remove(job.pk, delete_files=False)
        return False
    for key, value in values.items():
        setattr(job, key, value)
    return True


def _of_torrent(job: Job) -> tuple[str, str] | None:
    """Hash and name of what a job has turned out to be; None for what is no torrent."""
    if job.download_type == DownloadType.MAGNET:
        magnet = detect(job.url).magnet
        return None if magnet is None else (magnet.infohash, magnet.file_name)
    torrent = JobTorrent.objects.filter(job=job).first()
    if torrent is None:
        return None
    return torrent.v1, torrents.read(bytes(torrent.content)).name
