"""What kind of link a text is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalogue.releases import Identity, Release
from downloads.detection import MAX_URL, DownloadType, detect
from downloads.errors import UnsupportedLink

HASH = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
T = DownloadType


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"magnet:?xt=urn:btih:{HASH}", T.MAGNET),
        (f"  MAGNET:?xt=urn:btih:{HASH.upper()}&dn=x  \n", T.MAGNET),
        (f"magnet:?dn=a%20b&xt=urn%3Abtih%3A{HASH}", T.MAGNET),
        (f"magnet%3A%3Fxt%3Durn%3Abtih%3A{HASH}%26dn%3Dx", T.MAGNET),
        ("magnet:?xt=urn:btih:YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK", T.MAGNET),
        (f"magnet:?xt=urn:btih:{HASH}&xs=http://x/y.torrent", T.MAGNET),
        ("https://example.com/file.torrent", T.TORRENT),
        ("HTTPS://EXAMPLE.COM/FILE.TORRENT", T.TORRENT),
        ("http://example.com/file.torrent?passkey=1&x=2", T.TORRENT),
        ("http://example.com/file.torrent#top", T.TORRENT),
        ("http://example.com/file%2Etorrent", T.TORRENT),
        ("http://example.com/file.torrent/", T.TORRENT),
        ("http://example.com/dl.php?id=7&file=Show.S01.torrent", T.TORRENT),
        ("http://example.com/dl?FileName=Show%20S01%2Etorrent", T.TORRENT),
        (
            "https://x/d?response-content-disposition=attachment%3B+filename%3D%22a.torrent%22",
            T.TORRENT,
        ),
        ("https%3A%2F%2Fexample.com%2Ffile.torrent", T.TORRENT),
        ("https://example.com/download/123", T.HTTP),
        ("https://example.com/a.mp4?token=abc", T.HTTP),
        ("https://example.com/a.torrent.mkv", T.HTTP),
        ("https://example.com/file.torrents/a.mkv", T.HTTP),
        ("https://site.torrent/film.mkv", T.HTTP),
        ("https://example.com/a.mkv#b.torrent", T.HTTP),
        ("https://example.com/a.mkv?from=list.torrent", T.HTTP),
        ("https://example.com/?q=magnet:?xt=urn:btih:abc", T.HTTP),
        ("https://user:pass@example.com:8443/a.mkv", T.HTTP),
        ("http://[2001:db8::1]:80/a.mkv", T.HTTP),
        ("http://exämple.com/ü.mkv", T.HTTP),
    ],
)
def test_the_kind_of_a_link(text: str, kind: DownloadType):
    assert detect(text).download_type == kind


def test_a_magnet_of_ours_is_an_episode():
    identity = Identity("demo", "sintel", 1, 1, "German Dub")
    link = detect(Release(identity, "Sintel", "DEMO").magnet)
    assert link.download_type == T.EPISODE
    assert link.magnet.identity == identity


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no link"),
        ("   ", "there is no link"),
        ("ftp://example.com/file.torrent", "«ftp» links cannot be fetched"),
        ("SFTP://example.com/file", "«sftp» links cannot be fetched"),
        ("file:///etc/passwd", "«file» links cannot be fetched"),
        ("data:text/html,<script>", "«data» links cannot be fetched"),
        ("javascript:alert(1)", "«javascript» links cannot be fetched"),
        ("blob:https://example.com/1", "«blob» links cannot be fetched"),
        ("ed2k://|file|x|1|y|/", "«ed2k» links cannot be fetched"),
        ("example.com/file.mkv", "is no link"),
        ("/etc/passwd", "is no link"),
        ("//example.com/a", "is no link"),
        (HASH, "that is a bare hash"),
        ("http://", "names no host"),
        ("http:///a.mkv", "names no host"),
        ("http://a:99999/x", "is no valid address"),
        ("http://a:0/x", "names no host"),
        ("http://[::1/x", "is no valid address"),
        ("http://a b/x", "blanks or control characters"),
        ("http://a/x\ny", "blanks or control characters"),
        ("http://a/" + "x" * MAX_URL, "longer than"),
        ("magnet:?dn=nothing", "names no BitTorrent v1 hash"),
        ("magnet:?xt=urn:btih:abc", "is no infohash"),
        (f"magnet:?xt=urn:btih:{HASH}&dn=a\nb", "line breaks"),
        ("magnet:?xt=urn:btmh:1220" + "a" * 64, "v2"),
        ("magnet:?xt=urn:btih:" + "a" * 300_000, "too long"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_the_reason(text: str, reason: str):
    with pytest.raises(UnsupportedLink) as refused:
        detect(text)
    assert reason in str(refused.value)


def test_a_refusal_does_not_repeat_what_may_be_secret():
    with pytest.raises(UnsupportedLink) as refused:
        detect("ftp://user:hunter2@example.com/file")
    assert "hunter2" not in str(refused.value)


def test_one_link_is_one_url_however_host_and_fragment_are_written():
    urls = {
        detect(text).url
        for text in (
            "https://Example.COM/A.mkv",
            "HTTPS://example.com/A.mkv#part",
            " https://example.com/A.mkv ",
        )
    }
    assert urls == {"https://example.com/A.mkv"}


def test_user_names_keep_their_case():
    assert detect("http://User:PassWord@HOST/a").url == "http://User:PassWord@host/a"


@given(st.text(max_size=300))
@example("http://\u2100/")
@example("http://a\u3002b/")
@example("magnet:?xt=urn:btih:\udc80")
@example("http://a%00b/")
def test_any_text_is_a_link_or_refused(text: str):
    try:
        link = detect(text)
    except UnsupportedLink as refused:
        assert str(refused)  # noqa: PT017 - both are right
    else:
        assert link.download_type in DownloadType


paths = st.text(alphabet="abc./%2EtornTORN-", max_size=40)


@given(path=paths, query=paths, fragment=paths)
def test_detecting_what_was_detected_changes_nothing(path: str, query: str, fragment: str):
    first = detect(f"https://example.com/{path}?{query}#{fragment}")
    again = detect(first.url)
    assert (again.url, again.download_type) == (first.url, first.download_type)
