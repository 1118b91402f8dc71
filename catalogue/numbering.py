"""Absolute episode numbers, as anime is counted, and season with episode, as Sonarr and the sites file it."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalogue.metadata import Show


@dataclass(frozen=True, slots=True)
class Numbering:
    """Both directions for one title. `counted` says that it was counted, not looked up."""

    to_episode: Mapping[int, tuple[int, int]]
    counted: bool

    def episode(self, absolute: int) -> tuple[int, int] | None:
        """(season, episode) of an absolute number."""
        return self.to_episode.get(absolute)

    def absolute(self, season: int, episode: int) -> int | None:
        """The absolute number of an episode; None for specials and unknown ones."""
        return next((n for n, at in self.to_episode.items() if at == (season, episode)), None)


def from_show(show: Show) -> Numbering | None:
    """What the metadata says; None when it numbers nothing absolutely."""
    numbers = {
        e.absolute: (e.season, e.episode) for e in show.episodes if e.absolute and e.season > 0
    }
    return Numbering(numbers, counted=False) if numbers else None


def from_seasons(seasons: Mapping[int, int]) -> Numbering:
    """Counted from a site's seasons: season number → its highest episode number. Films do not count.

    A season that is missing in between makes later numbers unknowable, so counting stops before the gap.
    """
    numbers: dict[int, tuple[int, int]] = {}
    expected = 1
    for season in sorted(number for number in seasons if number > 0):
        if season != expected:
            break
        for episode in range(1, seasons[season] + 1):
            numbers[len(numbers) + 1] = (season, episode)
        expected += 1
    return Numbering(numbers, counted=True)
