"""The tables of `downloads`, by subject."""

from downloads.models.downloaders import (
    Downloader,
    DownloaderCapability,
    DownloaderKind,
    Errand,
    ErrandAction,
)
from downloads.models.heartbeats import Heartbeat
from downloads.models.jobs import (
    Job,
    JobContents,
    JobEvent,
    JobFile,
    JobQuerySet,
    JobStatus,
    JobTorrent,
    Layout,
    Subfolder,
)
from downloads.models.limits import SpeedLimits
from downloads.models.links import (
    Feed,
    FilterRule,
    Link,
    LinkMode,
    LinkState,
    RuleKind,
    RuleScope,
)

__all__ = [
    "Downloader",
    "DownloaderCapability",
    "DownloaderKind",
    "Errand",
    "ErrandAction",
    "Feed",
    "FilterRule",
    "Heartbeat",
    "Job",
    "JobContents",
    "JobEvent",
    "JobFile",
    "JobQuerySet",
    "JobStatus",
    "JobTorrent",
    "Layout",
    "Link",
    "LinkMode",
    "LinkState",
    "RuleKind",
    "RuleScope",
    "SpeedLimits",
    "Subfolder",
]
