"""What others tell us to fetch: links, the feeds that bring some of them, and the rules that hold some back."""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinLengthValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from anibridge.lib import crypto
from anibridge.lib.masking import masked
from downloads.models.jobs import Job

MAX_TITLE = 500
MAX_DESCRIPTION = 2000
MAX_PATTERN = 500
MAX_SOURCE = 100
MAX_FEED_URL = 2000
FEED_URLS = "feed address"
"""What their encryption is for."""
FEED_SOURCE = "feed:"
"""What the source of a feed's links begins with; no fetcher may call itself so."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def sha1(text: str) -> str:
    """The hex digits by which a long text is found again."""
    return hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def source_problem(source: str) -> str:
    """Why nobody may call himself that; empty when he may."""
    if not source or len(source) > MAX_SOURCE or _CONTROL.search(source):
        return f"must be 1 to {MAX_SOURCE} characters, without control characters"
    if source.lower().startswith(FEED_SOURCE):
        return f"must not begin with «{FEED_SOURCE}», which the feeds' own links do"
    return ""


def validate_category(value: str) -> None:
    """qBittorrent's rule: parts divided by single slashes, no backslash; empty is no category."""
    if value and (_CONTROL.search(value) or not re.fullmatch(r"[^\\/]+(?:/[^\\/]+)*", value)):
        raise ValidationError("a category is a name, or names divided by single slashes")


def validate_feed_url(url: str) -> None:
    """http or https with a host. The owner typed it, so it may be a private one."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if (
        not good
        or len(url) > MAX_FEED_URL
        or re.search(r"[\s\x00-\x20\x7f-\x9f\ud800-\udfff]", url)
    ):
        raise ValidationError(
            f"must be an address such as https://example.org/rss, of at most {MAX_FEED_URL} characters"
        )


class LinkMode(models.TextChoices):
    """What is made of a link: the file that it leads to, or a `.strm` file that plays it."""

    DOWNLOAD = "download", "download"
    STRM = "strm", ".strm file"


class FeedQuerySet(models.QuerySet["Feed"]):
    def due(self, now: datetime) -> Self:
        """Enabled feeds whose turn it is, the longest overdue first."""
        return self.filter(enabled=True, next_poll_at__lte=now).order_by("next_poll_at", "pk")


class Feed(models.Model):
    """An RSS or Atom feed that is asked every now and then; what is new in it becomes links.

    `since` is when it began to count: what its first answer lists from before that is noted as seen and not fetched,
    unless `fetch_existing` is set. Its address may hold a key, so it is encrypted at rest.
    """

    name = models.CharField(max_length=100, validators=[MinLengthValidator(1)])
    address = models.TextField(editable=False)
    url_shown = models.TextField(editable=False, help_text="The address with its keys masked.")
    url_sha1 = models.CharField(max_length=40, unique=True, editable=False)
    enabled = models.BooleanField(default=True)
    interval_seconds = models.PositiveIntegerField(
        default=900,
        validators=[MinValueValidator(60), MaxValueValidator(7 * 86400)],
        help_text="How often it is asked: 60 seconds to a week.",
    )
    category = models.CharField(
        max_length=200,
        blank=True,
        default="",
        validators=[validate_category],
        help_text="Its downloads get this category.",
    )
    mode = models.CharField(
        max_length=10,
        choices=LinkMode.choices,
        default=LinkMode.DOWNLOAD,
        help_text="«strm»: its links become .strm files that play them, instead of being downloaded.",
    )
    fetch_existing = models.BooleanField(
        default=False,
        help_text="Also fetch what the feed lists when it is asked for the first time.",
    )
    validators = models.JSONField(
        default=dict, editable=False, help_text="What it gave to ask «has it changed?» with."
    )
    since = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(
        null=True, editable=False, help_text="When it was first read since then."
    )
    listed_at = models.DateTimeField(
        null=True, editable=False, help_text="When it last gave its entries."
    )
    polled_at = models.DateTimeField(
        null=True, editable=False, help_text="When it last answered, be it «not changed»."
    )
    next_poll_at = models.DateTimeField(default=timezone.now, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    last_error = models.TextField(blank=True, default="", editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    last_warning = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = FeedQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(mode__in=LinkMode.values), name="feed_mode_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["next_poll_at"], condition=Q(enabled=True), name="feed_due")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def url(self) -> str:
        """Its address in full. Raises Misconfigured when the installation's key has changed."""
        return crypto.decrypt(self.address, purpose=FEED_URLS) if self.address else ""

    @url.setter
    def url(self, url: str) -> None:
        """Another address is another feed: it is read from the start, and counts from now."""
        if sha1(url) == self.url_sha1:
            return
        self.address = crypto.encrypt(url, purpose=FEED_URLS)
        self.url_shown, self.url_sha1 = masked(url), sha1(url)
        self.validators, self.failures = {}, 0
        self.read_at = self.listed_at = self.polled_at = None
        self.last_error = self.last_warning = ""
        self.last_error_at = None
        self.since = self.next_poll_at = timezone.now()

    @property
    def source(self) -> str:
        """The `source` of its links."""
        return f"{FEED_SOURCE}{self.pk}"


class RuleKind(models.TextChoices):
    INCLUDE = "include"
    EXCLUDE = "exclude"


class RuleScope(models.TextChoices):
    ALL = "all"
    SOURCE = "source"
    FEED = "feed"


class FilterRule(models.Model):
    """A pattern that a link's title must match, or must not; for all links, for one source's or for one feed's.

    An exclude rule that matches always wins. A scope with include rules lets a title pass when one of them matches.
    """

    name = models.CharField(max_length=100, blank=True, default="")
    kind = models.CharField(max_length=10, choices=RuleKind.choices)
    pattern = models.CharField(
        max_length=MAX_PATTERN,
        validators=[MinLengthValidator(1)],
        help_text="A regular expression that is looked for anywhere in the title as it was sent.",
    )
    case_sensitive = models.BooleanField(default=False)
    scope = models.CharField(max_length=10, choices=RuleScope.choices, default=RuleScope.ALL)
    source = models.CharField(
        max_length=MAX_SOURCE, blank=True, default="", help_text="For the scope «source»."
    )
    feed = models.ForeignKey(
        Feed,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="rules",
        help_text="For the scope «feed».",
    )
    enabled = models.BooleanField(default=True)
    last_error = models.TextField(blank=True, default="", editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    NATURAL_KEY: ClassVar[tuple[str, ...]] = (
        "kind", "pattern", "case_sensitive", "scope", "source", "feed_id",
    )  # fmt: skip

    class Meta:
        ordering = ["scope", "source", "feed_id", "kind", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=RuleKind.values), name="filterrule_kind_is_known"
            ),
            models.CheckConstraint(
                condition=(
                    Q(scope=RuleScope.ALL, source="", feed=None)
                    | (Q(scope=RuleScope.SOURCE, feed=None) & ~Q(source=""))
                    | Q(scope=RuleScope.FEED, source="", feed__isnull=False)
                ),
                name="filterrule_scope_names_its_own",
            ),
            models.UniqueConstraint(
                fields=["kind", "pattern", "case_sensitive", "scope", "source"],
                condition=Q(feed=None),
                name="filterrule_each_once",
                violation_error_message="there is the very same rule already",
            ),
            models.UniqueConstraint(
                fields=["kind", "pattern", "case_sensitive", "feed"],
                condition=Q(feed__isnull=False),
                name="filterrule_each_once_per_feed",
                violation_error_message="there is the very same rule already",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.pattern

    def clean(self) -> None:
        """The scope says which of the two others is filled; what the others hold is refused, not dropped."""
        problems: dict[str, Any] = {}
        if self.scope == RuleScope.SOURCE:
            # Empty is a problem too, with words of its own.
            reason = source_problem(self.source) if self.source else "name the source"
            if reason:
                problems["source"] = reason
        elif self.source:
            problems["source"] = "only for the scope «source»"
        if self.scope == RuleScope.FEED and self.feed_id is None:
            problems["feed"] = "name the feed"
        elif self.scope != RuleScope.FEED and self.feed_id is not None:
            problems["feed"] = "only for the scope «feed»"
        if problems:
            raise ValidationError(problems)


class LinkState(models.TextChoices):
    """What became of a link."""

    NEW = "new", "new"
    SEEN = "seen", "seen: was in its feed before the feed was added"
    FILTERED = "filtered", "filtered: held back by the rules"
    DISPATCHED = "dispatched", "dispatched"
    DUPLICATE = "duplicate", "duplicate: the same was asked for by another link"
    REJECTED = "rejected", "rejected"


class LinkQuerySet(models.QuerySet["Link"]):
    def waiting(self) -> Self:
        """Links that nobody has looked at yet, oldest first."""
        return self.filter(state=LinkState.NEW).order_by("pk")

    def unparsed(self) -> Self:
        """Links whose title is still to be taken apart, newest first: those are the ones that are looked at."""
        return self.filter(parsed__isnull=True).order_by("-pk")

    def held_back(self, now: datetime) -> Self:
        """The links that a change of the rules may let pass, newest first."""
        return self.filter(
            state=LinkState.FILTERED, created_at__gte=now - Link.RECONSIDER
        ).order_by("-pk")


class Link(models.Model):
    """Something that a fetcher pushed or that stood in a feed, and what became of it.

    `url` is unique for its source (by its sha1: it may be longer than an index takes); a feed's entry also by its id,
    since the addresses of some feeds change from answer to answer. The state is the truth about whether it is still to
    be looked at: `downloads.links.processing` goes on from there.
    """

    source = models.CharField(max_length=MAX_SOURCE)
    feed = models.ForeignKey(
        Feed, on_delete=models.CASCADE, null=True, blank=True, related_name="links"
    )
    url = models.TextField()
    url_sha1 = models.CharField(max_length=40, db_index=True)
    guid_sha1 = models.CharField(max_length=40, null=True, blank=True)  # noqa: DJ001 - NULLs are distinct
    title = models.CharField(max_length=MAX_TITLE)
    description = models.TextField(blank=True, default="")
    published_at = models.DateTimeField(null=True, blank=True)
    download_type = models.CharField(
        max_length=20, blank=True, default="", help_text="Empty: nothing that can be fetched."
    )
    mode = models.CharField(
        max_length=10,
        choices=LinkMode.choices,
        default=LinkMode.DOWNLOAD,
        help_text="What is made of it.",
    )
    state = models.CharField(max_length=10, choices=LinkState.choices, default=LinkState.NEW)
    reason = models.CharField(max_length=300, blank=True, default="", help_text="Why, in words.")
    rule = models.ForeignKey(
        FilterRule,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The rule that holds it back.",
    )
    job = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="links"
    )
    parsed = models.JSONField(
        null=True, blank=True, help_text="What the title says; empty until it was read."
    )
    batch = models.CharField(max_length=32, help_text="The request or poll that brought it.")
    created_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(
        default=timezone.now, help_text="When its source named it last, give or take a day."
    )

    objects = LinkQuerySet.as_manager()

    RECONSIDER: ClassVar[timedelta] = timedelta(days=30)
    """How old a held back link may be for a change of the rules to let it pass."""

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "url_sha1"], name="link_url_once_per_source"),
            models.UniqueConstraint(
                fields=["source", "guid_sha1"], name="link_entry_once_per_source"
            ),
            models.CheckConstraint(
                condition=Q(state__in=LinkState.values), name="link_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(mode__in=LinkMode.values), name="link_mode_is_known"
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="link_by_state"),
            models.Index(F("id").desc(), condition=Q(parsed__isnull=True), name="link_unparsed"),
            models.Index(fields=["last_seen_at"], name="link_by_last_seen"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def url_shown(self) -> str:
        """The address with its keys masked."""
        return masked(self.url)
