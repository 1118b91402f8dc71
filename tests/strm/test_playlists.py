"""Playlists through the proxy: every child goes through us, and stays good for as long as the film is played."""

import json
import re
from datetime import timedelta

import pytest
from aiohttp import web
from django.utils import timezone

from strm.models import StreamSession, StrmUrlMapping
from tests.strm.conftest import Source, stream
from tests.strm.host import Host, gzipped
from tests.strm.player import Player

SEGMENTS = [b"G" + bytes([number]) * 187 for number in range(6)]
KEY = bytes(range(16))


def media(query: str = "", count: int = 6, live: bool = False) -> str:
    lines = "".join(f"#EXTINF:4.{n},\nseg-{n}.ts{query}\n" for n in range(count))
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="key.bin{query}",IV=0x1\n'
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n{key}{lines}" + ("" if live else "#EXT-X-ENDLIST\n")


def master(query: str = "") -> str:
    return (
        f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="audio/list.m3u8{query}"\n'
        f'#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nlow/list.m3u8{query}\n'
        f"#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh/list.m3u8{query}\n"
    )


def serve(host: Host, folder: str = "", **options) -> str:
    """A film in two qualities, as HLS."""
    kind = "application/vnd.apple.mpegurl"
    for part in ("low", "high", "audio"):
        host.body(f"{folder}/{part}/list.m3u8", media().encode(), kind)
        host.body(f"{folder}/{part}/key.bin", KEY, "text/html")
        for number, content in enumerate(SEGMENTS):
            host.file(f"{folder}/{part}/seg-{number}.ts", content, "image/png")
    return host.body(f"{folder}/master.m3u8", master().encode(), kind, **options)


@pytest.fixture
def film(host: Host, source: Source) -> str:
    return source.offer("film", stream(serve(host), kind="hls"))


def test_a_film_is_played_through_us_to_the_last_byte(player: Player, host: Host, film: str):
    top = player.get(film)
    assert top.status == 200
    assert top.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert top.headers["content-length"] == str(len(top.body))
    assert top.headers["cache-control"] == "no-store"
    assert host.place not in top.text
    assert [uri.split("?")[0] for uri in top.uris] == ["proxy/list.m3u8", "proxy/list.m3u8"]
    variant = player.follow(top.uris[1], film)
    at = "http://anibridge.test/strm/proxy/list.m3u8"
    assert variant.text.count("#EXTINF") == 6
    played = [player.follow(uri, at) for uri in variant.uris]
    assert [one.body for one in played] == SEGMENTS
    assert {one.headers["content-type"] for one in played} == {"video/mp2t"}
    assert [one.split("?")[0] for one in variant.uris] == [f"seg-{n}.ts" for n in range(6)]
    key = re.search(r'URI="([^"]+)"', variant.text)
    assert key is not None
    reply = player.follow(key[1], at)
    assert (reply.body, reply.headers["content-type"]) == (KEY, "application/octet-stream")
    assert "high" in host.asked[-1].path


def test_a_part_of_a_segment_comes_as_asked(player: Player, film: str):
    variant = player.follow(player.get(film).uris[0], film)
    reply = player.follow(variant.uris[2], "http://anibridge.test/strm/proxy/x", Range="bytes=3-9")
    assert (reply.status, reply.body) == (206, SEGMENTS[2][3:10])


def test_head_of_a_playlist_tells_its_length(player: Player, film: str):
    head = player.get(film, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(player.get(film).body))


@pytest.mark.parametrize("lie", ["text/html", "video/mp4", "application/octet-stream", "image/png"])
@pytest.mark.parametrize("kind", ["hls", "file"])
def test_a_playlist_is_known_by_its_content(
    player: Player, host: Host, source: Source, lie: str, kind: str
):
    serve(host)
    host.body("/master.m3u8", master().encode(), lie)
    link = source.offer("film", stream(host.at("/master.m3u8"), kind=kind))
    reply = player.get(link, Range="bytes=0-")
    assert reply.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert len(reply.uris) == 2


def test_a_compressed_playlist_is_opened(player: Player, host: Host, source: Source):
    serve(host)
    for declared in ({"Content_Encoding": "gzip"}, {}):
        host.body("/master.m3u8", gzipped(master()), "application/vnd.apple.mpegurl", **declared)
        link = source.offer("film", stream(host.at("/master.m3u8"), kind="hls"))
        assert len(player.get(link).uris) == 2
    assert "gzip" in host.last("/master.m3u8").headers["accept-encoding"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_an_odd_encoding_is_read(player: Player, host: Host, source: Source, encoding: str):
    host.body("/x.m3u8", "#EXTM3U\n#EXTINF:1,Käse\nseg.ts\n#EXT-X-ENDLIST\n".encode(encoding))
    host.file("/seg.ts", SEGMENTS[0])
    link = source.offer("film", stream(host.at("/x.m3u8"), kind="hls"))
    reply = player.get(link)
    assert "#EXTINF:1,Käse\n" in reply.text
    assert player.follow(reply.uris[0], link).body == SEGMENTS[0]


def test_a_manifest_in_utf_16_is_read(player: Player, host: Host, source: Source):
    text = '<?xml version="1.0" encoding="utf-16"?><MPD type="dynamic"><Period/></MPD>'
    host.body("/x.mpd", text.encode("utf-16"))
    link = source.offer("film", stream(host.at("/x.mpd"), kind="dash"))
    assert "<Period" in player.get(link).text


@pytest.mark.parametrize(
    "body", [b"nothing", b"[1]", b'{"RELOAD-URI": "file:///etc/passwd"}', b"[" * 100_000]
)
def test_json_that_is_not_what_it_should_be_is_refused(
    player: Player, host: Host, source: Source, body: bytes
):
    host.body("/s.json", body)
    text = '#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI="s.json"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n'
    link = source.offer("film", stream(host.body("/x.m3u8", text.encode()), kind="hls"))
    uri = re.search(r'SERVER-URI="([^"]+)"', player.get(link).text)
    assert uri is not None
    reply = player.follow(uri[1], link)
    assert reply.status == 502
    assert "passwd" not in reply.text


def test_children_are_relative_to_where_a_redirect_ended(
    player: Player, host: Host, source: Source
):
    serve(host, "/real")
    link = source.offer("film", stream(host.redirect("/go", "/real/master.m3u8"), kind="hls"))
    assert player.follow(player.get(link).uris[0], link).status == 200
    assert host.asked[-1].path == "/real/low/list.m3u8"


def test_the_resolvers_headers_go_with_the_children_and_cookies_only_home(
    player: Player, host: Host, source: Source
):
    serve(host)
    elsewhere = host.url.replace("127.0.0.1", "localhost")
    host.body("/master.m3u8", master().replace("high/", f"{elsewhere}/high/").encode())
    link = source.offer(
        "film",
        stream(host.at("/master.m3u8"), kind="hls", Referer="https://r.example/", Cookie="a=b"),
    )
    top = player.get(link)
    player.follow(top.uris[0], link)
    assert host.asked[-1].headers["referer"] == "https://r.example/"
    assert host.asked[-1].headers["cookie"] == "a=b"
    player.follow(top.uris[1], link)
    assert host.asked[-1].path == "/high/list.m3u8"
    assert host.asked[-1].headers["referer"] == "https://r.example/"
    assert "cookie" not in host.asked[-1].headers


def test_the_same_player_gets_the_same_links_again(player: Player, film: str):
    assert player.get(film).text == player.get(film).text
    assert player.get(film).text != player.get(film, User_Agent="another").text


def test_a_long_film_keeps_its_links_while_it_is_played(player: Player, film: str, settings):
    variant = player.follow(player.get(film).uris[0], film)
    at = "http://anibridge.test/strm/proxy/x"
    for uri in variant.uris:
        # Each step is almost as long as a playback may be silent: together they are hours.
        settings.STRM_PLAYBACK_IDLE_MINUTES = 60
        player.run(player.engine.playbacks.write())
        ago = timezone.now() - timedelta(minutes=59)
        StreamSession.objects.update(seen_at=ago)
        forget(player)
        assert player.follow(uri, at).status == 200


def forget(player: Player) -> None:
    """As another process would see it: nothing is in memory."""
    player_engine = player.engine
    playbacks = player_engine.playbacks
    player.run(playbacks.write())

    def clear() -> None:
        playbacks._known.clear()
        playbacks._latest.clear()
        player_engine.flights._memory.clear()

    player.call(clear)


def test_a_leaked_link_dies_with_its_playback(player: Player, film: str, settings):
    variant = player.follow(player.get(film).uris[0], film)
    at = "http://anibridge.test/strm/proxy/x"
    forget(player)
    assert player.follow(variant.uris[0], at).status == 200
    forget(player)
    StreamSession.objects.update(
        seen_at=timezone.now() - timedelta(minutes=settings.STRM_PLAYBACK_IDLE_MINUTES + 1)
    )
    reply = player.follow(variant.uris[0], at)
    assert reply.status == 410
    assert "over" in reply.text


def test_the_process_that_knows_a_playback_lets_it_die_too(player: Player, film: str, settings):
    variant = player.follow(player.get(film).uris[0], film)
    player.run(player.engine.playbacks.write())
    ago = timezone.now() - timedelta(minutes=settings.STRM_PLAYBACK_IDLE_MINUTES + 1)
    StreamSession.objects.update(seen_at=ago)
    for playback in player.engine.playbacks._known.values():
        playback.seen_at = ago
    assert player.follow(variant.uris[0], "http://anibridge.test/strm/proxy/x").status == 410


def test_no_link_outlives_the_longest_playback_however_lively_it_is(
    player: Player, film: str, settings
):
    variant = player.follow(player.get(film).uris[0], film)
    forget(player)
    StreamSession.objects.update(
        started_at=timezone.now() - timedelta(hours=settings.STRM_PLAYBACK_MAX_HOURS, minutes=1)
    )
    assert player.follow(variant.uris[0], "http://anibridge.test/strm/proxy/x").status == 410
    # The film itself can be begun anew.
    assert player.get(film).status == 200
    assert StreamSession.objects.count() == 2


def test_a_playback_that_is_half_over_is_not_given_to_a_new_film(
    player: Player, film: str, settings
):
    player.get(film)
    forget(player)
    StreamSession.objects.update(
        started_at=timezone.now() - timedelta(hours=settings.STRM_PLAYBACK_MAX_HOURS * 0.6)
    )
    player.get(film)
    assert StreamSession.objects.count() == 2


def test_a_playlist_that_stays_is_fetched_once_and_a_live_one_each_time(
    player: Player, host: Host, source: Source
):
    serve(host)
    link = source.offer("film", stream(host.at("/master.m3u8"), kind="hls"))
    variant = player.get(link).uris[0]
    for _ in range(3):
        player.follow(variant, link)
    assert len(host.paths("low/list.m3u8")) == 1
    host.body("/high/list.m3u8", media(live=True).encode())
    variant = player.get(link).uris[1]
    for _ in range(3):
        assert "#EXT-X-ENDLIST" not in player.follow(variant, link).text
    assert len(host.paths("high/list.m3u8")) == 3


def test_directives_of_a_low_latency_player_reach_the_host(
    player: Player, host: Host, source: Source
):
    serve(host)
    host.body("/low/list.m3u8", media(live=True).encode())
    link = source.offer("film", stream(host.at("/master.m3u8"), kind="hls"))
    player.follow(player.get(link).uris[0] + "&_HLS_msn=3&_HLS_part=1", link)
    assert host.asked[-1].query == "_HLS_msn=3&_HLS_part=1"


def test_a_report_of_another_rendition_names_it_by_the_players_own_link(
    player: Player, host: Host, source: Source
):
    serve(host)
    host.body(
        "/low/list.m3u8",
        (
            media(live=True) + '#EXT-X-RENDITION-REPORT:URI="../high/list.m3u8",LAST-MSN=1\n'
        ).encode(),
    )
    link = source.offer("film", stream(host.at("/master.m3u8"), kind="hls"))
    top = player.get(link)
    text = player.follow(top.uris[0], link).text
    assert f'URI="{top.uris[1].removeprefix("proxy/")}"' in text or f'URI="{top.uris[1]}"' in text


class Signed:
    """A host whose every address carries a token; `expire` ends the ones handed out."""

    def __init__(self, host: Host, source: Source) -> None:
        self.host, self.now = host, 0
        serve(host)
        for path, handler in list(host.routes.items()):
            host.routes[path] = self._checked(handler, path)
        source.titles["film"] = self.hand_out
        self.link = source.link("film")

    def hand_out(self):
        self.now += 1
        return [stream(self.host.at(f"/master.m3u8?t={self.now}"), kind="hls")]

    def _checked(self, handler, path):
        async def checked(request: web.Request) -> web.StreamResponse:
            if request.query.get("t") != str(self.now):
                return web.Response(status=403)
            if path.endswith("master.m3u8"):
                return web.Response(text=master(f"?t={self.now}"))
            if path.endswith("list.m3u8"):
                return web.Response(text=self.list())
            return await handler(request)

        return checked

    def list(self) -> str:
        return media(f"?t={self.now}")

    def expire(self) -> None:
        self.now += 1


@pytest.fixture
def signed(host: Host, source: Source) -> Signed:
    return Signed(host, source)


def test_segments_whose_token_ends_half_way_are_found_again(
    player: Player, signed: Signed, source: Source
):
    variant = player.follow(player.get(signed.link).uris[1], signed.link)
    at = "http://anibridge.test/strm/proxy/x"
    assert player.follow(variant.uris[0], at).body == SEGMENTS[0]
    signed.expire()
    asked = len(signed.host.asked)
    assert [player.follow(uri, at).body for uri in variant.uris[1:]] == SEGMENTS[1:]
    key = re.search(r'URI="([^"]+)"', variant.text)
    assert key is not None
    assert player.follow(key[1], at).body == KEY
    assert len(source.looked) == 2
    # One refusal, the two playlists, and from then on nothing but segments.
    later = [one.path for one in signed.host.asked[asked:]]
    assert later[:4] == ["/high/seg-1.ts", "/master.m3u8", "/high/list.m3u8", "/high/seg-1.ts"]
    assert len(later) == 3 + len(SEGMENTS)


def test_a_playlist_whose_token_ended_is_found_again(player: Player, signed: Signed):
    top = player.get(signed.link)
    signed.expire()
    variant = player.follow(top.uris[1], signed.link)
    assert variant.status == 200
    assert player.follow(variant.uris[3], "http://anibridge.test/strm/proxy/x").body == SEGMENTS[3]


def test_a_token_that_ends_a_second_time_is_replaced_a_second_time(
    player: Player, signed: Signed, source: Source
):
    variant = player.follow(player.get(signed.link).uris[1], signed.link)
    at = "http://anibridge.test/strm/proxy/x"
    for number in (1, 2, 3):
        signed.expire()
        # Long ago: an address that was found a moment ago is not looked for again for one missing part.
        StrmUrlMapping.objects.update(resolved_at=timezone.now() - timedelta(hours=1))
        forget(player)
        player.call(player.engine.opener.documents._held.clear)
        assert player.follow(variant.uris[number], at).body == SEGMENTS[number]
    assert len(source.looked) == 4


def test_links_of_a_film_that_was_exchanged_lead_nowhere(
    player: Player, signed: Signed, monkeypatch
):
    variant = player.follow(player.get(signed.link).uris[1], signed.link)
    signed.expire()
    monkeypatch.setattr(signed, "list", lambda: media(f"?t={signed.now}", count=5))
    reply = player.follow(variant.uris[1], "http://anibridge.test/strm/proxy/x")
    assert reply.status == 502


def test_one_missing_segment_does_not_make_us_look_again_and_again(
    player: Player, host: Host, source: Source
):
    link = source.offer("film", stream(serve(host), kind="hls"))
    variant = player.follow(player.get(link).uris[0], link)
    del host.routes["/low/seg-2.ts"]
    at = "http://anibridge.test/strm/proxy/x"
    for _ in range(5):
        assert player.follow(variant.uris[2], at).status == 404
    # At first and once more, and once for another host that may have it: never twice for the same thing.
    assert source.left == [set(), set(), {"voe"}]
    assert player.follow(variant.uris[3], at).body == SEGMENTS[3]


def test_what_stands_beside_a_playlist_goes_through_us_too(
    player: Player, host: Host, source: Source
):
    steering = {
        "VERSION": 1, "TTL": 300, "RELOAD-URI": "again.json?x=1", "PATHWAY-PRIORITY": ["a", "b"],
        "PATHWAY-CLONES": [{"ID": "c", "URI-REPLACEMENT": {"HOST": "spy.example"}}],
    }  # fmt: skip
    host.body("/s.json", json.dumps(steering).encode(), "application/json")
    host.body("/again.json", json.dumps(steering).encode(), "application/json")
    host.body(
        "/ads.json", json.dumps({"ASSETS": [{"URI": "ad.m3u8", "DURATION": 5}], "X": 1}).encode()
    )
    host.body("/ad.m3u8", media().encode())
    host.body("/data.json", b'{"title": "x"}', "text/html")
    text = (
        master()
        + '#EXT-X-CONTENT-STEERING:SERVER-URI="s.json"\n#EXT-X-SESSION-DATA:DATA-ID="d",URI="data.json"\n'
        + '#EXT-X-DATERANGE:ID="1",START-DATE="2026-01-01T00:00:00Z",X-ASSET-LIST="ads.json"\n'
    )
    host.body("/master.m3u8", text.encode())
    link = source.offer("film", stream(host.at("/master.m3u8"), kind="hls"))
    top = player.get(link).text

    def get(pattern: str) -> tuple[str, dict]:
        found = re.search(pattern, top)
        assert found is not None
        reply = player.follow(found[1], link)
        assert reply.headers["content-type"] == "application/json"
        return found[1], json.loads(reply.body)

    _at, said = get(r'SERVER-URI="([^"]+)"')
    assert "PATHWAY-CLONES" not in said
    assert said["PATHWAY-PRIORITY"] == ["a", "b"]
    again = player.follow(said["RELOAD-URI"], "http://anibridge.test/strm/proxy/x")
    assert again.status == 200
    assert host.asked[-1].path == "/again.json"
    _, ads = get(r'X-ASSET-LIST="([^"]+)"')
    assert (ads["X"], ads["ASSETS"][0]["DURATION"]) == (1, 5)
    advert = player.follow(ads["ASSETS"][0]["URI"], "http://anibridge.test/strm/proxy/x")
    assert advert.text.count("#EXTINF") == 6
    assert get(r'DATA-ID="d",URI="([^"]+)"')[1] == {"title": "x"}


def test_a_dash_film_is_played_through_us(player: Player, host: Host, source: Source):
    manifest = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        '<SegmentTemplate media="$RepresentationID$/$Number%03d$.m4s?t=1" initialization="$RepresentationID$/i.mp4" startNumber="1" duration="2"/>'
        '<Representation id="v1" bandwidth="1"/></AdaptationSet></Period></MPD>'
    )
    host.body("/x.mpd", manifest.encode(), "application/dash+xml")
    host.file("/v1/i.mp4", b"\0\0\0\x20ftypiso5")
    host.file("/v1/007.m4s", b"\0\0\0\x20styp-seven", "text/html")
    link = source.offer("film", stream(host.at("/x.mpd"), kind="dash"))
    reply = player.get(link)
    assert reply.headers["content-type"] == "application/dash+xml"
    assert host.place not in reply.text
    template = re.search(r' media="([^"]+)"', reply.text)
    assert template is not None
    assert template[1].startswith("proxy/")
    seventh = template[1].replace("&amp;", "&").replace("$Number$", "7")
    segment = player.follow(seventh, link)
    assert (segment.body, segment.headers["content-type"]) == (b"\0\0\0\x20styp-seven", "video/mp4")
    assert host.asked[-1].query == "t=1"
    assert player.follow(seventh.replace("n=7", "n=..%2F..%2Fsecret"), link).status == 403


def test_a_playlist_that_cannot_be_passed_on_says_why(player: Player, host: Host, source: Source):
    host.body("/x.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    link = source.offer("film", stream(host.at("/x.m3u8"), kind="hls"))
    reply = player.get(link)
    assert reply.status == 502
    assert "neither http nor https" in reply.text
    assert "passwd" not in reply.text
