"""The single files of downloads that other programs run: what is in them, how much of each is there.

Asking about files is one request for each download, so it is done seldom: once as soon as the downloader knows what is
inside, at the end, every EVERY polls while it runs, and at every poll while somebody looks at them.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from anibridge.lib.text import without_controls
from downloads.downloaders.base import Adapter, Content, DownloaderAway, Report, State
from downloads.models import Downloader, Job, JobContents, JobStatus

logger = logging.getLogger(__name__)

EVERY = 5
"""Polls between two questions about a download that nobody looks at."""
MOST_ASKED = 50
"""Questions about files in one page of a poll; the others' turn is the next one."""
LOOKED_AT = timedelta(minutes=5)
"""So long after somebody has looked at the files it is taken that he still does."""
_AGAIN = timedelta(minutes=1)
_IN_ONE_STEP = 500
MAX_NAME = 1000
MAX_BYTES = 2**62
_BEGUN = frozenset({State.DOWNLOADING, State.CHECKING, State.QUEUED, State.PAUSED})


def learn(
    downloader: Downloader, adapter: Adapter, jobs: Sequence[Job], reports: Mapping[str, Report]
) -> None:
    """Write down what a poll has brought about files, and ask about those whose turn it is. Where that is not answered
    it was not so important."""
    now = timezone.now()
    rows = JobContents.objects.filter(job__in=jobs, downloader=downloader).defer("files")
    known = {row.job_id: row for row in rows}
    turns: list[tuple[datetime, Job]] = []
    for job in jobs:
        report, row = reports.get(job.remote_id), known.get(job.pk)
        if report is None:
            continue
        if row is not None and row.remote_id != job.remote_id:
            row = None
        if report.contents:
            _write(downloader, job, report.contents)
        elif report.size and report.state in _BEGUN and _is_turn(row, report, now):
            turns.append((row.asked_at if row else job.created_at, job))
    try:
        for _, job in sorted(turns, key=lambda one: one[0])[:MOST_ASKED]:
            if contents := adapter.contents(job.remote_id):
                _write(downloader, job, contents)
    except DownloaderAway as error:
        logger.info("%s says nothing about files: %s", downloader.name, error)


def _is_turn(row: JobContents | None, report: Report, now: datetime) -> bool:
    if row is None:
        return True
    if report.state is not State.DOWNLOADING:  # nothing comes
        return False
    if row.shown_at is not None and row.shown_at >= now - LOOKED_AT:
        return True
    return row.asked_at <= now - EVERY * timedelta(seconds=settings.DOWNLOAD_POLL_INTERVAL)


def _write(downloader: Downloader, job: Job, contents: Sequence[Content]) -> None:
    files = [
        [
            without_controls(one.name)[:MAX_NAME],
            min(one.size, MAX_BYTES),
            one.progress,
            one.priority,
        ]
        for one in contents
    ]
    values = {
        "downloader": downloader,
        "remote_id": job.remote_id,
        "files": files,
        "asked_at": timezone.now(),
    }
    # The job may have been deleted for good since it was asked about.
    if Job.objects.filter(pk=job.pk).exists():
        JobContents.objects.update_or_create(job_id=job.pk, defaults=values)


def shown(job_id: int) -> list[Content] | None:
    """The files of a download, for somebody who looks at them; None where its downloader has not said, or no longer has
    it."""
    return shown_of([job_id]).get(job_id)


def shown_of(job_ids: Sequence[int]) -> dict[int, list[Content]]:
    """The same of several downloads, by their ids; without those of which nothing is known.

    Nobody looks at the files of more than MOST_ASKED at once: a list of that length changes nothing about how often
    they are asked for.
    """
    found: dict[int, list[Content]] = {}
    for start in range(0, len(job_ids), _IN_ONE_STEP):
        rows = JobContents.objects.filter(
            job__in=job_ids[start : start + _IN_ONE_STEP],
            downloader=F("job__downloader"),
            remote_id=F("job__remote_id"),
        )
        found |= {
            job_id: [Content(*one) for one in files]
            for job_id, files in rows.values_list("job_id", "files")
        }
    if found and len(job_ids) <= MOST_ASKED:
        now = timezone.now()
        seldom = Q(shown_at=None) | Q(shown_at__lt=now - _AGAIN)
        over = Q(job__status__in=(JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED))
        rows = JobContents.objects.filter(seldom, ~over, job__in=found)
        if ids := list(rows.values_list("pk", flat=True)):  # reading mostly writes nothing
            JobContents.objects.filter(pk__in=ids).update(shown_at=now)
    return found
