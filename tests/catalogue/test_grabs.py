"""Tokens that stand for a release: the same for as long as possible, and nobody else can make one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue import grabs
from catalogue.errors import GrabLinkExpired, InvalidGrabLink
from catalogue.releases import Identity, Release

DAY = 86400
RELEASE = Release(
    Identity("aniworld", "sintel", 1, 1, "German Dub"), "Für Dich – «Sintel» & Co", "ANIWORLD"
)


@pytest.fixture
def on_day(monkeypatch: pytest.MonkeyPatch):
    """Sets the day that it is, counted from 1970."""

    def set_day(day: int) -> None:
        monkeypatch.setattr("catalogue.grabs.time.time", lambda: day * DAY + 5.0)

    return set_day


def token_of(release: Release = RELEASE) -> str:
    return grabs.token(release.magnet, release.infohash)


def test_a_token_gives_the_magnet_back():
    magnet, meant = grabs.read(token_of())
    assert magnet == RELEASE.magnet
    assert meant.identity == RELEASE.identity


def test_a_token_is_fit_for_an_address_that_nobody_escapes():
    token = token_of()
    assert all(char.isalnum() or char in "-._~" for char in token)
    assert len(token) < 700


@pytest.mark.parametrize("life", [1, 7, 30])
@pytest.mark.parametrize("day", [20_000, 20_013, 20_029])
def test_a_token_is_good_for_its_days_and_not_for_ever(on_day, settings, life: int, day: int):
    settings.GRAB_LINK_DAYS = life
    on_day(day)
    token = token_of()
    on_day(day + life)
    assert grabs.read(token)[0] == RELEASE.magnet
    on_day(day + 2 * life + 1)
    with pytest.raises(GrabLinkExpired, match="search again"):
        grabs.read(token)


def test_a_token_changes_once_in_its_life_and_not_with_all_the_others(on_day):
    others = [
        Release(Identity("aniworld", "sintel", 1, number, "German Dub"), "Sintel", "ANIWORLD")
        for number in range(40)
    ]
    changes = []
    for day in range(20_000, 20_030):
        on_day(day)
        before = [token_of(one) for one in others]
        on_day(day + 1)
        changes.append(sum(old != token_of(one) for old, one in zip(before, others, strict=True)))
    assert sum(changes) == len(others)
    assert max(changes) < len(others) / 2


def test_a_new_key_reads_what_the_old_one_signed_while_it_is_named(settings):
    token, old = token_of(), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 8, [old]
    assert grabs.read(token)[0] == RELEASE.magnet
    assert token_of() != token
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(InvalidGrabLink):
        grabs.read(token)


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_no_letter_of_a_token_can_be_changed(place: int, letter: str):
    token = token_of()
    place %= len(token)
    forged = token[:place] + letter + token[place + 1 :]
    if forged != token:
        with pytest.raises(InvalidGrabLink):
            grabs.read(forged)


@given(st.text())
def test_whatever_is_no_token_is_refused_in_words(text: str):
    with pytest.raises(InvalidGrabLink, match="grab link"):
        grabs.read(text)


def test_a_token_without_end_is_not_even_read():
    with pytest.raises(InvalidGrabLink, match="too long"):
        grabs.read("a" * 100_000)


def test_a_signature_of_another_purpose_opens_nothing():
    from django.core.signing import Signer

    forged = "r" + Signer(salt="another", sep="~").sign_object(
        [99_999, RELEASE.magnet], compress=True
    )
    with pytest.raises(InvalidGrabLink):
        grabs.read(forged)
