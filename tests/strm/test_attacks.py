"""Hostile links, hosts, playlists and resolvers."""

import errno
import gzip
import os
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from anibridge.lib import guard
from strm import manifests, upstream
from strm.models import StrmUrlMapping
from tests.strm.conftest import Source, stream
from tests.strm.host import Host
from tests.strm.player import Player

FILM = b"\0\0\0\x20ftypisom" + os.urandom(50_000)
FORBIDDEN = [
    "http://127.0.0.1:{other}/secret",
    "http://localhost:{other}/secret",
    "http://[::1]:{other}/secret",
    "http://[::ffff:127.0.0.1]:{other}/secret",
    "http://2130706433:{other}/secret",
    "http://0x7f000001:{other}/secret",
    "http://127.1:{other}/secret",
    "http://0:{other}/secret",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/secret",
    "http://192.168.1.1/secret",
    "http://100.64.0.1/secret",
    "http://[fe80::1]/secret",
    "http://[fd00::1]/secret",
    "http://[64:ff9b::7f00:1]/secret",
    "file:///etc/passwd",
    "ftp://127.0.0.1/secret",
    "gopher://127.0.0.1:{other}/_x",
    "http://user:pw@127.0.0.1:{other}/secret",
    "http://127.0.0.1:{other}\\@host.example/secret",
]


@pytest.fixture
def inside(host: Host) -> Iterator[Host]:
    """Something on this machine that nobody named: whoever gets through to it has broken out."""
    from tests.strm import host as hosts

    with hosts.running() as running:
        running.body("/secret", b"#EXTM3U\n#EXTINF:1,\nSECRET\n#EXT-X-ENDLIST\n")
        yield running
        assert running.asked == []


@contextmanager
def raw(answer: bytes) -> Iterator[str]:
    """A host that sends these very bytes to whoever connects."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            with client:
                if stop.is_set():
                    return
                client.settimeout(5)
                try:
                    client.recv(65536)
                    client.sendall(answer)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()


@pytest.mark.parametrize("auth", ["token", "apikey", "none"])
def test_a_forged_link_asks_nobody(player: Player, host: Host, source: Source, settings, auth: str):
    link = source.offer("film", stream(host.file("/film.mp4", FILM)))
    playlist = b"#EXTM3U\n#EXTINF:1,\nfilm.mp4\n#EXT-X-ENDLIST\n"
    child = player.get(
        source.offer("hls", stream(host.body("/x.m3u8", playlist), kind="hls"))
    ).uris[0]
    settings.STRM_PROXY_AUTH = auth
    asked = len(host.asked)
    if auth != "none":
        for forged in (
            link[:-1] + ("0" if link[-1] != "0" else "1"),
            link.partition("&sig")[0],
            link.replace("film", "Film"),
        ):
            reply = player.get(forged)
            assert reply.status == 403
            assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    name, _, token = child.partition("?t=")
    for forged in (
        f"{name}?t={token[:-4]}AAAA", f"{name}?t=", name, f"{name}?u=http://127.0.0.1/&sig=0",
        f"{name}?t={token}x" * 3, f"{name}?t={token[::-1]}",
    ):  # fmt: skip
        assert player.follow(forged, link).status == 403
    assert len(host.asked) == asked


def test_the_name_in_a_child_link_decides_nothing(player: Player, host: Host, source: Source):
    host.file("/film.mp4", FILM)
    playlist = b"#EXTM3U\n#EXTINF:1,\nfilm.mp4\n#EXT-X-ENDLIST\n"
    link = source.offer("hls", stream(host.body("/x.m3u8", playlist), kind="hls"))
    child = player.get(link).uris[0]
    reply = player.follow(child.replace("film.mp4", "evil.html"), link)
    assert (reply.body, reply.headers["content-type"]) == (FILM, "video/mp4")
    assert "evil" not in str(reply.headers)


@pytest.mark.parametrize("way", ["direct", "redirect", "two redirects", "child"])
def test_nothing_leads_to_a_forbidden_address(
    player: Player, host: Host, source: Source, inside: Host, way: str
):
    for number, address in enumerate(FORBIDDEN):
        target = address.format(other=inside.place.rpartition(":")[2])
        hop = host.redirect(f"/hop{number}", target)
        if way == "child":
            if not target.startswith("http:"):
                continue
            text = f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:1,\n{target}\n#EXTINF:1,\n{hop}\n#EXT-X-ENDLIST\n'
            link = source.offer(
                f"f{number}", stream(host.body("/x.m3u8", text.encode()), kind="hls")
            )
            top = player.get(link)
            for uri in [*top.uris, top.text.partition('URI="')[2].partition('"')[0]]:
                assert player.follow(uri, link).status == 502, target
            continue
        found = {
            "direct": target,
            "redirect": hop,
            "two redirects": host.redirect(f"/hops{number}", hop),
        }[way]
        assert player.get(source.offer(f"f{number}", stream(found))).status == 502, target


def test_a_resolver_that_changes_its_answer_gains_nothing(
    player: Player, host: Host, source: Source, inside: Host, monkeypatch
):
    """The address that was judged is the one connected to, and each connection is judged anew."""
    answers: list[str] = []
    tried: list[str] = []
    real = socket.socket.connect

    def resolve(name: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        answers.append("93.184.216.34" if len(answers) % 2 == 0 else "127.0.0.1")
        return [(socket.AF_INET, answers[-1])]

    def connect(self: socket.socket, where) -> None:
        if self.family == socket.AF_INET and where[1] == int(inside.place.rpartition(":")[2]):
            tried.append(where[0])
            raise OSError(errno.ECONNREFUSED, "refused")
        real(self, where)

    monkeypatch.setattr(guard, "resolve", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    port = inside.place.rpartition(":")[2]
    link = source.offer("film", stream(f"http://rebind.example:{port}/secret"))
    for _ in range(3):
        assert player.get(link).status == 502
        StrmUrlMapping.objects.update(failed_at=None)
    assert "127.0.0.1" in answers
    assert tried
    assert set(tried) == {"93.184.216.34"}


def test_an_open_connection_is_not_lent_to_another_name(
    player: Player, host: Host, source: Source, monkeypatch
):
    """What one name may reach, another may not, even while a connection to that very address is open."""
    host.file("/film.mp4", FILM)
    assert player.get(source.offer("film", stream(host.at("/film.mp4")))).status == 200
    asked = len(host.asked)
    monkeypatch.setattr(guard, "resolve", lambda name, port: [(socket.AF_INET, "127.0.0.1")])
    port = host.place.rpartition(":")[2]
    from django.conf import settings

    monkeypatch.setattr(settings, "OUTBOUND_ALLOWED_PRIVATE_HOSTS", [f"named.example:{port}"])
    assert (
        player.get(source.offer("named", stream(f"http://named.example:{port}/film.mp4"))).status
        == 200
    )
    assert (
        player.get(source.offer("other", stream(f"http://other.example:{port}/film.mp4"))).status
        == 502
    )
    assert len(host.asked) == asked + 1


def test_an_endless_redirect_ends(player: Player, host: Host, source: Source):
    hops = []

    async def hop(request: web.Request) -> web.Response:
        hops.append(1)
        return web.Response(status=302, headers={"Location": f"/hop?{len(hops)}"})

    host.routes["/hop"] = hop
    reply = player.get(source.offer("film", stream(host.at("/hop"))))
    assert reply.status == 502
    assert len(hops) == 2 * (upstream.REDIRECTS + 1)  # two attempts


def endless(
    block: bytes,
    kind: str = "application/vnd.apple.mpegurl",
    start: bytes = b"",
    pause: float = 0.0,
):
    sent = []

    async def handler(request: web.Request) -> web.StreamResponse:
        import asyncio

        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await response.write(start)
        while True:
            await response.write(block)
            sent.append(len(block))
            await asyncio.sleep(pause)

    return handler, sent


@pytest.mark.parametrize(
    "block", [b"#EXTINF:1,\nseg.ts\n" * 2000, b"x" * 65536, b"\n" * 65536, b"#EXT-X-A:B=C," * 5000]
)
def test_an_endless_playlist_is_cut_off(player: Player, host: Host, source: Source, block: bytes):
    host.routes["/x.m3u8"], sent = endless(block, start=b"#EXTM3U\n")
    reply = player.get(source.offer("film", stream(host.at("/x.m3u8"), kind="hls")))
    assert reply.status == 502
    assert sum(sent) < 2 * (
        manifests.MAX_SENT + 16 * 2**20
    )  # two attempts, and what the sockets hold


def test_a_playlist_that_trickles_is_not_waited_for(
    player: Player, host: Host, source: Source, monkeypatch
):
    monkeypatch.setattr(manifests.read_bounded, "__kwdefaults__", {"seconds": 0.5})
    host.routes["/x.m3u8"], _ = endless(b"#\n", start=b"#EXTM3U\n" + b"#\n" * 400, pause=0.05)
    reply = player.get(source.offer("film", stream(host.at("/x.m3u8"), kind="hls")))
    assert reply.status == 502
    assert "did not arrive" in reply.text


def test_a_playlist_of_a_hundred_thousand_entries_is_refused(
    player: Player, host: Host, source: Source
):
    text = b"#EXTM3U\n" + b"#EXTINF:2,\nsegment.ts\n" * 100_000 + b"#EXT-X-ENDLIST\n"
    reply = player.get(source.offer("film", stream(host.body("/x.m3u8", text), kind="hls")))
    assert reply.status == 502
    assert "more than" in reply.text


def test_a_long_film_in_short_segments_is_none_of_that(player: Player, host: Host, source: Source):
    count = 15_000
    text = b"#EXTM3U\n" + b"#EXTINF:2,\nsegment.ts\n" * count + b"#EXT-X-ENDLIST\n"
    reply = player.get(source.offer("film", stream(host.body("/x.m3u8", text), kind="hls")))
    assert reply.status == 200
    assert len(reply.uris) == count


@pytest.mark.parametrize("declared", ["gzip", "deflate", ""])
def test_a_compressed_bomb_does_not_go_off(
    player: Player, host: Host, source: Source, declared: str
):
    opened = b"#EXTM3U\n" + b"\n" * (100 * 2**20)
    bomb = zlib.compress(opened, 9) if declared == "deflate" else gzip.compress(opened, 9)
    assert len(bomb) < 2**20
    named = {"Content_Encoding": declared} if declared else {}
    link = source.offer("film", stream(host.body("/x.m3u8", bomb, **named), kind="hls"))
    player.get(source.offer("warm", stream(host.file("/film.mp4", FILM))))
    tracemalloc.start()
    try:
        reply = player.get(link)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply.status == 502
    assert peak < 60 * 2**20


def test_a_compressed_video_is_opened_a_little_at_a_time(
    player: Player, host: Host, source: Source
):
    bomb = gzip.compress(FILM + bytes(200 * 2**20), 9)
    link = source.offer(
        "film", stream(host.body("/f.mp4", bomb, "video/mp4", Content_Encoding="gzip"))
    )
    tracemalloc.start()
    try:
        with player.open(link, take=2**20):
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 2**20


def test_an_endless_key_is_cut_off(player: Player, host: Host, source: Source):
    host.routes["/key"], sent = endless(b"k" * 65536, "application/octet-stream")
    text = b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF:1,\nx.ts\n#EXT-X-ENDLIST\n'
    link = source.offer("film", stream(host.body("/x.m3u8", text), kind="hls"))
    uri = player.get(link).text.partition('URI="')[2].partition('"')[0]
    assert player.follow(uri, link).status == 502
    assert sum(sent) < 32 * 2**20


@pytest.mark.parametrize("field", ["slug", "provider", "lang", "site", "e", "s", "exp"])
def test_nothing_in_a_query_becomes_a_header(
    player: Player, host: Host, source: Source, settings, field: str
):
    settings.STRM_PROXY_AUTH = "none"
    host.file("/film.mp4", FILM)
    for smuggled in ("%0d%0aSet-Cookie:%20a=b", "%0aX:%20y", "%00", "%E2%80%A8", "%c4%8d%c4%8a"):
        fields = {"e": "", "lang": "", "s": "0", "site": "link", "slug": "film"}
        fields[field] = fields.get(field, "") + smuggled
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        reply = player.get(f"/strm/stream?{query}")
        assert reply.status in (403, 404)
        assert "set-cookie" not in reply.headers


HOSTILE_HEADERS = [
    b'ETag: "a\x00b"',
    b'ETag: "a" \x0b X-Evil: 1',
    b"ETag: \"" + b"e" * 5000 + b'"',
    b"Content-Type: video/mp4\x0bX: y",
    b"Content-Type: video/mp4\r\n X-Folded: 1",
    b"Content-Type: multipart/byteranges; boundary=a\x0b<script>",
    b"Last-Modified: yesterday\xff\xfe",
    b"Content-Range: bytes 0-1/x",
    b"Accept-Ranges: bytes\x0c",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: -5",
    b"Content-Length: 99999999999999999999999",
    b"Transfer-Encoding: chunked, gzip",
    b"X-Long: " + b"x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize(
    "status", [b"200 OK", b"206 Partial", b"302 Found\r\nLocation: /\x0d\x0aX: y", b"999 x", b"0 x"]
)
def test_no_header_of_a_host_breaks_out(player: Player, source: Source, settings, status: bytes):
    for number, header in enumerate(HOSTILE_HEADERS):
        answer = (
            b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n" + header + b"\r\n\r\n" + FILM[:600]
        )
        with raw(answer) as place:
            settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [place]
            reply = player.get(source.offer(f"film{number}", stream(f"http://{place}/f.mp4")))
        assert reply.status in (200, 502, 504), header
        assert not {"x", "x-evil", "x-folded"} & set(reply.headers)
        assert all(value.isascii() and value.isprintable() for value in reply.headers.values())
        assert len(reply.headers.get("etag", "")) < 300


def test_a_silent_host_is_given_up(player: Player, host: Host, source: Source, monkeypatch):
    import asyncio

    monkeypatch.setattr(upstream, "SILENCE_SECONDS", 0.5)

    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    host.routes["/film.mp4"] = silent
    reply = player.get(source.offer("film", stream(host.at("/film.mp4"))))
    assert reply.status == 504
    assert "did not answer in time" in reply.text
