"""Every known name in memory, and the best of them for a query.

The answers are those of comparing the query with each name (`matching.compare`); the index only leaves out what
cannot be accepted. Three facts do that: an equal name is found by its alnum form; any other accepted name shares at
least 0.6 of the query's core, so it is among the names of the query's rarest words; and what is unknown of a score
before letters are compared is at most 2.5.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from heapq import heappush, heappushpop
from itertools import accumulate

from catalogue.matching import (
    ACCEPT,
    Score,
    Words,
    contradiction,
    enough,
    judge,
    measure,
    parse,
    weigh,
)

_OTHER, _CORE, _MARK = 0, 1, 2
_ROUNDING = 1e-9


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
        self._fill(names)
        self._postings, self._posting_starts = self._invert()
        order = sorted(range(len(self)), key=self._hashes().__getitem__)
        self._by_hash = array("I", order)
        self._sorted_hashes = array("q", map(self._hashes().__getitem__, order))

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
        sizes, edition_of, tokens, starts = (
            *(self._core_sizes, self._edition_of),
            *(self._tokens, self._starts),
        )
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
            if not (enough(of_query, in_core) and enough(of_name, sizes[place])):
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
            in_name = self._starts[place + 1] - self._starts[place]
            grade = judge(
                measure(matcher, self._forms[place], shared, len(words.tokens), in_name), ""
            )
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
        """A superset of the names that share enough of the query's core: whoever has 0.6 of n words has at least
        one of any n - ⌈0.6 n⌉ + 1 of them, so the rarest are enough."""
        lists = sorted((self._postings_of(word) for word in words.core), key=len)
        needed = (3 * len(lists) + 4) // 5
        rare = lists[: len(lists) - needed + 1]
        return rare[0] if len(rare) == 1 else set().union(*rare)

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

    def _fill(self, names: Iterable[tuple[str, str, str]]) -> None:
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
            self._core_sizes.append(len(words.core))
            for word in words.tokens:
                token = self._vocabulary.setdefault(word, len(self._vocabulary))
                self._tokens.append(token << 2 | _kind(words, word))
            self._starts.append(len(self._tokens))
        self._sites = list(site_numbers)

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

    def _hashes(self) -> "array[int]":
        return self._forms.hashes


_Candidate = tuple[float, int, int]
"""The most that a name can score, its place, and how many tokens it shares with the query."""


class _Texts:
    """Many strings as one run of bytes: 2 to 4 times smaller than as many objects."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._starts = array("I", [0])
        self.hashes = array("q")

    def append(self, text: str) -> None:
        # Site pages are not always valid Unicode; a lone surrogate must come out as it went in.
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._starts.append(len(self._bytes))
        self.hashes.append(hash(text))

    def __getitem__(self, place: int) -> str:
        start, end = self._starts[place], self._starts[place + 1]
        return self._bytes[start:end].decode("utf-8", "surrogatepass")


def _kind(words: Words, word: str) -> int:
    return _CORE if word in words.core else _MARK if word in words.marks else _OTHER


def _edition_only(words: Words) -> Words:
    """What `contradiction` reads, without the words themselves."""
    none: frozenset[str] = frozenset()
    return Words("", none, none, none, words.numbers, words.years, words.countries)
