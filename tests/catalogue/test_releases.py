"""How a release is identified, named, and carried by a magnet."""

import contextlib
import hashlib
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue import releases
from catalogue.errors import InvalidMagnet
from catalogue.releases import (
    MAX_NAME_BYTES,
    Identity,
    Magnet,
    Release,
    dotted,
    language_label,
    magnet,
    nominal_height,
    parse_magnet,
    resolution,
)
from catalogue.sites.base import LANGUAGES

SINTEL = Identity("aniworld", "sintel", 1, 1, "German Dub")


def release(title: str = "Sintel", identity: Identity = SINTEL, **words: Any) -> Release:
    words = {"group": "ANIWORLD", "original_language": "Japanese", "height": 1080} | words
    return Release(identity, title, **words)


def episode(season: int, number: int | None, language: str = "German Dub", **more: Any) -> Identity:
    return replace(SINTEL, season=season, episode=number, language=language, **more)


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


# Identity


@pytest.mark.parametrize(
    ("identity", "infohash"),
    [
        (SINTEL, "02d3a61a6fa98bd0be05fd416d75f1a4e2788cf4"),
        (replace(SINTEL, strm=True), "fbfd27004f2ae9e2a50adc00f5ac912f90d38e6a"),
        (
            Identity("sto", "sintel", 1, None, "German Dub"),
            "8b7207ab6194ae5c081d7687ed6f271136a96338",
        ),
        (
            Identity("megakino", "123-tears-of-steel", 0, 0, "German Dub"),
            "e7b8bcd5b4826300cc4ccd086d8e2f284b39d2b5",
        ),
    ],
)
def test_the_infohash_is_the_one_that_every_installation_computes(identity, infohash):
    assert identity.infohash == infohash


def test_a_playlist_item_is_identified_by_its_id_alone():
    item = Identity("playlist", "17", 1, 2, "German")
    assert item.infohash == sha1("playlist|17")
    assert replace(item, language="", season=0, strm=True).infohash == sha1("playlist|17|strm")
    assert parse_magnet(magnet(release(identity=item))).identity == item


# Names


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (release(identity=episode(1, 5)), "Sintel.S01E05.German.1080p.WEB.H264-ANIWORLD"),
        (
            release(identity=episode(1, 5, "German Sub")),
            "Sintel.S01E05.Japanese.GerSubbed.1080p.WEB.H264-ANIWORLD",
        ),
        (
            release(identity=episode(1, 5, "English Sub"), vcodec="hevc"),
            "Sintel.S01E05.Japanese.EngSubbed.1080p.WEB.H265-ANIWORLD",
        ),
        (
            release(identity=episode(1, 5, "English Dub"), vcodec="av01.0.08M"),
            "Sintel.S01E05.English.1080p.WEB.AV1-ANIWORLD",
        ),
        (
            release(identity=episode(1, 5, "German Sub"), original_language=""),
            "Sintel.S01E05.GerSubbed.1080p.WEB.H264-ANIWORLD",
        ),
        (release(identity=episode(2, None)), "Sintel.S02.German.1080p.WEB.H264-ANIWORLD"),
        (release(identity=episode(0, 3)), "Sintel.S00E03.German.1080p.WEB.H264-ANIWORLD"),
        (release(identity=episode(12, 1135)), "Sintel.S12E1135.German.1080p.WEB.H264-ANIWORLD"),
        (
            release(identity=episode(0, 3), alias=(0, 7)),
            "Sintel.S00E07.German.1080p.WEB.H264-ANIWORLD",
        ),
        (
            release(identity=episode(0, 0), year=2010, group="Megakino"),
            "Sintel.2010.German.1080p.WEB.H264-MEGAKINO",
        ),
        (release(identity=episode(0, 0)), "Sintel.German.1080p.WEB.H264-ANIWORLD"),
        (
            release("Sintel (2010)", episode(0, 0), year=2010),
            "Sintel.2010.German.1080p.WEB.H264-ANIWORLD",
        ),
        (
            release(identity=episode(0, 0), alias=(1, 4), year=2010),
            "Sintel.S01E04.German.1080p.WEB.H264-ANIWORLD",
        ),
        (
            release(identity=episode(0, 3), film=True, year=2010),
            "Sintel.2010.German.1080p.WEB.H264-ANIWORLD",
        ),
        (
            release(identity=episode(0, 3, "English Sub"), film=True, alias=(0, 7)),
            "Sintel.Japanese.EngSubbed.1080p.WEB.H264-ANIWORLD",
        ),
        (release(height=None), "Sintel.S01E01.German.WEB.H264-ANIWORLD"),
        (release(height=None, vcodec="vp9"), "Sintel.S01E01.German.WEB-DL.VP9-ANIWORLD"),
        (release(height=576, vcodec="av1"), "Sintel.S01E01.German.576p.WEB-DL.AV1-ANIWORLD"),
        (release(group=""), "Sintel.S01E01.German.1080p.WEB.H264-ANIBRIDGE"),
    ],
)
def test_a_release_is_named_for_the_parsers_of_its_clients(made: Release, name: str):
    assert made.name == name


def test_the_strm_variant_is_marked_where_it_is_shown_and_not_in_its_file():
    plain, strm = release(), release(identity=replace(SINTEL, strm=True))
    assert strm.name == plain.name
    assert strm.shown_name == strm.strm_name == plain.name + " [STRM]"
    assert plain.shown_name == plain.name
    assert parse_magnet(strm.magnet).file_name == plain.name


@pytest.mark.parametrize(
    ("height", "said"),
    [
        *((None, ""), (0, ""), (-1, ""), (1, "480p"), (360, "480p"), (480, "480p")),
        *((540, "540p"), (576, "576p"), (688, "720p"), (720, "720p"), (900, "720p")),
        *((1036, "1080p"), (1080, "1080p"), (1440, "1080p"), (2160, "2160p"), (4320, "2160p")),
    ],
)
def test_a_height_is_never_promised_as_a_higher_format(height, said):
    assert resolution(height) == said


def test_a_cropped_picture_counts_as_the_format_it_was_cut_from():
    assert nominal_height(1920, 800) == 1080
    assert nominal_height(3840, 1600) == 2160
    assert nominal_height(1440, 1080) == 1080


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Für", "Fuer"),
        ("Straße", "Strasse"),
        ("Ōkami", "Okami"),
        ("がき", "がき"),
        ("  ../../etc/passwd ", "etc.passwd"),
        ("a\x00b\nc", "a.b.c"),
        ("zero\u200bwidth", "zerowidth"),
        ("100% Wolf", "100.percent.Wolf"),
        ("Marvel™ One", "Marvel.One"),
        ("Ｆｕｌｌ／Ｗｉｄｔｈ", "Full.Width"),
        ("हिन्दी", "हिन्दी"),
        ("\u0301\u0302", ""),
        ("!!!", ""),
        ("snake_case", "snake.case"),
    ],
)
def test_a_title_becomes_words_and_dots(text: str, words: str):
    assert dotted(text) == words


def test_a_title_without_letters_gives_way_to_the_slug():
    assert release("!!!").name.startswith("sintel.S01E01.")
    assert release("?", replace(SINTEL, slug="--")).name.startswith("Unknown.S01E01.")


def test_a_name_that_looks_like_a_hash_gets_its_group_in_front():
    assert release("A" * 24).name.startswith("[ANIWORLD] AAAA")
    assert release("A" * 23).name.startswith("AAAA")


def test_a_long_title_is_cut_between_words_and_keeps_what_identifies_it():
    name = release("Wort " * 100).name
    assert re.fullmatch(r"(Wort\.)+S01E01\.German\.1080p\.WEB\.H264-ANIWORLD", name)
    assert len(name) > 150


@given(
    st.text(max_size=300),
    st.text(max_size=20),
    st.text(max_size=30),
    st.sampled_from([(0, 0), (1, 1), (1, None), (100_000, 100_000)]),
    st.integers(0, 9999),
)
def test_a_name_is_always_one_safe_path_component(title, group, original, numbers, year):
    made = release(
        title, episode(*numbers, "German Sub"), group=group, original_language=original, year=year
    )
    for name in (made.name, made.strm_name):
        assert 0 < len(name.encode()) <= MAX_NAME_BYTES
        assert not re.search(r"[\x00-\x1f\x7f/\\:*?\"<>|]", name)
        assert not name.startswith((".", "-", " "))
        assert not re.match(r"[0-9A-Za-z]{24}", name)


@pytest.mark.parametrize(
    ("said", "label"),
    [
        *(("German Dub", "German Dub"), ("Deutsch", "German Dub"), ("GER", "German Dub")),
        *(("Ger.Sub", "German Sub"), ("english sub", "English Sub"), ("Englisch", "English Dub")),
        *(("Klingon", None), ("", None)),
    ],
)
def test_spellings_of_a_language_are_understood(said, label):
    assert language_label(said) == label


# Magnets


def test_a_magnet_has_its_parameters_in_order_and_its_colons_bare():
    made = release(identity=replace(SINTEL, strm=True), provider="VOE")
    assert made.magnet == (
        "magnet:?xt=urn:btih:fbfd27004f2ae9e2a50adc00f5ac912f90d38e6a"
        "&dn=Sintel.S01E01.German.1080p.WEB.H264-ANIWORLD+%5BSTRM%5D"
        "&aw_slug=sintel&aw_s=1&aw_e=1&aw_lang=German+Dub&aw_site=aniworld"
        "&aw_mode=strm&aw_provider=VOE"
    )


@pytest.mark.parametrize(
    ("site", "prefix"),
    [
        ("aniworld", "aw"),
        ("sto", "sto"),
        ("megakino", "mk"),
        ("demo", "demo"),
        ("my_site", "my_site"),
    ],
)
def test_every_site_has_its_prefix_and_reads_its_own_magnets(site: str, prefix: str):
    made = release(identity=replace(SINTEL, site=site))
    assert f"&{prefix}_slug=sintel&" in made.magnet
    assert parse_magnet(made.magnet).identity == made.identity


def test_a_season_pack_leaves_the_episode_empty():
    made = release(identity=episode(2, None))
    assert "&aw_e=&" in made.magnet
    assert parse_magnet(made.magnet).identity == made.identity


SLUGS = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="|"), min_size=1, max_size=60
)
IDENTITIES = st.builds(
    Identity,
    site=st.sampled_from(["aniworld", "sto", "megakino", "demo", "plug_in_2"]),
    slug=SLUGS,
    season=st.integers(0, 100_000),
    episode=st.none() | st.integers(0, 100_000),
    language=st.sampled_from(LANGUAGES),
    strm=st.booleans(),
)


@given(IDENTITIES, st.text(max_size=80), st.sampled_from([None, "VOE", "a&b=c #1"]))
def test_what_goes_into_a_magnet_comes_out_again(identity, title, provider):
    made = release(title, identity, provider=provider)
    text = magnet(made, trackers=("http://tracker.invalid/?a=b&c",))
    query = text.partition("?")[2]
    assert all(part.count("=") == 1 for part in query.split("&"))
    read = parse_magnet(text)
    assert read == Magnet(
        infohash=identity.infohash,
        name=made.shown_name,
        identity=identity,
        provider=provider,
        trackers=("http://tracker.invalid/?a=b&c",),
    )
    assert read.file_name == made.name


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read_or_refused(start: str, rest: str):
    for text in (start, f"magnet:?{rest}", f"magnet:?xt=urn:btih:{'a' * 40}&{start}={rest}"):
        with contextlib.suppress(InvalidMagnet):
            read = parse_magnet(text)
            assert len(read.infohash) == 40
            assert "/" not in read.file_name


HASH = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"


def test_a_foreign_magnet_is_a_real_torrent():
    read = parse_magnet(
        f"magnet:?xt=urn:btih:{HASH.upper()}&dn=Some+Linux+ISO&tr=udp%3A%2F%2Ft.invalid%3A80&tr=x&xl=5"
    )
    assert read == Magnet(HASH, "Some Linux ISO", trackers=("udp://t.invalid:80", "x"))


def test_a_base32_hash_is_read_as_hexadecimal():
    read = parse_magnet("magnet:?xt=urn:btih:YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK")
    assert (read.infohash, read.name, read.file_name) == (HASH, None, HASH)


@pytest.mark.parametrize(
    "text",
    [
        f"  MAGNET:?xt=urn:btih:{HASH}\n",
        f"magnet:?xt=urn%3Abtih%3A{HASH}",
        f"magnet:?xt=urn:btih:{HASH}#ignored&aw_slug=x",
        f"magnet:?xt.1=urn:btih:{HASH}&xt.2=urn:btmh:1220{'a' * 64}",
        f"magnet:?&&odd&=&xt=urn:btih:{HASH}&x.pe=1.2.3.4:5&foo_s=1",
    ],
)
def test_a_magnet_may_be_written_loosely(text: str):
    assert parse_magnet(text) == Magnet(HASH, None)


OLDER = [
    (
        "connectivity-test|1|1|German Dub",
        "bd4fb4d643b7262c97b07add615270de9ce3085a",
        "aw_slug=connectivity-test&aw_s=1&aw_e=1&aw_lang=German+Dub&aw_site=aniworld.to",
        Identity("aniworld", "connectivity-test", 1, 1, "German Dub"),
    ),
    (
        "connectivity-test|1|1|German Dub|strm",
        "a4f35d3e3e2a1815836c2a0852a0e6db46be4738",
        "aw_slug=connectivity-test&aw_s=1&aw_e=1&aw_lang=German+Dub&aw_site=aniworld.to&aw_mode=strm",
        Identity("aniworld", "connectivity-test", 1, 1, "German Dub", strm=True),
    ),
    (
        "9-1-1|1|2|German Dub",
        "ce4865725ff4d61cfe30b381ce96cb5ed59c9769",
        "sto_slug=9-1-1&sto_s=1&sto_e=2&sto_lang=German+Dub&sto_site=s.to&sto_provider=VOE",
        Identity("sto", "9-1-1", 1, 2, "German Dub"),
    ),
    (
        "12-film|1|1|Deutsch",
        None,
        "aw_slug=12-film&aw_s=1&aw_e=1&aw_lang=Deutsch&aw_site=megakino",
        Identity("megakino", "12-film", 1, 1, "German Dub"),
    ),
    (
        "12-film|1|1|German Dub",
        None,
        "aw_slug=12-film&aw_s=1&aw_e=1&aw_lang=German+Dub&aw_site=megakino.live",
        Identity("megakino", "12-film", 1, 1, "German Dub"),
    ),
    (
        "sintel|1|1|English Dub",
        None,
        "sto_slug=sintel&sto_s=1&sto_e=1&sto_lang=English+Dub",
        Identity("sto", "sintel", 1, 1, "English Dub"),
    ),
    (
        "sintel|1|7|German Sub",
        None,
        "aw_slug=sintel&aw_s=1&aw_e=7&aw_lang=German+Sub&aw_abs=7",
        Identity("aniworld", "sintel", 1, 7, "German Sub"),
    ),
]


@pytest.mark.parametrize(("recipe", "infohash", "fields", "identity"), OLDER)
def test_an_older_magnet_is_read_and_keeps_its_hash(recipe, infohash, fields, identity):
    own = sha1(recipe)
    assert infohash in (None, own)
    read = parse_magnet(f"magnet:?xt=urn:btih:{own}&dn=Old+Name&{fields}")
    assert (read.infohash, read.identity, read.name) == (own, identity, "Old Name")
    assert read.infohash != identity.infohash


OWN = "aw_slug=sintel&aw_s=1&aw_e=1&aw_lang=German+Dub&aw_site=aniworld"


def ours(fields: str, infohash: str = SINTEL.infohash) -> str:
    return f"magnet:?xt=urn:btih:{infohash}&dn=x&{fields}"


def test_the_magnet_that_the_broken_ones_are_made_from_is_whole():
    assert parse_magnet(ours(OWN)).identity == SINTEL


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a magnet"),
        ("https://example.org/?xt=urn:btih:" + HASH, "not a magnet"),
        ("magnet:?dn=x", "no BitTorrent v1 hash"),
        ("magnet:?xt=urn:btmh:1220" + "a" * 64, "no BitTorrent v1 hash"),
        ("magnet:?xt=urn:btih:abc", "no infohash"),
        ("magnet:?xt=urn:btih:" + "1" * 32, "no infohash"),
        (f"magnet:?xt=urn:btih:{HASH}&xt=urn:btih:{'b' * 40}", "more than one hash"),
        (f"magnet:?xt=urn:btih:{HASH}&tr={'x' * 70_000}", "64 KiB"),
        (f"magnet:?xt=urn:btih:{HASH}&tr={'ü' * 40_000}", "64 KiB"),
        (f"magnet:?xt=urn:btih:{HASH}&dn=\ud800", "Unicode"),
        (ours(OWN, HASH), "hash does not belong"),
        (ours(OWN.replace("sintel", "other")), "hash does not belong"),
        (ours(OWN.replace("aw_slug=sintel&", "")), "lacks aw_slug"),
        (ours(OWN.replace("aw_s=1&", "")), "lacks aw_s"),
        (ours(OWN.replace("aw_e=1&", "")), "lacks aw_e"),
        (ours(OWN.replace("aw_lang=German+Dub&", "")), "lacks aw_lang"),
        (ours(OWN.replace("aw_s=1", "aw_s=one")), "season «one»"),
        (ours(OWN.replace("aw_s=1", "aw_s=")), "season «»"),
        (ours(OWN.replace("aw_s=1", "aw_s=-1")), "season «-1»"),
        (ours(OWN.replace("aw_s=1", "aw_s=100001")), "season «100001»"),
        (ours(OWN.replace("aw_s=1", "aw_s=" + "9" * 5000)), "season"),
        (ours(OWN.replace("aw_e=1", "aw_e=1.5")), "episode «1.5»"),
        (ours(OWN.replace("aw_e=1", "aw_e=%D9%A1")), "episode"),
        (ours(OWN.replace("sintel", "x" * 201)), "no slug"),
        (ours(OWN.replace("sintel", "")), "no slug"),
        (ours(OWN.replace("sintel", "a%7C1")), "no slug"),
        (ours(OWN.replace("sintel", "a+b")), "no slug"),
        (ours(OWN.replace("sintel", "a%00b")), "no slug"),
        (ours(OWN.replace("German+Dub", "Klingon")), "language «Klingon»"),
        (ours(OWN + "&aw_mode=disc"), "mode «disc»"),
        (ours(OWN + "&aw_provider=" + "V" * 61), "provider"),
        (ours(OWN + "&aw_provider=%0D%0A"), "provider"),
        (ours(OWN + "&aw_s=1"), "aw_s more than once"),
        (ours(OWN + "&dn=y"), "dn more than once"),
        (ours(OWN + "&sto_slug=sintel"), "mixes fields"),
        (ours(OWN.replace("aw_s=", "sto_s=")), "mixes fields"),
        (ours(OWN.replace("=aniworld", "=elsewhere.example")), "site «elsewhere.example»"),
        (ours(OWN.replace("=aniworld", "=sto")), "name the site sto"),
        (ours(OWN.replace("aw_", "sto_")), "name the site aniworld"),
        (ours(OWN.replace("=aniworld", "=" + "a" * 64)), "site"),
    ],
)
def test_a_broken_magnet_is_refused_and_says_why(text: str, complaint: str):
    with pytest.raises(InvalidMagnet, match=re.escape(complaint)) as raised:
        parse_magnet(text)
    assert len(str(raised.value)) < 200


def test_a_name_that_a_client_sends_cannot_leave_its_folder():
    text = ours(OWN).replace("dn=x", f"dn={quote_plus('../../etc/pass' + chr(0) + 'wd. ')}")
    assert parse_magnet(text).file_name == "etc passwd"
    long = parse_magnet(f"magnet:?xt=urn:btih:{HASH}&dn={'ü' * 400}").file_name
    assert len(long.encode()) <= MAX_NAME_BYTES


def test_the_words_for_languages_and_the_sites_labels_are_the_same():
    assert set(releases._LANGUAGES) == set(LANGUAGES)
