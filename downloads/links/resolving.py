"""Magnets of our own that stand for a pushed link: which address is behind the slug."""

from downloads.models import Job, Link
from downloads.orders import LINK_SITE


def url_of(slug: str) -> str | None:
    """The address whose sha1 this is, as somebody once gave it to us; None when nobody did."""
    pushed = Link.objects.filter(url_sha1=slug).values_list("url", flat=True).first()
    if pushed:
        return pushed
    asked = Job.objects.filter(source_site=LINK_SITE, slug=slug).exclude(url="")
    return asked.values_list("url", flat=True).first()
