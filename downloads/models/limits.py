"""What the whole installation may take from the line, as somebody set it while it runs."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class SpeedLimits(models.Model):
    """The only row: the common limit, the alternative one, and which of the two counts. Bytes a second, 0 is none."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    download_limit = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Empty: what DOWNLOAD_RATE_LIMIT says."
    )
    alternative_download_limit = models.PositiveBigIntegerField(default=0)
    alternative_enabled = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "speed limits"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="speedlimits_is_one_row"),
        ]

    def __str__(self) -> str:
        return f"{self.effective} bytes a second" if self.effective else "no limit"

    @property
    def ordinary(self) -> int:
        """The limit that counts while the alternative one does not."""
        own = self.download_limit
        return settings.DOWNLOAD_RATE_LIMIT if own is None else own

    @property
    def effective(self) -> int:
        """The limit that counts now."""
        return self.alternative_download_limit if self.alternative_enabled else self.ordinary
