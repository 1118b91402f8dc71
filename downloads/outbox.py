"""The outbox: what downloaders are to be told, committed before it is said.

A SUBMIT errand is the intent to give a job to a downloader. It stays until it is known whether the downloader has
the job. Whoever carries an errand leases it; a crash lets the lease run out, and the next one asks the downloader
for the hash before anything is sent again (`downloads.dispatching`). The others are repeated until the downloader has
heard them (`downloads.delivery`): CANCEL drops what is unfinished with its data, DELETE forgets a download and says
whether its files go, LIMIT brings the job's rate limit as it then is.
"""

import logging
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from downloads import dispatch, transitions
from downloads.models import Downloader, Errand, ErrandAction, Job, JobContents, JobStatus

logger = logging.getLogger(__name__)
A, S = ErrandAction, JobStatus

LEASE = timedelta(minutes=3)
"""Longer than a batch can take: its request, a second login, and the question what became of it."""
PATIENCE = (0.0, 10.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds until an errand is tried again, by how often it failed."""


def is_elsewhere(job: Job) -> bool:
    """Whether a downloader outside of AniBridge has the job."""
    return bool(elsewhere([job]))


def elsewhere(jobs: Iterable[Job]) -> list[Job]:
    """Those of the jobs that a downloader outside of AniBridge has; one query, or none."""
    given = [job for job in jobs if job.downloader_id is not None]
    if not given:
        return []
    known = Downloader.objects.remote().filter(pk__in={job.downloader_id for job in given})
    remote = set(known.values_list("pk", flat=True))
    return [job for job in given if job.downloader_id in remote]


def tell(job: Job, action: ErrandAction, *, delete_files: bool = False) -> None:
    """Have the job's downloader told, within the transaction that changed the job.

    Nothing for a job of our own workers, or one that no downloader has: while it is being handed over, whoever does
    that sees what has become of the job.
    """
    tell_many([job], action, delete_files=delete_files)


def tell_many(jobs: Iterable[Job], action: ErrandAction, *, delete_files: bool = False) -> None:
    """The same for many, in a handful of statements for each downloader."""
    _post(
        Word(job.downloader_id, job.remote_id, action, job.pk, delete_files)
        for job in elsewhere(job for job in jobs if job.remote_id)
        if job.downloader_id is not None
    )


@dataclass(frozen=True, slots=True)
class Word:
    """What one downloader is to be told about one of its downloads."""

    downloader_id: int
    remote_id: str
    action: ErrandAction
    job_id: int | None = None
    delete_files: bool = False

    @property
    def download(self) -> tuple[int, str]:
        return self.downloader_id, self.remote_id


def post(
    downloader_id: int,
    remote_id: str,
    action: ErrandAction,
    *,
    job_id: int | None = None,
    delete_files: bool = False,
) -> None:
    """Put one errand into the outbox. It takes the place of what was not said yet and no longer matters.

    Nothing is said where another job is the same torrent there: a link and a magnet may lead to one.
    """
    _post([Word(downloader_id, remote_id, action, job_id, delete_files)])


def _post(words: Iterable[Word]) -> None:
    # Two of the jobs may be one download there: then the last word counts, as if they were said in turn.
    last = {word.download: word for word in words}
    by_downloader = defaultdict[int, list[Word]](list)
    for word in last.values():
        by_downloader[word.downloader_id].append(word)
    for downloader_id, its in by_downloader.items():
        shared = _shared(downloader_id, its)
        said = [word for word in its if word.remote_id not in shared]
        for job_id in [word.job_id for word in its if word.remote_id in shared]:
            logger.info("job %s: another download is the same torrent; it is left alone", job_id)
        _drop_older(downloader_id, said)
        Errand.objects.bulk_create(
            Errand(
                downloader_id=word.downloader_id,
                job_id=word.job_id,
                remote_id=word.remote_id,
                action=word.action,
                delete_files=word.delete_files,
            )
            for word in said
        )
        if said:
            dispatch.nudge_delivery()


_REPLACED: Mapping[str, Sequence[ErrandAction]] = {
    A.PAUSE: (A.PAUSE, A.RESUME),
    A.RESUME: (A.PAUSE, A.RESUME),
    A.LIMIT: (A.LIMIT,),
}
"""What a new errand makes pointless if it was not said yet; for the ones that are not here, everything."""


def _drop_older(downloader_id: int, words: Sequence[Word]) -> None:
    ids = defaultdict[Sequence[ErrandAction], list[str]](list)
    for word in words:
        ids[_REPLACED.get(word.action, ())].append(word.remote_id)
    for actions, remote_ids in ids.items():
        older = Errand.objects.controls().filter(downloader=downloader_id, leased_until=None)
        older = older.filter(remote_id__in=remote_ids)
        (older.filter(action__in=actions) if actions else older).delete()


def _shared(downloader_id: int, words: Sequence[Word]) -> set[str]:
    """Which of these downloads are another job's as well, or are just being handed over for one."""
    about = {word.remote_id: word.job_id for word in words}
    here = {"downloader": downloader_id, "remote_id__in": list(about)}
    jobs = Job.objects.present().filter(**here).exclude(status__in=(S.CANCELLED, S.FAILED))
    submits = Errand.objects.submits().filter(**here, job__removed_at=None)
    pairs = [*jobs.values_list("remote_id", "pk"), *submits.values_list("remote_id", "job")]
    return {remote_id for remote_id, job_id in pairs if job_id != about[remote_id]}


@transaction.atomic
def intend(jobs: Iterable[Job], downloader: Downloader, ids: dict[int, str]) -> list[Errand]:
    """Claim queued jobs for a downloader and write down that they are about to be sent; the claimed ones only.

    `ids` gives the hash by which a job will be known there, where that can be known before. One UPDATE decides for
    each job, so of two dispatchers at once one gets it.
    """
    token, now = secrets.token_hex(16), timezone.now()
    errands = []
    for job in jobs:
        won = (
            Job.objects.present()
            .filter(pk=job.pk, status=S.QUEUED, downloader=None)
            .update(downloader=downloader, remote_id="", updated_at=now)
        )
        if not won:
            continue
        try:
            with transaction.atomic():
                errands.append(
                    Errand.objects.create(
                        downloader=downloader,
                        job=job,
                        action=A.SUBMIT,
                        remote_id=ids.get(job.pk, ""),
                        token=token,
                        leased_until=now + LEASE,
                    )
                )
        except IntegrityError:  # an earlier hand-over of it is not resolved yet
            Job.objects.filter(pk=job.pk, downloader=downloader).update(downloader=None)
    return errands


def lease(errand: Errand) -> bool:
    """Take an errand that nobody carries; False when somebody was faster."""
    token, now = secrets.token_hex(16), timezone.now()
    won = (
        Errand.objects.due(now)
        .filter(pk=errand.pk, token=errand.token)
        .update(token=token, leased_until=now + LEASE, attempts=F("attempts") + 1)
    )
    if won:
        errand.token, errand.leased_until = token, now + LEASE
        errand.attempts += 1
    return bool(won)


def done(errand: Errand) -> bool:
    """The errand is over; False when it was no longer ours."""
    return bool(Errand.objects.filter(pk=errand.pk, token=errand.token).delete()[0])


def put_back(errand: Errand, reason: str, *, heard: bool = True) -> None:
    """It could not be carried out; later again. What was not `heard` goes as soon as the downloader is there."""
    wait = PATIENCE[min(max(errand.attempts, 1), len(PATIENCE) - 1)] if heard else 0.0
    Errand.objects.filter(pk=errand.pk, token=errand.token).update(
        leased_until=None,
        attempts=errand.attempts if heard else max(errand.attempts - 1, 0),
        last_error=reason,
        not_before=timezone.now() + timedelta(seconds=wait),
    )
    if errand.action == A.SUBMIT:
        text = f"{errand.downloader}: {reason}; asked again in {wait:.0f} s"
        waiting = Job.objects.filter(pk=errand.job_id or 0, status=S.QUEUED)
        waiting.filter(downloader=errand.downloader_id).update(error_message=text)


@transaction.atomic
def accepted(errand: Errand, remote_id: str, *, sent_limit: int | None = None) -> bool:
    """The downloader has the job, as `remote_id`. False when the job wanted it no longer; then it drops it again.

    `sent_limit` is the rate limit that the job had when it was sent.
    """
    if not done(errand):
        _drop_stray(errand, remote_id)
        return False
    job = Job.objects.select_for_update().filter(pk=errand.job_id or 0).first()
    wanted = job is not None and job.removed_at is None and job.status in (S.QUEUED, S.PAUSED)
    if job is None or not wanted or job.downloader_id not in (None, errand.downloader_id):
        post(errand.downloader_id, remote_id, A.CANCEL, job_id=errand.job_id)
        return False
    Job.objects.filter(pk=job.pk).update(
        downloader=errand.downloader_id,
        remote_id=remote_id,
        dispatches=F("dispatches") + 1,
        misses=0,
        error_message="",
        limit_note="",
        polled_at=None,
    )
    JobContents.objects.filter(job=job).delete()  # what was said of an earlier download
    job.downloader_id, job.remote_id = errand.downloader_id, remote_id
    # Not everybody takes a limit with the link, one that was there already has its own, and ours may be another by now.
    if job.rate_limit is not None or sent_limit is not None:
        tell(job, A.LIMIT)
    if job.status == S.PAUSED:
        tell(job, A.PAUSE)
        return True
    now = timezone.now()
    reason = f"{errand.downloader} took it"
    transitions.move(job.pk, S.DOWNLOADING, reason=reason, started_at=now, active_at=now)
    return True


def _drop_stray(errand: Errand, remote_id: str) -> None:
    """We were so slow that somebody else took the errand over. Unless the download is wanted there, it goes again."""
    here = {"downloader": errand.downloader_id, "job": errand.job_id}
    if not Errand.objects.submits().filter(**here).exists():
        post(errand.downloader_id, remote_id, A.CANCEL)


@transaction.atomic
def released(errand: Errand, *, refusal: str = "") -> bool:
    """The downloader does not have the job: it goes back to dispatch. With a `refusal` this one is not asked again."""
    if not done(errand):
        return False
    job = Job.objects.select_for_update().filter(pk=errand.job_id or 0).first()
    if job is None or job.downloader_id not in (None, errand.downloader_id):
        return False
    fields: dict[str, object] = {"downloader": None, "remote_id": ""}
    if refusal:
        fields["refusals"] = {**job.refusals, errand.downloader.name: refusal}
    Job.objects.filter(pk=job.pk).update(**fields)
    return True


@transaction.atomic
def abandoned(errand: Errand) -> bool:
    """It cannot be found out whether the downloader has the job, and others can take it: should it turn up there,
    it is cancelled. Only with a hash by which it can be named."""
    if not errand.remote_id or not released(errand):
        return False
    post(errand.downloader_id, errand.remote_id, A.CANCEL)
    return True
