"""Downloads as they leave: the one shape of design.md §3, and the older job API's. Keys in addresses are masked.

Asks neither the database (select the job's downloader with it) nor the disk.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from anibridge.lib.masking import masked, masked_text
from catalogue.releases import STRM_MARKER, Identity, magnet_of
from downloads.detection import DownloadType
from downloads.models import Job, JobStatus

BUILTIN = "builtin"
"""The `downloader` of what our own workers fetch."""
DONE: Final = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})
_OLDER_STATUS: Mapping[str, str] = {
    JobStatus.PAUSED: "queued",
    JobStatus.NO_DOWNLOADER: "queued",
    JobStatus.DOWNLOADER_ERROR: "downloading",
}
"""Clients of the older API know five statuses and wait until one of the last three comes."""
_OLDER_MESSAGE: Mapping[str, str] = {
    JobStatus.PAUSED: "paused",
    JobStatus.NO_DOWNLOADER: "waiting for a downloader that takes this",
    JobStatus.DOWNLOADER_ERROR: "its downloader does not answer",
}


def download(job: Job) -> dict[str, Any]:
    """A job as every interface but the older ones shows it."""
    return {
        "id": job.pk,
        "hash": job.infohash,
        "name": job.name,
        "download_type": job.download_type,
        "status": job.status,
        "progress": job.progress,
        "downloaded_bytes": job.downloaded_bytes,
        "total_bytes": job.total_bytes,
        "speed": job.speed,
        "eta": job.eta,
        "source_site": job.source_site,
        "downloader": downloader_of(job),
        "url": url_of(job),
        "category": job.category,
        "save_path": job.save_path,
        "result_path": job.result_path,
        "error_message": masked_text(job.error_message),
        "retry_count": job.retry_count,
        "created_at": when(job.created_at),
        "started_at": when(job.started_at),
        "completed_at": when(job.completed_at),
    }


def older(job: Job) -> dict[str, Any]:
    """A job as `/jobs/<id>` shows it: progress in percent, the id a string, none but the five older statuses."""
    message = masked_text(job.error_message) or _OLDER_MESSAGE.get(job.status, "")
    return {
        "id": str(job.pk),
        "status": _OLDER_STATUS.get(job.status, job.status),
        "progress": round(job.progress * 100, 2),
        "downloaded_bytes": job.downloaded_bytes,
        "total_bytes": job.total_bytes,
        "speed": job.speed,
        "eta": job.eta,
        "message": message,
        "result_path": job.result_path or None,
        "source_site": job.source_site,
        "created_at": when(job.created_at),
        "updated_at": when(job.updated_at),
    }


def downloader_of(job: Job) -> str | None:
    """The name of who has it; None while nobody does."""
    if job.downloader is not None:
        return job.downloader.name
    return BUILTIN if job.download_type == DownloadType.EPISODE else None


def url_of(job: Job) -> str:
    """The link that stands for the job. Without keys in it, it can be given back to make the same job.

    A link that becomes a .strm file is shown as a magnet of ours: its address would make a download.
    """
    if job.url and job.download_type != DownloadType.EPISODE:
        return masked(job.url)
    name = job.name
    if job.download_type != DownloadType.EPISODE:
        return f"magnet:?xt=urn:btih:{job.infohash}"
    identity = identity_of(job)
    return magnet_of(identity, name + STRM_MARKER if identity.strm else name, provider=job.provider)


def identity_of(job: Job) -> Identity:
    """What an episode's job is a release of."""
    strm = job.magnet_metadata.get("mode") == "strm"
    return Identity(job.source_site, job.slug, job.season, job.episode, job.language, strm)


def when(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
