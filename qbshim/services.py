"""What clients ask for: adding releases, and commands for one job, for several or for all.

A command for many jobs leaves out the ones it does not fit, and knows nothing of hashes that are not there: clients
repeat themselves and come late.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from catalogue import releases
from catalogue.errors import InvalidMagnet
from catalogue.models import AvailabilityRecord, Site
from downloads import services as downloads
from downloads.errors import IllegalTransition, UnknownJob
from downloads.models import Job, JobQuerySet, JobStatus
from qbshim import categories
from qbshim.errors import Conflict, ParameterInvalid, Refused
from qbshim.models import ClientTask

logger = logging.getLogger(__name__)
S = JobStatus

MAX_TAG = 100
_AT_ONCE = 500
"""Hashes in one query: databases limit the parameters of a statement."""
# A third of the time that a long list takes.
_NOT_SHOWN = (
    "attempts", "client_task__hash", "deaths", "delete_files", "download_type", "heartbeat_at", "host", "language",
    "magnet_metadata", "not_before", "owner", "provider", "removed_at", "retry_count", "slug", "source_site",
)  # fmt: skip
_STOPPABLE = (S.QUEUED, S.DOWNLOADING, S.DOWNLOADER_ERROR)
_STARTABLE = (S.FAILED, S.CANCELLED, S.NO_DOWNLOADER, S.DOWNLOADER_ERROR)


@dataclass(frozen=True, slots=True)
class AddOptions:
    """What a client says beside the links. `save_path` None: the category's folder."""

    category: str = ""
    save_path: Path | None = None
    paused: bool = False
    rename: str = ""
    tags: Sequence[str] = ()


def add(urls: Iterable[str], options: AddOptions) -> list[Job]:
    """Take every link that is a magnet of ours; raises Refused when there is none.

    Nothing is looked up here: whether it can be had shows later, since a refusal would make Sonarr think that the
    whole client is down.
    """
    taken, refusals = [], []
    for url in urls:
        try:
            taken.append(add_magnet(url, options))
        except Refused as error:
            refusals.append(str(error))
    if not taken:
        raise Refused("; ".join(refusals[:5]) or "no links were given")
    if refusals:
        logger.info("not added: %s", "; ".join(refusals[:5]))
    return taken


def add_magnet(url: str, options: AddOptions) -> Job:
    """Queue the release of one magnet. Raises Refused for what can never be fetched here.

    A release that is there already is left alone, except that one without a category takes the asked one. One that
    failed, was cancelled or lost its file starts over, as the new request wants it.
    """
    magnet, identity = _ours(url)
    with transaction.atomic():
        category = categories.known_or_created(options.category)
        before = Job.objects.present().filter(infohash=magnet.infohash).first()
        job, created = downloads.enqueue(
            downloads.Order(
                infohash=magnet.infohash,
                name=magnet.file_name,
                identity=identity,
                category=category,
                save_path=options.save_path or categories.folder_of(category),
                provider=magnet.provider or "",
                paused=options.paused,
                size_bytes=_probed_size(identity),
            )
        )
        if created:
            name = options.rename.strip() or magnet.name or magnet.infohash
            _remember(job, name=name, magnet=url, tags=clean_tags(options.tags))
        elif before is not None:
            _take_again(before, job, category, options)
    return job


def _ours(url: str) -> tuple[releases.Magnet, releases.Identity]:
    try:
        magnet = releases.parse_magnet(url)
    except InvalidMagnet as error:
        raise Refused(str(error)) from error
    if magnet.identity is None:
        raise Refused(f"the magnet {magnet.infohash} is a torrent, not a release of this catalogue")
    if not Site.objects.filter(pk=magnet.identity.site).exists():
        raise Refused(f"there is no site «{magnet.identity.site}»")
    return magnet, magnet.identity


def _take_again(before: Job, job: Job, category: str, options: AddOptions) -> None:
    """What a repeated add changes: nothing for a job that goes on, everything for one that starts over."""
    over = before.status in (S.FAILED, S.CANCELLED, S.COMPLETED) and job.status == S.QUEUED
    if over:
        folder = options.save_path or categories.folder_of(category)
        Job.objects.filter(pk=job.pk).update(category=category, save_path=str(folder))
        if options.paused:
            downloads.pause(job.pk)
    elif category and not before.category:
        categories.assign([job.pk], category)


def _probed_size(identity: releases.Identity) -> int | None:
    """The size that a probe has found, so that clients see one before the download begins."""
    return (
        AvailabilityRecord.objects.filter(
            site_id=identity.site,
            slug=identity.slug,
            season=identity.season,
            episode=identity.episode,
            language=identity.language,
        )
        .values_list("size_bytes", flat=True)
        .first()
    )


def _remember(job: Job, *, name: str, magnet: str = "", tags: Sequence[str] = ()) -> ClientTask:
    task, _ = ClientTask.objects.get_or_create(
        job=job,
        defaults={
            "hash": job.infohash,
            "name": name[:255],
            "magnet": magnet,
            "tags": list(tags),
            "added_on": job.created_at,
        },
    )
    return task


def find(infohash: str) -> Job:
    """The job that a client means by one hash, in any case. Raises UnknownJob."""
    job = listed().filter(infohash=infohash.strip().lower()).first()
    if job is None:
        raise UnknownJob("there is no such torrent")
    return job


def listed() -> JobQuerySet:
    """What clients see: every present job, also one that came another way, with what they said about it."""
    return Job.objects.present().select_related("client_task").defer(*_NOT_SHOWN)


def select(hashes: Sequence[str] | None, jobs: JobQuerySet | None = None) -> list[Job]:
    """The jobs with these hashes, all of them for None; unknown hashes are left out."""
    jobs = listed() if jobs is None else jobs
    if hashes is None:
        return list(jobs)
    return [
        job
        for start in range(0, len(hashes), _AT_ONCE)
        for job in jobs.filter(infohash__in=hashes[start : start + _AT_ONCE])
    ]


def stop(hashes: Sequence[str] | None) -> None:
    """Pause what waits or runs."""
    for job in select(hashes, listed().filter(status__in=_STOPPABLE)):
        _tolerantly(downloads.pause, job)


def start(hashes: Sequence[str] | None) -> None:
    """Let paused jobs go on. Named ones that were given up or cancelled are tried again; `all` leaves those alone,
    since tools that stop and start everything by the clock do not mean them."""
    for job in select(hashes, listed().filter(status=S.PAUSED)):
        _tolerantly(downloads.resume, job)
    if hashes is not None:
        for job in select(hashes, listed().filter(status__in=_STARTABLE)):
            _tolerantly(downloads.retry, job)


def delete(hashes: Sequence[str] | None, *, delete_files: bool) -> None:
    """Remove jobs from the list, with what they wrote if asked; unfinished files always go."""
    for job in select(hashes):
        try:
            downloads.remove(job.pk, delete_files=delete_files)
        except UnknownJob:
            continue


def set_category(hashes: Sequence[str] | None, name: str) -> None:
    """Put these jobs, and no others, into a category. Raises Conflict for an unknown one."""
    jobs = select(hashes)
    if jobs and not categories.exists(name):
        raise Conflict("Incorrect category name")
    for start in range(0, len(jobs), _AT_ONCE):
        categories.assign([job.pk for job in jobs[start : start + _AT_ONCE]], name)


def set_location(hashes: Sequence[str] | None, location: str) -> None:
    """Always raises for a job that is there: files are not moved here, and clients must not think they were."""
    if not location.strip():
        raise ParameterInvalid("Save path cannot be empty")
    if select(hashes):
        raise Conflict(
            "AniBridge does not move files; choose a category before the download starts"
        )


def rename(infohash: str, name: str) -> None:
    """Change the name that clients see; the file keeps the one that was grabbed. Raises UnknownJob, Conflict."""
    job = find(infohash)
    name = " ".join(name.split())
    if not name:
        raise Conflict("Incorrect torrent name")
    task = _remember(job, name=job.name)
    task.name = name[:255]
    task.save(update_fields=["name"])


def used_tags() -> list[str]:
    """Every tag that a listed job carries, sorted. A tag that no job carries is not kept."""
    rows = ClientTask.objects.filter(job__removed_at=None).exclude(tags=[]).order_by()
    return sorted({tag for tags in rows.values_list("tags", flat=True) for tag in tags})


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Trimmed, each once, none that is empty or endless."""
    trimmed = (tag.strip() for tag in tags)
    return list(dict.fromkeys(tag for tag in trimmed if 0 < len(tag) <= MAX_TAG))


def add_tags(hashes: Sequence[str] | None, tags: Iterable[str]) -> None:
    """Give these jobs further tags."""
    new = clean_tags(tags)
    _retag(hashes, lambda old: sorted({*old, *new}))


def remove_tags(hashes: Sequence[str] | None, tags: Sequence[str]) -> None:
    """Take tags from these jobs; all of them when none are named."""
    _retag(hashes, lambda old: [tag for tag in old if tags and tag not in tags])


def _retag(hashes: Sequence[str] | None, change: Callable[[list[str]], list[str]]) -> None:
    for job in select(hashes):
        known = getattr(job, "client_task", None)
        old = known.tags if known else []
        if change(old) == old:
            continue
        with transaction.atomic():
            task_id = _remember(job, name=job.name).pk
            task = ClientTask.objects.select_for_update().get(pk=task_id)
            task.tags = change(task.tags)
            task.save(update_fields=["tags"])


def _tolerantly(command: Callable[[int], Job], job: Job) -> None:
    try:
        command(job.pk)
    except (IllegalTransition, UnknownJob) as error:  # it went on in the meantime
        logger.info("job %s: %s", job.pk, error)
