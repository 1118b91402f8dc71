"""Files through the proxy: what passes, in which direction, and what does not."""

import logging
import os
import re
import time

import pytest
from aiohttp import web
from django.db import OperationalError

from strm import playbacks
from strm.models import StreamSession
from strm.playbacks import Playbacks
from tests.strm.conftest import Source, stream
from tests.strm.host import Host
from tests.strm.player import Player

FILM = b"\0\0\0\x20ftypisom" + os.urandom(700_000)
TS = b"".join(b"G" + os.urandom(187).replace(b"G", b"g") for _ in range(500))


@pytest.fixture
def film(host: Host, source: Source) -> str:
    return source.offer("film", stream(host.file("/film.mp4", FILM)))


def until(true, what: str) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_file_comes_whole_and_with_its_validators(player: Player, host: Host, film: str):
    reply = player.get(film)
    assert (reply.status, reply.finished) == (200, True)
    assert reply.body == FILM
    assert reply.headers["content-length"] == str(len(FILM))
    assert reply.headers["content-type"] == "video/mp4"
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["etag"] == host.routes["/film.mp4"].etag
    assert reply.blocks > 2


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=5-", range(5, len(FILM))),
        ("bytes=100-299", range(100, 300)),
        ("bytes=-7", range(len(FILM) - 7, len(FILM))),
        ("BYTES=5-9", range(5, 10)),
        ("Bytes= 5-9", range(5, 10)),
    ],
)
def test_a_range_comes_as_asked(player: Player, film: str, asked: str, span: range):
    reply = player.get(film, Range=asked)
    assert reply.status == 206
    assert reply.body == FILM[span.start : span.stop]
    assert reply.headers["content-range"] == f"bytes {span.start}-{span.stop - 1}/{len(FILM)}"
    assert reply.headers["content-length"] == str(len(span))


def test_a_range_past_the_end_is_a_416_with_the_size(player: Player, film: str):
    reply = player.get(film, Range=f"bytes={len(FILM)}-")
    assert (reply.status, reply.body) == (416, b"")
    assert reply.headers["content-range"] == f"bytes */{len(FILM)}"


def test_several_ranges_come_in_one_answer(player: Player, film: str):
    reply = player.get(film, Range="bytes=0-3, 10-13")
    assert reply.status == 206
    assert reply.headers["content-type"] == "multipart/byteranges; boundary=border"
    assert "content-range" not in reply.headers
    assert reply.body.count(b"--border") == 3
    assert FILM[10:14] in reply.body


def test_a_host_that_knows_no_lists_of_ranges_gives_the_whole(
    player: Player, host: Host, source: Source
):
    link = source.offer("film", stream(host.file("/film.mp4", FILM)))
    host.routes["/film.mp4"].refuses = lambda request: 416 if "," in request.headers.get("Range", "") else 0  # fmt: skip
    reply = player.get(link, Range="bytes=0-3, 10-13")
    assert (reply.status, reply.body) == (200, FILM)
    assert len(source.looked) == 1


@pytest.mark.parametrize("wrong", ["lines=1-2", "bytes=a-b", "bytes=1-2;x", "bytes=-", "bytes=9-5", "bytes=0-1,-", "bytes=" + "1-2," * 40])  # fmt: skip
def test_a_range_that_is_none_gets_the_whole(player: Player, host: Host, film: str, wrong: str):
    assert player.get(film, Range=wrong).status == 200
    assert "range" not in host.last("/film.mp4").headers


def test_head_tells_what_get_would(player: Player, host: Host, film: str):
    reply = player.get(film, method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-length"] == str(len(FILM))
    assert reply.headers["content-type"] == "video/mp4"
    assert host.last("/film.mp4").method == "HEAD"


def test_a_host_that_knows_no_head_is_asked_for_a_byte(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.file("/film.mp4", FILM, heads=False)))
    reply = player.get(link, method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-length"] == str(len(FILM))
    assert "content-range" not in reply.headers
    assert host.last("/film.mp4").headers["range"] == "bytes=0-0"


def test_a_host_that_hangs_up_on_head_is_asked_for_a_byte(
    player: Player, host: Host, source: Source
):
    link = source.offer("film", stream(host.file("/film.mp4", FILM)))
    answer = host.routes["/film.mp4"]

    async def hang_up(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            assert request.transport is not None
            request.transport.close()
        return await answer(request)

    host.routes["/film.mp4"] = hang_up
    reply = player.get(link, method="HEAD")
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(FILM)))
    assert len(source.looked) == 1


@pytest.mark.parametrize("said", ["bytes 0-9/{}", "bytes 20-39/{}", "bytes 21-29/{}"])
def test_another_part_than_the_one_asked_for_is_not_passed_on(
    player: Player, host: Host, source: Source, said: str
):
    wrong = host.body("/wrong", FILM[:10], "video/mp4", 206, Content_Range=said.format(len(FILM)))
    good = host.file("/film.mp4", FILM)
    link = source.offer("film", stream(wrong, "VOE"), stream(good, "Filemoon"))
    reply = player.get(link, Range="bytes=20-29")
    assert (reply.status, reply.body) == (206, FILM[20:30])


def test_conditions_reach_the_host(player: Player, host: Host, film: str):
    tag = host.routes["/film.mp4"].etag
    unchanged = player.get(film, If_None_Match=tag)
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert unchanged.headers["etag"] == tag
    assert player.get(film, If_None_Match='"other"').status == 200
    assert player.get(film, Range="bytes=0-1", If_Range=tag).status == 206
    assert player.get(film, Range="bytes=0-1", If_Range='"other"').status == 200


def test_a_date_is_a_condition_too_and_what_is_none_stays_behind(
    player: Player, host: Host, source: Source
):
    date = "Thu, 01 Jan 2026 00:00:00 GMT"

    async def handler(request: web.Request) -> web.Response:
        headers = {"Content-Type": "video/mp4", "Last-Modified": date}
        if request.headers.get("If-Modified-Since") == date:
            return web.Response(status=304, headers=headers)
        return web.Response(body=FILM, headers=headers)

    host.routes["/film.mp4"] = handler
    link = source.offer("film", stream(host.at("/film.mp4")))
    unchanged = player.get(link, If_Modified_Since=date)
    assert (unchanged.status, unchanged.body, unchanged.headers["last-modified"]) == (
        304,
        b"",
        date,
    )
    assert player.get(link, If_Modified_Since="yesterday").status == 200
    assert "if-modified-since" not in host.last("/film.mp4").headers


def test_a_connection_to_a_host_is_used_again(player: Player, host: Host, source: Source):
    ports: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response(body=FILM, headers={"Content-Type": "video/mp4"})

    host.routes["/film.mp4"] = handler
    link = source.offer("film", stream(host.at("/film.mp4")))
    for _ in range(4):
        assert player.get(link).body == FILM
    assert len(ports) == 4
    assert len(set(ports)) == 1


def test_other_methods_are_refused_and_a_preflight_is_answered(player: Player, film: str):
    refused = player.get(film, method="POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    preflight = player.get(film, method="OPTIONS", Origin="http://player.example")
    assert preflight.status == 204
    assert "Range" in preflight.headers["access-control-allow-headers"]


def test_only_named_headers_pass(player: Player, host: Host, source: Source):
    async def handler(request: web.Request) -> web.Response:
        return web.Response(
            body=FILM,
            headers={
                "Content-Type": "video/mp4", "Set-Cookie": "track=1", "X-Powered-By": "x",
                "Content-Security-Policy": "none", "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
                "Link": "</x>; rel=preload", "Refresh": "0; url=http://evil",
            },
        )  # fmt: skip

    host.routes["/film.mp4"] = handler
    link = source.offer(
        "film",
        stream(
            host.at("/film.mp4"), Referer="https://site.example/e", User_Agent="x", Cookie="a=b",
            Connection="upgrade", Host="elsewhere", **{"User-Agent": "Resolver/1", "Range": "bytes=1-1"},
        ),
    )  # fmt: skip
    reply = player.get(
        link,
        User_Agent="Player/2",
        Cookie="session=secret",
        Authorization="Bearer me",
        X_Forwarded_For="10.0.0.1",
    )
    assert reply.status == 200
    allowed = {
        "content-type", "content-length", "last-modified", "cache-control", "content-disposition",
        "x-content-type-options", "content-security-policy", "cross-origin-resource-policy",
        "referrer-policy", "access-control-allow-origin", "access-control-expose-headers",
    }  # fmt: skip
    assert set(reply.headers) <= allowed
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]
    seen = host.last("/film.mp4").headers
    assert seen["referer"] == "https://site.example/e"
    assert seen["user-agent"] == "Resolver/1"
    assert seen["cookie"] == "a=b"
    assert seen["host"] == host.place
    assert seen.keys() <= {
        "referer",
        "user-agent",
        "user_agent",
        "cookie",
        "host",
        "accept",
        "accept-encoding",
    }


@pytest.mark.parametrize(
    ("body", "said", "sent"),
    [
        (TS, "image/png", "video/mp2t"),
        (TS, "text/html", "video/mp2t"),
        (FILM, "application/octet-stream", "video/mp4"),
        (b"\x1aE\xdf\xa3" + b"\0" * 10 + b"webm" + bytes(900), "application/javascript", "video/webm"),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n", "text/html", "text/vtt"),
        (bytes(range(1, 250)) * 4, "video/mp4", "video/mp4"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/svg+xml", "application/octet-stream"),
        (b"alert(1)", "text/javascript", "application/octet-stream"),
        (b"%PDF-1.4", "application/pdf", "application/octet-stream"),
        (b"<?xml version='1.0'?><x/>", "text/xml", "application/octet-stream"),
        (b"plain", "text/html\r; charset=x", "application/octet-stream"),
    ],
)  # fmt: skip
def test_the_type_is_what_the_bytes_say_and_never_active(
    player: Player, host: Host, source: Source, body: bytes, said: str, sent: str
):
    link = source.offer("film", stream(host.body("/thing", body, said.replace("\r", " "))))
    reply = player.get(link)
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["content-type"] == sent
    assert reply.headers["content-disposition"].startswith("attachment") == (
        sent == "application/octet-stream"
    )


def test_a_seek_has_the_type_of_the_beginning(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.file("/film", FILM, "image/png")))
    assert player.get(link, Range="bytes=0-").headers["content-type"] == "video/mp4"
    assert player.get(link, Range="bytes=400000-").headers["content-type"] == "video/mp4"


def test_a_body_that_was_compressed_unasked_is_opened(player: Player, host: Host, source: Source):
    import gzip

    link = source.offer(
        "film", stream(host.body("/f", gzip.compress(FILM), "video/mp4", Content_Encoding="gzip"))
    )
    reply = player.get(link)
    assert reply.body == FILM
    assert reply.finished
    assert "content-encoding" not in reply.headers
    assert "content-length" not in reply.headers


def test_a_page_where_a_video_should_be_is_none(player: Player, host: Host, source: Source):
    link = source.offer(
        "film", stream(host.body("/film.mp4", b"<!DOCTYPE html><html>gone</html>", "video/mp4"))
    )
    reply = player.get(link)
    assert reply.status == 502
    assert "web page instead of a video" in reply.text
    assert "<html" not in reply.text


@pytest.mark.parametrize(
    ("said", "told"), [(404, 404), (410, 410), (403, 502), (500, 502), (451, 451)]
)
def test_what_the_host_refuses_is_told(
    player: Player, host: Host, source: Source, said: int, told: int
):
    link = source.offer(
        "film", stream(host.body("/film.mp4", b"<html>no</html>", "text/html", said))
    )
    reply = player.get(link)
    assert reply.status == told
    assert f"HTTP status {said}" in reply.text
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_host_that_asks_for_patience_is_passed_on(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.body("/f", b"", status=429, Retry_After="17")))
    reply = player.get(link)
    assert (reply.status, reply.headers["retry-after"]) == (429, "17")


def test_an_unknown_title_is_a_404(player: Player, host: Host, source: Source):
    assert player.get(source.link("nothing")).status == 404


def test_redirects_are_followed_and_keep_the_hosts_own_cookies(
    player: Player, host: Host, source: Source
):
    host.file("/film.mp4", FILM)
    link = source.offer("film", stream(host.redirect("/go", "/film.mp4"), Cookie="a=b"))
    assert player.get(link, Range="bytes=1-2").body == FILM[1:3]
    assert host.last("/film.mp4").headers["cookie"] == "a=b"


def test_cookies_do_not_follow_to_another_host(player: Player, host: Host, source: Source):
    host.file("/film.mp4", FILM)
    elsewhere = host.at("/film.mp4").replace("127.0.0.1", "localhost")
    link = source.offer(
        "film", stream(host.redirect("/go", elsewhere), Cookie="a=b", Referer="https://r.example/")
    )
    assert player.get(link, Range="bytes=1-2").body == FILM[1:3]
    seen = host.last("/film.mp4").headers
    assert "cookie" not in seen
    assert seen["referer"] == "https://r.example/"


def test_any_web_page_may_play_what_is_signed(player: Player, film: str, settings):
    assert player.get(film, method="HEAD").headers["access-control-allow-origin"] == "*"
    settings.STRM_PROXY_AUTH = "none"
    unsigned = film.partition("&sig=")[0]
    reply = player.get(unsigned, method="HEAD")
    assert reply.status == 200
    assert "access-control-allow-origin" not in reply.headers


def test_a_player_that_leaves_ends_the_upstream(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.file("/film.mp4", FILM * 40, pace=0.01)))
    with player.open(link, take=1) as talk:
        assert host.open_now == 1
        player.leave(talk)
        until(lambda: host.open_now == 0, "the host still sends")


def test_nothing_is_read_ahead_of_a_player_that_does_not_take(
    player: Player, host: Host, source: Source
):
    sent = []

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        response.content_length = 200 * 2**20
        await response.prepare(request)
        for _ in range(200):
            await response.write(FILM[:12] + bytes(2**20 - 12))
            sent.append(1)
        return response

    host.routes["/film.mp4"] = handler
    link = source.offer("film", stream(host.at("/film.mp4")))
    with player.open(link, take=1):
        before = -1
        while before != len(sent):  # until the host, too, is stuck
            before = len(sent)
            time.sleep(0.5)
        # What the kernel's socket buffers take counts as sent: some MiB, never the film.
        assert len(sent) < 40


def test_what_was_played_is_written_down(player: Player, host: Host, film: str):
    player.get(film, User_Agent="VLC/3")
    player.get(film, User_Agent="VLC/3", Range="bytes=0-9")
    player.get(film, User_Agent="mpv")
    player.run(player.engine.playbacks.write())
    rows = {row.agent: row for row in StreamSession.objects.all()}
    assert set(rows) == {"VLC/3", "mpv"}
    row = rows["VLC/3"]
    assert (row.bytes_sent, row.requests, row.errors) == (len(FILM) + 10, 2, 0)
    assert (row.host, row.kind, row.slug, row.address) == ("127.0.0.1", "file", "film", "127.0.0.1")


def test_another_process_that_serves_the_segments_does_not_undo_what_is_known(
    player: Player, host: Host, source: Source
):
    host.body("/x.m3u8", b"#EXTM3U\n#EXTINF:1,\nseg.ts\n#EXT-X-ENDLIST\n")
    host.file("/seg.ts", TS)
    link = source.offer("film", stream(host.at("/x.m3u8"), kind="hls"))
    uri = player.get(link).uris[0]
    begun = player.engine.playbacks
    other = Playbacks()
    (key,) = begun._known
    playback = player.run(other.get(key))  # before anything of it was written
    player.run(begun.write())
    player.follow(uri, link)
    player.call(lambda: other.sent(playback, 100))
    player.run(other.write())
    player.run(other.close())
    row = StreamSession.objects.get()
    assert (row.host, row.kind) == ("127.0.0.1", "hls")
    assert row.bytes_sent >= 100


def test_made_up_clients_do_not_fill_the_database(player: Player, film: str, monkeypatch):
    monkeypatch.setattr(playbacks, "NEW_A_MINUTE", 3)
    said = [player.get(film, method="HEAD", User_Agent=f"made up {n}").status for n in range(5)]
    assert said == [200, 200, 200, 503, 503]
    assert player.get(film, method="HEAD", User_Agent="made up 1").status == 200
    assert StreamSession.objects.count() == 3


def test_a_database_that_is_away_is_no_bug(player: Player, film: str, monkeypatch):
    def away(*_):
        raise OperationalError("database is locked")

    monkeypatch.setattr(playbacks, "_begin", away)
    reply = player.get(film)
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0


def test_errors_of_a_playback_are_counted(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(host.body("/film.mp4", b"", status=404)))
    player.get(link)
    player.run(player.engine.playbacks.write())
    row = StreamSession.objects.get()
    assert row.errors == 1
    assert "404" in row.last_error


def test_no_query_string_reaches_a_log(player: Player, host: Host, source: Source, caplog):
    caplog.set_level(logging.DEBUG)
    master = "#EXTM3U\n#EXTINF:1,\nseg.ts?token=upstream-secret\n#EXT-X-ENDLIST\n"
    host.body("/seg.ts", b"", status=403)
    host.body("/x.m3u8", master.encode())
    link = source.offer("film", stream(host.at("/x.m3u8?key=upstream-secret"), kind="hls"))
    reply = player.get(link)
    assert player.follow(reply.uris[0], link).status == 502
    player.get(link.replace("sig=", "sig=0"))
    assert not re.search(r"upstream-secret|sig=|[?&]t=", caplog.text)
    assert "film" in caplog.text
