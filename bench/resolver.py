"""How fast titles are found, against comparing the query with every name.

Run `python -m bench.resolver`. Prints milliseconds per query for growing catalogues, the naive loops' in the same run,
their ratio, what building costs, and whether the index gave the naive loop's accepted names.

Two loops are measured. «plain» is the formula by itself over freshly split titles, the way the older AniBridge
resolves; «same» applies the very rules of `catalogue.matching` to every name and is what the answers are checked
against.
"""

import argparse
import gc
import random
import re
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from catalogue.matching import STOP_WORDS, Score, TitleIndex, Words, compare, parse

Row = tuple[str, str, str]
_SYLLABLES = "ka ki ku ke ko sa shi su se so ta chi tsu te to na ni no ha hi fu ho ma mi mu mo ya yu yo ra ri ru re ro wa mer len tor ban gra del fin hol wick stein".split()  # noqa: SIM905
_COMMON = "love girl world hero life night king last dragon story school magic war day city blood star time house man lost black moon dead secret".split()  # noqa: SIM905
_LINKS = ("the", "of", "and", "no", "to", "in", "der", "die", "my")
_WORD = re.compile(r"[^\W_]+")


def catalogue_of(titles: int, *, seed: int = 7) -> list[Row]:
    """Titles with two alternatives each, in which a few words are frequent and most are rare, as in real ones."""
    rng = random.Random(seed)  # noqa: S311
    rare = ["".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))) for _ in range(titles)]

    def name() -> str:
        words = [
            rng.choice(_COMMON) if rng.random() < 0.35 else rng.choice(rare)
            for _ in range(rng.choices((1, 2, 3, 4, 5), (12, 34, 28, 16, 10))[0])
        ]
        if len(words) > 1 and rng.random() < 0.4:
            words.insert(rng.randrange(len(words)), rng.choice(_LINKS))
        end = rng.choices(("", " 2", " II", " (2019)", " (US)"), (90, 3, 3, 3, 1))[0]
        return " ".join(words).title() + end

    sites = ("aniworld", "sto", "megakino")
    return [
        (sites[number % 3], f"title-{number}", name()) for number in range(titles) for _ in range(3)
    ]


def queries_of(rows: list[Row], count: int) -> dict[str, list[str]]:
    """Queries by kind, the same for every size of catalogue that holds these rows."""
    rng = random.Random(11)  # noqa: S311
    names = [name for _, _, name in rng.sample(rows, count)]
    common = [" ".join(rng.sample(_COMMON, 3)) for _ in range(count - 2)]
    return {
        "exact": names,
        "common": [*common, "love", "the last dragon"],
        "no match": [f"zzyx{number} qwv{number} xxj" for number in range(count)],
        "typo": [_misspelt(name, rng) for name in names],
    }


def _misspelt(name: str, rng: random.Random) -> str:
    place = rng.randrange(1, max(2, len(name) - 1))
    return name[:place] + name[place + 1 :]


def plain_scan(rows: list[Row], query: str) -> dict[tuple[str, str], float]:
    """The formula by itself: split, compare, keep each title's best."""
    asked, asked_form = _split(query)
    best: dict[tuple[str, str], float] = {}
    for site, slug, name in rows:
        words, form = _split(name)
        shared = len(asked & words)
        if not shared:
            continue
        precision, recall = shared / len(words), shared / len(asked)
        f1 = 2 * precision * recall / (precision + recall)
        value = 8.0 * (form == asked_form) + 1.5 * (form in asked_form or asked_form in form)
        value += 3 * f1 + 2 * precision + recall
        if f1 >= 0.2:
            value += SequenceMatcher(None, asked_form, form).ratio()
        if value >= 3.5 and value > best.get((site, slug), 0.0):
            best[site, slug] = value
    return best


def _split(text: str) -> tuple[set[str], str]:
    words = _WORD.findall(text.lower())
    return set(words) - STOP_WORDS or set(words), "".join(words)


def same_scan(rows: list[tuple[Row, Words]], query: str) -> list[tuple[str, str, str, float]]:
    """Every name judged by `compare`: what the index must find, in its order."""
    words = parse(query)
    best: dict[tuple[str, str], tuple[float, int, str]] = {}
    for place, ((site, slug, name), parsed) in enumerate(rows):
        score = compare(words, parsed)
        if score.accepted and score.value > best.get((site, slug), (0.0, 0, ""))[0]:
            best[site, slug] = (score.value, place, name)
    ranked = sorted(best.items(), key=lambda one: (-one[1][0], one[1][1]))
    return [(*key, name, value) for key, (value, _, name) in ranked]


def judged_scan(rows: list[Row], query: str) -> list[Score]:
    """The rules of `compare`, every name taken apart anew."""
    words = parse(query)
    return [compare(words, parse(name)) for _, _, name in rows]


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def measure(titles: int, *, queries: int, scanned: int) -> Iterator[str]:
    """The lines of the report for one size."""
    rows = catalogue_of(titles)
    gc.collect()
    tracemalloc.start()
    TitleIndex(rows)
    peak = tracemalloc.get_traced_memory()[1]
    before = tracemalloc.get_traced_memory()[0]
    index = TitleIndex(rows)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    built = min(milliseconds(lambda: TitleIndex(rows)) for _ in range(2))
    yield (
        f"{titles:,} titles, {len(index):,} names: built in {built / 1000:.2f} s, "
        f"{held / 1e6:.1f} MB held, {peak / 1e6:.1f} MB at the most while building"
    )
    parsed = [(row, parse(row[2])) for row in rows]
    for kind, asked in queries_of(rows, queries).items():
        index.search(asked[0])
        mine = statistics.median(milliseconds(partial(index.search, q)) for q in asked)
        worst = max(milliseconds(partial(index.search, q)) for q in asked)
        few = asked[:scanned]
        plain = statistics.median(milliseconds(partial(plain_scan, rows, q)) for q in few)
        same = statistics.median(milliseconds(partial(judged_scan, rows, q)) for q in few[:1])
        agree = all(agrees(index, query, same_scan(parsed, query)) for query in few)
        yield (
            f"  {kind:9} index {mine:7.3f} ms (worst {worst:6.2f})  plain loop {plain:7.1f} ms "
            f"= {plain / mine:8,.0f}x  same rules {same:7.1f} ms = {same / mine:8,.0f}x  "
            f"{'identical' if agree else 'DIFFERENT'}"
        )


def agrees(index: TitleIndex, query: str, expected: list[tuple[str, str, str, float]]) -> bool:
    """Whether the index gives the same titles, names and values, all of them and the first few."""
    return all(
        [(h.site, h.slug, h.name, h.score.value) for h in index.search(query, limit=limit)]
        == expected[:limit]
        for limit in (1, 20, 1_000_000)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--titles", type=int, nargs="+", default=[10_000, 20_000, 40_000])
    parser.add_argument("--queries", type=int, default=40, help="searches of each kind")
    parser.add_argument(
        "--scanned", type=int, default=3, help="of these, how many the loops repeat"
    )
    options = parser.parse_args()
    for titles in options.titles:
        for line in measure(titles, queries=options.queries, scanned=options.scanned):
            print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
