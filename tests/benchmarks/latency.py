"""How long a frame takes from the exchange to a WebSocket client, and where the time goes.

    python -m tests.benchmarks.latency [--seconds 30] [--updates 750]

Starts a stack of its own whose simulated market has caught up with the clock, so that it sends a steady
``4 × updates / 60`` candles a second. Runs twice: first with the client alone, which gives the figure; then with taps
on Kafka and Redis as well, which split the way into stages (and cost some processor time themselves).
"""

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import redis
from confluent_kafka import Consumer, TopicPartition
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.system.simlog import frames
from tests.system.stack import Stack, parse_exact, running_stack, wait_until

PAIRS = ("BTC-USD", "BTC-EUR", "ETH-USD", "ETH-EUR")
VALUES = ("open", "high", "low", "close", "volume")
#: 2020-01-01T00:00Z in microseconds: where the time in `rev` begins.
REV_EPOCH_US = 1_577_836_800_000_000

Version = tuple[str, int, tuple[Decimal, ...]]
Times = dict[Version, float]


@dataclass
class Sightings:
    """When each version of a candle was first seen at each place, Unix seconds."""

    sent: Times = field(default_factory=dict)
    ingest: Times = field(default_factory=dict)
    kafka: Times = field(default_factory=dict)
    redis: Times = field(default_factory=dict)
    client: Times = field(default_factory=dict)


def version_of(candle: dict[str, Any]) -> Version:
    """What identifies one version of a candle at every place."""
    return candle["pair"], candle["timestamp"], tuple(Decimal(candle[name]) for name in VALUES)


def follow_client(stack: Stack, seen: Sightings, stop: threading.Event) -> None:
    """Receive candles as a user's program does."""
    with connect(stack.ws_url, compression=None) as client:
        for pair in PAIRS:
            client.send(f"subscribe,{pair}")
        while not stop.is_set():
            try:
                frame = client.recv(timeout=0.5)
            except TimeoutError:
                continue
            except ConnectionClosed:
                return
            now = time.time()
            seen.client.setdefault(version_of(parse_exact(frame)), now)


def follow_kafka(stack: Stack, seen: Sightings, stop: threading.Event) -> None:
    """Read the topic beside the bridges, and take ingest's own time from `rev`."""
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{stack.port(9092)}",
            "group.id": "latency-benchmark",
            "enable.auto.commit": False,
            "enable.metrics.push": False,
        }
    )
    partitions = consumer.list_topics("candles", timeout=10).topics["candles"].partitions
    consumer.assign(
        [
            TopicPartition("candles", number, consumer.get_watermark_offsets(TopicPartition("candles", number))[1])
            for number in partitions
        ]
    )
    while not stop.is_set():
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            now = time.time()
            candle = parse_exact(message.value() or b"")
            version = version_of(candle)
            seen.kafka.setdefault(version, now)
            seen.ingest.setdefault(version, (REV_EPOCH_US + candle["rev"] % 2**50) / 1e6)
    consumer.close()


def follow_redis(stack: Stack, seen: Sightings, stop: threading.Event) -> None:
    """Listen to every series' channel."""
    client = redis.Redis(port=stack.port(6379))
    listener = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    listener.psubscribe("live.ch:*")
    while not stop.is_set():
        message = listener.get_message(timeout=0.5)
        if message is not None:
            now = time.time()
            seen.redis.setdefault(version_of(parse_exact(message["data"])["candle"]), now)
    listener.close()
    client.close()


@contextmanager
def following(stack: Stack, *followers: Callable[[Stack, Sightings, threading.Event], None]) -> Iterator[Sightings]:
    """Run followers in threads of this process, and add when the exchange sent each frame."""
    seen, stop = Sightings(), threading.Event()
    threads = [threading.Thread(target=follow, args=(stack, seen, stop)) for follow in followers]
    for thread in threads:
        thread.start()
    yield seen
    stop.set()
    for thread in threads:
        thread.join()
    for line in frames(stack.sim_log):
        frame = line["frame"]
        if frame.get("channel") == "prices" and frame["event"] == "updated":
            open_time, *values = frame["price"]
            version = (frame["symbol"], open_time, tuple(Decimal(value) for value in values))
            seen.sent.setdefault(version, float(line["at"]) / 1000)


def report(name: str, begin: Times, end: Times) -> None:
    """Print one stage: median, 90th and 99th percentile, maximum, in milliseconds."""
    took = sorted((end[key] - begin[key]) * 1000 for key in end if key in begin)
    if len(took) < 100:
        raise SystemExit(f"{name}: only {len(took)} versions were seen at both ends")
    cuts = statistics.quantiles(took, n=100)
    figures = f"p50 {cuts[49]:6.2f}  p90 {cuts[89]:6.2f}  p99 {cuts[98]:6.2f}  max {took[-1]:6.2f} ms"
    print(f"{name:<28} n={len(took):<6} {figures}", flush=True)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of each of the two runs")
    parser.add_argument(
        "--updates", type=int, default=750, help="updates per pair and minute (750: 50 candles a second)"
    )
    options = parser.parse_args()
    market = {"SIM_START": "-60s", "SIM_SPEED": "1000", "SIM_UPDATES": str(options.updates), "PAIRS": ",".join(PAIRS)}
    with running_stack("latency", 3_000, **market) as stack:
        settle(stack)
        with following(stack, follow_client) as seen:
            time.sleep(options.seconds)
        report("frame sent → client", seen.sent, seen.client)
        with following(stack, follow_client, follow_kafka, follow_redis) as seen:
            time.sleep(options.seconds)
        print("with taps:")
        report("frame sent → client", seen.sent, seen.client)
        report("frame sent → ingest", seen.sent, seen.ingest)
        report("ingest → Kafka reader", seen.ingest, seen.kafka)
        report("Kafka reader → Redis reader", seen.kafka, seen.redis)
        report("Redis reader → client", seen.redis, seen.client)


def settle(stack: Stack, pair: str = PAIRS[0]) -> None:
    """Wait until the market has caught up with the clock and everything before it is stored."""
    wait_until(
        "the market has caught up",
        lambda: time.time() * 1000 - stack.get("/api/ohlcv", pair=pair, limit=1)[0]["timestamp"] < 125_000,
        seconds=60,
        every=0.5,
    )
    time.sleep(5)  # let the backlog of the first minutes drain; not part of what is measured


if __name__ == "__main__":
    main()
