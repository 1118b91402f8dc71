"""Who can fetch: the downloaders, what each takes, and what they are still to be told."""

from datetime import datetime
from typing import Self

from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from anibridge.lib import crypto
from downloads.detection import DownloadType

DEFAULT_PRIORITY = 50
CREDENTIALS = "downloader credentials"
"""What their encryption is for; a secret that was encrypted for something else cannot be put in its place."""


class DownloaderKind(models.TextChoices):
    """How a downloader is spoken to; `downloads.downloaders` has one module for each."""

    BUILTIN = "builtin", "built in"
    QBITTORRENT = "qbittorrent", "qBittorrent"
    REMOTE = "remote", "remote service"


class DownloaderQuerySet(models.QuerySet["Downloader"]):
    def capable(self, download_type: str) -> Self:
        """Those that may be given this type, the most preferred first."""
        return self.filter(enabled=True, capabilities__download_type=download_type).order_by(
            "-priority", "pk"
        )

    def remote(self) -> Self:
        """Those outside of AniBridge: they are told things and asked how it goes."""
        return self.exclude(kind=DownloaderKind.BUILTIN)


class Downloader(models.Model):
    """Something that can fetch. Disabled, it gets nothing new; what it has already is followed to its end."""

    name = models.CharField(max_length=100, unique=True, validators=[MinLengthValidator(1)])
    kind = models.CharField(max_length=20, choices=DownloaderKind.choices)
    base_url = models.CharField(
        max_length=500, blank=True, default="", help_text="http(s)://host:port of its API."
    )
    download_endpoint = models.CharField(
        max_length=200,
        default="/downloads",
        help_text="Below the base URL; only for remote services.",
    )
    priority = models.IntegerField(
        default=DEFAULT_PRIORITY, help_text="The higher is asked first; 50 is the usual."
    )
    enabled = models.BooleanField(default=True, help_text="Whether it gets new downloads.")
    username = models.CharField(max_length=200, blank=True, default="")
    credentials = models.TextField(blank=True, default="", editable=False)
    remote_path = models.CharField(
        max_length=500,
        blank=True,
        default="",
        help_text="The folder for downloads as this downloader calls it. Empty: the same as here.",
    )
    local_path = models.CharField(
        max_length=500,
        blank=True,
        default="",
        help_text="The same folder as AniBridge sees it. Empty: the download folder.",
    )
    failures = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Polls in a row that it did not answer."
    )
    setbacks = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How far its pauses have grown."
    )
    last_error = models.TextField(blank=True, default="", editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    last_seen_at = models.DateTimeField(
        null=True, editable=False, help_text="When it answered last."
    )
    back_off_until = models.DateTimeField(
        null=True, editable=False, help_text="It is not asked for anything new before."
    )
    polling_until = models.DateTimeField(
        null=True, editable=False, help_text="Somebody is polling it; others wait."
    )
    registered_at = models.DateTimeField(
        null=True, editable=False, help_text="When it last announced itself."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DownloaderQuerySet.as_manager()

    class Meta:
        ordering = ["-priority", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=DownloaderKind.values), name="downloader_kind_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_builtin(self) -> bool:
        return self.kind == DownloaderKind.BUILTIN

    @property
    def secret(self) -> str:
        """The password or key; encrypted at rest. Raises Misconfigured when the installation's key has changed."""
        return crypto.decrypt(self.credentials, purpose=CREDENTIALS) if self.credentials else ""

    @secret.setter
    def secret(self, text: str) -> None:
        self.credentials = crypto.encrypt(text, purpose=CREDENTIALS) if text else ""

    def is_backing_off(self, now: datetime) -> bool:
        """Whether it failed so recently that nothing new is sent to it."""
        return self.back_off_until is not None and self.back_off_until > now


class DownloaderCapability(models.Model):
    """A download type that a downloader takes."""

    downloader = models.ForeignKey(
        Downloader, on_delete=models.CASCADE, related_name="capabilities"
    )
    download_type = models.CharField(
        max_length=20, choices=[(one.value, one.value) for one in DownloadType]
    )

    class Meta:
        ordering = ["download_type"]
        constraints = [
            models.UniqueConstraint(
                fields=["downloader", "download_type"], name="downloadercapability_each_once"
            ),
            models.CheckConstraint(
                condition=Q(download_type__in=[one.value for one in DownloadType]),
                name="downloadercapability_type_is_known",
            ),
        ]

    def __str__(self) -> str:
        return self.download_type


class ErrandAction(models.TextChoices):
    """What a downloader can be told."""

    SUBMIT = "submit"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    DELETE = "delete"
    LIMIT = "limit"


class ErrandQuerySet(models.QuerySet["Errand"]):
    def due(self, now: datetime) -> Self:
        """Those that nobody is carrying and whose pause is over, oldest first."""
        free = Q(leased_until=None) | Q(leased_until__lte=now)
        return self.filter(free, not_before__lte=now).order_by("pk")

    def submits(self) -> Self:
        return self.filter(action=ErrandAction.SUBMIT)

    def controls(self) -> Self:
        """Everything but handing over a download."""
        return self.exclude(action=ErrandAction.SUBMIT)

    def unsettling(self) -> Self:
        """Those after which a download is not what it was: what its downloader says until then is old."""
        return self.exclude(action=ErrandAction.LIMIT)


class Errand(models.Model):
    """One thing that a downloader is to be told: the outbox.

    The row is committed before anything is said and goes when it is known that it arrived, so a crash in between
    leaves a row that says what may or may not have happened. `token` fences whoever carries it.
    """

    downloader = models.ForeignKey(Downloader, on_delete=models.CASCADE, related_name="errands")
    job = models.ForeignKey(
        "downloads.Job", on_delete=models.SET_NULL, null=True, related_name="errands"
    )
    action = models.CharField(max_length=10, choices=ErrandAction.choices)
    remote_id = models.CharField(
        max_length=200, blank=True, default="", help_text="The downloader's own id of the download."
    )
    delete_files = models.BooleanField(default=False)
    token = models.CharField(max_length=32, blank=True, default="")
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    last_error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    objects = ErrandQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["job"],
                condition=Q(action=ErrandAction.SUBMIT),
                name="errand_one_submit_per_job",
            ),
            models.CheckConstraint(
                condition=Q(action__in=ErrandAction.values), name="errand_action_is_known"
            ),
        ]
        indexes = [models.Index(fields=["downloader", "remote_id"], name="errand_by_remote_id")]

    def __str__(self) -> str:
        return f"{self.action} {self.remote_id} at {self.downloader_id}"
