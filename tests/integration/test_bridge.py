"""Bridges and workers on real services: whatever is lost on the way, what Kafka has arrives."""

import json
import random
import threading
import time
from decimal import Decimal
from typing import cast
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient

from ingest.candle import Candle, State
from ingest.codec import encode_candle, encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.kafka import client_config
from ingest.topics import CANDLES, FEEDS
from tests.conftest import MINUTE_MS, make_candle
from tests.integration.bridge_bench import (
    FANOUT,
    PATIENCE_SECONDS,
    BridgeBench,
    Running,
    wait_until,
)
from tests.integration.tcp_forwarder import Forwarder
from workers import metrics
from workers.assigned import Assigned
from workers.assignment import Assignment
from workers.broker import make_broker
from workers.commits import TRUST_SECONDS
from workers.documents import Document, series_hash
from workers.errors import SeriesCollision
from workers.live import candles_channel, candles_key, parse_window
from workers.store import CandleStore, Watermark


def versions(count: int, seed: int = 1) -> list[Candle]:
    """So many versions of a tenth as many candles, out of order."""
    made = [
        make_candle(number % (count // 10), written_us=MINUTE_MS * 1000 + number, volume=Decimal(number))
        for number in range(count)
    ]
    random.Random(seed).shuffle(made)
    return made


def headers_of(letter: Message) -> dict[str, bytes]:
    headers = cast("list[tuple[str, bytes]]", letter.headers())
    return dict(headers)


def queue_dead(running: Running) -> bool:
    return running.bridge._leases.queue_dead


def records_read(bench: BridgeBench) -> float:
    return float(metrics.BRIDGE_RECORDS.labels("persist", bench.topics[CANDLES])._value.get())


def test_every_candle_arrives_in_its_newest_version_and_is_committed(bench: BridgeBench) -> None:
    candles = versions(2000)
    bench.produce_candles(candles)
    bench.start_worker()
    running = bench.start_bridge()

    bench.wait_stored(candles)
    bench.wait_committed([1000, 1000])
    running.stop()


def test_candles_arrive_within_15_seconds_without_workers(bench: BridgeBench) -> None:
    candles = versions(100)
    running = bench.start_bridge(lease_seconds=5.0)

    bench.produce_candles(candles)
    bench.wait_stored(candles, seconds=15)
    bench.wait_committed([50, 50])
    running.stop()


def test_candles_do_not_wait_for_leases_once_the_queue_is_dead(bench: BridgeBench) -> None:
    lease_seconds = 3.0
    first, later = versions(100), [make_candle(number) for number in range(100, 110)]
    running = bench.start_bridge(lease_seconds=lease_seconds)
    bench.produce_candles(first)
    bench.wait_stored(first)
    assert queue_dead(running)

    for number, candle in enumerate(later, start=1):
        bench.produce_candles([candle])
        bench.wait_stored(first + later[:number], seconds=lease_seconds)


def test_candles_arrive_without_redis(bench: BridgeBench) -> None:
    candles = versions(100)
    nobody = make_broker("redis://127.0.0.1:1/0", retries=0)
    bench.produce_candles(candles)
    running = bench.start_bridge(broker=nobody)

    bench.wait_stored(candles)
    bench.wait_committed([50, 50])
    running.stop()


def test_a_redis_that_loses_its_data_loses_no_candle(bench: BridgeBench) -> None:
    candles = versions(500)
    bench.produce_candles(candles)
    bench.start_bridge()
    wait_until(lambda: bench.redis.llen(f"{bench.namespace}:persist"), "jobs in the queue")

    bench.lose_redis_data()
    bench.start_worker()

    bench.wait_stored(candles)
    bench.wait_committed([250, 250])


def test_workers_are_used_again_when_they_come_back(bench: BridgeBench) -> None:
    before, more = versions(100), [make_candle(number) for number in range(100, 300)]
    running = bench.start_bridge(lease_seconds=0.5)
    bench.produce_candles(before)
    bench.wait_stored(before)
    assert queue_dead(running)
    # Without it the jobs that waited would be completed and tell the same.
    bench.lose_redis_data()

    bench.start_worker()
    sent = 0
    while queue_dead(running):
        assert sent < 100, "no probe was completed within 20 s"
        bench.produce_candles(more[sent : sent + 1])
        sent += 1
        time.sleep(0.2)
    itself = metrics.BRIDGE_APPLIED_ITSELF.labels("persist")
    applied_itself = itself._value.get()
    bench.produce_candles(more)
    bench.wait_stored(before + more)

    assert itself._value.get() == applied_itself


def test_nothing_is_committed_while_the_store_does_not_answer(bench: BridgeBench, mongo_uri: str) -> None:
    server = urlsplit(mongo_uri)
    candles = versions(300)
    with Forwarder((str(server.hostname), int(server.port or 27017))) as forwarder:
        uri = f"mongodb://127.0.0.1:{forwarder.port}"
        with MongoClient[Document](uri, connectTimeoutMS=500) as client:
            store = CandleStore(client, bench.database, "candles", timeout_seconds=1.0)
            forwarder.open()
            running = bench.start_bridge(store=store)
            first = candles[:10]
            bench.produce_candles(first)
            bench.wait_stored(first)
            bench.wait_committed([5, 5])

            forwarder.cut()
            bench.produce_candles(candles[10:])
            wait_until(lambda: records_read(bench) == 300, "everything to be read")
            time.sleep(2.5)
            committed_meanwhile = bench.committed()
            forwarder.open()

            bench.wait_stored(candles)
            bench.wait_committed([150, 150])
            running.stop()
    assert committed_meanwhile == [5, 5]


def test_a_bridge_waits_for_a_store_that_is_away_when_it_starts(bench: BridgeBench, mongo_uri: str) -> None:
    server = urlsplit(mongo_uri)
    candles = versions(50)
    bench.produce_candles(candles)
    with Forwarder((str(server.hostname), int(server.port or 27017))) as forwarder:
        uri = f"mongodb://127.0.0.1:{forwarder.port}"
        with MongoClient[Document](uri, connectTimeoutMS=500) as client:
            running = bench.start_bridge(store=CandleStore(client, bench.database, "candles", timeout_seconds=0.5))
            bench.start_worker()
            time.sleep(2)
            stored_meanwhile = bench.stored()

            forwarder.open()
            bench.wait_stored(candles)
            bench.wait_committed([25, 25])
            running.stop()
    assert stored_meanwhile == {}


def test_poison_goes_to_the_dead_letters_and_costs_nothing_else(bench: BridgeBench) -> None:
    good = [make_candle(number) for number in range(4)]
    huge = b'{"note":"%s",' % (b"x" * 1_000_000) + encode_candle(good[0])[1:]
    poison: dict[bytes | None, str] = {
        None: "record has no value",
        b"": "Input data was truncated",
        b"\xff\xfe\x00": "record is not UTF-8",
        b"[1,2]": "Expected `object`, got `array`",
        b'{"v":1,"note":' + b"[" * 100_000: "JSON is nested too deeply",
        b"{}": "Object missing required field `v`",
        encode_candle(good[0]).replace(b'"v":1', b'"v":99'): "schema version is 99, expected 1",
        encode_candle(good[0]).replace(b'"open":18383.38', b'"open":"NaN"'): "open is NaN",
        encode_candle(good[0]).replace(b'"low":18376.035', b'"low":-1'): "low is -1",
        encode_candle(good[0]).replace(b"1606166220000", b"-60000"): "timestamp is -60000",
        encode_candle(good[0]).replace(b"0.002185", b"1e1000000"): "volume is",
        encode_candle(good[0]).replace(b"BTC-USD", b"btc\\u0000"): "pair is",
        encode_candle(make_candle(state=State.FINAL)).replace(b'"final"', b'"open"'): "rev is",
        huge: f"record has {len(huge)} bytes",
    }
    values: list[bytes | None] = [encode_candle(good[0]), *poison, *(encode_candle(each) for each in good[1:])]
    bench.produce(values, partition=0)
    bench.start_worker()
    running = bench.start_bridge()

    bench.wait_stored(good)
    letters = bench.dead_letters(len(poison))
    wait_until(lambda: bench.committed()[0] == len(values), "the commit")
    running.stop()

    assert [letter.value() for letter in letters] == list(poison)
    headers = [headers_of(letter) for letter in letters]
    for number, (header, reason) in enumerate(zip(headers, poison.values(), strict=True), start=1):
        assert header["reason"].decode().startswith(reason)
        place = {"topic": bench.topics[CANDLES].encode(), "partition": b"0", "offset": b"%d" % number}
        assert {name: header[name] for name in place} == place


def test_a_letter_too_large_for_its_topic_is_cut(bench: BridgeBench) -> None:
    # The broker takes 1,048,588 bytes, and the letter's headers come on top.
    value = b"x" * 1_048_450
    bench.produce([value], partition=0)
    bench.start_bridge()

    (letter,) = bench.dead_letters(1)

    header = headers_of(letter)
    assert letter.value() == value[: 512 * 1024]
    assert header["reason"].endswith(b"; cut from 1048450 bytes")
    wait_until(lambda: bench.committed()[0] == 1, "the commit")


def test_what_only_the_worker_finds_unreadable_is_dead_lettered_too(
    bench: BridgeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    candles = [make_candle(number) for number in range(3)]

    class Picky(CandleStore):
        def write(self, candles: object) -> list[tuple[int, str]] | None:
            written = super().write([each for each in candles if each != refused])  # type: ignore[attr-defined]
            return None if written is None else [*written, (1, "refused for itself")]

    refused = candles[1]
    monkeypatch.setattr("workers.persist.get_store", lambda: Picky(bench.mongo, bench.database, "candles"))
    bench.produce_candles(candles, partition=0)
    bench.start_worker()
    bench.start_bridge(lease_seconds=5.0)

    (letter,) = bench.dead_letters(1)

    assert (letter.key(), letter.value()) == (b"key", encode_candle(refused))
    header = headers_of(letter)
    assert (header["reason"], header["offset"]) == (b"refused for itself", b"1")
    bench.wait_stored([candles[0], candles[2]])
    wait_until(lambda: bench.committed()[0] == 3, "the commit")


def test_bridges_share_partitions_and_hand_them_over(bench: BridgeBench) -> None:
    candles = versions(3000)
    bench.start_worker()
    first = bench.start_bridge()
    bench.produce_candles(candles[:1000])
    second = bench.start_bridge()
    wait_until(lambda: len(second.bridge._assigned) == 1, "the second bridge's partition")
    bench.produce_candles(candles[1000:2000])
    first.stop()
    bench.produce_candles(candles[2000:])

    bench.wait_stored(candles)
    bench.wait_committed([1500, 1500])
    second.stop()


def test_a_restart_goes_on_at_the_watermark(bench: BridgeBench) -> None:
    before, after = versions(200), [make_candle(number) for number in range(100, 110)]
    bridge_all(bench, before)
    bench.close_bridges()
    read_before = records_read(bench)

    bench.produce_candles(after)
    bench.start_bridge()
    bench.wait_stored(before + after)

    assert records_read(bench) - read_before == len(after)


def test_a_recreated_topic_is_read_from_its_beginning(bench: BridgeBench) -> None:
    before, after = versions(200), [make_candle(number) for number in range(100, 150)]
    bridge_all(bench, before)
    bench.close_bridges()

    recreate(bench)
    bench.produce_candles(after)
    bench.start_bridge()

    bench.wait_stored(before + after)


def test_a_topic_recreated_under_a_running_bridge_is_read_with_a_fresh_consumer(
    bench: BridgeBench, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = versions(200), [make_candle(number) for number in range(100, 150)]
    bridge_all(bench, before)

    recreate(bench)
    bench.produce_candles(after)

    bench.wait_stored(before + after)
    assert "beginning with a fresh consumer" in caplog.messages


def test_a_consumer_that_gets_nothing_of_what_kafka_holds_is_replaced(
    bench: BridgeBench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = versions(200), [make_candle(number) for number in range(100, 150)]
    bridge = bridge_all(bench, before).bridge
    consumer = bridge._consumer
    is_deaf = threading.Event()

    def deafen() -> None:
        # From now on its client gives it nothing, and no error either.
        if bridge._consumer is consumer:
            consumer.pause([each.at() for each in bridge._assigned])
            is_deaf.set()

    # In the bridge's own thread: a consumer that is being polled lets nobody else in.
    monkeypatch.setattr(bridge, "_push_back", deafen)
    assert is_deaf.wait(PATIENCE_SECONDS)
    bench.produce_candles(after)

    bench.wait_stored(before + after)
    assert "beginning with a fresh consumer" in caplog.messages


def test_partitions_that_cannot_be_moved_to_their_start_are_read_by_a_fresh_consumer(
    bench: BridgeBench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seek = Assigned._seek
    refusing: list[Assigned] = []

    def refuse(assigned: Assigned, assignment: Assignment) -> None:
        if not refusing:
            refusing.append(assigned)
        if assigned is not refusing[0]:
            seek(assigned, assignment)

    monkeypatch.setattr(Assigned, "_seek", refuse)
    monkeypatch.setattr("workers.assigned.START_WAIT_SECONDS", 0)

    bridge_all(bench, versions(200))

    assert "beginning with a fresh consumer" in caplog.messages


def recreate(bench: BridgeBench) -> None:
    """Delete the topic of candles and make it anew."""
    admin = AdminClient(client_config(bench.kafka_brokers))
    for future in admin.delete_topics([bench.topics[CANDLES]], operation_timeout=10).values():
        future.result()
    wait_until(lambda: created(admin, bench.topics[CANDLES]), "the topic to be there again")


def created(admin: AdminClient, topic: str) -> bool:
    """Create a topic; False while its deletion is under way."""
    try:
        for future in admin.create_topics([NewTopic(topic, 2, 1)]).values():
            future.result()
    except Exception:
        return False
    return True


def bridge_all(bench: BridgeBench, candles: list[Candle]) -> Running:
    """Start a worker and a bridge; 200 candles are stored then, and both watermarks say so."""
    bench.produce_candles(candles)
    bench.start_worker()
    running = bench.start_bridge()
    bench.wait_stored(candles)
    wait_until(lambda: watermarks(bench) == [100, 100], "the watermarks")
    return running


def watermarks(bench: BridgeBench) -> list[int]:
    documents = bench.mongo[bench.database].watermarks.find().sort("_id", 1)
    return [int(each["offset"]) for each in documents]


@pytest.mark.parametrize("remaining", [0, 40])
def test_a_store_restored_from_an_older_copy_is_filled_again(bench: BridgeBench, remaining: int) -> None:
    candles = [make_candle(number) for number in range(200)]
    bridge_all(bench, candles)

    # The older copy: what the first ``remaining`` offsets of each partition had brought.
    database = bench.mongo[bench.database]
    late = [candle.timestamp for candle in candles[2 * remaining :]]
    database.candles.delete_many({"timestamp": {"$in": late}})
    if remaining:
        database.watermarks.update_many({}, {"$set": {"offset": remaining}})
    else:
        database.watermarks.delete_many({})
    more = [make_candle(number) for number in range(200, 202)]
    bench.produce_candles(more)

    bench.wait_stored(candles + more)
    wait_until(lambda: watermarks(bench) == [101, 101], "the watermarks afterwards")


class NoWatermarks(CandleStore):
    """A store that takes rows, and watermarks only when it is let."""

    def __init__(self, bench: BridgeBench) -> None:
        super().__init__(bench.mongo, bench.database, "candles")
        self.takes_watermarks = threading.Event()
        self.takes_watermarks.set()

    def advance_watermark(self, key: str, offset: int, *, at_least: Watermark | None = None) -> Watermark | None:
        """Wait until it is let."""
        assert self.takes_watermarks.wait(30)
        return super().advance_watermark(key, offset, at_least=at_least)


def test_what_an_older_copy_lacks_is_read_again_though_its_watermark_is_the_last_one(bench: BridgeBench) -> None:
    early, late = [make_candle(number) for number in range(100)], [make_candle(number) for number in range(100, 200)]
    store = NoWatermarks(bench)
    bench.start_worker()
    bench.start_bridge(store=store)
    replace_by_a_copy(bench, store, early, late)
    committed_meanwhile = bench.committed()

    store.takes_watermarks.set()

    bench.wait_stored(early + late)
    bench.wait_committed([100, 100])
    assert committed_meanwhile == [50, 50]


def test_what_an_older_copy_may_lack_is_left_to_the_next_bridge_by_one_that_stops(bench: BridgeBench) -> None:
    early, late = [make_candle(number) for number in range(100)], [make_candle(number) for number in range(100, 200)]
    store = NoWatermarks(bench)
    bench.start_worker()
    running = bench.start_bridge(store=store)
    replace_by_a_copy(bench, store, early, late)

    running.bridge.stop()
    store.takes_watermarks.set()
    running.stop()
    committed_at_the_stop = bench.committed()
    bench.start_bridge()

    bench.wait_stored(early + late)
    assert committed_at_the_stop == [50, 50]


def replace_by_a_copy(bench: BridgeBench, store: NoWatermarks, early: list[Candle], late: list[Candle]) -> None:
    """A copy is made after the early candles; the store then takes the late ones, and no watermark until it is
    replaced by the copy.
    """
    bench.produce_candles(early)
    bench.wait_stored(early)
    bench.wait_committed([50, 50])
    store.takes_watermarks.clear()
    bench.produce_candles(late)
    bench.wait_stored(early + late)
    applied_at = time.monotonic()
    bench.mongo[bench.database].candles.delete_many({"timestamp": {"$in": [each.timestamp for each in late]}})
    wait_until(lambda: time.monotonic() - applied_at > TRUST_SECONDS, "time to pass")


def test_two_series_with_one_hash_stop_the_bridge(bench: BridgeBench) -> None:
    candle = make_candle()
    other = {"exchange": "sim", "pair": "OTHER-USD", "interval": "1m"}
    bench.mongo[bench.database].series.insert_one({"_id": series_hash(candle.series), **other})
    bench.produce_candles([candle])

    running = bench.start_bridge(lease_seconds=0.2)
    running.thread.join(20)

    assert [type(error) for error in running.errors] == [SeriesCollision]
    assert bench.committed() == [-1001, -1001]


def test_a_minute_reaches_the_live_side_before_its_successor_although_its_job_was_lost(bench: BridgeBench) -> None:
    pair = f"T{bench.group[-10:].upper()}-USD"
    now_us = time.time_ns() // 1000
    ended, successor = (make_candle(number, pair=pair, written_us=now_us + number) for number in (0, 1))
    channel = bench.redis.pubsub()  # type: ignore[no-untyped-call]
    channel.subscribe(candles_channel(ended.series))
    bench.start_bridge(FANOUT, lease_seconds=1.0)
    bench.produce_candles([ended], partition=0)
    wait_until(lambda: bench.redis.llen(f"{bench.namespace}:fanout") == 1, "the first job")

    bench.lose_redis_data()
    bench.start_worker()
    bench.produce_candles([successor], partition=0)

    told: list[int] = []

    def both() -> bool:
        message = channel.get_message(ignore_subscribe_messages=True, timeout=0.1)
        told.extend([json.loads(message["data"])["candle"]["timestamp"]] if message else [])
        return len(told) == 2

    wait_until(both, "both on the channel")
    channel.close()
    bench.redis.delete(candles_key(ended.series))
    assert told == [ended.timestamp, successor.timestamp]


def test_fanout_brings_candles_and_events_to_the_live_side(bench: BridgeBench) -> None:
    pair = f"T{bench.group[-10:].upper()}-USD"
    now_us = time.time_ns() // 1000
    candles = [make_candle(number, pair=pair, written_us=now_us + number) for number in range(5)]
    exchange = f"t{bench.group[-10:]}"
    event = FeedEvent(exchange, EventKind.BEAT, FeedState.LIVE, since=1, at=2)
    bench.produce_candles(candles)
    bench.produce([b"no candle"], partition=0)
    bench.produce([encode_event(event), b"no event"], FEEDS, partition=0)
    bench.start_worker()
    running = bench.start_bridge(FANOUT)

    def held() -> list[Candle]:
        window = parse_window(bench.redis.hgetall(candles_key(candles[0].series)))  # type: ignore[arg-type]
        return [candle for _, candle in window.candles] if window else []

    wait_until(lambda: held() == candles, "the candles")
    wait_until(lambda: bench.redis.hget("live.feeds", exchange) == encode_event(event), "the event")
    bench.wait_committed([4, 2])
    wait_until(lambda: bench.committed(FEEDS, 1) == [2], "the commit of events")
    running.stop()

    bench.redis.delete(candles_key(candles[0].series))
    bench.redis.hdel("live.feeds", exchange)
