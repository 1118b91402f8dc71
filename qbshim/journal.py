"""`log/main`: the events of jobs as the lines of a log."""

from collections.abc import Collection
from typing import Any, Final

from anibridge.lib.masking import masked_text
from downloads.models import JobEvent, JobStatus

S = JobStatus
KINDS: Final = {"normal": 1, "info": 2, "warning": 4, "critical": 8}
MOST_LINES: Final = 1000
"""The newest, as qBittorrent keeps only so many as well."""
_KIND_OF: Final[dict[str, int]] = {
    S.COMPLETED.value: KINDS["info"],
    S.DOWNLOADER_ERROR.value: KINDS["warning"],
    S.NO_DOWNLOADER.value: KINDS["warning"],
    S.FAILED.value: KINDS["critical"],
}


def lines(kinds: Collection[int], *, after: int = -1) -> list[dict[str, Any]]:
    """The lines of these kinds with a higher number than `after`, oldest first."""
    events = JobEvent.objects.filter(pk__gt=after) if after >= 0 else JobEvent.objects.all()
    newest = events.order_by("-pk").values_list("pk", "at", "old", "new", "reason", "job__name")
    found = []
    for pk, at, old, new, reason, name in reversed(newest[:MOST_LINES]):
        kind = _KIND_OF.get(new, KINDS["normal"])
        if kind in kinds:
            # A note about a job that goes on has the same status twice.
            change = f"{old or 'new'} → {new}" if old != new else new
            text = f"«{name}»: {change}" + (f" ({masked_text(reason)})" if reason else "")
            line = {"id": pk, "message": text, "timestamp": int(at.timestamp()), "type": kind}
            found.append(line)
    return found
