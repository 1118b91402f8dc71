"""Who is playing what right now, for people: titles instead of slugs, and how fast the bytes go."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.utils import timezone

from catalogue.models import Title
from downloads.orders import LINK_SITE
from strm.models import FormerPlaybacks, LinkAddress, StreamSession

SHOWN: Final = 50
WINDOW_SECONDS: Final = 30.0
_KEY: Final = "strm-speeds"
_KEPT_SECONDS: Final = 120

Sample = tuple[float, int]
"""When (Unix time), and bytes sent so far."""


@dataclass(frozen=True, slots=True)
class Playing:
    """A playback under way. `speed` is in bytes a second, over about half a minute."""

    session: StreamSession
    title: str
    speed: int

    @property
    def number(self) -> str:
        """`S01E02`; empty for a film or what has no number."""
        if self.session.episode is None or self.session.identity.is_film:
            return ""
        return f"S{self.session.season:02}E{self.session.episode:02}"


def playing() -> list[Playing]:
    """The newest playbacks that are under way. Three or four cheap questions, however many they are."""
    now = timezone.now()
    rows = list(StreamSession.objects.playing(now)[:SHOWN])
    names, speeds = _names(rows), _speeds(rows, now)
    return [
        Playing(row, names.get((row.site, row.slug), row.slug), speeds[row.key]) for row in rows
    ]


def _names(rows: Iterable[StreamSession]) -> dict[tuple[str, str], str]:
    wanted = {(row.site, row.slug) for row in rows}
    if not wanted:
        return {}
    which = Q()
    for site, slug in wanted:
        which |= Q(site_id=site, slug=slug)
    found = Title.objects.filter(which).values_list("site_id", "slug", "name")
    names = {(site, slug): name for site, slug, name in found}
    pushed = [slug for site, slug in wanted if site == LINK_SITE]
    if pushed:
        of_links = LinkAddress.objects.filter(slug__in=pushed).exclude(title="")
        names |= {(LINK_SITE, slug): title for slug, title in of_links.values_list("slug", "title")}
    return names


def _speeds(rows: Iterable[StreamSession], now: datetime) -> dict[str, int]:
    """By what was sent when somebody looked before; at the first look, since the beginning.

    The rows are written every few seconds, so that two looks in between must not come to «nothing».
    """
    moment = now.timestamp()
    before: dict[str, list[Sample]] = cache.get(_KEY) or {}
    samples: dict[str, list[Sample]] = {}
    for row in rows:
        seen = [one for one in before.get(row.key, []) if one[0] > moment - 2 * WINDOW_SECONDS]
        if not seen:
            seen = [(row.started_at.timestamp(), 0)]
        recent = [one for one in seen if one[0] > moment - WINDOW_SECONDS]
        # One sample from before the window is its left edge.
        samples[row.key] = [
            *(seen[-len(recent) - 1 : -len(recent)] if recent else seen[-1:]),
            *recent,
        ]
        samples[row.key].append((moment, row.bytes_sent))
    if samples:
        cache.set(_KEY, samples, _KEPT_SECONDS)
    return {key: _speed(of) for key, of in samples.items()}


def _speed(samples: list[Sample]) -> int:
    (began, first), (until, last) = samples[0], samples[-1]
    return max(int((last - first) / max(until - began, 1.0)), 0)


@dataclass(frozen=True, slots=True)
class Totals:
    """What all playbacks came to since the beginning, and how many of each kind and from each host are under way."""

    playbacks: int
    bytes_sent: int
    errors: int
    active: dict[str, int]
    hosts: dict[str, int]
    """The SHOWN hosts from which most of them come."""


def totals() -> Totals:
    """Four questions. The totals never go back: what is forgotten was added up before."""
    came: dict[str, int] = StreamSession.objects.aggregate(
        playbacks=Count("pk"),
        bytes_sent=Sum("bytes_sent", default=0),
        errors=Sum("errors", default=0),
    )
    former = FormerPlaybacks.objects.filter(pk=1).values(*came).first() or {}
    playing = StreamSession.objects.playing(timezone.now()).order_by()
    active = playing.values_list("kind")
    hosts = playing.exclude(host="").values_list("host").annotate(count=Count("pk"))
    return Totals(
        **{name: count + former.get(name, 0) for name, count in came.items()},
        active={kind or "unknown": count for kind, count in active.annotate(count=Count("pk"))},
        hosts=dict(hosts.order_by("-count", "host")[:SHOWN]),
    )
