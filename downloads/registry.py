"""The downloaders that there are: announced by themselves, or entered by the owner, and what the owner decides.

What the owner decided stays: a service that announces itself again brings its address and its types up to date, and
neither switches itself on nor moves itself up.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone

from anibridge.lib.errors import AniBridgeError
from downloads import dispatch, transitions
from downloads.contacts import contact
from downloads.detection import DownloadType
from downloads.downloaders.base import DownloaderAway
from downloads.models import (
    Downloader,
    DownloaderCapability,
    DownloaderKind,
    Errand,
    Job,
    JobStatus,
)
from downloads.models.downloaders import DEFAULT_PRIORITY
from downloads.models.jobs import JobQuerySet

logger = logging.getLogger(__name__)
S = JobStatus

BUILTIN = "builtin"
BUILTIN_PRIORITY = 100
OFFERED = (DownloadType.MAGNET, DownloadType.TORRENT, DownloadType.HTTP)
"""What others may take; episodes of the catalogue are AniBridge's own business."""
DEFAULT_TYPES = {
    DownloaderKind.BUILTIN: (DownloadType.EPISODE, DownloadType.HTTP),
    DownloaderKind.QBITTORRENT: (DownloadType.MAGNET, DownloadType.TORRENT),
    DownloaderKind.REMOTE: (),
}
_ENDPOINT = re.compile(r"(/[A-Za-z0-9._~-]+){1,8}/?")


class InvalidAddress(AniBridgeError):
    """This is no base URL of a downloader."""


class NameTaken(AniBridgeError):
    """Another kind of downloader has this name."""


class StillBusy(AniBridgeError):
    """The downloader has downloads that are not over."""


class NotRemovable(AniBridgeError):
    """The built-in downloader is part of AniBridge."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a service says about itself."""

    name: str
    base_url: str
    types: tuple[DownloadType, ...]
    endpoint: str = "/downloads"
    priority: int = DEFAULT_PRIORITY
    api_key: str | None = None


def checked_url(text: str) -> str:
    """A base URL without a slash at its end. Raises InvalidAddress."""
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidAddress("the base URL is no valid address") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise InvalidAddress("the base URL must look like http://host:port")
    if "@" in parts.netloc or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise InvalidAddress("the base URL must hold no password, no «?» and no «#»")
    if len(url) > 500:
        raise InvalidAddress("the base URL is longer than 500 characters")
    return url


def checked_endpoint(text: str) -> str:
    """The path of the downloads below the base URL. Raises InvalidAddress."""
    if len(text) > 200 or not _ENDPOINT.fullmatch(text) or "/.." in text or "/./" in text:
        raise InvalidAddress("the download endpoint must be a path such as /downloads")
    return text.rstrip("/")


@transaction.atomic
def register(said: Registration) -> tuple[Downloader, bool]:
    """Take a service that announces itself, by its name; returns it and whether it is new. Any number of times.

    Never switches on what the owner switched off, and never changes a priority. Raises InvalidAddress, NameTaken.
    """
    values = {
        "base_url": checked_url(said.base_url),
        "download_endpoint": checked_endpoint(said.endpoint),
        "registered_at": timezone.now(),
    }
    try:
        with transaction.atomic():
            downloader, created = Downloader.objects.get_or_create(
                name=said.name,
                defaults={**values, "kind": DownloaderKind.REMOTE, "priority": said.priority},
            )
    except IntegrityError:  # it announced itself twice in this very moment
        downloader, created = Downloader.objects.get(name=said.name), False
    if downloader.kind != DownloaderKind.REMOTE:
        raise NameTaken(f"«{said.name}» is a {downloader.get_kind_display()} downloader already")
    if said.api_key is not None:
        downloader.secret = said.api_key
        values["credentials"] = downloader.credentials
    # It is up now, whatever happened before.
    values |= {"back_off_until": None, "setbacks": 0, "failures": 0}
    Downloader.objects.filter(pk=downloader.pk).update(**values)
    set_types(downloader, said.types)
    downloader.refresh_from_db()
    logger.info("downloader %s %s", said.name, "is new" if created else "announced itself again")
    return downloader, created


@transaction.atomic
def set_types(downloader: Downloader, types: Iterable[DownloadType]) -> None:
    """Exactly these types from now on. What waited for one of them is handed over soon, off the request."""
    wanted = {one.value for one in types}
    downloader.capabilities.exclude(download_type__in=wanted).delete()
    for download_type in sorted(wanted):
        DownloaderCapability.objects.get_or_create(
            downloader=downloader, download_type=download_type
        )
    dispatch.nudge_dispatch()


@transaction.atomic
def changed(downloader: Downloader) -> None:
    """After the owner changed something: links that wait go where they can go now, also those that our own workers
    have not begun."""
    if downloader.is_builtin and not downloader.enabled:
        waiting = Job.objects.present().filter(status=S.QUEUED, downloader=downloader, attempts=0)
        Job.objects.filter(pk__in=waiting.hold()).update(downloader=None)
    Downloader.objects.filter(pk=downloader.pk).update(back_off_until=None, setbacks=0, failures=0)
    dispatch.nudge_dispatch()
    dispatch.nudge_delivery()


def busy_with(downloader: Downloader) -> JobQuerySet:
    """The jobs that the downloader has and that are not over."""
    jobs = Job.objects.present().filter(downloader=downloader)
    return jobs.exclude(status__in=(S.COMPLETED, S.FAILED, S.CANCELLED))


@transaction.atomic
def forget(downloader: Downloader, *, force: bool = False) -> None:
    """Delete a downloader. With `force` also one that has downloads: these are handed to others, and it is not told.

    Raises NotRemovable for the built-in one, StillBusy for one that has downloads or is yet to be told something.
    """
    if downloader.is_builtin:
        raise NotRemovable("the built-in downloader cannot be deleted; disable it instead")
    busy = busy_with(downloader)
    count, untold = busy.count(), Errand.objects.filter(downloader=downloader).count()
    if (count or untold) and not force:
        raise StillBusy(
            f"«{downloader}» has {count} downloads that are not over and is yet to be told {untold} things; "
            "wait, or delete it with force: then its downloads are handed to others"
        )
    for job in busy.select_for_update().order_by("pk"):
        values: dict[str, Any] = {
            "downloader": None,
            "remote_id": "",
            "misses": 0,
            "polled_at": None,
        }
        if job.status in (S.DOWNLOADING, S.DOWNLOADER_ERROR):
            transitions.move(job.pk, S.QUEUED, reason=f"«{downloader}» was deleted", **values)
        else:
            Job.objects.filter(pk=job.pk).update(**values)
    downloader.delete()
    dispatch.nudge_dispatch()


def test(downloader: Downloader) -> tuple[bool, str]:
    """Ask it for a sign of life now; whether it gave one, and the words for it."""
    try:
        with contact(downloader) as adapter:
            return True, adapter.health()
    except DownloaderAway as error:
        return False, str(error)


def ensure_builtin() -> Downloader:
    """The row of AniBridge's own workers; made at the first start, later left as the owner wants it."""
    downloader, created = Downloader.objects.get_or_create(
        name=BUILTIN, defaults={"kind": DownloaderKind.BUILTIN, "priority": BUILTIN_PRIORITY}
    )
    if created:
        for download_type in DEFAULT_TYPES[DownloaderKind.BUILTIN]:
            downloader.capabilities.get_or_create(download_type=download_type.value)
    return downloader
