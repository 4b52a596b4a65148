"""What it costs when the store is away for minutes: memory, the live stream, and the time to catch up.

    python -m tests.benchmarks.outage [--minutes 5] [--fault stop|freeze] [--updates 2000]

Starts a stack of its own whose simulated exchange sends so many updates a second, and measures for half a minute how
long they take to a WebSocket client that follows every pair. Then PostgreSQL, which holds the store's data, is stopped
or frozen while the updates go on, and comes back. Exits with 1 when a promise is broken: Redis below 64 MiB, memory of
our processes flat, the live stream undisturbed, catching up faster than real time, and the store complete afterwards.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIGCONT, SIGSTOP
from typing import Final

import deploy.native.stack
from deploy.native.supervision import Supervisor
from tests.benchmarks.load import (
    MIB,
    NOISE_MS,
    RedisMemory,
    delays,
    listening,
    load_pairs,
    loaded_stack,
    mebibytes,
    percentiles,
    restarted,
    sampled,
    within,
)
from tests.chaos.keeper import signal_tree
from tests.chaos.process_checkers import GROWTH_BYTES, growth
from tests.chaos.progress import Progress, Sample
from tests.chaos.taps.processes import MemorySampler
from tests.system.stack import ROOT, Stack, wait_until
from workers.policies import PERSIST

PORT_OFFSET: Final = 3_300
#: As many as one client may follow.
PAIRS: Final = 200
REDIS_PROMISE_BYTES: Final = 64 * MIB
#: Whose memory is looked at.
PROGRAMS: Final = (
    "bridge-persist", "bridge-fanout", "workers-persist-1", "workers-fanout-1", "ws", "rest", "ingest",
)  # fmt: skip
#: Commits come once a second: who is behind by no more than so many seconds of updates has caught up.
CAUGHT_UP_SECONDS: Final = 2.0
AFTER_SECONDS: Final = 15.0
#: What the processes fetch and compile at first is no growth (seconds).
_WARM_UP_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Moments:
    """When what began, Unix seconds."""

    began: float
    away: float
    back: float
    caught_up: float
    ended: float


@dataclass(frozen=True)
class CatchUp:
    """How fast the store was filled again; records per second."""

    seconds: float
    records: int
    arriving: float

    @property
    def ratio(self) -> float:
        """How many times as fast as real time."""
        return self.records / self.seconds / self.arriving


@contextmanager
def store_away(stack: Stack, fault: str) -> Iterator[None]:
    """PostgreSQL stopped, as by an operator, or frozen with its connections open."""
    supervisor = Supervisor(deploy.native.stack.Stack(stack.run_dir, stack.environment))
    pid = stack.pids()["postgres"]
    if fault == "stop":
        supervisor.stop(["postgres"])
    else:
        signal_tree(pid, SIGSTOP)
    try:
        yield
    finally:
        if fault == "stop":
            supervisor.launch("postgres")
        else:
            signal_tree(pid, SIGCONT)


def behind(sample: Sample) -> int:
    """How many records the persistence bridge has not committed."""
    committed = sample.committed[PERSIST.group]
    return sum(end - committed.get(partition, 0) for partition, end in sample.ends.items())


def catch_up(progress: Progress, back: float, caught_up: float, away: float) -> CatchUp:
    """What the samples of Kafka say about the time after the store came back."""
    first, at_back, at_end = (
        next(sample for sample in progress.samples if sample.at >= moment) for moment in (away, back, caught_up)
    )
    arriving = (sum(at_back.ends.values()) - sum(first.ends.values())) / (at_back.at - first.at)
    done = behind(at_back) + sum(at_end.ends.values()) - sum(at_back.ends.values()) - behind(at_end)
    return CatchUp(caught_up - back, done, arriving)


def run(stack: Stack, options: argparse.Namespace, progress: Progress) -> Moments:
    """Take the store away and bring it back; returns when what happened."""
    began = time.time()
    time.sleep(options.baseline)
    with store_away(stack, options.fault):
        away = time.time()
        print(f"the store is away for {options.minutes:g} minutes ({options.fault})", flush=True)
        time.sleep(options.minutes * 60)
    back = time.time()
    print("the store is back", flush=True)

    def has_caught_up() -> bool:
        return bool(behind(progress.newer(back, 5)) <= CAUGHT_UP_SECONDS * options.updates)

    wait_until("the store has caught up", has_caught_up, seconds=60 + 2 * 60 * options.minutes, every=0.25)
    caught_up = time.time()
    time.sleep(AFTER_SECONDS)
    return Moments(began, away, back, caught_up, time.time())


def verify(stack: Stack) -> tuple[bool, str]:
    """Whether the store holds the newest version of everything, and what `python -m workers verify` says."""
    addresses = {
        "KAFKA_BROKERS": f"127.0.0.1:{stack.port(9092)}",
        "MONGO_URI": f"mongodb://127.0.0.1:{stack.port(27017)}",
    }
    command = [sys.executable, "-m", "workers", "verify", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | addresses, capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stdout or done.stderr).strip().rpartition("\n")[2]


def report_memory(memory: MemorySampler, redis: RedisMemory, moments: Moments) -> Iterator[str]:
    """Print memory while the store was away; yields what is broken."""
    print("\nmemory while the store was away, MiB       begin     end   second half, KiB/min")
    for program in PROGRAMS:
        samples = within(memory.samples[program], moments.away + _WARM_UP_SECONDS, moments.back)
        first, last, slope = mebibytes(samples)
        print(f"  {program:<36} {first:9.1f} {last:7.1f} {slope:22.0f}")
        if (grown := growth(samples)) > GROWTH_BYTES:
            yield f"{program} grew by {grown / MIB:.1f} MiB while the store was away"
    first, last, slope = mebibytes(within(redis.samples, moments.away, moments.back))
    peak = redis.peak()
    print(f"  {'redis, used_memory':<36} {first:9.1f} {last:7.1f} {slope:22.0f}")
    print(f"  redis, peak of the whole run: {peak / MIB:.1f} (promised: below {REDIS_PROMISE_BYTES // MIB})")
    if peak >= REDIS_PROMISE_BYTES:
        yield f"Redis used {peak / MIB:.1f} MiB"


def report_live(measured: list[tuple[float, float]], moments: Moments) -> Iterator[str]:
    """Print the live stream's delays; yields what is broken."""
    print("\nframe sent → client, ms                  p50      p99       n")
    spans = {
        "before": (moments.began, moments.away),
        "store away": (moments.away, moments.back),
        "catching up, and after": (moments.back, moments.ended),
    }
    found = {name: percentiles(measured, *span) for name, span in spans.items()}
    for name, (p50, p99, count) in found.items():
        print(f"  {name:<34} {p50:8.2f} {p99:8.2f} {count:7}")
    if found["store away"][1] > found["before"][1] + NOISE_MS:
        yield f"the live stream's p99 rose from {found['before'][1]:.1f} to {found['store away'][1]:.1f} ms"


def report_catch_up(caught: CatchUp) -> Iterator[str]:
    """Print how fast it was; yields what is broken."""
    print(
        f"\ncatching up: {caught.records} records in {caught.seconds:.1f} s, {caught.records / caught.seconds:.0f}/s; "
        f"they came at {caught.arriving:.0f}/s: {caught.ratio:.1f} times real time"
    )
    if caught.ratio <= 1:
        yield "catching up is slower than real time"


def main() -> int:
    """Parse, run, print; returns 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="how long the store is away")
    parser.add_argument("--fault", choices=("stop", "freeze"), default="stop", help="what happens to PostgreSQL")
    parser.add_argument("--updates", type=int, default=2_000, help="updates a second, of all pairs together")
    parser.add_argument("--baseline", type=float, default=30, help="seconds that are measured before")
    options = parser.parse_args()
    pairs = load_pairs(PAIRS)
    with loaded_stack("outage", PORT_OFFSET, pairs=pairs, updates=options.updates) as stack:
        pids = {name: pid for name, pid in stack.pids().items() if name != "postgres"}
        progress = Progress(f"127.0.0.1:{stack.port(9092)}")
        with listening(stack, pairs) as log, sampled(stack) as (memory, redis):
            moments = run(stack, options, progress)
        caught = catch_up(progress, moments.back, moments.caught_up, moments.away)
        progress.stop()
        complete, said = verify(stack)
        broken = [f"{name} was started again" for name in restarted(stack, pids)]
        broken += [*report_memory(memory, redis, moments), *report_live(delays(stack, log), moments)]
    broken += report_catch_up(caught)
    print(f"verify: {said}")
    broken += [] if complete else ["the store does not hold everything"]
    for each in broken:
        print(f"BROKEN: {each}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
