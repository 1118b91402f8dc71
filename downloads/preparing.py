"""Fetching .torrent files ourselves, through the guarded client: the hash is known before anything is handed over.

Some links that look like files lead to a magnet; the job then goes on as one.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from anibridge.lib.outbound import OutboundError
from downloads import adopting, looking, torrent_links, torrents, transitions
from downloads.detection import DownloadType, detect
from downloads.errors import NotATorrent, UnsupportedLink
from downloads.models import Job, JobStatus, JobTorrent

logger = logging.getLogger(__name__)

RETRY_AFTER = (60.0, 300.0, 1800.0, 7200.0)
"""Seconds until a link that does not answer is tried again; after the last one the job fails."""


def prepare(job: Job) -> bool:
    """Make sure that a torrent's hash is known. False when the job cannot go on now: it was put off, it failed, or it is
    another one that is there already.

    Changes `job` as it changes the row: a link that leads to a magnet makes it one.
    """
    link = job.url
    return _is_known(job) and adopting.adopt(job, link)


def _is_known(job: Job) -> bool:
    if job.download_type == DownloadType.HTTP and job.magnet_metadata.get(looking.PERHAPS):
        try:
            looking.look(job)
        except OutboundError as error:
            _put_off(job, error, "link")
            return False
        except UnsupportedLink as error:
            _give_up(job, str(error))
            return False
    if job.download_type != DownloadType.TORRENT or JobTorrent.objects.filter(job=job).exists():
        return True
    try:
        content = torrent_links.fetch(job.url)
        if isinstance(content, str):
            return _becomes_magnet(job, content)
        torrent = torrents.read(content)
    except OutboundError as error:
        _put_off(job, error)
        return False
    except UnsupportedLink as error:
        _give_up(job, str(error))
        return False
    with transaction.atomic():
        JobTorrent.objects.get_or_create(
            job=job, defaults={"content": content, "v1": torrent.v1, "v2": torrent.v2}
        )
        job.total_bytes = torrent.size_bytes
        Job.objects.filter(pk=job.pk).update(total_bytes=torrent.size_bytes, deferrals=0)
    return True


def _becomes_magnet(job: Job, magnet: str) -> bool:
    link = detect(magnet)
    if link.download_type != DownloadType.MAGNET:
        raise NotATorrent("the link leads to a magnet of AniBridge's own; add that magnet instead")
    job.download_type, job.url = DownloadType.MAGNET.value, link.url
    Job.objects.filter(pk=job.pk).update(download_type=job.download_type, url=job.url)
    return True


def _put_off(job: Job, error: OutboundError, what: str = ".torrent file") -> None:
    if not error.retryable or job.deferrals >= len(RETRY_AFTER):
        _give_up(job, f"the {what} cannot be fetched: {error}")
        return
    seconds = RETRY_AFTER[job.deferrals]
    text = f"the {what} cannot be fetched: {error}; next try in {seconds:.0f} s"
    Job.objects.filter(pk=job.pk, status=JobStatus.QUEUED, deferrals=job.deferrals).update(
        deferrals=job.deferrals + 1,
        error_message=text,
        not_before=timezone.now() + timedelta(seconds=seconds),
    )
    logger.info("job %s: %s", job.pk, text)


def _give_up(job: Job, text: str) -> None:
    try:
        transitions.move(job.pk, JobStatus.FAILED, reason=text, error_message=text)
    except AniBridgeError as error:
        logger.info("job %s: %s", job.pk, error)
