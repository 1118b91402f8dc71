"""Reading .torrent files, well made and otherwise. The reference for well made ones is torf."""

import hashlib
from pathlib import Path

import pytest
import torf
from hypothesis import given
from hypothesis import strategies as st

from downloads import torrents
from downloads.errors import NotATorrent
from tests.downloads.hybrid import bencode, hybrid_torrent

INFO = {"name": "Film.mkv", "length": 5, "piece length": 16384, "pieces": b"x" * 20}


def of(**changes: object) -> bytes:
    info = {key: value for key, value in {**INFO, **changes}.items() if value is not None}
    return bencode({"info": info, "announce": "http://tracker.example/announce"})


def test_one_file(tmp_path: Path):
    (tmp_path / "Film.mkv").write_bytes(b"x" * 50_000)
    made = torf.Torrent(tmp_path / "Film.mkv", trackers=["http://a/announce", "http://b/announce"])
    made.generate(threads=1)
    read = torrents.read(made.dump())
    assert (read.v1, read.v2, read.name, read.size_bytes) == (made.infohash, "", "Film.mkv", 50_000)
    assert read.trackers == ("http://a/announce", "http://b/announce")
    assert read.ids == (made.infohash,)
    assert not read.is_private


def test_a_folder_of_files(tmp_path: Path):
    folder = tmp_path / "Für Elise"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.mkv").write_bytes(b"x" * 20_000)
    (folder / "sub" / "b.mkv").write_bytes(b"y" * 10_000)
    made = torf.Torrent(folder, private=True)
    made.generate(threads=1)
    read = torrents.read(made.dump(validate=False))
    assert (read.v1, read.name, read.size_bytes) == (made.infohash, "Für Elise", 30_000)
    assert read.is_private
    inside = torrents.contents(made.dump(validate=False))
    assert inside == [("Für Elise/a.mkv", 20_000), ("Für Elise/sub/b.mkv", 10_000)]


def test_the_hash_is_over_the_very_bytes():
    """Keys out of order: a library that writes the dictionary anew gets another hash than BitTorrent programs."""
    info = b"d4:name1:x6:lengthi5e12:piece lengthi16384e6:pieces20:" + b"a" * 20 + b"e"
    content = b"d4:info" + info + b"e"
    assert torrents.read(content).v1 == hashlib.sha1(info).hexdigest()
    assert torf.Torrent.read_stream(content).infohash != torrents.read(content).v1


def test_a_hybrid_torrent_has_both_hashes():
    read = torrents.read(hybrid_torrent("Film.mkv", b"data"))
    assert len(read.v1) == 40
    assert len(read.v2) == 64
    assert read.ids == (read.v1, read.v2[:40])


def test_a_v2_only_torrent_is_refused_with_words():
    with pytest.raises(NotATorrent, match="BitTorrent v2 only"):
        torrents.read(hybrid_torrent("Film.mkv", b"data", v1=False))


def test_padding_is_not_counted():
    files = [
        {"length": 10, "path": ["a.mkv"]},
        {"length": 90, "path": [".pad", "90"], "attr": "p"},
        {"length": 5, "path": ["b.mkv"]},
    ]
    padded = of(files=files, length=None)
    assert torrents.read(padded).size_bytes == 15
    assert torrents.contents(padded) == [("Film.mkv/a.mkv", 10), ("Film.mkv/b.mkv", 5)]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["length", "path", "path.utf-8", "attr"]),
            st.none()
            | st.integers(0, 9)
            | st.binary(max_size=5)
            | st.lists(st.integers(0, 9) | st.binary(max_size=5), max_size=3),
        ),
        max_size=3,
    )
)
def test_what_is_accepted_can_be_listed(files: list[dict]):
    files = [{key: value for key, value in file.items() if value is not None} for file in files]
    content = of(files=files, length=None)
    try:
        torrents.read(content)
    except NotATorrent:
        return
    assert all(size >= 0 for _, size in torrents.contents(content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no .torrent file, or it is damaged"),
        (b"<html>", "no .torrent file, or it is damaged"),
        (b"de", "no info dictionary"),
        (b"le", "no .torrent file, or it is damaged"),
        (b"i5e", "no .torrent file, or it is damaged"),
        (b"d4:infoi5ee", "no info dictionary"),
        (b"d4:info", "damaged"),
        (b"d4:infod", "damaged"),
        (b"d4:info5:abce", "damaged"),
        (b"d4:info99999999999999999999999:abce", "damaged"),
        (b"d4:infodee", "no piece hashes"),
        (b"d4:info2:ab4:info2:abe", "damaged"),
        (b"di5e1:ae", "damaged"),
        (b"d1:ae", "damaged"),
        (b"d1:ai-e e", "damaged"),
        (b"d" * 100_000, "more than any real one"),
        (b"d1:a" + b"l" * 100_000, "more than any real one"),
        (b"d1:al" + b"i0e" * 1_000_001 + b"ee", "more than any real one"),
        (b"x" * (torrents.MAX_BYTES + 1), "larger than"),
        (of(pieces=b"short"), "sizes are not possible"),
        (of(length=-1), "sizes are not possible"),
        (of(length=None), "sizes are not possible"),
        (of(length=2**63), "sizes are not possible"),
        (of(files=[]), "sizes are not possible"),
        (of(files={}), "sizes are not possible"),
        (of(files=[5]), "sizes are not possible"),
        (of(**{"piece length": 0}), "sizes are not possible"),
        (of(name=None), "gives no name"),
        (of(name=5), "gives no name"),
    ],
)
def test_what_is_none_is_refused_with_words(content: bytes, words: str):
    with pytest.raises(NotATorrent) as refused:
        torrents.read(content)
    assert words in str(refused.value)


def test_a_name_is_shown_on_one_line():
    assert torrents.read(of(name=b"a\nb\xff\x1b[2J" + b"c" * 400)).name.startswith("a b")
    assert len(torrents.read(of(name="c" * 400)).name) == 255


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes):
    for data in (content, b"d4:info" + content, of() + content):
        try:
            torrents.read(data)
        except NotATorrent as refused:
            assert str(refused)  # noqa: PT017 - both are right


values = st.recursive(
    st.integers(-(2**60), 2**60) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=5), inner),
    max_leaves=15,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_whatever_else_is_in_it_the_hash_is_right(more: dict):
    info = {**more, **INFO}
    content = bencode({"info": info, "comment": "x", "zeros": [0, -0]})
    assert torrents.read(content).v1 == hashlib.sha1(bencode(info)).hexdigest()
