"""What a thousand WebSocket clients get, some of them frozen, some coming back every second.

    python -m tests.benchmarks.clients [--seconds 180] [--clients 1000] [--pairs 200] [--updates 200]

Starts a stack of its own. Every client follows ten pairs; five of a hundred never read, as many leave and come back
each second with the cursors that they hold (one visit of fifty with one that the server cannot know). Exits with 1 when
a promise is broken: no client that reads lacks the final state of a candle that the store has, who comes back gets
everything that changed meanwhile or is told exactly what to fetch, the server's memory is flat, the 99th percentile of
the way from ingest to a client that reads is at most 50 ms, and who is frozen is gone within 15 s.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import psutil
import pymongo

from ingest.revision import time_us_of
from tests.benchmarks.crowd import SUBSCRIPTIONS, Account, Report
from tests.benchmarks.frozen import FrozenClients, closed, report_frozen
from tests.benchmarks.load import MIB, load_pairs, loaded_stack, mebibytes, restarted, sampled, within
from tests.benchmarks.members import GRACE_SECONDS
from tests.benchmarks.throughput import processor_seconds
from tests.chaos.process_checkers import GROWTH_BYTES, growth
from tests.system.stack import ROOT, Stack

PORT_OFFSET: Final = 3_400
P99_MS: Final = 50.0
#: Whose memory is shown: they are on the way to a client.
WATCHED: Final = ("ingest", "bridge-fanout", "workers-fanout-1", "ws")
#: Of these the promise speaks; the others explain.
PROMISED: Final = ("clients that stay", "clients that come back")
_FROZEN_SHARE = _RETURNING_SHARE = 0.05
#: For coming, settling, leaving, and counting.
_BESIDE_SECONDS: Final = 120.0
#: So few finals would show nothing, as a share of what the market makes; some of its minutes have no trade.
_LEAST_FINALS: Final = 0.8
#: Of what is broken in one way, so many are printed.
_SHOWN: Final = 5

#: By pair and open time: the `rev` of a candle whose state is final.
Finals = dict[str, dict[int, int]]


class Gathering:
    """The clients that read, in a process of their own, and what the machine did meanwhile."""

    def __init__(self, stack: Stack, options: argparse.Namespace) -> None:
        self._stack, self._file = stack, stack.run_dir / "crowd.json"
        share = round(options.clients * _RETURNING_SHARE)
        readers = options.clients - share - round(options.clients * _FROZEN_SHARE)
        words = ["127.0.0.1", str(stack.port(3004)), str(self._file), "--pairs", str(options.pairs)]
        words += ["--readers", str(readers), "--returning", str(share), "--seconds", str(options.seconds)]
        self._words, self._seconds = words, options.seconds
        self.began = self.ended = 0.0
        #: Processor seconds of each program and of the clients.
        self.used: dict[str, float] = {}

    def watch(self) -> Report:
        """Let them come, and return what they saw.

        Raises:
            RuntimeError: If they could not do their work.
        """
        command = [sys.executable, "-m", "tests.benchmarks.crowd", *self._words]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError("the clients did not all come")
                self.began, before = float(line), self._processor_seconds(process.pid)
                time.sleep(self._seconds)
                self.ended, after = time.time(), self._processor_seconds(process.pid)
                self.used = {name: after[name] - before.get(name, 0.0) for name in after}
                status = process.wait(_BESIDE_SECONDS)
            finally:
                process.kill()
        if status:
            raise RuntimeError("the clients could not do their work")
        return msgspec.json.decode(self._file.read_bytes(), type=Report)

    def _processor_seconds(self, clients: int) -> dict[str, float]:
        clients_used = sum(psutil.Process(clients).cpu_times()[:2])
        return processor_seconds(self._stack) | {"the clients": clients_used, "this program": time.process_time()}


def stored_finals(stack: Stack) -> Finals:
    """Every closed candle that the store has."""
    finals: Finals = defaultdict(dict)
    with pymongo.MongoClient[dict[str, object]](f"mongodb://127.0.0.1:{stack.port(27017)}") as client:
        rows = client["crypto-streams"]["candles"].find({"state": {"$in": ["final", "corrected"]}})
        for row in rows:
            finals[str(row["pair"])][int(str(row["timestamp"]))] = int(str(row["rev"]))
    return finals


def owed(account: Account, stored: Finals) -> Iterator[tuple[str, int, int]]:
    """Pair, open time and `rev` of what was closed while this client followed its pair."""
    for pair in account.pairs:
        for timestamp, rev in stored[pair].items():
            if account.since < time_us_of(rev) / 1e6 < account.until - GRACE_SECONDS:
                yield pair, timestamp, rev


def report_finals(stack: Stack, report: Report, expected: float) -> Iterator[str]:
    """Print how many finals reached whom; yields what is broken."""
    stored = stored_finals(stack)
    counts: dict[str, int] = defaultdict(int)
    fetched = 0
    for account in report.accounts:
        for pair, timestamp, rev in owed(account, stored):
            counts[account.kind] += 1
            if account.finals.get(pair, {}).get(timestamp) == rev:
                continue
            if any(each.from_ <= timestamp <= each.to for each in account.ranges.get(pair, [])):
                fetched += 1
                if not is_served(stack, pair, timestamp, rev):
                    yield f"REST does not have {pair} at {timestamp}"
            else:
                yield f"a client ({account.kind}) lost the final state of {pair} at {timestamp}"
    told = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
    print(f"\nfinals owed to clients that {told}; {fetched} of them to be fetched, as they were told")
    if counts["stay"] < expected * _LEAST_FINALS:
        yield f"only {counts['stay']} finals were owed, expected about {expected:.0f}"


def is_served(stack: Stack, pair: str, timestamp: int, rev: int) -> bool:
    """Whether REST has this version."""
    query: dict[str, str | int] = {"pair": pair, "from": timestamp, "to": timestamp}
    return [candle["rev"] for candle in stack.get("/api/candles", **query)["candles"]] == [rev]


def report_returns(report: Report) -> Iterator[str]:
    """Print how those fared that came back; yields what is broken."""
    print(f"{report.visits} visits: {report.resumed} subscriptions went on where they were, ", end="")
    print(f"{report.told_otherwise} were told what to fetch;")
    print(f"  {report.finals_resumed} finals came with a resumption, {report.gaps} gaps were announced")
    if not report.resumed or not report.told_otherwise:
        yield "too few came back to show anything"


def report_delays(report: Report) -> Iterator[str]:
    """Print how long updates took; yields what is broken."""
    print("\nwritten by ingest → there, ms        p50      p99      max        n")
    for name, taken in report.delays.items():
        print(f"  {name:<28} {taken.p50:8.2f} {taken.p99:8.2f} {taken.most:8.2f} {taken.count:8}")
    seconds = sorted(report.p99_by_second)
    late = sum(each > P99_MS for each in seconds)
    print(f"  {late} of {len(seconds)} seconds had a p99 above {P99_MS:g} ms; half of them one of at most ", end="")
    print(f"{seconds[len(seconds) // 2]:.1f} ms")
    for name in PROMISED:
        if name not in report.delays:
            yield f"{name} got nothing"
        elif report.delays[name].p99 > P99_MS:
            yield f"the p99 of {name} is {report.delays[name].p99:.1f} ms, expected at most {P99_MS:g}"


def report_memory(samples: Mapping[str, Sequence[tuple[float, int]]], began: float, ended: float) -> Iterator[str]:
    """Print the memory of the programs on the way to a client; yields what is broken."""
    print("\nmemory, MiB                        begin      end   second half, KiB/min")
    for program in WATCHED:
        first, last, slope = mebibytes(within(samples[program], began, ended))
        print(f"  {program:<28} {first:9.1f} {last:8.1f} {slope:22.0f}")
    if (grown := growth(within(samples["ws"], began, ended))) > GROWTH_BYTES:
        yield f"the server grew by {grown / MIB:.1f} MiB"


def print_processor(used: Mapping[str, float], seconds: float) -> None:
    """Print who used the processor, as a share of one core."""
    most = sorted(used.items(), key=lambda each: -each[1])
    shares = ", ".join(f"{name} {100 * each / seconds:.0f}" for name, each in most)
    print(f"\npercent of a core ({os.cpu_count()} cores): {shares}; in all {100 * sum(used.values()) / seconds:.0f}")


def shortened(broken: Sequence[str]) -> list[str]:
    """The first few of each kind, by their first words."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for each in broken:
        kinds[" ".join(each.split()[:4])].append(each)
    return [
        line
        for kind in kinds.values()
        for line in [*kind[:_SHOWN], *([f"… and {len(kind) - _SHOWN} like these"] if len(kind) > _SHOWN else [])]
    ]


def main() -> int:
    """Parse, run, print; returns 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180, help="for how long they are watched")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--updates", type=int, default=200, help="updates a second, of all pairs together")
    options = parser.parse_args()
    pairs = load_pairs(options.pairs)
    with loaded_stack("clients", PORT_OFFSET, pairs=pairs, updates=options.updates) as stack:
        pids = stack.pids()
        before = closed(stack)
        frozen = FrozenClients(stack, pairs[:SUBSCRIPTIONS], round(options.clients * _FROZEN_SHARE))
        gathering = Gathering(stack, options)
        frozen.start()
        try:
            with sampled(stack, *WATCHED) as (memory, _):
                report = gathering.watch()
        finally:
            frozen.stop()
        shown = closed(stack) - before
        expected = len(report.accounts) * SUBSCRIPTIONS * (options.seconds // 60)
        print(f"{options.clients} clients of {SUBSCRIPTIONS} pairs each, of {options.pairs}; {options.seconds:g} s")
        broken = [f"{name} was started again" for name in restarted(stack, pids)] + report.broken
        broken += report_delays(report)
        broken += report_finals(stack, report, expected)
        broken += report_returns(report)
        broken += report_frozen(frozen, shown)
        broken += report_memory(memory.samples, gathering.began, gathering.ended)
        print_processor(gathering.used, gathering.ended - gathering.began)
    for each in shortened(broken):
        print(f"BROKEN: {each}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
