"""What the benchmarks of a loaded stack share: a steady rate of updates, clients beside it, and what is sampled.

The simulated exchange itself makes the load, at the speed of the clock: many pairs, many updates a minute.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import redis

from tests.benchmarks.latency import settle, version_of
from tests.benchmarks.listener import heard
from tests.chaos.taps.processes import MemorySampler
from tests.chaos.taps.tap import Tap
from tests.system.simlog import frames
from tests.system.stack import ROOT, Stack, parse_exact, running_stack, wait_until

MIB: Final = 1024 * 1024
#: The live stream counts as undisturbed while its 99th percentile is within this of the one before (ms): two cores that
#: everything shares spread it by so much.
NOISE_MS: Final = 25.0
#: Fewer would not tell a 99th percentile.
_LEAST: Final = 100
#: For a process that is asked to end.
_END_SECONDS: Final = 10.0


@contextmanager
def loaded_stack(name: str, port_offset: int, *, pairs: Sequence[str], updates: int) -> Iterator[Stack]:
    """A stack of its own, once its market has caught up with the clock and sends ``updates`` a second."""
    market = {
        "SIM_START": "-60s",
        "SIM_SPEED": "1000",
        "SIM_UPDATES": str(round(updates * 60 / len(pairs))),
        "PAIRS": ",".join(pairs),
    }
    with running_stack(name, port_offset, **market) as stack:
        settle(stack, pairs[0])
        yield stack


def load_pairs(count: int) -> tuple[str, ...]:
    """Pairs that the simulated exchange lists for this."""
    return tuple(f"T{number:03}-USD" for number in range(count))


@contextmanager
def listening(stack: Stack, pairs: Sequence[str], *, clients: int = 1) -> Iterator[Path]:
    """WebSocket clients in a process of their own; yields the file with what they hear.

    Raises:
        RuntimeError: If one of them lost its connection.
    """
    log = stack.run_dir / "heard"
    words = ["-m", "tests.benchmarks.listener", stack.ws_url, str(log), *pairs, "--clients", str(clients)]
    with subprocess.Popen([sys.executable, *words], cwd=ROOT) as process:
        try:
            wait_until("a frame is heard", lambda: log.exists() and log.stat().st_size, seconds=20)
            yield log
        finally:
            process.terminate()
            status = process.wait(_END_SECONDS)
    if status:
        raise RuntimeError("a client that reads lost its connection")


def delays(stack: Stack, log: Path) -> list[tuple[float, float]]:
    """When each version of a candle was sent (Unix seconds), and how long it took to a client (ms); in that order.

    When a frame was sent is known in whole milliseconds, rounded down. Versions that a newer one overtook on the way
    are not there.
    """
    sent: dict[int, float] = {}
    for line in frames(stack.sim_log):
        frame = line["frame"]
        if frame.get("channel") == "prices" and frame["event"] == "updated":
            names = ("timestamp", "open", "high", "low", "close", "volume")
            row = dict(zip(names, frame["price"], strict=True))
            # Their hashes: half a million of them are to fit in.
            sent.setdefault(hash(version_of({"pair": frame["symbol"], **row})), float(line["at"]) / 1000)
    seen: set[tuple[int, int]] = set()
    found = []
    for client, at, text in heard(log):
        version = hash(version_of(parse_exact(text)))
        if version in sent and (client, version) not in seen:
            seen.add((client, version))
            found.append((sent[version], (at - sent[version]) * 1000))
    return sorted(found)


def percentiles(measured: Sequence[tuple[float, float]], begin: float, end: float) -> tuple[float, float, int]:
    """Median and 99th percentile of what was sent within a time, and how many that is.

    Raises:
        RuntimeError: If they are too few.
    """
    chosen = [took for sent_at, took in measured if begin <= sent_at < end]
    if len(chosen) < _LEAST:
        raise RuntimeError(f"only {len(chosen)} versions were seen at both ends, expected at least {_LEAST}")
    cuts = statistics.quantiles(chosen, n=100)
    return cuts[49], cuts[98], len(chosen)


class RedisMemory(Tap):
    """What Redis uses for its data and its clients, once a second; bytes."""

    pause_seconds = 1.0

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._client = redis.Redis(port=stack.port(6379))
        self.samples: list[tuple[float, int]] = []

    def look(self) -> None:
        """Take one sample."""
        at, _ = self._client.time()
        self.samples.append((float(at), int(self._client.info("memory")["used_memory"])))

    def peak(self) -> int:
        """The most that it ever used, also between two samples."""
        return int(self._client.info("memory")["used_memory_peak"])


@contextmanager
def sampled(stack: Stack, *programs: str) -> Iterator[tuple[MemorySampler, RedisMemory]]:
    """Samples of these programs' memory (default: of all) and of Redis' own count, once a second."""
    # Each takes some milliseconds of the processor that is shared with what is measured.
    pids = {name: pid for name, pid in stack.pids().items() if name in programs or not programs}
    taps = MemorySampler(lambda: pids), RedisMemory(stack)
    with ExitStack() as undo:
        for tap in taps:
            tap.start()
            undo.callback(tap.stop)
        yield taps


def within(samples: Sequence[tuple[float, int]], begin: float, end: float) -> list[tuple[float, int]]:
    """The samples of a time."""
    return [(at, size) for at, size in samples if begin <= at < end]


def mebibytes(samples: Sequence[tuple[float, int]]) -> tuple[float, float, float]:
    """Memory in the first and in the last tenth of a time, MiB, and the slope of its second half, KiB a minute."""
    tenth = max(1, len(samples) // 10)
    first, last = (statistics.median(size for _, size in part) / MIB for part in (samples[:tenth], samples[-tenth:]))
    half = samples[len(samples) // 2 :]
    slope = statistics.linear_regression([at for at, _ in half], [size for _, size in half]).slope
    return first, last, slope * 60 / 1024


def restarted(stack: Stack, before: Mapping[str, int]) -> list[str]:
    """The programs that are not the processes that they were."""
    now = stack.pids()
    return sorted(name for name, pid in before.items() if now.get(name) != pid)
