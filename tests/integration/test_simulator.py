"""The simulated exchange over real sockets, read through the adapters."""

import asyncio
import http.client
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from ingest.candle import Interval
from ingest.clock import SystemClock, now_ms
from ingest.errors import SettingsError
from ingest.exchanges import adapter_for
from ingest.exchanges.base import CandleUpdate, Event, Heartbeat, Invalid, MissedFrames, Origin, Rejected, Subscribed
from ingest.settings import Settings
from ingest.simulator import Simulator, simulate
from ingest.simulator.blockchain import ORIGIN, PATH
from ingest.simulator.listing import pairs
from ingest.simulator.market import MINUTE_MS, candle
from tests.ports import free_port

pytestmark = pytest.mark.anyio

PAIRS = ("BTC-USD", "ETH-EUR")
DEADLINE_SECONDS = 20

MakeSettings = Callable[..., Settings]
Candles = dict[tuple[str, int], tuple[Decimal, ...]]


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the simulator is written for."""
    return "asyncio"


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings of a market that began an hour ago and runs 1,200 times as fast as the wall clock."""

    def make(**fields: Any) -> Settings:
        values: dict[str, Any] = {"sim_start": "-1h", "sim_speed": Decimal(1200), "sim_state": tmp_path / "state.json"}
        return Settings(**(values | fields))

    return make


class Client:
    """A connection to the simulator, as a feed would use it."""

    def __init__(self, exchange: str, settings: Settings, pairs: tuple[str, ...] = PAIRS) -> None:
        self.adapter = adapter_for(exchange, settings)
        self._connection = self.adapter.connect(pairs, Interval.M1)
        self.events: list[Event] = []
        self._socket: ClientConnection | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Client"]:
        origin: Any = self.adapter.origin
        # A bounded queue would keep the closing handshake behind frames that nobody reads any more.
        async with connect(self.adapter.url, origin=origin, compression=None, max_queue=None) as self._socket:
            for frame in self._connection.opening_frames():
                await self._socket.send(frame)
            yield self

    async def read_until(self, enough: Callable[[list[Event]], bool]) -> None:
        assert self._socket is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not enough(self.events):
                self.events += self._connection.receive(await self._socket.recv())

    def updates(self) -> list[CandleUpdate]:
        return [event for event in self.events if isinstance(event, CandleUpdate)]

    def closed(self) -> Candles:
        """The last values of every candle that has a successor."""
        last = {
            (each.pair, each.timestamp): (each.open, each.high, each.low, each.close, each.volume)
            for each in self.updates()
        }
        newest = {pair: max(open_time for of, open_time in last if of == pair) for pair, _ in last}
        return {key: values for key, values in last.items() if key[1] < newest[key[0]]}


@asynccontextmanager
async def running(settings: Settings, **options: Any) -> AsyncIterator[tuple[Simulator, Settings]]:
    """A simulator on a free port, and the settings with which to reach it."""
    async with Simulator(settings, port=0, **options) as simulator:
        yield simulator, settings.model_copy(update={"sim_port": simulator.port})


def candles_of(number: int) -> Callable[[list[Event]], bool]:
    """Whether so many candles have come of each pair."""

    def enough(events: list[Event]) -> bool:
        seen = {(event.pair, event.timestamp) for event in events if isinstance(event, CandleUpdate)}
        count = Counter(pair for pair, _ in seen)
        return all(count[pair] >= number for pair in PAIRS)

    return enough


def subscribed(events: list[Event]) -> bool:
    return {event.pair for event in events if isinstance(event, Subscribed)} == set(PAIRS)


def expected(first_ms: int, last_ms: int) -> Candles:
    """The candles that the market has from one open time to another, inclusive."""
    every = {
        (pair, open_time): candle(1, pair, open_time)
        for pair in PAIRS
        for open_time in range(first_ms, last_ms + 1, MINUTE_MS)
    }
    return {key: values for key, values in every.items() if values is not None}


async def test_both_dialects_tell_the_same_candles_from_the_first_minute_on(make_settings: MakeSettings) -> None:
    async with running(make_settings()) as (_, reachable):
        sim, kraken = Client("sim", reachable), Client("simkraken", reachable)
        begun_ms = now_ms(SystemClock())
        async with sim.connected(), kraken.connected():
            await asyncio.gather(sim.read_until(candles_of(30)), kraken.read_until(candles_of(30)))

    first = min(open_time for _, open_time in sim.closed())
    last = min(max(open_time for _, open_time in client.closed()) for client in (sim, kraken)) - 2 * MINUTE_MS
    market = expected(first, last)
    assert abs(first - (begun_ms - 60 * MINUTE_MS)) < 3 * MINUTE_MS
    assert {key: values for key, values in sim.closed().items() if key[1] <= last} == market
    assert {key: values for key, values in kraken.closed().items() if key[1] <= last} == market
    assert not [event for event in sim.events + kraken.events if isinstance(event, Invalid | MissedFrames | Rejected)]


async def test_the_market_catches_up_and_then_keeps_the_wall_clocks_time(make_settings: MakeSettings) -> None:
    async with running(make_settings(sim_start="-2m", sim_updates=600)) as (_, reachable):
        client = Client("simkraken", reachable)
        async with client.connected():
            await client.read_until(
                lambda events: any(
                    isinstance(event, Heartbeat) and abs((event.exchange_time_ms or 0) - now_ms(SystemClock())) < 500
                    for event in events[-2:]
                )
            )
            times = [event.exchange_time_ms for event in client.events if isinstance(event, Heartbeat)]

    assert all(time is None or time <= now_ms(SystemClock()) for time in times)


async def test_a_reconnect_finds_the_market_where_it_would_have_been(make_settings: MakeSettings) -> None:
    async with running(make_settings(sim_speed=Decimal(300))) as (_, reachable):
        async with Client("simkraken", reachable).connected() as first:
            await first.read_until(candles_of(15))
        async with Client("simkraken", reachable).connected() as second:
            await second.read_until(candles_of(5))

    history = [each.timestamp for each in second.updates() if each.origin is Origin.HISTORY]
    assert history
    seen_until = {each.pair: each.timestamp for each in first.updates()}
    # A pair whose minute has no trade yet goes on with the one before, hence pair by pair.
    live = [each for each in second.updates() if each.origin is Origin.LIVE]
    assert live
    assert [each for each in live if each.timestamp < seen_until[each.pair]] == []
    closed = second.closed()
    # One pair's minute may have closed and another's not yet.
    newest = {pair: max(open_time for of, open_time in closed if of == pair) for pair, _ in closed}
    every = expected(min(open_time for _, open_time in closed), max(newest.values()))
    assert closed == {key: values for key, values in every.items() if key[1] <= newest[key[0]]}


async def test_a_restart_goes_on_with_the_same_market(make_settings: MakeSettings) -> None:
    settings = make_settings()
    async with running(settings) as (_, reachable), Client("sim", reachable).connected() as before:
        await before.read_until(candles_of(5))
    async with running(settings) as (_, reachable), Client("sim", reachable).connected() as after:
        await after.read_until(candles_of(3))

    assert min(each.timestamp for each in after.updates()) >= max(each.timestamp for each in before.updates())


async def test_an_upgrade_without_the_right_origin_is_refused(make_settings: MakeSettings) -> None:
    async with running(make_settings()) as (simulator, _):
        url = f"ws://127.0.0.1:{simulator.port}{PATH}"
        bodies = []
        for origin in (None, "https://example.org"):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(url, origin=origin)  # type: ignore[arg-type]
            bodies.append((refusal.value.response.status_code, bytes(refusal.value.response.body or b"").decode()))

    assert bodies == [
        (400, "Request is missing required HTTP header 'Origin'"),
        (400, "The value of HTTP header 'Origin' was malformed:\nInvalid Origin header"),
    ]


async def test_the_port_answers_plain_requests(make_settings: MakeSettings) -> None:
    def status(port: int, path: str) -> int:
        request = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        request.request("GET", path)
        answer = request.getresponse().status
        request.close()
        return answer

    async with running(make_settings(), dialects=["kraken"]) as (simulator, _):
        answers = [await asyncio.to_thread(status, simulator.port, path) for path in ("/livez", "/", PATH)]

    assert answers == [200, 404, 404]


async def test_blockchain_pings_about_each_second(make_settings: MakeSettings) -> None:
    pings: list[float] = []

    class Counting(ClientConnection):
        def data_received(self, data: bytes) -> None:
            # A ping without a fragment is one byte of 0x89, then its length.
            if data[:1] == b"\x89":
                pings.append(asyncio.get_running_loop().time())
            super().data_received(data)

    async with running(make_settings()) as (simulator, _):
        url = f"ws://127.0.0.1:{simulator.port}{PATH}"
        async with connect(url, origin=ORIGIN, create_connection=Counting), asyncio.timeout(DEADLINE_SECONDS):  # type: ignore[arg-type]
            while len(pings) < 3:
                await asyncio.sleep(0.01)

    assert 0.9 < pings[2] - pings[1] < 5


async def test_a_skipped_number_is_noticed(make_settings: MakeSettings) -> None:
    async with running(make_settings()) as (simulator, reachable), Client("sim", reachable).connected() as client:
        await client.read_until(candles_of(2))
        simulator.faults.skip = 1

        await client.read_until(lambda events: any(isinstance(event, MissedFrames) for event in events))

    missed = [event for event in client.events if isinstance(event, MissedFrames)]
    assert [each.received - each.expected for each in missed] == [1]


async def test_silence_means_no_frame_while_pings_go_on(make_settings: MakeSettings) -> None:
    async with running(make_settings()) as (simulator, reachable), Client("sim", reachable).connected() as client:
        await client.read_until(candles_of(2))
        simulator.faults.silent = True

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await client.read_until(lambda _: False)

        simulator.faults.silent = False
        await client.read_until(lambda events: any(isinstance(event, MissedFrames) for event in events))


@pytest.mark.parametrize("exchange", ["sim", "simkraken"])
async def test_a_dropped_connection_ends_without_a_handshake(make_settings: MakeSettings, exchange: str) -> None:
    async with running(make_settings()) as (simulator, reachable), Client(exchange, reachable).connected() as client:
        await client.read_until(subscribed)

        simulator.drop_connections()

        with pytest.raises(ConnectionClosedError) as end:
            await client.read_until(lambda _: False)
        assert end.value.rcvd is None


async def listening(port: int) -> None:
    """Wait until something accepts connections there."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


@pytest.mark.parametrize("exchange", ["sim", "simkraken"])
async def test_a_stop_closes_with_1001(make_settings: MakeSettings, exchange: str) -> None:
    stopping = asyncio.Event()
    settings = make_settings(sim_port=free_port())
    serving = asyncio.create_task(simulate(settings, stopping=stopping))
    await listening(settings.sim_port)
    client = Client(exchange, settings)
    async with client.connected():
        await client.read_until(subscribed)

        stopping.set()

        with pytest.raises(ConnectionClosed) as end:
            await client.read_until(lambda _: False)
    await asyncio.wait_for(serving, DEADLINE_SECONDS)
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 1001


@contextmanager
def stuck_client(port: int) -> Iterator[None]:
    """A client that subscribes and then never reads."""
    with socket.create_connection(("127.0.0.1", port)) as stuck:
        request = f"GET /v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n\r\n"
        stuck.sendall(request.encode() + masked(f'{{"method":"subscribe","params":{{{SUBSCRIBE}}}}}'))
        yield


async def test_a_client_that_does_not_read_is_dropped(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.simulator.conversation.SEND_TIMEOUT_SECONDS", 0.3)
    settings = make_settings(sim_start="-2d", sim_speed=Decimal(100_000), sim_updates=600)
    async with running(settings) as (simulator, _):
        with stuck_client(simulator.port):
            async with asyncio.timeout(DEADLINE_SECONDS):
                while simulator.connections == 0:
                    await asyncio.sleep(0.01)
                while simulator.connections:
                    await asyncio.sleep(0.01)


async def test_a_client_that_does_not_read_cannot_delay_a_stop(make_settings: MakeSettings, tmp_path: Path) -> None:
    log = tmp_path / "frames.jsonl"
    settings = make_settings(sim_start="-2d", sim_speed=Decimal(100_000), sim_updates=600, sim_log=log)
    stop = AsyncExitStack()
    simulator, _ = await stop.enter_async_context(running(settings))
    with stuck_client(simulator.port):
        size = -1
        async with asyncio.timeout(DEADLINE_SECONDS):
            while size < (size := log.stat().st_size) or size == 0:
                await asyncio.sleep(0.2)

        started = asyncio.get_running_loop().time()
        await stop.aclose()

    assert asyncio.get_running_loop().time() - started < 5


KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
SUBSCRIBE = '"channel":"ohlc","symbol":["BTC/USD"],"interval":1'


def masked(text: str) -> bytes:
    """A client's text frame with a mask of zeroes (RFC 6455, 5.2)."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode()


async def test_the_log_holds_every_frame_before_it_is_sent(make_settings: MakeSettings, tmp_path: Path) -> None:
    log = tmp_path / "frames.jsonl"
    received: list[str] = []
    for _ in range(2):
        async with running(make_settings(sim_log=log)) as (_, reachable):
            adapter = adapter_for("sim", reachable)
            async with connect(adapter.url, origin=adapter.origin) as client:  # type: ignore[arg-type]
                for frame in adapter.connect(PAIRS, Interval.M1).opening_frames():
                    await client.send(frame)
                for _ in range(50):
                    received.append(str(await client.recv()))
                    assert f'"frame":{received[-1]}}}\n' in log.read_text()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["exchange"] for line in lines} == {"blockchain"}
    assert len({line["connection"] for line in lines}) == 2
    assert sorted(line["connection"] for line in lines) == [line["connection"] for line in lines]


async def test_a_burst_of_subscriptions_sees_the_first_minute_of_every_pair(make_settings: MakeSettings) -> None:
    open_pairs = tuple(pairs()[:120])
    async with running(make_settings(sim_speed=Decimal(60))) as (_, reachable):
        client = Client("sim", reachable, open_pairs)
        async with client.connected():
            await client.read_until(
                lambda events: (
                    len({event.pair for event in events if isinstance(event, CandleUpdate)}) == len(open_pairs)
                )
            )

    first = min(each.timestamp for each in client.updates())
    seen = {each.pair for each in client.updates() if each.timestamp == first}
    assert seen == {pair for pair in open_pairs if candle(1, pair, first)}


async def test_an_address_that_is_taken_is_named(make_settings: MakeSettings) -> None:
    async with running(make_settings()) as (simulator, _):
        with pytest.raises(SettingsError, match=f"SIM_HOST:SIM_PORT='127.0.0.1:{simulator.port}': cannot be served"):
            async with Simulator(make_settings(), port=simulator.port):
                pass


def test_a_dialect_that_does_not_exist_is_named(make_settings: MakeSettings) -> None:
    with pytest.raises(SettingsError, match="dialects='mtgox': expected some of blockchain, kraken"):
        Simulator(make_settings(), dialects=["mtgox"])
