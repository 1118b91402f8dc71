"""The demo over real HTTP: ranges, host pages that work, and hosts that are broken in the way they say."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urljoin

import av
import pytest
import requests
import yt_dlp

from anibridge.demo import videos
from anibridge.demo.model import DASH_HOST, HLS_HOST, Fault, Link
from anibridge.demo.server import build_app, in_thread, parse_range
from anibridge.demo.titles import catalogue
from anibridge.demo.videos import EPISODE_720, SHORT_720, VIDEOS, Recipe, VideoLibrary
from anibridge.lib.errors import Cancelled, Misconfigured

FILE = f"/videos/{SHORT_720.file}"


def ask(url: str, method: str = "GET", **options) -> requests.Response:
    return requests.request(method, url, **{"timeout": 10, "allow_redirects": False, **options})


def a_link(fault: Fault | None, host: str | None = None) -> Link:
    return next(
        link
        for link in catalogue().links.values()
        if link.host.fault is fault and (host is None or link.host.name == host)
    )


# -- videos over HTTP


def test_the_whole_file_and_a_head_agree(base, library):
    body = (library.folder / SHORT_720.file).read_bytes()
    full, head = ask(base + FILE), ask(base + FILE, "HEAD")
    assert (full.status_code, full.content) == (200, body)
    assert (head.status_code, head.content) == (200, b"")
    for answer in (full, head):
        assert answer.headers["Content-Length"] == str(len(body))
        assert answer.headers["Content-Type"] == "video/mp4"
        assert answer.headers["Accept-Ranges"] == "bytes"
    assert full.headers["ETag"] == head.headers["ETag"]


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [("bytes=0-99", 0, 100), ("bytes=50-", 50, None), ("bytes=-20", -20, None)],
)
def test_a_range_is_answered_with_that_part(base, library, header, start, stop):
    body = (library.folder / SHORT_720.file).read_bytes()
    answer = ask(base + FILE, headers={"Range": header})
    assert (answer.status_code, answer.content) == (206, body[start:stop])
    first = start % len(body)
    last = first + len(answer.content) - 1
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(body)}"


def test_a_range_behind_the_end_is_refused_with_the_size(base, library):
    size = (library.folder / SHORT_720.file).stat().st_size
    answer = ask(base + FILE, headers={"Range": f"bytes={size}-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_a_range_of_an_older_file_gets_everything(base):
    old = ask(base + FILE, headers={"Range": "bytes=5-9", "If-Range": '"old"'})
    assert old.status_code == 200
    etag = old.headers["ETag"]
    assert ask(base + FILE, headers={"Range": "bytes=5-9", "If-Range": etag}).status_code == 206
    assert ask(base + FILE, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", None),
        ("bytes=0-0", range(1)),
        ("bytes=9-", range(9, 10)),
        ("bytes=5-99", range(5, 10)),
        ("bytes=-99", range(10)),
        ("bytes=3-1", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
    ],
)
def test_ranges_are_read_as_the_rfc_says(header, span):
    assert parse_range(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_that_cannot_be_satisfied_is_empty(header):
    assert not parse_range(header, 10)
    assert parse_range(header, 10) is not None


@pytest.mark.parametrize(
    "name", ["recipe.txt", ".lock", "../videos/recipe.txt", "%2e%2e/x", "generated-720p-1s.mp4", ""]
)
def test_only_generated_videos_are_served(base, name):
    assert ask(f"{base}/videos/{name}").status_code == 404


def test_a_paced_file_arrives_whole(library):
    with in_thread(build_app(library, rate=2_000_000)) as url:
        assert ask(url + FILE).content == (library.folder / SHORT_720.file).read_bytes()


def test_health_waits_for_the_videos(base, scratch):
    assert (ask(base + "/healthz").status_code, ask(base + "/healthz").text) == (200, "ok")
    with in_thread(build_app(scratch)) as url:
        assert ask(url + "/healthz").status_code == 503
        assert ask(url + FILE).status_code == 503


# -- pages and hosts


def test_catalogue_pages_and_forms_come_through(base):
    index = ask(base + "/animes-alphabet")
    assert index.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Käpt&#039;n" in index.text
    found = ask(base + "/ajax/search", "POST", data={"keyword": "sintel"}).json()
    assert found[0]["link"] == "/anime/stream/sintel"


def test_a_play_link_redirects_to_the_hosts_page(base):
    link = a_link(None)
    answer = ask(f"{base}/redirect/{link.id}")
    assert (answer.status_code, answer.headers["Location"]) == (302, base + link.host_path)


@pytest.mark.parametrize(
    "host", ["VOE", "Filemoon", "Streamtape", "Vidmoly", "Doodstream", HLS_HOST, DASH_HOST]
)
def test_yt_dlp_finds_the_video_of_a_good_host(base, host):
    link = a_link(None, host)
    with yt_dlp.YoutubeDL({"quiet": True, "socket_timeout": 5}) as reader:
        found = reader.extract_info(f"{base}/redirect/{link.id}", download=False)
    last = found["formats"][-1]
    if host == HLS_HOST:
        assert (last["protocol"], last["height"]) == ("m3u8_native", link.episode.video.height)
    elif host == DASH_HOST:
        assert (last["protocol"], last["height"]) == (
            "http_dash_segments",
            link.episode.video.height,
        )
    else:
        assert last["url"] == f"{base}/videos/{link.episode.video.file}"


def test_hls_leads_from_the_master_to_segments(base):
    master = f"{base}/videos/{EPISODE_720.name}-hls/master.m3u8"
    text = ask(master).text
    assert "RESOLUTION=1280x720" in text
    media = urljoin(master, [line for line in text.splitlines() if not line.startswith("#")][-1])
    lines = ask(media).text.splitlines()
    segment = ask(urljoin(media, next(line for line in lines if line.endswith(".ts"))))
    assert segment.content[:1] == b"\x47"
    assert segment.headers["Content-Type"] == "video/mp2t"


def host_page(base: str, fault: Fault, **options) -> requests.Response:
    return ask(base + a_link(fault).host_path, **options)


def test_a_missing_host_page_is_a_404(base):
    assert host_page(base, Fault.MISSING).status_code == 404
    assert ask(base + "/host/voe/123456789").status_code == 404


def test_a_host_page_without_a_video_has_none(base):
    answer = host_page(base, Fault.NO_VIDEO)
    assert answer.status_code == 200
    assert "<video" not in answer.text


def test_a_fake_video_is_a_page_that_calls_itself_mp4(base):
    page = host_page(base, Fault.FAKE_VIDEO).text
    source = re.search(r'<source src="([^"]+)" type="video/mp4">', page).group(1)
    answer = ask(urljoin(base, source))
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.text.startswith("<!DOCTYPE html>")


def test_a_looping_host_redirects_for_ever(base):
    with pytest.raises(requests.TooManyRedirects):
        host_page(base, Fault.LOOP, allow_redirects=True)


def test_a_silent_host_does_not_answer(base):
    with pytest.raises(requests.ReadTimeout):
        host_page(base, Fault.SILENT, timeout=0.3)


# -- the library


def test_generated_files_are_what_their_names_say(library):
    for video in VIDEOS:
        with av.open(str(library.folder / video.file)) as file:
            assert file.streams.video[0].codec_context.name == "h264"
            assert file.streams.video[0].height == video.height
            assert file.streams.audio[0].codec_context.name == "aac"
            assert file.metadata["title"].startswith("AniBridge generated test video")
            assert file.duration / 1e6 == pytest.approx(library.recipe.seconds(video), abs=0.7)


def test_generating_twice_makes_nothing_new(library):
    before = {path: path.stat().st_mtime_ns for path in library.folder.rglob("*")}
    lines: list[str] = []
    library.ensure(lines.append)
    assert lines == []
    after = {path: path.stat().st_mtime_ns for path in library.folder.rglob("*.*4")}
    assert after.items() <= before.items()


@pytest.fixture
def pretend_ffmpeg(monkeypatch):
    """Encoding without an encoder: the last argument appears after a moment."""
    made: list[str] = []

    def run(command: list[str], stop: threading.Event) -> None:
        time.sleep(0.01)
        made.append(Path(command[-1]).name)
        Path(command[-1]).write_text("video")

    monkeypatch.setattr(videos, "_run", run)
    return made


def test_two_at_once_generate_once(scratch, pretend_ffmpeg):
    threads = [threading.Thread(target=scratch.ensure) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert scratch.ready()
    assert len([name for name in pretend_ffmpeg if name.endswith(".partial")]) == len(VIDEOS)
    assert not list(scratch.folder.glob("*.partial"))


def test_another_recipe_makes_the_videos_anew(scratch, pretend_ffmpeg):
    scratch.ensure()
    other = VideoLibrary(scratch.folder, Recipe(version=99, scale=0.01))
    assert not other.ready()
    other.ensure()
    assert other.ready()
    assert not scratch.ready()


def test_a_lost_video_is_made_again(scratch, pretend_ffmpeg):
    scratch.ensure()
    pretend_ffmpeg.clear()
    (scratch.folder / SHORT_720.file).unlink()
    assert not scratch.ready()
    scratch.ensure()
    assert pretend_ffmpeg == ["generated-720p.partial"]


def test_generating_stops_when_asked_to(scratch):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        VideoLibrary(scratch.folder, Recipe()).ensure(stop=stop)


def test_ffmpegs_complaint_is_passed_on(scratch, monkeypatch):
    monkeypatch.setattr(videos, "_AUDIO_KBITS", "no number")
    with pytest.raises(Misconfigured, match="ffmpeg could not"):
        scratch.ensure()


# -- the process


def test_a_taken_port_is_named(scratch):
    with in_thread(build_app(scratch)) as url:
        port = int(url.rpartition(":")[2])
        with (
            pytest.raises(Misconfigured, match=str(port)),
            in_thread(build_app(scratch), port=port),
        ):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_stops_at_once_although_clients_hang(tmp_path, number):
    # The full recipe: it is still generating when the signal comes.
    command = [sys.executable, "-m", "anibridge.demo", "--port", "0", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            url = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
            silent = a_link(Fault.SILENT).host_path
            with contextlib.closing(
                socket.create_connection(("127.0.0.1", int(url.group(1))))
            ) as hanging:
                hanging.sendall(f"GET {silent} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                time.sleep(0.3)
                process.send_signal(number)
                rest, _ = process.communicate(timeout=2)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "has stopped" in rest
