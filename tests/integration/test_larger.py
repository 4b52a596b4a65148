"""Larger candles through real services: the bridge that stores them, and the one that publishes them."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import redis
from pymongo import MongoClient

from ingest.candle import Candle, Interval, Series, State
from ingest.codec import encode_candle
from ingest.revision import make_rev
from tests.conftest import FakeClock, make_candle
from tests.integration.bridge_bench import BridgeBench, wait_until
from tests.integration.tcp_forwarder import Forwarder
from workers.documents import Document
from workers.larger_live import FILL_SECONDS, LOOK_SECONDS, UNWATCHED_SECONDS, LargerLive, Partition
from workers.live import candles_channel, candles_key, parse_window
from workers.policies import ROLLUP, ROLLUP_LIVE
from workers.rollup import LEVELS, bucket_of, is_over, roll_up
from workers.store import CandleStore

DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z
MINUTE_MS = 60_000


@pytest.fixture
def exchange() -> str:
    """The name of an exchange that this test alone uses: the live side is everybody's."""
    return f"t{uuid.uuid4().hex[:12]}"


def minute(exchange: str, number: int, state: State = State.FINAL, *, step: int = 0, high: int = 3) -> Candle:
    """The numbered minute of the day; ``step`` makes a later version of it."""
    base = Decimal(1000 + number * 7 % 60)
    values: Any = {"open": base, "high": base + high, "low": base - 2, "close": base + 1, "volume": Decimal(number) / 8}
    rev = make_rev(state.rank, (DAY_MS + number * MINUTE_MS) * 1000 + step)
    return make_candle(exchange=exchange, timestamp=DAY_MS + number * MINUTE_MS, state=state, **(values | {"rev": rev}))


def plainly(minutes: Sequence[Candle]) -> set[tuple[object, ...]]:
    """All larger candles of these minutes, without their revs."""
    series, newest = minutes[0].series, max(each.timestamp for each in minutes)
    level, found = list(minutes), set()
    for interval in LEVELS:
        computed = []
        for bucket in {bucket_of(series, interval, each.timestamp) for each in level}:
            parts = [each for each in level if each.timestamp in bucket.part_times]
            candle = roll_up(bucket, parts, is_over=is_over(bucket, parts, newest))
            assert candle is not None
            computed.append(candle)
        found |= {shown(each) for each in computed}
        level = computed
    return found


def shown(candle: Candle) -> tuple[object, ...]:
    return candle.series, candle.timestamp, candle.values, candle.state, candle.minutes


def larger_stored(store: CandleStore) -> set[tuple[object, ...]]:
    """All larger candles of the store."""
    every = (series for series in store.series() if series.interval is not Interval.M1)
    return {shown(candle) for series in every for candle in store.find(series, limit=10_000)}


def larger_live(client: "redis.Redis", minutes: Series) -> set[tuple[object, ...]]:
    """All larger candles of a pair on the live side."""
    found = set()
    for interval in LEVELS:
        window = parse_window(
            cast("dict[bytes, bytes]", client.hgetall(candles_key(minutes._replace(interval=interval))))
        )
        found |= {shown(candle) for _, candle in (window.candles if window else [])}
    return found


def rows(*candles: Candle) -> list[tuple[int, str]]:
    """A batch."""
    return [(offset, encode_candle(each).decode()) for offset, each in enumerate(candles)]


# -- stored ---------------------------------------------------------------------------------------------------------


def test_what_minutes_belong_to_is_stored_though_nobody_else_stores_the_minutes(
    bench: BridgeBench, exchange: str
) -> None:
    minutes = [minute(exchange, number) for number in range(100, 400) if number % 37]
    bench.start_worker()
    bench.start_bridge(ROLLUP)

    bench.produce_candles(minutes, partition=0)

    bench.wait_committed([len(minutes), -1001])
    assert larger_stored(bench.store) == plainly(minutes)
    assert len(bench.store.find(minutes[0].series, limit=1000)) == len(minutes)


def test_without_workers_the_bridge_computes_itself(bench: BridgeBench, exchange: str) -> None:
    minutes = [minute(exchange, number) for number in range(20)]
    bench.start_bridge(ROLLUP, lease_seconds=0.5)

    bench.produce_candles(minutes, partition=0)

    bench.wait_committed([len(minutes), -1001])
    assert larger_stored(bench.store) == plainly(minutes)


def test_running_candles_wait_and_what_closes_a_minute_does_not(bench: BridgeBench, exchange: str) -> None:
    bench.start_worker()
    bench.start_bridge(replace(ROLLUP, patience_seconds=3600.0))

    bench.produce_candles([minute(exchange, 1, State.OPEN, step=step) for step in range(20)], partition=0)
    bench.produce_candles([minute(exchange, 2, State.FINAL)], partition=1)
    bench.wait_committed([-1001, 1])
    before = larger_stored(bench.store)
    bench.produce_candles([minute(exchange, 1, State.FINAL)], partition=0)
    bench.wait_committed([21, 1])

    assert before == plainly([minute(exchange, 2)])
    assert larger_stored(bench.store) == plainly([minute(exchange, 1), minute(exchange, 2)])


def test_a_running_candle_is_stored_when_its_time_has_come(bench: BridgeBench, exchange: str) -> None:
    bench.start_worker()
    bench.start_bridge(replace(ROLLUP, patience_seconds=0.3))

    bench.produce_candles([minute(exchange, 1, State.OPEN)], partition=0)

    bench.wait_committed([1, -1001])
    assert larger_stored(bench.store) == plainly([minute(exchange, 1, State.OPEN)])


# -- live -----------------------------------------------------------------------------------------------------------


class Live:
    """What the bridge `rollup-live` has in memory, on the real services, with a clock of its own."""

    def __init__(self, bench: BridgeBench, clock: FakeClock, store: CandleStore | None = None) -> None:
        self.shared = LargerLive(bench.redis, bench.live, lambda: store or bench.store, clock.monotonic)
        self.partition: Partition = self.shared.begin()

    def take(self, *candles: Candle) -> None:
        """Apply a batch."""
        assert self.partition(rows(*candles)) == []
        self.shared.upkeep()


@pytest.fixture
def live(bench: BridgeBench, clock: FakeClock) -> Live:
    """A fresh one."""
    return Live(bench, clock)


def test_what_closes_a_minute_is_published_at_once(bench: BridgeBench, live: Live, exchange: str) -> None:
    minutes = [minute(exchange, number) for number in range(100, 200)]

    live.take(*minutes)

    assert larger_live(bench.redis, minutes[0].series) == plainly(minutes)


def test_a_running_minute_waits_unless_somebody_watches(
    bench: BridgeBench, live: Live, clock: FakeClock, exchange: str
) -> None:
    first, second = (minute(exchange, 7, State.OPEN, step=step, high=3 + step) for step in range(2))

    live.take(first)
    unwatched = larger_live(bench.redis, first.series)
    clock.advance(UNWATCHED_SECONDS + 1)
    live.shared.upkeep()
    waited = larger_live(bench.redis, first.series)
    pubsub = cast("Any", bench.redis).pubsub()
    pubsub.subscribe(candles_channel(first.series._replace(interval=Interval.H4)))
    pubsub.get_message(timeout=5)
    clock.advance(LOOK_SECONDS)
    live.take(second)
    pubsub.close()

    assert (unwatched, waited) == (set(), plainly([first]))
    assert larger_live(bench.redis, first.series) == plainly([second])


def test_who_begins_to_watch_is_told_at_once(bench: BridgeBench, live: Live, clock: FakeClock, exchange: str) -> None:
    running = minute(exchange, 7, State.OPEN)
    live.take(running)
    pubsub = cast("Any", bench.redis).pubsub()
    pubsub.subscribe(candles_channel(running.series._replace(interval=Interval.M5)))
    pubsub.get_message(timeout=5)

    clock.advance(LOOK_SECONDS)
    live.shared.upkeep()
    pubsub.close()

    assert larger_live(bench.redis, running.series) == plainly([running])


def running(candles: set[tuple[object, ...]], last: Candle) -> set[tuple[object, ...]]:
    """Those of them that a minute belongs to."""
    buckets = (bucket_of(last.series, interval, last.timestamp) for interval in LEVELS)
    places = {(bucket.series, bucket.timestamp) for bucket in buckets}
    return {each for each in candles if each[:2] in places}


def test_a_fresh_process_knows_what_the_live_side_and_the_store_know(
    bench: BridgeBench, clock: FakeClock, exchange: str
) -> None:
    stored = [minute(exchange, number) for number in range(8)]
    assert bench.store.write(stored) == []
    bench.store.roll_up(stored)

    for number in range(8, 17):
        last = minute(exchange, number)
        # A process for each minute: what one before it saw is on the live side, and nothing of it in the store.
        Live(bench, clock).take(last)
        bench.live.publish(last, encode_candle(last))

        expected = plainly([minute(exchange, each) for each in range(number + 1)])
        assert running(larger_live(bench.redis, last.series), last) == running(expected, last)


def test_what_was_not_computed_yet_when_it_began_is_filled_in(
    bench: BridgeBench, live: Live, clock: FakeClock, exchange: str
) -> None:
    before, last = [minute(exchange, number) for number in range(90)], minute(exchange, 90)
    live.take(last)
    assert bench.store.write([*before, last]) == []
    bench.store.roll_up([*before, last])

    clock.advance(FILL_SECONDS + 1)
    live.shared.upkeep()
    clock.advance(UNWATCHED_SECONDS + 1)
    live.shared.upkeep()

    assert larger_live(bench.redis, last.series) >= running(plainly([*before, last]), last)


def test_a_correction_of_long_ago_moves_everything_that_holds_it(bench: BridgeBench, live: Live, exchange: str) -> None:
    minutes = [minute(exchange, number) for number in range(300)]
    assert bench.store.write(minutes) == []
    live.take(*minutes)
    corrected = minute(exchange, 9, State.CORRECTED, step=10**9, high=500)

    live.take(corrected)

    expected = {each for each in plainly([*minutes[:9], corrected, *minutes[10:]]) if each[4] != 240}
    held = larger_live(bench.redis, corrected.series)
    # The window holds the newest 60 of each interval.
    assert {each for each in expected if each[3] is State.CORRECTED} <= held


def test_without_the_store_what_has_begun_goes_on(
    bench: BridgeBench, clock: FakeClock, exchange: str, mongo_uri: str
) -> None:
    server = urlsplit(mongo_uri)
    with Forwarder((str(server.hostname), int(server.port or 27017))) as forwarder:
        uri = f"mongodb://127.0.0.1:{forwarder.port}"
        with MongoClient[Document](uri, connectTimeoutMS=500) as client:
            forwarder.open()
            live = Live(bench, clock, CandleStore(client, bench.database, "candles", timeout_seconds=3.0))
            known, other = (
                [minute(exchange, number) for number in range(30)],
                make_candle(exchange=exchange, pair="ETH-USD", timestamp=DAY_MS, state=State.FINAL),
            )
            live.take(*known[:3])
            assert larger_live(bench.redis, known[0].series) == plainly(known[:3])
            forwarder.cut()
            live.take(*known[3:], other)
            without = larger_live(bench.redis, known[0].series), larger_live(bench.redis, other.series)
            forwarder.open()

            def is_published() -> bool:
                clock.advance(UNWATCHED_SECONDS + 1)
                live.shared.upkeep()
                return bool(larger_live(bench.redis, other.series))

            wait_until(is_published, "the other pair is published")

    assert without == (plainly(known), set())
    assert larger_live(bench.redis, other.series) == plainly([other])


def test_what_redis_did_not_take_is_published_later(bench: BridgeBench, clock: FakeClock, exchange: str) -> None:
    minutes = [minute(exchange, number) for number in range(5)]
    live = Live(bench, clock)
    live.take(*minutes[:1])
    taken = bench.live.publish_all

    def lost(candles: object) -> Any:
        raise redis.ConnectionError("away")

    bench.live.publish_all = lost  # type: ignore[method-assign]
    live.take(*minutes[1:])
    owed_meanwhile = live.partition.owed_from
    bench.live.publish_all = taken  # type: ignore[method-assign]
    live.shared.upkeep()

    assert (owed_meanwhile, live.partition.owed_from) == (0, None)

    assert larger_live(bench.redis, minutes[0].series) == plainly(minutes)


def test_the_bridge_publishes_and_commits(bench: BridgeBench, exchange: str) -> None:
    minutes = [minute(exchange, number) for number in range(60)]
    bench.start_bridge(ROLLUP_LIVE)

    bench.produce_candles(minutes, partition=0)

    bench.wait_committed([60, 0])
    assert larger_live(bench.redis, minutes[0].series) == plainly(minutes)
