import pytest

from anibridge.lib import sniff


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"  \n<HTML lang=de>", "a web page"),
        (b"<!-- a --><!-- b -->\n<html>", "a web page"),
        (b"\xef\xbb\xbf<head>", "a web page"),
        (b"\xff\xfe<\0h\0t\0m\0l\0>\0", "a web page"),
        (b'<?xml version="1.0"?><a/>', "an XML document"),
        (b"<MPD xmlns=", "an XML document"),
        (b'{"error": 1}', "a JSON answer"),
        (b"[]", "a JSON answer"),
        (b'[ {"a": 1}]', "a JSON answer"),
        (b"Not found", "a text"),
        ("Größe überschritten".encode(), "a text"),
        (b"\0\0\0\x20ftypisom", None),
        (b"\x1aE\xdf\xa3\x01\0", None),
        (b"G@\x11\x10\0", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_a_text_from_a_file(head: bytes, kind: str | None):
    assert sniff.text_kind(head) == kind


@pytest.mark.timeout(20)
def test_a_page_full_of_comments_is_looked_at_in_no_time():
    assert sniff.text_kind(b"<!-- x -->" * 200 + b"y") == "a text"
    assert not sniff.is_dash(b"<!-- x -->" * 200 + b"y")


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.MKV", "mkv"), ("a.b.mp4", "mp4"), ("a", ""), (".mkv", ""), ("S01.1080", ""), ("a.ä", "")],
)
def test_a_names_extension(name: str, found: str):
    assert sniff.extension(name) == found


def test_a_name_or_a_type_claims_a_video():
    assert sniff.claims_video(name="a.mkv")
    assert sniff.claims_video(content_type="Video/MP4; codecs=x")
    assert not sniff.claims_video(name="a.zip", content_type="application/zip")


@pytest.mark.parametrize(
    ("container", "named", "right"),
    [("mov", "mkv", "mp4"), ("mov", "m4v", "m4v"), ("matroska", "webm", "webm"), ("matroska", "mp4", "mkv"), ("new", "x", "x")],
)  # fmt: skip
def test_what_is_inside_decides_about_the_extension(container: str, named: str, right: str):
    assert sniff.extension_of_container(container, named) == right


def test_manifests_are_known():
    assert sniff.is_hls(b"\xef\xbb\xbf#EXTM3U\n")
    assert sniff.is_dash(b'<?xml version="1.0"?>\n<!-- x --><MPD type="static">')
    assert not sniff.is_dash(b"<rss>")
