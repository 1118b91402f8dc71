"""From the client's numbers to the site's: specials that a site lists in an order of its own, and absolute numbers.

What the metadata service knows decides. Where it does not answer, or does not know the show, the site's own numbers
are taken, or nothing where that would be a guess.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from django.conf import settings
from django.db.models import Count, Max, Q

from catalogue import filmlists, numbering, specials
from catalogue.filmlists import Films
from catalogue.metadata import Show, ShowEpisode
from catalogue.models import AvailabilityRecord, Site
from catalogue.queries import holds_number, prefixes, split_absolute, split_season
from catalogue.releases import MAX_NUMBER
from catalogue.resolving import Asked, Target, exact_titles, names_with
from catalogue.results import Answered
from catalogue.shows import Shows
from catalogue.sites import get_adapter

SEASONS_READ = 8
"""Seasons that one search reads to count the episodes before a number; the next one goes on from there."""
Read = Callable[[Sequence[Target]], bool]
"""Reads the pages of seasons; whether any was worth reading."""
_Counts = Mapping[tuple[str, str], Mapping[int, int]]
"""Per title the highest episode of each season."""


def absolute_in(query: str, sites: Sequence[Site]) -> tuple[str, int] | None:
    """«Title 05» as title and absolute number, where the index has the title and none that has the number in its
    name («Mob Psycho 100»)."""
    found = split_absolute(query)
    if found is None or any(holds_number(name, found[1]) for name in names_with(query, sites)):
        return None
    return found if exact_titles(found[0], sites) else None


def special_in(query: str, sites: Sequence[Site]) -> tuple[str, str] | None:
    """«Title Words Of A Special» as title and words, where the index has the title and nothing called like both."""
    cuts = prefixes(query)
    if not cuts or split_season(query) or exact_titles(query, sites):
        return None
    return next((cut for cut in cuts if exact_titles(cut[0], sites)), None)


def by_absolute(
    asked: Asked, targets: Sequence[Target], answered: Answered, read: Read
) -> list[Target]:
    """The targets with the season and episode that the absolute number stands for; without those where it says nothing.

    Where nobody knows, `read` is asked to look at the seasons that come before and were never read.
    """
    number = asked.absolute
    if number is None:
        return list(targets)
    table = numbering.from_show(asked.show) if asked.show else None
    counts = {} if table else _counts(targets)
    if not table and not any(_counted(target, counts, number) for target in targets):
        unread = _unread(targets, counts, number)
        if unread and read(unread):
            counts = _counts(targets)
    found: list[Target] = []
    for target in targets:
        place = table.episode(number) if table else _counted(target, counts, number)
        own = get_adapter(target.site.pk).own_season(target.slug)
        if place is not None and own in (None, place[0]):
            season, episode = place
            found.append(replace(target, season=season, episode=episode, absolute=number))
        else:
            note = f"episode {number} by absolute count is not known to be in it"
            _pass_over(target, note, answered)
    return found


def _unread(targets: Sequence[Target], counts: _Counts, number: int) -> list[Target]:
    """The seasons before the last one that no page was read of, the first ones first, as targets of their own."""
    if not 0 < number < MAX_NUMBER:
        return []
    missing = [
        replace(target, season=season, episode=None)
        for target in targets
        for season in range(1, max(target.seasons, default=0))
        if season in target.seasons and season not in counts.get(target.key, {})
    ]
    return sorted(missing, key=lambda one: one.season or 0)[:SEASONS_READ]


def _counted(target: Target, counts: _Counts, number: int) -> tuple[int, int] | None:
    """By the site's own seasons: as far as their pages were read, and into the last one that it is known to have."""
    known = numbering.from_seasons(counts.get(target.key, {}))
    if place := known.episode(number):
        return place
    last = max(target.seasons, default=0)
    before = {season for season, _ in known.to_episode.values() if season < last}
    if not last or before != set(range(1, last)):
        return None
    return last, number - sum(season < last for season, _ in known.to_episode.values())


def _counts(targets: Sequence[Target]) -> dict[tuple[str, str], dict[int, int]]:
    """Per title the highest episode of each season whose page was read whole; one query."""
    there = Q(is_available=True)
    rows = (
        AvailabilityRecord.objects.filter(
            there,
            site_id__in={target.site.pk for target in targets},
            slug__in={target.slug for target in targets},
            season__gt=0,
        )
        .values("site_id", "slug", "season")
        .annotate(highest=Max("episode"), whole=Count("pk", filter=Q(episode=None)))
        .filter(whole__gt=0, highest__isnull=False)
    )
    counts: dict[tuple[str, str], dict[int, int]] = {}
    for row in rows:
        counts.setdefault((row["site_id"], row["slug"]), {})[row["season"]] = row["highest"]
    return counts


def by_special(
    asked: Asked,
    targets: Sequence[Target],
    shows: Shows,
    *,
    deadline: float,
    answered: Answered,
    words: str = "",
) -> list[Target]:
    """The targets with the site's number of the special that is meant, by its number or by `words`.

    A show that is known decides: a special that no film of the site resembles is not there. A season 0 without an
    episode becomes every film that is one of the show's specials.
    """
    show = asked.show or _show_of(asked, targets, shows)
    answered.show = answered.show or show
    if not shows.answers:
        answered.troubles["metadata"] = shows.trouble
    if not targets or (show is None and not words):
        return list(targets)
    films = filmlists.read(
        [target.key_with_site for target in targets], deadline=deadline, answered=answered
    )
    found: list[Target] = []
    for target in targets:
        listed = films.get(target.key)
        if listed is None:
            continue
        mapped = _mapped(show or _show_of_films(target.name, listed), asked, listed, words)
        if not mapped:
            _pass_over(target, "none of its films is the special that is meant", answered)
        elif asked.episode is None and not words:
            found.append(replace(target, season=0, aliases=mapped))
        else:
            (episode, alias) = next(iter(mapped.items()))
            found.append(replace(target, season=0, episode=episode, aliases={episode: alias}))
    return found


def _mapped(show: Show, asked: Asked, films: Films, words: str) -> dict[int, tuple[int, int]]:
    """The site's number → the client's, of what is asked for."""
    threshold = settings.SPECIALS_MATCH_THRESHOLD
    if words:
        one = specials.for_query(show, words, films, threshold=threshold)
        found = [one] if one else []
    else:
        numbers = [e.episode for e in show.episodes if e.season == 0]
        wanted = numbers if asked.episode is None else [asked.episode]
        maybe = (specials.for_request(show, 0, n, films, threshold=threshold) for n in wanted)
        # Where two specials resemble the same film, it is the one that it resembles more.
        found = sorted((one for one in maybe if one), key=lambda one: one.score)
    return {one.source_episode: (one.alias_season, one.alias_episode) for one in found}


def _show_of(asked: Asked, targets: Sequence[Target], shows: Shows) -> Show | None:
    names = [asked.query, *(target.asked for target in targets), *(t.name for t in targets)]
    told = list(dict.fromkeys(name for name in names if name))
    return shows.by_title(told, asked.year) if told else None


def _show_of_films(name: str, films: Films) -> Show:
    """Stands in for a show that is not known: its specials are the site's films, under the site's numbers."""
    return Show(
        0,
        name,
        episodes=tuple(
            ShowEpisode(0, film.episode, None, film.english_title or film.german_title)
            for film in films
        ),
    )


def _pass_over(target: Target, note: str, answered: Answered) -> None:
    for one in answered.site(target.site.pk).titles:
        if one.slug == target.slug and one.taken:
            one.taken, one.note = False, note
