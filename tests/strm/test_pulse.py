"""Streams give way while the event loop is late."""

import asyncio
import time

from strm.pulse import EVERY, LATE, LONGEST, Pulse


def test_streams_wait_while_the_loop_is_late_and_no_longer():
    async def live() -> tuple[float, float, float]:
        pulse = Pulse()
        with pulse:
            idle = pulse.pause
            for _ in range(10):
                time.sleep(10 * LATE)  # somebody keeps the loop for himself
                await asyncio.sleep(EVERY)
            late = pulse.pause
            deadline = time.monotonic() + 60
            while pulse.pause and time.monotonic() < deadline:
                await asyncio.sleep(EVERY)
            return idle, late, pulse.pause

    idle, late, after = asyncio.run(live())
    assert idle == 0
    assert 0 < late <= LONGEST
    assert after == 0


def test_without_streams_it_does_not_beat():
    async def live() -> int:
        pulse = Pulse()
        with pulse:
            await asyncio.sleep(0)
        await asyncio.sleep(3 * EVERY)
        return len([one for one in asyncio.get_running_loop()._scheduled if not one.cancelled()])

    assert asyncio.run(live()) == 0
