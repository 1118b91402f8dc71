"""A host that goes away in the middle of a film that comes in parts: the next one takes over where that can be, and says so."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from strm import resolving
from strm.models import StreamSession, StrmUrlMapping
from tests.strm.conftest import Source, identity, stream
from tests.strm.host import Host
from tests.strm.player import Player, Reply
from tests.strm.test_playlists import forget

AT = "http://anibridge.test/strm/proxy/x"
TOP = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360\n{0}low.m3u8\n"
SUBTITLES = '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="en",URI="{0}sub.m3u8"\n'


def part(name: str, number: int) -> bytes:
    return b"\0\0\0\x18styp" + f"{name} {number}".encode()


def film(host: Host, name: str, durations: list[int], extra: str = "") -> str:
    """A film in HLS; returns where its master playlist is."""
    lines = [f"#EXTINF:{length},\nseg-{number}.m4s" for number, length in enumerate(durations)]
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    text = head + "\n".join([*lines, "#EXT-X-ENDLIST", ""])
    host.body(f"/{name}/low.m3u8", text.encode())
    for number in range(len(durations)):
        host.file(f"/{name}/seg-{number}.m4s", part(name, number))
    top = (TOP + extra).format("")
    return host.body(f"/{name}/top.m3u8", top.encode())


def close(host: Host, name: str, what: str = "") -> None:
    """Those of a host's files are gone."""
    for path in list(host.routes):
        if path.startswith(f"/{name}/") and what in path:
            host.body(path, b"gone", status=404)


def low(player: Player, link: str) -> Reply:
    return player.follow(player.get(link).uris[0], link)


@pytest.mark.parametrize("what", ["", "seg-"])
def test_the_next_start_comes_from_the_next_host(
    player: Player, host: Host, source: Source, what: str
):
    one, two = film(host, "one", [4, 4, 4]), film(host, "two", [6, 6])
    link = source.offer("film", stream(one, "VOE", "hls"), stream(two, "Filemoon", "hls"))
    variant = low(player, link)
    assert player.follow(variant.uris[0], AT).body == part("one", 0)
    close(host, "one", what)
    reply = player.follow(variant.uris[1], AT)
    assert reply.status == 410
    assert "VOE does not have it any more" in reply.text
    assert "start again to play it from Filemoon" in reply.text
    again = low(player, link)
    assert player.follow(again.uris[1], AT).body == part("two", 1)
    assert StrmUrlMapping.objects.get().provider_used == "Filemoon"


def test_a_mirror_that_is_cut_alike_goes_on_at_once(player: Player, host: Host, source: Source):
    one, two = film(host, "one", [4, 4, 4]), film(host, "two", [4, 4, 4])
    link = source.offer("film", stream(one, "VOE", "hls"), stream(two, "Filemoon", "hls"))
    variant = low(player, link)
    close(host, "one")
    assert player.follow(variant.uris[1], AT).body == part("two", 1)
    assert player.follow(variant.uris[2], AT).body == part("two", 2)
    assert len(host.paths("/one/seg-")) == 1


def test_a_host_that_cannot_be_reached_is_left_too(
    player: Player, host: Host, source: Source, settings
):
    settings.OUTBOUND_ALLOWED_PRIVATE_HOSTS = [host.place, "127.0.0.1:9"]
    two = film(host, "two", [4, 4])
    dead = "http://127.0.0.1:9/seg-{}.m4s"
    text = "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n" + "".join(
        f"#EXTINF:5,\n{dead.format(number)}\n" for number in (0, 1)
    )
    one = host.body("/one.m3u8", text.encode())
    link = source.offer("film", stream(one, "VOE", "hls"), stream(two, "Filemoon", "hls"))
    first = player.get(link)
    assert player.follow(first.uris[0], link).status == 410
    assert player.follow(low(player, link).uris[0], AT).body == part("two", 0)


def test_what_other_players_get_from_the_host_goes_on_with_its_own_headers(
    player: Player, host: Host, source: Source
):
    one, two = film(host, "one", [4, 4, 4]), film(host, "two", [6, 6])
    link = source.offer(
        "film",
        stream(one, "VOE", "hls", Referer="https://voe.example/"),
        stream(two, "Filemoon", "hls", Referer="https://filemoon.example/"),
    )
    variant = low(player, link)
    host.body("/one/seg-1.m4s", b"gone", status=404)
    assert player.follow(variant.uris[1], AT).status == 410
    assert player.follow(variant.uris[2], AT).body == part("one", 2)
    assert host.last("/one/seg-2.m4s").headers["referer"] == "https://voe.example/"


def test_missing_subtitles_are_no_reason_to_leave_a_host(
    player: Player, host: Host, source: Source
):
    one, two = film(host, "one", [4, 4], SUBTITLES), film(host, "two", [6, 6])
    link = source.offer("film", stream(one, "VOE", "hls"), stream(two, "Filemoon", "hls"))
    top = player.get(link)
    found = re.search(r'URI="([^"]+)"', top.text)
    assert found is not None
    assert player.follow(found[1], link).status == 404
    assert player.follow(low(player, link).uris[0], AT).body == part("one", 0)
    assert StrmUrlMapping.objects.get().provider_used == "VOE"


def test_the_only_host_is_put_up_with(player: Player, host: Host, source: Source):
    link = source.offer("film", stream(film(host, "one", [4, 4, 4]), "VOE", "hls"))
    variant = low(player, link)
    host.body("/one/seg-1.m4s", b"gone", status=404)
    for _ in range(5):
        assert player.follow(variant.uris[1], AT).status == 404
    assert len(source.looked) == 3  # at first, once more, and for another host
    assert player.follow(low(player, link).uris[2], AT).body == part("one", 2)


def test_another_process_that_has_left_a_host_is_noticed(
    player: Player, host: Host, source: Source, monkeypatch
):
    from strm import flights

    monkeypatch.setattr(flights, "TRUSTED_SECONDS", 0.0)
    one, two = film(host, "one", [4, 4]), film(host, "two", [6, 6])
    link = source.offer("film", stream(one, "VOE", "hls"), stream(two, "Filemoon", "hls"))
    assert player.follow(low(player, link).uris[0], AT).body == part("one", 0)
    resolving.resolve(identity("film"), newer_than=1, without="VOE")  # as that process would
    assert player.follow(low(player, link).uris[0], AT).body == part("two", 0)


@pytest.mark.parametrize("top", [True, False])
def test_a_playlist_that_is_gone_is_read_from_the_next_host(
    player: Player, host: Host, source: Source, top: bool
):
    one, two = film(host, "one", [4, 4, 4]), film(host, "two", [6, 6])
    more = "#EXT-X-STREAM-INF:BANDWIDTH={}\n{}\n"
    host.body("/two/high.m3u8", b"#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:9,\nhigh.m4s\n")
    host.body(
        "/two/top.m3u8",
        (
            "#EXTM3U\n" + more.format(9_000_000, "high.m3u8") + more.format(700_000, "low.m3u8")
        ).encode(),
    )
    second = stream(two if top else host.at("/two/low.m3u8"), "Filemoon", "hls")
    link = source.offer("film", stream(one, "VOE", "hls"), second)
    uri = player.get(link).uris[0]
    variant = player.follow(uri, link)
    close(host, "one")
    assert player.follow(variant.uris[1], AT).status == 410
    for _ in range(2):
        again = player.follow(uri, link)
        assert again.status == 200
        assert [player.follow(one, AT).body for one in again.uris] == [
            part("two", 0),
            part("two", 1),
        ]
    # Its links are found again as well.
    StrmUrlMapping.objects.update(resolved_at=timezone.now() - timedelta(hours=1))
    forget(player)
    player.call(player.engine.opener.documents._held.clear)
    host.body("/two/seg-1.m4s", b"", status=403)
    moved = film(host, "three", [6, 6])
    if top:
        both = more.format(9_000_000, "../two/high.m3u8") + more.format(700_000, "low.m3u8")
        host.body("/three/top.m3u8", f"#EXTM3U\n{both}".encode())
    here = moved if top else host.at("/three/low.m3u8")
    source.titles["film"] = [stream(here, "Filemoon", "hls")]
    assert player.follow(again.uris[1], AT).body == part("three", 1)


def test_sound_of_its_own_is_not_mixed_with_what_has_none(
    player: Player, host: Host, source: Source
):
    one, two = film(host, "one", [4, 4]), film(host, "two", [6, 6])
    sound = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="a.m3u8"\n'
    text = f'#EXTM3U\n{sound}#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nlow.m3u8\n'
    host.body("/one/top.m3u8", text.encode())
    link = source.offer("film", stream(one, "VOE", "hls"), stream(two, "Filemoon", "hls"))
    uri = player.get(link).uris[0]
    variant = player.follow(uri, link)
    close(host, "one")
    assert player.follow(variant.uris[1], AT).status == 410
    assert player.follow(uri, link).status == 410


def test_drm_goes_through_as_it_is_and_is_reported(player: Player, host: Host, source: Source):
    text = (
        '#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://key"\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n'
    )
    host.body("/x.m3u8", text.encode())
    reply = player.get(source.offer("film", stream(host.at("/x.m3u8"), "VOE", "hls")))
    assert 'URI="skd://key"' in reply.text
    player.run(player.engine.playbacks.write())
    assert StreamSession.objects.get().last_error == "the video is protected by DRM"
