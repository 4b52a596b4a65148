"""What `verify` finds on real services: each planted difference by its name, and nothing where there is none."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId
from confluent_kafka import Producer
from pymongo import MongoClient

from ingest.candle import Candle, State
from ingest.codec import encode_candle
from ingest.kafka import client_config
from tests.conftest import MINUTE_MS, make_candle
from tests.integration.bridge_bench import BridgeBench, serve_actors, topics_for, wait_until
from tests.integration.comparing import later, nobody_watches
from workers.comparison import Comparison
from workers.dead_letters import DeadLetters
from workers.differences import Difference, Findings, Kind
from workers.documents import Document, document_id, series_hash
from workers.errors import KafkaUnavailable, TopicMissing
from workers.store import CandleStore
from workers.topic_reader import TopicReader
from workers.watermark import Letter


class Bench:
    """A topic, its dead letters and a store, all of one test."""

    def __init__(self, brokers: str, client: MongoClient[Document], database: str, topics: Sequence[str]) -> None:
        self.brokers = brokers
        self.topic, self.letters_topic = topics
        self.candles = client[database]["candles"]
        self.store = CandleStore(client, database, "candles")
        self.reader = TopicReader(brokers)
        self._producer = Producer(client_config(brokers) | {"message.max.bytes": 2_000_000})

    def produce(self, *values: Candle | bytes | None, timestamp: int = 0) -> None:
        """Produce to partition 0 and wait for Kafka; ``timestamp`` is the record time, 0 for now."""
        for value in values:
            payload = encode_candle(value) if isinstance(value, Candle) else value
            self._producer.produce(self.topic, value=payload, key=b"key", partition=0, timestamp=timestamp)
        assert self._producer.flush(10) == 0

    def dead_letter(self, offset: int, value: bytes | None, reason: str = "refused") -> None:
        """Write a dead letter as the bridge does."""
        letters = DeadLetters(self.brokers, self.letters_topic)
        assert letters.send(self.topic, 0, [Letter(offset, b"key", value, reason)])

    def compare(self, **options: Any) -> Findings:
        """Verify, without patience unless the options say otherwise."""
        topics = {"topic": self.topic, "letters_topic": self.letters_topic}
        everything: dict[str, Any] = {"wait_seconds": 0.0, **topics, **options}
        return Comparison(self.reader, self.store, nobody_watches, **everything).run()

    def alter(self, candle: Candle, **fields: Any) -> None:
        """Change a stored document behind the store's back."""
        self.candles.update_one({"_id": id_of(candle)}, {"$set": fields})


@pytest.fixture
def bench(kafka_brokers: str, mongo_uri: str, database: str, make_topic: Callable[[int], str]) -> Iterator[Bench]:
    """An empty bench."""
    with MongoClient[Document](mongo_uri) as client:
        yield Bench(kafka_brokers, client, database, [make_topic(2), make_topic(1)])


def id_of(candle: Candle) -> ObjectId:
    return document_id(series_hash(candle.series), candle.timestamp)


def version(number: int, later: int, **fields: Any) -> Candle:
    return make_candle(number, written_us=MINUTE_MS * 1000 + later, volume=Decimal(later), **fields)


def test_a_store_with_the_newest_versions_is_equal(bench: Bench) -> None:
    versions = [version(number, later) for later in (2, 0, 3, 1) for number in range(50)]
    bench.produce(*versions)
    bench.store.write(versions)

    findings = bench.compare()

    assert findings == Findings(records=200, candles=50, only_in_store=0)


def test_an_empty_topic_is_equal_to_any_store(bench: Bench) -> None:
    bench.store.write([make_candle(number) for number in range(3)])

    findings = bench.compare()

    assert findings == Findings(only_in_store=3)


def test_a_missing_candle_is_named(bench: Bench) -> None:
    candles = [version(number, later) for number in range(5) for later in (0, 1)]
    bench.produce(*candles)
    bench.store.write(candles)
    bench.candles.delete_one({"_id": id_of(candles[6])})

    findings = bench.compare()

    lost = Difference(Kind.MISSING, 0, 7, candles[7], None, "not in the store", str(id_of(candles[7])))
    assert findings == Findings(10, 5, only_in_store=0, counts=Counter({Kind.MISSING: 1}), differences=[lost])


def test_an_older_version_is_named(bench: Bench) -> None:
    candles = [version(number, later) for number in range(5) for later in (0, 3)]
    bench.produce(*candles)
    bench.store.write([*candles[:5], *candles[6:]])

    findings = bench.compare()

    kept = Difference(Kind.OLDER, 0, 5, candles[5], candles[4], "rev is 3 lower", str(id_of(candles[5])))
    assert findings == Findings(10, 5, only_in_store=0, counts=Counter({Kind.OLDER: 1}), differences=[kept])


@pytest.mark.parametrize(
    ("field", "value", "seen"),
    [
        ("open", Decimal128("18383.39"), Decimal("18383.39")),
        ("high", Decimal128("18385.84"), Decimal("18385.84")),
        ("low", Decimal128("18376.0350001"), Decimal("18376.0350001")),
        ("close", Decimal128("NaN"), Decimal("NaN")),
        ("volume", Decimal128("0"), Decimal("0")),
        ("state", "partial", State.PARTIAL),
        ("timestamp", Int64(MINUTE_MS + 1), MINUTE_MS + 1),
        ("pair", "BTC-EUR", "BTC-EUR"),
    ],
)
def test_an_altered_value_is_named(bench: Bench, field: str, value: object, seen: object) -> None:
    candles = [make_candle(number) for number in range(3)]
    bench.produce(*candles)
    bench.store.write(candles)
    bench.alter(candles[0], **{field: value})

    findings = bench.compare()

    (difference,) = findings.differences
    assert findings.counts == {Kind.ALTERED: 1}
    assert (difference.kind, difference.partition, difference.offset) == (Kind.ALTERED, 0, 0)
    assert (difference.expected, difference.document) == (candles[0], str(id_of(candles[0])))
    assert difference.reason == f"{field} is {seen}, expected {getattr(candles[0], field)}"


@pytest.mark.parametrize("damage", [{"close": "dear"}, {"state": "odd"}, {"pair": ["list"]}, {"rev": "high"}])
def test_a_document_that_holds_no_candle_is_named(bench: Bench, damage: dict[str, Any]) -> None:
    candle = make_candle()
    bench.produce(candle)
    bench.store.write([candle])
    bench.alter(candle, **damage)

    findings = bench.compare()

    reason = "the document holds no candle"
    assert findings.differences == [Difference(Kind.ALTERED, 0, 0, candle, None, reason, str(id_of(candle)))]


def test_the_same_price_with_other_zeros_is_no_difference(bench: Bench) -> None:
    candle = make_candle(volume=Decimal("1.5"))
    bench.produce(candle)
    bench.store.write([candle])
    bench.alter(candle, volume=Decimal128("1.500"))

    findings = bench.compare()

    assert findings == Findings(1, 1, only_in_store=0)


def test_what_the_store_has_beyond_kafka_is_counted_and_no_difference(bench: Bench) -> None:
    in_kafka = [version(number, 0) for number in range(4)]
    bench.produce(*in_kafka)
    bench.store.write([*in_kafka, version(0, 5), *(version(number, 0) for number in range(10, 13))])

    findings = bench.compare()

    assert findings == Findings(records=4, candles=4, newer=1, only_in_store=3)


def test_dead_letters_are_left_out_and_what_they_superseded_is_expected(bench: Bench) -> None:
    good, refused = version(0, 0), version(0, 5)
    poison = b"no candle"
    bench.produce(good, refused, poison, None)
    bench.store.write([good])
    bench.dead_letter(1, encode_candle(refused))
    bench.dead_letter(2, poison)
    bench.dead_letter(3, None)

    findings = bench.compare()

    assert findings == Findings(records=4, candles=1, dead_letters=3, only_in_store=0)


def test_a_record_too_large_for_its_letter_is_left_out(bench: Bench) -> None:
    huge = b'{"note":"%s"}' % (b"x" * 1_000_000)
    bench.produce(huge)
    bench.dead_letter(0, huge[: 512 * 1024])

    findings = bench.compare()

    assert findings == Findings(records=1, dead_letters=1, only_in_store=0)


def test_a_letter_of_an_earlier_topic_of_this_name_excuses_nothing(bench: Bench) -> None:
    candle = make_candle()
    bench.produce(candle)
    bench.dead_letter(0, b"what stood at this offset before the topic was made anew")

    findings = bench.compare()

    assert [(each.kind, each.expected) for each in findings.differences] == [(Kind.MISSING, candle)]


def test_a_record_that_is_neither_candle_nor_dead_letter_is_named(bench: Bench) -> None:
    bench.produce(make_candle(), b"no candle")
    bench.store.write([make_candle()])

    findings = bench.compare()

    (difference,) = findings.differences
    assert (difference.kind, difference.partition, difference.offset) == (Kind.UNREADABLE, 0, 1)
    assert difference.reason.startswith("JSON is malformed")
    assert findings.counts == {Kind.UNREADABLE: 1}


def test_a_candle_that_arrives_while_it_waits_is_no_difference(bench: Bench) -> None:
    candles = [make_candle(number) for number in range(100)]
    bench.produce(*candles)
    began_at = time.monotonic()

    with later(1.0, lambda: bench.store.write(candles)):
        findings = bench.compare(wait_seconds=30.0)

    assert findings == Findings(records=100, candles=100, only_in_store=0)
    assert time.monotonic() - began_at < 15, "it waited on although everything was there"


@pytest.mark.parametrize("poison", [[], [b"poison"]])
def test_a_letter_that_arrives_while_it_waits_is_left_out(bench: Bench, poison: list[bytes]) -> None:
    stored, refused, lost = version(0, 0), version(0, 5), version(1, 0)
    lost_too = version(1, 5)
    bench.produce(stored, refused, lost, lost_too, *poison)
    bench.store.write([stored])

    def write_letters() -> None:
        bench.dead_letter(1, encode_candle(refused))
        bench.dead_letter(3, encode_candle(lost_too))
        for value in poison:
            bench.dead_letter(4, value)

    with later(0.5, write_letters):
        findings = bench.compare(wait_seconds=3.0)

    assert [(each.kind, each.offset, each.expected) for each in findings.differences] == [(Kind.MISSING, 2, lost)]
    assert findings.counts == {Kind.MISSING: 1}


@pytest.mark.parametrize("stored", [0, 1])
def test_of_two_versions_under_one_rev_either_may_be_stored(bench: Bench, stored: int) -> None:
    twins = [make_candle(volume=Decimal(1)), make_candle(volume=Decimal(2))]
    bench.produce(*twins)
    bench.store.write([twins[stored]])

    findings = bench.compare()

    assert findings == Findings(records=2, candles=1, only_in_store=0)


def test_records_before_the_given_time_are_not_read(bench: Bench) -> None:
    old, new = make_candle(0), make_candle(1)
    now_ms = time.time_ns() // 1_000_000
    bench.produce(old, timestamp=now_ms - 7_200_000)
    bench.produce(new, timestamp=now_ms - 1_800_000)
    bench.store.write([new])

    recent, all_of_it = bench.compare(since_ms=now_ms - 3_600_000), bench.compare()

    assert recent == Findings(records=1, candles=1, only_in_store=0)
    assert [each.expected for each in all_of_it.differences] == [old]


def test_a_time_after_the_last_record_reads_nothing(bench: Bench) -> None:
    bench.produce(make_candle(), timestamp=MINUTE_MS)

    findings = bench.compare(since_ms=MINUTE_MS + 1)

    assert findings == Findings(only_in_store=0)


def test_little_memory_finds_the_same(bench: Bench) -> None:
    candles = [version(number, later) for later in range(3) for number in range(40)]
    # One by one, so that they arrive in several portions.
    for start in range(0, 120, 20):
        bench.produce(*candles[start : start + 20])
    bench.store.write(candles)
    bench.candles.delete_one({"_id": id_of(candles[17])})
    bench.alter(candles[23], close=Decimal128("1"))

    findings = bench.compare(max_candles=10)

    assert [(each.kind, each.expected) for each in findings.differences] == [
        (Kind.MISSING, candles[97]),
        (Kind.ALTERED, candles[103]),
    ]


def test_more_differences_than_the_limit_are_counted(bench: Bench) -> None:
    candles = [make_candle(number) for number in range(10)]
    bench.produce(*candles, b"poison")

    findings = bench.compare(limit=4)

    assert findings.counts == {Kind.MISSING: 10, Kind.UNREADABLE: 1}
    assert [each.kind for each in findings.differences] == [Kind.UNREADABLE, *[Kind.MISSING] * 3]


def test_it_is_equal_beside_live_traffic(
    kafka_brokers: str,
    redis_url: str,
    mongo_uri: str,
    database: str,
    make_topic: Callable[[int], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = BridgeBench(kafka_brokers, redis_url, mongo_uri, database, topics_for(make_topic))
    serve_actors(live, monkeypatch)
    stop = threading.Event()
    sent: list[Candle] = []

    def traffic() -> None:
        while not stop.wait(0.05):
            fresh = [version(number, len(sent) + number) for number in range(20)]
            live.produce_candles(fresh)
            sent.extend(fresh)

    thread = threading.Thread(target=traffic)
    try:
        live.start_worker()
        live.start_bridge(lease_seconds=5.0)
        thread.start()
        wait_until(live.stored, "the first candles")
        topics: dict[str, Any] = {"topic": live.topics["candles"], "letters_topic": live.topics["dlq"]}
        findings = [
            Comparison(TopicReader(kafka_brokers), live.store, nobody_watches, **topics).run() for _ in range(3)
        ]
    finally:
        stop.set()
        thread.join()
        live.close()

    assert [(each.candles, each.counts, each.differences) for each in findings] == [(20, Counter(), [])] * 3


def test_services_that_are_not_there_are_named(bench: Bench) -> None:
    nowhere = Comparison(TopicReader("127.0.0.1:1"), bench.store, nobody_watches)
    no_topic = Comparison(bench.reader, bench.store, nobody_watches, topic="test-no-such-topic")

    with pytest.raises(KafkaUnavailable, match=r"^Kafka at 127\.0\.0\.1:1 does not answer: "):
        nowhere.run()
    with pytest.raises(TopicMissing, match="has no topic test-no-such-topic"):
        no_topic.run()
