"""What a search answers: releases in order, and why these."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from catalogue.matching import Score
from catalogue.metadata import Show
from catalogue.releases import Identity, Release
from catalogue.sites import get_adapter

CACHE: Literal["cache"] = "cache"
PROBE: Literal["probe"] = "probe"
ENTRY_FIELDS = (
    "pk", "site_id", "slug", "season", "episode", "language", "host", "height", "vcodec", "size_bytes",
    "duration_seconds", "estimated", "first_seen_at",
)  # fmt: skip
"""What an entry says of its availability record."""


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """One available release of one site (the seed's projection); `asked` is the title the client used.

    `season` and `episode` are the site's own; for a special, the alias is what the client calls it, and for an
    episode that was asked for by its absolute number, `absolute` is that. Without an episode it is the whole season,
    of `episodes` episodes: size and duration are those of all of them, the quality is the weakest one's. A `film` is
    offered as one, whatever its number on the site.
    """

    site_id: str
    priority_rank: int
    slug: str
    title: str
    season: int
    episode: int | None
    language: str
    host: str
    height: int | None
    vcodec: str
    size_bytes: int | None
    duration_seconds: float | None
    estimated: bool
    first_seen_at: datetime
    asked: str = ""
    alias_season: int | None = None
    alias_episode: int | None = None
    absolute: int | None = None
    year: int | None = None
    episodes: int | None = None
    film: bool = False
    imdb_id: str = ""
    """A film's own («tt0133093»), where it was learnt."""
    site_url: str = ""
    """The base URL of its site; empty where that is not known."""
    record_id: int = field(default=0, compare=False)
    origin: Literal["cache", "probe"] = field(default=CACHE, compare=False)
    """Whether it was remembered, or this search asked the site for it."""

    @property
    def alias(self) -> tuple[int, int] | None:
        """Season and episode under which the client knows a special that the site counts otherwise."""
        if self.alias_season is None or self.alias_episode is None:
            return None
        return self.alias_season, self.alias_episode

    @property
    def is_film(self) -> bool:
        """Whether it is called a film, not an episode."""
        return self.film or (self.season == 0 and self.episode == 0 and self.alias is None)

    @property
    def release(self) -> Release:
        """Its release: the name carries the title that was asked for, so that the client recognises it."""
        adapter = get_adapter(self.site_id)
        return Release(
            identity=Identity(self.site_id, self.slug, self.season, self.episode, self.language),
            title=self.asked or self.title,
            group=adapter.release_group,
            original_language=adapter.original_language,
            height=self.height,
            vcodec=self.vcodec or None,
            year=self.year,
            alias=None if self.film else self.alias,
            film=self.film,
        )

    @property
    def standing(self) -> tuple[int, float]:
        """Where it stands in an answer: by its site's priority, then the newest first."""
        return self.priority_rank, -self.first_seen_at.timestamp()

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands in the feed; pages that follow are anchored there."""
        return self.first_seen_at, self.record_id


def entry_of(
    row: Any,
    *,
    rank: int = 0,
    title: str,
    asked: str = "",
    year: int | None = None,
    site_url: str = "",
) -> ResultEntry:
    """The entry of an availability record, or of a row with ENTRY_FIELDS."""
    return ResultEntry(
        site_id=row.site_id, priority_rank=rank, slug=row.slug, title=title, season=row.season,
        episode=row.episode, language=row.language, host=row.host, height=row.height,
        vcodec=row.vcodec, size_bytes=row.size_bytes, duration_seconds=row.duration_seconds,
        estimated=row.estimated, first_seen_at=row.first_seen_at, asked=asked, year=year,
        site_url=site_url, record_id=row.pk,
    )  # fmt: skip


@dataclass(slots=True)
class Considered:
    """A title that was weighed. `via` says how it was come by: index, suggestion, or IMDb id.

    `note` says why an accepted one was passed over all the same; empty for those that were taken.
    """

    slug: str
    name: str
    query: str
    score: Score
    via: str = "index"
    taken: bool = False
    note: str = ""

    def explained(self) -> dict[str, Any]:
        """For JSON."""
        score = self.score
        return {
            "slug": self.slug, "name": self.name, "query": self.query, "via": self.via,
            "taken": self.taken, "note": self.note, "value": round(score.value, 3),
            "exact": score.exact, "contained": score.contained, "f1": round(score.f1, 3),
            "precision": round(score.precision, 3), "recall": round(score.recall, 3),
            "ratio": round(score.ratio, 3), "accepted": score.accepted, "reason": score.reason,
        }  # fmt: skip


@dataclass(slots=True)
class SiteReport:
    """What one site had to do with a search: how long it was asked for, and which titles of it were weighed."""

    milliseconds: float = 0.0
    titles: list[Considered] = field(default_factory=list)


@dataclass(slots=True)
class Answered:
    """What a search found, and which sites could not be asked in time or at all (site id → words).

    The key «metadata» among the troubles is the service that knows ids and numbers. The rest says how the answer
    came about.
    """

    entries: list[ResultEntry] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)
    sites: dict[str, SiteReport] = field(default_factory=dict)
    show: Show | None = None
    milliseconds: float = 0.0

    def site(self, site_id: str) -> SiteReport:
        """The report of a site, begun where there is none."""
        return self.sites.setdefault(site_id, SiteReport())

    def add(self, trial: "Answered", *, counts: bool) -> None:
        """Take over what a trial cost; where it `counts`, also what it weighed and which show it was about."""
        self.troubles |= trial.troubles
        for site_id, report in trial.sites.items():
            mine = self.site(site_id)
            mine.milliseconds += report.milliseconds
            if counts:
                mine.titles += report.titles
        if counts:
            self.show = self.show or trial.show

    def rows(self) -> list[dict[str, Any]]:
        """The results for JSON, each with what its title was matched by."""
        return [self._row(entry) for entry in self.entries]

    def _row(self, entry: ResultEntry) -> dict[str, Any]:
        titles = self.site(entry.site_id).titles
        matched = next((one for one in titles if one.taken and one.slug == entry.slug), None)
        release = entry.release
        return {
            "site": entry.site_id,
            "priority_rank": entry.priority_rank,
            "title": entry.title,
            "release": release.name,
            "slug": entry.slug,
            "season": entry.season,
            "episode": entry.episode,
            "alias": list(entry.alias) if entry.alias else None,
            "absolute": entry.absolute,
            "episodes": entry.episodes,
            "film": entry.is_film,
            "year": entry.year,
            "language": entry.language,
            "host": entry.host,
            "height": entry.height,
            "codec": entry.vcodec,
            "size_bytes": entry.size_bytes,
            "duration_seconds": entry.duration_seconds,
            "estimated": entry.estimated,
            "first_seen_at": entry.first_seen_at,
            "origin": entry.origin,
            "infohash": release.infohash,
            "magnet": release.magnet,
            "matched": matched.explained() if matched else None,
        }

    def explained(self) -> dict[str, Any]:
        """The reasons, for JSON: per site time, titles with their scores, cache or probe, troubles."""
        show = self.show
        named = {"tvdb_id": show.tvdb_id, "title": show.title, "year": show.year} if show else None
        return {
            "milliseconds": round(self.milliseconds, 1),
            "show": named,
            "troubles": dict(self.troubles),
            "sites": [
                {
                    "site": site_id,
                    "milliseconds": round(report.milliseconds, 1),
                    "trouble": self.troubles.get(site_id, ""),
                    "cached": self._count(site_id, CACHE),
                    "probed": self._count(site_id, PROBE),
                    "titles": [one.explained() for one in report.titles],
                }
                for site_id, report in self.sites.items()
            ],
        }

    def _count(self, site_id: str, origin: str) -> int:
        return sum(one.site_id == site_id and one.origin == origin for one in self.entries)
