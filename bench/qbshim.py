"""How long the qBittorrent API takes to answer when there are many downloads and many clients ask at once.

Run `python -m bench.qbshim` (SQLite), or with `--postgresql postgresql://user@host:port/postgres` (a database of its own
is made there). While it measures, a worker writes the progress of three downloads once a second. `--profile` asks
without a server, one request after the other, and prints what a single one costs.
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_plus

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.serving import PROJECT, Ask, Served, report, served

PASSWORD = "benchmark-only"  # noqa: S105
PER_CATEGORY = 100
RUNNING = 3
ADDS = 20_000


def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anibridge.settings")
    import django

    django.setup()


def fill(jobs: int) -> None:
    """Put downloads in every state into the database that the environment names; run in a process of its own."""
    _django()
    from datetime import timedelta

    from django.conf import settings
    from django.db import connection
    from django.utils import timezone

    from anibridge.celery import prepare_broker
    from catalogue.models import Site
    from downloads.models import Job, JobStatus
    from qbshim.models import Category, ClientTask, Tag

    prepare_broker()
    _make_user()
    Site.objects.get_or_create(
        site_id="demo", defaults={"display_name": "demo", "base_url": "http://127.0.0.1:1"}
    )
    rng, now = random.Random(7), timezone.now()  # noqa: S311
    names = [f"tv-{n}" for n in range(-(-jobs // PER_CATEGORY))]
    Category.objects.bulk_create([Category(name=name) for name in names])
    Tag.objects.bulk_create([Tag(name=f"tag-{n}") for n in range(10)])
    rows = []
    for number in range(jobs):
        done = number % 10 < 7
        status = JobStatus.COMPLETED if done else JobStatus.QUEUED
        running = number >= jobs - RUNNING
        name = f"Invented.Story.{number}.S01E{number % 99 + 1:02}.German.1080p.WEB.H264-DEMO"
        folder = settings.DOWNLOAD_DIR / names[number // PER_CATEGORY]
        rows.append(
            Job(
                infohash=f"{number + 1:040x}", name=name, source_site="demo", slug=f"story-{number}",
                season=1, episode=number % 99 + 1, language="German Dub",
                category=names[number // PER_CATEGORY], save_path=str(folder),
                status=JobStatus.DOWNLOADING if running else status, progress=float(done),
                total_bytes=(size := rng.randrange(10**8, 10**9)), downloaded_bytes=size if done else 0,
                result_path=str(folder / f"{name}.mkv") if done else "", attempts=1,
                created_at=now - timedelta(minutes=jobs - number),
                started_at=now if done or running else None, active_at=now if running else None,
                completed_at=now if done and not running else None,
            )
        )  # fmt: skip
    Job.objects.bulk_create(rows, batch_size=2000)
    ClientTask.objects.bulk_create(
        [
            ClientTask(
                job=job, hash=job.infohash, name=job.name, tags=[f"tag-{job.pk % 10}"],
                magnet=f"magnet:?xt=urn:btih:{job.infohash}&dn={job.name}", added_on=job.created_at,
            )
            for job in Job.objects.all()
        ],
        batch_size=2000,
    )  # fmt: skip
    if connection.vendor == "postgresql":
        # As autovacuum has done a minute later.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _make_user() -> None:
    """As the README has it: a user with the one permission, here through a group."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group, Permission

    user = get_user_model().objects.create_user("bench", password=PASSWORD)
    group = Group.objects.create(name="download clients")
    group.permissions.add(Permission.objects.get(codename="use_download_client"))
    user.groups.add(group)


def beat(parent: int) -> None:
    """Write progress as a worker does, until the process that wants it is gone."""
    _django()
    from django.utils import timezone

    from downloads import transitions
    from downloads.models import Job

    jobs = list(Job.objects.filter(status="downloading").values_list("pk", flat=True))
    done = 0
    while os.getppid() == parent:
        done += 1
        for pk in jobs:
            transitions.beat(
                pk, 1, progress=min(done / 1000, 0.99), downloaded_bytes=done * 10**6,
                speed=10**6 + done, eta=1000, active_at=timezone.now(),
            )  # fmt: skip
        time.sleep(1)


@contextmanager
def _beating(server: Served) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.qbshim", "--beat", str(os.getpid())]
    process = subprocess.Popen(command, cwd=PROJECT, env=dict(server.env))  # noqa: S603
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _sign_in(port: int) -> dict[str, str]:
    """The cookie of a session of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = f"username=bench&password={PASSWORD}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/api/v2/auth/login", body, form)
    answer = connection.getresponse()
    answer.read()
    return {"Cookie": str(answer.headers["Set-Cookie"]).partition(";")[0]}


def _adds() -> list[bytes]:
    """Forms with a magnet each, as Sonarr sends them."""
    _django()
    from catalogue.releases import Identity, magnet_of

    magnets = (
        magnet_of(
            Identity("demo", f"new-{n}", 1, 1, "German Dub"), f"New.{n}.S01E01.German.1080p.WEB.H264-DEMO"
        )
        for n in range(ADDS)
    )  # fmt: skip
    return [f"urls={quote_plus(magnet)}&category=tv-1&stopped=False".encode() for magnet in magnets]


def asks(jobs: int, clients: Sequence[dict[str, str]]) -> list[Ask]:
    """The requests as Sonarr, dashboards and clients with a window of their own write them."""
    api = "/api/v2"
    categories = [
        f"{api}/torrents/info?category=tv-{n}" for n in range(max(jobs // PER_CATEGORY, 1))
    ]
    hashes = [f"{n + 1:040x}" for n in range(0, jobs, 7)]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return [
        Ask("webapiVersion", [f"{api}/app/webapiVersion"], each=clients),
        Ask("preferences", [f"{api}/app/preferences"], each=clients),
        Ask("info, category of 100", categories, each=clients),
        Ask("info, one hash", [f"{api}/torrents/info?hashes={h}" for h in hashes], each=clients),
        Ask("info, newest 50", [f"{api}/torrents/info?limit=50"], each=clients),
        Ask("maindata, increment", [f"{api}/sync/maindata?rid={{rid}}"], each=clients, carry="rid"),
        Ask("transfer/info", [f"{api}/transfer/info"], each=clients),
        Ask("add", [f"{api}/torrents/add"], "POST", form, each=clients, bodies=_adds()),
        Ask("maindata, whole", [f"{api}/sync/maindata"], each=clients),
    ]


def profile(jobs: int) -> None:
    """What one request costs, without a server: milliseconds of this process's CPU, the best of several."""
    _django()
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    settings.ALLOWED_HOSTS = ["*"]
    settings.DOWNLOAD_DIR.mkdir(parents=True, exist_ok=True)
    client = Client()
    client.post("/api/v2/auth/login", {"username": "bench", "password": PASSWORD})
    rid = 0

    def maindata() -> int:
        nonlocal rid
        answer = client.get(f"/api/v2/sync/maindata?rid={rid}")
        rid = json.loads(answer.content)["rid"]
        return len(answer.content)

    def get(path: str) -> int:
        return len(client.get(f"/api/v2/{path}").content)

    kinds: dict[str, Callable[[], int]] = {
        "webapiVersion": lambda: get("app/webapiVersion"),
        "preferences": lambda: get("app/preferences"),
        "info, category of 100": lambda: get("torrents/info?category=tv-3"),
        "maindata, increment": maindata,
        "maindata, whole": lambda: get("sync/maindata"),
        "info, whole": lambda: get("torrents/info"),
    }
    for name, ask in kinds.items():
        ask()
        times = []
        for _ in range(3 if "whole" in name else 30):
            start = time.process_time()
            size = ask()
            times.append((time.process_time() - start) * 1000)
        with CaptureQueriesContext(connection) as queries:
            ask()
        times.sort()
        print(  # noqa: T201
            f"  {name:24} best {times[0]:7.2f} ms  median {times[len(times) // 2]:7.2f} ms of CPU"
            f"  {len(queries):2} queries  {size / 1024:8.1f} KiB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--postgresql", default=os.environ.get("TEST_DATABASE_URL", ""))
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--only", default="", help="kinds of request whose name holds this")
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--single", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--beat", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.jobs)
        return
    if options.single:
        profile(options.jobs)
        return
    if options.beat:
        beat(options.beat)
        return
    command = ["-m", "bench.qbshim", "--fill", f"--jobs={options.jobs}"]
    for address in ("", options.postgresql) if options.postgresql else ("",):
        print(  # noqa: T201
            f"{'PostgreSQL' if address else 'SQLite'}: {options.jobs:,} downloads, "
            f"{options.clients} clients",
            flush=True,
        )
        with served(command, postgresql=address) as server, _beating(server):
            if options.profile:
                server.python("-m", "bench.qbshim", "--single", f"--jobs={options.jobs}")
                continue
            clients = [_sign_in(server.port) for _ in range(options.clients)]
            report(
                server.port,
                [ask for ask in asks(options.jobs, clients) if options.only in ask.name],
                clients=options.clients,
                seconds=options.seconds,
                write=lambda line: print(line, flush=True),  # noqa: T201
            )


if __name__ == "__main__":
    main()
