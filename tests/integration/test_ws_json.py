"""The JSON protocol as it runs: real sockets, a real Redis, a real store."""

import asyncio
import json
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from websockets.asyncio.client import ClientConnection

from ingest.candle import Candle, Interval, State
from ingest.codec import encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from tests.integration.test_ws import (  # noqa: F401
    SECONDS,
    Publisher,
    client,
    close_frame,
    connected,
    environment,
    line,
    metric,
    publisher,
    receive,
    server,
)
from tests.integration.web_processes import WS, running, wait_until
from tests.unit.web.ws.test_asyncapi import validator_of
from web.ws import messages
from workers.live import FEEDS, LiveSide, candles_channel
from workers.settings import Settings
from workers.store import make_store

SERIES = {"exchange": "sim", "pair": "BTC-USD", "interval": "1m"}
BACKGROUND = ("status",)
_frames = validator_of(*messages.REPLIES, *messages.MESSAGES)


def command(method: str, id_: int = 1, **params: Any) -> str:
    return json.dumps({"id": id_, "method": method} | ({"params": params} if params else {}))


def body(candle: Candle) -> dict[str, Any]:
    """The candle as the JSON protocol shows it, spelled out independently of the server."""
    numbers = {name: getattr(candle, name) for name in ("open", "high", "low", "close", "volume")}
    minutes = {} if candle.interval is Interval.M1 else {"minutes": candle.minutes}
    return {"timestamp": candle.timestamp, **numbers, "state": candle.state.value, "rev": candle.rev, **minutes}


async def hear(websocket: ClientConnection, *, statuses: bool = False) -> dict[str, Any]:
    """The next frame, exact, and as the description says; what is said of feeds only if wanted."""
    while True:
        text = await receive(websocket)
        _frames.validate(json.loads(text))
        frame: dict[str, Any] = json.loads(text, parse_float=Decimal)
        if statuses or frame.get("type") not in BACKGROUND:
            return frame


@asynccontextmanager
async def subscribed(
    environment: dict[str, str],  # noqa: F811
    **params: Any,
) -> AsyncIterator[tuple[ClientConnection, dict[str, Any]]]:
    """A client that subscribed BTC-USD, and the answer it got."""
    async with connected(environment) as websocket:
        await websocket.send(command("subscribe", pairs=["BTC-USD"], **params))
        yield websocket, (await hear(websocket))["result"]


@pytest.fixture(autouse=True)
def _no_feeds(client: redis.Redis) -> Iterator[None]:  # noqa: F811
    """Nothing is known of any feed."""
    client.delete(FEEDS)
    yield
    client.delete(FEEDS)


@contextmanager
def frozen_client(environment: dict[str, str], frame: str = "") -> Iterator[socket.socket]:  # noqa: F811
    """A client that sends one frame and never reads after its handshake."""
    payload = frame.encode()
    assert len(payload) < 126
    with socket.socket() as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        frozen.settimeout(SECONDS)
        frozen.connect(("127.0.0.1", int(environment["WS_PORT"])))
        frozen.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert frozen.recv(1024).startswith(b"HTTP/1.1 101")
        if frame:
            frozen.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        yield frozen


@pytest.mark.usefixtures("server")
def test_a_subscription_is_answered_begins_with_a_snapshot_and_goes_on(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        held = [publisher.publish(number) for number in range(3)]
        async with subscribed(environment, snapshot=2) as (websocket, result):
            snapshot = await hear(websocket)
            status = await hear(websocket, statuses=True)
            change = publisher.publish(1)
            frame = await hear(websocket)
        epoch, _, seq = result["cursor"].rpartition(":")

        assert result == {**SERIES, "cursor": f"{epoch}:3", "recovered": False}
        assert epoch.startswith(publisher.client.info("server")["run_id"][:16] + "-")
        assert seq == "3"
        assert snapshot == {"type": "snapshot", **SERIES, "cursor": result["cursor"], "candles": [*map(body, held[1:])]}
        assert status == {"type": "status", "exchange": "sim", "feed": "stale", "since": None}
        assert frame == {"type": "candle", **SERIES, "cursor": f"{epoch}:4", "candle": body(change)}

    asyncio.run(scenario())


@pytest.mark.usefixtures("server")
def test_a_snapshot_beyond_the_window_comes_from_the_store_and_the_newer_version_wins(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    mongo_uri: str,
    database: str,
) -> None:
    stored = [publisher.make(number) for number in range(-5, 2)]
    live = [publisher.publish(0), publisher.publish(2)]
    store = make_store(Settings.from_env(mongo_uri=mongo_uri, mongo_db=database))
    assert store.write(stored) == []
    store.close()

    async def scenario() -> list[dict[str, Any]]:
        async with subscribed(environment, snapshot=500) as (websocket, _):
            candles: list[dict[str, Any]] = (await hear(websocket))["candles"]
            return candles

    expected = [*stored[:5], live[0], stored[6], live[1]]
    assert asyncio.run(scenario()) == [*map(body, expected)]


@pytest.mark.usefixtures("server")
def test_a_client_that_comes_back_gets_exactly_what_changed(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        for number in range(3):
            publisher.publish(number)
        async with subscribed(environment) as (websocket, _):
            await hear(websocket)  # the snapshot
            publisher.publish(2)
            cursor = (await hear(websocket))["cursor"]
        publisher.publish(2)
        changed = [publisher.publish(1, state=State.FINAL), publisher.publish(3), publisher.publish(2)]
        async with subscribed(environment, snapshot=60, cursors={"BTC-USD": cursor}) as (websocket, result):
            frames = [await hear(websocket) for _ in changed]
            live = publisher.publish(3)
            frames.append(await hear(websocket))

        assert result == {**SERIES, "cursor": cursor, "recovered": True}
        assert [frame["candle"] for frame in frames] == [*map(body, [*changed, live])]
        assert [int(frame["cursor"].rpartition(":")[2]) for frame in frames] == [6, 7, 8, 9]

    asyncio.run(scenario())


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("again", [True, False])
def test_after_redis_was_emptied_a_cursor_recovers_nothing_and_the_range_is_told(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    again: bool,
) -> None:
    async def scenario() -> None:
        for number in (-2, -1, 0):
            publisher.publish(number)
        async with subscribed(environment) as (websocket, result):
            await hear(websocket)
            publisher.client.flushdb()
            candle = publisher.publish(0)
            frames = [await hear(websocket), await hear(websocket)]
            to = time.time_ns() // 60_000_000_000 * 60_000

        gap = {"type": "gap", **SERIES, "from": publisher.start_ms - 120_000, "to": to}
        # The change itself is heard at once; that the numbers went back is seen by the check a second later.
        assert frames[0]["candle"] == body(candle)
        assert frames[1] == gap
        async with subscribed(environment, cursors={"BTC-USD": result["cursor"]}) as (websocket, result):
            snapshot = await hear(websocket)
            to = time.time_ns() // 60_000_000_000 * 60_000
        fetch = {**SERIES, "from": publisher.start_ms - 120_000, "to": to}
        assert (result["recovered"], result["fetch"]) == (False, fetch)
        assert snapshot["candles"][-1] == body(candle)

    asyncio.run(scenario())


@pytest.mark.usefixtures("server")
def test_another_epoch_recovers_nothing_and_the_range_begins_where_the_window_began(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        held = [publisher.publish(number) for number in (-2, -1, 0)]
        async with subscribed(environment) as (_, result):
            pass
        # What a restart leaves behind: the same hash under another run id.
        key = f"live:{{{held[0].series.key}}}"
        publisher.client.hset(key, "epoch", "0" * 40)
        async with connected(environment) as websocket:
            await asyncio.to_thread(wait_until, lambda: metric(environment, "ws_gaps_total") == 1)
            await websocket.send(command("subscribe", pairs=["BTC-USD"], cursors={"BTC-USD": result["cursor"]}))
            answer = (await hear(websocket))["result"]
            snapshot = await hear(websocket)
            to = time.time_ns() // 60_000_000_000 * 60_000

        fetch = {**SERIES, "from": publisher.start_ms - 120_000, "to": to}
        assert answer == {**SERIES, "cursor": "0" * 40 + ":3", "recovered": False, "fetch": fetch}
        assert snapshot["candles"] == [*map(body, held)]

    asyncio.run(scenario())


@pytest.mark.usefixtures("server")
def test_each_pair_is_answered_and_what_is_subscribed_can_be_listed_and_ended(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        publisher.publish()
        async with connected(environment) as websocket:
            await websocket.send(command("subscribe", pairs=["BTC-XXX", "BTC-USD"], snapshot=0, max_rate=5))
            error, result = await hear(websocket), await hear(websocket)
            await websocket.send(command("list", id_=2))
            listed = await hear(websocket)
            await websocket.send(command("unsubscribe", id_=3, pairs=["BTC-USD"]))
            ended = await hear(websocket)
            publisher.publish()
            before_ms = time.time_ns() // 1_000_000
            await websocket.send(command("ping", id_=4))
            pong = await hear(websocket)

        message = "'BTC-XXX' is not a pair of sim; expected one such as BTC-USD"
        assert error == {"id": 1, "error": {"code": "unknown_pair", "message": message, "pair": "BTC-XXX"}}
        assert (result["id"], result["result"]["recovered"]) == (1, False)
        subscription = {"channel": "candles", **SERIES, "max_rate": Decimal("5.0")}
        assert listed == {"id": 2, "result": {"subscriptions": [subscription]}}
        assert ended == {"id": 3, "result": SERIES}
        assert pong["id"] == 4
        assert abs(pong["result"]["time"] - before_ms) < 5_000

    asyncio.run(scenario())


@pytest.mark.usefixtures("server")
def test_one_connection_may_use_both_protocols_for_the_same_pair(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        publisher.publish()
        async with subscribed(environment, snapshot=0) as (websocket, _):
            await websocket.send("subscribe,BTC-USD")
            while not (await receive(websocket)).startswith('{"pair"'):
                pass
            candle = publisher.publish()
            frames = [await receive(websocket), await receive(websocket)]

        assert [frame for frame in frames if frame.startswith('{"pair"')] == [line(candle)]
        (other,) = [json.loads(frame, parse_float=Decimal) for frame in frames if '"cursor"' in frame]
        assert other["candle"] == body(candle)

    asyncio.run(scenario())


@pytest.mark.usefixtures("server")
def test_max_rate_holds_back_what_is_running_and_never_a_final(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        publisher.publish(-1)
        async with subscribed(environment, snapshot=0, max_rate=5) as (websocket, _):
            started = time.monotonic()
            finals = []
            for round_ in range(10):
                for _ in range(10):
                    publisher.publish(round_)
                finals.append(publisher.publish(round_, state=State.FINAL))
                await asyncio.sleep(0.1)
            last = publisher.publish(11)
            frames = [await hear(websocket)]
            while frames[-1]["candle"] != body(last):
                frames.append(await hear(websocket))
            seconds = time.monotonic() - started

        candles = [frame["candle"] for frame in frames]
        assert [each for each in candles if each["state"] == "final"] == [*map(body, finals)]
        assert 2 <= len([each for each in candles if each["state"] == "open"]) <= 5 * seconds + 1
        numbers = [int(frame["cursor"].rpartition(":")[2]) for frame in frames]
        assert numbers == sorted(numbers)

    asyncio.run(scenario())


def beat(feed: FeedState = FeedState.LIVE, *, since: int) -> FeedEvent:
    return FeedEvent(
        exchange="sim", event=EventKind.BEAT, feed=feed, since=since, at=time.time_ns() // 1_000_000, reason=""
    )


@pytest.mark.usefixtures("server")
def test_a_feed_is_told_on_subscribe_on_change_and_within_three_seconds_of_silence(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    live = LiveSide(publisher.client, 60)

    async def scenario() -> None:
        first = beat(since=1)
        live.publish_event(first, encode_event(first))
        async with connected(environment) as websocket:
            await asyncio.sleep(1.2)  # the hash is read once a second; the channel may be listened to already
            again = beat(since=1)
            live.publish_event(again, encode_event(again))
            await websocket.send(command("subscribe", pairs=["BTC-USD"], snapshot=0))
            frames = [await hear(websocket, statuses=True) for _ in range(2)]
            down = beat(FeedState.DOWN, since=2)
            live.publish_event(down, encode_event(down))
            frames.append(await hear(websocket, statuses=True))
            back = beat(since=3)
            live.publish_event(back, encode_event(back))
            last_beat_at = time.monotonic()
            frames.append(await hear(websocket, statuses=True))
            frames.append(await hear(websocket, statuses=True))
            silence = time.monotonic() - last_beat_at

        status = {"type": "status", "exchange": "sim"}
        assert frames[1:] == [
            {**status, "feed": "live", "since": 1},
            {**status, "feed": "down", "since": 2},
            {**status, "feed": "live", "since": 3},
            {**status, "feed": "stale", "since": back.at},
        ]
        assert 2.5 < silence <= 3.05

    asyncio.run(scenario())


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_planned_stop_is_announced_to_those_who_speak_json(
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
    processes: str,
) -> None:
    environment["WS_PROCESSES"] = processes

    async def scenario(process: subprocess.Popen[bytes]) -> tuple[list[dict[str, Any]], list[Any], list[str]]:
        async with connected(environment) as lines, connected(environment) as one, connected(environment) as two:
            for each in (one, two):
                await each.send(command("ping"))
                await hear(each)
            process.send_signal(signal.SIGTERM)
            notices = [await hear(each) for each in (one, two)]
            closed = [await close_frame(each) for each in (one, two)]
            heard = []
            async for frame in lines:
                heard.append(str(frame))
            return notices, closed, heard

    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment) as process:
        notices, closed, heard = asyncio.run(scenario(process))

    assert [notice["type"] for notice in notices] == ["shutdown"] * 2
    assert all(500 <= notice["reconnect_after_ms"] < 1500 for notice in notices)
    assert (closed, heard) == ([(1001, "the server is stopping")] * 2, [])


def test_several_processes_share_the_port_and_a_cursor_of_one_is_good_for_another(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    tmp_path: Path,
) -> None:
    environment["WS_PROCESSES"] = "2"

    async def scenario(children: list[int]) -> None:
        publisher.publish()
        async with subscribed(environment, snapshot=0) as (websocket, _):
            publisher.publish()
            cursor = (await hear(websocket))["cursor"]
        changed = publisher.publish(1)
        for _ in range(12):  # the kernel spreads them
            async with subscribed(environment, cursors={"BTC-USD": cursor}) as (websocket, result):
                assert (result["recovered"], (await hear(websocket))["candle"]) == (True, body(changed))
        assert len(children) == 2

    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment) as process:
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        asyncio.run(scenario([int(pid) for pid in text.split()]))


@pytest.mark.usefixtures("server")
def test_beside_a_client_that_does_not_read_another_gets_everything(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        async with subscribed(environment, snapshot=0) as (fast, _):
            with frozen_client(environment, command("subscribe", pairs=["BTC-USD"])):
                candles = []
                for number in range(1500):
                    candles.append(publisher.publish(number // 100))
                    await asyncio.sleep(0)
                heard: list[dict[str, Any]] = []
                while not heard or heard[-1] != body(candles[-1]):
                    heard.append((await hear(fast))["candle"])
        newest = {candle.timestamp: body(candle) for candle in candles}
        assert {each["timestamp"]: each for each in heard} == newest

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("setting", "value", "frames", "expected"),
    [
        ("WS_MAX_BAD_FRAMES", "2", ["{", "{"], (1008, "too many bad frames")),
        ("WS_MAX_FRAME_BYTES", "200", [command("subscribe", pairs=["A-B"] * 40)], (1009, None)),
        ("WS_MAX_SUBSCRIPTIONS", "1", [command("subscribe", pairs=["BTC-USD"]), "subscribe,ETH-USD"], None),
        ("WS_MAX_BURST", "1", [command("ping"), command("ping", id_=2)], None),
    ],
)
def test_limits_are_settings(
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
    setting: str,
    value: str,
    frames: list[str],
    expected: tuple[int, str | None] | None,
) -> None:
    environment[setting] = value
    codes = {"WS_MAX_SUBSCRIPTIONS": "too_many_subscriptions", "WS_MAX_BURST": "rate_limited"}

    async def scenario() -> None:
        async with connected(environment) as websocket:
            for frame in frames:
                await websocket.send(frame)
            if expected is None:
                while "error" not in (answer := await hear(websocket)):
                    pass
                assert answer["error"]["code"] == codes[setting]
            else:
                code, reason = await close_frame(websocket)
                assert (code, reason) == (expected[0], expected[1] if expected[1] is not None else reason)

    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [("WS_MAX_WAITING_ROWS", "10", "overflow"), ("WS_MAX_STALL_SECONDS", "1", "stalled")],
)
def test_a_client_that_takes_nothing_is_cut_off_at_the_limits(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    tmp_path: Path,
    setting: str,
    value: str,
    reason: str,
) -> None:
    environment[setting] = value
    with (
        running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment),
        frozen_client(environment, command("subscribe", pairs=["BTC-USD"])),
    ):
        channel = candles_channel(publisher.make().series)
        wait_until(lambda: dict(publisher.client.pubsub_numsub(channel))[channel.encode()] == 1)

        published, deadline = 0, time.monotonic() + 2 * SECONDS
        while metric(environment, f'ws_closed_total{{reason="{reason}"}}') == 0:
            assert time.monotonic() < deadline
            for _ in range(200):
                published += 1
                publisher.publish(published % 50)


def test_a_client_that_asks_for_pongs_without_reading_them_is_cut_off(
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    with (
        running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment),
        frozen_client(environment) as frozen,
    ):
        ping = bytes([0x89, 0x80 | 125, 0, 0, 0, 0]) + b"x" * 125

        # Pongs fill the buffer before the server sees what it is; then our writing fails as well.
        with suppress(ConnectionError):
            for _ in range(1000):
                frozen.sendall(ping * 500)

        assert metric(environment, 'ws_closed_total{reason="overflow"}') == 1
