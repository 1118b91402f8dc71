"""When a link ends, read off the link."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strm.expiry import MOST, learned

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
UNIX = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (f"expires={UNIX + 3600}", 3600),
        (f"Expires={UNIX + 60}&Signature=x&Key-Pair-Id=y", 60),
        (f"e={UNIX + 7200}&h=abc", 7200),
        (f"exp={(UNIX + 30) * 1000}", 30),
        (f"t=hash&s={UNIX - 100}&e=14400&f=1", 14300),
        ("X-Amz-Algorithm=A&X-Amz-Date=20260701T113000Z&X-Amz-Expires=3600", 1800),
        ("X-Goog-Date=20260701T120000Z&X-Goog-Expires=900", 900),
        (f"hdnts=st={UNIX - 5}~exp={UNIX + 500}~acl=/*~hmac=ff", 500),
        (f"token=exp={UNIX + 40}~x", 40),
        ("sv=2020&se=2026-07-01T13%3A00%3A00Z&sig=x", 3600),
        (f"expires={UNIX + 900}&e={UNIX + 300}", 300),
    ],
)
def test_a_known_kind_of_expiry_is_learnt(query: str, seconds: int):
    assert learned(f"https://cdn.example/v.mp4?{query}", NOW) == NOW + timedelta(seconds=seconds)


def test_an_expiry_in_the_path_is_learnt():
    found = learned(f"https://cdn.example/hls/exp={UNIX + 77}~acl=*~hmac=1/x.m3u8", NOW)
    assert found == NOW + timedelta(seconds=77)


@pytest.mark.parametrize(
    "query",
    [
        "", "e=1", "e=720", "expires=never", f"expires={UNIX - 5}", f"expires={UNIX + 10**8}", "exp=99999999999",
        "e=14400", "e=14400&s=12", "X-Amz-Expires=3600", "X-Amz-Date=x&X-Amz-Expires=3600", "se=soon", "exp=٣٣٣٣٣٣٣٣٣٣",
        "e=" + "9" * 400, "&&&=&=",
    ],
)  # fmt: skip
def test_what_is_no_expiry_is_not_taken_for_one(query: str):
    assert learned(f"https://cdn.example/v.mp4?{query}", NOW) is None


@given(st.text(max_size=200))
def test_no_address_upsets_it(text: str):
    found = learned(f"https://h/p?{text}", NOW)
    assert found is None or NOW < found <= NOW + MOST
    learned(text, NOW)
