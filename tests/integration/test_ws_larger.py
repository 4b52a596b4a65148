"""Larger candles by the JSON protocol: real sockets, a real Redis, a real store."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from ingest.candle import Interval, State
from tests.integration.test_ws import (  # noqa: F401
    Publisher,
    client,
    connected,
    environment,
    publisher,
    server,
)
from tests.integration.test_ws_json import body, command, hear
from workers.store import CandleStore

pytestmark = pytest.mark.usefixtures("server")

LARGER = [interval for interval in Interval if interval is not Interval.M1]
lengths = pytest.mark.parametrize("interval", [Interval.M5, Interval.D1])


@asynccontextmanager
async def subscribed(
    environment: dict[str, str],  # noqa: F811
    interval: Interval,
    **params: Any,
) -> AsyncIterator[tuple[ClientConnection, dict[str, Any]]]:
    """A client that subscribed BTC-USD in this interval, and the answer it got."""
    async with connected(environment) as websocket:
        await websocket.send(command("subscribe", pairs=["BTC-USD"], interval=interval.value, **params))
        yield websocket, (await hear(websocket))["result"]


def names(interval: Interval) -> dict[str, str]:
    return {"exchange": "sim", "pair": "BTC-USD", "interval": interval.value}


@pytest.mark.parametrize("interval", LARGER)
def test_a_subscription_begins_with_a_snapshot_goes_on_and_says_of_how_many_minutes(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    interval: Interval,
) -> None:
    async def scenario() -> None:
        held = [publisher.publish(number, interval=interval, minutes=4) for number in (-2, -1)]
        async with subscribed(environment, interval, snapshot=2) as (websocket, result):
            snapshot = await hear(websocket)
            publisher.publish(0)  # a minute, which is none of what is subscribed
            change = publisher.publish(0, interval=interval, minutes=1)
            frame = await hear(websocket)
        epoch = result["cursor"].rpartition(":")[0]

        assert result == {**names(interval), "cursor": f"{epoch}:2", "recovered": False}
        assert [each["minutes"] for each in snapshot["candles"]] == [4, 4]
        assert snapshot["candles"] == [*map(body, held)]
        assert frame == {"type": "candle", **names(interval), "cursor": f"{epoch}:3", "candle": body(change)}
        assert frame["candle"]["minutes"] == 1

    asyncio.run(scenario())


@lengths
def test_what_nobody_has_stored_yet_can_be_waited_for(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    interval: Interval,
) -> None:
    async def scenario() -> None:
        async with subscribed(environment, interval, snapshot=60) as (websocket, result):
            snapshot = await hear(websocket)
            first = publisher.publish(0, interval=interval)
            frame = await hear(websocket)

        assert (result["cursor"], snapshot["candles"]) == (None, [])
        assert frame["candle"] == body(first)

    asyncio.run(scenario())


@lengths
def test_a_snapshot_beyond_the_window_comes_from_the_store_and_the_newer_version_wins(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    store: CandleStore,
    interval: Interval,
) -> None:
    stored = [publisher.make(number, interval=interval, minutes=5) for number in range(-6, 1)]
    live = publisher.publish(0, interval=interval, minutes=2)
    assert store.write(stored) == []

    async def scenario() -> list[dict[str, Any]]:
        async with subscribed(environment, interval, snapshot=5) as (websocket, _):
            candles: list[dict[str, Any]] = (await hear(websocket))["candles"]
            return candles

    assert asyncio.run(scenario()) == [*map(body, [*stored[2:6], live])]


@lengths
def test_a_client_that_comes_back_gets_exactly_what_changed(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    interval: Interval,
) -> None:
    async def scenario() -> None:
        publisher.publish(-1, interval=interval)
        async with subscribed(environment, interval) as (websocket, _):
            await hear(websocket)  # the snapshot
            publisher.publish(0, interval=interval)
            cursor = (await hear(websocket))["cursor"]
        publisher.publish(0, interval=interval, minutes=2)
        final = publisher.publish(-1, interval=interval, state=State.FINAL, minutes=interval.minutes)
        newest = publisher.publish(0, interval=interval, minutes=3)
        async with subscribed(environment, interval, cursors={"BTC-USD": cursor}) as (websocket, result):
            frames = [await hear(websocket) for _ in range(2)]

        assert result == {**names(interval), "cursor": cursor, "recovered": True}
        assert [frame["candle"] for frame in frames] == [body(final), body(newest)]

    asyncio.run(scenario())


@lengths
def test_after_redis_was_emptied_the_range_to_fetch_is_in_whole_candles(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    interval: Interval,
) -> None:
    async def scenario() -> None:
        for number in (-2, -1, 0):
            publisher.publish(number, interval=interval)
        async with subscribed(environment, interval) as (websocket, result):
            await hear(websocket)
            publisher.client.flushdb()
            candle = publisher.publish(0, interval=interval)
            changed, gap = await hear(websocket), await hear(websocket)
        async with subscribed(environment, interval, cursors={"BTC-USD": result["cursor"]}) as (_, back):
            running = time.time_ns() // 1_000_000 // interval.milliseconds * interval.milliseconds

        lacking = {**names(interval), "from": publisher.opens(-2, interval), "to": running}
        assert changed["candle"] == body(candle)
        assert gap == {"type": "gap", **lacking}
        assert (back["recovered"], back["fetch"]) == (False, lacking)

    asyncio.run(scenario())


def test_max_rate_holds_back_what_is_running_and_never_a_final(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    options: dict[str, Any] = {"interval": Interval.M5}

    async def scenario() -> None:
        publisher.publish(-2, **options)
        async with subscribed(environment, Interval.M5, snapshot=0, max_rate=0.1) as (websocket, _):
            first = publisher.publish(-1, **options, minutes=1)
            for minutes in (2, 3, 4):
                publisher.publish(-1, **options, minutes=minutes)
            final = publisher.publish(-1, **options, state=State.FINAL, minutes=5)
            corrected = publisher.publish(-2, **options, state=State.CORRECTED, minutes=5)
            # The next of the running ones would come in ten seconds.
            frames = [await hear(websocket) for _ in range(3)]

        assert [frame["candle"] for frame in frames] == [*map(body, [first, final, corrected])]

    asyncio.run(scenario())


def test_intervals_of_one_pair_are_listed_and_ended_one_by_one(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        async with subscribed(environment, Interval.M5, snapshot=0) as (websocket, _):
            await websocket.send(command("subscribe", pairs=["BTC-USD"], interval="1h", snapshot=0))
            await hear(websocket)
            await websocket.send(command("unsubscribe", pairs=["BTC-USD"], interval="5m"))
            ended = (await hear(websocket))["result"]
            await websocket.send(command("list"))
            listed = (await hear(websocket))["result"]["subscriptions"]
            publisher.publish(0, interval=Interval.M5)
            hour = publisher.publish(0, interval=Interval.H1)
            frame = await hear(websocket)

        assert (ended, listed) == (names(Interval.M5), [{"channel": "candles", **names(Interval.H1)}])
        assert (frame["interval"], frame["candle"]) == ("1h", body(hour))

    asyncio.run(scenario())
