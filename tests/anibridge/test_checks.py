import pytest

from anibridge import checks


@pytest.mark.parametrize("url", ["", "https://a.example", "http://192.168.1.5:8000/"])
def test_a_whole_public_address_or_none_is_fine(settings, url: str):
    settings.PUBLIC_URL = url
    assert checks.public_url(None) == []


def test_a_public_address_without_a_scheme_is_named(settings):
    settings.PUBLIC_URL = "anibridge.example"
    (error,) = checks.public_url(None)
    assert (error.id, "anibridge.example" in error.msg) == ("anibridge.E001", True)


@pytest.mark.parametrize("path", ["", "/downloads", "D:\\downloads", "D:/downloads", "\\\\nas\\dl"])
def test_an_absolute_save_path_of_any_system_is_fine(settings, path: str):
    settings.QBIT_PUBLIC_SAVE_PATH = path
    assert checks.public_save_path(None) == []


def test_a_relative_save_path_is_named(settings):
    settings.QBIT_PUBLIC_SAVE_PATH = "downloads"
    (error,) = checks.public_save_path(None)
    assert error.id == "anibridge.E002"


def test_missing_ffmpeg_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks.ytdlp, "find_ffmpeg", lambda: None)
    (warning,) = checks.ffmpeg(None)
    assert warning.id == "anibridge.W001"
