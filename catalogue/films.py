"""Which films of which sites a search means: titles that are films, and the films that a site lists of its series.

Every site is asked, the fallback ones as well: another site's film is no reason to keep this one's from a client. A
series' film has a name in the list only, so the series has to be found first: by its own name, by the beginning of what
is asked for («Series: Film»), or by the names of films that were learnt with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from catalogue import filmlists, filmnames, filmyears, resolving
from catalogue.filmlists import Films, Key
from catalogue.filmyears import Named
from catalogue.index import current
from catalogue.matching import Hit, Score
from catalogue.models import Site, TitleMapping
from catalogue.queries import prefixes, split_year
from catalogue.resolving import TITLES_PER_SITE, Asked, Choice, Facts, Target, is_near
from catalogue.results import Answered, Considered
from catalogue.shows import Ids, Shows
from catalogue.sites import get_adapter
from catalogue.sites.base import EpisodeFacts
from catalogue.words import parse

OTHER_NAMES = 5
"""Under how many of a title's names the other sites are looked through, when only its IMDb id is asked for."""
HITS = 20
YEARS_AFTER = 3
"""How long after the end of a series a film of its name may be its own; later it is likelier somebody else's."""


def find_films(
    asked: Asked, sites: Sequence[Site], shows: Shows, *, deadline: float, answered: Answered
) -> tuple[list[Target], list[Key]]:
    """The films meant, preferred sites first, and the titles whose pages are worth reading though they gave none.

    What was weighed, and why it was passed over, goes into `answered`.
    """
    found: dict[str, list[Target]] = {}
    unread: list[Key] = []
    ids = asked.ids
    for query in [asked.query] if asked.query else _names_of(asked, sites):
        left = [site for site in sites if site.pk not in found and get_adapter(site.pk).has_films]
        if not left:
            break
        named = replace(asked, query=query, ids=ids, exact=not asked.query)
        search = _Search(named, shows, deadline, answered)
        ids = Ids()  # who has the id was found with the first name
        alone = [site for site in left if get_adapter(site.pk).lists_films]
        others = [site for site in left if site not in alone]
        targets = search.among_titles(alone, suggest=bool(asked.query))
        targets += search.in_lists(_series(search.asked, others))
        if asked.query and others and not targets:
            choices = resolving.suggestions(search.asked, others, deadline, answered)
            targets = search.in_lists(_of_choices(choices, others))
        for target in targets:
            found.setdefault(target.site.pk, []).append(target)
        unread += search.unread
    if asked.query and not found:
        resolving.near_misses(asked, sites, answered)
    return [target for site in sites for target in found.get(site.pk, ())], unread


def _names_of(asked: Asked, sites: Sequence[Site]) -> list[str]:
    """What the titles are called, and when made, whose learnt IMDb id is asked for: other sites have the same film."""
    hits = [hit for of_site in resolving.by_imdb(asked, sites).values() for hit in of_site]
    if not hits:
        return []
    keys = [(hit.site, hit.slug) for hit in hits]
    facts, others = resolving.facts_of(keys), _all_names(keys)
    names: dict[str, None] = {}
    for hit, key in zip(hits, keys, strict=True):
        year = facts[key].year if key in facts else None
        for name in (hit.name, *others.get(key, ())[:OTHER_NAMES]):
            names[f"{name} {year}" if year and split_year(name) is None else name] = None
    return list(names)


def _all_names(titles: Iterable[Key]) -> dict[Key, list[str]]:
    """What the titles are called, the index's names first; one query for all."""
    wanted = set(titles)
    rows = TitleMapping.objects.filter(
        site_id__in={site_id for site_id, _ in wanted}, slug__in={slug for _, slug in wanted}
    )
    names: dict[Key, list[str]] = {}
    for site_id, slug, name in rows.order_by("pk").values_list("site_id", "slug", "name"):
        names.setdefault((site_id, slug), []).append(name)
    return names


@dataclass(frozen=True, slots=True)
class _Series:
    """A title whose list of films may have the one that is meant.

    `via` says how it was come by: index, suggest, imdb, or film for the name of one of its films. With `whole` it is
    the title that is asked for, not its beginning or one of its films; `year` then stands beside its name.
    """

    site: Site
    hit: Hit
    via: str
    whole: bool = False
    year: int | None = None

    @property
    def key(self) -> Key:
        return self.site.pk, self.hit.slug


def _series(asked: Asked, sites: Sequence[Site]) -> list[_Series]:
    """The titles to look into, the likeliest first, each once."""
    if not sites:
        return []
    by_id = {site.pk: site for site in sites}
    title, year = _undated(asked.query)
    named = resolving.by_name(asked.query, 0, sites)
    if asked.exact:
        named = {site_id: choice for site_id, choice in named.items() if choice.exact}
    found = _of_choices(named, sites)
    for of_site in resolving.by_imdb(asked, sites).values():
        found += [_Series(by_id[hit.site], hit, "imdb", True, year) for hit in of_site]
    by_film = current.films().search(title, sites=set(by_id), limit=HITS)
    found += [_Series(by_id[hit.site], hit, "film") for hit in by_film]
    for beginning, _ in prefixes(title):
        if begun := resolving.exact_titles(beginning, sites):
            hits = [hit for of_site in begun.values() for hit in of_site]
            found += [_Series(by_id[hit.site], hit, "index") for hit in hits]
            break
    once: dict[Key, _Series] = {}
    for one in found:
        once.setdefault(one.key, one)
    return list(once.values())


def _of_choices(choices: Mapping[str, Choice], sites: Sequence[Site]) -> list[_Series]:
    return [
        _Series(site, hit, choice.via, True, choice.year)
        for site in sites
        if (choice := choices.get(site.pk)) is not None
        for hit in choice.hits
    ]


def _undated(query: str) -> tuple[str, int | None]:
    """The name that a film is asked for by, and the year beside it."""
    return split_year(query) or (query, None)


@dataclass(frozen=True, slots=True)
class _Film:
    """The film of a list that is meant. It was asked for as `name`, of `year`; it was made in `made`, where that is
    known. `only` says that its title is nothing but this film, `alone` that only the film is called so, `news` that the
    year was not known before. `series` are the years of a series that is called just like it, as far as they are known:
    it may be another film than the one that was asked for by a name which both bear."""

    facts: EpisodeFacts
    score: Score
    name: str
    year: int | None
    made: int | None
    only: bool = False
    alone: bool = False
    news: bool = False
    series: tuple[int | None, int | None] | None = None


@dataclass(slots=True)
class _Search:
    """One name, looked for. `unread` are titles that would say more once their page was read, `in_question` those whose
    lists are looked into."""

    asked: Asked
    shows: Shows
    deadline: float
    answered: Answered
    unread: list[Key] = field(default_factory=list)
    in_question: list[Key] = field(default_factory=list)
    _years: Mapping[Key, Mapping[Named, int]] | None = None

    def among_titles(self, sites: Sequence[Site], *, suggest: bool) -> list[Target]:
        """On sites that have films among their titles; by the site's own search too, where the index has none."""
        found: list[Target] = []
        if sites:
            found = resolving.of_index(self.asked, sites, self.deadline, self.answered)
        lacking = [site for site in sites if site.pk not in {one.site.pk for one in found}]
        if suggest and lacking:
            found += resolving.suggested(self.asked, lacking, self.deadline, self.answered)
        return found

    def in_lists(self, candidates: Sequence[_Series]) -> list[Target]:
        """In the lists of films of these titles; a few of each site are looked into."""
        facts = resolving.facts_of(one.key for one in candidates)
        wanted: dict[str, list[_Series]] = {}
        for one in candidates:
            known = facts.get(one.key)
            of_site = wanted.setdefault(one.site.pk, [])
            if known and known.seasons and 0 not in known.seasons:
                self._weighed(one, one.hit.score, "has no films")
            elif len(of_site) == TITLES_PER_SITE:
                self._weighed(one, one.hit.score, "there are better ones")
            else:
                of_site.append(one)
        series = [one for of_site in wanted.values() for one in of_site]
        lists = filmlists.read(
            [(one.site, one.hit.slug) for one in series],
            deadline=self.deadline,
            answered=self.answered,
        )
        names = _all_names(one.key for one in series if one.whole) if series else {}
        for one in series:
            # The index has no names of a title that the site's own search brought.
            names.setdefault(one.key, [one.hit.name] if one.whole else [])
        self.in_question, self._years = [one.key for one in series], None
        facts |= self._of_pages(series, lists, facts, names)
        found = (
            self._target(one, lists.get(one.key), facts.get(one.key), names.get(one.key, []))
            for one in series
        )
        return [target for target in found if target is not None]

    def _of_pages(
        self,
        series: Sequence[_Series],
        lists: Mapping[Key, Films],
        facts: Mapping[Key, Facts],
        names: Mapping[Key, Sequence[str]],
    ) -> dict[Key, Facts]:
        """What the pages say of titles of which nothing was learnt and that have a film of their own name: only they
        tell whether it is the film of the year that was asked for. A worker would tell it the next search."""
        unknown = [
            one
            for one in series
            if one.whole and one.year and not (one.key in facts and facts[one.key].learned_at)
            and filmyears.namesake(filmyears.numbered(lists.get(one.key, ())), names.get(one.key, ()))
        ]  # fmt: skip
        titles = [(one.site, one.hit.slug) for one in unknown]
        return resolving.facts_on_pages(titles, facts, self.deadline, self.answered)

    def _target(
        self, one: _Series, films: Films | None, facts: Facts | None, names: Sequence[str]
    ) -> Target | None:
        if films is None:
            self._weighed(one, one.hit.score, "its list of films could not be read")
            return None
        film = self._meant(one, films, facts, names)
        problem = _problem(film)
        self._weighed(one, film.score if film else one.hit.score, problem)
        learn = facts is not None and facts.learn
        if film is None or problem:
            self.unread += [one.key] if learn else []
            return None
        written = filmnames.written(film.facts.english_title, film.facts.german_title)
        return Target(
            site=one.site,
            slug=one.hit.slug,
            name=next(iter(written), one.hit.name),
            asked=film.name,
            season=0,
            episode=film.facts.episode,
            year=film.year or film.made,
            # A year that only this search knows is worth keeping: the feed asks nobody.
            learn=learn or (facts is not None and film.news),
            film=True,
            # What stands on the page of a series is the series' id.
            imdb_id=facts.imdb_id if facts and film.only else "",
        )

    def _meant(
        self, one: _Series, films: Films, facts: Facts | None, names: Sequence[str]
    ) -> _Film | None:
        """The film that is called so; where the title is nothing but one film, that one. `names` are the title's."""
        listed = filmyears.numbered(films)
        name, year = _undated(self.asked.query)
        called = name if one.year else self.asked.query
        if one.whole and facts is not None and filmyears.is_alone(listed, facts.seasons):
            return _Film(listed[0], one.hit.score, called, one.year, facts.year, only=True)
        # The title's other names are as good as the one that was asked for.
        namesake = filmyears.namesake(listed, names) if one.whole else None
        if namesake and (one.via == "imdb" or filmnames.says_no_more(called, names)):
            return _namesake(one, namesake, called, facts)
        series = [facts.name] if facts else []
        series += [one.hit.name] if one.via != "film" and one.hit.name not in series else []
        # A year may be part of the name; then it says nothing about when the film was made.
        literal = _best(self.asked.query, listed, series)
        if literal and literal[1].exact:
            name, year = self.asked.query, None
        best = literal if year is None else _best(name, listed, series)
        if best is None:
            return None
        film, score = best
        if film is namesake:
            return _namesake(one, film, called, facts)
        made = filmnames.year_in(film.german_title, film.english_title)
        made = made or self._learnt(one.key, film)
        news = None if made else self._aired(film, series, facts)
        return _Film(
            film, score, name, year, made or news, alone=one.via == "film", news=news is not None
        )

    def _learnt(self, key: Key, film: EpisodeFacts) -> int | None:
        """The year that was learnt with the film; the first question is a query for all titles."""
        if self._years is None:
            self._years = filmyears.learnt(self.in_question)
        return self._years.get(key, {}).get(filmyears.named(film))

    def _aired(self, film: EpisodeFacts, series: Sequence[str], facts: Facts | None) -> int | None:
        """The year that the metadata service has for the film, where it knows the series."""
        show = self.shows.by_title(series, facts.year if facts else None) if series else None
        return filmyears.aired(film, series, show)

    def _weighed(self, one: _Series, score: Score, note: str) -> None:
        self.answered.site(one.site.pk).titles.append(
            Considered(
                one.hit.slug, one.hit.name, self.asked.query, score, one.via, not note, note
            )
        )  # fmt: skip


def _namesake(one: _Series, film: EpisodeFacts, called: str, facts: Facts | None) -> _Film:
    """The film that is called just like the title that was asked for."""
    made = filmnames.year_in(film.german_title, film.english_title)
    between = (facts.year, facts.end_year) if facts else (None, None)
    return _Film(film, one.hit.score, called, one.year, made, series=between)


def _best(
    asked: str, films: Sequence[EpisodeFacts], series: Sequence[str]
) -> tuple[EpisodeFacts, Score] | None:
    """The film that is called so; of several the one that is called just so, or most nearly."""
    scored = [
        (
            film,
            filmnames.likeness(
                asked, filmnames.written(film.german_title, film.english_title), series
            ),
        )
        for film in films
    ]
    accepted = [one for one in scored if one[1].accepted]
    return max(accepted, key=lambda one: (one[1].exact, one[1].value), default=None)


def _problem(film: _Film | None) -> str:
    """Why a film is not the one that is meant; empty when it is."""
    if film is None:
        return "none of its films is called so"
    if film.year is not None and film.made is not None and not is_near(film.made, film.year):
        return f"is of {film.made}"
    if film.year is not None and film.made is None and film.series is not None:
        return _problem_of_namesake(film.name, film.year, film.series)
    if film.made is None and film.alone and len(parse(film.name).core) < 2:
        # «Red» is many films; a wrong one would be imported as the one that was asked for.
        return "a single word is too little to go by where the film's year is not known"
    return ""


def _problem_of_namesake(name: str, year: int, series: tuple[int | None, int | None]) -> str:
    """Why a film of unknown year that is called just like its series is not the one of this year that is asked for."""
    first, last = series
    if first is None:
        alone = len(parse(name).core) < 2
        return (
            "a single word is too little to go by where nobody says of when it is" if alone else ""
        )
    if year < first - 1 or (last is not None and year > last + YEARS_AFTER):
        return f"its series is of {first}, and nobody says of when the film is"
    return ""
