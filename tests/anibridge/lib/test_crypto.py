"""Secrets at rest."""

import pytest

from anibridge.lib import crypto
from anibridge.lib.errors import Misconfigured


def test_what_is_encrypted_comes_back_and_cannot_be_read():
    token = crypto.encrypt("pässword 🔑", purpose="test")
    assert crypto.decrypt(token, purpose="test") == "pässword 🔑"
    assert "word" not in token
    assert token != crypto.encrypt("pässword 🔑", purpose="test"), "never the same twice"


def test_another_purpose_cannot_read_it():
    token = crypto.encrypt("secret", purpose="one")
    with pytest.raises(Misconfigured):
        crypto.decrypt(token, purpose="other")


def test_a_changed_key_is_said_in_words_and_the_old_one_still_reads(settings):
    token = crypto.encrypt("secret", purpose="test")
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another-key-" * 5
    with pytest.raises(Misconfigured, match="ANIBRIDGE_SECRET_KEY_FALLBACKS"):
        crypto.decrypt(token, purpose="test")
    settings.SECRET_KEY_FALLBACKS = [old]
    assert crypto.decrypt(token, purpose="test") == "secret"
    assert not crypto.is_current(token, purpose="test")
    assert crypto.is_current(crypto.encrypt("secret", purpose="test"), purpose="test")


@pytest.mark.parametrize("token", ["", "nonsense", "gAAAAA==", "ü" * 100])
def test_what_is_no_token_is_said_in_words(token: str):
    with pytest.raises(Misconfigured):
        crypto.decrypt(token, purpose="test")
    assert not crypto.is_current(token, purpose="test")
