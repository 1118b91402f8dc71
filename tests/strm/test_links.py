"""Links: what is signed, what is believed, and what becomes of a link that somebody has touched."""

import base64
import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from django.core import checks as django_checks
from hypothesis import given
from hypothesis import strategies as st

from anibridge.lib import secrets
from anibridge.lib.errors import Misconfigured
from catalogue.releases import Identity
from strm import checks, links, streams
from strm.errors import BadLink, LinkExpired
from strm.links import Child, Kind

EPISODE = Identity("aniworld", "sintel", 1, 2, "German Dub")
BASE = "http://bridge.example:8000"


def query(link: str) -> bytes:
    return urlsplit(link).query.encode()


def changed(link: str, **fields: str) -> bytes:
    return urlencode(
        {**dict(parse_qsl(urlsplit(link).query, keep_blank_values=True)), **fields}
    ).encode()


def child(**fields) -> Child:
    given = {
        "playback": "ab" * 16,
        "kind": Kind.MEDIA,
        "url": "https://cdn.example/a/seg-1.ts?token=x",
    }
    return Child(**{**given, **fields})


def test_a_stream_link_has_its_parameters_in_order_and_no_secret(settings):
    link = links.stream_url(EPISODE, provider="VOE", base_url=BASE + "/")
    assert link.startswith(
        f"{BASE}/strm/stream?e=2&lang=German+Dub&provider=VOE&s=1&site=aniworld&slug=sintel&sig="
    )
    assert re.fullmatch(r"[0-9a-f]{64}", parse_qs(urlsplit(link).query)["sig"][0])
    assert settings.API_KEY not in link
    assert settings.SECRET_KEY not in link
    assert link == links.stream_url(EPISODE, provider="VOE", base_url=BASE)


def test_a_stream_link_reads_back(settings):
    asked = links.read_stream(query(links.stream_url(EPISODE, provider="VOE", base_url=BASE)))
    assert (asked.identity, asked.provider, asked.by_secret) == (EPISODE, "VOE", True)


@pytest.mark.parametrize(
    "fields",
    [
        {"e": "3"}, {"s": "01"}, {"slug": "sintel2"}, {"lang": "English Dub"}, {"site": "sto"}, {"provider": "VOE"},
        {"exp": "99999999999"}, {"sig": ""}, {"sig": "0" * 64}, {"sig": "é" * 64}, {"sig": "zz"},
    ],
)  # fmt: skip
def test_a_stream_link_that_was_touched_is_none(fields: dict[str, str]):
    with pytest.raises(BadLink):
        links.read_stream(changed(links.stream_url(EPISODE, base_url=BASE), **fields))


def test_an_upper_case_signature_is_not_the_signature():
    link = links.stream_url(EPISODE, base_url=BASE)
    path, _, sig = link.partition("sig=")
    with pytest.raises(BadLink):
        links.read_stream(query(f"{path}sig={sig.upper()}"))


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(BadLink, match="more than once"):
        links.read_stream(query(links.stream_url(EPISODE, base_url=BASE)) + b"&slug=other")


def test_what_others_append_means_nothing():
    asked = links.read_stream(
        query(links.stream_url(EPISODE, base_url=BASE)) + b"&utm_source=x&DeviceId=1"
    )
    assert asked.identity == EPISODE


def test_a_link_without_a_signature_is_refused():
    bare = query(links.stream_url(EPISODE, base_url=BASE)).partition(b"&sig=")[0]
    with pytest.raises(BadLink, match="not signed"):
        links.read_stream(bare)


@pytest.mark.parametrize(
    "junk", [b"", b"\xff\xfe", b"a=b&" * 60, b"x" * 20_000, b"%zz", b"e=%ff&sig=1"]
)
def test_junk_is_a_bad_link_and_nothing_else(junk: bytes):
    with pytest.raises(BadLink):
        links.read_stream(junk)
    with pytest.raises(BadLink):
        links.read_child(junk)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_link_by_chance(junk: bytes):
    with pytest.raises(BadLink):
        links.read_stream(junk)
    with pytest.raises(BadLink):
        links.read_child(b"t=" + base64.urlsafe_b64encode(junk))


def test_the_links_of_files_end_in_steps_so_that_a_library_is_not_written_each_day(settings):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert links.ending(start) is None
    settings.STRM_LINK_DAYS = 30
    days = [start + timedelta(hours=7 * n) for n in range(300)]
    ends = {links.ending(now) for now in days}
    assert len(ends) <= 300 * 7 // 24 // 15 + 2
    assert all(
        timedelta(days=30) < (links.ending(now) or start) - now <= timedelta(days=45)
        for now in days
    )


def test_a_link_can_have_an_end():
    now = datetime.now(tz=UTC)
    good = links.stream_url(EPISODE, base_url=BASE, expires_at=now + timedelta(hours=1))
    assert links.read_stream(query(good)).identity == EPISODE
    over = links.stream_url(EPISODE, base_url=BASE, expires_at=now - timedelta(seconds=5))
    with pytest.raises(LinkExpired):
        links.read_stream(query(over))
    without = re.sub(r"exp=\d+&", "", over)
    with pytest.raises(BadLink):
        links.read_stream(query(without))


@pytest.mark.parametrize(
    "wrong",
    [
        Identity("aniworld", "sintel", 1, None, "German Dub"),  # a whole season
        Identity("Ani World", "sintel", 1, 1, "German Dub"),
        Identity("aniworld", "a b", 1, 1, "German Dub"),
        Identity("aniworld", "a\nb", 1, 1, "German Dub"),
        Identity("aniworld", "", 1, 1, "German Dub"),
        Identity("aniworld", "x" * 300, 1, 1, "German Dub"),
        Identity("aniworld", "sintel", 1, 1, "Klingon"),
        Identity("aniworld", "sintel", 10_000_000, 1, "German Dub"),
    ],
)
def test_even_a_signed_link_must_make_sense(wrong: Identity):
    with pytest.raises(BadLink):
        links.read_stream(query(links.stream_url(wrong, base_url=BASE)))


def test_playlist_entries_and_pushed_links_need_no_episode():
    entry = Identity("playlist", "123", 0, None, "")
    assert links.read_stream(query(links.stream_url(entry, base_url=BASE))).identity == entry


def test_a_former_key_opens_its_links_until_its_last_day(settings):
    stream = links.stream_url(EPISODE, base_url=BASE)
    part = links.child_link(child())
    old, settings.SECRET_KEY = settings.SECRET_KEY, "the next key"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(BadLink):
        links.read_stream(query(stream))
    with pytest.raises(BadLink):
        links.read_child(query(part))
    settings.SECRET_KEY_FALLBACKS = [old]
    assert links.read_stream(query(stream)).identity == EPISODE
    assert links.read_child(query(part))[0] == child()
    assert links.stream_url(EPISODE, base_url=BASE) != stream  # made with the new one
    today = datetime.now(tz=UTC).date()
    settings.SECRET_KEY_FALLBACK_ENDS = {old: today}
    assert links.read_stream(query(stream)).identity == EPISODE
    settings.SECRET_KEY_FALLBACK_ENDS = {old: today - timedelta(days=1)}
    with pytest.raises(BadLink):
        links.read_stream(query(stream))


def test_former_keys_are_listed_with_or_without_a_day():
    keys, ends = secrets.previous([" one ", "two@2026-12-31", "t@o", ""])
    assert keys == ["one", "two", "t@o"]
    assert ends == {"two": date(2026, 12, 31)}
    with pytest.raises(ValueError, match=r"day is out of range|month must be"):
        secrets.previous(["x@2026-02-31"])


def test_with_apikey_a_link_holds_a_key_that_can_only_play(settings):
    settings.STRM_PROXY_AUTH = "apikey"
    link = links.stream_url(EPISODE, base_url=BASE)
    assert settings.API_KEY not in link
    assert links.read_stream(query(link)).by_secret
    other = changed(link, e="7")
    assert links.read_stream(other).identity.episode == 7
    with pytest.raises(BadLink):
        links.read_stream(changed(link, apikey="0" * 40))
    bare = query(link).partition(b"&apikey=")[0]
    with pytest.raises(BadLink):
        links.read_stream(bare)
    assert links.read_stream(bare, key=settings.API_KEY).by_secret
    with pytest.raises(BadLink):
        links.read_stream(bare, key="wrong")


def test_with_token_no_key_opens_a_link(settings):
    bare = query(links.stream_url(EPISODE, base_url=BASE)).partition(b"&sig=")[0]
    with pytest.raises(BadLink):
        links.read_stream(bare, key=settings.API_KEY)


def test_with_none_anybody_may_play_but_children_stay_sealed(settings):
    settings.STRM_PROXY_AUTH = "none"
    link = links.stream_url(EPISODE, base_url=BASE)
    assert "sig" not in link
    assert not links.read_stream(query(link)).by_secret
    with pytest.raises(BadLink):
        links.read_child(b"t=&u=http://169.254.169.254/")


def test_open_doors_are_announced(settings, caplog):
    assert checks.open_doors(None) == []
    streams.announce()
    assert caplog.text == ""
    for auth, mark in (("none", "strm.W001"), ("apikey", "strm.W002")):
        settings.STRM_PROXY_AUTH = auth
        assert [one.id for one in checks.open_doors(None)] == [mark]
        assert checks.open_doors(None)[0].level == django_checks.WARNING
        streams.announce()
        assert f"«{auth}»" in caplog.text


def test_what_links_are_built_from_is_checked(settings):
    settings.STRM_PUBLIC_BASE_URL = "bridge.example"
    settings.STRM_PROXY_ALLOWED_HOSTS = ["not/a/host"]
    assert [one.id for one in checks.addresses(None)] == ["strm.E001", "strm.E002"]
    settings.STRM_PUBLIC_BASE_URL, settings.STRM_PROXY_ALLOWED_HOSTS = "", []
    settings.STRM_PROXY_MODE, settings.PUBLIC_URL = "proxy", ""
    assert [one.id for one in checks.addresses(None)] == ["strm.W003"]


def test_the_base_address_is_the_proxys_own_or_the_public_one(settings):
    settings.STRM_PUBLIC_BASE_URL, settings.PUBLIC_URL = "", ""
    with pytest.raises(Misconfigured, match="STRM_PUBLIC_BASE_URL"):
        links.base_url()
    settings.PUBLIC_URL = "https://bridge.example/"
    assert links.base_url() == "https://bridge.example"
    settings.STRM_PUBLIC_BASE_URL = "http://10.0.0.2:8000"
    assert links.base_url() == "http://10.0.0.2:8000"


def test_a_child_link_reads_back_and_hides_its_address():
    one = child(generation=3, parent=2, ordinal=77, shape=0xFFFFFFFF, variables=(("a", "b"),))
    link = links.child_link(one)
    assert link.startswith("seg-1.ts?t=")
    assert "cdn.example" not in link
    assert b"cdn.example" not in base64.urlsafe_b64decode(link.partition("t=")[2] + "==")
    back, applied = links.read_child(query(link))
    assert back == one
    assert applied(back.url) == one.url


def test_the_same_address_gets_the_same_link_in_one_playback_only():
    assert links.child_link(child()) == links.child_link(child())
    assert links.child_link(child()) != links.child_link(child(playback="cd" * 16))


def test_every_changed_character_breaks_a_child_link():
    link = links.child_link(child())
    _name, _, token = link.partition("?t=")
    for place in range(0, len(token) - 1, 3):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(BadLink):
            links.read_child(f"t={token[:place]}{other}{token[place + 1 :]}".encode())
    with pytest.raises(BadLink):
        links.read_child(f"t={token[:-8]}".encode())
    with pytest.raises(BadLink):
        links.read_child(f"t={token}&t={token}".encode())
    assert links.read_child(f"u=http://evil/&t={token}".encode())[0].url == child().url


def test_a_template_takes_numbers_and_nothing_else():
    link = links.child_link(
        child(kind=Kind.TEMPLATE, url="https://cdn.example/v1/seg-$Number%05d$-$Time$.m4s?a=$$1")
    )
    assert link.startswith("seg--.m4s?t=")
    assert link.endswith("&n=$Number$&i=$Time$")
    token = link.partition("t=")[2].partition("&")[0]

    def asked(tail: str) -> str:
        one, applied = links.read_child(f"t={token}{tail}".encode())
        return applied(one.url)

    assert asked("&n=7&i=90000") == "https://cdn.example/v1/seg-00007-90000.m4s?a=$1"
    for wrong in (
        "", "&n=1", "&n=../../etc&i=1", "&n=1%2F..&i=1", "&n=-1&i=2", "&n=1e3&i=1", "&n=%D9%A1&i=1",
        "&n=1&n=2&i=1", f"&n={'9' * 30}&i=1", "&n=1&i=@evil",
    ):  # fmt: skip
        with pytest.raises(BadLink):
            asked(wrong)


def test_only_delivery_directives_are_passed_on_with_a_playlist():
    link = links.child_link(child(kind=Kind.PLAYLIST, url="https://cdn.example/live.m3u8?k=v"))
    extra = b"&_HLS_msn=12&_HLS_part=3&_HLS_skip=v2&evil=1&_HLS_x=%2F..%2F&_HLS_=2"
    one, applied = links.read_child(query(link) + extra)
    assert (
        applied(one.url) == "https://cdn.example/live.m3u8?k=v&_HLS_msn=12&_HLS_part=3&_HLS_skip=v2"
    )
    media, applied = links.read_child(query(links.child_link(child())) + b"&_HLS_msn=12")
    assert applied(media.url) == child().url


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("https://h/a/b/seg%20one.ts?x=1", Kind.MEDIA, "seg_one.ts"),
        ("https://h/a/index.php?x=1", Kind.PLAYLIST, "index.m3u8"),
        ("https://h/a/seg.jpg", Kind.MEDIA, "seg.ts"),
        ("https://h/", Kind.KEY, "part.key"),
        ("https://h/..%2f..%2fetc%2fpasswd", Kind.MEDIA, "passwd.ts"),
        ("https://h/%0d%0aSet-Cookie.mp4", Kind.MEDIA, "Set-Cookie.mp4"),
        ("https://h/" + "x" * 300 + ".m4s", Kind.MEDIA, "x" * 60 + ".m4s"),
    ],
)
def test_the_name_of_a_link_is_safe_and_tells_the_player_what_comes(
    url: str, kind: Kind, name: str
):
    assert links.child_name(url, kind, extension=".ts") == name


def test_an_endless_address_is_no_link():
    with pytest.raises(ValueError, match="too long"):
        links.child_link(child(url="https://h/" + "x" * 10_000))
