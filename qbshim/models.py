"""What qBittorrent clients said about our jobs: survives restarts."""

from django.db import models
from django.utils import timezone

from downloads.models import Job


class ClientTask(models.Model):
    """What a qBittorrent client knows of a job: its torrent, under the hash the client added."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="client_task")
    hash = models.CharField(max_length=40, db_index=True)
    name = models.CharField(max_length=255)
    magnet = models.TextField()
    tags = models.JSONField(default=list, blank=True)
    added_on = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-added_on"]

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    """A category of a qBittorrent client. Names are case-sensitive."""

    name = models.CharField(max_length=200, primary_key=True)
    save_path = models.CharField(
        max_length=1000, blank=True, default="", help_text="Empty: a folder of the same name."
    )

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name
