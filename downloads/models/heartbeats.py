"""Which processes are alive."""

from django.db import models


class Heartbeat(models.Model):
    """A worker or beat process that was alive at `beat_at`."""

    name = models.CharField(max_length=150, primary_key=True)
    role = models.CharField(max_length=30, help_text="default, downloads or beat.")
    beat_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
