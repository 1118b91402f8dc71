"""How long the indexer takes to answer when its catalogue is large and many clients ask at once.

Run `python -m bench.torznab` (SQLite), or with `--postgresql postgresql://user@host:port/postgres` (a database of its
own is made there). Prints percentiles for each kind of request beside those of `/healthz`, which passes through the
same server and does nothing.
"""

import argparse
import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.resolver import catalogue_of
from bench.serving import Ask, report, served

SITES = ("aniworld", "sto")
POPULAR = 300
"""Titles that the clients ask for, over and over, as schedules do."""


def fill(titles: int, records: int) -> None:
    """Put the catalogue into the database that the environment names; run in a process of its own."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anibridge.settings")
    import django

    django.setup()
    from django.db import connection

    names = _names(titles)
    pairs = [(SITES[n % len(SITES)], f"title-{n}", name) for n, name in enumerate(names)]
    _fill_sites(titles)
    _fill_titles(pairs)
    _fill_records(pairs, records)
    if connection.vendor == "postgresql":
        # As autovacuum has done a minute later.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _fill_sites(titles: int) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from catalogue.models import Site

    now = timezone.now()
    for number, site_id in enumerate(SITES):
        site, _ = Site.objects.get_or_create(site_id=site_id)
        # Nobody listens there: what is measured is an answer from what is remembered.
        site.display_name, site.base_url, site.search_priority = (
            site_id,
            "http://127.0.0.1:1",
            number + 1,
        )
        site.enabled, site.index_size, site.index_refreshed_at = True, titles // len(SITES), now
        site.back_off_until = now + timedelta(days=1)
        site.last_error = "not asked by this benchmark"
        site.save()


def _fill_titles(pairs: Sequence[tuple[str, str, str]]) -> None:
    from django.utils import timezone

    from catalogue.models import Title, TitleMapping
    from catalogue.words import title_key

    now = timezone.now()
    Title.objects.bulk_create(
        [
            Title(site_id=site, slug=slug, name=name[:300], learned_at=now)
            for site, slug, name in pairs
        ],
        batch_size=2000,
    )
    TitleMapping.objects.bulk_create(
        [
            TitleMapping(
                site_id=site, slug=slug, name=name[:300],
                title_key=title_key(name)[:300], last_refreshed_at=now,
            )
            for site, slug, name in pairs
        ],
        batch_size=2000,
        ignore_conflicts=True,
    )  # fmt: skip


def _fill_records(pairs: Sequence[tuple[str, str, str]], records: int) -> None:
    """Five episodes in two languages of each title, and so on in further laps."""
    from datetime import timedelta

    from django.utils import timezone

    from catalogue.models import AvailabilityRecord

    now = timezone.now()
    rng = random.Random(5)  # noqa: S311

    def row(number: int) -> AvailabilityRecord:
        site, slug, _ = pairs[(number // 10) % len(pairs)]
        lap = number // 10 // len(pairs)
        return AvailabilityRecord(
            site_id=site, slug=slug, season=1, episode=lap * 5 + (number // 2) % 5 + 1,
            language=("German Dub", "German Sub")[number % 2], is_available=True, host="VOE",
            height=rng.choice((480, 720, 1080)), vcodec="h264", size_bytes=rng.randrange(10**8, 10**9),
            duration_seconds=1400.0, checked_at=now,
            first_seen_at=now - timedelta(seconds=rng.randrange(10**7)),
        )  # fmt: skip

    for some in _batches(range(records), 2000):
        AvailabilityRecord.objects.bulk_create([row(number) for number in some])


def _batches(numbers: range, size: int) -> Iterator[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _names(titles: int) -> list[str]:
    return [name for _, _, name in catalogue_of(titles // 3 + 1)][:titles]


def asks(titles: int, key: str) -> list[Ask]:
    """The requests as Sonarr, Radarr and Prowlarr write them."""
    rng = random.Random(3)  # noqa: S311
    popular = rng.sample(_names(titles)[: min(titles, 20_000)], POPULAR)
    tail = f"&cat=5030,5040&extended=1&apikey={key}&offset=0&limit=100"
    return [
        Ask("caps", [f"/torznab/api?t=caps&apikey={key}"]),
        Ask("feed, 100 items", [f"/torznab/api?t=tvsearch{tail}"]),
        Ask("feed, page 10", [f"/torznab/api?t=tvsearch{tail}".replace("offset=0", "offset=1000")]),
        Ask(
            "tvsearch, cached",
            [f"/torznab/api?t=tvsearch&q={quote(name)}&season=1&ep=3{tail}" for name in popular],
        ),
        Ask(
            "season, cached",
            [f"/torznab/api?t=tvsearch&q={quote(name)}&season=1{tail}" for name in popular],
        ),
        Ask(
            "tvsearch, no such title",
            [
                f"/torznab/api?t=tvsearch&q=zzyx{n}%20qwv{n}%20xxj&season=1&ep=3{tail}"
                for n in range(POPULAR)
            ],
        ),
        Ask("wrong key", [f"/torznab/api?t=tvsearch&q=x&apikey={'0' * 40}"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--titles", type=int, default=40_000)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--postgresql", default=os.environ.get("TEST_DATABASE_URL", ""))
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.titles, options.records)
        return
    command = [
        "-m",
        "bench.torznab",
        "--fill",
        f"--titles={options.titles}",
        f"--records={options.records}",
    ]
    for address in ("", options.postgresql) if options.postgresql else ("",):
        print(  # noqa: T201
            f"{'PostgreSQL' if address else 'SQLite'}: {options.titles:,} titles, "
            f"{options.records:,} availability records, {options.clients} clients",
            flush=True,
        )
        with served(command, postgresql=address) as server:
            report(
                server.port,
                asks(options.titles, server.api_key),
                clients=options.clients,
                seconds=options.seconds,
                write=lambda line: print(line, flush=True),  # noqa: T201
            )


if __name__ == "__main__":
    main()
