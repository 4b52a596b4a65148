"""How many distinct candles a second get through Kafka, bridge, workers and store, and whether a burst loses any.

    python -m tests.benchmarks.throughput [--records 200000]

Starts a stack of its own and gives Kafka a burst of candles of many series, each of them different. Everything runs as
in production: the same records also go through the fan-out side meanwhile. Then every stored candle is compared with
what was sent.
"""

import argparse
import random
import re
import time
from collections.abc import Iterator

import httpx
import psutil
import pymongo
from confluent_kafka import Producer

from tests.system.stack import Stack, running_stack, wait_until

REV_EPOCH_US = 1_577_836_800_000_000
FINAL_RANK = 3
SERIES = 100
#: Default health ports of the programs that may write candles.
WRITERS = {"worker": 9111, "bridge": 9102, "rollup worker": 9113, "rollup bridge": 9104}


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


def persisted(stack: Stack) -> float:
    """Candle versions that the store took, as workers and bridges count them; who rolls up writes minutes as well."""
    return sum(counter(stack, port, "candles_persisted_total") for port in WRITERS.values())


def counter(stack: Stack, port: int, name: str) -> float:
    """The sum of a counter over all its labels, read from a program's metrics."""
    page = httpx.get(f"http://127.0.0.1:{stack.port(port)}/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if re.match(rf"{name}[ {{]", line))


def processor_seconds(stack: Stack) -> dict[str, float]:
    """Processor time by program so far, its children included."""
    used = {}
    for name, pid in stack.pids().items():
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
        used[name] = sum(sum(each.cpu_times()[:2]) for each in family)
    return used


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    options = parser.parse_args()
    with running_stack("throughput", 3_000, SIM_START="-60s", SIM_SPEED="1000") as stack:
        before, used_before = persisted(stack), processor_seconds(stack)
        started = time.monotonic()
        expected = produce(stack, options.records)
        produced = time.monotonic() - started
        wait_until(
            "all are stored",
            lambda: persisted(stack) - before >= options.records,
            seconds=10 + options.records / 500,
        )
        took = time.monotonic() - started
        used = {name: seconds - used_before[name] for name, seconds in processor_seconds(stack).items()}
        jobs, job_seconds = (
            counter(stack, WRITERS["worker"], f"job_duration_seconds_{each}") for each in ("count", "sum")
        )
        with pymongo.MongoClient[dict[str, object]](f"mongodb://127.0.0.1:{stack.port(27017)}") as client:
            stored = client["crypto-streams"]["candles"].find(
                {"exchange": "bench", "interval": "1m"}, {"pair": 1, "timestamp": 1, "close": 1}
            )
            found = [((str(row["pair"]), int(str(row["timestamp"]))), str(row["close"])) for row in stored]
    held = dict(found)
    wrong = sum(held.get(key) != price for key, price in expected.items())
    print(f"{options.records} records produced in {produced:.1f} s, all in the store after {took:.1f} s")
    print(f"{options.records / took:.0f} distinct candles/s; {len(found)} documents, {wrong} missing or wrong")
    print(f"a persistence job took {job_seconds / jobs * 1000:.0f} ms on average ({jobs:.0f} jobs)")
    print("processor seconds: " + ", ".join(f"{name} {each:.1f}" for name, each in sorted(used.items())))


if __name__ == "__main__":
    main()
