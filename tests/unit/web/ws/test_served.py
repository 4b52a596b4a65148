"""Who waits for an answer about a series."""

import asyncio

import pytest

from ingest.candle import Interval, Series
from web.ws.cursors import Memory
from web.ws.served import Served


def test_an_answer_wakes_all_who_wait_and_who_gave_up_leaves_nothing_behind() -> None:
    async def scenario() -> tuple[int, list[bool]]:
        served = Served(Series("sim", "BTC-USD", Interval.M1), 60, Memory())
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(served.answer(), 0)
        await asyncio.sleep(0)
        left = len(served._waiting)

        waiting = [served.answer() for _ in range(3)]
        served.announce()
        return left, [future.done() for future in waiting]

    assert asyncio.run(scenario()) == (0, [True] * 3)
