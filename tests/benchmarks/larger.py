"""What larger candles cost beside their minutes, and how soon after a minute its larger candles are on the live side.

    python -m tests.benchmarks.larger [--pairs 1000] [--seconds 300]

Starts a stack of its own whose simulated exchange sends one update per second and pair. Then, each for so many
seconds: nothing takes the minutes to the store; they are persisted; all larger candles are computed as well; and
somebody listens to `5m` of every pair. What a step adds to the processor time of all programs is its cost. Exits with
1 when computing larger candles costs more than persisting the minutes, or when they come later than promised.
"""

import argparse
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import redis

import deploy.native.stack
from deploy.native.supervision import Supervisor
from ingest.candle import Interval, Series
from ingest.revision import time_us_of
from tests.benchmarks.load import load_pairs, loaded_stack
from tests.benchmarks.throughput import processor_seconds
from tests.system.stack import Stack, wait_until
from web.ws.stream import parse_message
from workers.live import candles_channel
from workers.offsets import Offsets
from workers.policies import PERSIST, ROLLUP, ROLLUP_LIVE, Policy
from workers.topic_reader import TopicReader

PORT_OFFSET: Final = 3_900
PERSISTING: Final = ("bridge-persist", "workers-persist-1")
COMPUTING: Final = ("bridge-rollup", "bridge-rollup-live", "workers-rollup-1")
TAKING_PART: Final = {*PERSISTING, *COMPUTING, "ferretdb", "kafka", "postgres", "redis"}
#: After a minute's own frame (ms).
PROMISED_MS: Final = 250.0
#: A bridge that is this far behind (seconds of updates) has caught up: what they put off, they do not commit.
CAUGHT_UP_SECONDS: Final = {PERSIST.name: 5.0, ROLLUP.name: 20.0, ROLLUP_LIVE.name: 75.0}


class Listener(threading.Thread):
    """Hears of every pair's minutes and five minutes, and notes how much later the latter come."""

    def __init__(self, port: int, pairs: Sequence[str]) -> None:
        super().__init__(daemon=True)
        client: Any = redis.Redis(port=port)
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(
            *(candles_channel(Series("sim", pair, each)) for pair in pairs for each in (Interval.M1, Interval.M5))
        )
        self._stopping = threading.Event()
        self._minutes: dict[tuple[str, int], float] = {}
        #: Milliseconds between a minute's own message and that of its larger candle.
        self.later_ms: list[float] = []

    def run(self) -> None:
        """Listen until `stop`."""
        while not self._stopping.is_set():
            message = self._pubsub.get_message(timeout=0.5)
            if message is None:
                continue
            now = time.monotonic()
            _, candle = parse_message(message["data"])
            version = candle.pair, time_us_of(candle.rev)
            if candle.interval is Interval.M1:
                self._minutes[version] = now
            elif version in self._minutes:
                self.later_ms.append((now - self._minutes.pop(version)) * 1000)

    def stop(self) -> None:
        """Stop and wait for the end."""
        self._stopping.set()
        self.join()
        self._pubsub.close()


def measured(stack: Stack, seconds: float) -> Counter[str]:
    """Processor time of every program per minute, by its name."""
    before, began_at = processor_seconds(stack), time.monotonic()
    time.sleep(seconds)
    after, minutes = processor_seconds(stack), (time.monotonic() - began_at) / 60
    return Counter({name: (used - before.get(name, 0.0)) / minutes for name, used in after.items()})


def run(stack: Stack, pairs: Sequence[str], seconds: float) -> tuple[dict[str, Counter[str]], list[float]]:
    """Take the steps; returns what each used, and how much later the five minutes came."""
    supervisor = Supervisor(deploy.native.stack.Stack(stack.run_dir, stack.environment))
    reader = TopicReader(f"127.0.0.1:{stack.port(9092)}")

    def catch_up(*policies: Policy) -> None:
        def are_near() -> bool:
            behind = {policy.name: sum(each.behind for each in Offsets(reader, [policy]).read()) for policy in policies}
            return all(count <= CAUGHT_UP_SECONDS[name] * len(pairs) for name, count in behind.items())

        wait_until("the bridges have caught up", are_near, seconds=300, every=1)

    def launch(programs: Collection[str], *policies: Policy) -> None:
        for name in programs:
            supervisor.launch(name)
        catch_up(*policies)

    used = {}
    supervisor.stop([*PERSISTING, *COMPUTING])
    used["nothing"] = measured(stack, seconds)
    launch(PERSISTING, PERSIST)
    used["minutes persisted"] = measured(stack, seconds)
    launch(COMPUTING, ROLLUP, ROLLUP_LIVE)
    used["larger candles too"] = measured(stack, seconds)
    listener = Listener(stack.port(6379), pairs)
    listener.start()
    used["and all watched"] = measured(stack, seconds)
    listener.stop()
    return used, listener.later_ms


def show(used: Mapping[str, Counter[str]]) -> list[float]:
    """Print processor seconds per minute; returns what each step adds."""
    names = sorted(set().union(*used.values()))
    print(f"{'processor seconds per minute':<30}", *(f"{step:>19}" for step in used))
    for name in names:
        print(f"  {name:<28}", *(f"{each[name]:19.2f}" for each in used.values()))
    # Without what takes no part in either: how it works depends on how busy the machine is.
    totals = [sum(seconds for name, seconds in each.items() if name in TAKING_PART) for each in used.values()]
    print(f"  {'all that take part':<28}", *(f"{each:19.2f}" for each in totals))
    return [after - before for before, after in pairwise(totals)]


def main() -> int:
    """Parse, run, print; returns 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=300, help="of each of the four steps")
    options = parser.parse_args()
    pairs = load_pairs(options.pairs)
    with loaded_stack("larger", PORT_OFFSET, pairs=pairs, updates=options.pairs) as stack:
        used, later_ms = run(stack, pairs, options.seconds)
    persisting, computing, watching = show(used)
    print(
        f"\npersisting the minutes costs {persisting:.2f} s a minute, computing all larger candles {computing:.2f} s",
        end="",
    )
    print(f" ({computing / persisting:.2f} of it), and {watching:.2f} s more while all pairs are watched")
    cuts = statistics.quantiles(later_ms, n=100)
    print(f"a candle of 5m after its minute: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, n={len(later_ms)}")
    broken = []
    if computing >= persisting:
        broken.append("computing larger candles costs more than persisting the minutes")
    if cuts[98] > PROMISED_MS:
        broken.append(f"larger candles come {cuts[98]:.0f} ms after their minutes, promised: {PROMISED_MS:g}")
    for each in broken:
        print(f"BROKEN: {each}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
