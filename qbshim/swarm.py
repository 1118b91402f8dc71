"""Trackers, web seeds and priorities of files that a client has set. They are kept and given back, as a real server does
with those that it never reaches: AniBridge asks no tracker and no web seed, and fetches all files of a download.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from downloads.models import Job
from qbshim import commands, serializers, services
from qbshim.errors import Conflict

MOST: Final = 200
"""Trackers, and web seeds, of one torrent."""
LONGEST: Final = 2000

Kept = Mapping[str, Any]


def add_trackers(infohash: str, text: str) -> None:
    """One a line; an empty line begins the next tier. What is there already is left alone. Raises UnknownJob, Conflict."""
    job = services.find(infohash)
    tier, wanted = 0, list[tuple[str, int]]()
    for line in text.strip().split("\n"):
        url = line.strip()
        if url:
            wanted.append((_checked(url), tier))
        else:
            tier += 1

    def change(kept: Kept) -> Kept:
        trackers = _trackers(kept)
        there = {url for url, _ in trackers} | {_own(job)}
        trackers += [[url, tier] for url, tier in dict(wanted).items() if url not in there]
        return {**kept, "trackers": _bounded(trackers, "trackers")}

    commands.change_kept([job], change)


def edit_tracker(infohash: str, old: str, new: str) -> None:
    """Put another address in the place of one. Raises UnknownJob, and Conflict for one that is not there, for one that is
    there already, and for our own."""
    job = services.find(infohash)
    _checked(new)

    def change(kept: Kept) -> Kept:
        trackers = _trackers(kept)
        there = [url for url, _ in trackers]
        if new in (*there, _own(job)):
            raise Conflict("New tracker URL already exists")
        if old == _own(job):
            raise Conflict("the tracker stands for the download and cannot be changed")
        if old not in there:
            raise Conflict("Tracker not found")
        changed = [[new if url == old else url, tier] for url, tier in trackers]
        return {**kept, "trackers": changed}

    commands.change_kept([job], change)


def remove_trackers(infohash: str | None, urls: Iterable[str]) -> None:
    """Of trackers that are not there nothing is removed. None: from every torrent. Raises UnknownJob, and Conflict for our
    own, which stands for the download."""
    gone = set(urls)
    if infohash is None:
        jobs = [job for job in services.select(None) if _trackers(commands.kept_of(job))]
    else:
        jobs = [services.find(infohash)]
        if _own(jobs[0]) in gone:
            raise Conflict("the tracker stands for the download and cannot be taken away")

    def change(kept: Kept) -> Kept:
        return {**kept, "trackers": [one for one in _trackers(kept) if one[0] not in gone]}

    commands.change_kept(jobs, change)


def add_web_seeds(infohash: str, urls: Sequence[str]) -> None:
    """Raises UnknownJob, Conflict."""
    _change_web_seeds(
        infohash, lambda there: list(dict.fromkeys([*there, *(_checked(url) for url in urls)]))
    )


def edit_web_seed(infohash: str, old: str, new: str) -> None:
    """Put another address in the place of one. Raises UnknownJob, and Conflict for one that is not there."""

    def change(there: list[str]) -> list[str]:
        if old not in there:
            raise Conflict(f'"{old[:200]}" is not an existing URL')
        return list(dict.fromkeys(_checked(new) if url == old else url for url in there))

    _change_web_seeds(infohash, change)


def remove_web_seeds(infohash: str, urls: Iterable[str]) -> None:
    """Of those that are not there nothing is removed. Raises UnknownJob."""
    gone = set(urls)
    _change_web_seeds(infohash, lambda there: [url for url in there if url not in gone])


def set_priorities(infohash: str, files: Iterable[int], priority: int) -> None:
    """Remember how much a client wants these files, by their places in the list. Raises UnknownJob."""
    new = {str(index): priority for index in files}

    def change(kept: Kept) -> Kept:
        every = {**kept.get("file_priorities", {}), **new}
        usual = serializers.NORMAL
        return {**kept, "file_priorities": {n: p for n, p in every.items() if p != usual}}

    commands.change_kept([services.find(infohash)], change)


def _change_web_seeds(infohash: str, change: Callable[[list[str]], list[str]]) -> None:
    def changed(kept: Kept) -> Kept:
        seeds = change(list(kept.get("web_seeds", [])))
        return {**kept, "web_seeds": _bounded(seeds, "web seeds")}

    commands.change_kept([services.find(infohash)], changed)


def _trackers(kept: Kept) -> list[list[Any]]:
    """Address and tier of each."""
    return list(kept.get("trackers", []))


def _own(job: Job) -> str:
    return serializers.tracker_url(job.source_site, job.infohash)


def _checked(url: str) -> str:
    if len(url) > LONGEST or any(unicodedata.category(char) in {"Cc", "Cs"} for char in url):
        raise Conflict(f"an address has at most {LONGEST} characters, all of them printable")
    return url


def _bounded(urls: list[Any], what: str) -> list[Any]:
    if len(urls) > MOST:
        raise Conflict(f"a torrent cannot have more than {MOST} {what}")
    return urls
