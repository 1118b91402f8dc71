"""Feeds and rules as their owner changes them, be it in the admin or over the API; and what follows from that."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from anibridge.lib.outbound import host_of
from downloads.links import nudges, rules
from downloads.models import Feed, FilterRule
from downloads.models.links import sha1, validate_feed_url

_URL_COLUMNS = (
    "address", "url_shown", "url_sha1", "validators", "failures", "read_at", "listed_at", "polled_at",
    "last_error", "last_error_at", "last_warning", "since", "next_poll_at",
)  # fmt: skip


def checked_url(url: str, feed: Feed | None) -> str:
    """The address for `feed`, or for a new one. The masked form of the one that it has changes nothing.

    Raises ValidationError.
    """
    if feed is not None and url == feed.url_shown:
        return url
    validate_feed_url(url)
    others = Feed.objects.filter(url_sha1=sha1(url))
    if feed is not None and others.exclude(pk=feed.pk).exists():
        raise ValidationError("another feed has this address")
    return url


@transaction.atomic
def save_feed(feed: Feed | None, given: Mapping[str, Any]) -> tuple[Feed, bool]:
    """Save what was given, nothing else, since a poll may write the same row; and whether the feed is new.

    `given["url_shown"]` is an address that `checked_url` let pass. A new feed with the address of another is that other.
    """
    values = dict(given)
    url = values.pop("url_shown", None)
    if feed is None:
        feed = Feed.objects.filter(url_sha1=sha1(str(url))).first()
    if feed is None:
        feed = Feed(name=host_of(str(url)), **values) if "name" not in values else Feed(**values)
        feed.url = str(url)
        try:
            with transaction.atomic():
                feed.save()
        except IntegrityError:  # added in this very moment
            return save_feed(None, given)
        nudges.poll(feed.pk)
        return feed, True
    feed = Feed.objects.select_for_update(no_key=True).get(pk=feed.pk)
    columns = set(values)
    was_enabled = feed.enabled
    for name, value in values.items():
        setattr(feed, name, value)
    if url is not None and url != feed.url_shown and sha1(url) != feed.url_sha1:
        feed.url = url
        columns.update(_URL_COLUMNS)
    soon = timezone.now() + timedelta(seconds=feed.interval_seconds)
    if feed.enabled and not was_enabled:
        soon = timezone.now()
    if feed.next_poll_at > soon and not feed.failures:
        feed.next_poll_at = soon
        columns.add("next_poll_at")
    if columns:
        feed.save(update_fields=columns)
    if feed.enabled and feed.next_poll_at <= timezone.now():
        nudges.poll(feed.pk)
    return feed, False


@transaction.atomic
def delete_feed(feed: Feed) -> None:
    """Delete a feed with its links and rules; downloads stay. Twice is fine.

    Locked first: links that a poll is storing right now would otherwise come between the two and keep it.
    """
    for locked in Feed.objects.select_for_update().filter(pk=feed.pk):
        locked.delete()


def check_scope(rule: FilterRule) -> None:
    """Everything about a rule but its pattern. Raises ValidationError."""
    rule.full_clean(exclude=["pattern"], validate_unique=False, validate_constraints=False)


def check_rule(rule: FilterRule) -> None:
    """Whether a rule can be saved as it is. Raises ValidationError that names the field."""
    rule.full_clean(validate_unique=False, validate_constraints=bool(rule.pk))
    if found := rules.pattern_problem(rule):
        raise ValidationError({"pattern": str(found)})
    if full := rules.room_problem(rule):
        raise ValidationError(full)


@transaction.atomic
def save_rule(rule: FilterRule | None, given: Mapping[str, Any]) -> tuple[FilterRule, bool]:
    """Save a rule that `check_rule` let pass, and have held back links judged again; and whether it is new.

    A new rule that is the very same as another is that other, renamed or switched as given.
    """
    values = dict(given)
    created = rule is None
    if rule is None:
        rule = FilterRule(**values)
        same = {name: getattr(rule, name) for name in FilterRule.NATURAL_KEY}
        known = FilterRule.objects.filter(**same).first()
        if known is None:
            try:
                with transaction.atomic():
                    rule.save()
            except IntegrityError:  # added in this very moment
                known = FilterRule.objects.get(**same)
        if known is not None:
            values = {name: values[name] for name in ("name", "enabled") if name in values}
            rule, created = known, False
    if not created:
        for name, value in values.items():
            setattr(rule, name, value)
        if "pattern" in values:
            rule.last_error, rule.last_error_at = "", None
            values |= {"last_error": "", "last_error_at": None}
        if values:
            rule.save(update_fields=values)
    rules.changed()
    return rule, created


@transaction.atomic
def delete_rule(rule: FilterRule) -> int:
    """Delete a rule, and have what was held back judged again; how many links that is. Twice is fine."""
    for locked in FilterRule.objects.select_for_update().filter(pk=rule.pk):
        locked.delete()
    return rules.changed()
