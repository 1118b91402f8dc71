"""Magnets of our own that stand for a pushed link: which address is behind the slug."""

from downloads.models import Link


def url_of(slug: str) -> str | None:
    """The address whose sha1 this is, as somebody once gave it to us; None when nobody did."""
    return Link.objects.filter(url_sha1=slug).values_list("url", flat=True).first()
