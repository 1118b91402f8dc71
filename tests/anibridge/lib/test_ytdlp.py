import threading
import time
from collections.abc import Callable

import pytest
from yt_dlp.downloader.external import FFmpegFD

from anibridge.lib import http, media, transfer, ytdlp
from anibridge.lib.errors import Cancelled
from tests.anibridge.lib import servers

pytestmark = pytest.mark.usefixtures("allowed")
PAGE = "<!DOCTYPE html><html><head><title>A video</title></head><body>{}</body></html>"
HLS = "application/vnd.apple.mpegurl"


def page(server, inner: str, path: str = "/e/1") -> str:
    return server.serve(path, PAGE.format(inner).encode())


def mp4_page(server, videos) -> str:
    server.ranged("/v.mp4", videos.mp4.read_bytes())
    return page(server, '<video><source src="/v.mp4" type="video/mp4"></video>')


def hls_page(server, videos, *, encrypted: bool = False, without: int | None = None) -> str:
    playlist = videos.playlist
    if encrypted:
        playlist = playlist.replace(
            "#EXT-X-MEDIA-SEQUENCE:0",
            '#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-KEY:METHOD=AES-128,URI="/hls/key"',
        )
        server.serve("/hls/key", videos.key, "application/octet-stream")
    for number, segment in enumerate(videos.encrypted if encrypted else videos.hls):
        if number != without:
            server.serve(f"/hls/s{number}.ts", segment, "video/mp2t")
    server.serve("/hls/list.m3u8", playlist.encode(), HLS)
    return page(server, f'<video><source src="/hls/list.m3u8" type="{HLS}"></video>')


def test_a_page_with_a_video_tag_gives_its_stream(server, videos):
    found = ytdlp.extract(mp4_page(server, videos))
    assert (found.url, found.ext, found.is_hls) == (server.url("/v.mp4"), "mp4", False)
    assert found.protocol == "http"
    assert found.headers["Referer"].startswith(server.url())


def test_a_page_with_hls_gives_its_playlist(server, videos):
    found = ytdlp.extract(hls_page(server, videos))
    assert found.is_hls
    assert found.url == server.url("/hls/list.m3u8")


def test_of_several_variants_the_highest_is_taken(server):
    master = "#EXTM3U\n" + "".join(
        f'#EXT-X-STREAM-INF:BANDWIDTH={height}000,RESOLUTION={height * 16 // 9}x{height},CODECS="avc1.64001f,mp4a.40.2"\n{height}.m3u8\n'
        for height in (1080, 360, 720)
    )
    server.serve("/m.m3u8", master.encode(), HLS)
    found = ytdlp.extract(page(server, f'<video><source src="/m.m3u8" type="{HLS}"></video>'))
    assert (found.height, found.vcodec) == (1080, "h264")
    assert found.url.endswith("/1080.m3u8")


def test_a_page_without_a_video_is_not_supported(server):
    with pytest.raises(ytdlp.HostNotSupported, match="no video"):
        ytdlp.extract(page(server, "<p>nothing to see</p>"))


def test_plain_text_is_not_taken_for_a_video(server):
    url = server.serve("/text", b"just some words " * 100, "text/plain")
    with pytest.raises(ytdlp.HostNotSupported):
        ytdlp.extract(url)


def test_a_missing_page_failed_for_good_and_a_broken_one_may_come_back(server):
    with pytest.raises(ytdlp.HostFailed, match="404") as gone:
        ytdlp.extract(server.url("/nowhere"))
    server.serve("/broken", b"oops", status=500)
    with pytest.raises(ytdlp.HostFailed, match="500") as broken:
        ytdlp.extract(server.url("/broken"))
    assert (gone.value.retryable, broken.value.retryable) == (False, True)


@pytest.mark.parametrize("status", [200, 403, 503])
def test_a_browser_check_is_reported_as_blocked(server, status):
    body = PAGE.replace("A video", "Just a moment...").format("<div id=cf-challenge></div>")
    url = server.serve("/e/1", body.encode(), status=status)
    with pytest.raises(ytdlp.HostBlocked, match="browser check"):
        ytdlp.extract(url)


def test_a_redirect_to_a_private_address_is_refused_inside_ytdlp(server, other_server):
    server.redirect("/e/1", other_server.url("/inside"))
    with pytest.raises(ytdlp.HostFailed, match="OUTBOUND_ALLOWED_PRIVATE_HOSTS") as refused:
        ytdlp.extract(server.url("/e/1"))
    assert not refused.value.retryable
    assert other_server.asked == []


def test_segments_at_a_private_address_are_refused(server, other_server, videos, tmp_path):
    url = hls_page(server, videos)
    playlist = videos.playlist.replace("s1.ts", other_server.url("/s1.ts"))
    server.serve("/hls/list.m3u8", playlist.encode(), HLS)
    with pytest.raises(ytdlp.HostFailed, match="loopback"):
        ytdlp.download(url, folder=tmp_path, name="x", retries=0)
    assert other_server.asked == []


def test_segments_on_the_disk_are_refused(server, videos, tmp_path):
    url = hls_page(server, videos)
    playlist = videos.playlist.replace("s1.ts", "file:///etc/passwd")
    server.serve("/hls/list.m3u8", playlist.encode(), HLS)
    with pytest.raises(ytdlp.HostFailed):
        ytdlp.download(url, folder=tmp_path, name="x", retries=0)
    assert not list(tmp_path.glob("x.mp4"))


def test_a_progressive_video_is_downloaded_with_progress(server, videos, tmp_path):
    seen: list[ytdlp.Progress] = []
    path = ytdlp.download(
        mp4_page(server, videos), folder=tmp_path, name="Name.S01E01", on_progress=seen.append
    )
    assert path == tmp_path / "Name.S01E01.mp4"
    assert path.read_bytes() == videos.mp4.read_bytes()
    assert seen[-1].downloaded == seen[-1].total == len(path.read_bytes())
    assert [one.name for one in tmp_path.iterdir()] == ["Name.S01E01.mp4"]


def test_an_extracted_stream_is_downloaded_without_asking_the_page_again(server, videos, tmp_path):
    found = ytdlp.extract(mp4_page(server, videos))
    server.asked.clear()
    ytdlp.download(found, folder=tmp_path, name="x")
    assert server.paths == ["/v.mp4"]


def stop_after(count: int) -> Callable[[ytdlp.Progress], None]:
    """A progress callback that calls the download off once so many bytes are there."""

    def report(progress: ytdlp.Progress) -> None:
        if progress.downloaded >= count:
            raise Cancelled("called off")

    return report


def test_a_download_goes_on_where_it_stopped(server, videos, tmp_path):
    whole, url = videos.mp4.read_bytes(), mp4_page(server, videos)
    with pytest.raises(Cancelled):
        ytdlp.download(
            url, folder=tmp_path, name="x", throttle=Slices(8000), on_progress=stop_after(20_000)
        )
    there = (tmp_path / "x.mp4.part").stat().st_size
    assert 20_000 <= there < len(whole)
    path = ytdlp.download(url, folder=tmp_path, name="x")
    assert path.read_bytes() == whole
    # The server names no validator: the last bytes are fetched once more and compared.
    start = max(0, there - transfer.OVERLAP)
    assert f"bytes={start}-" in [headers.get("range") for _, headers in server.asked]


def test_bytes_of_nobody_knows_what_are_not_added_to(server, videos, tmp_path):
    (tmp_path / "x.mp4.part").write_bytes(b"something else" * 1000)
    path = ytdlp.download(mp4_page(server, videos), folder=tmp_path, name="x")
    assert path.read_bytes() == videos.mp4.read_bytes()


@pytest.mark.parametrize("torn", ["as it stopped", "killed before it was written down", "spoilt"])
def test_hls_goes_on_where_it_stopped(server, videos, tmp_path, torn):
    url = hls_page(server, videos)
    with pytest.raises(Cancelled):
        ytdlp.download(
            url, folder=tmp_path, name="x", on_progress=stop_after(len(videos.hls[0]) + 1)
        )
    part = tmp_path / "x.mp4.part"
    assert part.stat().st_size >= len(videos.hls[0])
    if torn.startswith("killed"):
        with part.open("ab") as file:  # a fragment that its notes do not know of
            file.write(videos.hls[1])
    if torn == "spoilt":
        (tmp_path / "x.mp4.ytdl").write_text("{")
    server.asked.clear()
    path = ytdlp.download(url, folder=tmp_path, name="x")
    assert path.read_bytes() == b"".join(videos.hls)
    assert ("/hls/s0.ts" in server.paths) is (torn == "spoilt")


def dash_page(server, videos) -> str:
    for file in videos.dash.iterdir():
        server.serve(f"/dash/{file.name}", file.read_bytes(), "video/mp4")
    server.serve("/dash/m.mpd", (videos.dash / "m.mpd").read_bytes(), "application/dash+xml")
    return page(server, '<video><source src="/dash/m.mpd" type="application/dash+xml"></video>')


def test_dash_is_fetched_natively_picture_and_sound(server, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(FFmpegFD, "real_download", lambda *args: pytest.fail("ffmpeg was asked"))
    path = ytdlp.download(
        dash_page(server, videos), folder=tmp_path, name="x", ffmpeg=ytdlp.find_ffmpeg()
    )
    assert path == tmp_path / "x.mp4"
    facts = media.verify_video(path, expected_seconds=videos.seconds)
    assert (facts.video_streams, facts.audio_streams) == (1, 1)
    assert [one.name for one in tmp_path.iterdir()] == ["x.mp4"]


def test_dash_without_ffmpeg_is_refused_with_words(server, videos, tmp_path):
    with pytest.raises(ytdlp.HostNotSupported, match="ffmpeg is needed"):
        ytdlp.download(dash_page(server, videos), folder=tmp_path, name="x")


def test_a_missing_dash_segment_is_a_failure(server, videos, tmp_path):
    url = dash_page(server, videos)
    gone = next(path for path in server.routes if path.endswith("-00002.m4s"))
    del server.routes[gone]
    with pytest.raises(ytdlp.HostFailed, match="404"):
        ytdlp.download(url, folder=tmp_path, name="x", retries=0, ffmpeg=ytdlp.find_ffmpeg())


def test_dash_segments_at_a_private_address_are_refused(server, other_server, videos, tmp_path):
    url = dash_page(server, videos)
    manifest = (
        (videos.dash / "m.mpd")
        .read_text()
        .replace("<Period", f"<BaseURL>{other_server.url('/')}</BaseURL><Period", 1)
    )
    server.serve("/dash/m.mpd", manifest.encode(), "application/dash+xml")
    with pytest.raises(ytdlp.HostFailed, match="loopback"):
        ytdlp.download(url, folder=tmp_path, name="x", retries=0, ffmpeg=ytdlp.find_ffmpeg())
    assert other_server.asked == []


class Slices(http.Throttle):
    """No limit, but small portions."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    @property
    def portion(self) -> int:
        return self.size


@pytest.mark.parametrize("kind", ["progressive", "hls", "dash"])
def test_every_kind_of_download_is_slowed_down(server, videos, tmp_path, kind):
    pages = {"progressive": mp4_page, "hls": hls_page, "dash": dash_page}
    throttle = http.Throttle(100_000)
    began = time.monotonic()
    ytdlp.download(
        pages[kind](server, videos),
        folder=tmp_path,
        name="x",
        throttle=throttle,
        ffmpeg=ytdlp.find_ffmpeg(),
    )
    took = time.monotonic() - began
    size = sum(len(one) for one in videos.hls) if kind == "hls" else videos.mp4.stat().st_size
    assert throttle.count >= 0.8 * size
    # A busy machine only makes it slower.
    assert took >= 0.8 * throttle.count / 100_000 - http.Throttle.CREDIT


@pytest.mark.parametrize("encrypted", [False, True])
def test_hls_is_fetched_natively_and_put_into_mp4(server, videos, tmp_path, monkeypatch, encrypted):
    monkeypatch.setattr(FFmpegFD, "real_download", lambda *args: pytest.fail("ffmpeg was asked"))
    path = ytdlp.download(
        hls_page(server, videos, encrypted=encrypted),
        folder=tmp_path,
        name="x",
        ffmpeg=ytdlp.find_ffmpeg(),
    )
    assert path == tmp_path / "x.mp4"
    facts = media.verify_video(path, expected_seconds=videos.seconds)
    assert (facts.container, facts.vcodec, facts.acodec) == ("mov", "h264", "aac")
    assert [one.name for one in tmp_path.iterdir()] == ["x.mp4"]


def test_without_ffmpeg_hls_stays_a_transport_stream(server, videos, tmp_path):
    path = ytdlp.download(hls_page(server, videos), folder=tmp_path, name="x")
    assert path == tmp_path / "x.ts"
    assert media.inspect(path).container == "mpegts"


def test_a_missing_segment_is_a_failure_and_never_a_short_file(server, videos, tmp_path):
    with pytest.raises(ytdlp.HostFailed, match="404"):
        ytdlp.download(hls_page(server, videos, without=1), folder=tmp_path, name="x", retries=1)
    assert not (tmp_path / "x.mp4").exists()
    assert server.paths.count("/hls/s1.ts") == 2


def test_an_odd_key_method_goes_to_nobody(server, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(FFmpegFD, "real_download", lambda *args: pytest.fail("ffmpeg was asked"))
    url = hls_page(server, videos)
    odd = videos.playlist.replace("#EXTINF", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n#EXTINF', 1)
    server.serve("/hls/list.m3u8", odd.encode(), HLS)
    with pytest.raises(ytdlp.HostNotSupported):
        ytdlp.download(url, folder=tmp_path, name="x")


def test_a_playlist_that_may_still_grow_is_not_taken_for_a_video(server, videos, tmp_path):
    url = hls_page(server, videos)
    growing = videos.playlist.replace("#EXT-X-ENDLIST", "")
    server.serve("/hls/list.m3u8", growing.encode(), HLS)
    with pytest.raises(ytdlp.HostNotSupported, match="live"):
        ytdlp.download(url, folder=tmp_path, name="x")


def test_drm_is_named(server, videos, tmp_path):
    url = hls_page(server, videos)
    protected = videos.playlist.replace(
        "#EXTINF", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"\n#EXTINF', 1
    )
    server.serve("/hls/list.m3u8", protected.encode(), HLS)
    with pytest.raises(ytdlp.HostNotSupported, match="DRM"):
        ytdlp.download(url, folder=tmp_path, name="x")


@pytest.mark.parametrize("protocol", ["rtmp", "m3u8", "websocket_frag", "mhtml"])
def test_protocols_of_other_programs_are_refused(server, tmp_path, protocol):
    odd = ytdlp.StreamInfo(
        url=server.url("/x"),
        protocol=protocol,
        ext="mp4",
        headers={},
        height=None,
        width=None,
        vcodec=None,
        acodec=None,
        duration=None,
        filesize=None,
        is_hls=False,
        formats=(
            {
                "url": "rtmp://x/y" if protocol == "rtmp" else server.url("/x"),
                "protocol": protocol,
                "ext": "mp4",
                "is_live": protocol == "m3u8",
            },
        ),
    )
    with pytest.raises(ytdlp.HostNotSupported):
        ytdlp.download(odd, folder=tmp_path, name="x")
    assert server.asked == []


def test_a_page_served_as_mp4_is_no_video(server, tmp_path):
    server.serve("/v.mp4", PAGE.format("not found").encode(), "video/mp4")
    url = page(server, '<video><source src="/v.mp4" type="video/mp4"></video>')
    with pytest.raises(ytdlp.HostFailed, match="something else than a video"):
        ytdlp.download(url, folder=tmp_path, name="x")
    assert list(tmp_path.iterdir()) == []


def test_a_page_in_place_of_the_video_is_refused_before_it_is_stored(server, tmp_path):
    page(server, "gone", "/v.mp4")
    url = page(server, '<video><source src="/v.mp4" type="video/mp4"></video>')
    with pytest.raises(ytdlp.HostFailed, match="web page"):
        ytdlp.download(url, folder=tmp_path, name="x")


def test_what_the_progress_callback_raises_comes_out_unchanged(server, videos, tmp_path):
    mine = KeyError("mine")

    def refuse(progress: ytdlp.Progress) -> None:
        raise mine

    for url in (mp4_page(server, videos), hls_page(server, videos)):
        with pytest.raises(KeyError) as raised:
            ytdlp.download(url, folder=tmp_path, name="x", on_progress=refuse)
        assert raised.value is mine


@pytest.mark.timeout(15)
def test_a_cancel_is_seen_while_the_host_is_silent(server, videos, tmp_path):
    left, arrived = threading.Event(), threading.Event()
    body = videos.mp4.read_bytes()
    server.routes["/v.mp4"] = servers.stalling(
        body[:9000], {"Content-Type": "video/mp4", "Content-Length": str(len(body))}, left
    )
    found = ytdlp.StreamInfo(
        url=server.url("/v.mp4"),
        protocol="http",
        ext="mp4",
        headers={},
        height=None,
        width=None,
        vcodec=None,
        acodec=None,
        duration=None,
        filesize=None,
        is_hls=False,
    )
    mine = Cancelled("the owner cancelled it")

    def check() -> None:
        if server.paths:
            arrived.set()
            raise mine

    with pytest.raises(Cancelled) as raised, http.cancellation(check):
        ytdlp.download(found, folder=tmp_path, name="x")
    assert raised.value is mine
    assert left.wait(5)


@pytest.mark.timeout(15)
def test_a_cancel_is_seen_while_a_page_is_silent(server):
    left = threading.Event()
    server.routes["/e/1"] = servers.stalling(b"<html>", {"Content-Type": "text/html"}, left)
    mine = Cancelled("the owner cancelled it")

    def check() -> None:
        if server.paths:
            raise mine

    with pytest.raises(Cancelled) as raised, http.cancellation(check):
        ytdlp.extract(server.url("/e/1"))
    assert raised.value is mine
    assert left.wait(5)


def test_an_endless_page_is_given_up(server, monkeypatch):
    monkeypatch.setattr("anibridge.lib.ytdlp_network.WHOLE_ANSWER", 300_000)
    server.routes["/e/1"] = servers.endless(b"<html>" + b"x" * 65536, {"Content-Type": "text/html"})
    with pytest.raises(ytdlp.HostFailed, match="larger than"):
        ytdlp.extract(server.url("/e/1"))


def test_a_page_that_drips_meets_the_deadline(server):
    server.routes["/e/1"] = servers.endless(b"<html>", {"Content-Type": "text/html"}, every=0.05)
    with pytest.raises(ytdlp.HostFailed, match="took longer"):
        ytdlp.extract(server.url("/e/1"), timeout=0.5)


def test_a_name_cannot_leave_the_folder(tmp_path):
    with pytest.raises(ValueError, match="file name"):
        ytdlp.download("http://example.org/", folder=tmp_path, name="../x")
