"""Live playlists: they move on and their addresses end; what a player asks for is found in them all the same."""

import re
import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiohttp import web
from django.utils import timezone

from strm.models import StrmUrlMapping
from tests.strm.conftest import Source, stream
from tests.strm.host import Host
from tests.strm.player import Player, Reply

AT = "http://anibridge.test/strm/proxy/x"
KEYS = {"a": bytes(16), "b": bytes(range(16))}
INIT = b"\0\0\0\x18ftypiso5init-section-here"


def content(number: int, part: int | None = None) -> bytes:
    text = f"segment {number}" if part is None else f"segment {number} part {part}"
    return b"\0\0\0\x18styp" + text.encode()


@dataclass
class Channel:
    """A live host. Each load of a playlist makes a new token, and only the newest is good: all that was handed out before
    has ended. `first` is the number of the first segment in the window."""

    host: Host
    first: int = 100
    window: int = 5
    in_path: bool = False
    status: int = 403
    token: int = 0
    count_from: int = 0
    """What another machine of the host counts segments from."""
    parts: bool = False
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host.fallback = self.answer

    @property
    def url(self) -> str:
        return self.host.at("/live.m3u8")

    def at(self, name: str) -> str:
        return f"/{self.token}/{name}" if self.in_path else f"/{name}?id=1&t={self.token}"

    def text(self) -> str:
        lines = [
            "#EXTM3U", "#EXT-X-VERSION:9", "#EXT-X-TARGETDURATION:4",
            f"#EXT-X-MEDIA-SEQUENCE:{self.first - self.count_from}", "#EXT-X-DISCONTINUITY-SEQUENCE:3",
            f'#EXT-X-MAP:URI="{self.at("init.mp4")}"', f'#EXT-X-KEY:METHOD=AES-128,URI="{self.at("a.key")}"',
        ]  # fmt: skip
        for number in range(self.first, self.first + self.window):
            if number == 103:
                lines += [
                    "#EXT-X-DISCONTINUITY",
                    f'#EXT-X-KEY:METHOD=AES-128,URI="{self.at("b.key")}"',
                ]
            last_two = number >= self.first + self.window - 2
            if self.parts and last_two:
                lines += [
                    f'#EXT-X-PART:DURATION=2,URI="{self.at(f"seg-{number}.{part}.m4s")}"' for part in (0, 1)
                ]  # fmt: skip
            lines += ["#EXTINF:4,", self.at(f"seg-{number}.m4s")]
        if self.parts:
            following = self.first + self.window
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{self.at(f"seg-{following}.0.m4s")}"')
        return "\n".join([*lines, ""])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith(".m3u8"):
            self.loads.append(request.path)
            if request.path == "/master.m3u8":
                return web.Response(text=f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8?m={len(self.loads)}\n"
                                         f"#EXT-X-STREAM-INF:BANDWIDTH=2\nlive.m3u8?m={len(self.loads)}\n")  # fmt: skip
            self.token += 1
            return web.Response(text=self.text())
        name, token = request.path.rpartition("/")[2], request.query.get("t", "")
        if self.in_path:
            token = request.path.split("/")[1]
        if token != str(self.token):
            return web.Response(status=self.status, text="over")
        if name.endswith(".key"):
            return web.Response(body=KEYS[name[0]])
        body = INIT
        if found := re.fullmatch(r"seg-(\d+)(?:\.(\d))?\.m4s", name):
            body = content(int(found[1]), int(found[2]) if found[2] else None)
        return web.Response(body=body, headers={"Content-Type": "video/mp4"})


@pytest.fixture
def channel(host: Host) -> Channel:
    return Channel(host)


def listed(reply: Reply) -> dict[str, str]:
    """The links of a playlist by what they lead to: `seg 101`, `map`, `key 0`, `part 104.1`, `hint`."""
    found: dict[str, str] = {}
    lines = reply.text.split("\n")
    number = int(
        next(one for one in lines if "MEDIA-SEQUENCE" in one and "DISC" not in one).partition(":")[
            2
        ]
    )
    part = keys = 0
    for line in lines:
        uri = re.search(r'URI="([^"]+)"', line)
        if line and not line.startswith("#"):
            found[f"seg {number}"] = line
            number, part = number + 1, 0
        elif line.startswith("#EXT-X-PART:") and uri:
            found[f"part {number}.{part}"], part = uri[1], part + 1
        elif line.startswith("#EXT-X-PRELOAD") and uri:
            found["hint"] = uri[1]
        elif line.startswith("#EXT-X-MAP") and uri:
            found["map"] = uri[1]
        elif line.startswith("#EXT-X-KEY") and uri:
            found[f"key {keys}"], keys = uri[1], keys + 1
    return found


def expire(channel: Channel) -> None:
    """Somebody else loads the playlist: what was handed out before has ended."""
    channel.token += 1


@pytest.mark.parametrize("status", [403, 404, 410, 429, 451])
@pytest.mark.parametrize("in_path", [False, True])
def test_a_segment_whose_address_has_ended_is_found_again_at_once(
    player: Player, source: Source, channel: Channel, status: int, in_path: bool
):
    channel.status, channel.in_path = status, in_path
    link = source.offer("tv", stream(channel.url, kind="hls"))
    segments = listed(player.get(link))
    assert player.follow(segments["seg 100"], link).body == content(100)
    expire(channel)
    channel.first = 102
    for number in (102, 103, 104):  # the ones that were listed then and are listed now
        reply = player.follow(segments[f"seg {number}"], link)
        assert (reply.status, reply.body) == (200, content(number))
    assert len(source.looked) == 2  # one refresh for all of them
    assert len(channel.loads) == 2


@pytest.mark.parametrize("in_path", [False, True])
def test_keys_and_maps_are_found_again_too(
    player: Player, source: Source, channel: Channel, in_path: bool
):
    channel.in_path = in_path
    link = source.offer("tv", stream(channel.url, kind="hls"))
    names = listed(player.get(link))
    expire(channel)
    channel.first = 101
    assert player.follow(names["map"], link).body == INIT
    assert player.follow(names["key 0"], link).body == KEYS["a"]
    assert player.follow(names["key 1"], link).body == KEYS["b"]
    assert len(source.looked) == 2


def test_behind_a_master_playlist_the_same_variant_is_read_again(
    player: Player, source: Source, channel: Channel
):
    link = source.offer("tv", stream(channel.host.at("/master.m3u8"), kind="hls"))
    variant = player.get(link).uris[1]
    segments = listed(player.follow(variant, link))
    expire(channel)
    assert player.follow(segments["seg 102"], AT).body == content(102)
    assert channel.loads == ["/master.m3u8", "/live.m3u8", "/master.m3u8", "/live.m3u8"]
    # The player's own link of the variant stays good, and what it lists now is good too.
    fresh = listed(player.follow(variant, link))
    assert player.follow(fresh["seg 103"], AT).body == content(103)


def test_a_channel_whose_tokens_end_all_the_time_is_played_through(
    player: Player, source: Source, channel: Channel
):
    """As a player does it: load, take what is new, load again; meanwhile every address ends, again and again."""
    link = source.offer("tv", stream(channel.url, kind="hls"))
    played: list[bytes] = []
    for start in range(100, 112, 2):
        channel.first = start
        segments = listed(player.get(link))
        for number in (start, start + 1):
            expire(channel)
            StrmUrlMapping.objects.update(resolved_at=timezone.now() - timedelta(minutes=5))
            played.append(player.follow(segments[f"seg {number}"], link).body)
    assert played == [content(number) for number in range(100, 112)]


def test_what_has_left_the_window_is_gone_and_nobody_looks_for_ever(
    player: Player, source: Source, channel: Channel
):
    link = source.offer("tv", stream(channel.url, kind="hls"))
    segments = listed(player.get(link))
    expire(channel)
    channel.first = 150
    for _ in range(4):
        reply = player.follow(segments["seg 101"], link)
        assert reply.status == 410
        assert "not in the live playlist any more" in reply.text
    assert len(source.looked) == 2
    assert len(channel.loads) <= 6


def test_a_source_that_has_ended_says_what_its_host_said(
    player: Player, source: Source, channel: Channel
):
    link = source.offer("tv", stream(channel.url, kind="hls"))
    segments = listed(player.get(link))
    expire(channel)
    source.titles["tv"] = []
    reply = player.follow(segments["seg 101"], link)
    assert reply.status == 502
    assert "HTTP status 403" in reply.text


def test_a_machine_that_counts_differently_is_understood(
    player: Player, source: Source, channel: Channel
):
    link = source.offer("tv", stream(channel.url, kind="hls"))
    segments = listed(player.get(link))
    expire(channel)
    channel.count_from = 2  # 102 is called 100 there
    assert player.follow(segments["seg 102"], link).body == content(102)


def test_many_segments_at_once_share_one_refresh_and_one_playlist(
    player: Player, source: Source, channel: Channel
):
    link = source.offer("tv", stream(channel.url, kind="hls"))
    segments = listed(player.get(link))
    expire(channel)
    got: dict[int, bytes] = {}

    def take(number: int) -> None:
        got[number] = player.follow(segments[f"seg {number}"], link).body

    threads = [threading.Thread(target=take, args=(number,)) for number in range(100, 105)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == {number: content(number) for number in range(100, 105)}
    assert len(source.looked) == 2
    assert len(channel.loads) == 2


def test_parts_are_found_again_and_a_hint_is_the_part_that_it_promised(
    player: Player, source: Source, channel: Channel
):
    channel.parts, channel.in_path = True, True
    link = source.offer("tv", stream(channel.url, kind="hls"))
    before = listed(player.get(link))
    expire(channel)
    assert player.follow(before["part 104.1"], link).body == content(104, 1)
    assert player.follow(before["hint"], link).body == content(105, 0)


def test_a_link_stays_the_same_while_its_address_does(
    player: Player, source: Source, channel: Channel, monkeypatch: pytest.MonkeyPatch
):
    """Players compare the links of two loads: of segments, and of a hint with the part that comes of it."""
    monkeypatch.setattr(Channel, "at", lambda self, name: f"/{name}?t=0")
    channel.parts = True
    link = source.offer("tv", stream(channel.url, kind="hls"))
    before = listed(player.get(link))
    channel.first += 1
    after = listed(player.get(link))
    assert before["hint"] == after["part 105.0"]
    same = before.keys() & after.keys() - {"hint"}
    assert {"seg 104", "part 104.0", "map", "key 0", "key 1"} <= same
    assert {name: before[name] for name in same} == {name: after[name] for name in same}


def test_a_segment_that_breaks_off_as_its_address_ends_goes_on_at_the_same_byte(
    player: Player, source: Source, channel: Channel
):
    body = content(102) + bytes(200_000)
    channel.host.file("/seg-102.m4s", body, breaks=[90_000])
    file = channel.host.routes["/seg-102.m4s"]

    def refuse(request: web.Request) -> int:
        if request.query.get("t") != str(channel.token):
            return 403
        if len(channel.loads) == 1:
            expire(channel)  # good for this one request only
        return 0

    file.refuses = refuse
    link = source.offer("tv", stream(channel.url, kind="hls"))
    reply = player.follow(listed(player.get(link))["seg 102"], link)
    assert reply.finished
    assert reply.body == body
    assert len(channel.loads) == 2


def test_when_it_ends_the_segments_of_a_live_stream_are_still_found(
    player: Player, source: Source, channel: Channel, monkeypatch: pytest.MonkeyPatch
):
    link = source.offer("tv", stream(channel.url, kind="hls"))
    segments = listed(player.get(link))
    expire(channel)
    text = channel.text
    monkeypatch.setattr(channel, "text", lambda: text() + "#EXT-X-ENDLIST\n")
    assert player.follow(segments["seg 104"], link).body == content(104)


def test_a_film_whose_address_stays_while_its_tokens_change_is_read_anew(
    player: Player, host: Host, source: Source
):
    """A refresh may lead to the very same address: what was remembered of it is over all the same."""
    token = [1]

    async def playlist(request: web.Request) -> web.Response:
        token[0] += 1
        lines = "".join(f"#EXTINF:4.{n},\nseg-{n}.ts?t={token[0]}\n" for n in range(3))
        return web.Response(text=f"#EXTM3U\n{lines}#EXT-X-ENDLIST\n")

    async def segment(request: web.Request) -> web.Response:
        good = request.query.get("t") == str(token[0])
        return web.Response(body=b"G" + request.path.encode()) if good else web.Response(status=410)

    host.routes["/film.m3u8"] = playlist
    host.body("/top.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfilm.m3u8\n")
    for number in range(3):
        host.routes[f"/seg-{number}.ts"] = segment
    link = source.offer("film", stream(host.at("/top.m3u8"), kind="hls"))
    uris = player.follow(player.get(link).uris[0], link).uris
    for number, uri in enumerate(uris):
        token[0] += 1
        assert player.follow(uri, AT).body == b"G" + f"/seg-{number}.ts".encode()
    assert len(source.looked) == 2


@pytest.mark.parametrize("renamed", [False, True])
def test_a_variant_is_found_again_in_a_master_playlist_that_says_other_numbers_now(
    player: Player, host: Host, source: Source, renamed: bool
):
    """Live encoders write down what they measure; the variant is the one of the same path."""
    token = [1]

    async def master(request: web.Request) -> web.Response:
        text = "#EXTM3U\n" + "".join(
            f"#EXT-X-STREAM-INF:BANDWIDTH={token[0] * 1000 + n}\n{name}.m3u8?t={token[0]}\n"
            for n, name in enumerate(
                ("low", "high") if token[0] == 1 or not renamed else ("a", "b")
            )
        )
        return web.Response(text=text)

    async def variant(request: web.Request) -> web.Response:
        if request.query.get("t") != str(token[0]):
            return web.Response(status=403)
        return web.Response(text=f"#EXTM3U\n#EXTINF:1,{request.path}\nx.ts\n#EXT-X-ENDLIST\n")

    host.routes["/master.m3u8"], host.fallback = master, variant
    link = source.offer("tv", stream(host.at("/master.m3u8"), kind="hls"))
    low, high = player.get(link).uris
    token[0] += 1
    for uri, path in ((high, "/high.m3u8"), (low, "/low.m3u8")):
        reply = player.follow(uri, link)
        if renamed:
            assert reply.status == 502
        else:
            assert f"#EXTINF:1,{path}\n" in reply.text


def test_a_live_manifest_is_found_again_by_what_stays_in_it(
    player: Player, host: Host, source: Source
):
    state = {"token": 1, "start": 5}

    async def manifest(request: web.Request) -> web.Response:
        state["token"] += 1
        return web.Response(
            text=f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"><Period id="p"><AdaptationSet>'
            f'<SegmentTemplate media="{state["token"]}/$Time$.m4s" initialization="{state["token"]}/i.mp4">'
            f'<SegmentTimeline><S t="{state["start"]}" d="1" r="3"/></SegmentTimeline></SegmentTemplate>'
            f'<Representation id="v" bandwidth="1"/></AdaptationSet></Period></MPD>'
        )  # fmt: skip

    async def part(request: web.Request) -> web.Response:
        if request.path.split("/")[1] != str(state["token"]):
            return web.Response(status=403)
        return web.Response(body=content(int(request.path.split("/")[2].partition(".")[0])))

    host.routes["/x.mpd"] = manifest
    host.fallback = part
    link = source.offer("tv", stream(host.at("/x.mpd"), kind="dash"))
    media = re.search(r' media="([^"]+)"', player.get(link).text)
    assert media is not None
    state["token"], state["start"] = 90, 6
    seventh = media[1].replace("&amp;", "&").replace("$Time$", "7")
    assert player.follow(seventh, link).body == content(7)
    assert len(source.looked) == 2
