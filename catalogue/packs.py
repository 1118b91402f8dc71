"""Season packs: a season as one release, for as long as nothing of it is missing.

A client refuses a pack of which an episode has not aired, and finishes importing one only when it has every episode
that it knows of the season. So three things are asked for: the season's page lists the episodes from 1 on, all of them
in the language; each of them is there; and the season is over, with just these episodes, in the eyes of the service that
clients have their numbers from. Where that service does not know, the site itself has to show that the season is over.

The first two are facts of the records and kept with them (`settle`); the third changes with the calendar and is asked
when a pack would be offered (`agrees`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalogue.metadata import Show
from catalogue.models import AvailabilityRecord
from catalogue.sites.base import EpisodeFacts

FIRST_YEAR = 1900
"""From here on a season is a year: daily shows have no packs."""
Place = tuple[str, int]
"""A slug and a season."""


def listed(rows: Iterable[EpisodeFacts], language: str) -> int | None:
    """How many episodes a season page lists, where none is missing and all are in the language; else None.

    A gap, or a first number that is not 1, means that the site lacks something or counts otherwise.
    """
    offered = {row.episode: language in row.languages for row in rows if row.season}
    whole = offered.keys() == set(range(1, len(offered) + 1))
    return len(offered) if offered and whole and all(offered.values()) else None


def settle(site_id: str, places: Collection[Place], now: datetime) -> None:
    """Bring the records of these seasons into line with those of their episodes; while nobody else records them.

    `complete_since` stays for as long as the pack has the same episodes and none of them was gone.
    """
    rows = AvailabilityRecord.objects.filter(
        site_id=site_id,
        slug__in={slug for slug, _ in places},
        season__in={season for _, season in places},
        episode=None,
    )
    seasons = [
        row
        for row in rows
        if (row.slug, row.season) in places and (row.listed or row.complete_since)
    ]
    if not seasons:
        return
    episodes = _episodes(site_id, seasons)
    for row in seasons:
        there = episodes.get((row.slug, row.season, row.language), {})
        values = _values(row, there, now)
        if any(getattr(row, name) != value for name, value in values.items()):
            AvailabilityRecord.objects.filter(pk=row.pk).update(**values)


def _episodes(
    site_id: str, seasons: Sequence[AvailabilityRecord]
) -> dict[tuple[str, int, str], dict[int, AvailabilityRecord]]:
    rows = AvailabilityRecord.objects.filter(
        site_id=site_id,
        slug__in={row.slug for row in seasons},
        season__in={row.season for row in seasons},
        language__in={row.language for row in seasons},
        episode__gt=0,
        is_available=True,
    ).only("slug", "season", "language", "episode", *_QUALITY)
    found: dict[tuple[str, int, str], dict[int, AvailabilityRecord]] = {}
    for row in rows:
        of_season = found.setdefault((row.slug, row.season, row.language), {})
        of_season[row.episode or 0] = row
    return found


_QUALITY = ("height", "vcodec", "size_bytes", "duration_seconds", "estimated")


def _values(
    row: AvailabilityRecord, there: Mapping[int, AvailabilityRecord], now: datetime
) -> dict[str, Any]:
    """What the record of a season has to say, given those of its episodes that are there."""
    count = row.listed if row.is_available else None
    of_pack = [there[number] for number in range(1, (count or 0) + 1) if number in there]
    if not count or len(of_pack) < count:
        return {"episodes": None, "complete_since": None}
    # One release has one quality: it promises no more than its weakest episode has.
    weakest = min(of_pack, key=lambda one: one.height or 0)
    return {
        "episodes": count,
        "complete_since": row.complete_since if row.episodes == count else now,
        "height": weakest.height,
        "vcodec": weakest.vcodec,
        "size_bytes": _whole([one.size_bytes for one in of_pack]),
        "duration_seconds": _seconds([one.duration_seconds for one in of_pack]),
        "estimated": any(one.estimated for one in of_pack),
    }


def _whole(sizes: Sequence[int | None]) -> int | None:
    """All of them together; the unknown ones are as big as the others are on average."""
    known = [size for size in sizes if size]
    total = sum(known) * len(sizes) // len(known) if known else 0
    return total if 0 < total < 2**63 else None


def _seconds(lengths: Sequence[float | None]) -> float | None:
    known = [length for length in lengths if length and length > 0]
    return sum(known) / len(known) * len(lengths) if known else None


@dataclass(frozen=True, slots=True)
class Pack:
    """The record of a season whose episodes are all there, and believed to be."""

    record: AvailabilityRecord
    episodes: int


def of_season(records: Iterable[AvailabilityRecord], season: int) -> list[Pack]:
    """The languages in which nothing of a season is missing; `records` are those of the title that are still believed."""
    if not 0 < season < FIRST_YEAR:
        return []
    whole: list[AvailabilityRecord] = []
    there: dict[str, set[int]] = {}
    for row in records:
        if row.season != season or not row.is_available:
            continue
        if row.episode is None:
            whole.append(row)
        else:
            there.setdefault(row.language, set()).add(row.episode)
    return [
        Pack(row, row.episodes)
        for row in whole
        if row.episodes
        and row.complete_since
        and there.get(row.language, set()).issuperset(range(1, row.episodes + 1))
    ]


def agrees(show: Show | None, season: int, episodes: int, now: datetime) -> bool | None:
    """Whether clients know the season to be over, with the episodes 1 to `episodes`; None where nobody can say.

    An episode without a date counts as one that has not aired, as it does for Sonarr.
    """
    if show is None or not show.episodes:
        return None
    of_season = [one for one in show.episodes if one.season == season]
    if any(one.aired_at is None or one.aired_at > now for one in of_season):
        return False
    return {one.episode for one in of_season} == set(range(1, episodes + 1))
