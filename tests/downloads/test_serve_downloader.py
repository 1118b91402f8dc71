"""`manage.py serve_downloader` as a process of its own in front of a real qBittorrent, and AniBridge as its client."""

import asyncio
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from downloads import delivery, dispatching, polling, registry, services
from downloads.downloaders.base import Place
from downloads.downloaders.serving import Service, serve
from downloads.models import Downloader, JobStatus
from downloads.orders import order_for
from tests.downloads.loopback import Quiet, served
from tests.downloads.qbittorrents import (
    PASSWORD,
    QB,
    USER,
    WAIT,
    Seeded,
    free_port,
    introduce,
    now,
    pause_and_resume,
    seed,
    until,
)

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("qbittorrent")]
S = JobStatus
KEY = "a-key-of-its-own"
GONE = "f" * 40


@dataclass
class Serving:
    """A running service; its lines are read as they come."""

    process: subprocess.Popen
    lines: list[str] = field(default_factory=list)
    url: str = ""
    fresh: "queue.Queue[str]" = field(default_factory=queue.Queue)

    def says(self, words: str) -> str:
        """Wait for a line with these words."""
        for line in list(self.lines):
            if words in line:
                return line
        while True:
            line = self.fresh.get(timeout=WAIT)
            assert line, f"it ended without «{words}»: {''.join(self.lines)[-3000:]}"
            if words in line:
                return line

    def ask(self, method: str, path: str, *, key: str = KEY, **rest) -> requests.Response:
        headers = {"X-Api-Key": key} if key else {}
        with requests.Session() as session:  # noqa: TID251
            session.trust_env = False
            return session.request(method, f"{self.url}{path}", headers=headers, timeout=30, **rest)


@contextmanager
def serving(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Serving]:
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "serve_downloader", "--port", "0", *arguments],
        cwd=django_settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "anibridge.settings",
            "ANIBRIDGE_DATA_DIR": str(django_settings.DATA_DIR),
            "QBITTORRENT_PASSWORD": PASSWORD,
            **(env or {}),
        },
    )
    it = Serving(process)

    def read() -> None:
        for line in process.stdout or ():
            it.lines.append(line)
            it.fresh.put(line)
        it.fresh.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        it.url = it.says("listening on").split("listening on ")[1].strip()
        yield it
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        reader.join(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def leecher(fetching_qbittorrent: QB, seeder: QB) -> QB:
    """At full speed, whoever used it before."""
    seeder.api.transfer_set_upload_limit(limit=0)
    return fetching_qbittorrent


@pytest.fixture(scope="module")
def film(seeder: QB) -> Seeded:
    return seed(seeder, "Served.Film.2020.mkv", os.urandom(400_000))


@pytest.fixture(scope="module")
def other(seeder: QB) -> Seeded:
    return seed(seeder, "Served.Other.2021", {"a.mkv": os.urandom(60_000), "b.txt": b"words"})


@pytest.fixture(scope="module")
def files(other: Seeded) -> Iterator[str]:
    """A web server with one .torrent file, and a link that leads to a magnet."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", other.magnet)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = self.path == "/other.torrent"
            body = other.content if found else b"no"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served(Handler) as url:
        yield url


@pytest.fixture(scope="module")
def service(leecher: QB, files: str) -> Iterator[Serving]:
    """It does not register; whoever wants it does that for it."""
    arguments = ("--qbittorrent", leecher.url, "--username", USER, "--key", KEY)
    env = {"OUTBOUND_ALLOWED_PRIVATE_HOSTS": files.removeprefix("http://")}
    with serving(*arguments, env=env) as it:
        yield it


@dataclass
class Inside:
    """The service within this process: for what is about the protocol and not about processes."""

    url: str

    ask = Serving.ask


@contextmanager
def inside(place: Place, key: str) -> Iterator[Inside]:
    ports: queue.Queue[int] = queue.Queue()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        service = Service(place, key=key)
        await serve(
            service, host="127.0.0.1", port=0, announce=lambda port: None, stop=stop, ready=ports.put
        )  # fmt: skip

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield Inside(f"http://127.0.0.1:{ports.get(timeout=WAIT)}")
    finally:
        loop, stop = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def protocol(leecher: QB) -> Iterator[Inside]:
    place = Place("inside", leecher.url, username=USER, secret=PASSWORD)
    with inside(place, KEY) as it:
        yield it


@pytest.fixture
def box(
    db: None, service: Serving, leecher: QB, files: str, downloads_root: Path, settings
) -> Iterator[Downloader]:
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [files.removeprefix("http://")]
    said = registry.Registration("served", service.url, registry.OFFERED[:2], api_key=KEY)
    yield registry.register(said)[0]
    leecher.clear()


def test_magnet_torrent_and_indexer_link_arrive_through_the_service(
    box, seeder: QB, leecher: QB, film: Seeded, other: Seeded, files: str
):
    magnet = services.enqueue(order_for(film.magnet))[0]
    link = services.enqueue(order_for(f"{files}/other.torrent"))[0]
    dispatching.run()
    assert {now(magnet).status, now(link).status} == {S.DOWNLOADING}
    assert now(link).remote_id == other.infohash, "known before it was handed over"

    def done() -> bool:
        for one in (film, other):
            introduce(seeder, leecher, one.infohash)
        polling.poll(box.pk)
        return {now(magnet).status, now(link).status} == {S.COMPLETED}

    until(done, "both are there")
    assert Path(now(magnet).result_path).read_bytes() == film.path.read_bytes()
    assert [Path(file.path).name for file in now(link).files.all()] == ["a.mkv"]
    services.remove(magnet.pk, delete_files=True)
    services.remove(link.pk, delete_files=False)
    delivery.run()
    until(lambda: not leecher.hashes(), "it has forgotten both")
    until(lambda: not Path(now(magnet).result_path).exists(), "one with its file")
    assert (Path(now(link).result_path) / "b.txt").exists(), "the other without"


def test_a_link_that_leads_to_a_magnet_goes_on_as_one(box, leecher: QB, other: Seeded, files: str):
    job = services.enqueue(order_for(f"{files}/moved.torrent"))[0]
    dispatching.run()
    assert (now(job).download_type, now(job).remote_id) == ("magnet", other.infohash)
    assert leecher.hashes() == {other.infohash}


def test_pause_resume_limit_and_cancel_arrive_through_the_service(
    box, seeder: QB, leecher: QB, film: Seeded
):
    # The seeder knows the leecher from before and may call it: it must not be finished too soon.
    seeder.api.transfer_set_upload_limit(limit=16 * 1024)
    job = services.enqueue(order_for(film.magnet))[0]
    dispatching.run()
    pause_and_resume(box, job, leecher)
    services.set_rate_limit([job.pk], 40_000)
    delivery.run()
    until(lambda: leecher.torrent(film.infohash).dl_limit == 40_000, "it is slowed down there")
    assert now(job).limit_note == ""
    services.cancel(job.pk)
    delivery.run()
    until(lambda: not leecher.hashes(), "it is gone there")
    seeder.api.transfer_set_upload_limit(limit=0)


@pytest.mark.django_db(transaction=True)
def test_it_registers_itself_and_is_used(
    live_server, leecher: QB, film: Seeded, downloads_root: Path, settings
):
    with serving(
        "--qbittorrent", leecher.url, "--username", USER, "--key", KEY, "--name", "self-made",
        "--anibridge", live_server.url, "--api-key", settings.API_KEY, "--priority", "70",
    ) as service:  # fmt: skip
        service.says("registered at")
        assert "not registered yet" not in "".join(service.lines)
        box = Downloader.objects.get(name="self-made")
        assert (box.base_url, box.priority, box.secret) == (service.url, 70, KEY)
        assert (
            registry.test(box)[1]
            == '{"status": "ok", "service": "qBittorrent v4.5.2, Web API 2.8.19"}'
        )
        job = services.enqueue(order_for(film.magnet))[0]
        dispatching.run()
        assert now(job).downloader == box
        assert leecher.hashes() == {film.infohash}
    leecher.clear()


def test_without_anibridge_it_tries_again_and_ends_when_it_is_told(leecher: QB):
    nobody = f"http://127.0.0.1:{free_port()}"
    with serving("--qbittorrent", leecher.url, "--anibridge", nobody, "--api-key", "x") as service:
        line = service.says("not registered yet")
        assert "cannot be reached" in line
        assert "next try in 2 s" in line
        assert "next try in 4 s" in service.says("next try in 4 s")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        service.says("stopped")


def test_it_says_when_its_qbittorrent_is_away():
    with inside(Place("away", f"http://127.0.0.1:{free_port()}"), "") as service:
        health = service.ask("GET", "/health")
        assert health.status_code == 503
        assert "cannot be reached" in health.json()["error"]
        body = {"items": [{"url": f"magnet:?xt=urn:btih:{GONE}", "save_path": "/downloads"}]}
        assert service.ask("POST", "/downloads", json=body).status_code == 503


@pytest.mark.parametrize("key", ["", "wrong", "ä"])
def test_it_asks_for_its_key(protocol: Inside, key: str):
    answer = protocol.ask("GET", "/health", key=key.encode("utf-8").decode("latin-1"))
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{nonsense", 400),
        (b"[" * 100_000, 400),
        (b'{"items": []}', 400),
        (b'{"items": {}}', 400),
        (json.dumps({"items": [{"url": "x"}] * 201}).encode(), 400),
        (b'{"items": "' + b"x" * (5 * 2**20) + b'"}', 413),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(protocol: Inside, body: bytes, status: int):
    answer = protocol.ask("POST", "/downloads", data=body)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["results"] == []


def test_each_item_is_answered_with_its_own_reason(
    protocol: Inside, leecher: QB, files: str, settings
):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [files.removeprefix("http://")]
    items = [
        {"url": "https://files.example/film.mp4", "save_path": "/downloads"},
        {"url": "ftp://files.example/film.mp4", "save_path": "/downloads"},
        {"url": f"{files}/missing.torrent", "save_path": "/downloads"},
        {"url": "http://127.0.0.1:9/x.torrent", "save_path": "/downloads"},
        {"url": f"magnet:?xt=urn:btih:{GONE}", "save_path": "relative"},
        {"url": 7},
        "nonsense",
        {"url": f"magnet:?xt=urn:btih:{'e' * 40}&dn=x", "save_path": str(leecher.downloads)},
    ]
    results = protocol.ask("POST", "/downloads", json={"items": items}).json()["results"]
    assert [one["status"] for one in results] == ["rejected"] * 7 + ["accepted"]
    assert results[7]["hash"] == "e" * 40
    words = [one["reason"] for one in results[:7]]
    for reason, part in zip(
        words,
        (
            "magnets and .torrent files only",
            "«ftp» links cannot be fetched",
            "answered 404",
            "OUTBOUND_ALLOWED_PRIVATE_HOSTS",
            "must be absolute",
            "needs a url",
            "needs a url",
        ),
        strict=True,
    ):
        assert part in reason
    leecher.clear()


def test_hashes_that_it_does_not_know(protocol: Inside, leecher: QB, film: Seeded):
    leecher.api.torrents_add(torrent_files=film.content, tags="anibridge")
    until(lambda: leecher.torrent(film.infohash), "something is there that must stay")
    said = protocol.ask("GET", f"/downloads?hashes={GONE},all").json()["statuses"]
    assert [(one["hash"], one["status"]) for one in said] == [
        (GONE, "not_found"),
        ("all", "not_found"),
    ]
    cancelled = protocol.ask("POST", "/downloads/cancel", json={"hashes": [GONE, "all"]}).json()
    assert {one["status"] for one in cancelled["results"]} == {"not_found"}
    for method, path in (
        ("DELETE", f"/downloads/{GONE}?delete_files=true"),
        ("DELETE", "/downloads/all?delete_files=true"),
        ("POST", f"/downloads/{GONE}/pause"),
        ("PUT", f"/downloads/{GONE}/resume"),
    ):
        assert protocol.ask(method, path).status_code == 404, path
    limit = protocol.ask("POST", f"/downloads/{GONE}/limit", json={"rate_limit": 5})
    assert limit.status_code == 404
    for nonsense in (0, -1, "5", 5.5, True, [], {}):
        answer = protocol.ask(
            "POST", f"/downloads/{film.infohash}/limit", json={"rate_limit": nonsense}
        )
        assert answer.status_code == 400, nonsense
    assert protocol.ask("GET", "/downloads").status_code == 400
    assert protocol.ask("GET", "/downloads?hashes=a%7Cb").status_code == 400
    assert leecher.hashes() == {film.infohash}
    leecher.clear()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--qbittorrent", "ftp://x"], "must look like http://host:port"),
        (["--qbittorrent", "http://x", "--anibridge", "nonsense"], "must look like"),
        (
            ["--qbittorrent", "http://x", "--anibridge", "http://y", "--host", "0.0.0.0"],
            "say with --base-url",
        ),
    ],
)
def test_what_it_cannot_start_with_is_said(arguments: list[str], words: str):
    with pytest.raises(CommandError, match=words):
        call_command("serve_downloader", *arguments)


def test_a_port_that_is_taken_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(CommandError, match=f"cannot listen on 127.0.0.1:{port}"):
            call_command("serve_downloader", "--qbittorrent", "http://x", "--port", port)


def test_a_running_and_a_finished_download_are_told_in_the_protocols_words(
    protocol: Inside, seeder: QB, leecher: QB, other: Seeded
):
    folder = str(leecher.downloads)
    body = {"items": [{"url": other.magnet, "save_path": folder}]}
    first = protocol.ask("POST", "/downloads", json=body).json()["results"][0]
    assert (first["status"], first["hash"], first["url"]) == (
        "accepted",
        other.infohash,
        other.magnet,
    )
    again = protocol.ask("POST", "/downloads", json=body).json()["results"][0]
    assert (again["status"], again["hash"]) == ("accepted", other.infohash)
    for command in ("pause", "resume"):
        assert protocol.ask("PUT", f"/downloads/{other.infohash.upper()}/{command}").ok

    def done() -> bool:
        introduce(seeder, leecher, other.infohash)
        return status()["status"] == "completed"

    def status() -> dict:
        return protocol.ask("GET", f"/downloads?hashes={other.infohash}").json()["statuses"][0]

    until(done, "it has all of it")
    said = status()
    assert (said["progress"], said["content_path"]) == (1.0, f"{folder}/Served.Other.2021")
    assert sorted(said["files"]) == ["Served.Other.2021/a.mkv", "Served.Other.2021/b.txt"]
    assert protocol.ask("DELETE", f"/downloads/{other.infohash}?delete_files=true").ok
    until(lambda: not leecher.hashes(), "it is gone")
    assert protocol.ask("GET", "/health").json()["status"] == "ok"
