"""Which titles of which sites a search means: by name, by the show that an id stands for, by IMDb id; with fallbacks.

The index is asked first. Only where none of the sites has the title, their own search is asked, and then the sites
that are a fallback themselves.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from django.utils import timezone

from anibridge.lib.prepared import instances, sql_of
from catalogue import filmlists, learning, suggesting
from catalogue.index import current
from catalogue.matching import Hit, Score
from catalogue.metadata import Show
from catalogue.models import Site, Title
from catalogue.queries import split_season, split_year
from catalogue.results import Answered, Considered
from catalogue.shows import Ids
from catalogue.sites import get_adapter
from catalogue.sites.base import TitleFacts

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
    film: bool = False
    """Whether a film is meant, and nothing else: one that is known to be of another year is another film."""
    exact: bool = False
    """Whether only titles count that are called just so: the words are not the client's."""

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
    over: bool = False
    """Whether the site shows that the season asked for is over."""
    film: bool = False
    """Whether a film is meant: then it is called one, whatever its number on the site."""
    imdb_id: str = ""
    """A film's own, where it was learnt."""

    @property
    def key(self) -> tuple[str, str]:
        return self.site.pk, self.slug

    @property
    def key_with_site(self) -> tuple[Site, str]:
        return self.site, self.slug


@dataclass(frozen=True, slots=True)
class Facts:
    """What was learnt of a title."""

    name: str
    year: int | None
    end_year: int | None
    imdb_id: str
    seasons: tuple[int, ...]
    learned_at: datetime | None

    @property
    def learn(self) -> bool:
        """Whether its page is worth reading again."""
        return learning.is_due(self.learned_at)


@dataclass(slots=True)
class Choice:
    """The titles of a site that a name may mean, with the name and the season that are left of the words.

    `year` stands beside the name in the query; None where there is none, or where it is part of the name.
    """

    hits: list[Hit]
    asked: str
    season: int | None
    exact: bool = False
    via: str = "index"
    year: int | None = None


def targets(
    asked: Asked, sites: Sequence[Site], *, deadline: float, answered: Answered
) -> list[Target]:
    """The titles meant, preferred sites first, at most TITLES_PER_SITE of each.

    What was weighed, and why some of it was passed over, goes into `answered`.
    """
    primary = [site for site in sites if not get_adapter(site.pk).fallback] or list(sites)
    further = [site for site in sites if site not in primary]
    found = of_index(asked, primary, deadline, answered)
    for others, by in ((primary, suggested), (further, of_index), (further, suggested)):
        if found or not others:
            continue
        found = by(asked, others, deadline, answered)
    if not found:
        near_misses(asked, sites, answered)
    return found


def exact_titles(query: str, sites: Sequence[Site]) -> dict[str, list[Hit]]:
    """The titles, by site, that are called just so."""
    hits = _hits(query, sites).items()
    found = {site_id: [hit for hit in of if hit.score.exact] for site_id, of in hits}
    return {site_id: of for site_id, of in found.items() if of}


def names_with(query: str, sites: Sequence[Site]) -> list[str]:
    """The names of the titles that a query may mean."""
    return [hit.name for hits in _hits(query, sites).values() for hit in hits]


def of_index(
    asked: Asked, sites: Sequence[Site], deadline: float, answered: Answered
) -> list[Target]:
    """The titles of the index, and those whose learnt IMDb id is the one asked for."""
    choices = by_name(asked.query, asked.season, sites) if asked.query else {}
    if asked.exact:
        choices = {site_id: choice for site_id, choice in choices.items() if choice.exact}
    if asked.show:
        for site_id, choice in by_name(asked.show.title, None, sites).items():
            held = choices.get(site_id)
            # A name that is not the query says nothing to the client; the show's own is one that it knows.
            if held is None or (choice.exact and not held.exact):
                choice.season = asked.season
                choices[site_id] = choice
    for site_id, hits in by_imdb(asked, sites).items():
        choice = choices.get(site_id) or Choice([], asked.query, asked.season)
        named = {hit.slug for hit in hits}
        if choice.exact:
            choice.hits = [hit for hit in choice.hits if hit.slug in named] or choice.hits
        else:
            choice.hits, choice.exact, choice.via = hits, True, "imdb"
            choice.asked = asked.query or (asked.show.title if asked.show else "")
        choices[site_id] = choice
    return _taken(asked, choices, sites, deadline, answered)


def suggested(
    asked: Asked, sites: Sequence[Site], deadline: float, answered: Answered
) -> list[Target]:
    """What the sites' own search has under the name."""
    choices = suggestions(asked, sites, deadline, answered)
    return _taken(asked, choices, sites, deadline, answered)


def suggestions(
    asked: Asked, sites: Sequence[Site], deadline: float, answered: Answered
) -> dict[str, Choice]:
    """The titles that the sites' own search has under the name; where that does not bear the query's season, or a
    film's year, without it."""
    query = asked.query or (asked.show.title if asked.show else "")
    split = split_season(query)
    titled, season = split if split and asked.season in (None, split[1]) else (query, asked.season)
    dated = split_year(titled) if asked.film else None
    titled, year = dated or (titled, None)
    if not titled:
        return {}
    hits = suggesting.ask(titled, sites, deadline=deadline, answered=answered)
    return {
        site_id: Choice(of, titled, season, any(hit.score.exact for hit in of), "suggest", year)
        for site_id, of in hits.items()
    }


def by_name(query: str, season: int | None, sites: Sequence[Site]) -> dict[str, Choice]:
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
    year = dated[1] if dated else None
    choices: dict[str, Choice] = {}
    for site in sites:
        hits = literal.get(site.pk, [])
        exact = [hit for hit in hits if hit.score.exact]
        accepted = {hit.slug for hit in hits}
        same = [hit for hit in undated.get(site.pk, ()) if hit.slug in accepted]
        if exact:
            choices[site.pk] = Choice(exact, query, season, True)
        elif of_title := plain.get(site.pk):
            exact = [hit for hit in of_title if hit.score.exact]
            choices[site.pk] = Choice(exact or of_title, titled, named, bool(exact))
        elif same:
            choices[site.pk] = Choice(same, query, season, True, year=year)
        elif hits:
            choices[site.pk] = Choice(hits, query, season, year=year)
    return choices


def by_imdb(asked: Asked, sites: Sequence[Site]) -> dict[str, list[Hit]]:
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
    asked: Asked,
    choices: Mapping[str, Choice],
    sites: Sequence[Site],
    deadline: float,
    answered: Answered,
) -> list[Target]:
    """The targets that the choices come to, once what is known of the titles has its say."""
    for choice in choices.values():
        choice.hits = choice.hits[:HITS_PER_SITE]
    facts = facts_of((site_id, hit.slug) for site_id, of in choices.items() for hit in of.hits)
    if asked.film:
        facts |= _of_pages(choices, sites, facts, deadline, answered)
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


def _of_pages(
    choices: Mapping[str, Choice],
    sites: Sequence[Site],
    facts: Mapping[tuple[str, str], Facts],
    deadline: float,
    answered: Answered,
) -> dict[tuple[str, str], Facts]:
    """What the pages say of films of which nothing was learnt, where a year is asked for: else another film of the
    name would be offered as the one of that year, until a worker has read its page."""
    by_id = {site.pk: site for site in sites}
    unknown: list[tuple[Site, str]] = []
    for site_id, choice in choices.items():
        adapter = get_adapter(site_id)
        slugs = [hit.slug for hit in choice.hits if adapter.own_season(hit.slug) is None]
        for slug in slugs[:TITLES_PER_SITE] if choice.year is not None else ():
            known = facts.get((site_id, slug))
            if known is None or (known.year is None and known.learned_at is None):
                unknown.append((by_id[site_id], slug))
    return facts_on_pages(unknown, facts, deadline, answered)


def _narrowed(
    site: Site, choice: Choice, known: Mapping[str, Facts | None], asked: Asked
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
    year = choice.year if asked.film else asked.year
    years = {hit.slug: facts.year for hit in left if (facts := known[hit.slug])}
    if asked.film and year is not None:
        others = {slug: of for slug, of in years.items() if of and not is_near(of, year)}
        notes |= {slug: f"is of {of}" for slug, of in others.items()}
        left = [hit for hit in left if hit.slug not in others]
    if year is not None and len(left) > 1:
        same = [hit for hit in left if is_near(years.get(hit.slug), year)]
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


def is_near(year: int | None, wanted: int) -> bool:
    """Whether a year may be the one that is meant."""
    # A premiere around New Year has two years, depending on who was asked.
    return year is not None and abs(year - wanted) <= 1


def _target(site: Site, choice: Choice, hit: Hit, facts: Facts | None, asked: Asked) -> Target:
    name = facts.name if facts else hit.name
    dated = split_year(choice.asked)
    called, year = choice.asked, (facts.year if facts else None) or (dated[1] if dated else None)
    if asked.film and choice.year is not None:
        # The client knows it under its own year; the site's may be the one before or after.
        called, year = (dated[0] if dated else choice.asked), choice.year
    return Target(
        site=site,
        slug=hit.slug,
        name=name,
        asked=called or name,
        season=choice.season,
        episode=asked.episode,
        year=year,
        seasons=facts.seasons if facts else (),
        # A title that the index does not have has no row to learn for.
        learn=facts is not None and facts.learn,
        over=_is_over(choice, site, facts),
        film=asked.film,
        imdb_id=facts.imdb_id if facts and asked.film else "",
    )


def _is_over(choice: Choice, site: Site, facts: Facts | None) -> bool:
    """Whether the site has a later season than the one asked for, or says that the title came to its end in a year
    that is over.

    A site of one language lists what it has in it, not what there is: that it goes on says nothing about a season.
    """
    if choice.season is None or facts is None or len(get_adapter(site.pk).languages) < 2:
        return False
    later = max(facts.seasons, default=0) > choice.season
    return later or (facts.end_year is not None and facts.end_year < timezone.now().year)


def facts_on_pages(
    titles: Iterable[tuple[Site, str]],
    known: Mapping[tuple[str, str], Facts],
    deadline: float,
    answered: Answered,
) -> dict[tuple[str, str], Facts]:
    """What the titles' pages say just now, over what was known of them before; nothing of one that could not be read."""
    told = filmlists.pages(titles, deadline=deadline, answered=answered)
    return {key: _facts_on(page, known.get(key)) for key, page in told.items()}


def _facts_on(page: TitleFacts, known: Facts | None) -> Facts:
    # A title that the index does not have has no row to learn for.
    learned_at = known.learned_at if known else timezone.now()
    told = learning.values_of(page)
    return Facts(
        known.name if known else page.name,
        told["year"], told["end_year"], told["imdb_id"], tuple(told["seasons"]), learned_at,
    )  # fmt: skip


def facts_of(titles: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Facts]:
    """What was learnt of titles (site id, slug), in one query for all; nothing of those that no index has."""
    wanted = set(titles)
    if not wanted:
        return {}
    sites = list({site_id for site_id, _ in wanted})
    slugs = list({slug for _, slug in wanted})
    statement = _facts(len(sites), len(slugs))
    rows = instances(Title, statement, [*sites, *slugs], only=_LEARNT)
    return {
        (row.site_id, row.slug): Facts(
            row.name, row.year, row.end_year, row.imdb_id, tuple(row.seasons or ()), row.learned_at
        )
        for row in rows
    }


_LEARNT = ("site", "slug", "name", "year", "end_year", "imdb_id", "seasons", "learned_at")


@lru_cache(maxsize=256)
def _facts(sites: int, slugs: int) -> str:
    """SQL for the titles with these slugs of these sites."""
    rows = Title.objects.filter(
        site__in=[str(n) for n in range(sites)], slug__in=[str(n) for n in range(slugs)]
    ).order_by()
    return sql_of(rows.only(*_LEARNT))[0]


def _hits(query: str, sites: Collection[Site]) -> dict[str, list[Hit]]:
    names = {site.pk for site in sites}
    found: dict[str, list[Hit]] = {}
    for hit in current.get().search(query, sites=names, limit=HITS_PER_SITE * len(names)):
        found.setdefault(hit.site, []).append(hit)
    return found


def near_misses(asked: Asked, sites: Sequence[Site], answered: Answered) -> None:
    """For whoever wonders why nothing was found: the names that came nearest, and what spoke against them."""
    query = asked.query or (asked.show.title if asked.show else "")
    if not query:
        return
    names = {site.pk for site in sites}
    for hit in current.get().near(query, sites=names, limit=NEAR_MISSES):
        answered.site(hit.site).titles.append(Considered(hit.slug, hit.name, query, hit.score))
