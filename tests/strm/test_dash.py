"""DASH manifests: each address of each way to write one, and what is refused."""

import re

import pytest
from lxml import etree

from strm import dash
from strm.errors import BadManifest
from strm.links import Kind
from tests.strm.conftest import Source, stream
from tests.strm.host import Host
from tests.strm.player import Player

BASE = "https://host.example/a/manifest.mpd?k=v"
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'


def rewritten(inner: str, head: str = HEAD) -> str:
    return dash.rewrite(
        f"{head}{inner}</MPD>", BASE, lambda url, kind: f"<{kind.name} {url}>", prefix="proxy/"
    )


def values(text: str, name: str) -> list[str]:
    """Every attribute of this name, or the texts of the elements of this name, in document order."""
    root = etree.fromstring(text.encode())
    texts = [one.text for one in root.iter("{*}" + name)]
    return texts or [one.get(name) for one in root.iter("{*}*") if one.get(name) is not None]


def one(inner: str, before: str = "", above: str = "") -> str:
    return rewritten(
        f"{before}<Period><AdaptationSet>{above}<Representation id='v1' bandwidth='900'>{inner}</Representation>"
        "</AdaptationSet></Period>"
    )


def test_a_representation_that_is_one_file():
    text = one(
        "<BaseURL>v.mp4</BaseURL><SegmentBase indexRange='1-2'><Initialization range='0-1'/></SegmentBase>"
    )
    assert values(text, "BaseURL") == ["proxy/<MEDIA https://host.example/a/v.mp4>"]
    assert values(text, "indexRange") == ["1-2"]
    assert values(text, "range") == ["0-1"]


def test_base_addresses_add_up_and_the_first_counts():
    text = one(
        "<BaseURL>v1/</BaseURL><SegmentTemplate media='$Number$.m4s' initialization='i.mp4'/>",
        before="<BaseURL>https://cdn.example/x/</BaseURL><BaseURL>https://other.example/</BaseURL>",
    )
    assert "BaseURL" not in text
    assert values(text, "media") == ["proxy/<TEMPLATE https://cdn.example/x/v1/$Number$.m4s>"]
    assert values(text, "initialization") == ["proxy/<MEDIA https://cdn.example/x/v1/i.mp4>"]


def test_a_shared_template_is_given_to_each_with_its_own_values():
    template = (
        "<SegmentTemplate timescale='10' startNumber='5' media='$RepresentationID$/$Bandwidth%06d$-$Number%03d$.m4s'"
        " initialization='$RepresentationID$.mp4'><SegmentTimeline><S t='0' d='4' r='2'/></SegmentTimeline></SegmentTemplate>"
    )
    text = rewritten(
        f"<Period><AdaptationSet>{template}<Representation id='lo$' bandwidth='100'/>"
        "<Representation id='hi' bandwidth='200'><SegmentTemplate startNumber='7'/></Representation></AdaptationSet></Period>"
    )
    assert values(text, "media") == [
        "proxy/<TEMPLATE https://host.example/a/lo$$/000100-$Number%03d$.m4s>",
        "proxy/<TEMPLATE https://host.example/a/hi/000200-$Number%03d$.m4s>",
    ]
    assert values(text, "initialization") == [
        "proxy/<MEDIA https://host.example/a/lo$.mp4>",
        "proxy/<MEDIA https://host.example/a/hi.mp4>",
    ]
    assert values(text, "startNumber") == ["5", "5", "7"]
    assert len(re.findall("<S ", text)) == 1


def test_a_list_of_segments():
    text = one(
        "<BaseURL>v/</BaseURL>",
        above="<SegmentList duration='2'><Initialization sourceURL='i.mp4'/>"
        "<SegmentURL media='1.m4s' index='1.idx'/><SegmentURL mediaRange='5-9'/></SegmentList>",
    )
    assert values(text, "media") == ["<MEDIA https://host.example/a/v/1.m4s>"]
    assert values(text, "index") == ["<MEDIA https://host.example/a/v/1.idx>"]
    assert values(text, "sourceURL") == ["<MEDIA https://host.example/a/v/i.mp4>"]
    assert values(text, "BaseURL") == ["proxy/<MEDIA https://host.example/a/v/>"]
    assert values(text, "mediaRange") == ["5-9"]


@pytest.mark.parametrize(
    "before", ["", "<?xml version='1.0'?>\n", "<!-- x -->", f"<!--{'x' * 5000}-->", "\ufeff \n"]
)
def test_a_manifest_is_known_whatever_stands_before_it_and_whatever_it_is_called(
    player: Player, host: Host, source: Source, before: str
):
    """ffmpeg looks for its root element anywhere."""
    inner = "<Period><AdaptationSet><Representation id='a'><BaseURL>https://spy.example/a.mp4</BaseURL></Representation></AdaptationSet></Period>"  # fmt: skip
    text = f"{before}<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'>{inner}</MPD>"
    link = source.offer("film", stream(host.body("/film.mp4", text.encode(), "text/plain")))
    reply = player.get(link)
    assert reply.headers["content-type"] == "application/dash+xml"
    assert "spy.example" not in reply.text


def test_every_link_leads_to_where_all_links_are():
    """As a player finds it: relative to the base address that is the nearest above, or to the manifest's own."""
    text = rewritten(
        "<BaseURL>x/</BaseURL><Period><BaseURL>y/</BaseURL>"
        "<AdaptationSet><SegmentTemplate><Initialization sourceURL='i.mp4'/></SegmentTemplate>"
        "<Representation id='t' bandwidth='1'><SegmentTemplate media='$Number$' duration='1'/></Representation></AdaptationSet>"
        "<AdaptationSet><SegmentBase><Initialization sourceURL='j.mp4'/></SegmentBase>"
        "<Representation id='f'><BaseURL>f.mp4</BaseURL></Representation></AdaptationSet>"
        "<AdaptationSet><Representation id='l'><SegmentList><SegmentURL media='1.m4s'/></SegmentList></Representation>"
        "</AdaptationSet></Period>"
    )
    root = etree.fromstring(text.encode())
    for element in root.iter():
        holder = next(
            (up for up in element.iterancestors() if up.find("{*}BaseURL") is not None), None
        )
        # What an adaptation set says of its base is read by the representation that inherits it.
        inherited = etree.QName(element.getparent() if element.getparent() is not None else root)
        below = holder is not None or inherited.localname == "SegmentBase"
        for name in ("media", "sourceURL"):
            if link := element.get(name):
                assert link.startswith("<" if below else "proxy/<")


def test_no_address_is_left_that_does_not_go_through_us():
    text = rewritten(
        "<Location>https://host.example/next.mpd</Location><PatchLocation ttl='5'>p.mpp</PatchLocation>"
        "<UTCTiming schemeIdUri='urn:mpeg:dash:utc:http-iso:2014' value='https://time.example/'/>"
        "<ContentSteering>https://steer.example/</ContentSteering>"
        "<Metrics metrics='DVBErrors'><Reporting schemeIdUri='urn:dvb:dash:reporting:2014' x='https://spy.example/'/></Metrics>"
        "<Period><AdaptationSet><Representation id='a' bandwidth='1'><BaseURL>https://cdn.example/a.mp4</BaseURL>"
        "</Representation></AdaptationSet></Period>"
    )
    assert "<Location>proxy/&lt;MANIFEST https://host.example/next.mpd&gt;</Location>" in text
    left = re.sub(r"&lt;[A-Z]+ [^&]*&gt;", "", text)
    assert "https://" not in left.replace('xmlns="urn', "")
    assert "urn:mpeg:dash:utc:direct:2014" in text


def test_low_latency_offsets_outlive_their_base_address():
    text = one(
        "<SegmentTemplate media='$Number$.m4s'/>",
        before="<BaseURL availabilityTimeOffset='3.5' availabilityTimeComplete='false'>x/</BaseURL>",
    )
    assert values(text, "availabilityTimeOffset") == ["3.5"]
    assert values(text, "availabilityTimeComplete") == ["false"]


def test_what_is_not_known_stays():
    inner = (
        "<ProgramInformation><Title>T</Title></ProgramInformation><Period><AdaptationSet mimeType='video/mp4'>"
        "<ContentProtection schemeIdUri='urn:uuid:1'/><Role schemeIdUri='urn:mpeg:dash:role:2011' value='main'/>"
        "<Representation id='a' bandwidth='1' codecs='avc1.64'><SegmentTemplate duration='2' media='$Number$'/></Representation>"
        "</AdaptationSet></Period>"
    )
    text = rewritten(inner)
    before, after = (
        etree.fromstring(f"{HEAD.split(chr(10))[1]}{inner}</MPD>".encode()),
        etree.fromstring(text.encode()),
    )
    for element in list(after.iter("{*}BaseURL")):
        element.getparent().remove(element)
    for root in (before, after):
        for element in root.iter("{*}SegmentTemplate"):
            element.attrib.pop("media")
    assert etree.tostring(before, method="c14n") == etree.tostring(after, method="c14n")


@pytest.mark.parametrize(
    "element",
    [
        "<EventStream schemeIdUri='urn:mpeg:dash:event:callback:2015' value='1'><Event>http://spy.example/x</Event></EventStream>",
        "<AdaptationSet><InbandEventStream schemeIdUri='urn:mpeg:dash:event:callback:2015' value='1'/></AdaptationSet>",
        "<SupplementalProperty schemeIdUri='urn:mpeg:dash:chaining:2016' value='http://spy.example/x'/>",
        "<SupplementalProperty schemeIdUri=' urn:mpeg:dash:fallback:2016' value='http://spy.example/x'/>",
    ],
)
def test_no_player_is_sent_elsewhere(element: str):
    text = rewritten(f"<Period>{element}</Period>")
    assert "spy.example" not in text
    assert "callback" not in text


@pytest.mark.parametrize(
    ("schemes", "protected"),
    [
        ([], False),
        (["urn:mpeg:dash:mp4protection:2011", "urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED"], True),
        (["urn:mpeg:dash:mp4protection:2011", "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"], False),
    ],
)  # fmt: skip
def test_drm_is_known_by_its_schemes(schemes: list[str], protected: bool):
    inner = "".join(f"<ContentProtection schemeIdUri='{one}'/>" for one in schemes)
    text = f"{HEAD}<Period><AdaptationSet>{inner}</AdaptationSet></Period></MPD>"
    assert dash.is_protected(text) is protected


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY x SYSTEM "file:///etc/passwd">]><MPD>&x;</MPD>',
        '<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><MPD>&b;</MPD>',
        "<MPD>&undefined;</MPD>", "<MPD><Period></MPD>", "<html/>", "", "\x00", "<MPD xmlns='x'/><MPD/>",
        f"{HEAD}<Period xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href='https://evil/'/></MPD>",
        f"{HEAD}<EssentialProperty schemeIdUri='urn:mpeg:dash:urlparam:2014'/></MPD>",
        f"{HEAD}<Period><AdaptationSet><Representation id='a'><BaseURL>file:///etc/passwd</BaseURL></Representation></AdaptationSet></Period></MPD>",
        f"{HEAD}<Period><AdaptationSet><Representation id='x' bandwidth='1'><SegmentTemplate media='https://$Number$.evil/x'/></Representation></AdaptationSet></Period></MPD>",
        f"{HEAD}<Period><AdaptationSet><Representation id='x'><SegmentTemplate media='$Bandwidth$-$Number$'/></Representation></AdaptationSet></Period></MPD>",
        f"{HEAD}<Period><AdaptationSet><Representation id='x'><SegmentTemplate media='$Surprise$'/></Representation></AdaptationSet></Period></MPD>",
        f"{HEAD}{'<Period/>' * 250_000}</MPD>",
    ],
)  # fmt: skip
def test_what_cannot_be_passed_on_is_refused(text: str):
    with pytest.raises(BadManifest):
        dash.rewrite(text, BASE, lambda url, kind: "x", prefix="")


def test_an_empty_remote_element_is_only_left_out():
    text = rewritten(
        "<Period xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href='urn:mpeg:dash:resolve-to-zero:2013'/>"
    )
    assert "Period" not in text


def test_a_manifest_with_too_many_addresses_is_refused():
    many = "<SegmentURL media='x.m4s'/>" * (dash.MAX_ENTRIES + 1)
    with pytest.raises(BadManifest, match="more than"):
        one(f"<SegmentList>{many}</SegmentList>")


def test_the_shape_is_that_of_the_film_and_not_of_its_addresses():
    def manifest(token: str, duration: str) -> str:
        return (
            f"{HEAD}<Period><AdaptationSet><Representation id='a' bandwidth='1'><SegmentTemplate media='$Time$?{token}'>"
            f"<SegmentTimeline><S t='0' d='{duration}'/></SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>"
        )

    assert dash.shape(manifest("t=1", "4")) == dash.shape(manifest("t=2", "4"))
    assert dash.shape(manifest("t=1", "4")) != dash.shape(manifest("t=1", "5"))
    assert not dash.is_live(manifest("t=1", "4"))
    assert dash.is_live(manifest("t=1", "4").replace('"static"', '"dynamic"'))


def test_the_kinds_of_links_are_few():
    kinds = set()
    dash.rewrite(
        f"{HEAD}<Location>x</Location><Period><AdaptationSet><Representation id='a' bandwidth='1'><SegmentTemplate media='$Time$' initialization='i'/>"
        "</Representation></AdaptationSet></Period></MPD>",
        BASE,
        lambda url, kind: kinds.add(kind) or "x",
        prefix="",
    )
    assert kinds == {Kind.MANIFEST, Kind.TEMPLATE, Kind.MEDIA}
