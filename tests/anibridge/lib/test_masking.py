"""Addresses as they may be shown."""

import pytest

from anibridge.lib.masking import masked, masked_text

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.test/film.mkv?x=1#t", "https://a.test/film.mkv?x=1#t"),
        ("https://john:secret@a.test/x", "https://john:***@a.test/x"),
        ("https://secret@a.test/x", "https://***@a.test/x"),
        ("https://a.test/x?apikey=secret&a=1", "https://a.test/x?apikey=***&a=1"),
        ("https://a.test/x?a=1;Access_Token=secret", "https://a.test/x?a=1;Access_Token=***"),
        ("https://a.test/x?X-Amz-Signature=secret", "https://a.test/x?X-Amz-Signature=***"),
        (f"https://t.test/{KEY}/announce", "https://t.test/***/announce"),
        ("http://tv.test/movie/john/secret/12.mkv", "http://tv.test/movie/john/***/12.mkv"),
        ("http://tv.test/series/john/secret/12.mkv", "http://tv.test/series/john/***/12.mkv"),
        ("http://a.test/movie/12.mkv", "http://a.test/movie/12.mkv"),
        ("magnet:?xt=urn:btih:" + "a" * 40, "magnet:?xt=urn:btih:" + "a" * 40),
        (
            f"magnet:?xt=urn:btih:{'a' * 40}&tr=https%3A%2F%2Ft.test%2F{KEY}%2Fannounce&dn=A+B",
            f"magnet:?xt=urn:btih:{'a' * 40}&tr=https%3A%2F%2Ft.test%2F***%2Fannounce&dn=A+B",
        ),
        (
            "magnet:?xt=urn:btih:1&tr.1=https%3A%2F%2Ft.test%2Fa%3Fpasskey%3Dsecret",
            "magnet:?xt=urn:btih:1&tr.1=https%3A%2F%2Ft.test%2Fa%3Fpasskey%3D***",
        ),
        ("http://[::1", "http://[::1***"),
        ("", ""),
    ],
)
def test_keys_in_an_address_are_masked_and_the_rest_stays(url: str, shown: str):
    assert masked(url) == shown
    assert masked(shown) == shown


def test_addresses_in_a_sentence_are_masked():
    text = "could not read «https://u:secret@a.test/x?token=secret» (twice), see https://b.test/ok"
    assert masked_text(text) == (
        "could not read «https://u:***@a.test/x?token=***» (twice), see https://b.test/ok"
    )
    assert masked_text("no address: nothing to mask") == "no address: nothing to mask"
