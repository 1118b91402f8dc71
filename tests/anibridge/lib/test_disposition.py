import pytest
from hypothesis import given
from hypothesis import strategies as st

from anibridge.lib.disposition import file_name, name_of_address


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=plain.mp4", "plain.mp4"),
        ('attachment; filename="with blanks.mp4"', "with blanks.mp4"),
        ('ATTACHMENT; FILENAME="upper.mp4"', "upper.mp4"),
        ('attachment; filename = "spaced.mp4" ; size=3', "spaced.mp4"),
        (r'attachment; filename="quo\"ted.mp4"', 'quo"ted.mp4'),
        ('attachment; filename="semi;colon.mp4"', "semi;colon.mp4"),
        ("attachment; filename*=UTF-8''F%C3%BCr%20alle.mp4", "Für alle.mp4"),
        ("attachment; filename*=utf-8'de'F%C3%BCr.mp4", "Für.mp4"),
        ("attachment; filename*=iso-8859-1''F%FCr.mp4", "Für.mp4"),
        # RFC 6266, 4.3: the extended form goes first, wherever it stands.
        ("attachment; filename=\"a.mp4\"; filename*=UTF-8''b.mp4", "b.mp4"),
        ("attachment; filename*=UTF-8''b.mp4; filename=\"a.mp4\"", "b.mp4"),
        ("attachment; filename*=UTF-8''%FF%FE.mp4; filename=a.mp4", "a.mp4"),
        ("attachment; filename*=klingon''x.mp4; filename=a.mp4", "a.mp4"),
        # Headers are read as Latin-1, but mean UTF-8.
        ('attachment; filename="FÃ¼r.mp4"', "Für.mp4"),
        ('attachment; filename="F\xfcr.mp4"', "Für.mp4"),
        ('attachment; filename="percent%20encoded.mp4"', "percent encoded.mp4"),
        ('attachment; filename="100%.mp4"', "100%.mp4"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        (r'attachment; filename="C:\Users\me\film.mp4"', "film.mp4"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx.mp4", "x.mp4"),
        ('attachment; filename="unclosed.mp4', "unclosed.mp4"),
        ('inline;filename="no blank.mp4"', "no blank.mp4"),
        ('filename="without a type.mp4"', None),
        ("attachment", None),
        ("", None),
        ("attachment; filename=", None),
        ('attachment; filename=".."', None),
        ('attachment; filename="/"', None),
    ],
)
def test_a_header_names_a_file_or_does_not(header: str, name: str | None):
    assert file_name(header) == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://x.test/a/b/Film%20one.mkv?token=1#f", "Film one.mkv"),
        ("http://x.test/F%C3%BCr.mp4", "Für.mp4"),
        ("http://x.test/a%2Fb.mp4", "b.mp4"),
        ("http://x.test/", None),
        ("http://x.test", None),
        ("http://x.test/..", None),
        ("http://[broken/x.mp4", None),
        ("", None),
    ],
)
def test_an_address_names_a_file_or_does_not(url: str, name: str | None):
    assert name_of_address(url) == name


def is_one_name(name: str | None) -> bool:
    return name is None or (name not in ("", ".", "..") and not set(name) & set("/\\"))


@given(st.text(max_size=300) | st.from_regex(r'attachment; ?filename\*?=.*("[^"]*"?)?'))
def test_whatever_a_header_says_comes_out_as_one_name_or_none(header: str):
    assert is_one_name(file_name(header))


@given(st.text(max_size=300))
def test_whatever_an_address_is_comes_out_as_one_name_or_none(url: str):
    assert is_one_name(name_of_address(url))


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters='/\\"%'), min_size=1))
def test_a_name_that_a_proper_server_sends_arrives(name: str):
    from urllib.parse import quote

    stripped = name.strip()
    expected = None if stripped in ("", ".", "..") else stripped
    assert file_name(f"attachment; filename*=UTF-8''{quote(name, safe='')}") == expected


@pytest.mark.timeout(20)
def test_a_header_without_end_is_read_in_no_time():
    assert file_name("attachment" + '; filename="\\' * 100_000) == "; filename="
    assert file_name("attachment; filename=" + '"' * 100_000) is None
