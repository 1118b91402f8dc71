"""What is the same in two loads of a live playlist: numbers of segments and parts, and paths of what has none."""

from collections.abc import Callable

import pytest

from strm import hls, moving
from strm.errors import NoLongerThere
from strm.hls import Spot
from strm.links import Child, Kind


def spots(text: str) -> list[tuple[str, Spot | None]]:
    found = hls.entries("#EXTM3U\n" + text, "http://h/")
    return [(one.url.removeprefix("http://h/"), one.spot) for one in found]


def test_segments_and_parts_are_counted_as_the_standard_says():
    text = (
        "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-MAP:URI=\"i\"\n"
        "#EXTINF:1,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nb\n"
        '#EXT-X-PART:DURATION=1,URI="c0"\n#EXT-X-PART:DURATION=1,URI="c1"\n#EXTINF:1,\nc\n'
        '#EXT-X-PART:DURATION=1,URI="d",BYTERANGE="5@0"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="d",BYTERANGE-START=5\n'
        '#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="i2"\n#EXT-X-RENDITION-REPORT:URI="r"\n'
    )  # fmt: skip
    assert spots(text) == [
        ("i", None), ("a", Spot(7, 2)), ("b", Spot(8, 3)), ("c0", Spot(9, 3, 0)), ("c1", Spot(9, 3, 1)),
        ("c", Spot(9, 3)), ("d", Spot(10, 3)), ("d", Spot(10, 3)), ("i2", None), ("r", None),
    ]  # fmt: skip


def test_a_delta_update_counts_what_it_leaves_out():
    text = "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:1,\na\n"
    assert spots(text) == [("a", Spot(10, -1))]
    assert Spot(10, -1).is_at(Spot(10, 4).number, Spot(10, 4).mark)


def test_without_numbers_that_stay_nothing_is_counted():
    assert spots("#EXTINF:1,\na\n") == [("a", None)]
    assert spots("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF:1,\na\n") == [("a", Spot(0, 0))]
    assert (
        spots("#EXT-X-MEDIA-SEQUENCE:99999999999999999999999999\n#EXTINF:1,\na\n")[0][1] is not None
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Spot(5, 1), Spot(5, 1), True),
        (Spot(5, 1), Spot(6, 1), False),
        (Spot(5, 1), Spot(5, 2), False),
        (Spot(5, 1, 0), Spot(5, 1), False),
        (Spot(5, 1, 0), Spot(5, 1, 1), False),
        (Spot(2**40 + 5, 1), Spot(2**40 + 5, 1), True),
    ],
)
def test_a_spot_is_known_again_and_no_other(one: Spot, other: Spot, same: bool):
    assert one.is_at(other.number, other.mark) is same
    assert 0 <= one.number < 2**32
    assert 0 <= one.mark < 2**32


def found_again(old: str, now: str, kind: Kind = Kind.MEDIA) -> str:
    """What becomes of the first address of this kind in `old`."""
    first = next(one for one in hls.entries(f"#EXTM3U\n{old}", "http://h/") if one.kind is kind)
    place = (0, hls.BY_PATH) if first.spot is None else (first.spot.number, first.spot.mark)
    child = Child("0" * 32, kind, first.url, 1, -1, *place, live=True)
    return moving.live(child, hls.entries(f"#EXTM3U\n{now}", "http://h/")).removeprefix("http://h/")


def numbered(number: int, *names: str) -> str:
    lines = "".join(f"#EXTINF:1,\n{name}\n" for name in names)
    return f"#EXT-X-MEDIA-SEQUENCE:{number}\n{lines}"


KEYED = '#EXT-X-KEY:METHOD=AES-128,URI="{}"\n'.format


@pytest.mark.parametrize(
    ("old", "now", "kind", "again"),
    [
        (numbered(7, "a?t=1"), numbered(6, "x?t=2", "a?t=2"), Kind.MEDIA, "a?t=2"),
        (numbered(7, "s.php?n=7&t=1"), numbered(6, "s.php?n=6&t=2", "s.php?n=7&t=2"), Kind.MEDIA, "s.php?n=7&t=2"),
        # A ring of names: the same name is another segment by now, or the same number another machine's.
        (numbered(7, "ring-1"), numbered(8, "ring-2", "ring-0", "ring-1"), Kind.MEDIA, None),
        (numbered(7, "file-7"), numbered(6, "file-7", "file-8"), Kind.MEDIA, "file-7"),
        (numbered(7, "q1/x7"), numbered(6, "q2/x6", "q2/x7"), Kind.MEDIA, "q2/x7"),
        (numbered(7, "x7"), "#EXT-X-DISCONTINUITY-SEQUENCE:4\n" + numbered(7, "y7"), Kind.MEDIA, None),
        ("#EXTINF:1,\na?t=1\n", "#EXTINF:1,\nb?t=2\n#EXTINF:1,\na?t=2\n", Kind.MEDIA, "a?t=2"),
        ("#EXTINF:1,\na?t=1\n", "#EXTINF:1,\nb?t=2\n", Kind.MEDIA, None),
        (KEYED("k?i=1&t=1"), KEYED("k?i=2&t=2") + KEYED("k?i=1&t=2"), Kind.KEY, "k?i=1&t=2"),
        (KEYED("1/k"), KEYED("2/k"), Kind.KEY, "2/k"),
        (KEYED("one"), KEYED("other") * 2, Kind.KEY, "other"),
        (KEYED("one"), KEYED("two") + KEYED("three"), Kind.KEY, None),
        (KEYED("k?i=1"), KEYED("k?i=2") + KEYED("k?i=3"), Kind.KEY, None),
    ],
)  # fmt: skip
def test_what_is_found_again_is_the_same_or_nothing(
    old: str, now: str, kind: Kind, again: str | None
):
    find: Callable[[], str] = lambda: found_again(old, now, kind)  # noqa: E731
    if again is None:
        with pytest.raises(NoLongerThere):
            find()
    else:
        assert find() == again
