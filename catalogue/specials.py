"""Specials: a site's films in the site's own order against the numbers under which Sonarr knows them.

The source is what the site hosts (season 0 and the film's index), the alias is what a client expects when it imports.
Scores and thresholds are the seed's ("AniWorld Specials Mapping").
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anibridge.lib.text import fold
from catalogue.metadata import Show, ShowEpisode
from catalogue.sites.base import EpisodeFacts

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"\b(?:part|teil)\s*(\d{1,3})\b")
_TAG = re.compile(r"\[[^\]]*\]")
SAME_NUMBER = 0.10
PART_WEIGHT = 0.30


@dataclass(frozen=True, slots=True)
class SpecialMapping:
    """A film of the site and the episode that it is; `score` is how sure that is (0..1)."""

    source_season: int
    source_episode: int
    alias_season: int
    alias_episode: int
    score: float


def title_score(left: str, right: str) -> float:
    """How well `right` says what `left` says, 0..1: coverage, overlap, containment, and equal «Part N»."""
    a, b = _plain(left), _plain(right)
    mine, other = set(_WORD.findall(a)), set(_WORD.findall(b))
    if not mine or not other:
        return 0.0
    shared = mine & other
    contained = mine <= other or other <= mine
    value = 0.55 * len(shared) / len(mine) + 0.25 * len(shared) / len(mine | other)
    value += 0.20 * contained
    parts = set(_PART.findall(a)), set(_PART.findall(b))
    if all(parts):
        value += PART_WEIGHT if parts[0] & parts[1] else -PART_WEIGHT
    return min(max(value, 0.0), 1.0)


def for_request(
    show: Show, season: int, episode: int, films: Sequence[EpisodeFacts], *, threshold: float
) -> SpecialMapping | None:
    """The film that is the episode asked for by number; None when none resembles it enough."""
    wanted = next((e for e in show.episodes if (e.season, e.episode) == (season, episode)), None)
    return None if wanted is None else _best_film(wanted, films, threshold)


def for_query(
    show: Show, query: str, films: Sequence[EpisodeFacts], *, threshold: float
) -> SpecialMapping | None:
    """The film that a free-text query means, by way of the show's specials; None when it means none of them.

    The series' own words are left out of the query: every special would share them.
    """
    words = set(_WORD.findall(_plain(show.title)))
    rest = " ".join(word for word in _WORD.findall(_plain(query)) if word not in words)
    if not rest:
        return None
    scored = [(title_score(rest, e.title), e) for e in show.episodes if e.season == 0]
    score, wanted = max(scored, key=lambda one: one[0], default=(0.0, None))
    if wanted is None or score < max(0.25, threshold - 0.10):
        return None
    return _best_film(wanted, films, threshold)


def _best_film(
    wanted: ShowEpisode, films: Iterable[EpisodeFacts], threshold: float
) -> SpecialMapping | None:
    best: SpecialMapping | None = None
    for film in films:
        score = max((title_score(wanted.title, name) for name in _names(film)), default=0.0)
        if not score:
            continue  # an equal number alone says nothing: the site counts in its own order
        score = min(score + SAME_NUMBER * (film.episode == wanted.episode), 1.0)
        if best is None or score > best.score:
            best = SpecialMapping(
                film.season, film.episode, wanted.season, wanted.episode, round(score, 4)
            )
    return best if best and best.score >= max(0.25, threshold - 0.15) else None


def _names(film: EpisodeFacts) -> list[str]:
    german, english = film.german_title, film.english_title
    return [name for name in (german, english, f"{german} {english}".strip()) if name]


def _plain(text: str) -> str:
    """Case and accents off; the site's tags («[Movie]», «[OVA]») are no part of a title."""
    return fold(_TAG.sub(" ", text)).casefold()
