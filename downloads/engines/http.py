"""Plain links: one file over HTTP, gone on with, checked for being what it claims to be, then renamed.

A link that leads to an HLS or DASH manifest is fetched part by part, as yt-dlp does it behind the guard.
"""

import hashlib
import re
from pathlib import Path

from django.conf import settings

from anibridge.lib import http, media, sniff, transfer, ytdlp
from anibridge.lib.disposition import name_of_address
from anibridge.lib.outbound import host_of
from downloads import files, finishing, orders
from downloads.engines.base import Fetched, Outcome, Run
from downloads.errors import WrongFile
from downloads.models import Job

SHORTEST_SECONDS = 1.0
TEXT_EXTENSIONS = frozenset(
    "srt ass ssa vtt sub idx smi nfo txt md csv log xml json html htm xhtml m3u m3u8 nzb cue".split()  # noqa: SIM905
)
"""Names under which a text is what was asked for."""
LONGEST_SUFFIX = 8
_CHECKSUM = re.compile(r"(sha256|sha1|md5)[:=]([0-9a-f]+)", re.IGNORECASE)
_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}


class _Manifest(Exception):
    """The link leads to a list of parts and not to the file itself."""


def fetch(run: Run) -> Outcome:
    """Fetch the job's link. Raises Busy, and other errors of `anibridge.lib.outbound`, WrongFile, DiskFull, JobLost."""
    job = run.job
    digest = _expected_digest(job.checksum)
    done = run.finished(job.episode)
    if done is not None:
        return Outcome([done])
    run.require_room(max((job.total_bytes or 0) - job.downloaded_bytes, 0))
    # Whether the host may be asked by one more was seen to when the job was claimed.
    run.write(speed=0, host=host_of(job.url)[:255])
    before = job.name
    try:
        fetched = _fetch_file(run, digest)
    except _Manifest:
        fetched = _fetch_stream(run)
    return Outcome([fetched], name=job.name if job.name != before else "")


def _fetch_file(run: Run, digest: tuple[str, str] | None) -> Fetched:
    job = run.job
    partial = files.partial_folder(job.pk) / "file.part"

    def accept(head: transfer.Head, start: bytes) -> None:
        _refuse_what_is_no_file(job, head, start)
        here = partial.stat().st_size if partial.exists() else 0
        run.require_room(max((head.total or 0) - here, 0))

    with http.session() as session:
        arrived = transfer.fetch_file(
            job.url,
            partial,
            session=session,
            throttle=run.throttle,
            on_progress=run.progress,
            accept=accept,
            stall=settings.DOWNLOAD_STALL_SECONDS,
            retries=settings.DOWNLOAD_RETRIES,
            max_bytes=settings.DOWNLOAD_MAX_BYTES or None,
        )
    run.progress(arrived.size, arrived.size)
    try:
        _check_digest(run, partial, digest)
        suffix, duration = _checked(run, arrived)
    except (WrongFile, media.NotMedia):
        # The next attempt must not go on from these bytes.
        partial.unlink(missing_ok=True)
        transfer.notes_of(partial).unlink(missing_ok=True)
        raise
    return run.place(
        partial,
        episode=job.episode,
        suffix=suffix,
        duration=duration,
        rename=lambda job: better_name(job, arrived.head.name),
    )


def _fetch_stream(run: Run) -> Fetched:
    job = run.job
    folder = files.partial_folder(job.pk)
    path = ytdlp.download(
        job.url,
        folder=folder,
        name="stream",
        throttle=run.throttle,
        on_progress=lambda progress: run.progress(progress.downloaded, progress.total),
        ffmpeg=ytdlp.find_ffmpeg(),
        retries=settings.DOWNLOAD_RETRIES,
        stall=min(settings.DOWNLOAD_STALL_SECONDS, 20.0),
    )
    facts = run.verified(path, min_seconds=SHORTEST_SECONDS)
    return run.place(path, episode=job.episode, suffix=path.suffix.lower(), duration=facts.duration)


def _refuse_what_is_no_file(job: Job, head: transfer.Head, start: bytes) -> None:
    """An error page with status 200 never becomes a file: raises WrongContent by its first bytes."""
    if sniff.is_hls(start) or sniff.is_dash(start):
        raise _Manifest
    kind = sniff.text_kind(start, head.content_type)
    if kind is None and sniff.is_page_type(head.content_type):
        kind = "a web page"
    if kind is None or (kind != "a web page" and _is_text_name(job, head)):
        return
    raise transfer.WrongContent(f"{host_of(job.url)} sent {kind} instead of the file")


def _is_text_name(job: Job, head: transfer.Head) -> bool:
    return any(sniff.extension(name) in TEXT_EXTENSIONS for name in _names(job, head))


def _names(job: Job, head: transfer.Head) -> tuple[str, ...]:
    """What the file is called: by its server, by its address, by whoever wanted it."""
    return (head.name, name_of_address(job.url) or "", job.name)


def _checked(run: Run, arrived: transfer.Arrived) -> tuple[str, float | None]:
    """Suffix and length of what arrived. Raises NotMedia for a video that is none, WrongFile for nothing at all."""
    job, head = run.job, arrived.head
    if not arrived.size:
        raise WrongFile(f"{host_of(job.url)} sent an empty file")
    named = next((found for name in _names(job, head) if (found := _extension(name))), "")
    claims = any(
        sniff.claims_video(name=name, content_type=head.content_type) for name in _names(job, head)
    )
    if not claims and (named or not _is_media(arrived.path)):
        return (f".{named}" if named else ""), None
    facts = run.verified(arrived.path, min_seconds=SHORTEST_SECONDS)
    usual = named or sniff.extension_of_type(head.content_type)
    suffix = sniff.extension_of_container(facts.container, usual) or "mp4"
    return f".{suffix}", facts.duration


def _extension(name: str) -> str:
    """The extension of a name when it is one: the end of «Title.S01E01.1080p» is not."""
    found = sniff.extension(name)
    known = found in sniff.VIDEO_EXTENSIONS | TEXT_EXTENSIONS | OTHER_EXTENSIONS
    return found if known else ""


OTHER_EXTENSIONS = frozenset(
    "mp3 m4a aac flac ogg oga opus wav ac3 dts mka sup zip rar 7z tar gz bz2 xz iso bin torrent pdf epub jpg jpeg png webp gif".split()  # noqa: SIM905
)


def _is_media(path: Path) -> bool:
    try:
        return bool(media.inspect(path).video_streams)
    except media.NotMedia:
        return False


def better_name(job: Job, served: str) -> str:
    """The job's name; where it is only what its address says, the server's own name for the file."""
    name = job.name
    if served and name == orders.name_in(job.url):
        name = served
    suffix = _extension(name)
    return name[: -len(suffix) - 1] if suffix and len(name) > len(suffix) + 1 else name


def _expected_digest(checksum: str) -> tuple[str, str] | None:
    """Algorithm and hexadecimal digest. Raises WrongFile for a checksum that nobody can check."""
    if not checksum.strip():
        return None
    found = _CHECKSUM.fullmatch(checksum.strip())
    if found is None or len(found[2]) != _DIGITS[found[1].lower()]:
        raise WrongFile(
            "the checksum must look like sha256:…, sha1:… or md5:…, in hexadecimal digits"
        )
    return found[1].lower(), found[2].lower()


def _check_digest(run: Run, path: Path, expected: tuple[str, str] | None) -> None:
    if expected is None:
        return
    algorithm, wanted = expected
    found = finishing.hashed(path, hashlib.new(algorithm, usedforsecurity=False))
    if found != wanted:
        raise WrongFile(
            f"the {algorithm} of what {host_of(run.job.url)} sent is {found[:16]}… and not {wanted[:16]}…"
        )
