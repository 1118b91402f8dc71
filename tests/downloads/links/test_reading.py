"""Documents → entries: dialects as they are found, and documents that mean harm."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downloads.links import reading
from downloads.links.reading import NotAFeed, read

MAGNET = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&amp;dn=x"
PLAIN = MAGNET.replace("&amp;", "&")


def rss(
    items: str, head: str = "", declared: str = '<?xml version="1.0" encoding="UTF-8"?>'
) -> str:
    return (
        f'{declared}<rss version="2.0" {head}><channel><title>A feed</title>{items}</channel></rss>'
    )


def only(document: str, **about: str) -> reading.Entry:
    (entry,) = read(document.encode(), **about).entries
    return entry


def test_a_torrent_enclosure_is_taken_before_the_link():
    """As mikanani.me writes it, whose date stands in an element of its own."""
    entry = only(
        rss(
            """<item><guid isPermaLink="false">[Group] Show - 07</guid>
            <link>https://mikan.example/Home/Episode/abc</link><title>[Group] Show - 07 [1080p]</title>
            <description>[Group] Show - 07 [1080p][300 MB]</description>
            <torrent xmlns="https://mikan.example/0.1/"><link>https://mikan.example/Home/Episode/abc</link>
            <contentLength>300</contentLength><pubDate>2026-01-02T03:04:05.123</pubDate></torrent>
            <enclosure type="application/x-bittorrent" length="300" url="https://mikan.example/Download/abc.torrent"/>
            </item>"""
        )
    )
    assert entry.title == "[Group] Show - 07 [1080p]"
    assert (entry.url, entry.is_torrent) == ("https://mikan.example/Download/abc.torrent", True)
    assert entry.guid == "[Group] Show - 07"
    assert entry.published_at is not None
    assert entry.published_at.isoformat() == "2026-01-02T03:04:05+00:00"


def test_an_enclosure_is_a_torrent_when_it_says_so_whatever_its_address_looks_like():
    entry = only(
        rss(
            """<item><title>x</title><link>https://a.example/page</link>
            <enclosure url="http://prowlarr.example/1/download?apikey=k&amp;link=abc" length="1"
             type="application/x-bittorrent; charset=utf-8"/></item>"""
        )
    )
    assert entry.url == "http://prowlarr.example/1/download?apikey=k&link=abc"
    assert entry.is_torrent


def test_a_magnet_enclosure_is_taken():
    """As dmhy writes it."""
    entry = only(
        rss(
            f'<item><title>x</title><link>https://a.example/p</link><enclosure url="{MAGNET}" type="application/x-bittorrent"/></item>'
        )
    )
    assert entry.url == PLAIN


def test_a_link_that_is_a_torrent_is_taken():
    """As nyaa writes it."""
    entry = only(
        rss(
            """<item><title>[Group] Show - 07</title><link>https://nyaa.example/download/1.torrent</link>
            <guid isPermaLink="true">https://nyaa.example/view/1</guid>
            <pubDate>Fri, 02 Jan 2026 03:04:05 -0000</pubDate><nyaa:seeders>1</nyaa:seeders></item>""",
            'xmlns:nyaa="https://nyaa.example/xmlns/nyaa"',
        )
    )
    assert entry.url == "https://nyaa.example/download/1.torrent"
    assert entry.guid == "https://nyaa.example/view/1"


def test_a_named_magnet_is_taken_before_the_link():
    for head, element in (
        (
            'xmlns:torrent="http://xmlns.ezrss.it/0.1/"',
            f"<torrent:magnetURI>{MAGNET}</torrent:magnetURI>",
        ),
        (
            'xmlns:torznab="http://torznab.com/schemas/2015/feed"',
            f'<torznab:attr name="magneturl" value="{MAGNET}"/><torznab:attr name="seeders" value="3"/>',
        ),
    ):
        entry = only(
            rss(
                f"<item><title>x</title><link>https://a.example/p.torrent</link>{element}</item>",
                head,
            )
        )
        assert entry.url == PLAIN


def test_a_magnet_as_link_or_id_is_taken():
    assert only(rss(f"<item><title>x</title><link>{MAGNET}</link></item>")).url == PLAIN
    assert only(rss(f"<item><title>x</title><guid>{MAGNET}</guid></item>")).url == PLAIN


def test_a_video_enclosure_is_taken_before_the_page_and_a_picture_is_not():
    video = '<enclosure url="https://a.example/v.mp4" type="video/mp4"/>'
    picture = '<enclosure url="https://a.example/v.jpg" type="image/jpeg"/>'
    page = "<link>https://a.example/page</link>"
    assert (
        only(rss(f"<item><title>x</title>{page}{picture}{video}</item>")).url
        == "https://a.example/v.mp4"
    )
    assert (
        only(rss(f"<item><title>x</title>{page}{picture}</item>")).url == "https://a.example/page"
    )


def test_atom_is_read():
    entry = only(
        """<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>A feed</title>
        <entry><title type="html">Show &amp;amp; Tell - 07</title><id>urn:uuid:1</id>
        <link rel="alternate" href="/page"/><link rel="enclosure" type="application/x-bittorrent" href="/1.torrent"/>
        <updated>2026-01-02T03:04:05+02:00</updated><content type="xhtml"><div>some <b>text</b></div></content>
        </entry></feed>""",
        url="https://a.example/feeds/rss",
    )
    assert entry.title == "Show & Tell - 07"
    assert (entry.url, entry.guid) == ("https://a.example/1.torrent", "urn:uuid:1")
    assert entry.published_at is not None
    assert entry.published_at.isoformat() == "2026-01-02T01:04:05+00:00"


def test_rss_1_is_read():
    document = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
        xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>A feed</title></channel>
        <item rdf:about="y"><title>Show</title><link>https://a.example/1.torrent</link>
        <dc:date>2026-01-02T03:04:05Z</dc:date></item></rdf:RDF>"""
    read_ = read(document.encode())
    assert read_.title == "A feed"
    assert [(one.title, one.url) for one in read_.entries] == [
        ("Show", "https://a.example/1.torrent")
    ]


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("cp1252", "windows-1252"),
        ("latin-1", "ISO-8859-1"),
    ],
)
def test_encodings_are_read(encoding: str, declared: str):
    document = rss(
        "<item><title>Für Élise</title><link>https://a.example/1.torrent</link></item>",
        declared=f'<?xml version="1.0" encoding="{declared}"?>',
    )
    assert read(document.encode(encoding)).entries[0].title == "Für Élise"


def test_the_servers_word_counts_where_the_document_says_nothing():
    document = rss(
        "<item><title>Привет</title><link>https://a.example/1.torrent</link></item>", declared=""
    )
    found = read(document.encode("cp1251"), content_type="text/xml; charset=windows-1251")
    assert found.entries[0].title == "Привет"


def test_broken_documents_are_read_as_far_as_they_go():
    broken = rss(
        """<item><title>A &nbsp; B & C &uuml;</title><link>https://a.example/1.torrent</link></item>
        <item><title>D <b>E</title><link>https://a.example/2.torrent</link></item>"""
    )
    titles = [one.title for one in read(broken.encode()).entries]
    assert titles[0].startswith("A B")
    assert titles[0].endswith("ü")
    cut = rss(
        "<item><title>A</title><link>https://a.example/1.torrent</link></item><item><title>B</ti"
    )
    assert [one.title for one in read(cut[:-20].encode()).entries] == ["A"]


def test_what_has_no_link_is_counted_and_what_has_no_title_gets_one():
    found = read(
        rss(
            "<item><title>nothing</title></item><item><title>an id</title><guid>17</guid></item>"
            "<item><link>https://a.example/d/Show.07.torrent</link></item>"
        ).encode()
    )
    assert found.without_link == 2
    assert [one.title for one in found.entries] == ["Show.07.torrent"]


def test_a_link_that_cannot_be_fetched_is_kept_for_its_owner_to_see():
    assert only(rss("<item><title>x</title><link>ftp://a.example/x</link></item>")).url.startswith(
        "ftp:"
    )


def test_only_so_many_entries_are_read():
    item = "<item><title>x</title><link>https://a.example/1.torrent</link></item>"
    found = read(rss(item * (reading.MAX_ENTRIES + 5)).encode())
    assert (len(found.entries), found.is_cut) == (reading.MAX_ENTRIES, True)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not RSS and not Atom"),
        (b"<html><body>Please log in</body></html>", "a web page"),
        (b"<!doctype html><p>hello", "a web page"),
        (b'{"items": []}', "not RSS and not Atom"),
        (b"\x00\xff\xfe" * 50, "not RSS and not Atom"),
        (b"<opml></opml>", "not RSS and not Atom"),
    ],
)
def test_what_is_no_feed_is_told_so(body: bytes, told: str):
    with pytest.raises(NotAFeed, match=told):
        read(body)


BOMB = (
    '<!DOCTYPE rss [<!ENTITY a "'
    + "a" * 1000
    + '">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "doctype",
    [
        BOMB,
        f'<!DOCTYPE rss [<!ENTITY j "{"a" * 50_000}">]>',
        '<!DOCTYPE rss [<!ENTITY j SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE rss [<!ENTITY % j SYSTEM "http://127.0.0.1:9/x.dtd"> %j;]>',
    ],
    ids=["bomb", "quadratic", "file", "parameter"],
)
def test_entities_are_refused_in_every_encoding(doctype: str, encoding: str):
    document = rss(
        "<item><title>&j;</title><link>https://a.example/1.torrent</link></item>", declared=""
    )
    declared = f'<?xml version="1.0" encoding="{"utf-16" if "16" in encoding else encoding}"?>'
    with pytest.raises(NotAFeed, match="declares entities"):
        read((declared + doctype + document).encode(encoding))


def test_an_encoding_that_hides_what_it_says_is_not_believed():
    document = b'<?xml version="1.0" encoding="utf-7"?>' + (BOMB + rss("", declared="")).encode(
        "utf-7"
    )
    with pytest.raises(NotAFeed):
        read(document)


def test_an_outside_dtd_is_not_fetched(server):
    address = server.serve("/x.dtd", b'<!ENTITY x "y">')
    document = rss(
        "<item><title>A</title><link>https://a.example/1.torrent</link></item>", declared=""
    )
    found = read(f'<!DOCTYPE rss SYSTEM "{address}">{document}'.encode())
    assert [one.title for one in found.entries] == ["A"]
    assert server.paths == []


MIB = 2**20


@pytest.mark.parametrize(
    "inner",
    [
        "<item " + " ".join(f'a{n}="1"' for n in range(MIB // 12)) + "/>",
        f"<item><author>{'a' * MIB}</author></item>",
        "<item>" + "<guid>1</guid>" * (MIB // 14) + "</item>",
        "<a>" * (MIB // 3),
        "<x " * (MIB // 3),
        f"<item><title>{'&a;' * (MIB // 3)}</title></item>",
        f"<item><description>{'&lt;b&gt;' * (MIB // 9)}</description></item>",
        "".join(f'<x:a xmlns:x="u{n}"/>' for n in range(MIB // 22)),
        f"<item><pubDate>{'1-' * (MIB // 2)}</pubDate></item>",
    ],
    ids=[
        "attributes",
        "author",
        "ids",
        "depth",
        "open",
        "references",
        "html",
        "namespaces",
        "date",
    ],
)
def test_a_document_made_to_keep_us_busy_does_not(inner: str):
    """feedparser alone takes minutes for the first two; a time-out of the suite would end them."""
    assert len(read(rss(inner).encode()).entries) <= 1


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    "<item>", "</item>", "<title>", "</title>", "<link>", "</link>", "http://a.example/1.torrent", "&",
                    "<![CDATA[", "]]>", "<guid isPermaLink='true'>", "x", "</guid>", '<enclosure url="', '"/>', "ü", "\0",
                    "<link href='//[' rel='enclosure'/>", "magnet:?xt=urn:btih:", "<pubDate>99</pubDate>", "&#xD800;",
                ]
            ),
            max_size=25,
        ).map(lambda parts: rss("".join(parts)).encode()),
    )
)  # fmt: skip
def test_whatever_the_bytes_they_are_read_or_refused(body: bytes):
    try:
        document = read(body, url="https://a.example/rss")
    except NotAFeed:
        return
    for entry in document.entries:
        assert entry.title
        assert entry.url
        assert len(entry.title) <= 500
