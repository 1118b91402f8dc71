"""Categories: what caps declares, what a release carries, and what a client asks for.

A release carries the category of its kind and that of its quality: Sonarr asks with the qualities (5030, 5040) unless
its owner sets anime categories, and then with 5070. Every episode is 5070, whatever its site: clients that were set up
for anime must keep finding it, and to those that ask by quality it makes no difference.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import Q

from catalogue.models import OF_FILMS

TV: Final = 5000
ANIME: Final = 5070
MOVIES: Final = 2000


@dataclass(frozen=True, slots=True)
class Category:
    """One line of the table in caps."""

    id: int
    name: str
    children: tuple["Category", ...] = ()


@dataclass(frozen=True, slots=True)
class Band:
    """The heights from `least` to below `end` that share a quality category. An unknown height is in the lowest,
    as its release name is to clients."""

    least: int
    end: int | None
    episodes: int
    films: int

    @property
    def condition(self) -> Q:
        """Records of such a height."""
        within = Q() if self.end is None else Q(height__lt=self.end)
        return within & Q(height__gte=self.least) if self.least else within | Q(height=None)

    def holds(self, height: int | None) -> bool:
        """Whether a picture of this height belongs here."""
        return self.least <= (height or 0) and (self.end is None or (height or 0) < self.end)


TREE: Final = (
    Category(
        MOVIES,
        "Movies",
        (
            Category(2030, "Movies/SD"),
            Category(2040, "Movies/HD"),
            Category(2045, "Movies/UHD"),
        ),
    ),
    Category(
        TV,
        "TV",
        (
            Category(5030, "TV/SD"),
            Category(5040, "TV/HD"),
            Category(5045, "TV/UHD"),
            Category(ANIME, "TV/Anime"),
        ),
    ),
)
# The limits of «720p» and «2160p» in release names: a category never contradicts the name.
BANDS: Final = (
    Band(1800, None, 5045, 2045),
    Band(650, 1800, 5040, 2040),
    Band(0, 650, 5030, 2030),
)
DECLARED: Final = frozenset(
    category.id for parent in TREE for category in (parent, *parent.children)
)


def carried(*, film: bool, height: int | None) -> tuple[int, int]:
    """The categories of a release: its kind's, then its quality's."""
    band = next(band for band in BANDS if band.holds(height))
    return (MOVIES, band.films) if film else (ANIME, band.episodes)


def is_asked(categories: Iterable[int], asked: Collection[int]) -> bool:
    """Whether a release with these categories answers a request; asking for a parent asks for its children."""
    return not asked or any(one in asked or _parent(one) in asked for one in categories)


def asks_for_episodes(asked: Collection[int]) -> bool:
    """Whether an episode can be among what is asked for."""
    return not asked or any(_parent(one) == TV for one in known(asked))


def asks_for_films(asked: Collection[int]) -> bool:
    """Whether a film can be among what is asked for."""
    return not asked or any(_parent(one) == MOVIES for one in known(asked))


def known(asked: Iterable[int]) -> frozenset[int]:
    """Those of the asked categories that a release here can have."""
    return DECLARED.intersection(asked)


def condition(asked: Collection[int]) -> Q:
    """The records of the feed that `is_asked` accepts."""
    if not asked:
        return Q()
    episodes = Q() if {TV, ANIME} & set(asked) else _any(b for b in BANDS if b.episodes in asked)
    films = Q() if MOVIES in asked else _any(b for b in BANDS if b.films in asked)
    # Where only films are asked for that is the whole condition: then an index of films alone can answer.
    if not asks_for_episodes(asked):
        return OF_FILMS & films
    if not asks_for_films(asked):
        return ~OF_FILMS & episodes
    return (OF_FILMS & films) | (~OF_FILMS & episodes)


def _any(bands: Iterable[Band]) -> Q:
    """Records whose height is in one of the bands."""
    found = Q(pk__in=[])
    for band in bands:
        found |= band.condition
    return found


def _parent(category: int) -> int:
    return category - category % 1000
