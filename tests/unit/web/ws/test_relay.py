"""What the relay does with its connection to Redis, where no real Redis can be made to fail in the right moment."""

import asyncio
from contextlib import nullcontext, suppress
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


class ClosedClient:
    """redis-py's client on an event loop (uvloop) that names a closed socket in its own way."""

    def __init__(self) -> None:
        self.asked = 0

    def pipeline(self, *, transaction: bool) -> "ClosedClient":
        """Itself."""
        return self

    async def __aenter__(self) -> "ClosedClient":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Nothing to give back."""

    def execute_command(self, *_words: str) -> None:
        """Take a command."""

    async def execute(self) -> list[object]:
        """What uvloop does when its transport is closed."""
        self.asked += 1
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


def test_a_socket_that_is_closed_when_the_counters_are_asked_for_does_not_end_the_relay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "CHECK_SECONDS", 0.0)

    async def run() -> int:
        relay = Relay("redis://127.0.0.1:1/0", cast("History", None), 60)
        closed = ClosedClient()
        monkeypatch.setattr(relay._live, "client", closed)
        relay.subscribe(Series("sim", "BTC-USD", Interval.M1), Nobody())
        running = asyncio.create_task(relay._check_always())
        async with asyncio.timeout(5):
            while closed.asked < 2 and not running.done():
                await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):  # and nothing that it ended with by itself
            await running
        return closed.asked

    assert asyncio.run(run()) == 2


class DeafConnection:
    """redis-py's pub/sub on Python 3.11 when it is cancelled just as it has written."""

    def __init__(self) -> None:
        self.is_waiting = False

    async def ping(self) -> None:
        """Go on as if nothing had happened, the first time."""
        with nullcontext() if self.is_waiting else suppress(asyncio.CancelledError):
            self.is_waiting = True
            await asyncio.sleep(60)

    async def subscribe(self, *_channels: bytes) -> None:
        """The same."""
        await self.ping()

    async def connect(self) -> None:
        """Be there."""

    async def aclose(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize("task", ["_check_always", "_do_work", "_listen"])
def test_a_cancellation_that_is_swallowed_ends_the_relay_nevertheless(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "CHECK_SECONDS", 0.0)

    async def run() -> bool:
        relay = Relay("redis://127.0.0.1:1/0", cast("History", None), 60)
        deaf = relay._pubsub = DeafConnection()
        monkeypatch.setattr(relay._live.client, "pubsub", lambda: deaf)
        relay.subscribe(Series("sim", "BTC-USD", Interval.M1), Nobody())
        running = asyncio.create_task(getattr(relay, task)())
        async with asyncio.timeout(5):
            while not deaf.is_waiting:
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running])
        return running.done()

    assert asyncio.run(run())
