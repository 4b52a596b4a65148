"""One bridge on real services, with topics, group, keys and a database of its own."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import dramatiq
import redis
from confluent_kafka import OFFSET_INVALID, Consumer, Message, Producer, TopicPartition
from dramatiq.worker import Worker
from pymongo import MongoClient

import workers.fanout
import workers.larger_candles
import workers.persist
from ingest.candle import Candle
from ingest.codec import encode_candle
from ingest.kafka import client_config, committed_offsets
from ingest.topics import CANDLES, FEEDS
from workers.bridge import Bridge
from workers.broker import make_broker
from workers.completions import completions_key
from workers.documents import Document
from workers.doorbell import DoorbellBroker
from workers.fanout import send_candles, send_events
from workers.larger_candles import roll_up_rows
from workers.larger_live import LargerLive
from workers.live import LiveSide
from workers.persist import store_candles
from workers.policies import FANOUT, PERSIST, ROLLUP_LIVE, Apply, Policy, Source
from workers.store import CandleStore

PATIENCE_SECONDS = 30.0


def wait_until(claim: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Return once ``claim`` holds; fail with ``what`` after the time."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def fold(candles: Iterable[Candle]) -> dict[tuple[str, int], Candle]:
    """What a store must hold after these: the highest rev of each candle."""
    newest: dict[tuple[str, int], Candle] = {}
    for candle in candles:
        key = (candle.series.key, candle.timestamp)
        if key not in newest or newest[key].rev < candle.rev:
            newest[key] = candle
    return newest


@dataclass
class Running:
    """A bridge in a thread."""

    bridge: Bridge
    thread: threading.Thread
    errors: list[BaseException] = field(default_factory=list)

    def stop(self) -> None:
        """Stop it as SIGTERM does; fail if it takes too long or had failed."""
        self.bridge.stop()
        self.thread.join(15)
        assert not self.thread.is_alive(), "the bridge did not stop within 15 s"
        assert self.errors == []


class BridgeBench:
    """Starts and stops bridges and workers, produces, and looks at the results."""

    def __init__(
        self, kafka_brokers: str, redis_url: str, mongo_uri: str, database: str, topics: dict[str, str]
    ) -> None:
        self.kafka_brokers, self.redis_url = kafka_brokers, redis_url
        self.topics, self.database = topics, database
        self.group = f"test-{uuid.uuid4().hex[:12]}"
        self.namespace = f"test-{uuid.uuid4().hex[:12]}"
        self.broker = make_broker(redis_url, self.namespace)
        self.broker.declare_actor(cast("Any", workers.persist.persist_candles))
        self.broker.declare_actor(cast("Any", workers.larger_candles.roll_up_candles))
        self.broker.declare_actor(cast("Any", workers.fanout.publish_candles))
        self.broker.declare_actor(cast("Any", workers.fanout.publish_events))
        self.mongo = MongoClient[Document](mongo_uri)
        self.store = CandleStore(self.mongo, database, "candles")
        self.redis = redis.Redis.from_url(redis_url)
        self.live = LiveSide(self.redis, 60)
        self._producer = Producer({**client_config(kafka_brokers), "linger.ms": 1, "message.max.bytes": 2_000_000})
        self._bridges: list[Running] = []
        self._workers: list[Worker] = []

    def policy(self, base: Policy, store: CandleStore | None = None) -> Policy:
        """``base`` on this bench's topics, store and live side."""
        at_store = store or self.store
        applies: dict[str, Apply] = {
            "persist_candles": lambda rows: store_candles(at_store, rows),
            "roll_up_candles": lambda rows: roll_up_rows(at_store, rows),
            "publish_candles": lambda rows: send_candles(self.live, rows),
            "publish_events": lambda rows: send_events(self.live, rows),
        }
        larger = LargerLive(self.redis, self.live, lambda: at_store)

        def begin(source: Source) -> Callable[[], Apply]:
            if source.actor is None:
                return larger.begin
            apply = applies[source.actor.actor_name]
            return lambda: apply

        sources = {self.topics[name]: replace(source, begin=begin(source)) for name, source in base.sources.items()}
        return replace(base, sources=sources, upkeep=larger.upkeep if base is ROLLUP_LIVE else base.upkeep)

    def start_bridge(
        self,
        base: Policy = PERSIST,
        *,
        lease_seconds: float = 1.0,
        broker: DoorbellBroker | None = None,
        store: CandleStore | None = None,
        group: str | None = None,
    ) -> Running:
        """Start a bridge in a thread of this process; ``group`` None: the bench's."""
        bridge = Bridge(
            self.policy(base, store),
            self.kafka_brokers,
            broker or make_broker(self.redis_url, self.namespace, retries=1),
            store=store or self.store,
            group=group or self.group,
            dead_letter_topic=self.topics["dlq"],
            lease_seconds=lease_seconds,
        )

        def run() -> None:
            try:
                bridge.run()
            except BaseException as error:
                running.errors.append(error)

        running = Running(bridge, threading.Thread(target=run, name="bridge"))
        self._bridges.append(running)
        running.thread.start()
        return running

    def start_worker(self) -> Worker:
        """Start a Dramatiq worker in this process."""
        worker = Worker(self.broker, worker_threads=2, worker_timeout=100)
        worker.start()
        self._workers.append(worker)
        return worker

    def produce(self, values: Iterable[bytes | None], topic: str = CANDLES, partition: int | None = None) -> None:
        """Produce record values and wait for Kafka to have them."""
        errors: list[object] = []
        for number, value in enumerate(values):
            self._producer.produce(
                self.topics[topic],
                value=value,
                key=b"key",
                partition=number % 2 if partition is None else partition,
                on_delivery=lambda error, _message: errors.append(error) if error else None,
            )
        assert self._producer.flush(10) == 0
        assert errors == []

    def produce_candles(self, candles: Iterable[Candle], partition: int | None = None) -> None:
        """Produce candles and wait for Kafka to have them."""
        self.produce([encode_candle(each) for each in candles], CANDLES, partition)

    def stored(self) -> dict[tuple[str, int], Candle]:
        """Every candle in the store."""
        return fold(candle for series in self.store.series() for candle in self.store.find(series, limit=100_000))

    def wait_stored(self, candles: Iterable[Candle], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the store holds exactly these, each in its newest version."""
        expected = fold(candles)
        deadline = time.monotonic() + seconds
        while (held := self.stored()) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        assert held == expected

    def committed(self, topic: str = CANDLES, partitions: int = 2, *, group: str | None = None) -> list[int]:
        """What a group has committed, -1001 for nothing; None: the bench's."""
        wanted = [TopicPartition(self.topics[topic], number) for number in range(partitions)]
        found = committed_offsets(self.kafka_brokers, group or self.group, wanted, PATIENCE_SECONDS)
        return [found.get((each.topic, each.partition), OFFSET_INVALID) for each in wanted]

    def wait_committed(self, offsets: list[int]) -> None:
        """Wait until the group has committed exactly these offsets of the candles' two partitions."""
        wait_until(lambda: self.committed() == offsets, f"commits {offsets}")

    def dead_letters(self, count: int) -> list[Message]:
        """The first ``count`` dead letters."""
        consumer = Consumer(
            {**client_config(self.kafka_brokers), "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
        )
        consumer.assign([TopicPartition(self.topics["dlq"], 0, 0)])
        found: list[Message] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            found += consumer.consume(count - len(found), 0.2)
        consumer.close()
        return found

    def lose_redis_data(self) -> None:
        """What a Redis that was emptied does to this bridge and its workers."""
        for pattern in (f"{self.namespace}:*", completions_key("*")):
            for key in self.redis.scan_iter(pattern):
                self.redis.delete(key)

    def close_bridges(self) -> None:
        """Stop the bridges as SIGTERM does."""
        for running in self._bridges:
            running.bridge.stop()
        for running in self._bridges:
            running.thread.join(15)
        self._bridges.clear()

    def close(self) -> None:
        """Stop everything that runs."""
        self.close_bridges()
        for worker in self._workers:
            worker.stop(timeout=5000)
        self.lose_redis_data()
        self.redis.close()
        self.broker.client.close()
        self.mongo.close()


def topics_for(make_topic: Callable[[int], str]) -> dict[str, str]:
    """Empty topics: two partitions of candles."""
    return {CANDLES: make_topic(2), FEEDS: make_topic(1), "dlq": make_topic(1)}


def serve_actors(bench: BridgeBench, monkeypatch: Any) -> None:
    """Let the actors, when they run in this process, use the bench's services."""
    monkeypatch.setattr(workers.persist, "get_store", lambda: bench.store)
    monkeypatch.setattr(workers.larger_candles, "get_store", lambda: bench.store)
    monkeypatch.setattr(workers.fanout, "get_live", lambda: bench.live)
    monkeypatch.setattr(dramatiq, "get_broker", lambda: bench.broker)


__all__ = ["FANOUT", "PERSIST", "BridgeBench", "Running", "fold", "serve_actors", "topics_for", "wait_until"]
