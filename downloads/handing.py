"""Handing jobs over to one downloader, and finding out what became of a hand-over whose end is not known."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from django.utils import timezone

from downloads import contacts, outbox, torrents
from downloads.contacts import opened
from downloads.detection import DownloadType, detect
from downloads.downloaders.base import (
    MAX_BATCH,
    Adapter,
    Answer,
    BatchRefused,
    DownloaderAway,
    Item,
    NoAnswer,
    NotReached,
    State,
)
from downloads.errors import UnsupportedLink
from downloads.models import Downloader, Errand, Job, JobTorrent
from downloads.placing import remote_folder

logger = logging.getLogger(__name__)

GIVE_UP_ASKING = 3
"""Failed questions after which a download whose end is not known goes to somebody else. Should it turn up after all,
it is cancelled there."""
MAX_RESOLVED = 500


@dataclass(slots=True)
class Outcome:
    """The jobs that a downloader has now, and those that it surely does not have. What is in neither is not known."""

    taken: list[int] = field(default_factory=list)
    left: list[Job] = field(default_factory=list)


def hand_over(downloader: Downloader, jobs: Sequence[Job]) -> Outcome:
    """Claim these jobs for a downloader and send them. A job that somebody else was faster with is in neither list."""
    outcome = Outcome()
    ids = {job.pk: hashes_of(job) for job in jobs}
    first = {pk: found[0] for pk, found in ids.items() if found}
    errands = outbox.intend(jobs, downloader, first)
    by_id = {job.pk: job for job in jobs}
    pairs = [(errand, by_id[errand.job_id]) for errand in errands if errand.job_id in by_id]
    if pairs:
        _send(downloader, pairs, ids, outcome)
    return outcome


def _send(
    downloader: Downloader,
    pairs: Sequence[tuple[Errand, Job]],
    ids: Mapping[int, tuple[str, ...]],
    outcome: Outcome,
) -> None:
    items = [_item(downloader, job, ids[job.pk]) for _, job in pairs]
    try:
        answers = _conversation(downloader, items)
    except BatchRefused as error:
        _find_the_bad_one(downloader, pairs, str(error), outcome)
        return
    for (errand, job), item in zip(pairs, items, strict=True):
        _note(errand, job, answers.get(item.key), outcome)


def _note(errand: Errand, job: Job, answer: Answer | None, outcome: Outcome) -> None:
    if answer is None:
        outbox.put_back(errand, "it gave no answer to this link")
    elif answer.remote_id:
        if outbox.accepted(errand, answer.remote_id, sent_limit=job.rate_limit):
            outcome.taken.append(job.pk)
    elif outbox.released(errand, refusal=answer.refusal):
        if answer.refusal:
            job.refusals = {**job.refusals, errand.downloader.name: answer.refusal}
        outcome.left.append(job)


def _conversation(downloader: Downloader, items: Sequence[Item]) -> dict[str, Answer]:
    """What became of each item, by its key: taken, refused, or surely not there (an empty answer). What is left out
    is not known. Raises BatchRefused; everything else is written down as the downloader's health."""
    trouble: DownloaderAway | None = None
    answers: dict[str, Answer] = {}
    try:
        with opened(downloader) as adapter:
            try:
                answers.update(adapter.submit(items))
            except NoAnswer as error:
                trouble = error
            silent = [item for item in items if item.key not in answers and item.ids]
            answers |= _asked(adapter, silent, refused=trouble is None)
    except BatchRefused:
        raise
    except NotReached as error:
        contacts.note_setback(downloader, error)
        return {item.key: Answer() for item in items}
    except DownloaderAway as error:
        trouble = trouble or error
    if trouble is None:
        contacts.note_success(downloader)
    else:
        contacts.note_setback(downloader, trouble)
    return answers


def _asked(adapter: Adapter, silent: Sequence[Item], *, refused: bool) -> dict[str, Answer]:
    """A link without a result is neither lost nor refused: the downloader is asked whether it has it.

    Where the request itself went well, not having it is the downloader's answer to the link.
    """
    if not silent:
        return {}
    try:
        reports = adapter.status([one for item in silent for one in item.ids])
    except DownloaderAway as error:
        raise NoAnswer(str(error)) from error  # what was sent before may have been heard
    text = "it said nothing to this link, and does not have it" if refused else ""
    return {item.key: _found(item.ids, reports) or Answer(refusal=text) for item in silent}


def _found(ids: Sequence[str], reports: Mapping[str, object]) -> Answer | None:
    for one in ids:
        if getattr(reports.get(one), "state", State.NOT_FOUND) is not State.NOT_FOUND:
            return Answer(remote_id=one)
    return None


def _find_the_bad_one(
    downloader: Downloader, pairs: Sequence[tuple[Errand, Job]], text: str, outcome: Outcome
) -> None:
    """A service refused a whole batch: halves find the item that it minds."""
    if len(pairs) == 1:
        errand, job = pairs[0]
        contacts.note_success(downloader, forgive=False)
        _note(errand, job, Answer(refusal=text), outcome)
        return
    for errand, _ in pairs:
        outbox.released(errand)
    jobs = [job for _, job in pairs]
    for part in (jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]):
        found = hand_over(downloader, part)
        outcome.taken += found.taken
        outcome.left += found.left


def hashes_of(job: Job) -> tuple[str, ...]:
    """The hashes under which a downloader may list a job, as far as they are known before it has it."""
    if job.download_type == DownloadType.MAGNET:
        try:
            magnet = detect(job.url).magnet
        except UnsupportedLink:
            magnet = None
        return (magnet.infohash,) if magnet is not None else ()
    torrent = JobTorrent.objects.filter(job=job).only("v1", "v2").first()
    if torrent is None:
        return ()
    return (torrent.v1, torrent.v2[:40]) if torrent.v2 else (torrent.v1,)


def _item(downloader: Downloader, job: Job, ids: tuple[str, ...]) -> Item:
    torrent = JobTorrent.objects.filter(job=job).first()
    content = bytes(torrent.content) if torrent is not None else b""
    return Item(
        key=job.infohash,
        url=job.url or (_magnet_of(content) if content else ""),
        save_path=remote_folder(downloader, job.save_path),
        category=job.category,
        ids=ids,
        torrent=content,
        subfolder=job.subfolder,
        rate_limit=job.rate_limit,
    )


def _magnet_of(content: bytes) -> str:
    """An uploaded .torrent file as a link, for services that take only those; empty for a private torrent, whose
    peers do not tell anybody else what is in it."""
    torrent = torrents.read(content)
    if torrent.is_private:
        return ""
    trackers = "".join(f"&tr={quote(url, safe='')}" for url in torrent.trackers)
    return f"magnet:?xt=urn:btih:{torrent.v1}&dn={quote(torrent.name, safe='')}{trackers}"


def resolve() -> int:
    """Find out about hand-overs that nobody has seen the end of: after a crash, or when a downloader fell silent in
    the middle. Returns how many are settled."""
    due = Errand.objects.submits().due(timezone.now()).select_related("downloader", "job")
    by_downloader: dict[int, list[Errand]] = {}
    for errand in due[:MAX_RESOLVED]:
        by_downloader.setdefault(errand.downloader_id, []).append(errand)
    settled = 0
    for errands in by_downloader.values():
        for start in range(0, len(errands), MAX_BATCH):
            ours = [one for one in errands[start : start + MAX_BATCH] if outbox.lease(one)]
            if not ours:
                continue
            try:
                settled += _resolve(ours[0].downloader, ours)
            except Exception:  # what is wrong with one must not keep the others waiting
                logger.exception("a bug: nothing is known about %s", ours)
    return settled


def _resolve(downloader: Downloader, errands: Sequence[Errand]) -> int:
    named = [one for one in errands if one.remote_id]
    nameless = [one for one in errands if not one.remote_id]
    outcome = Outcome()
    settled = 0
    ids = {one.pk: _ids_of(one) for one in named}
    try:
        with contacts.contact(downloader) as adapter:
            reports = adapter.status([each for found in ids.values() for each in found])
            for errand in named:
                answer = _found(ids[errand.pk], reports)
                settled += 1
                if answer is not None:
                    outbox.accepted(errand, answer.remote_id)
                else:
                    outbox.released(errand)
    except DownloaderAway as error:
        for errand in errands:
            given_up = errand.attempts >= GIVE_UP_ASKING and _somebody_else_can(errand)
            if not (given_up and outbox.abandoned(errand)):
                outbox.put_back(errand, str(error))
        return settled
    # Without a hash the same link is given to the same downloader again: it answers as it did the first time.
    again = [(one, one.job) for one in nameless if one.job is not None]
    if again:
        pairs = [(errand, job) for errand, job in again if job is not None]
        _send(downloader, pairs, {job.pk: () for _, job in pairs}, outcome)
    for errand in nameless:
        if errand.job is None:
            outbox.done(errand)
    return settled + len(outcome.taken) + len(outcome.left)


def _somebody_else_can(errand: Errand) -> bool:
    if errand.job is None:
        return False
    now, refused = timezone.now(), errand.job.refusals
    others = Downloader.objects.capable(errand.job.download_type).exclude(pk=errand.downloader_id)
    return any(not one.is_backing_off(now) and one.name not in refused for one in others)


def _ids_of(errand: Errand) -> tuple[str, ...]:
    found = hashes_of(errand.job) if errand.job is not None else ()
    return tuple(dict.fromkeys((errand.remote_id, *found)))
