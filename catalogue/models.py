"""What exists: sites, their titles, and which episode is available in which language."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import ClassVar, Final, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.db.models.lookups import IsNull
from django.utils import timezone

from anibridge.lib.guard import default_allowed
from catalogue.sites.base import LANGUAGES

BACK_OFF_MINUTES = (0, 1, 5, 15, 30, 60, 180, 360, 720, 1440)
"""Pause after the n-th failure in a row; a success steps down one level, not to zero."""


def validate_site_id(value: str) -> None:
    """Site ids are part of every infohash: lower case letters, digits and underscores."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValidationError("a site id is a letter followed by letters, digits or underscores")


def base_url_problem(url: object, *, named: bool = False) -> str:
    """Why a site cannot be asked at this address; empty when it can. `named`: the operator has set it himself."""
    if not isinstance(url, str) or re.search(r"[\s\x00-\x1f\x7f]", url):
        return "must be an address such as https://example.org"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        return "is not a valid address"
    if parts.scheme not in ("http", "https") or not host:
        return "must be an address such as https://example.org"
    if "@" in parts.netloc:
        return "must not hold a user name or a password"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "must end after the host"
    if parts.scheme == "https" or named or default_allowed().permits(host, port, host):
        return ""
    return "use https, or name the host in OUTBOUND_ALLOWED_PRIVATE_HOSTS"


class SiteQuerySet(models.QuerySet["Site"]):
    def enabled(self) -> Self:
        """Sites the owner uses, preferred first."""
        return self.filter(enabled=True).order_by("search_priority", "site_id")

    def answering(self, now: datetime) -> Self:
        """Enabled sites that are not backing off."""
        return self.enabled().filter(Q(back_off_until=None) | Q(back_off_until__lte=now))


class Site(models.Model):
    """One catalogue site, as the operator and the owner set it up. The code of it is its adapter."""

    site_id = models.CharField(max_length=40, primary_key=True, validators=[validate_site_id])
    display_name = models.CharField(max_length=100)
    # No URLField: it refuses the one-word host names of a home network or of compose.
    base_url = models.CharField(
        max_length=300, help_text="HTTPS, or a host named in OUTBOUND_ALLOWED_PRIVATE_HOSTS."
    )
    mirrors = models.JSONField(default=list, blank=True, help_text="Further base URLs, in order.")
    search_priority = models.PositiveSmallIntegerField(
        default=100, help_text="Lower comes first; unique among enabled sites."
    )
    default_languages = models.JSONField(
        default=list, blank=True, help_text="Language labels, preferred first; empty: all."
    )
    enabled = models.BooleanField(default=False)
    listed = models.BooleanField(
        default=False, editable=False, help_text="Named in CATALOGUE_SITES at the last start."
    )
    search_timeout_seconds = models.FloatField(default=4.0)
    index_ttl_hours = models.FloatField(default=24.0)
    availability_ttl_hours = models.FloatField(
        null=True, blank=True, help_text="Empty: AVAILABILITY_TTL_HOURS."
    )
    unavailable_ttl_hours = models.FloatField(
        default=1.0, help_text="How long «not there» is believed."
    )
    index_generation = models.PositiveIntegerField(default=0, editable=False)
    index_size = models.PositiveIntegerField(default=0, editable=False)
    index_refreshed_at = models.DateTimeField(null=True, editable=False)
    index_validators = models.JSONField(
        default=dict, editable=False, help_text="What the site gave to ask «has it changed?» with."
    )
    index_warning = models.TextField(blank=True, default="", editable=False)
    recent_polled_at = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    back_off_until = models.DateTimeField(null=True, editable=False)
    last_error = models.TextField(blank=True, default="", editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)

    objects = SiteQuerySet.as_manager()

    MAX_MIRRORS: ClassVar[int] = 10
    # A time must also fit into a date: a TTL of a million years is an error at the next search.
    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "search_priority": (0, 32767),
        "search_timeout_seconds": (0.1, 60.0),
        "index_ttl_hours": (0.1, 8760.0),
        "availability_ttl_hours": (0.01, 8760.0),
        "unavailable_ttl_hours": (0.0, 8760.0),
    }

    class Meta:
        ordering = ["search_priority", "site_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["search_priority"],
                condition=Q(enabled=True),
                name="site_priority_unique_among_enabled",
            ),
            models.CheckConstraint(
                condition=Q(search_timeout_seconds__gt=0), name="site_timeout_is_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.display_name

    def clean(self) -> None:
        """What the database cannot refuse by itself; every field in trouble is named."""
        problems = {
            "base_url": base_url_problem(
                self.base_url, named=self.base_url == settings.SITE_BASE_URLS.get(self.site_id)
            ),
            "mirrors": self._mirrors_problem(),
            "default_languages": self._languages_problem(),
            "search_priority": self._priority_problem(),
        }
        for name, (least, most) in self.BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, int | float) and not least <= value <= most:
                problems[name] = f"must be between {least:g} and {most:g}"
        told = {name: problem for name, problem in problems.items() if problem}
        if told:
            raise ValidationError(told)

    def _mirrors_problem(self) -> str:
        if not isinstance(self.mirrors, list) or len(self.mirrors) > self.MAX_MIRRORS:
            return f"must be a list of at most {self.MAX_MIRRORS} addresses"
        found = ((mirror, base_url_problem(mirror)) for mirror in self.mirrors)
        return next((f"«{mirror}»: {problem}" for mirror, problem in found if problem), "")

    def _languages_problem(self) -> str:
        chosen = self.default_languages
        if isinstance(chosen, list) and all(label in LANGUAGES for label in chosen):
            return "" if len(set(chosen)) == len(chosen) else "names a language twice"
        return f"must be a list of these: {', '.join(LANGUAGES)}"

    def _priority_problem(self) -> str:
        """The constraint holds it as well; this names the other site."""
        if not self.enabled or self.search_priority is None:
            return ""
        taken = Site.objects.enabled().exclude(pk=self.pk)
        other = taken.filter(search_priority=self.search_priority).first()
        return f"{other} has this priority already" if other else ""

    def is_backing_off(self, now: datetime) -> bool:
        """Whether its failures have earned it a pause that is not over yet."""
        return self.back_off_until is not None and self.back_off_until > now

    @property
    def index_is_due(self) -> bool:
        """Whether the title index is older than its TTL and the site is not backing off."""
        now = timezone.now()
        if self.is_backing_off(now):
            return False
        return self.index_refreshed_at is None or (
            now - self.index_refreshed_at >= timedelta(hours=self.index_ttl_hours)
        )


class Title(models.Model):
    """A show or film on a site. Facts beyond the name are learnt from its page and kept by a refresh."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="titles")
    slug = models.CharField(max_length=200)
    name = models.CharField(max_length=300)
    year = models.PositiveSmallIntegerField(null=True, blank=True)
    end_year = models.PositiveSmallIntegerField(null=True, blank=True)
    imdb_id = models.CharField(max_length=12, blank=True, default="")
    description = models.TextField(blank=True, default="")
    cover = models.CharField(max_length=300, blank=True, default="")
    genres = models.JSONField(default=list, blank=True)
    seasons = models.JSONField(null=True, blank=True, help_text="Empty until its page was read.")
    seen_at = models.DateTimeField(
        default=timezone.now, help_text="In the site's index until then."
    )
    learned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["site", "slug"], name="title_one_per_site_and_slug")
        ]

    def __str__(self) -> str:
        return self.name


class TitleMapping(models.Model):
    """One normalised name of a title on a site: from its index, or `learned` from the title's own page.

    A refresh leaves the learned ones alone for as long as the index has the title.
    """

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="mappings")
    title_key = models.CharField(max_length=300)
    slug = models.CharField(max_length=200)
    name = models.CharField(max_length=300, help_text="The name as the site writes it.")
    learned = models.BooleanField(default=False, help_text="Only the title's own page has it.")
    last_refreshed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["site", "title_key", "slug"], name="titlemapping_name_leads_to_slug_once"
            )
        ]
        indexes = [models.Index(fields=["site", "slug"], name="titlemapping_by_slug")]

    def __str__(self) -> str:
        return f"{self.name} → {self.slug}"


class Film(models.Model):
    """A film of a series, under the number by which its site counts it; learnt from the series' list of films.

    Both names are as the site writes them; either may be empty. The feed has the films whose year is known.
    """

    title = models.ForeignKey(Title, on_delete=models.CASCADE, related_name="films")
    number = models.PositiveIntegerField()
    german_title = models.CharField(max_length=300, blank=True, default="")
    english_title = models.CharField(max_length=300, blank=True, default="")
    year = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Its own, not the series'; empty until it is known."
    )
    alone = models.BooleanField(default=False, help_text="Its title is nothing but this film.")

    class Meta:
        ordering = ["title", "number"]
        constraints = [
            models.UniqueConstraint(fields=["title", "number"], name="film_one_per_number")
        ]

    def __str__(self) -> str:
        return self.english_title or self.german_title or f"film {self.number}"


class _Zero(models.Func):
    """A literal 0. With a parameter in its place a statement has to be planned anew each time, once it is known whether
    an index that is kept for one value serves it."""

    template = "0"
    output_field = models.PositiveIntegerField()


OF_FILMS: Final = Q(season=_Zero())
"""Records of the season that films are in. In the feed they all are films."""


class AvailabilityQuerySet(models.QuerySet["AvailabilityRecord"]):
    def feed(self, *, sites: Collection[str] = (), without: Collection[str] = ()) -> Self:
        """What became available, newest first; single episodes and films. `without` are the sites besides `sites`.

        Of season 0 these are the films, a series' ones where it was learnt how they are called and when they were made.
        Specials are left out: a site counts them in its own order, and a client that reads the feed would take the
        number for TVDB's and import another special under it. A search maps them. Season packs are left out as well:
        whether a season is over, as clients count it, is asked when one is searched for.
        """
        of_series = Film.objects.filter(
            title__site_id=OuterRef("site_id"),
            title__slug=OuterRef("slug"),
            number=OuterRef("episode"),
        ).order_by()
        # Not EXISTS, for which PostgreSQL would read all films first; this is asked for the few rows that come to it.
        made = IsNull(Subquery(of_series.values("year")), False)
        rows = self.filter(is_available=True, episode__isnull=False).filter(
            ~OF_FILMS | Q(episode=0) | Q(made)
        )
        # A list of sites would make a database sort them all; what is not wanted it can pass over in the order of time.
        if len(sites) == 1:
            rows = rows.filter(site_id=next(iter(sites)))
        elif without:
            rows = rows.exclude(site_id__in=without)
        return rows.order_by("-first_seen_at", "-pk")


class AvailabilityRecord(models.Model):
    """Whether one episode (or a whole season: episode empty) is on a site in a language, and how good it is.

    The record of a season says that its page was read, and that the language is there at all; while nothing is missing
    (`complete_since`), its quality is that of the weakest episode and its size that of all of them.
    """

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="availability")
    slug = models.CharField(max_length=200)
    season = models.PositiveIntegerField()
    episode = models.PositiveIntegerField(null=True, blank=True)
    language = models.CharField(max_length=40)
    is_available = models.BooleanField()
    host = models.CharField(max_length=60, blank=True, default="")
    height = models.PositiveIntegerField(null=True, blank=True)
    vcodec = models.CharField(max_length=20, blank=True, default="")
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)
    estimated = models.BooleanField(
        default=False, help_text="Quality taken over from another episode of the season."
    )
    reason = models.TextField(blank=True, default="", help_text="Why it is not available.")
    listed = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Of a season: how many episodes its page lists, from 1 on and all in the language.",
    )
    episodes = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of a season: how many they are, while none is missing."
    )
    complete_since = models.DateTimeField(
        null=True, blank=True, help_text="Of a season: since when none of these is missing."
    )
    first_seen_at = models.DateTimeField(default=timezone.now)
    checked_at = models.DateTimeField()

    objects = AvailabilityQuerySet.as_manager()

    IDENTITY: ClassVar[tuple[str, ...]] = ("site_id", "slug", "season", "episode", "language")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["site", "slug", "season", "episode", "language"],
                condition=Q(episode__isnull=False),
                name="availability_one_per_episode",
            ),
            models.UniqueConstraint(
                fields=["site", "slug", "season", "language"],
                condition=Q(episode__isnull=True),
                name="availability_one_per_pack",
            ),
            models.CheckConstraint(
                # Named as not NULL: a comparison with NULL is no violation.
                condition=Q(episodes=None, complete_since=None)
                | Q(
                    episode=None,
                    episodes__isnull=False,
                    episodes__gt=0,
                    complete_since__isnull=False,
                ),
                name="availability_only_a_season_is_complete",
            ),
        ]
        indexes = [
            models.Index(
                fields=["-first_seen_at", "-id"],
                condition=Q(is_available=True, episode__isnull=False),
                name="availability_feed",
            ),
            models.Index(
                fields=["site", "-first_seen_at", "-id"],
                condition=Q(is_available=True, episode__isnull=False),
                name="availability_feed_of_site",
            ),
            models.Index(
                fields=["-first_seen_at", "-id"],
                condition=Q(is_available=True, episode__isnull=False, season=0),
                name="availability_films",
            ),
            models.Index(
                fields=["site", "-first_seen_at", "-id"],
                condition=Q(is_available=True, episode__isnull=False, season=0),
                name="availability_films_of_site",
            ),
            models.Index(fields=["site", "slug", "season"], name="availability_of_season"),
            models.Index(fields=["checked_at"], name="availability_by_age"),
        ]

    def __str__(self) -> str:
        number = f"S{self.season:02}" + ("" if self.episode is None else f"E{self.episode:02}")
        return f"{self.slug} {number} {self.language}"
