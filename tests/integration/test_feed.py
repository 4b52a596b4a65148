"""The socket loop against the simulated exchange and its faults, on real sockets; Kafka is scripted."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from ingest.backoff import Backoff
from ingest.candle import State
from ingest.clock import SystemClock
from ingest.events import EventKind, FeedState
from ingest.exchanges.base import Adapter, KeepAlive, Subscribed
from ingest.exchanges.blockchain import ORIGIN, PATH, BlockchainAdapter
from ingest.feed import OPENING_BURST, Feed
from ingest.intake import Intake
from ingest.producer import CandleProducer
from ingest.revision import HybridClock
from ingest.settings import Settings
from ingest.simulator.server import Simulator
from ingest.tail import Tail
from ingest.topics import DEAD_LETTERS
from tests.unit.ingest.scripted import Produced, ScriptedAdapter, ScriptedKafka, update

pytestmark = pytest.mark.anyio

PAIRS = ("BTC-USD", "ETH-USD")


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the feed is written for."""
    return "asyncio"


class Following:
    """A feed that runs, and what it gave to Kafka."""

    def __init__(self, adapter: Adapter, pairs: tuple[str, ...]) -> None:
        self.kafka = ScriptedKafka(room=1_000_000)
        clock = SystemClock()
        self.intake = Intake(
            "sim",
            adapter,
            pairs,
            producer=CandleProducer(lambda: self.kafka, clock),
            revisions=HybridClock(clock.now_us),
            clock=clock,
            tail=Tail(),
        )
        quick = Backoff(first_seconds=0.01, cap_seconds=0.05, jitter=random.Random(1))
        self.task = asyncio.create_task(Feed(self.intake, backoff=quick).run())

    def told(self, kind: EventKind) -> list[Any]:
        self.kafka.report_all()
        return self.kafka.told(kind)

    def states(self) -> list[State]:
        self.kafka.report_all()
        return [candle.state for candle in self.kafka.candles()]

    def letters(self) -> list[Produced]:
        """The acknowledged dead letters."""
        return [record for record in self.kafka.log if record.topic == DEAD_LETTERS]

    async def until(self, claim: str, holds: Callable[[], object], timeout_seconds: float = 20.0) -> None:
        """Wait for a condition; fail with the claim when it does not come true, or with the feed's own error."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not holds():
                    if self.task.done():
                        self.task.result()
                    await asyncio.sleep(0.01)
                return
        pytest.fail(f"not within {timeout_seconds:g} s: {claim}")


@contextlib.asynccontextmanager
async def following(adapter: Adapter, pairs: tuple[str, ...] = PAIRS) -> AsyncIterator[Following]:
    follower = Following(adapter, pairs)
    try:
        yield follower
    finally:
        follower.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follower.task


@contextlib.asynccontextmanager
async def simulated(directory: Path) -> AsyncIterator[tuple[Simulator, BlockchainAdapter]]:
    """A market that runs sixty times as fast as the clock, and an adapter for it."""
    settings = Settings(
        exchange=("sim",),
        sim_start="-10h",
        sim_speed=Decimal(60),
        sim_updates=30,
        sim_state=directory / "simulator.json",
    )
    async with Simulator(settings, port=0) as simulator:
        yield simulator, BlockchainAdapter(f"ws://127.0.0.1:{simulator.port}{PATH}")


@contextlib.asynccontextmanager
async def exchange(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[ScriptedAdapter]:
    """An exchange that does what the handler says with each connection."""
    async with serve(handler, "127.0.0.1", 0, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield ScriptedAdapter(url=f"ws://127.0.0.1:{port}")


async def test_follows_a_market(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (_, adapter), following(adapter) as feed:
        await feed.until("candles were closed", lambda: feed.states().count(State.FINAL) >= 4)

        assert {candle.pair for candle in feed.kafka.candles()} == set(PAIRS)
        assert State.PROVISIONAL not in feed.states()
        assert feed.told(EventKind.GAP) == []


async def test_lost_frames_lead_to_a_new_connection_and_a_gap(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (simulator, adapter), following(adapter) as feed:
        await feed.until("a candle came", feed.states)
        simulator.faults.skip = 1

        await feed.until("a gap was told", lambda: feed.told(EventKind.GAP))

        [gap] = feed.told(EventKind.GAP)
        assert gap.pairs == PAIRS
        assert gap.gap_from < gap.gap_to
        assert "expected" in feed.told(EventKind.DISCONNECTED)[0].reason


async def test_a_connection_cut_in_two_is_made_anew(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (simulator, adapter), following(adapter) as feed:
        await feed.until("the feed is seen", lambda: feed.intake._sight.seen())
        simulator.drop_connections()

        await feed.until("a gap was told", lambda: feed.told(EventKind.GAP))

        assert [event.event for event in feed.kafka.events() if event.event is not EventKind.BEAT] == [
            EventKind.CONNECTED,
            EventKind.DISCONNECTED,
            EventKind.CONNECTED,
            EventKind.GAP,
        ]


async def test_silence_is_noticed_although_the_exchange_answers_pings(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (simulator, adapter), following(adapter) as feed:
        adapter.silence_seconds = 1.0
        await feed.until("a candle came", feed.states)
        simulator.faults.silent = True

        await feed.until("the connection was given up", lambda: feed.told(EventKind.DISCONNECTED))

        assert feed.told(EventKind.DISCONNECTED)[0].reason == "no frame for 1 s"
        assert FeedState.STALE in [event.feed for event in feed.told(EventKind.BEAT)]


async def test_a_stop_at_the_moment_in_which_a_connection_ends_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulated(tmp_path) as (simulator, adapter), following(adapter) as feed:
        adapter.silence_seconds = 1.0
        await feed.until("a candle came", feed.states)
        monkeypatch.setattr(feed.intake, "ended", lambda _reason: feed.task.cancel())
        simulator.faults.silent = True

        await asyncio.wait([feed.task], timeout=10)

        assert feed.task.cancelled()


async def test_a_frame_cut_in_half_costs_nothing_but_itself(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (simulator, adapter), following(adapter) as feed:
        await feed.until("a candle came", feed.states)
        simulator.faults.injected.append({"event": "updated", "channel": "prices", "symbol": "BTC-USD", "price": 7})
        await feed.until("it became a dead letter", lambda: feed.states() and feed.letters())
        candles = len(feed.states())
        await feed.until("candles go on", lambda: len(feed.states()) > candles)

        assert (len(feed.letters()), feed.told(EventKind.DISCONNECTED)) == (1, [])


async def test_an_unknown_pair_is_named_and_the_others_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ingest.intake")
    async with simulated(tmp_path) as (_, adapter), following(adapter, ("BTC-USD", "NO-SUCH")) as feed:
        await feed.until("a candle came", feed.states)

        assert [(record.msg, record.__dict__["pair"]) for record in caplog.records] == [
            ("subscription rejected, following the others", "NO-SUCH")
        ]


async def test_a_refused_upgrade_is_explained_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ingest.feed")
    async with simulated(tmp_path) as (_, adapter):
        adapter.origin = "https://elsewhere.example"
        async with following(adapter) as feed:
            await feed.until("it was refused", lambda: caplog.records)
            adapter.origin = ORIGIN

            await feed.until("it was tried again with success", feed.states)

    assert [record.__dict__["reason"] for record in caplog.records if record.name == "ingest.feed"] == [
        "HTTP 400: The value of HTTP header 'Origin' was malformed:\nInvalid Origin header"
    ]


async def test_an_exchange_that_is_not_there_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ingest.feed")
    adapter = ScriptedAdapter(url="ws://127.0.0.1:9", meanings={"all": [Subscribed("BTC-USD"), update(0)]})

    async def answer(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send("all")
        await socket.wait_closed()

    async with following(adapter, ("BTC-USD",)) as feed:
        await feed.until("it is missed", lambda: caplog.records)
        async with exchange(answer) as found:
            adapter.url = found.url

            await feed.until("its candle came", feed.states)

    assert "cannot connect, trying on" in caplog.records[0].msg


async def test_many_opening_frames_are_paced() -> None:
    arrivals: list[float] = []

    async def count(socket: ServerConnection) -> None:
        async for _ in socket:
            arrivals.append(asyncio.get_running_loop().time())

    async with exchange(count) as adapter:
        many = OPENING_BURST + 5
        adapter.connect = lambda pairs, interval: _Talkative(many)  # type: ignore[method-assign,assignment,return-value]
        async with following(adapter) as feed:
            await feed.until("all frames arrived", lambda: len(arrivals) == many)

    # At most 1,200 a minute once the burst is over.
    assert arrivals[-1] - arrivals[OPENING_BURST - 1] >= 5 * 60 / 1200 * 0.9


async def test_keeps_the_connection_alive_with_the_frames_of_the_exchange() -> None:
    heard: list[str | bytes] = []

    async def listen(socket: ServerConnection) -> None:
        async for frame in socket:
            heard.append(frame)

    async with exchange(listen) as adapter:
        adapter.keepalive = KeepAlive("ping", 0.02)
        async with following(adapter) as feed:
            await feed.until("two were sent", lambda: heard.count("ping") >= 2)

    assert heard[0] == "follow BTC-USD ETH-USD"


async def test_stops_at_once_although_the_exchange_is_stuck() -> None:
    stuck = asyncio.Event()

    async def hang(socket: ServerConnection) -> None:
        socket.transport.pause_reading()  # never sees the close frame
        await stuck.wait()
        socket.transport.abort()

    async with exchange(hang) as adapter:
        async with following(adapter) as feed:
            await feed.until("it is connected", lambda: feed.told(EventKind.CONNECTED))
            began = asyncio.get_running_loop().time()
        took = asyncio.get_running_loop().time() - began
        stuck.set()

    assert took < 3
    assert feed.told(EventKind.DISCONNECTED)[0].reason == "stopped"


class _Talkative:
    def __init__(self, frames: int) -> None:
        self._frames = frames

    def opening_frames(self) -> list[str]:
        return [f"follow {number}" for number in range(self._frames)]

    def receive(self, frame: str | bytes) -> list[Any]:
        return []
