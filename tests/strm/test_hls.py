"""HLS playlists: every address is found, and nothing else is touched."""

import contextlib
import re
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strm import hls, manifests
from strm.errors import BadManifest
from strm.links import Kind

BASE = "https://host.example/a/b/list.m3u8?k=v"


def rewritten(text: str, base: str = BASE, **options) -> str:
    return hls.rewrite(text, base, lambda url, kind, shared: f"<{kind.name} {url}>", **options)


def lines(text: str) -> list[str]:
    return rewritten("#EXTM3U\n" + text).split("\n")[1:]


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("seg.ts", "<MEDIA https://host.example/a/b/seg.ts>"),
        ("  seg.ts \r", "  <MEDIA https://host.example/a/b/seg.ts> \r"),
        ("/seg.ts?x=1&y=2", "<MEDIA https://host.example/seg.ts?x=1&y=2>"),
        ("//cdn.example/s.ts", "<MEDIA https://cdn.example/s.ts>"),
        ("http://cdn.example/s.ts#t", "<MEDIA http://cdn.example/s.ts#t>"),
        ("?seg=1", "<MEDIA https://host.example/a/b/list.m3u8?seg=1>"),
        ("# seg.ts is a comment", "# seg.ts is a comment"),
        ("#EXTINF:4.0,http://title.example/", "#EXTINF:4.0,http://title.example/"),
        ("#EXTVLCOPT:http-referrer=http://x/", "#EXTVLCOPT:http-referrer=http://x/"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k.key",IV=0x00', '#EXT-X-KEY:METHOD=AES-128,URI="<KEY https://host.example/a/b/k.key>",IV=0x00'),
        ("#EXT-X-KEY:METHOD=AES-128,URI=k.key?a=1,b,IV=0x00", '#EXT-X-KEY:METHOD=AES-128,URI="<KEY https://host.example/a/b/k.key?a=1,b>",IV=0x00'),
        ("#EXT-X-KEY:METHOD=AES-128,URI=k.key", '#EXT-X-KEY:METHOD=AES-128,URI="<KEY https://host.example/a/b/k.key>"'),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k.key', '#EXT-X-KEY:METHOD=AES-128,URI="<KEY https://host.example/a/b/k.key>"'),
        ("#EXT-X-KEY:METHOD=NONE", "#EXT-X-KEY:METHOD=NONE"),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://key1"', '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://key1"'),
        ('#EXT-X-KEY:METHOD=AES-128,URI="data:text/plain;base64,AAAA"', '#EXT-X-KEY:METHOD=AES-128,URI="data:text/plain;base64,AAAA"'),
        ('#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k"', '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="<KEY https://host.example/a/b/k>"'),
        ('#EXT-X-MAP:URI="init.mp4",BYTERANGE="10@0"', '#EXT-X-MAP:URI="<MEDIA https://host.example/a/b/init.mp4>",BYTERANGE="10@0"'),
        ('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a, URI=",NAME="x",URI="a.m3u8"', '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a, URI=",NAME="x",URI="<PLAYLIST https://host.example/a/b/a.m3u8>"'),
        ('#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i.m3u8"', '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="<PLAYLIST https://host.example/a/b/i.m3u8>"'),
        ('#EXT-X-SESSION-DATA:DATA-ID="d",URI="d.json"', '#EXT-X-SESSION-DATA:DATA-ID="d",URI="<DATA https://host.example/a/b/d.json>"'),
        ('#EXT-X-PART:DURATION=1,URI="p.mp4",BYTERANGE="1@2"', '#EXT-X-PART:DURATION=1,URI="<MEDIA https://host.example/a/b/p.mp4>",BYTERANGE="1@2"'),
        ('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p.mp4"', '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="<MEDIA https://host.example/a/b/p.mp4>"'),
        ('#EXT-X-RENDITION-REPORT:URI="../x.m3u8",LAST-MSN=1', '#EXT-X-RENDITION-REPORT:URI="<PLAYLIST https://host.example/a/x.m3u8>",LAST-MSN=1'),
        ('#EXT-X-CONTENT-STEERING:SERVER-URI="s.json",PATHWAY-ID="x"', '#EXT-X-CONTENT-STEERING:SERVER-URI="<STEERING https://host.example/a/b/s.json>",PATHWAY-ID="x"'),
        ('#EXT-X-DATERANGE:ID="1",X-ASSET-URI="a.m3u8",X-COM-URL="http://keep/"', '#EXT-X-DATERANGE:ID="1",X-ASSET-URI="<PLAYLIST https://host.example/a/b/a.m3u8>",X-COM-URL="http://keep/"'),
        ('#EXT-X-DATERANGE:ID="1",X-ASSET-LIST="a.json"', '#EXT-X-DATERANGE:ID="1",X-ASSET-LIST="<ASSETS https://host.example/a/b/a.json>"'),
        ('#EXT-X-NEW-TAG:X=1,SOME-URI="n.bin"', '#EXT-X-NEW-TAG:X=1,SOME-URI="<MEDIA https://host.example/a/b/n.bin>"'),
        ("#EXT-X-PREFETCH:https://cdn.example/p.ts", "#EXT-X-PREFETCH:<MEDIA https://cdn.example/p.ts>"),
        ("#EXT-X-TWITCH-PREFETCH:p.ts", "#EXT-X-TWITCH-PREFETCH:<MEDIA https://host.example/a/b/p.ts>"),
        ("#EXT-X-BYTERANGE:100@5", "#EXT-X-BYTERANGE:100@5"),
        ("#EXT-X-UNKNOWN:whatever, it=says", "#EXT-X-UNKNOWN:whatever, it=says"),
        ('#EXT-X-MAP:URI=""', '#EXT-X-MAP:URI=""'),
    ],
)  # fmt: skip
def test_each_line_becomes_what_it_should(line: str, becomes: str):
    assert lines(line) == [becomes]


def test_a_variant_is_a_playlist():
    text = "#EXT-X-STREAM-INF:BANDWIDTH=1\n# comment\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\n\nhigh.php"
    assert [line for line in lines(text) if line.startswith("<")] == [
        "<PLAYLIST https://host.example/a/b/low.m3u8>",
        "<PLAYLIST https://host.example/a/b/high.php>",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "file:///etc/passwd", "ftp://x/y.ts", "javascript:alert(1)", "concat:a|b", "crypto:http://x/", "rtmp://x/y",
        '#EXT-X-MAP:URI="file:///etc/passwd"', '#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/passwd"',
        '#EXT-X-MEDIA:TYPE=AUDIO,URI="data:application/vnd.apple.mpegurl,%23EXTM3U"', "http://[bad/x.ts",
        "x" * 20_000,
    ],
)  # fmt: skip
def test_what_a_player_should_not_open_is_refused(line: str):
    with pytest.raises(BadManifest):
        lines(line)


@pytest.mark.parametrize(
    "line",
    [
        "# a comment\rhttp://spy.example/a.ts",
        "# a comment\r\rhttp://spy.example/a.ts\r",
        "# a comment\0http://spy.example/a.ts",
        "# a comment\u2028http://spy.example/a.ts",
        "#EXTINF:4,title\u2029http://spy.example/a.ts",
        '#EXT-X-KEY:!x=1,METHOD=AES-128,URI="http://spy.example/k"',
        '#EXT-X-KEY:x,URI="http://spy.example/k",METHOD=AES-128',
        '#EXT-X-KEY:A="b,URI="http://spy.example/k",METHOD=AES-128',
        '#EXT-X-KEY:METHOD=AES-128;URI="http://spy.example/k"',
        '#EXT-X-KEY METHOD=AES-128,URI="http://spy.example/k"',
        '#EXT-X-MAP;URI="http://spy.example/k"',
        '#EXT-X-KEY:METHOD=AES-128,X-URI="http://spy.example/k",URI="k"',
        '#EXT-X-KEY:METHOD=AES-128,-URI="http://spy.example/k",URI="k"',
    ],
)
def test_nothing_that_a_player_may_take_for_an_address_gets_past_us(line: str):
    """ffmpeg ends lines at CR and NUL, browsers at U+2028; some players look for `URI="` anywhere in a tag."""
    body = f"#EXTM3U\n{line}\n#EXTINF:4,\nb.ts\n".encode()
    try:
        source = manifests.document("https://host.example/a/b/list.m3u8", body)
        text = hls.rewrite(source.text, source.url, lambda url, kind, variables: "<link>")
    except BadManifest:
        return
    # What is left is part of a comment or a title, and no line ends before it.
    kept = [one for one in re.split("[\r\n\0\u2028\u2029]", text) if "spy.example" in one]
    assert all(one.startswith("#") and "URI" not in one for one in kept)


def test_lines_may_end_in_cr_alone():
    body = b"#EXTM3U\r#EXT-X-TARGETDURATION:4\r#EXTINF:4,\ra.ts\r#EXT-X-ENDLIST\r"
    source = manifests.document("https://host.example/a/b/list.m3u8", body)
    assert not source.live
    text = hls.rewrite(source.text, source.url, lambda url, kind, variables: f"<{url}>")
    assert "<https://host.example/a/b/a.ts>" in text.splitlines()


@pytest.mark.parametrize(
    ("keys", "protected"),
    [
        ("#EXT-X-KEY:METHOD=NONE", False),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k"', False),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k",KEYFORMAT="identity"', False),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://1"', True),
        ('#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://1",KEYFORMAT="com.apple.streamingkeydelivery"', True),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="data:,x",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"', True),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://1"\n#EXT-X-KEY:METHOD=AES-128,URI="k"', False),
        ("#EXT-X-FAXS-CM:AAAA", True),
    ],
)  # fmt: skip
def test_drm_is_known_by_its_keys(keys: str, protected: bool):
    assert hls.is_protected(f"#EXTM3U\n{keys}\n#EXTINF:4,\nb.ts\n") is protected


def test_a_playlist_that_is_none_is_refused():
    for text in ("", "hello", "http://x/y.ts\n", "<html>#EXTM3U"):
        with pytest.raises(BadManifest):
            rewritten(text)
    assert rewritten("\ufeff \r\n#EXTM3U\r\nx.ts\r\n").endswith("x.ts>\r\n")


def test_variables_are_put_into_addresses_and_stay_where_they_are():
    text = (
        '#EXTM3U\n#EXT-X-DEFINE:NAME="dir",VALUE="deep/er"\n#EXT-X-DEFINE:QUERYPARAM="k"\n'
        '#EXT-X-MAP:URI="{$dir}/init.mp4"\n#EXTINF:1,{$dir}\n{$dir}/1.ts?k={$k}\n'
    )
    assert rewritten(text).split("\n")[2:] == [
        '#EXT-X-DEFINE:NAME="k",VALUE="v"',
        '#EXT-X-MAP:URI="<MEDIA https://host.example/a/b/deep/er/init.mp4>"',
        "#EXTINF:1,{$dir}",
        "<MEDIA https://host.example/a/b/deep/er/1.ts?k=v>",
        "",
    ]


def test_a_variant_inherits_the_variables_that_it_imports():
    given = {}

    def link(url, kind, shared):
        given[url] = shared
        return "x"

    master = (
        '#EXTM3U\n#EXT-X-DEFINE:NAME="t",VALUE="T"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8?{$t}\n'
    )
    hls.rewrite(master, BASE, link)
    assert given == {"https://host.example/a/b/v.m3u8?T": (("t", "T"),)}
    media = '#EXTM3U\n#EXT-X-DEFINE:IMPORT="t"\n#EXTINF:1,\n{$t}.ts\n'
    assert "<MEDIA https://host.example/a/b/T.ts>" in rewritten(media, imported={"t": "T"})
    assert '#EXT-X-DEFINE:IMPORT="t"' in rewritten(media, imported={"t": "T"})


@pytest.mark.parametrize(
    "text",
    [
        '#EXT-X-DEFINE:NAME="a",VALUE="b"\n{$c}.ts',
        '#EXT-X-DEFINE:IMPORT="a"',
        '#EXT-X-DEFINE:QUERYPARAM="nothing"',
        "\n".join(f'#EXT-X-DEFINE:NAME="v{n}",VALUE="x"' for n in range(200)),
    ],
)
def test_variables_that_nobody_defined_are_refused(text: str):
    with pytest.raises(BadManifest):
        lines(text)


def test_a_parameter_cannot_smuggle_lines_into_a_playlist():
    text = '#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM="k"\n'
    with pytest.raises(BadManifest):
        rewritten(text, base="https://h/x.m3u8?k=a%0Ahttp://evil/x.ts")
    quoted = rewritten(text, base="https://h/x.m3u8?k=%22,URI=%22x")
    assert quoted.count('"') == 4


def test_what_is_live_and_what_stays():
    assert hls.is_live("#EXTM3U\n#EXTINF:1,\na.ts\n")
    assert hls.is_live("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n")
    assert not hls.is_live("#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST")
    assert not hls.is_live("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n")
    assert not hls.is_live("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8")


def test_the_shape_is_that_of_the_film_and_not_of_its_addresses():
    one = "#EXTM3U\n#EXTINF:4.0,\na.ts?t=1\n#EXTINF:3.5,\nb.ts?t=1\n#EXT-X-ENDLIST\n"
    assert hls.shape(one) == hls.shape(one.replace("t=1", "t=2").replace("\n", "\r\n"))
    assert hls.shape(one) != hls.shape(one.replace("3.5", "3.6"))
    assert hls.shape(one) != hls.shape(one.replace("#EXTINF:3.5,\nb.ts?t=1\n", ""))


def test_a_playlist_of_a_hundred_thousand_entries_is_refused_early():
    text = "#EXTM3U\n" + "#EXTINF:2,\nseg.ts\n" * 100_000
    made = []
    with pytest.raises(BadManifest, match="more than"):
        hls.rewrite(text, BASE, lambda url, kind, shared: made.append(url) or "x")
    assert len(made) == hls.MAX_ENTRIES


uris = st.text(alphabet="abcXYZ019-._~/?&=%+:@!$'()*;,", min_size=1, max_size=30).filter(
    lambda text: (
        not text.startswith(("#", "/")) and ":" not in text.split("/")[0] and text.strip() == text
    )
)
quoted = st.text(
    st.characters(blacklist_characters='"\r\n', blacklist_categories=("Cs", "Cc", "Zl", "Zp")),
    max_size=20,
)
attribute = st.one_of(
    st.tuples(
        st.sampled_from(["BANDWIDTH", "X-A", "IV", "RESOLUTION"]),
        st.from_regex(r"[A-Za-z0-9.x-]{1,10}", fullmatch=True),
    ),
    st.tuples(st.sampled_from(["NAME", "CODECS", "X-COM-B"]), quoted.map(lambda text: f'"{text}"')),
)
tag = st.one_of(
    st.sampled_from(["#EXT-X-VERSION:9", "#EXT-X-DISCONTINUITY", "#EXT-X-GAP", "# x", "", "#EXTINF:4.2,a, b", "#EXT-OATCLS-SCTE35:/DAl="]),
    st.tuples(st.sampled_from(["EXT-X-KEY", "EXT-X-MAP", "EXT-X-MEDIA", "EXT-X-PART", "EXT-X-NEW"]), st.lists(attribute, max_size=3), uris, st.lists(attribute, max_size=3)).map(
        lambda made: f"#{made[0]}:" + ",".join([f"{n}={v}" for n, v in made[1]] + [f'URI="{made[2]}"'] + [f"{n}={v}" for n, v in made[3]])
    ),
    uris,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(tag, max_size=20), st.sampled_from(["\n", "\r\n"]))
def test_a_playlist_that_goes_through_means_what_it_meant(made: list[str], ending: str):
    """Put back in the place of its link, each address is the very one that the player would have asked for."""
    text = ending.join(["#EXTM3U", *made, ""])
    links: dict[str, str] = {}

    def link(url: str, kind: Kind, shared: object) -> str:
        links[f"link{len(links)}"] = url
        return f"link{len(links) - 1}"

    through = hls.rewrite(text, BASE, link)
    assert [one.url for one in hls.entries(text, BASE)] == list(links.values())
    assert len(through.split("\n")) == len(text.split("\n"))
    for before, after in zip(text.split("\n"), through.split("\n"), strict=True):
        address = before.strip()
        if address and not address.startswith("#"):
            assert links[after.strip()] == urljoin(BASE, address)
        elif (found := re.search(r'(?<=[:,])URI="([^"]+)"', after)) and found[1] in links:
            original = re.search(r'(?<=[:,])URI="([^"]*)"', before)
            assert original is not None
            assert links[found[1]] == urljoin(BASE, original[1])
            assert after.replace(f'URI="{found[1]}"', f'URI="{original[1]}"', 1) == before
        else:
            assert after == before


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_no_text_upsets_it(text: str):
    """What is not refused comes out line for line, and again as it is when it goes through a second time."""
    with contextlib.suppress(BadManifest):
        through = rewritten("#EXTM3U\n" + text)
        assert through.count("\n") == text.count("\n") + 1
        addresses = [one.url for one in hls.entries("#EXTM3U\n" + text, BASE)]
        assert all(url.startswith(("http://", "https://")) for url in addresses)
