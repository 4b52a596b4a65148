"""The WebSocket server as it runs: real sockets, a real Redis, a real store."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ingest.candle import Candle, Interval, State
from ingest.codec import encode_candle
from tests.conftest import make_candle
from tests.integration.web_processes import ROOT, WS, running, wait_until
from tests.ports import free_port
from workers.live import LiveSide, candles_channel, candles_key
from workers.settings import Settings
from workers.store import CandleStore, make_store

SECONDS = 10.0


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """The live side's Redis, without series."""
    with redis.Redis.from_url(redis_url) as opened:
        _forget_series(opened)
        yield opened
        _forget_series(opened)


def _forget_series(client: redis.Redis) -> None:
    for key in client.scan_iter("live:*"):
        client.delete(key)


class Publisher:
    """Publishes versions of candles as the fan-out workers do; every version has a close price of its own."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._live = LiveSide(client, 60)
        self._versions = 0
        self.start_ms = time.time_ns() // 60_000_000_000 * 60_000

    def opens(self, number: int, interval: Interval) -> int:
        """The open time of a candle, numbered from the one that runs."""
        return (self.start_ms // interval.milliseconds + number) * interval.milliseconds

    def make(
        self,
        number: int = 0,
        *,
        pair: str = "BTC-USD",
        state: State = State.OPEN,
        interval: Interval = Interval.M1,
        minutes: int = 1,
    ) -> Candle:
        self._versions += 1
        return make_candle(
            pair=pair,
            interval=interval,
            timestamp=self.opens(number, interval),
            minutes=minutes,
            state=state,
            written_us=time.time_ns() // 1000,
            high=Decimal(1_000_000),
            close=Decimal(20_000 + self._versions),
        )

    def publish(self, number: int = 0, **options: Any) -> Candle:
        candle = self.make(number, **options)
        self._live.publish(candle, encode_candle(candle))
        return candle


@pytest.fixture
def publisher(client: redis.Redis) -> Publisher:
    return Publisher(client)


@pytest.fixture
def environment(mongo_uri: str, database: str, redis_url: str, client: redis.Redis) -> dict[str, str]:
    return {
        "MONGO_URI": mongo_uri,
        "MONGO_DB": database,
        "REDIS_URL": redis_url,
        "WS_PORT": str(free_port()),
        "EXCHANGE": "sim",
        "PAIRS": "BTC-USD,ETH-USD",
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment) as process:
        yield process


@asynccontextmanager
async def connected(environment: dict[str, str], **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{environment['WS_PORT']}", proxy=None, **options) as websocket:
        yield websocket


async def receive(websocket: ClientConnection) -> str:
    async with asyncio.timeout(SECONDS):
        frame = await websocket.recv()
    assert isinstance(frame, str)
    return frame


async def close_frame(websocket: ClientConnection) -> tuple[int | None, str]:
    """The code and reason the server closes with, skipping what else comes."""
    async with asyncio.timeout(SECONDS):
        try:
            while True:
                await websocket.recv()
        except ConnectionClosed as closed:
            return (None, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)


def line(candle: Candle) -> str:
    """The candle as the line protocol shows it, spelled out independently of the server."""
    return (
        f'{{"pair":"{candle.pair}","timestamp":{candle.timestamp},"open":{candle.open},"high":{candle.high},'
        f'"low":{candle.low},"close":{candle.close},"volume":{candle.volume}}}'
    )


def metric(environment: dict[str, str], name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{environment['WS_PORT']}/metrics").text
    return sum(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(name))


@pytest.mark.usefixtures("server")
def test_the_newest_comes_at_once_and_then_each_change(environment: dict[str, str], publisher: Publisher) -> None:
    async def scenario() -> list[str]:
        publisher.publish(0)
        newest = publisher.publish(1)
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD")
            frames = [await receive(websocket)]
            changes = [publisher.publish(number) for number in (1, 1, 2)]
            frames += [await receive(websocket) for _ in changes]
        assert frames == [line(newest), *map(line, changes)]
        return frames

    asyncio.run(scenario())


@pytest.mark.usefixtures("server")
def test_nothing_older_and_nothing_unchanged_is_sent(environment: dict[str, str], publisher: Publisher) -> None:
    async def scenario() -> tuple[list[str], list[Candle]]:
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD")
            first = publisher.publish(1)
            frames = [await receive(websocket)]
            publisher.publish(0, state=State.CORRECTED)  # older
            unchanged = make_candle(
                timestamp=first.timestamp,
                state=State.FINAL,
                written_us=time.time_ns() // 1000,
                high=first.high,
                close=first.close,
            )
            LiveSide(publisher.client, 60).publish(unchanged, encode_candle(unchanged))
            last = publisher.publish(2)
            frames.append(await receive(websocket))
            return frames, [first, last]

    frames, candles = asyncio.run(scenario())
    assert frames == [line(candle) for candle in candles]


@pytest.mark.usefixtures("server")
def test_without_anything_in_redis_the_stores_newest_comes(
    environment: dict[str, str], mongo_uri: str, database: str
) -> None:
    store: CandleStore = make_store(Settings.from_env(mongo_uri=mongo_uri, mongo_db=database))
    assert store.write([make_candle(0), make_candle(3)]) == []
    store.close()

    async def scenario() -> str:
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD")
            return await receive(websocket)

    assert asyncio.run(scenario()) == line(make_candle(3))


@pytest.mark.usefixtures("server")
def test_pairs_are_added_and_removed_by_lines(environment: dict[str, str], publisher: Publisher) -> None:
    async def scenario() -> tuple[list[str], list[Candle]]:
        bitcoin, ether = publisher.publish(), publisher.publish(pair="ETH-USD")
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD\nsubscribe,ETH-USD")
            frames = sorted([await receive(websocket), await receive(websocket)])
            await websocket.send("unsubscribe,BTC-USD")
            await websocket.send("subscribe,XXX-YYY")  # its answer tells that the line before has been handled
            frames.append(await receive(websocket))
            publisher.publish()
            last = publisher.publish(pair="ETH-USD")
            frames.append(await receive(websocket))
            return frames, [bitcoin, ether, last]

    frames, (bitcoin, ether, last) = asyncio.run(scenario())
    error = {"code": "unknown_pair", "message": "'XXX-YYY' is not a pair of sim; expected one such as BTC-USD"}
    assert [*frames[:2], frames[3]] == [line(bitcoin), line(ether), line(last)]
    assert json.loads(frames[2]) == {"error": error}


@pytest.mark.usefixtures("server")
def test_a_bad_line_is_answered_and_ten_end_the_connection(environment: dict[str, str]) -> None:
    async def scenario() -> tuple[list[str], tuple[int | None, str]]:
        async with connected(environment) as websocket:
            codes = []
            for _ in range(10):
                await websocket.send("hello")
                codes.append(json.loads(await receive(websocket))["error"]["code"])
            return codes, await close_frame(websocket)

    codes, closed = asyncio.run(scenario())
    assert (codes, closed) == (["bad_request"] * 10, (1008, "too many bad frames"))


@pytest.mark.usefixtures("server")
def test_a_frame_of_a_megabyte_is_refused(environment: dict[str, str]) -> None:
    async def scenario() -> tuple[int | None, str]:
        async with connected(environment) as websocket:
            await websocket.send("x" * 1_048_576)
            return await close_frame(websocket)

    code, _ = asyncio.run(scenario())
    assert code == 1009


@pytest.mark.usefixtures("server")
def test_commands_beyond_the_burst_are_refused(environment: dict[str, str], publisher: Publisher) -> None:
    async def scenario() -> list[str]:
        async with connected(environment) as websocket:
            for _ in range(55):
                await websocket.send("unsubscribe,BTC-USD")
            return [await receive(websocket) for _ in range(3)]

    answers = [json.loads(frame)["error"]["code"] for frame in asyncio.run(scenario())]
    assert answers == ["rate_limited"] * 3


def test_who_does_not_subscribe_in_time_is_closed(environment: dict[str, str], tmp_path: Path) -> None:
    environment["WS_MAX_IDLE_SECONDS"] = "1"

    async def scenario() -> tuple[int | None, str]:
        async with connected(environment) as websocket:
            return await close_frame(websocket)

    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment):
        assert asyncio.run(scenario()) == (1008, "no subscription within 1 seconds")


def test_limits_on_connections_are_answered_before_the_upgrade(environment: dict[str, str], tmp_path: Path) -> None:
    limits = {"WS_MAX_CONNECTIONS_PER_ADDRESS": "1", "WS_MAX_CONNECTIONS": "2", "TRUSTED_PROXIES": "127.0.0.1"}

    async def refused(address: str) -> tuple[int, str]:
        with pytest.raises(InvalidStatus) as raised:
            async with connected(environment, additional_headers={"X-Forwarded-For": address}):
                pass
        return raised.value.response.status_code, raised.value.response.headers["Retry-After"]

    async def scenario() -> list[tuple[int, str]]:
        async with connected(environment, additional_headers={"X-Forwarded-For": "203.0.113.1"}):
            answers = [await refused("203.0.113.1")]
            async with connected(environment):  # loopback counts in all, not for itself
                answers.append(await refused("203.0.113.2"))
        async with connected(environment, additional_headers={"X-Forwarded-For": "203.0.113.1"}):
            return answers

    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment, **limits):
        assert asyncio.run(scenario()) == [(429, "10"), (503, "10")]


def test_pages_of_other_origins_are_refused_if_the_operator_says_so(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment["WS_ORIGINS"] = "https://mine.example"

    async def scenario() -> int:
        async with connected(environment), connected(environment, origin="https://mine.example"):
            pass
        with pytest.raises(InvalidStatus) as raised:
            async with connected(environment, origin="https://other.example"):
                pass
        return raised.value.response.status_code

    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment):
        assert asyncio.run(scenario()) == 403


@pytest.mark.usefixtures("server")
def test_a_message_that_pubsub_lost_is_found_within_two_seconds(
    environment: dict[str, str], publisher: Publisher
) -> None:
    async def scenario() -> tuple[str, Candle, float]:
        first = publisher.publish()
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD")
            await receive(websocket)
            # What the fan-out does, without the message: the hash moves on, the channel stays silent.
            lost, key = publisher.make(), candles_key(first.series)
            text = b'{"seq":2,' + encode_candle(lost)[1:]
            # At once, as the script does it: a window read in between would have the number without the candle.
            publisher.client.hset(key, mapping={"seq": "2", str(lost.timestamp): text})
            started = time.monotonic()
            frame = await receive(websocket)
            return frame, lost, time.monotonic() - started

    frame, lost, seconds = asyncio.run(scenario())
    assert (frame, seconds < 2.5) == (line(lost), True)


@pytest.mark.usefixtures("server")
def test_a_cut_connection_to_redis_is_made_again_and_nothing_stays_missing(
    environment: dict[str, str], publisher: Publisher
) -> None:
    async def scenario() -> tuple[list[str], list[Candle]]:
        publisher.publish()
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD")
            await receive(websocket)
            for kind in ("pubsub", "normal"):
                publisher.client.client_kill_filter(_type=kind, skipme=True)
            missed = publisher.publish()
            frames = [await receive(websocket)]
            channel = candles_channel(missed.series)
            async with asyncio.timeout(SECONDS):
                while dict(publisher.client.pubsub_numsub(channel))[channel.encode()] == 0:
                    await asyncio.sleep(0.01)
            last = publisher.publish()
            frames.append(await receive(websocket))
            return frames, [missed, last]

    frames, candles = asyncio.run(scenario())
    assert frames == [line(candle) for candle in candles]


def test_the_server_starts_without_services_and_serves_when_they_come(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    environment |= {"REDIS_URL": f"redis://127.0.0.1:{port}/0", "MONGO_URI": f"mongodb://127.0.0.1:{free_port()}"}
    start_redis = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]

    async def scenario() -> None:
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD")
            for number in range(2):  # comes, dies, comes again, empty and with another run id
                with subprocess.Popen(start_redis, stdout=subprocess.DEVNULL) as server:
                    try:
                        with redis.Redis(port=port) as client:
                            await asyncio.to_thread(wait_until, lambda: _pings(client))
                            candle = Publisher(client).publish(number)
                            assert await receive(websocket) == line(candle)
                    finally:
                        server.kill()

    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment):
        asyncio.run(scenario())

    waiting = (tmp_path / "ws.log").read_text().count("the live side does not answer")
    assert 1 <= waiting <= 3


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.mark.usefixtures("server")
def test_a_frozen_client_is_gone_in_fifteen_seconds_and_others_notice_nothing(
    environment: dict[str, str], publisher: Publisher, server: subprocess.Popen[bytes]
) -> None:
    before = _resident_bytes(server.pid)
    with socket.socket() as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        frozen.connect(("127.0.0.1", int(environment["WS_PORT"])))
        _subscribe_by_hand(frozen, "BTC-USD")

        async def scenario() -> tuple[float, float]:
            async with connected(environment) as websocket:
                await websocket.send("subscribe,BTC-USD")
                started, slowest, published = time.monotonic(), 0.0, 0
                while metric(environment, "ws_connections ") > 1:
                    for _ in range(500):
                        published += 1
                        sent_at, candle = time.monotonic(), publisher.publish(published // 100)
                        while await receive(websocket) != line(candle):
                            pass
                        slowest = max(slowest, time.monotonic() - sent_at)
                    assert time.monotonic() - started < 20
                return time.monotonic() - started, slowest

        seconds, slowest = asyncio.run(scenario())

    assert (seconds < 15.5, slowest < 1.0) == (True, True)
    assert _resident_bytes(server.pid) - before < 4 * 1024 * 1024


def _subscribe_by_hand(sock: socket.socket, pair: str) -> None:
    """A client that never reads after its handshake."""
    sock.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert sock.recv(1024).startswith(b"HTTP/1.1 101")
    payload = f"subscribe,{pair}".encode()
    sock.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.usefixtures("server")
def test_of_two_quiet_clients_the_living_one_stays(environment: dict[str, str], publisher: Publisher) -> None:
    async def scenario() -> tuple[str, Candle]:
        # Its own pings would be signs of life; without them it only answers ours.
        async with connected(environment, ping_interval=None) as living:
            await living.send("subscribe,BTC-USD")
            with socket.create_connection(("127.0.0.1", int(environment["WS_PORT"]))) as frozen:
                _subscribe_by_hand(frozen, "BTC-USD")
                assert metric(environment, "ws_connections ") == 2
                await asyncio.to_thread(wait_until, lambda: metric(environment, "ws_connections ") == 1, 15)
            candle = publisher.publish()
            return await receive(living), candle

    frame, candle = asyncio.run(scenario())
    assert frame == line(candle)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sigterm_closes_every_connection_with_a_reason(
    environment: dict[str, str], tmp_path: Path, processes: str
) -> None:
    environment["WS_PROCESSES"] = processes

    async def scenario(process: subprocess.Popen[bytes]) -> list[tuple[int | None, str]]:
        async with connected(environment) as one, connected(environment) as two, connected(environment) as three:
            process.send_signal(signal.SIGTERM)
            return list(await asyncio.gather(*(close_frame(each) for each in (one, two, three))))

    with (
        running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment) as process,
        socket.create_connection(("127.0.0.1", int(environment["WS_PORT"]))),  # never says a word
    ):
        closed = asyncio.run(scenario(process))
        status = process.wait(10)

    assert (closed, status) == ([(1001, "the server is stopping")] * 3, 0)


def test_when_one_of_several_processes_dies_all_end(environment: dict[str, str], tmp_path: Path) -> None:
    environment["WS_PROCESSES"] = "2"
    with running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment) as process:
        children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]

        os.kill(children[0], signal.SIGKILL)

        assert (len(children), process.wait(15)) == (2, 1)
        assert not Path(f"/proc/{children[1]}").exists()


@pytest.mark.parametrize(
    ("variable", "value", "status", "sentence"),
    [
        ("WS_MAX_BURST", "none", 2, "WS_MAX_BURST='none': expected a valid integer"),
        ("BIND_HOST", "192.0.2.1", 1, "BIND_HOST, WS_PORT: cannot listen on 192.0.2.1:"),
    ],
)
def test_what_stops_the_start_is_one_sentence(
    environment: dict[str, str], variable: str, value: str, status: int, sentence: str
) -> None:
    environment |= {variable: value, "LOG_LEVEL": "error"}

    ended = subprocess.run(WS, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=20)

    assert (ended.returncode, len(ended.stderr.splitlines())) == (status, 1)
    assert ended.stderr.startswith(sentence)


@pytest.mark.usefixtures("server")
def test_a_browser_is_told_what_this_is(environment: dict[str, str]) -> None:
    address = f"http://127.0.0.1:{environment['WS_PORT']}"

    livez, page = httpx.get(f"{address}/livez"), httpx.get(f"{address}/")

    assert (livez.status_code, livez.text) == (200, "ok\n")
    assert page.status_code in (400, 426)
    assert "WebSocket client" in page.text
