"""Links, feeds and rules as rows."""

from typing import Any

from django.utils import timezone

from downloads.models import Feed, FilterRule, Link, RuleScope
from downloads.models.links import sha1

MAGNET = "magnet:?xt=urn:btih:{:040x}"


def magnet(number: int) -> str:
    return MAGNET.format(number + 1)


def make_feed(url: str = "https://feeds.example/rss", **values: Any) -> Feed:
    feed = Feed(**{"name": "A feed", **values})
    feed.url = url
    for name, value in values.items():  # a new address has reset some of them
        setattr(feed, name, value)
    feed.save()
    return feed


def make_link(number: int = 0, **values: Any) -> Link:
    """A magnet that somebody pushed."""
    url = values.pop("url", magnet(number))
    defaults = {
        "source": "fetcher",
        "url": url,
        "url_sha1": sha1(url),
        "title": f"[Group] Show - {number:02} [1080p]",
        "download_type": "magnet",
        "batch": "0" * 32,
        "last_seen_at": timezone.now(),
    }
    return Link.objects.create(**{**defaults, **values})


def make_rule(pattern: str, kind: str = "include", **values: Any) -> FilterRule:
    scope = RuleScope.ALL
    if values.get("feed"):
        scope = RuleScope.FEED
    elif values.get("source"):
        scope = RuleScope.SOURCE
    return FilterRule.objects.create(**{"pattern": pattern, "kind": kind, "scope": scope, **values})
