"""What happens to a release: jobs, their files, and what changed and when."""

import time
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from downloads.detection import DownloadType
from downloads.models.downloaders import Downloader, DownloaderKind


class JobStatus(models.TextChoices):
    """Where a job stands. `downloads.transitions` is the only place that changes it."""

    QUEUED = "queued"
    DOWNLOADING = "downloading"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NO_DOWNLOADER = "no_downloader"
    DOWNLOADER_ERROR = "downloader_error"


class Layout(models.TextChoices):
    """How a job's files are named: like the grabbed release, or as Sonarr and Radarr name their library."""

    RELEASE = "release"
    LIBRARY = "library"


class Subfolder(models.TextChoices):
    """Whether what is called after the release lies in a folder of the same name: usually that is for seasons."""

    USUAL = "usual"
    ALWAYS = "always"
    NEVER = "never"


def next_place() -> int:
    """A place behind every job there is: the clock, in microseconds, so that nobody has to be asked for it."""
    return time.time_ns() // 1000


class JobQuerySet(models.QuerySet["Job"]):
    def present(self) -> Self:
        """Jobs that nobody has deleted."""
        return self.filter(removed_at=None)

    def local(self) -> Self:
        """Jobs that our own workers carry: the catalogue's, and links given to the built-in downloader.

        Only columns of the job and a subquery on another table: an UPDATE through it stays a compare-and-set.
        """
        builtin = Downloader.objects.filter(kind=DownloaderKind.BUILTIN).values("pk")
        return self.filter(Q(download_type=DownloadType.EPISODE) | Q(downloader__in=builtin))

    def elsewhere(self) -> Self:
        """Jobs that a downloader outside of AniBridge has been given."""
        builtin = Downloader.objects.filter(kind=DownloaderKind.BUILTIN).values("pk")
        return self.exclude(downloader=None).exclude(downloader__in=builtin)

    def dispatchable(self, now: datetime) -> Self:
        """Queued links that no downloader has been given yet, in the order of the queue."""
        waiting = self.present().filter(status=JobStatus.QUEUED, downloader=None)
        waiting = waiting.exclude(download_type=DownloadType.EPISODE)
        return waiting.filter(not_before__lte=now).in_order()

    def due(self, now: datetime) -> Self:
        """Queued jobs of our own workers whose pause is over and that do not wait for room on the disk, in the order
        of the queue."""
        return (
            self.present()
            .local()
            .filter(status=JobStatus.QUEUED, not_before__lte=now, space_needed=None)
            .in_order()
        )

    def in_order(self) -> Self:
        """As the queue goes: forced ones first, then by place."""
        return self.order_by("-forced", "queue_place", "pk")

    def to_tend(self) -> Self:
        """Jobs whose files are to be moved or looked at, and that no worker is fetching meanwhile."""
        waiting = self.present().filter(~Q(moving_to="") | Q(checking=True))
        return waiting.exclude(status=JobStatus.DOWNLOADING)

    def hold(self) -> list[int]:
        """Within a transaction: lock these rows; returns their ids.

        Everybody who changes many locks them in the order of ids first: so they wait for each other and never in a
        circle, as they would with the order in which an UPDATE comes across them.
        """
        return list(self.order_by("pk").select_for_update().values_list("pk", flat=True))

    def stale(self, since: datetime) -> Self:
        """Running jobs whose worker has gone silent."""
        return self.filter(status=JobStatus.DOWNLOADING, heartbeat_at__lt=since)


class Job(models.Model):
    """One release being fetched, from the moment a client asked for it until somebody deletes it."""

    infohash = models.CharField(max_length=40, db_index=True)
    name = models.CharField(max_length=255, help_text="The release name that was grabbed.")
    download_type = models.CharField(
        max_length=20,
        choices=[(one.value, one.value) for one in DownloadType],
        default=DownloadType.EPISODE.value,
    )
    url = models.TextField(
        blank=True, default="", help_text="The link; empty for the catalogue's own releases."
    )
    status = models.CharField(
        max_length=20, choices=JobStatus.choices, default=JobStatus.QUEUED, editable=False
    )
    source_site = models.CharField(
        max_length=40, help_text="Site id of the catalogue it is from; «link» for a pasted link."
    )
    slug = models.CharField(max_length=200, blank=True, default="")
    season = models.PositiveIntegerField(default=0)
    episode = models.PositiveIntegerField(null=True, blank=True)
    language = models.CharField(max_length=40, blank=True, default="")
    provider = models.CharField(max_length=60, blank=True, default="")
    magnet_metadata = models.JSONField(default=dict, blank=True)
    category = models.CharField(max_length=200, blank=True, default="")
    save_path = models.CharField(max_length=1000)
    layout = models.CharField(max_length=10, choices=Layout.choices, default=Layout.RELEASE)
    naming = models.JSONField(
        default=dict,
        blank=True,
        help_text="Layout «library»: `root`, `kind` (movie or episode), `title`, and `year`, `episode_title`.",
    )
    queue_place = models.BigIntegerField(
        default=next_place, editable=False, help_text="Order of the queue, lower first."
    )
    forced = models.BooleanField(default=False, help_text="Start although all slots are taken.")
    rate_limit = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes a second.")
    rate_share = models.PositiveBigIntegerField(
        null=True, editable=False, help_text="What it may take of the common limit right now."
    )
    space_needed = models.PositiveBigIntegerField(
        null=True, editable=False, help_text="Waits until this many bytes are free."
    )
    limit_note = models.CharField(
        max_length=300,
        blank=True,
        default="",
        editable=False,
        help_text="Why its rate limit is not kept by the downloader that has it.",
    )
    checksum = models.CharField(
        max_length=140, blank=True, default="", help_text="`sha256:…`, `sha1:…` or `md5:…`."
    )
    subfolder = models.CharField(
        max_length=10,
        choices=Subfolder.choices,
        default=Subfolder.USUAL,
        help_text="A folder of its own, in the layout «release».",
    )
    result_path = models.CharField(max_length=1000, blank=True, default="")
    moving_to = models.CharField(
        max_length=1000,
        blank=True,
        default="",
        editable=False,
        help_text="The save path that its files are being brought to.",
    )
    checking = models.BooleanField(
        default=False, editable=False, help_text="Its files are being looked at."
    )
    tending_tries = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How often its move or check was begun."
    )
    host = models.CharField(
        max_length=255, blank=True, default="", help_text="Where it comes from."
    )
    progress = models.FloatField(default=0.0, editable=False)
    downloaded_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    total_bytes = models.PositiveBigIntegerField(null=True, editable=False)
    speed = models.PositiveBigIntegerField(default=0, editable=False, help_text="Bytes a second.")
    eta = models.PositiveIntegerField(null=True, editable=False, help_text="Seconds.")
    error_message = models.TextField(blank=True, default="", editable=False)
    downloader = models.ForeignKey(
        Downloader,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="jobs",
        help_text="Who has it; empty until it is dispatched.",
    )
    remote_id = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_index=True,
        editable=False,
        help_text="The downloader's own id of it, for a torrent its hash.",
    )
    refusals = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Downloader → why it did not take this; it is not asked again.",
    )
    dispatches = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How often a downloader has taken it."
    )
    misses = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Times in a row that its downloader did not know it."
    )
    polled_at = models.DateTimeField(
        null=True, editable=False, help_text="When its downloader last said how it goes."
    )
    attempts = models.PositiveIntegerField(
        default=0, editable=False, help_text="Claims so far; the fencing token of the running one."
    )
    deaths = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Workers that fell silent while they ran it."
    )
    deferrals = models.PositiveSmallIntegerField(
        default=0,
        editable=False,
        help_text="How often it was put off since its site did not answer.",
    )
    retry_count = models.PositiveSmallIntegerField(default=0, editable=False)
    owner = models.CharField(max_length=100, blank=True, default="", editable=False)
    heartbeat_at = models.DateTimeField(null=True, editable=False)
    active_at = models.DateTimeField(null=True, editable=False, help_text="When bytes last came.")
    not_before = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(
        null=True, editable=False, help_text="When it was begun, or taken up again, last."
    )
    active_seconds = models.PositiveBigIntegerField(
        default=0, editable=False, help_text="How long it was being fetched before."
    )
    completed_at = models.DateTimeField(null=True, editable=False)
    removed_at = models.DateTimeField(null=True, editable=False)
    delete_files = models.BooleanField(default=False, editable=False)
    clear_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="It was deleted with its files, and these are still to go; until then somebody is at it.",
    )

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["infohash"],
                condition=Q(removed_at=None),
                name="job_one_present_per_infohash",
            ),
            models.CheckConstraint(
                condition=Q(progress__range=(0, 1)), name="job_progress_is_a_fraction"
            ),
            models.CheckConstraint(
                condition=Q(status__in=JobStatus.values), name="job_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(layout__in=Layout.values), name="job_layout_is_known"
            ),
            models.CheckConstraint(
                condition=Q(subfolder__in=Subfolder.values), name="job_subfolder_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "not_before"], name="job_due"),
            models.Index(fields=["queue_place"], name="job_by_place"),
            # Few at any time, and the sweeper looks for them every some seconds.
            models.Index(
                fields=["id"], condition=~Q(moving_to="") | Q(checking=True), name="job_to_tend"
            ),
            models.Index(
                fields=["clear_at"], condition=Q(clear_at__isnull=False), name="job_to_clear"
            ),
            models.Index(fields=["category"], condition=Q(removed_at=None), name="job_by_category"),
            models.Index(
                fields=["-created_at", "-id"], condition=Q(removed_at=None), name="job_newest"
            ),
            # Not written with progress, so the listeners' look for changes stays cheap on both sides.
            models.Index(fields=["updated_at"], name="job_by_update"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_finished(self) -> bool:
        """Nothing more happens to it unless somebody asks."""
        return self.status in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}


class JobTorrent(models.Model):
    """The .torrent file of a job, as it was uploaded or fetched from the job's link. `v1` is its infohash; a hybrid
    torrent also has `v2`, under which qBittorrent lists it (cut to 40 digits)."""

    job = models.OneToOneField(
        Job, on_delete=models.CASCADE, primary_key=True, related_name="torrent"
    )
    content = models.BinaryField()
    v1 = models.CharField(max_length=40)
    v2 = models.CharField(max_length=64, blank=True, default="")

    def __str__(self) -> str:
        return self.v1


class JobContents(models.Model):
    """What a job's downloader says about each file of it: one row, since a torrent may have ten thousand.

    It counts only while that downloader has the job by that name.
    """

    job = models.OneToOneField(
        Job, on_delete=models.CASCADE, primary_key=True, related_name="contents"
    )
    downloader = models.ForeignKey(Downloader, on_delete=models.CASCADE, related_name="+")
    remote_id = models.CharField(max_length=200)
    files = models.JSONField(
        default=list,
        help_text="[name below the save path, bytes, progress 0..1, priority], in order.",
    )
    asked_at = models.DateTimeField(help_text="When the downloader said so.")
    shown_at = models.DateTimeField(null=True, help_text="When somebody last looked at them.")

    def __str__(self) -> str:
        return f"{len(self.files)} files"


class JobFile(models.Model):
    """One file of a job: an episode of a pack, or the only one. `path` is absolute, empty until it exists."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="files")
    season = models.PositiveIntegerField()
    episode = models.PositiveIntegerField(null=True, blank=True)
    path = models.CharField(max_length=1000, blank=True, default="")
    moved_as = models.CharField(
        max_length=1000,
        blank=True,
        default="",
        editable=False,
        help_text="Its name below the save path, while the job's files are on their way to another one.",
    )
    size_bytes = models.PositiveBigIntegerField(default=0)
    duration_seconds = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["season", "episode", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "season", "episode"], name="jobfile_one_per_episode"
            )
        ]

    def __str__(self) -> str:
        return self.path


class JobEvent(models.Model):
    """One change of a job's status, with the reason in words and the site it came from."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    old = models.CharField(max_length=20, blank=True, default="")
    new = models.CharField(max_length=20)
    reason = models.TextField(blank=True, default="")
    source_site = models.CharField(max_length=40)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.old or 'new'} → {self.new}"
