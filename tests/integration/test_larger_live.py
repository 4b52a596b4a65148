"""What the bridge of the live side's larger candles publishes, and when, on a real Redis and a real store."""

import json
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import MongoClient

from ingest.candle import Candle, Interval, Series, State
from ingest.codec import encode_candle
from tests.conftest import FakeClock, make_candle
from tests.integration.tcp_forwarder import Forwarder
from workers.documents import Document, document_of
from workers.larger_live import UNWATCHED_SECONDS, LargerLive
from workers.live import LiveSide, candles_channel, candles_key
from workers.rollup import LEVELS
from workers.store import CandleStore
from workers.tower_loader import ASK_AGAIN_SECONDS

DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    """A client of Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def minutes(client: "redis.Redis") -> Iterator[Series]:
    """A pair that no other test has."""
    series = Series(f"t{uuid.uuid4().hex[:12]}", "BTC-USD", Interval.M1)
    yield series
    for key in client.scan_iter(f"live:{{{series.exchange}|*"):
        client.delete(key)


@pytest.fixture
def mongo(mongo_uri: str) -> Iterator[MongoClient[Document]]:
    """A client of the store's server."""
    with MongoClient[Document](mongo_uri) as client:
        yield client


@pytest.fixture
def larger(client: "redis.Redis", store: CandleStore, clock: FakeClock) -> LargerLive:
    """What a bridge has when it starts."""
    return LargerLive(client, LiveSide(client, 60), lambda: store, clock.monotonic)


def minute(minutes: Series, number: int, state: State) -> Candle:
    return make_candle(**minutes._asdict(), timestamp=DAY_MS + number * 60_000, state=state)


def rows(*candles: Candle, first: int = 100) -> list[tuple[int, str]]:
    return [(offset, encode_candle(candle).decode()) for offset, candle in enumerate(candles, first)]


def held(client: "redis.Redis", minutes: Series) -> dict[str, int]:
    """Each interval to the number of minutes of the candle that the live side holds of it."""
    found = {}
    for interval in LEVELS:
        text = client.hget(candles_key(minutes._replace(interval=interval)), str(DAY_MS))
        if text is not None:
            found[interval.value] = json.loads(text).get("minutes", 1)
    return found


def all_of(count: int) -> dict[str, int]:
    return dict.fromkeys(map(str, LEVELS), count)


def test_what_nobody_watches_is_owed_until_it_is_published(
    larger: LargerLive, client: "redis.Redis", clock: FakeClock, minutes: Series
) -> None:
    partition = larger.begin()

    taken = partition(rows(minute(minutes, 0, State.OPEN)))
    larger.upkeep()
    before = (taken, partition.owed_from, held(client, minutes))
    clock.advance(UNWATCHED_SECONDS + 1)
    larger.upkeep()

    assert before == ([], 100, {})
    assert (partition.owed_from, held(client, minutes)) == (None, all_of(1))


def test_what_somebody_begins_to_watch_is_published_at_once(
    larger: LargerLive, client: "redis.Redis", minutes: Series
) -> None:
    partition = larger.begin()
    partition(rows(minute(minutes, 0, State.OPEN)))

    with client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
        pubsub.subscribe(candles_channel(minutes._replace(interval=Interval.H1)))
        assert pubsub.get_message(timeout=5) is not None
        larger.upkeep()

    assert (partition.owed_from, held(client, minutes)) == (None, all_of(1))


def test_the_first_row_that_is_owed_counts(larger: LargerLive, minutes: Series) -> None:
    partition = larger.begin()

    partition(rows(minute(minutes, 0, State.OPEN)))
    partition(rows(minute(minutes, 1, State.OPEN), first=200))

    assert partition.owed_from == 100


def test_pairs_that_are_owed_stay_and_kafka_holds_the_rows_of_others(
    larger: LargerLive, client: "redis.Redis", minutes: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.larger_live.MAX_TOWERS", 2)
    first, second, third = (minutes._replace(pair=pair) for pair in ("BTC-USD", "ETH-USD", "LTC-USD"))
    partition = larger.begin()

    taken = partition(rows(*(minute(series, 0, State.FINAL) for series in (first, second))))
    refused = partition(rows(minute(third, 0, State.FINAL), first=102)), partition.owed_from
    larger.upkeep()
    afterwards = partition(rows(minute(third, 0, State.FINAL), first=102))
    larger.upkeep()

    assert (taken, refused, afterwards) == ([], (None, 100), [])
    assert (partition.owed_from, [held(client, series) for series in (first, second, third)]) == (None, [all_of(1)] * 3)


def test_more_pairs_in_one_batch_than_are_kept_are_published(
    larger: LargerLive, client: "redis.Redis", minutes: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.larger_live.MAX_TOWERS", 1)
    all_series = [minutes._replace(pair=pair) for pair in ("BTC-USD", "ETH-USD")]
    partition = larger.begin()

    taken = partition(rows(*(minute(series, 0, State.FINAL) for series in all_series)))
    larger.upkeep()

    assert (taken, partition.owed_from) == ([], None)
    assert [held(client, series) for series in all_series] == [all_of(1)] * 2


@pytest.mark.parametrize("damage", [{"open": "much"}, {"open": Decimal128("NaN")}, {"timestamp": Int64(0)}], ids=str)
def test_a_stored_document_that_is_no_candle_holds_up_nothing_else(
    larger: LargerLive,
    client: "redis.Redis",
    store: CandleStore,
    mongo: MongoClient[Document],
    database: str,
    minutes: Series,
    damage: Document,
) -> None:
    stored = [minute(minutes, number, State.FINAL) for number in (-1, 0, 1)]
    assert store.write(stored) == []
    for candle in stored[:2]:
        document = {"_id": document_of(candle)["_id"]}
        assert mongo[database].candles.update_one(document, {"$set": damage}).modified_count == 1
    partition = larger.begin()

    partition(rows(minute(minutes, 2, State.FINAL)))
    larger.upkeep()

    assert (partition.owed_from, held(client, minutes)) == (None, all_of(2))


def test_while_redis_is_away_kafka_holds_what_no_longer_fits(
    redis_url: str, store: CandleStore, clock: FakeClock, minutes: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.larger_live.MAX_WAITING", 3)
    server = urlsplit(redis_url)
    with Forwarder((str(server.hostname), int(server.port or 6379))) as forwarder:
        forwarder.open()
        with redis.Redis(port=forwarder.port) as client:
            larger = LargerLive(client, LiveSide(client, 60), lambda: store, clock.monotonic)
            partition = larger.begin()
            closed = [minute(minutes, number, State.FINAL) for number in range(4)]
            forwarder.cut()
            taken = partition(rows(*closed[:3]))
            larger.upkeep()
            while_away = partition(rows(closed[3], first=103)), partition.owed_from
            forwarder.open()
            clock.advance(ASK_AGAIN_SECONDS)
            larger.upkeep()
            afterwards = partition(rows(closed[3], first=103))
            larger.upkeep()

            assert (taken, while_away, afterwards) == ([], (None, 100), [])
            assert (partition.owed_from, held(client, minutes)) == (None, all_of(4))


def test_who_comes_next_publishes_what_the_store_has_already(
    larger: LargerLive, client: "redis.Redis", store: CandleStore, minutes: Series
) -> None:
    closed = [minute(minutes, number, State.FINAL) for number in range(3)]
    before = larger.begin()
    before(rows(*closed[:2]))
    larger.upkeep()
    assert store.write(closed) == []
    store.roll_up(closed)

    after = larger.begin()
    after(rows(closed[2]))
    larger.upkeep()

    assert (after.owed_from, held(client, minutes)) == (None, all_of(3))
