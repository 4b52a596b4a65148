"""The store on a real server that speaks MongoDB's protocol."""

import random
import socket
import threading
import time
from decimal import Decimal

import pytest
from bson import ObjectId
from bson.int64 import Int64
from pymongo import MongoClient

from ingest.candle import Candle, Interval, Series, State
from tests.conftest import MINUTE_MS, make_candle, minute
from workers.documents import Document, document_id, series_hash
from workers.errors import SeriesCollision, StoreUnavailable
from workers.store import CandleStore, Watermark
from workers.stored_rows import StoredRow

SERIES = Series("sim", "BTC-USD", Interval.M1)


def test_ids_are_a_function_of_series_and_open_time() -> None:
    assert str(document_id(series_hash(SERIES), 1606166220000)) == "f12080219ba2160f5fbc26cc"


def test_reads_back_what_was_written(store: CandleStore) -> None:
    candles = [make_candle(number, volume=Decimal("1.50E+3"), state=State.FINAL) for number in range(3)]

    refused = store.write(candles)

    found = store.find(SERIES, limit=10)
    assert refused == []
    assert found == candles[::-1]
    assert [str(candle.volume) for candle in found] == ["1.50E+3"] * 3


def test_rows_are_the_same_candles_as_text(store: CandleStore) -> None:
    candles = [make_candle(number, volume=Decimal("1.50E+3"), state=state) for number, state in enumerate(State)]
    assert store.write([*candles, make_candle(pair="ETH-USD")]) == []

    rows = store.find_rows(SERIES, minute(1), minute(3), limit=10, newest_first=False)

    assert rows == [row_of(each) for each in candles[1:4]]


def test_rows_of_larger_candles_say_of_how_many_minutes_they_are_made(store: CandleStore) -> None:
    hours = SERIES._replace(interval=Interval.H1)
    opens = minute(0) // 3_600_000 * 3_600_000
    candles = [
        make_candle(interval=Interval.H1, timestamp=opens + number * 3_600_000, minutes=60 - number)
        for number in range(24)
    ]
    assert store.write([*candles, make_candle()]) == []

    assert store.find_rows(hours, limit=100, newest_first=False) == [row_of(each) for each in candles]


def row_of(candle: Candle) -> StoredRow:
    open_, high, low, close, volume = map(str, candle.values)
    return candle.timestamp, open_, high, low, close, volume, candle.state.value, candle.rev, candle.minutes


def test_rows_can_be_limited_to_finals(store: CandleStore) -> None:
    assert store.write([make_candle(number, state=state) for number, state in enumerate(State)]) == []

    rows = store.find_rows(SERIES, limit=10, finals_only=True)

    assert [(row[0], row[6]) for row in rows] == [(minute(4), "corrected"), (minute(3), "final")]


def test_a_document_has_the_published_shape(store: CandleStore, client: MongoClient[Document], database: str) -> None:
    store.write([make_candle()])

    document = client[database].candles.find_one()

    assert document is not None
    assert list(document) == [
        *("_id", "exchange", "pair", "interval", "timestamp"),
        *("open", "high", "low", "close", "volume", "state", "rev"),
    ]
    assert document["_id"] == ObjectId("f12080219ba2160f5fbc26cc")
    assert str(document["low"]) == "18376.035"
    assert (document["timestamp"], document["rev"]) == (MINUTE_MS, make_candle().rev)


def test_a_candle_only_moves_forward(store: CandleStore) -> None:
    versions = [make_candle(written_us=MINUTE_MS * 1000 + later, volume=Decimal(later)) for later in range(5)]

    for version in (versions[2], versions[0], versions[4], versions[1], versions[3], versions[4]):
        assert store.write([version]) == []

    assert store.find(SERIES, limit=10) == [versions[4]]


def test_versions_of_one_candle_in_one_write_leave_the_newest(store: CandleStore) -> None:
    versions = [make_candle(written_us=MINUTE_MS * 1000 + later, volume=Decimal(later)) for later in range(20)]
    random.Random(1).shuffle(versions)

    refused = store.write(versions)

    assert refused == []
    assert store.find(SERIES, limit=10) == [max(versions, key=lambda version: version.rev)]


def test_concurrent_writers_leave_the_newest(store: CandleStore) -> None:
    versions = [
        make_candle(number, written_us=MINUTE_MS * 1000 + later, volume=Decimal(later))
        for number in range(10)
        for later in range(8)
    ]
    shares = [random.Random(seed).sample(versions, len(versions)) for seed in range(4)]
    results: list[object] = []
    threads = [threading.Thread(target=lambda share=share: results.append(store.write(share))) for share in shares]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [[]] * 4
    newest = [version for version in versions if version.volume == 7]
    assert store.find(SERIES, limit=100, newest_first=False) == newest


def test_a_replay_changes_nothing_and_what_is_new_in_it_is_written(store: CandleStore) -> None:
    candles = [make_candle(number) for number in range(50)]
    newer = [make_candle(number, state=State.FINAL) for number in range(45, 55)]
    store.write(candles)

    results = [store.write(candles), store.write(candles[:45] + newer)]

    assert results == [[], []]
    assert store.find(SERIES, limit=100, newest_first=False) == candles[:45] + newer


def test_ranges_include_both_ends(store: CandleStore) -> None:
    candles = [make_candle(number) for number in range(5)]
    store.write([*candles, make_candle(pair="ETH-USD")])

    found = [
        store.find(SERIES, minute(1), minute(3), limit=10, newest_first=False),
        store.find(SERIES, minute(1) - 1, minute(3) + 1, limit=10, newest_first=False),
        store.find(SERIES, minute(1) + 1, minute(3) - 1, limit=10, newest_first=False),
        store.find(SERIES, minute(3), None, limit=10),
        store.find(SERIES, None, minute(4), limit=2),
        store.find(SERIES, -(10**30), 10**30, limit=1, newest_first=False),
        store.find(SERIES, minute(3), minute(1), limit=10),
        store.find(SERIES, None, -1, limit=10),
    ]

    assert found == [
        candles[1:4],
        candles[1:4],
        [candles[2]],
        [candles[4], candles[3]],
        [candles[4], candles[3]],
        [candles[0]],
        [],
        [],
    ]


def test_lists_series_and_their_bounds(store: CandleStore) -> None:
    # More than are looked up with one question.
    pairs = [f"P{number}-USD" for number in range(25)]
    for shift, pair in enumerate(pairs):
        store.write([make_candle(number + shift, pair=pair) for number in (7, 2, 4)])

    known = [Series("sim", pair, Interval.M1) for pair in pairs]
    asked = [*known, Series("sim", "NO-SUCH", Interval.M1)]
    assert store.series() == sorted(known)
    assert store.edges(asked, newest=True) == {series: minute(7 + shift) for shift, series in enumerate(known)}
    assert store.edges(asked, newest=False) == {series: minute(2 + shift) for shift, series in enumerate(known)}
    assert store.edges([], newest=True) == {}
    first = known[0]
    assert store.edges([first], newest=True, until_ms=minute(7) - 1) == {first: minute(4)}
    assert store.edges([first], newest=True, until_ms=minute(2) - 1) == {}


def test_reads_candles_of_several_series_by_their_ids(
    store: CandleStore, client: MongoClient[Document], database: str
) -> None:
    candles = [make_candle(number, exchange=exchange) for exchange in ("sim", "kraken") for number in range(700)]
    store.write(candles)
    damaged, absent = ids_of(candles)[5], document_id(series_hash(SERIES), minute(9999))
    client[database].candles.update_one({"_id": damaged}, {"$unset": {"close": 1}})

    found = store.read_many([*ids_of(candles), absent])

    assert found == dict(zip(ids_of(candles), candles, strict=True)) | {damaged: None}
    assert store.read_many([]) == {}


def test_reads_all_of_a_range_and_counts_by_interval(
    store: CandleStore, client: MongoClient[Document], database: str
) -> None:
    candles = [make_candle(number) for number in range(9)]
    five = make_candle(timestamp=minute(0) // 300_000 * 300_000, interval=Interval.M5)
    store.write([*candles, five, make_candle(exchange="kraken")])
    client[database].candles.update_one({"_id": ids_of(candles)[4]}, {"$unset": {"close": 1}})

    found = store.read_range(SERIES, minute(3), minute(6))

    assert found == {minute(3): candles[3], minute(4): None, minute(5): candles[5], minute(6): candles[6]}
    assert store.read_range(SERIES, minute(20), minute(10)) == {}
    assert [store.count(interval) for interval in (Interval.M1, Interval.M5, Interval.H1)] == [10, 1, 0]


def ids_of(candles: list[Candle]) -> list[ObjectId]:
    return [document_id(series_hash(candle.series), candle.timestamp) for candle in candles]


def test_a_hash_that_belongs_to_another_series_stops_the_write(
    store: CandleStore, client: MongoClient[Document], database: str
) -> None:
    other = {"exchange": "sim", "pair": "OTHER-USD", "interval": "1m"}
    client[database].series.insert_one({"_id": series_hash(SERIES), **other})

    with pytest.raises(SeriesCollision) as raised:
        store.write([make_candle()])

    assert (raised.value.series, raised.value.holder) == ("sim|BTC-USD|1m", "sim|OTHER-USD|1m")
    assert store.find(SERIES, limit=1) == []


def test_of_very_many_series_not_all_are_remembered(
    store: CandleStore, client: MongoClient[Document], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.guarded_writes.MAX_KNOWN_SERIES", 2)
    for pair in ("A-USD", "B-USD", "C-USD"):
        store.write([make_candle(pair=pair)])
    client[database]["series"].delete_many({})

    for pair in ("C-USD", "A-USD"):
        store.write([make_candle(pair=pair, state=State.FINAL)])

    # Who is remembered is not written down again for a minute.
    assert [series.pair for series in store.series()] == ["A-USD"]


def test_what_cannot_be_encoded_is_refused_and_costs_nothing_else(store: CandleStore) -> None:
    good = [make_candle(number) for number in (0, 2)]
    too_precise = make_candle(1, volume=Decimal("1." + "1" * 40))
    too_late = make_candle(timestamp=2**32 * 1000 + 60_000)

    refused = store.write([good[0], too_precise, good[1], too_late])

    assert refused is not None
    assert [index for index, _ in refused] == [1, 3]
    assert all(reason.startswith("cannot be encoded for the store") for _, reason in refused)
    assert store.find(SERIES, limit=10, newest_first=False) == good


def test_watermarks_only_rise(store: CandleStore) -> None:
    before = [store.advance_watermark("key", offset) for offset in (5, 3, 8)]

    assert (before, store.read_watermark("key")) == ([None, Watermark(5, 1), Watermark(5, 2)], Watermark(8, 3))
    assert store.read_watermark("other") is None


def test_a_watermark_of_an_older_copy_is_left_alone(store: CandleStore) -> None:
    store.advance_watermark("old", 5)

    before = [
        store.advance_watermark(key, 20, at_least=at_least)
        for key, at_least in (("old", Watermark(10)), ("old", Watermark(5, 2)), ("missing", Watermark(10)))
    ]

    assert before == [Watermark(5, 1), Watermark(5, 1), None]
    assert (store.read_watermark("old"), store.read_watermark("missing")) == (Watermark(5, 1), None)


def test_a_watermark_that_was_never_counted_is_counted_from_now_on(
    client: MongoClient[Document], database: str, store: CandleStore
) -> None:
    client[database].watermarks.insert_one({"_id": "key", "offset": Int64(5)})

    before = store.advance_watermark("key", 5, at_least=Watermark(5))

    assert (before, store.read_watermark("key")) == (Watermark(5, 0), Watermark(5, 1))


def test_a_server_that_does_not_answer_is_unavailable_within_its_time() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        uri = f"mongodb://127.0.0.1:{mute.getsockname()[1]}"
        with MongoClient[Document](uri, connectTimeoutMS=500) as client:
            store = CandleStore(client, "any", "candles", timeout_seconds=0.5)
            began_at = time.monotonic()

            written = store.write([make_candle()])
            with pytest.raises(StoreUnavailable):
                store.ping()

    assert written is None
    assert time.monotonic() - began_at < 5


def test_a_page_takes_one_round_trip(mongo_uri: str, database: str) -> None:
    from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

    commands: list[str] = []

    class Recorder(CommandListener):
        def started(self, event: CommandStartedEvent) -> None:
            commands.append(event.command_name)

        def succeeded(self, event: CommandSucceededEvent) -> None: ...

        def failed(self, event: CommandFailedEvent) -> None: ...

    with MongoClient[Document](mongo_uri, event_listeners=[Recorder()]) as client:
        store = CandleStore(client, database, "candles")
        candles: list[Candle] = [make_candle(number) for number in range(300)]
        store.write(candles)
        commands.clear()

        found = store.find(SERIES, limit=250)

    assert (len(found), commands[0], commands.count("getMore")) == (250, "find", 0)
