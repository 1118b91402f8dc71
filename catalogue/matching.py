"""How two titles are compared, when they are the same title, and the best of all known ones for a query.

The score orders candidates. It alone accepts too much ("One Punch Man" against "Man"), and a wrong title is
imported as the one that was asked for; so `Score.accepted` asks more: most of the words of *both* titles must be
shared, and what tells sequels, remakes and national versions apart must not contradict.

`TitleIndex` answers as if every name were compared; it only leaves out what cannot be accepted. Three facts do that:
an equal name is found by its alnum form; any other accepted name shares at least 0.6 of the query's core, so it is
among the names of the query's rarest words; and what is unknown of a score before letters are compared is at most 2.5.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from heapq import heappush, heappushpop
from itertools import accumulate
from typing import Final

from catalogue.words import STOP_WORDS, Words, parse, title_key

__all__ = [
    "ACCEPT",
    "STOP_WORDS",
    "Hit",
    "Score",
    "TitleIndex",
    "Words",
    "compare",
    "parse",
    "score",
    "title_key",
]

ACCEPT: Final = 3.5
NEAR_NAMES: Final = 40
"""Names that `TitleIndex.near` compares."""
_OTHER, _CORE, _MARK = 0, 1, 2
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Score:
    """How well a name answers a query. `precision` is the share of the name's tokens, `recall` of the query's."""

    value: float
    exact: bool = False
    contained: bool = False
    f1: float = 0.0
    precision: float = 0.0
    recall: float = 0.0
    ratio: float = 0.0
    accepted: bool = False
    reason: str = ""


def score(query: str, name: str) -> Score:
    """Compares a name with a query. A name that equals the query in letters and digits is always accepted."""
    return compare(parse(query), parse(name))


def compare(query: Words, name: Words) -> Score:
    """`score` for titles that are parsed already."""
    shared = len(query.tokens & name.tokens)
    exact = bool(query.text) and query.text == name.text
    if not (shared or exact):
        return Score(0.0, reason="no word in common")
    matcher = SequenceMatcher(None, name.text, query.text)
    sizes = len(query.tokens), len(name.tokens)
    grade = measure(matcher, query.text, name.text, shared, sizes)
    return judge(grade, contradiction(query, name) or uncovered(query, name))


def measure(
    matcher: "SequenceMatcher[str]", query: str, name: str, shared: int, sizes: tuple[int, int]
) -> Score:
    """The score of two alnum forms, not judged yet; `sizes` counts the query's tokens and the name's.

    The query is the matcher's second sequence, which SequenceMatcher analyses once for many names.
    """
    in_query, in_name = sizes
    exact = name == query
    contained = exact or name in query or query in name
    f1, base = weigh(shared, in_query, in_name)
    ratio = 0.0
    if f1 >= 0.2:
        matcher.set_seq1(name)
        ratio = 1.0 if exact else matcher.ratio()
    return Score(
        value=8.0 * exact + 1.5 * contained + base + ratio,
        exact=exact,
        contained=contained,
        f1=f1,
        precision=shared / in_name,
        recall=shared / in_query,
        ratio=ratio,
    )


def weigh(shared: int, in_query: int, in_name: int) -> tuple[float, float]:
    """F1, and the part of the score that the number of shared tokens decides."""
    f1 = 2 * shared / (in_query + in_name)
    return f1, 3 * f1 + 2 * shared / in_name + shared / in_query


def ceiling(query: str, name: str, shared: int, sizes: tuple[int, int]) -> float:
    """The most that `measure` can give, without comparing letter by letter: two texts of different length have
    at most the shorter one in common."""
    f1, base = weigh(shared, *sizes)
    if query == name:
        return base + 10.5
    alike = 2 * min(len(query), len(name)) / (len(query) + len(name)) if f1 >= 0.2 else 0.0
    return base + 1.5 * (name in query or query in name) + alike


def judge(grade: Score, objection: str) -> Score:
    """The verdict: `objection` counts against any name but an equal one."""
    if grade.exact:
        return replace(grade, accepted=True, reason="equal")
    if grade.value < ACCEPT:
        return replace(grade, reason=f"score below {ACCEPT}")
    return replace(grade, accepted=not objection, reason=objection or "enough in common")


def contradiction(query: Words, name: Words) -> str:
    """What says that these are two titles however alike they read; empty when nothing does."""
    if query.numbers != name.numbers:
        return "numbers differ"
    if query.countries and name.countries and not query.countries & name.countries:
        return "countries differ"
    if query.years and name.years:
        # A premiere around New Year has two years, depending on who was asked.
        near = any(abs(mine - other) <= 1 for mine in query.years for other in name.years)
        return "" if near else "years differ"
    return ""


def uncovered(query: Words, name: Words) -> str:
    """Why too few words are shared for one title; empty when enough are."""
    return lacking(
        len(query.core & (name.core | name.marks)), len(query.core),
        len(name.core & (query.core | query.marks)), len(name.core),
    )  # fmt: skip


def lacking(of_query: int, in_query: int, of_name: int, in_name: int) -> str:
    """The same from counts: how many words of each side the other has, and how many there are.

    Beyond the share that is needed, a word may be missing, but none may stand in the place of another («Star Trek:
    Picard» is no «Star Trek: Discovery»), and a title of one or two words becomes another by any further one
    («Dragon Ball Super»). Most spin-offs are named so, and a release carries the title that was asked for.
    """
    if not enough(of_query, in_query):
        return "too little of the query"
    if not enough(of_name, in_name):
        return "too little of the name"
    if of_query < in_query and of_name < in_name:
        return "each has a word that the other lacks"
    if (of_query < in_query or of_name < in_name) and min(in_query, in_name) <= SHORT:
        return "a short title with a further word is another"
    return ""


def enough(shared: int, count: int) -> bool:
    """At least 0.6, in whole numbers: 3/5 must not depend on rounding."""
    return 5 * shared >= 3 * count


SHORT = 2
"""Words of a title that cannot do without any."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A title that answers a query, with the one of its names that does so best."""

    site: str
    slug: str
    name: str
    score: Score


class TitleIndex:
    """Names of titles, searchable. Built once; searching changes nothing, so any number of threads may.

    Names live in flat arrays, not in objects: 200,000 of them fit in well under 150 MB.
    """

    def __init__(self, names: Iterable[tuple[str, str, str]]) -> None:
        """Takes `(site, slug, name)` in order of preference. Repetitions and names without a letter or digit
        are left out."""
        self._sites: list[str] = []
        self._slugs: list[str] = []
        self._slug_site = array("H")
        self._owner = array("I")
        self._names = _Texts()
        self._forms = _Texts()
        self._vocabulary: dict[str, int] = {}
        self._tokens = array("I")  # token number × 4 + its kind, name after name
        self._starts = array("I", [0])
        self._core_sizes = array("H")
        self._editions: list[Words] = []
        self._edition_of = array("I")
        hashes = self._fill(names)
        self._postings, self._posting_starts = self._invert()
        order = sorted(range(len(self)), key=hashes.__getitem__)
        self._by_hash = array("I", order)
        self._sorted_hashes = array("q", map(hashes.__getitem__, order))

    def __len__(self) -> int:
        """How many distinct names can be found."""
        return len(self._owner)

    def search(
        self, query: str, *, sites: Collection[str] | None = None, limit: int = 20
    ) -> list[Hit]:
        """The accepted titles, best first; equally good ones in the order in which they were given.

        Each (site, slug) appears once. `sites` restricts the answer; an unknown site has no titles.
        """
        words = parse(query)
        if not words.text or limit <= 0:
            return []
        allowed = None if sites is None else {i for i, s in enumerate(self._sites) if s in sites}
        found = self._equal(words)
        found += self._alike(words, leaving_out=frozenset(place for _, place, _ in found))
        best = self._best(words, found, allowed, limit)
        return [
            Hit(self._sites[self._slug_site[key]], self._slugs[key], self._names[place], grade)
            for key, place, grade in best
        ]

    def near(
        self, query: str, *, sites: Collection[str] | None = None, limit: int = 5
    ) -> list[Hit]:
        """Names that share a word with a query and are not accepted for it, nearest first, with the reason.

        To explain an empty answer: only the names of the query's rarest words are looked at, and few of them.
        """
        words = parse(query)
        lists = sorted(filter(None, map(self._postings_of, words.tokens)), key=len)
        hits: dict[tuple[str, str], Hit] = {}
        looked = 0
        for place in dict.fromkeys(place for places in lists for place in places[:NEAR_NAMES]):
            key = self._owner[place]
            site = self._sites[self._slug_site[key]]
            if sites is not None and site not in sites:
                continue
            hit = Hit(
                site, self._slugs[key], name := self._names[place], compare(words, parse(name))
            )
            held = hits.get((site, hit.slug))
            if not hit.score.accepted and (held is None or held.score.value < hit.score.value):
                hits[site, hit.slug] = hit
            looked += 1
            if looked >= NEAR_NAMES:
                break
        return sorted(hits.values(), key=lambda hit: -hit.score.value)[:limit]

    def _equal(self, words: Words) -> "list[_Candidate]":
        """Names with the query's alnum form: «911» finds «9-1-1» without a word in common."""
        wanted = hash(words.text)
        at = bisect_left(self._sorted_hashes, wanted)
        found: list[_Candidate] = []
        while at < len(self) and self._sorted_hashes[at] == wanted:
            place = self._by_hash[at]
            if self._forms[place] == words.text:
                found.append((float("inf"), place, self._shared(words, place)))
            at += 1
        return found

    def _alike(self, words: Words, *, leaving_out: frozenset[int]) -> "list[_Candidate]":
        """Names that pass the coverage rule and may reach the threshold, with the most that they can score."""
        kinds = self._kinds(words)
        in_core, in_query = len(words.core), len(words.tokens)
        longest = 5 * len(words.core | words.marks) // 3
        agrees: dict[int, bool] = {}
        sizes, edition_of = self._core_sizes, self._edition_of
        tokens, starts = self._tokens, self._starts
        found: list[_Candidate] = []
        for place in self._nominees(words):
            if sizes[place] > longest or place in leaving_out:
                continue
            edition = edition_of[place]
            if edition not in agrees:
                agrees[edition] = not contradiction(words, self._editions[edition])
            if not agrees[edition]:
                continue
            start, end = starts[place], starts[place + 1]
            shared = of_query = of_name = 0
            for token in tokens[start:end]:
                kind = kinds.get(token >> 2)
                if kind is None:
                    continue
                mine = token & 3
                shared += 1
                of_query += kind == _CORE and mine != _OTHER
                of_name += mine == _CORE and kind != _OTHER
            if lacking(of_query, in_core, of_name, sizes[place]):
                continue
            f1, base = weigh(shared, in_query, end - start)
            most = base + (2.5 if f1 >= 0.2 else 1.5)
            if most + _ROUNDING >= ACCEPT:
                found.append((most, place, shared))
        return found

    def _best(
        self, words: Words, found: "list[_Candidate]", allowed: set[int] | None, limit: int
    ) -> list[tuple[int, int, Score]]:
        """(title, name, score) of the best titles. Stops comparing letters when no other name can get in."""
        matcher = SequenceMatcher(None, "", words.text)
        best: dict[int, tuple[int, Score]] = {}
        bar: list[float] = []  # the `limit` best first values; a title's value only rises
        for most, place, shared in sorted(found, key=lambda one: (-one[0], one[1])):
            if len(bar) == limit and most + _ROUNDING < bar[0]:
                break
            key = self._owner[place]
            if allowed is not None and self._slug_site[key] not in allowed:
                continue
            sizes = len(words.tokens), self._starts[place + 1] - self._starts[place]
            form = self._forms[place]
            if len(bar) == limit and ceiling(words.text, form, shared, sizes) + _ROUNDING < bar[0]:
                continue
            grade = judge(measure(matcher, words.text, form, shared, sizes), "")
            if not grade.accepted:
                continue
            known = best.get(key)
            if known is None:
                (heappush if len(bar) < limit else heappushpop)(bar, grade.value)
            if known is None or (-grade.value, place) < (-known[1].value, known[0]):
                best[key] = (place, grade)
        ranked = sorted(best.items(), key=lambda one: (-one[1][1].value, one[1][0]))
        return [(key, place, grade) for key, (place, grade) in ranked[:limit]]

    def _nominees(self, words: Words) -> Iterable[int]:
        """A superset of the names that share enough of the query's core.

        Whoever has 0.6 of n words has one of any n - ⌈0.6 n⌉ + 1 of them, so the rarest are enough. Counting the
        others as well leaves fewer to look at, unless a word is so frequent that counting costs more.
        """
        lists = sorted((self._postings_of(word) for word in words.core), key=len)
        needed = (3 * len(lists) + 4) // 5
        if needed == 1:
            return lists[0]
        counts: Counter[int] = Counter()
        uncounted = len(lists)
        for number, places in enumerate(lists):
            if number > len(lists) - needed and len(places) > 16 * len(counts):
                break
            counts.update(places)
            uncounted -= 1
        return [place for place, count in counts.items() if count + uncounted >= needed]

    def _postings_of(self, word: str) -> "array[int]":
        token = self._vocabulary.get(word)
        if token is None:
            return array("I")
        return self._postings[self._posting_starts[token] : self._posting_starts[token + 1]]

    def _kinds(self, words: Words) -> dict[int, int]:
        """The query's tokens that the index knows, with their part in the title."""
        known = ((self._vocabulary.get(word), word) for word in words.tokens)
        return {token: _kind(words, word) for token, word in known if token is not None}

    def _shared(self, words: Words, place: int) -> int:
        mine = {token >> 2 for token in self._tokens[self._starts[place] : self._starts[place + 1]]}
        return len(mine & self._kinds(words).keys())

    def _fill(self, names: Iterable[tuple[str, str, str]]) -> "array[int]":
        """Stores the names; returns the hashes of their alnum forms."""
        hashes = array("q")
        site_numbers: dict[str, int] = {}
        keys: dict[tuple[int, str], int] = {}
        editions: dict[tuple[frozenset[str], frozenset[int], frozenset[str]], int] = {}
        seen: set[int] = set()
        for site, slug, name in names:
            site_number = site_numbers.setdefault(site, len(site_numbers))
            key = keys.setdefault((site_number, slug), len(keys))
            if key == len(self._slugs):
                self._slugs.append(slug)
                self._slug_site.append(site_number)
            # 64-bit hashes instead of the texts: a tenth of the memory while building.
            fingerprint = hash((key, name))
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            words = parse(name)
            if not words.text:
                continue
            edition = (words.numbers, words.years, words.countries)
            number = editions.setdefault(edition, len(editions))
            if number == len(self._editions):
                self._editions.append(_edition_only(words))
            self._edition_of.append(number)
            self._owner.append(key)
            self._names.append(name)
            self._forms.append(words.text)
            hashes.append(hash(words.text))
            self._core_sizes.append(len(words.core))
            for word in words.tokens:
                token = self._vocabulary.setdefault(word, len(self._vocabulary))
                self._tokens.append(token << 2 | _kind(words, word))
            self._starts.append(len(self._tokens))
        self._sites = list(site_numbers)
        return hashes

    def _invert(self) -> "tuple[array[int], array[int]]":
        """Names by token, as one flat array and where each token's part begins."""
        counts = [0] * (len(self._vocabulary) + 1)
        for token in self._tokens:
            counts[(token >> 2) + 1] += 1
        starts = array("I", accumulate(counts))
        free = array("I", starts)
        postings = array("I", bytes(4 * len(self._tokens)))
        for place, (start, end) in enumerate(self._spans()):
            for token in self._tokens[start:end]:
                number = token >> 2
                postings[free[number]] = place
                free[number] += 1
        return postings, starts

    def _spans(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._starts[1:], strict=False)


_Candidate = tuple[float, int, int]
"""The most that a name can score, its place, and how many tokens it shares with the query."""


class _Texts:
    """Many strings as one run of bytes: 2 to 4 times smaller than as many objects."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._starts = array("I", [0])

    def append(self, text: str) -> None:
        # Site pages are not always valid Unicode; a lone surrogate must come out as it went in.
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._starts.append(len(self._bytes))

    def __getitem__(self, place: int) -> str:
        start, end = self._starts[place], self._starts[place + 1]
        return self._bytes[start:end].decode("utf-8", "surrogatepass")


def _kind(words: Words, word: str) -> int:
    return _CORE if word in words.core else _MARK if word in words.marks else _OTHER


def _edition_only(words: Words) -> Words:
    """What `contradiction` reads, without the words themselves."""
    none: frozenset[str] = frozenset()
    return Words("", none, none, none, words.numbers, words.years, words.countries)
