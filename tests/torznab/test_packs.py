"""Season packs as Sonarr meets them."""

import pytest

from catalogue import availability
from catalogue.availability import Finding
from catalogue.sites.base import GERMAN_DUB, GERMAN_SUB
from tests.catalogue.skyhook import SkyHook
from tests.torznab.checker import ReadItem, magnet_hash, read_feed
from tests.torznab.conftest import Ask, make_show

SEASON = "season=1&cat=5030,5040&extended=1&offset=0&limit=100"
MIB = 2**20


@pytest.fixture
def fogworks(skyhook: SkyHook) -> SkyHook:
    skyhook.add(77, "Fogworks", *[(1, number, None, "") for number in (1, 2, 3)])
    return skyhook


@pytest.fixture(autouse=True)
def magnets(settings) -> None:
    settings.TORZNAB_LINK_MODE = "magnet"


def season(*, size: int | None = None, seconds: float | None = None, height: int = 1080) -> None:
    """A season that was looked at just now: three episodes, all in both languages."""
    slug = make_show("Fogworks", episodes=0)
    for language in (GERMAN_DUB, GERMAN_SUB):
        one = (language, True, "VOE", height, "h264", size, seconds)
        whole = Finding(slug, 1, None, *one[:5], estimated=True, listed=3)
        episodes = [Finding(slug, 1, number, *one) for number in (1, 2, 3)]
        availability.record("aniworld", [*episodes, whole])


def split(items: list[ReadItem]) -> tuple[list[ReadItem], list[ReadItem]]:
    packs = [item for item in items if "episode" not in item.attributes]
    return packs, [item for item in items if item not in packs]


@pytest.mark.parametrize("asked", ["tvdbid=77", "q=Fogworks", "tvdbid=77&q=Fogworks"])
def test_sonarr_finds_a_season_as_packs_and_in_pieces(ask: Ask, fogworks: SkyHook, asked: str):
    season(size=700 * MIB, seconds=1440)
    packs, pieces = split(read_feed(ask(f"t=tvsearch&{asked}&{SEASON}")))
    assert {item.title for item in packs} == {
        "Fogworks.S01.German.1080p.WEB.H264-ANIWORLD",
        "Fogworks.S01.Japanese.GerSubbed.1080p.WEB.H264-ANIWORLD",
    }
    assert len(pieces) == 6
    for pack in packs:
        assert (pack.size, pack.one("files"), pack.one("season")) == (3 * 700 * MIB, "3", "1")
        assert pack.categories == {5070, 5040}
        assert pack.guid in {f"aniworld:fogworks:1::{one}" for one in (GERMAN_DUB, GERMAN_SUB)}
        assert magnet_hash(pack.url) not in {magnet_hash(one.url) for one in pieces}


@pytest.mark.parametrize(
    "asked",
    [
        "t=tvsearch&q=Fogworks&season=1&ep=2",
        "t=tvsearch&tvdbid=77&season=1&ep=2",
        "t=search&q=Fogworks",
        "t=search&q=Fogworks+02",
        "t=search&q=Fogworks+S01E02",
        "t=tvsearch&q=Fogworks&season=00",
        "t=tvsearch&q=Fogworks&season=2024",
        "t=movie&q=Fogworks",
        "t=search",
    ],
)
def test_nothing_else_is_answered_with_a_pack(ask: Ask, fogworks: SkyHook, asked: str):
    season()
    assert not any(".S01." in item.title for item in read_feed(ask(asked)))


def test_a_free_query_for_a_season_is_one(ask: Ask, fogworks: SkyHook):
    season()
    packs, _ = split(read_feed(ask("t=search&q=Fogworks+S01")))
    assert len(packs) == 2


@pytest.mark.parametrize(
    ("height", "seconds", "least", "most"),
    [(1080, 1440, 4, 130), (1080, None, 4, 130), (720, 2700, 3, 130), (480, None, 2, 100)],
)
def test_an_estimated_size_is_within_the_limits_that_sonarr_has_per_minute(
    ask: Ask, fogworks: SkyHook, height: int, seconds: float | None, least: int, most: int
):
    """Sonarr divides by the running time of all episodes of the season, here 24 or 45 minutes each."""
    season(seconds=seconds, height=height)
    packs, _ = split(read_feed(ask(f"t=tvsearch&tvdbid=77&{SEASON}")))
    for pack in packs:
        for minutes in ((seconds or 0) / 60,) if seconds else (24, 45):
            assert least < pack.size / MIB / (3 * minutes) < most


def test_a_strm_pack_is_a_release_of_its_own(ask: Ask, fogworks: SkyHook, settings):
    settings.STRM_FILES_MODE = "both"
    season()
    packs, _ = split(read_feed(ask(f"t=tvsearch&tvdbid=77&{SEASON}")))
    german = sorted(item.title for item in packs if ".German." in item.title)
    assert german == [
        "Fogworks.S01.German.1080p.WEB.H264-ANIWORLD",
        "Fogworks.S01.German.1080p.WEB.H264-ANIWORLD [STRM]",
    ]
    assert len({item.guid for item in packs}) == len({item.url for item in packs}) == 4
