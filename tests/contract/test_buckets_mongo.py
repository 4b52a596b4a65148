"""Computed candles on a real server that speaks MongoDB's protocol."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from ingest.candle import Candle, Interval, Series, State
from ingest.revision import rank_of
from tests.conftest import make_candle
from workers.buckets import Buckets, Newest, Outcome, levels_of
from workers.documents import Document
from workers.errors import StoreUnavailable
from workers.rollup import LEVELS, Bucket
from workers.store import CandleStore

MINUTES = Series("sim", "BTC-USD", Interval.M1)
DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z
MINUTE_MS = 60_000


def minute(number: int, state: State = State.FINAL, **fields: Any) -> Candle:
    """The numbered minute of the day, each with values of its own."""
    base = Decimal(1000 + number * 7 % 60)
    values = {"open": base, "high": base + 3, "low": base - 2, "close": base + 1, "volume": Decimal(number) / 8}
    return make_candle(timestamp=DAY_MS + number * MINUTE_MS, state=state, **(values | fields))


def of(interval: Interval) -> Series:
    return MINUTES._replace(interval=interval)


def recompute_day(store: CandleStore) -> dict[Interval, Counter[Outcome]]:
    """Every candle of the day, level by level."""
    found: dict[Interval, Counter[Outcome]] = {interval: Counter() for interval in LEVELS}
    newest = Newest()
    last = store.edges([MINUTES], newest=True)[MINUTES]
    newest.learn(MINUTES, last)
    for part in levels_of((MINUTES, DAY_MS + number * MINUTE_MS) for number in range(1440)):
        found[part[0].series.interval] += store.recompute(part, newest)
    return found


def plainly(minutes: Sequence[Candle], interval: Interval) -> list[tuple[int, tuple[Decimal, ...], int]]:
    """Open time, values and minutes of each candle, from the minutes themselves."""
    found: list[tuple[int, tuple[Decimal, ...], int]] = []
    for opens in range(DAY_MS, DAY_MS + 86_400_000, interval.milliseconds):
        mine = [each for each in minutes if opens <= each.timestamp < opens + interval.milliseconds]
        if mine:
            high, low = max(each.high for each in mine), min(each.low for each in mine)
            volume = sum((each.volume for each in mine), Decimal(0))
            found.append((opens, (mine[0].open, high, low, mine[-1].close, volume), len(mine)))
    return found


def stored(client: MongoClient[Document], database: str, interval: Interval) -> list[tuple[int, Any, int]]:
    """The same of the store, and nothing but what is really there."""
    documents = client[database].candles.find({"interval": interval.value}).sort("_id", 1)
    names = ("open", "high", "low", "close", "volume")
    return [(each["timestamp"], tuple(each[n].to_decimal() for n in names), each["minutes"]) for each in documents]


def test_every_level_is_what_the_minutes_say(store: CandleStore, client: MongoClient[Document], database: str) -> None:
    minutes = [minute(number) for number in range(1440) if number % 97]
    assert store.write(minutes) == []

    recompute_day(store)

    found = {interval: stored(client, database, interval) for interval in LEVELS}
    assert found == {interval: plainly(minutes, interval) for interval in LEVELS}
    # A minute that is missing may have been missed, so nothing that holds it is final.
    fives = store.find(of(Interval.M5), limit=300, newest_first=False)
    lacking = {DAY_MS + number // 5 * 5 * MINUTE_MS for number in range(0, 1440, 97)}
    assert {each.timestamp for each in fives if each.state is State.PROVISIONAL} == lacking
    assert {each.state for each in fives if each.timestamp not in lacking} == {State.FINAL}


def test_the_last_attempt_counts_too(store: CandleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.buckets._ATTEMPTS", 1)
    minutes = [minute(number) for number in range(7)]
    assert store.write(minutes) == []

    store.roll_up(minutes)

    assert [each.minutes for each in store.find(of(Interval.M5), limit=9, newest_first=False)] == [5, 2]


def test_what_is_right_is_left_alone(store: CandleStore) -> None:
    assert store.write([minute(number) for number in range(60)]) == []
    recompute_day(store)
    before = {interval: store.find(of(interval), limit=20) for interval in LEVELS}

    again = recompute_day(store)

    assert {interval: +counts for interval, counts in again.items()} == {
        interval: Counter(unchanged=held, empty=86_400_000 // interval.milliseconds - held)
        for interval, held in {interval: max(1, 60 * MINUTE_MS // interval.milliseconds) for interval in LEVELS}.items()
    }
    assert {interval: store.find(of(interval), limit=20) for interval in LEVELS} == before


def test_a_corrected_minute_moves_all_that_hold_it_forward(store: CandleStore) -> None:
    assert store.write([minute(number) for number in range(1440)]) == []
    recompute_day(store)
    (before,) = store.find(of(Interval.D1), limit=1)

    corrected = minute(700, State.CORRECTED, high=Decimal(5000))
    assert store.write([corrected]) == []
    found = recompute_day(store)

    assert {counts[Outcome.WRITTEN] for counts in found.values()} == {1}
    (after,) = store.find(of(Interval.D1), limit=1)
    assert (before.state, after.state, after.high) == (State.FINAL, State.CORRECTED, Decimal(5000))
    assert after.rev > before.rev
    assert rank_of(after.rev) == State.CORRECTED.rank


def test_a_running_candle_is_open_until_its_own_end_is_closed(store: CandleStore) -> None:
    def state_after(*minutes: Candle) -> State:
        assert store.write(minutes) == []
        recompute_day(store)
        (found,) = store.find(of(Interval.M5), limit=1)
        return found.state

    states = [
        state_after(*(minute(number) for number in range(4)), minute(4, State.OPEN)),
        state_after(minute(4, State.PROVISIONAL)),
        state_after(minute(4, State.FINAL)),
    ]

    assert states == [State.OPEN, State.PROVISIONAL, State.FINAL]


def test_what_can_no_longer_be_computed_is_kept(
    store: CandleStore, client: MongoClient[Document], database: str
) -> None:
    assert store.write([minute(number) for number in range(10)]) == []
    recompute_day(store)
    before = store.find(of(Interval.M5), limit=10)

    client[database].candles.delete_many({"interval": "1m", "timestamp": {"$lt": DAY_MS + 7 * MINUTE_MS}})
    found = recompute_day(store)

    assert found[Interval.M5][Outcome.UNCHANGED] == 2
    assert store.find(of(Interval.M5), limit=10) == before


def test_of_many_writers_the_last_has_seen_everything(store: CandleStore) -> None:
    assert store.write([minute(number, State.PROVISIONAL) for number in range(5)]) == []
    go = threading.Barrier(4)
    failed: list[BaseException] = []

    def correct(writer: int) -> None:
        try:
            go.wait(10)
            for step in range(10):
                high = Decimal(2000 + 4 * step + writer)
                written_us = 1_700_000_000_000_000 + 4 * step + writer
                change = minute(writer, State.CORRECTED, high=high, written_us=written_us)
                assert store.write([change]) == []
                store.recompute([Bucket(of(Interval.M5), DAY_MS)], Newest())
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=correct, args=(number,)) for number in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(60)

    assert failed == []
    (found,) = store.find(of(Interval.M5), limit=1)
    assert found.high == Decimal(2000 + 4 * 9 + 3)
    assert store.recompute([Bucket(of(Interval.M5), DAY_MS)], Newest()) == Counter(unchanged=1)


def test_a_candle_whose_last_minute_never_came_is_closed_by_what_comes_after_it(store: CandleStore) -> None:
    before, after = [minute(number) for number in range(3)], minute(61)

    assert store.write(before) == []
    store.roll_up(before)
    running = {interval: store.find(of(interval), limit=1)[0].state for interval in LEVELS}
    assert store.write([after]) == []
    store.roll_up([after])

    found = {interval: store.find(of(interval), limit=10, newest_first=False) for interval in LEVELS}
    assert set(running.values()) == {State.OPEN}
    over = {Interval.M5, Interval.M15, Interval.M30, Interval.H1}
    assert {interval for interval, candles in found.items() if candles[0].state is State.PROVISIONAL} == over
    assert {candles[-1].state for candles in found.values()} == {State.OPEN}
    assert [candles[0].minutes for candles in found.values()] == [3, 3, 3, 3, 4, 4]


def test_history_that_comes_late_is_over_at_once(store: CandleStore) -> None:
    assert store.write([minute(100)]) == []
    late = [minute(number) for number in range(3)]
    assert store.write(late) == []

    store.roll_up(late)

    (five,) = store.find(of(Interval.M5), limit=1)
    assert (five.state, five.minutes) == (State.PROVISIONAL, 3)


@pytest.mark.parametrize("dies", [False, True], ids=["it looks", "it dies before it looks"])
def test_a_candle_that_another_writer_overtakes_while_it_is_made_is_closed(
    store: CandleStore, client: MongoClient[Document], database: str, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    first, second = [minute(number) for number in range(3)], minute(61)
    other = CandleStore(client, database, "candles")
    learn, close_overtaken = Buckets._learn, Buckets._close_overtaken
    asked: list[Series] = []
    happened: list[str] = []

    def learn_and_be_overtaken(buckets: Buckets, newest: Newest, all_minutes: Sequence[Series]) -> None:
        learn(buckets, newest, all_minutes)
        if all_minutes and not asked:
            asked.extend(all_minutes)
            assert other.write([second]) == []
            other.roll_up([second])
            happened.append("overtaken")

    def die(buckets: Buckets, made: Mapping[Bucket, Candle], newest: Newest) -> Counter[Outcome]:
        if dies and happened == ["overtaken"] and made:
            happened.append("died")
            raise PyMongoError("nobody looks")
        return close_overtaken(buckets, made, newest)

    assert store.write(first) == []
    monkeypatch.setattr(Buckets, "_learn", learn_and_be_overtaken)
    monkeypatch.setattr(Buckets, "_close_overtaken", die)
    if dies:
        with pytest.raises(StoreUnavailable):
            store.roll_up(first)
    store.roll_up(first)

    assert (asked, happened) == ([MINUTES], ["overtaken", "died"] if dies else ["overtaken"])
    found = {interval: store.find(of(interval), limit=10, newest_first=False) for interval in LEVELS}
    over = {Interval.M5, Interval.M15, Interval.M30, Interval.H1}
    assert {interval for interval, candles in found.items() if candles[0].state is State.PROVISIONAL} == over


@pytest.mark.parametrize("damage", [Decimal128("NaN"), Int64(0)], ids=str)
def test_a_minute_that_cannot_be_computed_with_is_none(
    store: CandleStore, client: MongoClient[Document], database: str, damage: Decimal128 | Int64
) -> None:
    minutes = [minute(number) for number in range(3)]
    assert store.write(minutes) == []
    changed = {"$set": {"timestamp" if isinstance(damage, Int64) else "open": damage}}
    assert client[database].candles.update_one({"timestamp": DAY_MS}, changed).modified_count == 1

    store.roll_up(minutes)

    assert {interval: store.find(of(interval), limit=1)[0].minutes for interval in LEVELS} == dict.fromkeys(LEVELS, 2)


def test_a_document_that_is_no_candle_holds_up_nothing_else(
    store: CandleStore, client: MongoClient[Document], database: str
) -> None:
    minutes = [minute(number, State.PROVISIONAL) for number in range(10)]
    assert store.write(minutes) == []
    store.roll_up(minutes)
    damaged = {"$set": {"open": "much"}}
    for interval, opens in (("1m", DAY_MS), ("5m", DAY_MS + 5 * MINUTE_MS)):
        changed = client[database].candles.update_one({"interval": interval, "timestamp": opens}, damaged)
        assert changed.modified_count == 1
    corrected = [minute(number, State.CORRECTED, high=Decimal(5000)) for number in (1, 6)]
    assert store.write(corrected) == []

    store.roll_up(corrected)

    (five,) = store.find(of(Interval.M5), until_ms=DAY_MS, limit=1)
    left_alone = client[database].candles.find_one({"interval": "5m", "timestamp": DAY_MS + 5 * MINUTE_MS})
    assert (five.high, five.minutes) == (Decimal(5000), 4)
    assert left_alone is not None
    assert left_alone["open"] == "much"
