"""How many distinct candles a second get through Kafka, bridge, workers and store, and whether a burst loses any.

    python -m tests.benchmarks.throughput [--records 200000]

Starts a stack of its own and gives Kafka a burst of candles of many series, each of them different. Everything runs as
in production: the same records also go through the fan-out side meanwhile. Then every stored candle is compared with
what was sent.
"""

import argparse
import random
import time
from collections.abc import Iterator

import pymongo
from confluent_kafka import Producer

from tests.system.stack import Stack, running_stack, wait_until

REV_EPOCH_US = 1_577_836_800_000_000
FINAL_RANK = 3
SERIES = 100


def burst(records: int) -> Iterator[tuple[str, int, str, bytes]]:
    """Key, open time, close price and value of each record; finals of one exchange that nothing else writes."""
    dice = random.Random(7)
    newest_minute = int(time.time()) // 60 - 1
    for number in range(records):
        pair = f"P{number % SERIES}-USD"
        open_time = (newest_minute - number // SERIES) * 60_000
        price = f"{dice.randrange(1_000, 9_999)}.{dice.randrange(100):02d}"
        rev = FINAL_RANK << 50 | (int(time.time() * 1e6) - REV_EPOCH_US)
        value = (
            f'{{"v":1,"exchange":"bench","pair":"{pair}","interval":"1m","timestamp":{open_time},"open":{price},'
            f'"high":{price},"low":{price},"close":{price},"volume":0.5,"state":"final","rev":{rev}}}'
        )
        yield f"bench|{pair}|1m", open_time, price, value.encode()


def produce(stack: Stack, records: int) -> dict[tuple[str, int], str]:
    """Send the burst and return what must be stored: close price by pair and open time."""
    producer = Producer(
        {
            "bootstrap.servers": f"127.0.0.1:{stack.port(9092)}",
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "enable.metrics.push": False,
            "queue.buffering.max.messages": records + 1,
        }
    )
    expected = {}
    for key, open_time, price, value in burst(records):
        producer.produce("candles", key=key.encode(), value=value)
        expected[key.split("|")[1], open_time] = price
    assert producer.flush(60) == 0
    return expected


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    options = parser.parse_args()
    with running_stack("throughput", 3_000, SIM_START="-60s", SIM_SPEED="1000") as stack:
        uri = f"mongodb://127.0.0.1:{stack.port(27017)}"
        with pymongo.MongoClient[dict[str, object]](uri) as client:
            candles = client["crypto-streams"]["candles"]
            started = time.monotonic()
            expected = produce(stack, options.records)
            produced = time.monotonic() - started
            mine = {"exchange": "bench"}
            wait_until(
                "all are stored",
                lambda: (
                    print(f"{time.monotonic() - started:5.0f} s  {candles.count_documents(mine)} stored")
                    or candles.count_documents(mine) >= options.records
                ),
                seconds=options.records / 500,
                every=5,
            )
            took = time.monotonic() - started
            held = {
                (str(row["pair"]), int(str(row["timestamp"]))): str(row["close"])
                for row in candles.find(mine, {"pair": 1, "timestamp": 1, "close": 1})
            }
            count = candles.count_documents(mine)
    wrong = sum(held.get(key) != price for key, price in expected.items())
    print(f"produced {options.records} in {produced:.1f} s, all stored after {took:.1f} s (checked every 5 s)")
    print(f"{options.records / took:.0f} distinct candles/s; {count} documents, {wrong} missing or wrong")


if __name__ == "__main__":
    main()
