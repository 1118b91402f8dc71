"""What clients said about jobs."""

import factory
from factory.django import DjangoModelFactory

from qbshim.models import Category, ClientTask
from tests.downloads.factories import JobFactory


class ClientTaskFactory(DjangoModelFactory):
    """A job that a client added."""

    class Meta:
        model = ClientTask

    job = factory.SubFactory(JobFactory)
    hash = factory.SelfAttribute("job.infohash")
    name = factory.SelfAttribute("job.name")
    magnet = factory.LazyAttribute(lambda task: f"magnet:?xt=urn:btih:{task.hash}")


class CategoryFactory(DjangoModelFactory):
    """A category with the default folder."""

    class Meta:
        model = Category
        django_get_or_create = ("name",)

    name = "tv-sonarr"
