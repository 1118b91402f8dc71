"""What the indexer says it can do: all sites together, or one alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from catalogue.models import Site
from catalogue.sites import get_adapter
from torznab.categories import MOVIES, TREE, Category

SEARCH: Final = ("q",)
# Sonarr asks by the ids first, and by title when that gave nothing.
TV_SEARCH: Final = ("q", "season", "ep", "tvdbid", "imdbid", "tmdbid")
# The service that knows ids knows series only; a film's IMDb id is known where its page was read.
MOVIE_SEARCH: Final = ("q", "imdbid", "year")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One caps document. A mode without parameters is not available."""

    title: str
    modes: Mapping[str, tuple[str, ...]]
    categories: tuple[Category, ...]


def of_sites(site_ids: Collection[str], *, alone: bool) -> Capabilities:
    """What these sites can do; `alone` names the one that it is about.

    All sites together declare films as well, also while none of them has any: clients keep caps for a week, and
    which sites are switched on is the owner's to change.
    """
    films = not alone or any(get_adapter(site_id).has_films for site_id in site_ids)
    name = Site.objects.filter(pk__in=site_ids).values_list("display_name", flat=True).first()
    return Capabilities(
        title=f"AniBridge: {name}" if alone and name else "AniBridge",
        modes={
            "search": SEARCH,
            "tv-search": TV_SEARCH,
            "movie-search": MOVIE_SEARCH if films else (),
            "audio-search": (),
            "book-search": (),
        },
        categories=tuple(parent for parent in TREE if films or parent.id != MOVIES),
    )
