"""One run of one job: what every engine and every delivery works with.

The worker owns the job only while its fencing token holds. Each second it writes progress and a heartbeat; when that
finds the claim gone, JobLost ends whatever is going on, sockets included.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from anibridge.lib import media
from anibridge.lib.watch import Throttle
from downloads import files, finishing, limits, space, transitions
from downloads.engines import targets
from downloads.errors import JobLost, NameTaken, OutsideRoot, WrongFile
from downloads.models import Job, JobFile, JobStatus

BEAT_SECONDS = 1.0
LONGEST_ETA = 8_640_000
"""Seconds; qBittorrent's «unknown». A trickle would overflow the column."""
SPEED_OVER = 3.0
"""Seconds that a speed is the average of."""
SILENT_FOR = 5.0
"""Seconds of work without a step in between, after which a thread of its own keeps the job alive."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file in place, as the job remembers it."""

    episode: int | None
    path: Path
    size_bytes: int
    duration_seconds: float | None = None


@dataclass(slots=True)
class Outcome:
    """What a run has come to: the files of the job, also those of earlier runs, and what could not be had."""

    files: list[Fetched] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    name: str = ""
    """A better name for the job, where only the server knew what the file is called."""


class Run:
    """Progress, speed, room and names for one claim of one job."""

    def __init__(self, job: Job, token: int) -> None:
        self.job, self.token = job, token
        self.parts, self.part = 1, 0
        self.throttle = Throttle()
        self.fetched_bytes = 0
        """Of the parts that are done."""
        self.came = 0
        """Bytes that came in this run."""
        self._best = job.progress
        self._done: int | None = None
        self._total: int | None = None
        self._written = float("-inf")
        self._writing = threading.Lock()
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def check(self) -> None:
        """Called at every step of a transfer; raises JobLost when the claim is gone, DiskFull when there is no room."""
        if time.monotonic() - self._written >= BEAT_SECONDS:
            self.write()

    def progress(self, done: int, total: int | None) -> None:
        """The part under way has so many bytes of so many; its fraction counts toward the whole job."""
        if 0 < settings.DOWNLOAD_MAX_BYTES < done:
            raise WrongFile(
                f"it is larger than {settings.DOWNLOAD_MAX_BYTES} bytes, the most that is taken"
            )
        share = min(done / total, 1.0) if total else 0.0
        # Another host starts from zero, but a client must never see progress go back.
        self._best = max(self._best, min((self.part + share) / self.parts, 0.999))
        self._done, self._total = done, total
        self.check()

    def write(self, **fields: object) -> None:
        """Write now. Raises JobLost when the job was paused, cancelled, deleted or taken over; DiskFull."""
        with self._writing:
            self._write(fields)

    def _write(self, fields: dict[str, object]) -> None:
        self._written = time.monotonic()
        self.throttle.rate = limits.share_of(self.job.pk)
        values = {**self._state(), **fields, "rate_share": self.throttle.rate}
        if not transitions.beat(self.job.pk, self.token, **values):
            raise JobLost(f"job {self.job.pk} is no longer ours")
        space.require_reserve(self.rest, files.partial_folder(self.job.pk))

    @property
    def rest(self) -> int:
        """Bytes that are still to come of the part under way, as far as that is known."""
        return max((self._total or 0) - (self._done or 0), 0)

    def _state(self) -> dict[str, object]:
        speed = self._speed()
        values: dict[str, object] = {"progress": self._best, "speed": speed}
        if self._done is None:
            return values
        values["downloaded_bytes"] = self.fetched_bytes + self._done
        if self.throttle.count > self.came:
            self.came = self.throttle.count
            values["active_at"] = timezone.now()
        if self._total:
            left = max(self._total - self._done, 0)
            values["eta"] = min(left // speed, LONGEST_ETA) if speed else None
            if self.parts == 1:
                values["total_bytes"] = self._total
        return values

    def _speed(self) -> int:
        now = time.monotonic()
        self._samples.append((now, self.throttle.count))
        while len(self._samples) > 2 and self._samples[1][0] <= now - SPEED_OVER:
            self._samples.popleft()
        since, count = self._samples[0]
        return int((self.throttle.count - count) / (now - since)) if now - since > 0.2 else 0

    def from_host(self, host: str) -> None:
        """Fetch from this host from now on. Raises SlotTaken when too many do so already."""
        limits.take_host(self.job.pk, self.token, host)
        self._done = self._total = None
        self.write(speed=0, eta=None)

    def require_room(self, size: int) -> None:
        """Raises DiskFull when so many more bytes do not fit beside what other downloads are going to write."""
        folder = files.partial_folder(self.job.pk)
        space.require(size + space.promised(self.job.pk), folder)
        final = targets.folder_of(self.job)
        if space.disk_of(final) != space.disk_of(folder):
            space.require(size, final)

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """For work that takes no steps (flushing, decoding): after a while a thread sends the heartbeats."""
        over, lost = threading.Event(), []

        def beat() -> None:
            wait = SILENT_FOR
            try:
                while not over.wait(wait):
                    self.check()
                    wait = BEAT_SECONDS
            except Exception as error:  # noqa: BLE001 - raised by whoever waits
                lost.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=beat, name="keep-alive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if lost:
            raise lost[0]

    def plan(self, episodes: Sequence[int]) -> None:
        """Write down which files a season is going to have, so that they can be shown before they are there."""
        if self.job.episode is not None:
            return
        self.job.files.filter(path="").exclude(episode__in=episodes).delete()
        rows = [JobFile(job=self.job, season=self.job.season, episode=one) for one in episodes]
        JobFile.objects.bulk_create(rows, ignore_conflicts=True)

    def finished(self, episode: int | None) -> Fetched | None:
        """The file of this episode that an earlier run has put in place, if it is still there as it was."""
        row = self.job.files.filter(episode=episode).first()
        if row is None or not row.path:
            return None
        path = Path(row.path)
        try:
            files.root_of(path.parent)
            there = path.is_file() and path.stat().st_size == row.size_bytes
        except (OSError, OutsideRoot):
            there = False
        if not there:
            return None
        return Fetched(episode, path, row.size_bytes, row.duration_seconds)

    def verified(
        self, path: Path, *, min_seconds: float, expected_seconds: float | None = None
    ) -> media.MediaFacts:
        """`media.verify_video`, kept alive meanwhile."""
        with self.kept_alive():
            return media.verify_video(
                path, min_seconds=min_seconds, expected_seconds=expected_seconds
            )

    def place(
        self,
        partial: Path,
        *,
        episode: int | None,
        suffix: str,
        duration: float | None = None,
        rename: Callable[[Job], str] = lambda job: job.name,
    ) -> Fetched:
        """Give a finished file its final name, which is written down before: a worker that dies in between leaves
        nothing that nobody knows of. Raises JobLost, DiskFull and OSError."""
        # Somebody may have moved or renamed it meanwhile.
        self.job.refresh_from_db(fields=["name", "save_path", "layout", "naming", "subfolder"])
        self.job.name = rename(self.job)
        own = {file.path for file in self.job.files.filter(episode=episode)}
        size = partial.stat().st_size
        self.write(speed=0, eta=None)
        for final in targets.names(self.job, episode, suffix):
            if str(final) not in own and targets.is_taken(self.job, final):
                continue
            fetched = Fetched(episode, final, size, duration)
            if not self._note_file(fetched):
                return self.place(
                    partial, episode=episode, suffix=suffix, duration=duration, rename=rename
                )
            try:
                with self.kept_alive():
                    finishing.finish(partial, final, replace=str(final) in own)
            except NameTaken:
                continue
            self._still_wanted(fetched)
            return fetched
        raise NameTaken(f"there is no free name for «{self.job.name}»")

    def _note_file(self, fetched: Fetched) -> bool:
        """False when somebody has given the job another folder in this very moment."""
        with transaction.atomic():
            job = Job.objects.select_for_update().filter(pk=self.job.pk).first()
            ours = job is not None and job.attempts == self.token and job.removed_at is None
            if job is None or not ours or job.status != JobStatus.DOWNLOADING:
                raise JobLost(f"job {self.job.pk} is no longer ours")
            if job.save_path != self.job.save_path:
                return False
            JobFile.objects.update_or_create(
                job=job,
                season=job.season,
                episode=fetched.episode,
                defaults={
                    "path": str(fetched.path),
                    "moved_as": "",
                    "size_bytes": fetched.size_bytes,
                    "duration_seconds": fetched.duration_seconds,
                },
            )
        return True

    def _still_wanted(self, fetched: Fetched) -> None:
        """Cancelled or deleted in the very last moment: then the file that was just placed goes again."""
        try:
            self.write()
        except JobLost:
            drop_unwanted(self.job.pk, [fetched])
            raise


def drop_unwanted(job_id: int, fetched: list[Fetched]) -> None:
    """Delete files that were put in place for a job that is cancelled or deleted by now."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None or job.removed_at is not None or job.status == JobStatus.CANCELLED:
        for item in fetched:
            files.delete(item.path)
