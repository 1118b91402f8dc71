"""What is remembered of playing: where an episode's stream was found, and who is playing what."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalogue.releases import Identity
from strm.library.models import LibraryFile as LibraryFile
from strm.library.models import LibraryTitle as LibraryTitle


class StreamKind(models.TextChoices):
    """How a stream is delivered by its host."""

    FILE = "file", "one file"
    HLS = "hls", "HLS"
    DASH = "dash", "DASH"


def mapping_key(identity: Identity, provider: str) -> str:
    """The primary key under which an identity's stream is remembered, for a wish of one host: there is one row of each."""
    plain = replace(identity, strm=False)
    text = f"{plain.infohash}|{identity.language}|{provider.casefold()}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class _Identified(models.Model):
    site = models.CharField(max_length=63)
    slug = models.CharField(max_length=200)
    season = models.PositiveIntegerField()
    episode = models.PositiveIntegerField(null=True)
    language = models.CharField(max_length=60, blank=True, default="")
    provider = models.CharField(
        max_length=60, blank=True, default="", help_text="The host wished for."
    )

    class Meta:
        abstract = True

    @property
    def identity(self) -> Identity:
        """What is played."""
        return Identity(self.site, self.slug, self.season, self.episode, self.language)

    @staticmethod
    def fields_of(identity: Identity, provider: str) -> dict[str, object]:
        """The columns of an identity."""
        return {
            "site": identity.site,
            "slug": identity.slug,
            "season": identity.season,
            "episode": identity.episode,
            "language": identity.language,
            "provider": provider,
        }


class StrmUrlMapping(_Identified):
    """Where the stream of one identity was last found, for one wish of a host.

    `version` counts how often it was looked for; a link made under an older version may have run out. The lease
    lets one process look while the others wait for the row to change. `gone` are hosts that had nothing, and until when
    they are not asked.
    """

    key = models.CharField(max_length=40, primary_key=True)
    resolved_url = models.TextField(blank=True, default="")
    headers = models.TextField(blank=True, default="", help_text="Encrypted: may hold cookies.")
    kind = models.CharField(max_length=10, choices=StreamKind.choices, blank=True, default="")
    provider_used = models.CharField(max_length=60, blank=True, default="")
    host = models.CharField(max_length=255, blank=True, default="")
    version = models.PositiveIntegerField(default=0)
    resolved_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    gone = models.JSONField(default=dict, blank=True)
    failure = models.TextField(blank=True, default="")
    failed_at = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=40, blank=True, default="")
    lease_until = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "stream address"
        verbose_name_plural = "stream addresses"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["", *StreamKind.values]), name="strmurlmapping_kind_is_known"
            ),
        ]
        indexes = [models.Index(fields=["updated_at"], name="strmurlmapping_age")]

    def __str__(self) -> str:
        number = "" if self.episode is None else f"E{self.episode:02}"
        return f"{self.site} {self.slug} S{self.season:02}{number} {self.language}".rstrip()


class LinkAddress(models.Model):
    """The address of a pushed link that became a .strm file; `slug` is its sha1, by which the file knows it."""

    slug = models.CharField(max_length=40, primary_key=True)
    address = models.TextField(help_text="Encrypted: may hold keys.")
    title = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "pushed link"

    def __str__(self) -> str:
        return self.title or self.slug


def idle() -> timedelta:
    """For how long a playback that is not heard of keeps its child links."""
    return timedelta(minutes=settings.STRM_PLAYBACK_IDLE_MINUTES)


def longest() -> timedelta:
    """For how long child links are good at most."""
    return timedelta(hours=settings.STRM_PLAYBACK_MAX_HOURS)


class StreamSessionQuerySet(models.QuerySet["StreamSession"]):
    def alive(self, now: datetime) -> Self:
        """Playbacks whose child links are good."""
        return self.filter(seen_at__gt=now - idle(), started_at__gt=now - longest())

    def playing(self, now: datetime) -> Self:
        """Playbacks that took something within the last minute, newest first."""
        return self.filter(seen_at__gt=now - timedelta(minutes=1)).order_by("-started_at")


class StreamSession(_Identified):
    """One playback: one client plays one identity. Its child links are good as long as it is heard of."""

    key = models.CharField(max_length=32, primary_key=True)
    mapping = models.CharField(max_length=40, help_text="Key of the stream address.")
    client = models.CharField(max_length=64, help_text="Checksum of what tells clients apart.")
    address = models.CharField(max_length=64, blank=True, default="")
    agent = models.CharField(max_length=200, blank=True, default="")
    host = models.CharField(max_length=255, blank=True, default="")
    kind = models.CharField(max_length=10, choices=StreamKind.choices, blank=True, default="")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    bytes_sent = models.PositiveBigIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True, default="")

    objects = StreamSessionQuerySet.as_manager()

    class Meta:
        verbose_name = "playback"
        indexes = [
            models.Index(fields=["seen_at"], name="streamsession_seen"),
            models.Index(fields=["mapping", "client"], name="streamsession_same"),
        ]

    def __str__(self) -> str:
        return f"{self.slug} by {self.address or 'somebody'}"


class FormerPlaybacks(models.Model):
    """What the playbacks came to whose rows are gone: one row, so that totals never go back."""

    playbacks = models.PositiveBigIntegerField(default=0)
    bytes_sent = models.PositiveBigIntegerField(default=0)
    errors = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = "former playbacks"

    def __str__(self) -> str:
        return f"{self.playbacks} former playbacks"
