"""Asking the indexer, and a catalogue to ask about."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from catalogue.errors import NotFound
from catalogue.fetching import SiteClient
from catalogue.index import current
from tests.catalogue import skyhook as local_skyhook
from tests.catalogue.factories import (
    AvailabilityRecordFactory,
    SiteFactory,
    TitleFactory,
    TitleMappingFactory,
)
from tests.catalogue.skyhook import SkyHook
from torznab import offering

Ask = Callable[..., HttpResponse]


@pytest.fixture(autouse=True)
def forgetful(db: None) -> Iterator[None]:
    """The title index and the pages that were turned live in the process; each test starts without."""
    current.forget()
    cache.clear()
    offering.page.cache_clear()
    offering.element.cache_clear()
    yield
    current.forget()


@pytest.fixture
def ask(client: Client) -> Ask:
    """A request with the API key, written as the clients write it: the query as text."""

    def asked(query: str = "", *, path: str = "/torznab/api", **extra: str) -> HttpResponse:
        return client.get(f"{path}?{query}&apikey={settings.API_KEY}", **extra)

    return asked


@pytest.fixture
def skyhook(settings: Any) -> Iterator[SkyHook]:
    with local_skyhook.running(settings) as service:
        yield service


@pytest.fixture
def no_season_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sites answer that they have no such season, so that a search tells what is remembered."""

    def absent(self: SiteClient, slug: str, season: int) -> None:
        raise NotFound("no such season")

    monkeypatch.setattr(SiteClient, "season", absent)


def make_show(
    name: str,
    *,
    site: str = "aniworld",
    season: int = 1,
    episodes: int = 1,
    seasons: list[int] | None = None,
    slug: str = "",
    **record: object,
) -> str:
    """A title with episodes 1 to `episodes`, in both languages of the site; returns its slug."""
    row = SiteFactory(site_id=site)
    named = {"slug": slug} if slug else {}
    title = TitleFactory(site=row, name=name, seasons=seasons, **named)
    TitleMappingFactory(site=row, name=name, slug=title.slug)
    for episode in range(1, episodes + 1):
        for language in row.default_languages:
            AvailabilityRecordFactory(
                **{"site": row, "slug": title.slug, "season": season, "episode": episode}
                | {"language": language}
                | record
            )
    current.forget()
    return title.slug
