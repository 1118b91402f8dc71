"""How many streams may run at once, over all processes of a machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from strm.errors import TooManyStreams
from strm.limits import Slots, Turn
from tests.strm.conftest import Source, stream
from tests.strm.host import Host
from tests.strm.player import Player

PROJECT = Path(__file__).resolve().parents[2]
FILM = b"\0\0\0\x20ftypisom" + bytes(30 * 2**20)
TAKER = """
import sys
sys.path.insert(0, sys.argv[1])
import django.conf
django.conf.settings.configure()
from pathlib import Path
from strm.limits import Slots
slots = Slots(Path(sys.argv[2]))
taken = [slots.take("x", 5) for _ in range(5)]
print(sum(place is not None for place in taken), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def slots(tmp_path: Path):
    made = Slots(tmp_path / "run" / "streams")
    yield made
    made.close()


def test_no_more_slots_than_the_limit(slots: Slots):
    taken = [slots.take("", 4) for _ in range(4)]
    assert None not in taken
    assert len(set(taken)) == 4
    assert slots.take("", 4) is None
    assert slots.take("another", 4) is not None
    slots.give_back(taken[2])
    assert slots.take("", 4) == taken[2]


def test_giving_back_what_one_does_not_have_does_nothing(slots: Slots):
    place = slots.take("", 1)
    slots.give_back(place + 1)
    slots.give_back(place)
    slots.give_back(place)
    assert slots.take("", 1) == place


def test_processes_share_the_slots_and_a_killed_one_leaves_its_own(slots: Slots, tmp_path: Path):
    for _ in range(3):
        assert slots.take("x", 5) is not None
    command = [sys.executable, "-c", TAKER, str(PROJECT), str(tmp_path / "run" / "streams")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "2\n"
        assert slots.take("x", 5) is None
        os.kill(other.pid, signal.SIGKILL)
        other.wait(30)
    assert slots.take("x", 5) is not None
    assert slots.take("x", 5) is not None
    assert slots.take("x", 5) is None


def test_a_turn_takes_one_slot_of_each_host_and_gives_all_back(slots: Slots, settings):
    settings.STRM_MAX_STREAMS, settings.STRM_MAX_STREAMS_PER_HOST = 2, 1
    with Turn(slots) as one:
        one.begin()
        one.at("a.example")
        one.at("a.example")
        with Turn(slots) as two:
            two.begin()
            with pytest.raises(TooManyStreams, match=r"from a\.example"):
                two.at("a.example")
            two.at("b.example")
            with Turn(slots) as three, pytest.raises(TooManyStreams):
                three.begin()
    with Turn(slots) as again:
        again.begin()
        again.at("a.example")


def test_zero_is_no_limit(slots: Slots, settings):
    settings.STRM_MAX_STREAMS = 0
    with Turn(slots) as turn:
        for _ in range(5000):
            turn.begin()
        assert slots.take("", 1) is not None  # nor was anything taken


@pytest.mark.parametrize("limit", ["STRM_MAX_STREAMS", "STRM_MAX_STREAMS_PER_HOST"])
def test_one_stream_too_many_is_told_to_come_back(
    player: Player, host: Host, source: Source, settings, limit: str
):
    setattr(settings, limit, 2)
    link = source.offer("film", stream(host.file("/film.mp4", FILM)))
    with player.open(link) as one:
        with player.open(link):
            refused = player.get(link, Range="bytes=0-1")
            assert refused.status == 503
            assert int(refused.headers["retry-after"]) > 0
            assert "(2)" in refused.text
            player.finish(one)
        # The second has left, the first is at its end or on its way there.
        assert player.get(link, Range="bytes=0-1").status == 206
    assert player.get(link, Range="bytes=0-1").status == 206
