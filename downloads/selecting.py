"""Which downloads somebody means, and in which order: for lists, for commands to many, and for the command line."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q

from anibridge.lib.paging import Ordering
from downloads.models import Job, JobQuerySet
from downloads.shown import BUILTIN

SORTABLE: Final = {
    "id": "pk",
    "created_at": "created_at",
    "started_at": "started_at",
    "completed_at": "completed_at",
    "name": "name",
    "status": "status",
    "category": "category",
    "source_site": "source_site",
    "download_type": "download_type",
    "progress": "progress",
    "downloaded_bytes": "downloaded_bytes",
    "total_bytes": "total_bytes",
    "speed": "speed",
    "eta": "eta",
    "retry_count": "retry_count",
    "queue": "queue_place",
}
"""What a list may be sorted by → its column."""
NEWEST: Final = Ordering("created_at", descending=True)


@dataclass(frozen=True, slots=True)
class Selection:
    """What must be true of a download. Empty is «does not matter»; `category` "" is «without one»."""

    statuses: Collection[str] = ()
    category: str | None = None
    source_sites: Collection[str] = ()
    download_types: Collection[str] = ()
    downloader: str | None = None
    name: str = ""
    """Words that its name holds, in any order and case."""
    created_since: datetime | None = None
    created_until: datetime | None = None
    hashes: Collection[str] = ()
    ids: Collection[int] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing was asked for."""
        return self == Selection()

    def apply(self) -> JobQuerySet:
        """The downloads, in no particular order, each with its downloader."""
        jobs = Job.objects.present().select_related("downloader")
        for column, values in (
            ("status", self.statuses),
            ("source_site", self.source_sites),
            ("download_type", self.download_types),
            ("infohash", [one.lower() for one in self.hashes]),
            ("pk", self.ids),
        ):
            if values:
                jobs = jobs.filter(**{f"{column}__in": list(values)})
        if self.category is not None:
            jobs = jobs.filter(category=self.category)
        if self.downloader is not None:
            jobs = jobs.filter(_has(self.downloader))
        for word in self.name.split():
            jobs = jobs.filter(name__icontains=word)
        if self.created_since is not None:
            jobs = jobs.filter(created_at__gte=self.created_since)
        if self.created_until is not None:
            jobs = jobs.filter(created_at__lt=self.created_until)
        return jobs


def _has(name: str) -> Q:
    """Jobs that a downloader of this name has. Our own workers need none to fetch an episode."""
    if not name:
        return Q(downloader=None) & ~Q(download_type="episode")
    found = Q(downloader__name=name)
    return found | Q(downloader=None, download_type="episode") if name == BUILTIN else found


def ordering(text: str) -> Ordering | None:
    """The order that `name` or `-name` stands for; None for one that there is not."""
    column = SORTABLE.get(text.removeprefix("-"))
    return None if column is None else Ordering(column, descending=text.startswith("-"))
