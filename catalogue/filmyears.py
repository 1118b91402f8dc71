"""When the films of a series were made. Pure, except for `learnt`.

A list of films has no years. A film's own stands in brackets behind its name; a title that is nothing but one film has
its title's; else it is the date of the special of just that name, where the metadata service knows the series.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from anibridge.lib.text import without_controls
from catalogue import filmnames
from catalogue.filmlists import Films, Key
from catalogue.metadata import Show
from catalogue.models import Film
from catalogue.releases import MAX_NUMBER
from catalogue.sites.base import EpisodeFacts
from catalogue.words import parse

MAX_NAME = 300
Named = tuple[int, str, str]
"""A film's number and its names, German and English: another name under the same number is another film."""


def clean(name: str) -> str:
    """A name as a column holds it."""
    return without_controls(name).strip()[:MAX_NAME]


def named(film: EpisodeFacts) -> Named:
    """The film as it is remembered."""
    return film.episode, clean(film.german_title), clean(film.english_title)


def numbered(films: Films) -> list[EpisodeFacts]:
    """Those of a list that have a number which can be asked for."""
    return [film for film in films if 0 <= film.episode < MAX_NUMBER]


def is_alone(films: Sequence[EpisodeFacts], seasons: Iterable[int]) -> bool:
    """Whether a title with these seasons is nothing but the one film."""
    return len(films) == 1 and tuple(seasons) == (0,)


def namesake(films: Sequence[EpisodeFacts], names: Iterable[str]) -> EpisodeFacts | None:
    """The film that is called like its title."""
    known = {parse(name).text for name in names}
    for film in films:
        written = filmnames.written(film.german_title, film.english_title)
        if any(parse(name).text in known for name in written):
            return film
    return None


def aired(film: EpisodeFacts, series: Sequence[str], show: Show | None) -> int | None:
    """The year of the special that is called just like the film; `series` is what the series is called."""
    names = filmnames.written(film.german_title, film.english_title)
    years = {
        one.aired_at.year
        for one in (show.episodes if show else ())
        if one.season == 0 and one.aired_at and filmnames.likeness(one.title, names, series).exact
    }
    return years.pop() if len(years) == 1 else None


def of_series(
    films: Sequence[EpisodeFacts],
    *,
    series: str,
    names: Iterable[str],
    show: Callable[[], Show | None],
) -> dict[int, int]:
    """The years of a series' films by number, those that can be known.

    `names` are the title's; `show` is asked only when a film's name does not say when it was made.
    """
    like_title = namesake(films, names)
    years: dict[int, int] = {}
    for film in films:
        names_of = filmnames.written(film.german_title, film.english_title)
        year = filmnames.year_in(*names_of)
        if year is None and names_of and film is not like_title:
            year = aired(film, [series], show())
        if year is not None:
            years[film.episode] = year
    return years


def learnt(titles: Iterable[Key]) -> Mapping[Key, Mapping[Named, int]]:
    """The years that were learnt of the films of these titles; one query for all."""
    wanted = set(titles)
    if not wanted:
        return {}
    rows = Film.objects.filter(
        title__site_id__in={site_id for site_id, _ in wanted},
        title__slug__in={slug for _, slug in wanted},
        year__isnull=False,
    ).order_by()
    found: dict[Key, dict[Named, int]] = {}
    fields = ("title__site_id", "title__slug", "number", "german_title", "english_title", "year")
    for site_id, slug, number, german, english, year in rows.values_list(*fields):
        if year is not None:
            found.setdefault((site_id, slug), {})[number, german, english] = year
    return found
