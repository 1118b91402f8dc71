"""Tags: a row of each that clients know, and on each torrent the list of those that it carries."""

import logging
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from django.db import transaction

from downloads.models import Job, JobQuerySet
from qbshim.models import ClientTask, Tag

logger = logging.getLogger(__name__)

MAX_LENGTH = 100
MAX_TAGS = 5000
"""In the whole installation: every client is told all of them. Further ones are left out."""
_AT_ONCE = 500


def names() -> list[str]:
    """Every tag that clients know, sorted; also one that no torrent carries."""
    return list(Tag.objects.order_by("name").values_list("name", flat=True))


def clean(tags: Iterable[str]) -> list[str]:
    """Trimmed, each once, none that is empty or endless; a comma divides them and is part of none."""
    trimmed = (tag.strip() for tag in tags)
    return list(
        dict.fromkeys(tag for tag in trimmed if 0 < len(tag) <= MAX_LENGTH and _is_plain(tag))
    )


def _is_plain(tag: str) -> bool:
    return "," not in tag and not any(unicodedata.category(char) in {"Cc", "Cs"} for char in tag)


def create(tags: Iterable[str]) -> list[str]:
    """Have these tags known; returns those that are now."""
    wanted = clean(tags)
    known = set(Tag.objects.filter(pk__in=wanted[:MAX_TAGS]).values_list("pk", flat=True))
    room = max(MAX_TAGS - Tag.objects.count(), 0)
    new = [tag for tag in wanted if tag not in known]
    if len(new) > room:
        logger.warning("%s tags are left out: there are %s already", len(new) - room, MAX_TAGS)
    Tag.objects.bulk_create([Tag(name=tag) for tag in new[:room]], ignore_conflicts=True)
    kept = known | set(new[:room])
    return [tag for tag in wanted if tag in kept]


@transaction.atomic
def delete(tags: Iterable[str]) -> None:
    """Forget tags, and take them from every torrent."""
    gone = set(clean(tags)).intersection(names())
    if not gone:
        return
    carriers = ClientTask.objects.exclude(tags=[]).select_for_update()
    for task in carriers:
        left = [tag for tag in task.tags if tag not in gone]
        if left != task.tags:
            task.tags = left
            task.save(update_fields=["tags"])
    Tag.objects.filter(pk__in=gone).delete()


def add(jobs: JobQuerySet, hashes: Sequence[str] | None, tags: Iterable[str]) -> None:
    """Give the named jobs (all for None) further tags."""
    new = create(tags) if hashes is None or hashes else []
    _retag(jobs, hashes, lambda old: sorted({*old, *new}))


def remove(jobs: JobQuerySet, hashes: Sequence[str] | None, tags: Sequence[str]) -> None:
    """Take tags from the named jobs; all of them when none are named. They stay known."""
    gone = {tag.strip() for tag in tags}
    _retag(jobs, hashes, lambda old: [tag for tag in old if gone and tag not in gone])


def replace(jobs: JobQuerySet, hashes: Sequence[str] | None, tags: Iterable[str]) -> None:
    """Give the named jobs these tags and no others."""
    new = create(tags)
    _retag(jobs, hashes, lambda old: sorted(new))


def _retag(
    jobs: JobQuerySet,
    hashes: Sequence[str] | None,
    change: Callable[[Sequence[str]], list[str]],
) -> None:
    parts = [None] if hashes is None else [hashes[n : n + _AT_ONCE] for n in range(0, len(hashes), _AT_ONCE)]  # fmt: skip
    for part in parts:
        for job in jobs if part is None else jobs.filter(infohash__in=part):
            known = getattr(job, "client_task", None)
            old = known.tags if known else []
            if change(old) != old:
                _write(job, change)


@transaction.atomic
def _write(job: Job, change: Callable[[Sequence[str]], list[str]]) -> None:
    task, _ = ClientTask.objects.get_or_create(
        job=job, defaults={"hash": job.infohash, "name": job.name, "added_on": job.created_at}
    )
    task = ClientTask.objects.select_for_update().get(pk=task.pk)
    task.tags = change(task.tags)
    task.save(update_fields=["tags"])
