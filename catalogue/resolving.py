"""Which titles of which sites a search means: by name, by the show that an id stands for, by IMDb id; with fallbacks.

The index is asked first. Only where none of the sites has the title, their own search is asked, and then the sites
that are a fallback themselves.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from catalogue import learning, suggesting
from catalogue.index import current
from catalogue.matching import Hit, Score
from catalogue.metadata import Show
from catalogue.models import Site, Title
from catalogue.queries import split_season, split_year
from catalogue.results import Answered, Considered
from catalogue.shows import Ids
from catalogue.sites import get_adapter

TITLES_PER_SITE = 3
HITS_PER_SITE = 20
NEAR_MISSES = 5
_IMDB = re.compile(r"(?:tt)?0*(\d{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a search is about, in the client's terms."""

    query: str = ""
    season: int | None = None
    episode: int | None = None
    absolute: int | None = None
    ids: Ids = field(default_factory=Ids)
    show: Show | None = None

    @property
    def year(self) -> int | None:
        """The year that tells titles of the same name apart, where query or show has one."""
        found = split_year(self.query)
        return found[1] if found else self.show.year if self.show else None


@dataclass(frozen=True, slots=True)
class Target:
    """A title that is meant, and what is wanted of it in the site's own numbers.

    `asked` is what its releases are called. `aliases` has, by the site's number, what the client calls its
    specials: those without one are not wanted. None leaves the site's numbers as they are.
    """

    site: Site
    slug: str
    name: str
    asked: str
    season: int | None
    episode: int | None = None
    aliases: Mapping[int, tuple[int, int]] | None = None
    absolute: int | None = None
    year: int | None = None
    seasons: tuple[int, ...] = ()
    """As learnt from its page; empty when it was not."""
    learn: bool = False
    """Whether its page is worth reading again."""

    @property
    def key(self) -> tuple[str, str]:
        return self.site.pk, self.slug

    @property
    def key_with_site(self) -> tuple[Site, str]:
        return self.site, self.slug


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was learnt of a title."""

    name: str
    year: int | None
    imdb_id: str
    seasons: tuple[int, ...]
    learned_at: datetime | None


@dataclass(slots=True)
class _Choice:
    """The titles of a site that a name may mean, with the name and the season that are left of the words."""

    hits: list[Hit]
    asked: str
    season: int | None
    exact: bool = False
    via: str = "index"


def targets(
    asked: Asked, sites: Sequence[Site], *, deadline: float, answered: Answered
) -> list[Target]:
    """The titles meant, preferred sites first, at most TITLES_PER_SITE of each.

    What was weighed, and why some of it was passed over, goes into `answered`.
    """
    primary = [site for site in sites if not get_adapter(site.pk).fallback] or list(sites)
    further = [site for site in sites if site not in primary]
    found = _of(asked, primary, answered)
    for others, by in ((primary, _suggested), (further, _of_index), (further, _suggested)):
        if found or not others:
            continue
        found = by(asked, others, deadline, answered)
    if not found:
        _near_misses(asked, sites, answered)
    return found


def exact_titles(query: str, sites: Sequence[Site]) -> dict[str, list[Hit]]:
    """The titles, by site, that are called just so."""
    hits = _hits(query, sites).items()
    found = {site_id: [hit for hit in of if hit.score.exact] for site_id, of in hits}
    return {site_id: of for site_id, of in found.items() if of}


def names_with(query: str, sites: Sequence[Site]) -> list[str]:
    """The names of the titles that a query may mean."""
    return [hit.name for hits in _hits(query, sites).values() for hit in hits]


def _of_index(
    asked: Asked, sites: Sequence[Site], deadline: float, answered: Answered
) -> list[Target]:
    return _of(asked, sites, answered)


def _of(asked: Asked, sites: Sequence[Site], answered: Answered) -> list[Target]:
    """The titles of the index, and those whose learnt IMDb id is the one asked for."""
    choices = _by_name(asked.query, asked.season, sites) if asked.query else {}
    if asked.show:
        for site_id, choice in _by_name(asked.show.title, None, sites).items():
            held = choices.get(site_id)
            # A name that is not the query says nothing to the client; the show's own is one that it knows.
            if held is None or (choice.exact and not held.exact):
                choice.season = asked.season
                choices[site_id] = choice
    by_imdb = _by_imdb(asked, sites)
    for site_id, hits in by_imdb.items():
        choice = choices.get(site_id) or _Choice([], asked.query, asked.season)
        named = {hit.slug for hit in hits}
        if choice.exact:
            choice.hits = [hit for hit in choice.hits if hit.slug in named] or choice.hits
        else:
            choice.hits, choice.exact, choice.via = hits, True, "imdb"
            choice.asked = asked.query or (asked.show.title if asked.show else "")
        choices[site_id] = choice
    return _taken(asked, choices, sites, answered)


def _suggested(
    asked: Asked, sites: Sequence[Site], deadline: float, answered: Answered
) -> list[Target]:
    """What the sites' own search has under the name; where it does not bear the query's season, without that."""
    query = asked.query or (asked.show.title if asked.show else "")
    split = split_season(query)
    titled, season = split if split and asked.season in (None, split[1]) else (query, asked.season)
    if not titled:
        return []
    hits = suggesting.ask(titled, sites, deadline=deadline, answered=answered)
    choices = {
        site_id: _Choice(of, titled, season, any(hit.score.exact for hit in of), "suggest")
        for site_id, of in hits.items()
    }
    return _taken(asked, choices, sites, answered)


def _by_name(query: str, season: int | None, sites: Sequence[Site]) -> dict[str, _Choice]:
    """The titles of the index that a name means. Where a site has exact hits, its lesser ones are dropped.

    A season in the words counts unless a title is called just so, or the client's own number contradicts it. A
    year at the end is no part of the name, unless there is a title that has it in its name.
    """
    literal = _hits(query, sites)
    split = split_season(query)
    titled, named = split if split and season in (None, split[1]) else ("", None)
    plain = _hits(titled, sites) if titled else {}
    dated = split_year(query)
    undated = exact_titles(dated[0], sites) if dated else {}
    choices: dict[str, _Choice] = {}
    for site in sites:
        hits = literal.get(site.pk, [])
        exact = [hit for hit in hits if hit.score.exact]
        accepted = {hit.slug for hit in hits}
        same = [hit for hit in undated.get(site.pk, ()) if hit.slug in accepted]
        if exact:
            choices[site.pk] = _Choice(exact, query, season, True)
        elif of_title := plain.get(site.pk):
            exact = [hit for hit in of_title if hit.score.exact]
            choices[site.pk] = _Choice(exact or of_title, titled, named, bool(exact))
        elif same:
            choices[site.pk] = _Choice(same, query, season, True)
        elif hits:
            choices[site.pk] = _Choice(hits, query, season)
    return choices


def _by_imdb(asked: Asked, sites: Sequence[Site]) -> dict[str, list[Hit]]:
    """The titles whose page named the IMDb id, by site; the metadata service is not needed for that."""
    ids = {asked.ids.imdb, asked.show.imdb_id if asked.show else ""}
    digits = {number[1] for one in ids if (number := _IMDB.fullmatch(one))}
    if not digits:
        return {}
    spellings = {f"tt{one.zfill(width)}" for one in digits for width in (5, 6, 7, 8)}
    rows = Title.objects.filter(imdb_id__in=spellings, site__in=[site.pk for site in sites])
    found: dict[str, list[Hit]] = {}
    for site_id, slug, name in rows.values_list("site_id", "slug", "name")[:100]:
        grade = Score(0.0, accepted=True, reason="the IMDb id")
        found.setdefault(site_id, []).append(Hit(site_id, slug, name, grade))
    return found


def _taken(
    asked: Asked, choices: Mapping[str, _Choice], sites: Sequence[Site], answered: Answered
) -> list[Target]:
    """The targets that the choices come to, once what is known of the titles has its say."""
    for choice in choices.values():
        choice.hits = choice.hits[:HITS_PER_SITE]
    facts = _facts(choices)
    found: list[Target] = []
    for site in sites:
        if site.pk not in choices:
            continue
        choice = choices[site.pk]
        known = {hit.slug: facts.get((site.pk, hit.slug)) for hit in choice.hits}
        left, notes = _narrowed(site, choice, known, asked)
        answered.site(site.pk).titles[:0] = [
            Considered(
                hit.slug, hit.name, choice.asked, hit.score, choice.via,
                hit in left, notes.get(hit.slug, ""),
            )
            for hit in choice.hits
        ]  # fmt: skip
        found += [_target(site, choice, hit, known[hit.slug], asked) for hit in left]
    return found


def _narrowed(
    site: Site, choice: _Choice, known: Mapping[str, _Facts | None], asked: Asked
) -> tuple[list[Hit], dict[str, str]]:
    """The hits that are taken, and why the others are not (slug → words)."""
    adapter = get_adapter(site.pk)
    notes: dict[str, str] = {}
    left: list[Hit] = []
    for hit in choice.hits:
        own = adapter.own_season(hit.slug)
        if own is not None and choice.season is not None and own != choice.season:
            notes[hit.slug] = f"is season {own}"
        else:
            left.append(hit)
    year = asked.year
    if year is not None and len(left) > 1:
        years = {hit.slug: facts.year for hit in left if (facts := known[hit.slug])}
        same = [hit for hit in left if _is_near(years.get(hit.slug), year)]
        open_ = [hit for hit in left if years.get(hit.slug) is None]
        kept = same or open_ or left
        notes |= {
            hit.slug: f"is of {years.get(hit.slug) or 'an unknown year'}"
            for hit in left
            if hit not in kept
        }
        left = kept
    notes |= {hit.slug: "there are better ones" for hit in left[TITLES_PER_SITE:]}
    return left[:TITLES_PER_SITE], notes


def _is_near(year: int | None, wanted: int) -> bool:
    # A premiere around New Year has two years, depending on who was asked.
    return year is not None and abs(year - wanted) <= 1


def _target(site: Site, choice: _Choice, hit: Hit, facts: _Facts | None, asked: Asked) -> Target:
    name = facts.name if facts else hit.name
    dated = split_year(choice.asked)
    return Target(
        site=site,
        slug=hit.slug,
        name=name,
        asked=choice.asked or name,
        season=choice.season,
        episode=asked.episode,
        year=(facts.year if facts else None) or (dated[1] if dated else None),
        seasons=facts.seasons if facts else (),
        # A title that the index does not have has no row to learn for.
        learn=facts is not None and learning.is_due(facts.learned_at),
    )


def _facts(choices: Mapping[str, _Choice]) -> dict[tuple[str, str], _Facts]:
    """What was learnt of the titles, in one query for all."""
    slugs = {hit.slug for choice in choices.values() for hit in choice.hits}
    if not slugs:
        return {}
    rows = Title.objects.filter(site_id__in=list(choices), slug__in=slugs).values_list(
        "site_id", "slug", "name", "year", "imdb_id", "seasons", "learned_at"
    )
    return {
        (site_id, slug): _Facts(name, year, imdb, tuple(seasons or ()), learned_at)
        for site_id, slug, name, year, imdb, seasons, learned_at in rows
    }


def _hits(query: str, sites: Collection[Site]) -> dict[str, list[Hit]]:
    names = {site.pk for site in sites}
    found: dict[str, list[Hit]] = {}
    for hit in current.get().search(query, sites=names, limit=HITS_PER_SITE * len(names)):
        found.setdefault(hit.site, []).append(hit)
    return found


def _near_misses(asked: Asked, sites: Sequence[Site], answered: Answered) -> None:
    """For whoever wonders why nothing was found: the names that came nearest, and what spoke against them."""
    query = asked.query or (asked.show.title if asked.show else "")
    if not query:
        return
    names = {site.pk for site in sites}
    for hit in current.get().near(query, sites=names, limit=NEAR_MISSES):
        answered.site(hit.site).titles.append(Considered(hit.slug, hit.name, query, hit.score))
