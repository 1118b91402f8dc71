"""Rows of the catalogue. Nothing made here needs the network: sites point at a port where nobody listens."""

from datetime import timedelta

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from catalogue.models import AvailabilityRecord, Film, Site, Title, TitleMapping
from catalogue.sites.base import GERMAN_DUB, GERMAN_SUB

CLOSED_PORT = "http://127.0.0.1:1"


class SiteFactory(DjangoModelFactory):
    """An enabled site with two languages."""

    class Meta:
        model = Site
        django_get_or_create = ("site_id",)

    site_id = "aniworld"
    display_name = factory.LazyAttribute(lambda site: site.site_id.title())
    base_url = CLOSED_PORT
    search_priority = factory.Sequence(lambda n: n + 101)
    default_languages = factory.LazyFunction(lambda: [GERMAN_DUB, GERMAN_SUB])
    enabled = True


class TitleFactory(DjangoModelFactory):
    """A title of AniWorld."""

    class Meta:
        model = Title

    site = factory.SubFactory(SiteFactory)
    name = factory.Sequence(lambda n: f"Invented Story {n}")
    slug = factory.LazyAttribute(lambda title: "-".join(title.name.casefold().split()))


class FilmFactory(DjangoModelFactory):
    """A film of a series, of which everything is known."""

    class Meta:
        model = Film

    title = factory.SubFactory(TitleFactory)
    number = factory.Sequence(lambda n: n + 1)
    english_title = factory.Sequence(lambda n: f"Invented Story {n} the Movie")
    year = 2016


class TitleMappingFactory(DjangoModelFactory):
    """A name under which a title is found."""

    class Meta:
        model = TitleMapping

    site = factory.SubFactory(SiteFactory)
    name = factory.Sequence(lambda n: f"Invented Story {n}")
    slug = factory.LazyAttribute(lambda mapping: "-".join(mapping.name.casefold().split()))
    title_key = factory.LazyAttribute(lambda mapping: mapping.name.casefold())
    last_refreshed_at = factory.LazyFunction(timezone.now)


class AvailabilityRecordFactory(DjangoModelFactory):
    """An episode that was found just now, in 1080p; each one made was first seen a minute later than the one before."""

    class Meta:
        model = AvailabilityRecord

    class Params:
        film = factory.Trait(season=0, episode=0)
        absent = factory.Trait(is_available=False, reason="not offered")

    site = factory.SubFactory(SiteFactory)
    slug = "invented-story"
    season = 1
    episode = factory.Sequence(lambda n: n + 1)
    language = GERMAN_DUB
    is_available = True
    host = "VOE"
    height = 1080
    vcodec = "h264"
    checked_at = factory.LazyFunction(timezone.now)
    first_seen_at = factory.Sequence(
        lambda n: timezone.now() - timedelta(days=30) + timedelta(minutes=n)
    )
