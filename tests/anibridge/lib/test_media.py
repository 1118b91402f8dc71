import io

import pytest

from anibridge.lib import media


def test_the_facts_of_a_file_are_read_from_its_header(videos):
    facts = media.inspect(videos.mp4)
    assert facts.duration == pytest.approx(videos.seconds, abs=0.2)
    assert facts == media.MediaFacts(
        container="mov",
        duration=facts.duration,
        width=128,
        height=96,
        vcodec="h264",
        acodec="aac",
        video_streams=1,
        audio_streams=1,
    )


def test_containers_are_told_apart_by_content_and_not_by_name(videos, tmp_path):
    for path, container in ((videos.mkv, "matroska"), (videos.ts, "mpegts")):
        renamed = tmp_path / "video.mp4"
        renamed.write_bytes(path.read_bytes())
        assert media.inspect(renamed).container == container


def test_a_file_object_is_read_and_stays_open(videos):
    file = io.BytesIO(videos.mkv.read_bytes())
    assert media.inspect(file).vcodec == "h264"
    assert not file.closed


def test_what_a_file_object_raises_comes_through_unchanged():
    mine = KeyError("mine")

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise mine

    with pytest.raises(KeyError) as raised:
        media.inspect(Broken(b"x" * 1000))
    assert raised.value is mine


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html><body>" + b"x" * 5000,
        b"just text\n" * 500,
        bytes(5000),
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"1\n00:00:01,000 --> 00:00:02,000\nsubtitles\n",
    ],
)
def test_what_is_no_media_is_named(tmp_path, content):
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    with pytest.raises(media.NotMedia, match="no video"):
        media.inspect(path)


def test_a_truncated_header_is_no_media(videos, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(videos.mp4.read_bytes()[:2000])
    with pytest.raises(media.NotMedia):
        media.inspect(path)


@pytest.mark.parametrize("name", ["video.mp4", "video.m3u8", "video.ffconcat", "video.mpd"])
@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://127.0.0.1:{port}/x.ts", "{local}"]
)
def test_a_playlist_cannot_make_the_demuxer_open_anything(
    server, videos, tmp_path, monkeypatch, name, target
):
    target = target.format(port=server.port, local=videos.ts)
    texts = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{target}'\n",
    )
    for text in texts:
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(media.NotMedia):
            media.inspect(path)
    assert server.asked == []


def test_a_file_name_is_never_taken_for_an_address(server):
    with pytest.raises(FileNotFoundError):
        media.inspect(server.url("/v.mp4"))
    assert server.asked == []


def test_a_good_video_is_verified(videos):
    facts = media.verify_video(videos.mp4, expected_seconds=videos.seconds + 2)
    assert facts.video_streams == 1


@pytest.mark.parametrize("expected", [1.0, 60.0])
def test_a_video_of_another_length_is_refused(videos, expected):
    with pytest.raises(media.NotMedia, match="expected"):
        media.verify_video(videos.mp4, expected_seconds=expected)


def test_a_video_that_is_too_short_is_refused(videos):
    with pytest.raises(media.NotMedia, match="only"):
        media.verify_video(videos.mp4, min_seconds=30)


def test_a_file_whose_end_is_missing_is_refused(videos, tmp_path):
    path = tmp_path / "video.mkv"
    whole = videos.mkv.read_bytes()
    path.write_bytes(whole[: len(whole) // 5])
    assert media.inspect(path).duration == pytest.approx(videos.seconds, abs=0.2)
    with pytest.raises(media.NotMedia, match="ends before"):
        media.verify_video(path)
