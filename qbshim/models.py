"""What qBittorrent clients said about our jobs, and who of them is signed in. Survives restarts."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from downloads.models import Job


class ClientTask(models.Model):
    """What a qBittorrent client knows of a job: its torrent, under the hash the client added.

    Each of its tags is a row of Tag as well; `qbshim.tags` keeps the two in step.
    """

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="client_task")
    hash = models.CharField(max_length=40, db_index=True)
    name = models.CharField(
        max_length=255, blank=True, help_text="As clients see it; empty: as the job is called."
    )
    magnet = models.TextField()
    tags = models.JSONField(default=list, blank=True)
    auto_tmm = models.BooleanField(
        null=True,
        help_text="Its files follow the folder of its category; empty: if they lie there.",
    )
    kept = models.JSONField(
        default=dict,
        blank=True,
        help_text="What only an engine that shares could act on, as it was said: see `qbshim.services`.",
    )
    added_on = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-added_on"]

    def __str__(self) -> str:
        return self.name or self.hash


class Category(models.Model):
    """A category of a qBittorrent client. Names are case-sensitive."""

    name = models.CharField(max_length=200, primary_key=True)
    save_path = models.CharField(
        max_length=1000, blank=True, default="", help_text="Empty: a folder of the same name."
    )
    download_path = models.CharField(
        max_length=1000,
        blank=True,
        default="",
        help_text="Where a client wants unfinished files; kept and given back.",
    )
    use_download_path = models.BooleanField(
        null=True, help_text="Whether a client wants that; empty: it did not say."
    )

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A tag that clients know, whether a torrent carries it or not. Names are case-sensitive."""

    name = models.CharField(max_length=100, primary_key=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Preference(models.Model):
    """One of qBittorrent's preferences that somebody has set; what is not here has its default."""

    key = models.CharField(max_length=64, primary_key=True)
    value = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key


class ClientSession(models.Model):
    """A client that has signed in, or one that shows a key or a password with every request.

    The cookie itself is not kept, only its digest: who reads the table cannot use it.
    """

    key = models.CharField(max_length=64, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="Empty: whoever has the API key.",
    )
    auth_hash = models.CharField(
        max_length=64,
        blank=True,
        default="",
        editable=False,
        help_text="Changes with the password.",
    )
    address = models.CharField(max_length=64, blank=True, default="")
    agent = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    lifetime = models.PositiveIntegerField(
        default=0, editable=False, help_text="Seconds that each use prolongs it to; 0 is for ever."
    )
    last_rid = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-created_at"]
        permissions = [("use_download_client", "Can use AniBridge as a download client")]

    def __str__(self) -> str:
        return f"{self.user or 'API key'} from {self.address or 'somewhere'}"


class SyncPoint(models.Model):
    """What one answer of `sync/maindata` told a client, so that a later one can tell the difference.

    `mark` says which changes of the log (`qbshim.changes`) the answer held; `labels` and `state` are as they were sent.
    """

    session = models.ForeignKey(ClientSession, on_delete=models.CASCADE, related_name="points")
    rid = models.PositiveIntegerField()
    dialect = models.CharField(max_length=64, help_text="How it was told: see `qbshim.maindata`.")
    mark = models.JSONField()
    at = models.FloatField(help_text="Unix time.")
    labels = models.JSONField()
    state = models.JSONField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["session", "rid"], name="syncpoint_by_number")]

    def __str__(self) -> str:
        return f"answer {self.rid}"


class ChangeKind(models.IntegerChoices):
    """What a row of the change log is about."""

    RESET = 0
    JOB = 1
    TASK = 2
    LABEL = 3
    SETTING = 4


class Change(models.Model):
    """A change of something that `sync/maindata` shows, written by the database itself (`qbshim.triggers`).

    `old` is what was there before, as JSON; empty when there was nothing. Rows go after some minutes.
    """

    kind = models.PositiveSmallIntegerField(choices=ChangeKind.choices)
    job_id = models.BigIntegerField(null=True)
    xid = models.BigIntegerField(default=0, help_text="PostgreSQL's number of the transaction.")
    reorders = models.BooleanField(default=False, help_text="Changes the places in the queue.")
    at = models.BigIntegerField(help_text="Unix time.")
    old = models.TextField(null=True)  # noqa: DJ001  NULL is «nothing was there»

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=ChangeKind.values), name="change_kind_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["xid"], name="change_by_transaction"),
            models.Index(fields=["at"], name="change_by_time"),
            models.Index(fields=["id"], condition=Q(reorders=True), name="change_of_the_order"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.job_id or ''}"


class FailedLogin(models.Model):
    """An address from which wrong passwords came. It is banned while `banned_until` lies ahead."""

    address = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(db_index=True)
    banned_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-last_at"]

    def __str__(self) -> str:
        return self.address
