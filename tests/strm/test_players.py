"""Real players against the real server: what they get through the proxy is what the host has, byte for byte."""

import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp import web

from anibridge.lib import media
from tests.strm import host as hosts
from tests.strm import server as servers
from tests.strm.conftest import require
from tests.strm.host import Host
from tests.strm.server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("strm-players")]
KINDS = ["mp4", *servers.SEGMENTED]
ASSETS = Path(__file__).parent / "assets"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with hosts.running() as running:
        yield running


@pytest.fixture(scope="module")
def server(host: Host, films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    servers.serve(host, "mp4", films, "film.mp4", "file")
    servers.serve(host, "ts", films / "ts", "master.m3u8", "hls")
    servers.serve(host, "fmp4", films / "fmp4", "master.m3u8", "hls")
    servers.serve(host, "dash", films / "dash", "list.mpd", "dash")
    with servers.running(tmp_path_factory.mktemp("server"), host) as running:
        yield running
        log = (running.data / "web.log").read_text()
        assert "Traceback" not in log, log
        assert "sig=" not in log
        assert "?t=" not in log


def run(*command: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def packets(url: str, *options: str) -> tuple[int, str]:
    """How many packets ffmpeg reads of the picture, and a checksum over all of them."""
    copied = ("-map", "0:v:0", "-c", "copy", "-f", "framemd5", "-")
    done = run("ffmpeg", "-nostdin", "-v", "error", *options, "-i", url, *copied)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = [line.split(",") for line in done.stdout.splitlines() if not line.startswith("#")]
    sums = ",".join(line[-1].strip() for line in lines)
    return len(lines), hashlib.sha256(sums.encode()).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_ffmpeg_gets_every_frame_that_the_host_has(server: Server, films: Path, kind: str):
    source = {"mp4": "film.mp4", "ts": "master.m3u8", "fmp4": "master.m3u8", "dash": "list.mpd"}[
        kind
    ]
    folder = films if kind == "mp4" else films / kind
    count, _ = through = packets(server.link(kind))
    assert count == 144  # twelve seconds of twelve frames
    any_key = ("-allowed_extensions", "ALL") if source.endswith("m3u8") else ()
    assert through == packets(str(folder / source), *any_key)


@pytest.mark.parametrize("kind", KINDS)
def test_ffprobe_knows_how_long_it_is(server: Server, kind: str):
    done = run(
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "format=duration",
        "-of",
        "csv=p=0",
        server.link(kind),
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize(
    "kind", ["mp4", "ts"]
)  # ffmpeg 5.1 does not find its way in fmp4 on a disk either
def test_ffmpeg_can_seek(server: Server, kind: str):
    done = run(
        "ffmpeg", "-nostdin", "-v", "error", "-ss", "8", "-i", server.link(kind),
        "-map", "0:v:0", "-f", "null", "-progress", "-", "-",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    frames = [
        int(line.partition("=")[2])
        for line in done.stdout.splitlines()
        if line.startswith("frame=")
    ]
    assert 40 <= frames[-1] <= 60


def test_a_manifest_of_whole_files_and_their_ranges_plays(
    server: Server, host: Host, films: Path, tmp_path: Path
):
    top = tmp_path / "x.mpd"
    made = run(
        "ffmpeg", "-nostdin", "-v", "error", "-i", str(films / "film.mp4"), "-c", "copy",
        "-f", "dash", "-single_file", "1", "-seg_duration", "2", str(top),
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    servers.serve(host, "whole", tmp_path, top.name, "dash")
    done = run("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", server.link("whole"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_mpv_plays_to_the_end(server: Server, kind: str):
    require("mpv")
    done = run(
        "mpv", "--no-config", "--vo=null", "--ao=null", "--untimed", "--ao-null-untimed=yes", "--ytdl=no",
        "--hwdec=no", "--no-resume-playback", "--term-playing-msg=length ${=duration}", server.link(kind),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "End of file" in done.stdout
    length = float(done.stdout.partition("length ")[2].split()[0])
    assert length == pytest.approx(12, abs=0.3)


def test_yt_dlp_fetches_each_of_them(server: Server, tmp_path: Path):
    done = run(
        sys.executable, "-m", "yt_dlp", "--ignore-config", "--no-cache-dir", "--quiet", "--no-warnings",
        "--hls-prefer-native", "--fixup", "never", "-f", "bv*/b", "-o", str(tmp_path / "%(autonumber)s.%(ext)s"),
        *(server.link(kind) for kind in KINDS),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = list(tmp_path.iterdir())
    assert len(files) == len(KINDS)
    for file in files:
        assert media.inspect(file).video_streams == 1
        assert packets(str(file))[0] == 144


@pytest.mark.parametrize("kind", ["ts", "fmp4"])
def test_a_link_that_ends_half_way_is_not_noticed_by_a_player(
    server: Server, host: Host, films: Path, kind: str
):
    slug = f"ending-{kind}"
    servers.serve(host, slug, films / kind, "master.m3u8", "hls")
    handed = servers.expire_after(host, slug, "master.m3u8", requests=6)
    expected = packets(server.link(kind))
    assert packets(server.link(slug)) == expected
    assert len(handed) == 2
    if kind == "ts" and shutil.which("mpv"):
        slug = "ending-again"
        servers.serve(host, slug, films / kind, "master.m3u8", "hls")
        servers.expire_after(host, slug, "master.m3u8", requests=6)
        done = run(
            "mpv",
            "--no-config",
            "--vo=null",
            "--ao=null",
            "--untimed",
            "--ao-null-untimed=yes",
            "--ytdl=no",
            server.link(slug),
        )
        assert (done.returncode, "End of file" in done.stdout) == (0, True), done.stdout


def test_a_live_stream_whose_addresses_end_before_they_are_asked_is_played_without_a_hole(
    server: Server, host: Host, films: Path
):
    servers.serve(host, "channel", films / "ts", "live.m3u8", "hls")
    loads, refused = servers.broadcast(host, "channel", films / "ts")
    start = ("-live_start_index", "0")
    assert packets(server.link("channel"), *start) == packets(server.link("ts"))
    assert len(set(loads)) > 2
    assert refused


def test_a_file_whose_link_ends_half_way_goes_on_at_the_same_byte(
    server: Server, host: Host, films: Path
):
    servers.serve(host, "ending-mp4", films, "film.mp4", "file")
    size = (films / "film.mp4").stat().st_size
    host.routes["/ending-mp4/film.mp4"].breaks = [size // 2]
    handed = servers.expire_after(host, "ending-mp4", "film.mp4", requests=1)
    assert packets(server.link("ending-mp4")) == packets(str(films / "film.mp4"))
    assert len(handed) == 2


def test_hls_js_plays_in_a_browser(server: Server, host: Host, tmp_path: Path):
    require("chromium")
    said: dict[str, dict[str, object]] = {}
    told = threading.Event()
    sources = {kind: server.link(kind) for kind in ("ts", "fmp4")}
    script = (ASSETS / "hls-1.7.4.light.min.js").read_bytes()
    host.body("/hls.js", script, "text/javascript")
    host.body("/player.html", PAGE.encode(), "text/html")

    async def report(request: web.Request) -> web.Response:
        said[request.query["kind"]] = await request.json()
        if len(said) == len(sources) + 1:
            told.set()
        return web.Response()

    async def listed(request: web.Request) -> web.Response:
        return web.json_response({**sources, "mp4": server.link("mp4")})

    host.routes["/report"], host.routes["/sources"] = report, listed
    command = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run",
        "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={tmp_path}",
        host.at("/player.html"),
    ]  # fmt: skip
    with (tmp_path / "browser.log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            assert told.wait(150), (said, (tmp_path / "browser.log").read_text()[-2000:])
        finally:
            os.killpg(browser.pid, 9)
            browser.wait()
    for kind, result in said.items():
        assert result.get("error") is None, (kind, result)
        assert result["time"] > 11, (kind, result)


PAGE = """<!doctype html><meta charset="utf-8"><script src="/hls.js"></script><script>
(async () => {
  const sources = await (await fetch("/sources")).json();
  await Promise.all(Object.entries(sources).map(async ([kind, url]) => {
    const video = document.createElement("video");
    video.muted = true;
    document.documentElement.append(video);
    const result = await new Promise(done => {
      const end = error => done({error, time: video.currentTime, width: video.videoWidth});
      setTimeout(() => end("too slow at " + video.currentTime), 60000);
      video.onended = () => end(null);
      video.onerror = () => end("video: " + (video.error && video.error.message));
      if (kind === "mp4") { video.src = url; }
      else {
        const hls = new Hls();
        hls.on(Hls.Events.ERROR, (name, data) => { if (data.fatal) end(data.details + " " + data.reason); });
        hls.loadSource(url);
        hls.attachMedia(video);
      }
      video.playbackRate = 8;
      video.addEventListener("loadeddata", () => { video.playbackRate = 8; video.play(); });
    });
    await fetch("/report?kind=" + kind, {method: "POST", body: JSON.stringify(result)});
  }));
})();
</script>"""


def test_a_connection_is_used_again(server: Server):
    parts = urlsplit(server.link("ts"))
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", f"{parts.path}?{parts.query}")
    first = connection.getresponse()
    top = first.read().decode()
    sock = connection.sock
    assert sock is not None
    child = urljoin(
        server.link("ts"), next(line for line in top.split("\n") if line.startswith("proxy/"))
    )
    for method in ("GET", "HEAD", "GET"):
        connection.request(method, child.removeprefix(server.url))
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200
        assert (len(body) == 0) == (method == "HEAD")
        assert connection.sock is sock
    connection.request("GET", f"{parts.path}?{parts.query[:-1]}x")
    refused = connection.getresponse()
    assert (refused.status, refused.read()) == (403, b"the link's signature is not valid\n")
    assert connection.sock is sock
    connection.close()


def test_an_old_player_is_told_the_end_by_hanging_up_where_there_is_no_length(
    server: Server, host: Host
):
    async def without_length(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        await response.write(b"\0\0\0\x20ftypisom" + bytes(5000))
        return response

    host.routes["/endless/film.mp4"] = without_length
    servers.offer(host, "endless", {"url": host.at("/endless/film.mp4"), "kind": "file"})
    parts = urlsplit(server.link("endless"))
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as old:
        question = f"GET {parts.path}?{parts.query} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        # What came of the second one would look like more of the first one's body.
        old.sendall(question.encode() * 2)
        got = b""
        while block := old.recv(65536):
            got += block
    assert len(got.partition(b"\r\n\r\n")[2]) == 5012


def test_a_player_that_hangs_up_frees_the_host(server: Server, host: Host):
    host.file(
        "/long/film.mp4", bytes(4) + b"ftypisom" + bytes(300 * 2**20), pace=0.0005, tag='"long"'
    )
    film = host.routes["/long/film.mp4"]
    servers.offer(host, "long", {"url": host.at("/long/film.mp4"), "kind": "file"})
    parts = urlsplit(server.link("long"))
    before = host.open_now
    for slow in (False, True):
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read(100_000)
        if slow:
            # Until every buffer on the way is full, and the server waits for the player.
            before_that = -1
            while before_that != film.sent:
                before_that = film.sent
                time.sleep(0.3)
        assert host.open_now == before + 1
        assert connection.sock is not None
        answer.close()
        connection.close()
        deadline = time.monotonic() + 30
        while host.open_now > before:
            assert time.monotonic() < deadline, "the host still sends to a player that is gone"
            time.sleep(0.02)


def test_what_breaks_for_good_is_seen_by_the_player_as_broken(server: Server, host: Host):
    host.file(
        "/breaking/film.mp4",
        bytes(4) + b"ftypisom" + os.urandom(2**20),
        ranges=False,
        breaks=[500_000],
    )
    servers.offer(host, "breaking", {"url": host.at("/breaking/film.mp4"), "kind": "file"})
    parts = urlsplit(server.link("breaking"))
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
