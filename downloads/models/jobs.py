"""What happens to a release: jobs, their files, and what changed and when."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone


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


class JobQuerySet(models.QuerySet["Job"]):
    def present(self) -> Self:
        """Jobs that nobody has deleted."""
        return self.filter(removed_at=None)

    def due(self, now: datetime) -> Self:
        """Queued jobs whose pause is over, oldest first."""
        return self.present().filter(status=JobStatus.QUEUED, not_before__lte=now).order_by("pk")

    def stale(self, since: datetime) -> Self:
        """Running jobs whose worker has gone silent."""
        return self.filter(status=JobStatus.DOWNLOADING, heartbeat_at__lt=since)


class Job(models.Model):
    """One release being fetched, from the moment a client asked for it until somebody deletes it."""

    infohash = models.CharField(max_length=40, db_index=True)
    name = models.CharField(max_length=255, help_text="The release name that was grabbed.")
    download_type = models.CharField(max_length=20, default="episode")
    status = models.CharField(
        max_length=20, choices=JobStatus.choices, default=JobStatus.QUEUED, editable=False
    )
    source_site = models.CharField(max_length=40, help_text="Site id of the catalogue it is from.")
    slug = models.CharField(max_length=200)
    season = models.PositiveIntegerField()
    episode = models.PositiveIntegerField(null=True, blank=True)
    language = models.CharField(max_length=40)
    provider = models.CharField(max_length=60, blank=True, default="")
    magnet_metadata = models.JSONField(default=dict, blank=True)
    category = models.CharField(max_length=200, blank=True, default="")
    save_path = models.CharField(max_length=1000)
    result_path = models.CharField(max_length=1000, blank=True, default="")
    host = models.CharField(max_length=60, blank=True, default="", help_text="Where it comes from.")
    progress = models.FloatField(default=0.0, editable=False)
    downloaded_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    total_bytes = models.PositiveBigIntegerField(null=True, editable=False)
    speed = models.PositiveBigIntegerField(default=0, editable=False, help_text="Bytes a second.")
    eta = models.PositiveIntegerField(null=True, editable=False, help_text="Seconds.")
    error_message = models.TextField(blank=True, default="", editable=False)
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
    started_at = models.DateTimeField(null=True, editable=False)
    completed_at = models.DateTimeField(null=True, editable=False)
    removed_at = models.DateTimeField(null=True, editable=False)
    delete_files = models.BooleanField(default=False, editable=False)

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
        ]
        indexes = [
            models.Index(fields=["status", "not_before"], name="job_due"),
            models.Index(fields=["category"], condition=Q(removed_at=None), name="job_by_category"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_finished(self) -> bool:
        """Nothing more happens to it unless somebody asks."""
        return self.status in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}


class JobFile(models.Model):
    """One file of a job: an episode of a pack, or the only one. `path` is absolute, empty until it exists."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="files")
    season = models.PositiveIntegerField()
    episode = models.PositiveIntegerField(null=True, blank=True)
    path = models.CharField(max_length=1000, blank=True, default="")
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
