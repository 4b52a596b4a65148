"""What the relay does with its connection to Redis, where no real Redis can be made to fail in the right moment."""

import asyncio
from typing import cast

import pytest

from ingest.candle import Interval, Series
from web.ws import relay as relay_module
from web.ws.history import History
from web.ws.relay import Relay


class TornConnection:
    """redis-py's pub/sub at the moment in which its reader has let go of the connection."""

    def __init__(self) -> None:
        self.asked = 0

    async def ping(self) -> None:
        """What `redis.asyncio` does when its writer is gone."""
        self.asked += 1
        raise AttributeError("'NoneType' object has no attribute 'writelines'")

    async def subscribe(self, *_channels: bytes) -> None:
        """The same."""
        await self.ping()


class Nobody:
    """A subscriber that does not mind."""

    def offer(self, series: Series, timestamp: int, frame: bytes, /) -> None:
        """Take a frame."""


@pytest.mark.parametrize("task", ["_check_always", "_do_work"])
def test_a_connection_that_ends_while_it_is_written_to_does_not_end_the_relay(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "CHECK_SECONDS", 0.0)

    async def run() -> int:
        relay = Relay("redis://127.0.0.1:1/0", cast("History", None), 60)
        torn = TornConnection()
        relay._pubsub = torn
        series = Series("sim", "BTC-USD", Interval.M1)
        relay.subscribe(series, Nobody())
        running = asyncio.create_task(getattr(relay, task)())
        async with asyncio.timeout(5):
            while torn.asked < 2 and not running.done():
                relay._to_listen.add(series)
                relay._work.set()
                await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):  # and nothing that it ended with by itself
            await running
        return torn.asked

    assert asyncio.run(run()) == 2
