"""The files of torrents: `torrents/files`, `includeFiles`, and where a file stands that is on its way."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from downloads import files, inside, torrents
from downloads.downloaders.base import Content
from downloads.engines import targets
from downloads.models import Job, JobFile, JobTorrent, Subfolder
from qbshim import rows, serializers, states
from qbshim.rows import Row

MOST_FILES: Final = 10_000
TORRENTS_AT_ONCE: Final = 20
"""They may be large."""
USUAL_SUFFIX: Final = ".mp4"
"""Of a file that is not here yet; the host that gives it decides."""


def of(row: Row) -> list[dict[str, Any]]:
    """The answer of `torrents/files`."""
    return of_many([row])[row.pk]


def of_many(found: Sequence[Row]) -> dict[int, list[dict[str, Any]]]:
    """The same of each of these, by the id of its job; however many they are, at the cost of few queries."""
    ids = [row.pk for row in found]
    told, own = inside.shown_of(ids), _own_files(ids)
    answers = {}
    for row in found:
        if row.pk in told:  # what the downloader that has the torrent says of each file
            answers[row.pk] = _items(row, told[row.pk])
        else:
            answers[row.pk] = listed(row, own.get(row.pk, ()))
    _put_torrents([row for row in found if row.pk not in told and row.pk not in own], answers)
    return answers


def _own_files(ids: Sequence[int]) -> dict[int, list[JobFile]]:
    files = defaultdict(list)
    for part in _parts(ids, rows.AT_ONCE):
        for file in JobFile.objects.filter(job__in=part):
            files[file.job_id].append(file)
    return files


def _put_torrents(found: Sequence[Row], answers: dict[int, list[dict[str, Any]]]) -> None:
    """Of those of which nobody has said more: what is in their .torrent file, where there is one."""
    ids: list[int] = []
    for part in _parts([row.pk for row in found], rows.AT_ONCE):
        ids += JobTorrent.objects.filter(job__in=part).values_list("pk", flat=True)
    by_id = {row.pk: row for row in found}
    for part in _parts(ids, TORRENTS_AT_ONCE):
        contents = JobTorrent.objects.filter(pk__in=part).values_list("pk", "content")
        for job_id, content in contents:
            answers[job_id] = _items(by_id[job_id], _of_torrent(by_id[job_id], bytes(content)))


def _parts(ids: Sequence[int], step: int) -> Iterator[Sequence[int]]:
    return (ids[start : start + step] for start in range(0, len(ids), step))


def _of_torrent(row: Row, content: bytes) -> Sequence[Content]:
    """What a .torrent says. How far each file is only its downloader knows: all of them are as far as the whole, and none
    is there before all of it is."""
    here = row.progress if states.is_done(row) and row.result_path else min(row.progress, 0.999)
    names = _laid_out(row, torrents.contents(content))
    return [Content(name, size, here) for name, size in names]


def _items(row: Row, contents: Sequence[Content]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "availability": int(file.progress > 0),
            "index": index,
            "name": file.name,
            "piece_range": [0, 0],
            "priority": _priority(row, index, file.priority),
            "progress": file.progress,
            "size": file.size,
        }
        for index, file in enumerate(contents[:MOST_FILES])
    ]
    if found:  # qBittorrent says it once
        found[0]["is_seed"] = states.is_done(row)
    return found


def _laid_out(row: Row, inside: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    """With or without a folder around the files, as a client wanted it and its downloader is told."""
    has_folder = any("/" in name for name, _ in inside)
    if row.subfolder == Subfolder.NEVER and has_folder:
        return [(name.partition("/")[2] or name, size) for name, size in inside]
    if row.subfolder == Subfolder.ALWAYS and not has_folder:
        return [(f"{Path(name).stem}/{name}", size) for name, size in inside]
    return inside


def _priority(row: Row, index: int, usual: int = serializers.NORMAL) -> int:
    """All of them are fetched; how much a client wants one is only given back."""
    priorities = (row.kept or {}).get("file_priorities", {})
    return int(priorities.get(str(index), usual))


def listed(row: Row, known: Sequence[JobFile]) -> list[dict[str, Any]]:
    """The files that are in place, and those that will be as far as they are known; of a season one for each episode.

    Before anything has come there is none, as for a magnet without metadata.
    """
    if not known and not row.is_pack and row.downloaded_bytes and not states.is_done(row):
        known = [JobFile(season=row.season, episode=row.episode)]
    fractions = _fractions(row, known)
    share = serializers.size_of(row) // max(len(known), 1)
    own = next((Path(file.path).parent.name for file in known if file.path), "")
    found = []
    for index, file in enumerate(known):
        item: dict[str, Any] = {
            "availability": int(fractions[index] > 0),
            "index": index,
            "name": _name(row, file, own),
            "piece_range": [0, 0],
            "priority": _priority(row, index),
            "progress": fractions[index],
            "size": file.size_bytes or share,
        }
        if index == 0:  # qBittorrent says it once
            item["is_seed"] = states.is_done(row)
        found.append(item)
    return found


def _fractions(row: Row, known: Sequence[JobFile]) -> list[float]:
    """How much of each file is here. A season's episodes are fetched in turn, and each counts the same in its progress."""
    here: list[float] = [int(bool(file.path)) for file in known]
    whole = row.progress * len(known)
    waiting = [index for index, share in enumerate(here) if not share]
    running = row.status in states.STATUSES[states.DOWNLOADING] or row.downloaded_bytes
    if waiting and running and not states.is_done(row):
        now = next((index for index in waiting if index >= int(whole)), waiting[0])
        here[now] = min(max(whole - int(whole), 0.0), 0.999)
    return here


def _name(row: Row, file: JobFile, own: str) -> str:
    """Below the save path; in place already, or to be, then in the folder `own` where some of it is in place."""
    if file.path:
        path = Path(file.path)
        if path.is_relative_to(row.save_path):
            return path.relative_to(row.save_path).as_posix()
        return f"{path.parent.name}/{path.name}" if row.has_folder else path.name
    name = files.safe_part(row.name)
    folder = f"{own or name}/" if row.has_folder else ""
    if row.is_pack and file.episode is not None:
        name = targets.of_episode(name, file.season, file.episode)
    return f"{folder}{name}{USUAL_SUFFIX}"


def torrent_file(row: Row) -> bytes | None:
    """The .torrent that a client gave us; None for everything that never was one."""
    job = Job.objects.filter(pk=row.pk).select_related("torrent").first()
    torrent = getattr(job, "torrent", None)
    return bytes(torrent.content) if torrent is not None else None
