"""HLS as one file: the cache on a real disk, and real ffmpeg behind the real server."""

import asyncio
import fcntl
import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from anibridge.lib import media
from strm import remuxing, wholefiles
from strm.limits import Slots
from strm.remuxed import Cache, Made
from tests.strm import host as hosts
from tests.strm import server as servers
from tests.strm.host import Host
from tests.strm.server import Server

PATIENCE = 60


# --- The cache ------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, settings: Any) -> Cache:
    settings.DOWNLOAD_RESERVE = 0
    return Cache(tmp_path / "remux", 250)


def fill(cache: Cache, name: str, *, played: int, size: int = 100) -> Path:
    path = cache.folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (played, 1))
    return path


def names(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir() if path.name != ".slots")


def test_what_was_not_played_for_longest_goes_first(cache: Cache):
    for name, played in (("a.mp4", 3), ("b.mp4", 1), ("c.mp4", 2)):
        fill(cache, name, played=played)
    assert cache.make_room(0)
    assert names(cache) == ["a.mp4", "c.mp4"]
    made = cache.opened("c.mp4")
    assert made is not None
    made.close()
    assert cache.make_room(100)
    assert names(cache) == ["c.mp4"]


def test_what_is_being_read_stays(cache: Cache):
    fill(cache, "a.mp4", played=1)
    fill(cache, "b.mp4", played=2)
    made = cache.opened("a.mp4")
    assert made is not None
    os.utime(cache.folder / "a.mp4", (1, 1))
    assert cache.make_room(150)
    assert names(cache) == ["a.mp4"]
    assert not cache.make_room(200)
    made.close()
    assert cache.make_room(200)
    assert names(cache) == []


def test_the_disk_keeps_its_reserve(cache: Cache, settings: Any):
    fill(cache, "a.mp4", played=1)
    settings.DOWNLOAD_RESERVE = shutil.disk_usage(cache.folder).total * 2
    assert not cache.has_room(cache.part("b.mp4"))
    assert names(cache) == []


def test_a_part_grows_until_there_is_no_room(cache: Cache):
    part = cache.part("a.mp4")
    assert cache.has_room(part)
    part.write_bytes(bytes(200))
    assert cache.has_room(part)
    part.write_bytes(bytes(300))
    assert not cache.has_room(part)


def test_left_overs_go_and_what_somebody_is_making_stays(cache: Cache):
    """A maker is another process: the lock is its own."""
    for name in ("dead.mp4", "alive.mp4"):
        cache.part(name).write_bytes(b"half")
    ready, over = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        Slots(cache.folder / ".slots").take("alive.mp4", 1)
        os.write(ready[1], b"x")
        os.close(over[1])
        os.read(over[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        cache.sweep()
        assert names(cache) == ["alive.mp4.part"]
    finally:
        os.close(over[1])
        os.waitpid(child, 0)
    cache.sweep()
    assert names(cache) == []
    for end in (ready[0], ready[1], over[0]):
        os.close(end)


def test_a_file_that_is_being_removed_is_not_there(cache: Cache):
    path = fill(cache, "a.mp4", played=1)
    with path.open("rb") as remover:
        fcntl.flock(remover, fcntl.LOCK_EX)
        assert cache.opened("a.mp4") is None
    assert cache.opened("b.mp4") is None


# --- Ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "status", "span"),
    [
        ({}, 200, (0, 100)),
        ({"Range": "bytes=0-"}, 206, (0, 100)),
        ({"Range": "bytes=10-19"}, 206, (10, 10)),
        ({"Range": "bytes=90-500"}, 206, (90, 10)),
        ({"Range": "bytes=-5"}, 206, (95, 5)),
        ({"Range": "bytes=-500"}, 206, (0, 100)),
        ({"Range": "bytes=100-"}, 416, (0, 0)),
        ({"Range": "bytes=-0"}, 416, (0, 0)),
        ({"Range": "bytes=9-1"}, 200, (0, 100)),
        ({"Range": "bytes=-"}, 200, (0, 100)),
        ({"Range": "bytes=0-1,5-6"}, 200, (0, 100)),
        ({"Range": "bytes=10-19", "If-Range": '"t"'}, 206, (10, 10)),
        ({"Range": "bytes=10-19", "If-Range": '"other"'}, 200, (0, 100)),
        ({"If-None-Match": '"x", "t"'}, 304, (0, 0)),
        ({"If-None-Match": '"x"'}, 200, (0, 100)),
    ],
)
def test_a_range_is_what_a_web_server_makes_of_it(
    passed: dict[str, str], status: int, span: tuple[int, int]
):
    made = Made(None, 100, '"t"', "video/mp4")  # type: ignore[arg-type]
    head, first, length = wholefiles.head_for(made, passed, cors=False, name="film.mp4")
    told = dict(head.headers)
    assert (head.status, (first, length)) == (status, span)
    if status == 206:
        assert told[b"content-range"] == f"bytes {first}-{first + length - 1}/100".encode()
    if status == 416:
        assert told[b"content-range"] == b"bytes */100"
    if status != 304:
        assert told[b"content-length"] == str(length).encode()


# --- ffmpeg ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with hosts.running() as running:
        yield running


@pytest.fixture(scope="module")
def server(host: Host, films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    extra = {"STRM_REMUX": "mp4", "STRM_REMUX_WAIT_SECONDS": "40", "DOWNLOAD_RESERVE": "0"}
    with servers.running(tmp_path_factory.mktemp("server"), host, extra) as running:
        yield running
        log = (running.data / "web.log").read_text()
        assert "Traceback" not in log, log
        assert "sig=" not in log


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    talk = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    talk.request(
        "GET",
        f"{parts.path}?{parts.query}",
        headers={n.replace("_", "-"): v for n, v in headers.items()},
    )
    answer = talk.getresponse()
    told = {name.lower(): value for name, value in answer.getheaders()}
    body = answer.read()
    talk.close()
    return answer.status, told, body


def until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def cached(server: Server) -> list[str]:
    folder = server.data / "remux"
    return (
        sorted(one.name for one in folder.iterdir() if one.name != ".slots")
        if folder.exists()
        else []
    )


def clear(server: Server) -> None:
    for name in cached(server):
        (server.data / "remux" / name).unlink(missing_ok=True)


def ffmpegs(server: Server) -> list[int]:
    """The processes of ffmpeg that write into this server's cache."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(server.data / "remux").encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("[https @ 0x1] HTTP error 503 Service Unavailable", remuxing.BUSY_SECONDS),
        ("[https @ 0x1] HTTP error 429 Too Many Requests", remuxing.BUSY_SECONDS),
        ("[https @ 0x1] HTTP error 404 Not Found", remuxing.FAILED_SECONDS),
        ("moov atom not found", remuxing.FAILED_SECONDS),
    ],
)
def test_what_only_had_no_place_among_the_streams_is_tried_again_soon(
    cache: Cache, said: str, seconds: float
):
    async def failing() -> remuxing.CannotRemux:
        remuxer = remuxing.Remuxer(cast(Any, None))
        remuxer._cache = cache
        words = f"import sys; sys.exit({said!r})"
        with pytest.raises(remuxing.CannotRemux) as failed:
            await remuxer._run([sys.executable, "-c", words], cache.part("film.mp4"))
        return failed.value

    error = asyncio.run(failing())
    assert said.rpartition("] ")[2] in str(error)
    assert error.again == seconds


pytest_e2e = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("strm-remux")]


def e2e(test: Any) -> Any:
    for mark in pytest_e2e:
        test = mark(test)
    return test


@e2e
@pytest.mark.parametrize("kind", ["ts", "fmp4"])
def test_hls_arrives_as_one_file_that_can_be_sought_in(
    server: Server, host: Host, films: Path, tmp_path: Path, kind: str
):
    slug = f"one-{kind}"
    servers.serve(host, slug, films / kind, "master.m3u8", "hls")
    status, told, body = get(server.link(slug))
    assert (status, told["content-type"]) == (200, "video/mp4"), body[:300]
    assert int(told["content-length"]) == len(body)
    agents = {one.headers["user-agent"] for one in host.asked if f"/{slug}/" in one.path}
    assert len(agents) == 1
    assert agents.pop().startswith("AniBridge/")  # the proxy has asked; ffmpeg asked nobody else
    film = tmp_path / "film.mp4"
    film.write_bytes(body)
    facts = media.verify_video(film, expected_seconds=12)
    assert (facts.container, facts.vcodec, facts.acodec) == ("mov", "h264", "aac")
    assert body.find(b"moov") < body.find(
        b"mdat"
    )  # progressive: it can begin before its end is there
    asked = len(host.asked)
    middle = len(body) // 2
    status, told, part = get(server.link(slug), Range=f"bytes={middle}-{middle + 99}")
    assert (status, part) == (206, body[middle : middle + 100])
    assert get(server.link(slug), If_None_Match=told["etag"])[0] == 304
    assert len(host.asked) == asked  # out of the cache: nobody is asked


@e2e
def test_many_who_ask_share_one_ffmpeg(server: Server, host: Host, films: Path):
    servers.serve(host, "shared", films / "ts", "master.m3u8", "hls")
    bodies: list[bytes] = []

    def play() -> None:
        _status, told, body = get(server.link("shared"))
        if told["content-type"] == "video/mp4":
            bodies.append(body)

    threads = [threading.Thread(target=play) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(bodies) == 6
    assert len(set(bodies)) == 1
    assert len(host.paths("/shared/seg-000.ts")) <= 2  # ffmpeg looks at the first one twice


@e2e
def test_a_part_that_is_missing_makes_no_file(server: Server, host: Host, films: Path):
    servers.serve(host, "hole", films / "ts", "master.m3u8", "hls")
    host.routes.pop("/hole/seg-003.ts")
    clear(server)
    status, told, body = get(server.link("hole"))
    assert (status, told["content-type"]) == (200, "application/vnd.apple.mpegurl")
    assert body.startswith(b"#EXTM3U")
    assert cached(server) == []
    assert "cannot be made one file" in (server.data / "web.log").read_text()


@e2e
def test_a_live_stream_stays_a_playlist(server: Server, host: Host, films: Path):
    servers.serve(host, "live", films / "ts", "master.m3u8", "hls")
    text = (
        (films / "ts" / "list.m3u8")
        .read_text()
        .replace("#EXT-X-ENDLIST\n", "")
        .replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "")
    )
    host.file("/live/list.m3u8", text.encode(), "text/plain")
    status, told, _body = get(server.link("live"))
    assert (status, told["content-type"]) == (200, "application/vnd.apple.mpegurl")
    assert ffmpegs(server) == []


@contextmanager
def stuck(host: Host, films: Path, slug: str) -> Iterator[None]:
    """A film whose fourth segment does not come before the end of this."""
    servers.serve(host, slug, films / "ts", "master.m3u8", "hls")
    over = threading.Event()

    async def slow(request: web.Request) -> web.Response:
        while not over.is_set():
            await asyncio.sleep(0.05)
        return web.Response(body=(films / "ts" / "seg-003.ts").read_bytes())

    host.routes[f"/{slug}/seg-003.ts"] = slow
    try:
        yield
    finally:
        over.set()


@e2e
def test_an_ffmpeg_that_is_killed_leaves_nothing_and_the_player_gets_the_playlist(
    server: Server, host: Host, films: Path
):
    clear(server)
    told: list[str] = []

    def play() -> None:
        told.append(get(server.link("killed"))[1]["content-type"])

    with stuck(host, films, "killed"):
        player = threading.Thread(target=play)
        player.start()
        until(lambda: ffmpegs(server) and cached(server), "nothing was begun")
        (process,) = ffmpegs(server)
        os.kill(process, signal.SIGKILL)
        until(lambda: not cached(server), "something is left")
        player.join(PATIENCE)
    assert told == ["application/vnd.apple.mpegurl"]
    assert ffmpegs(server) == []


@dataclass
class Restarted:
    """A server that makes Matroska, in the place of one that was killed in the middle of its work."""

    server: Server
    left_behind: list[str]


@pytest.fixture(scope="module")
def restarted(
    host: Host, films: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restarted]:
    data = tmp_path_factory.mktemp("restarted")
    size = (films / "film.mp4").stat().st_size
    extra = {
        "STRM_REMUX": "mkv",
        "STRM_REMUX_WAIT_SECONDS": "0",
        "STRM_REMUX_CACHE": str(size * 3 // 2),
        "DOWNLOAD_RESERVE": "0",
    }
    with stuck(host, films, "outlived"):
        with servers.running(data, host, extra, workers=1) as server:
            _status, told, _ = get(server.link("outlived"))
            assert told["content-type"] == "application/vnd.apple.mpegurl"  # it does not wait
            until(lambda: ffmpegs(server) and cached(server), "nothing was begun")
            os.killpg(server.process.pid, signal.SIGKILL)  # no chance to clear up
        until(lambda: not ffmpegs(server), "ffmpeg has outlived its server")
    left_behind = cached(server)
    (data / "remux" / "too-much.mkv").write_bytes(bytes(size * 2))
    with servers.running(
        data, host, {**extra, "STRM_REMUX_WAIT_SECONDS": "40"}, workers=1
    ) as server:
        yield Restarted(server, left_behind)


@e2e
def test_what_a_killed_server_was_making_goes_at_the_next_start_and_so_does_what_is_too_much(
    restarted: Restarted,
):
    assert [Path(name).suffix for name in restarted.left_behind] == [".part"]
    until(lambda: not cached(restarted.server), "the next start leaves it")


@e2e
def test_a_file_may_be_matroska_and_must_fit_into_the_cache(
    restarted: Restarted, host: Host, films: Path, tmp_path: Path
):
    server = restarted.server
    for slug in ("first", "second"):
        servers.serve(host, slug, films / "fmp4", "master.m3u8", "hls")
        status, told, body = get(server.link(slug))
        assert (status, told["content-type"]) == (200, "video/x-matroska"), body[:300]
        film = tmp_path / "film.mkv"
        film.write_bytes(body)
        assert media.verify_video(film, expected_seconds=12).container == "matroska"
        assert len(cached(server)) == 1  # the first one has made room for the second
    # The same film twice over is more than fits.
    servers.serve(host, "long", films / "ts", "master.m3u8", "hls")
    text = (films / "ts" / "list.m3u8").read_text()
    again = "#EXT-X-DISCONTINUITY\n" + text[text.index("#EXTINF") :]
    host.file("/long/list.m3u8", text.replace("#EXT-X-ENDLIST\n", again).encode(), "text/plain")
    status, told, _ = get(server.link("long"))
    assert (status, told["content-type"]) == (200, "application/vnd.apple.mpegurl")
    assert "there is no room for it" in (server.data / "web.log").read_text()


@e2e
def test_ffmpeg_can_open_nothing_but_http(films: Path):
    """A playlist with an address that had not been replaced would lead it nowhere."""
    from strm.remuxing import _command

    command = _command("http://127.0.0.1:1/x", Path("/nowhere/x.part"))
    for forbidden in (f"file:{films / 'film.mp4'}", "https://127.0.0.1:1/x", "ftp://127.0.0.1:1/x"):
        tried = [forbidden if part == "http://127.0.0.1:1/x" else part for part in command]
        tried[2] = str(os.getpid())
        done = subprocess.run(tried, capture_output=True, timeout=PATIENCE)
        assert done.returncode
        assert b"not on whitelist" in done.stderr, done.stderr
