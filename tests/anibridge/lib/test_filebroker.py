"""The broker of files: complete messages, each taken once, by however many processes."""

import multiprocessing
import os
import time
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError

from anibridge.lib import filebroker

LONG = "x" * 100_000
SPAWN = multiprocessing.get_context("spawn")


def connection(folder: Path) -> Connection:
    options = {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
    }
    return Connection(
        "filesystem://localhost//",
        transport=filebroker.Transport,
        transport_options=options,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    filebroker.prepare(tmp_path / "queue", tmp_path / "control")
    return tmp_path


def messages(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "queue").iterdir())


def send(folder: Path, sender: int, count: int) -> None:
    with connection(folder) as broker:
        channel: Any = broker.channel()
        for number in range(count):
            channel._put("work", {"body": [sender, number], "filler": LONG})


def take(folder: Path, into: Any, until: float) -> None:
    with connection(folder) as broker:
        channel: Any = broker.channel()
        while time.monotonic() < until:
            try:
                message = channel._get("work")
            except Empty:
                time.sleep(0.001)
                continue
            if message["body"] == "stop":
                into.put("stopped")
                return
            into.put((tuple(message["body"]), len(message["filler"])))
        into.put("no message to stop came")


def bind(folder: Path, number: int) -> None:
    with connection(folder) as broker:
        exchange = Exchange("all", type="fanout")
        for each in range(20):
            Queue(f"queue-{number}-{each}", exchange, channel=broker.channel()).declare()


def test_messages_of_several_senders_arrive_whole_and_once_at_several_takers(folder: Path):
    taken: Any = SPAWN.Queue()
    until = time.monotonic() + 60
    takers = [SPAWN.Process(target=take, args=(folder, taken, until)) for _ in range(2)]
    senders = [SPAWN.Process(target=send, args=(folder, n, 150)) for n in range(2)]
    for process in [*takers, *senders]:
        process.start()
    for process in senders:
        process.join(60)
        assert process.exitcode == 0
    with connection(folder) as broker:
        channel: Any = broker.channel()
        for _ in takers:
            channel._put("work", {"body": "stop"})
    arrived: list[Any] = []
    stopped = 0
    while stopped < len(takers):
        one = taken.get(timeout=60)
        if isinstance(one, str):
            assert one == "stopped"
            stopped += 1
        else:
            arrived.append(one)
    for process in takers:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(arrived) == [((sender, n), len(LONG)) for sender in range(2) for n in range(150)]
    assert messages(folder) == []


def test_queues_that_are_bound_by_several_processes_at_once_are_all_there(folder: Path):
    processes = [SPAWN.Process(target=bind, args=(folder, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with connection(folder) as broker:
        bound = {row.queue for row in broker.channel().get_table("all")}
    assert bound == {f"queue-{number}-{each}" for number in range(3) for each in range(20)}


def test_a_message_to_a_fanout_exchange_reaches_each_queue_until_it_is_deleted(folder: Path):
    with connection(folder) as broker:
        channel: Any = broker.channel()
        exchange = Exchange("all", type="fanout", channel=channel)
        queues = [Queue(name, exchange, channel=channel) for name in ("one", "two")]
        for queue in queues:
            queue.declare()
        exchange.publish("first")
        queues[0].delete()
        exchange.publish("second")
        kept = [queues[1].get(no_ack=True) for _ in range(2)]
        assert [message.body for message in kept if message] == [b"first", b"second"]
        assert queues[1].get(no_ack=True) is None
        assert {row.queue for row in channel.get_table("all")} == {"two"}


def test_a_message_that_cannot_be_read_is_dropped_and_the_next_is_given(
    folder: Path, caplog: pytest.LogCaptureFixture
):
    (folder / "queue" / "1_broken.work.msg").write_text("")
    (folder / "queue" / "2_broken.work.msg").write_bytes(b'{"body": "\xff')
    with connection(folder) as broker:
        channel: Any = broker.channel()
        channel._put("work", {"body": "whole"})
        assert channel._get("work") == {"body": "whole"}
        with pytest.raises(Empty):
            channel._get("work")
    assert caplog.text.count("cannot be read and is dropped") == 2
    assert messages(folder) == []


def test_a_message_of_another_queue_is_left_alone(folder: Path):
    with connection(folder) as broker:
        channel: Any = broker.channel()
        channel._put("work.more", {"body": "other"})
        with pytest.raises(Empty):
            channel._get("work")
        assert channel._size("work.more") == 1


def test_a_table_that_was_cut_off_is_written_anew(folder: Path):
    (folder / "control" / "all.exchange").write_text('[["", "", "on')
    bind(folder, 1)
    with connection(folder) as broker:
        assert len(broker.channel().get_table("all")) == 20


def test_a_folder_that_is_gone_is_said_as_an_error_of_the_channel(tmp_path: Path):
    with connection(tmp_path) as broker:
        channel: Any = broker.channel()
        with pytest.raises(ChannelError, match="cannot write"):
            channel._put("work", {"body": "lost"})


def test_what_killed_processes_left_is_removed_once_it_is_old(folder: Path):
    queue = folder / "queue"
    old = time.time() - filebroker.LEFTOVER_SECONDS - 60
    for name in ("a.aside", "1_b.work.msg.taken", "1_c.work.msg"):
        (queue / name).write_text("{}")
        os.utime(queue / name, (old, old))
    (queue / "new.aside").write_text("{}")
    filebroker.prepare(queue, folder / "control")
    assert messages(folder) == ["1_c.work.msg", "new.aside"]


def test_the_applications_own_broker_of_files_is_this_one(folder: Path):
    from anibridge.celery import app

    with app.connection("filesystem://localhost//") as broker:
        assert broker.get_transport_cls() is filebroker.Transport
