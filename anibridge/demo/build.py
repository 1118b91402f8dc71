"""Short words for writing the demo's titles down: hosts in their usual order, seasons, films."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from anibridge.demo.model import (
    DASH_HOST,
    ENGLISH_DUB,
    ENGLISH_SUB,
    GERMAN_DUB,
    GERMAN_SUB,
    HLS_HOST,
    Episode,
    Fault,
    Host,
    Season,
)
from anibridge.demo.videos import Video

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = timedelta(days=7)

GOOD = (Host("VOE"), Host("Filemoon"), Host("Streamtape"))
MANY = (Host("VOE"), Host("Vidmoly"), Host("Doodstream"), Host("Filemoon"))
FEW = (Host("Streamtape"), Host("Doodstream"))
WITH_HLS = (Host("VOE"), Host(HLS_HOST), Host("Filemoon"))
HLS_ONLY = (Host(HLS_HOST),)
DASH_ONLY = (Host(DASH_HOST),)
ALL_BROKEN = (
    Host("VOE", Fault.MISSING),
    Host("Filemoon", Fault.NO_VIDEO),
    Host("Streamtape", Fault.FAKE_VIDEO),
    Host("Vidmoly", Fault.LOOP),
    Host("Doodstream", Fault.SILENT),
)

ALL = (GERMAN_DUB, GERMAN_SUB, ENGLISH_DUB, ENGLISH_SUB)
SUBS = (GERMAN_SUB, ENGLISH_SUB)


def broken_first(fault: Fault, *others: Host) -> tuple[Host, ...]:
    """A broken VOE before good hosts."""
    return (Host("VOE", fault), *(others or GOOD[1:]))


def berlin(year: int, month: int, day: int, hour: int = 20, minute: int = 15) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=BERLIN)


def season(
    number: int,
    names: Iterable[tuple[str, str]],
    languages: tuple[str, ...],
    video: Video,
    first: datetime,
    *,
    hosts: tuple[Host, ...] = GOOD,
    every: timedelta = WEEK,
    special: dict[int, tuple[Host, ...]] | None = None,
    spoken: dict[int, tuple[str, ...]] | None = None,
) -> Season:
    """A season of (German, English) names, one episode a week; `special` and `spoken` are what differs."""
    episodes = tuple(
        Episode(
            number=index,
            german=german,
            english=english,
            languages=(spoken or {}).get(index, languages),
            hosts=(special or {}).get(index, hosts),
            video=video,
            published=first + every * (index - 1),
        )
        for index, (german, english) in enumerate(names, 1)
    )
    return Season(number, episodes)


def film(
    name: str,
    languages: tuple[str, ...],
    video: Video,
    published: datetime,
    hosts: tuple[Host, ...],
) -> tuple[Season, Season]:
    """An open film twice: among the films, and as the only episode of season 1, where a TV client looks for it.

    The film row has no German title, as usual on the real page.
    """
    return (
        season(0, [("", f"{name} [Movie]")], languages, video, published),
        season(1, [(name, name)], languages, video, published, hosts=hosts),
    )
