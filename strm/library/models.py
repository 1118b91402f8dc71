"""What is chosen for the library, and every file that AniBridge has written there."""

from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from anibridge.lib.errors import AniBridgeError
from catalogue.models import Site
from catalogue.sites import get_adapter
from catalogue.sites.base import LANGUAGES
from strm.library import listing


class FileKind(models.TextChoices):
    """What a file of the library is."""

    STRM = "strm", "episode or film"
    NFO = "nfo", "facts"
    COVER = "cover", "cover"


class LibraryTitle(models.Model):
    """A title that its owner wants in the library, in the first of the languages that an episode has."""

    site = models.CharField(max_length=63, help_text="Site id.")
    slug = models.CharField(max_length=200, help_text="The title as its site calls it.")
    languages = models.JSONField(
        default=list, blank=True, help_text="Language labels, preferred first; empty: the site's."
    )
    enabled = models.BooleanField(default=True, help_text="Off: its files go at the next turn.")
    name = models.CharField(max_length=300, blank=True, default="", editable=False)
    trouble = models.TextField(blank=True, default="", editable=False)
    synced_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "library title"
        ordering = ["site", "slug"]
        constraints = [
            models.UniqueConstraint(
                fields=["site", "slug"], name="librarytitle_once_per_site_and_slug"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name or self.slug} ({self.site})"

    def clean(self) -> None:
        """What the database cannot refuse by itself; every field in trouble is named."""
        if self.languages is None:  # an empty field of a form
            self.languages = []
        problems = {
            "site": self._site_problem(),
            "slug": self._slug_problem(),
            "languages": self._languages_problem(),
        }
        if told := {name: problem for name, problem in problems.items() if problem}:
            raise ValidationError(told)

    def _site_problem(self) -> str:
        if self.site in listing.SOURCES or Site.objects.filter(pk=self.site).exists():
            return ""
        return "there is no such site"

    def _slug_problem(self) -> str:
        if self.site in listing.SOURCES or self._site_problem():
            return ""
        try:
            get_adapter(self.site).check_slug(self.slug)
        except AniBridgeError as error:
            return str(error)
        return ""

    def _languages_problem(self) -> str:
        chosen = self.languages
        if isinstance(chosen, list) and all(one in LANGUAGES for one in chosen):
            return "" if len(set(chosen)) == len(chosen) else "names a language twice"
        return f"must be a list of these: {', '.join(LANGUAGES)}"


class LibraryFileQuerySet(models.QuerySet["LibraryFile"]):
    def orphaned(self) -> Self:
        """Files of titles that are no longer chosen."""
        return self.filter(title=None)


class LibraryFile(models.Model):
    """A file that AniBridge has written, and what was in it. `source` is where a cover came from."""

    title = models.ForeignKey(
        LibraryTitle, null=True, on_delete=models.SET_NULL, related_name="files"
    )
    kind = models.CharField(max_length=10, choices=FileKind.choices)
    season = models.PositiveIntegerField(null=True)
    episode = models.PositiveIntegerField(null=True)
    path = models.CharField(max_length=1000, unique=True, help_text="Below STRM_LIBRARY_DIR.")
    checksum = models.CharField(max_length=64)
    source = models.CharField(max_length=500, blank=True, default="")
    written_at = models.DateTimeField(auto_now=True)

    objects = LibraryFileQuerySet.as_manager()

    class Meta:
        verbose_name = "library file"
        ordering = ["path"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=FileKind.values), name="libraryfile_kind_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def key(self) -> tuple[str, int | None, int | None]:
        """What it is a file of, within its title."""
        return self.kind, self.season, self.episode
