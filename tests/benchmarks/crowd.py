"""A crowd of WebSocket clients in a process of its own: most stay, some come back every second.

    python -m tests.benchmarks.crowd HOST PORT FILE --pairs 200 --readers 900 --returning 50 --seconds 180

Prints a line when all are there and what they see begins to count. The file gets a `Report` at the end. Ends with
status 0 unless it could not do its work; what the server did wrong is in the report.
"""

import argparse
import asyncio
import gc
import random
import resource
import statistics
import sys
import time
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from ingest.revision import rank_of
from tests.benchmarks.load import load_pairs
from tests.benchmarks.members import FINAL_RANK, Holding, Member, Range, Seen

#: How many candles' streams each client follows.
SUBSCRIPTIONS: Final = 10
#: Those that come back stay for so long, and are away for so long (seconds).
_STAY_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 0.5
#: How long a client waits for what others heard already, before it calls it lost (seconds).
_LATE_SECONDS: Final = 3.0
#: One visit of so many begins with a place that the server cannot know.
_LOSES_PLACE_ONE_IN: Final = 50
#: How many come each second at the beginning, and for how long nothing counts after the last.
_RAMP_PER_SECOND: Final = 100
_SETTLE_SECONDS: Final = 5.0
#: How often the crowd looks whether it is late itself.
_LOOK_SECONDS: Final = 0.02
#: A minute turns during its first so many seconds: the closed candles and the new ones come on top.
_TURN_SECONDS: Final = 2


class Delays(msgspec.Struct):
    """How long something took, ms."""

    count: int
    p50: float
    p99: float
    most: float


class Account(msgspec.Struct):
    """What one client has at the end: closed candles alone."""

    kind: str
    pairs: list[str]
    since: float
    until: float
    finals: dict[str, dict[int, int]]
    ranges: dict[str, list[Range]]


class Report(msgspec.Struct):
    """What the crowd saw."""

    delays: dict[str, Delays]
    #: Of the clients that stay, by second, ms.
    p99_by_second: list[float]
    accounts: list[Account]
    broken: list[str]
    visits: int
    resumed: int
    told_otherwise: int
    finals_resumed: int
    gaps: int


class Crowd:
    """All of them.

    Args:
        host, port: The server.
        pairs: Of these each client follows ten.
        readers: How many stay.
        returning: How many come back each second.
    """

    def __init__(self, host: str, port: int, pairs: Sequence[str], *, readers: int, returning: int) -> None:
        self._host, self._port, self._pairs = host, port, pairs
        self._dice = random.Random(11)
        self.seen = Seen()
        self._readers = [Holding("stay", self._some_pairs()) for _ in range(readers)]
        places = round(returning * (_STAY_SECONDS + _AWAY_SECONDS))
        self._returning = [Holding("come back", self._some_pairs()) for _ in range(places)]
        self._members: list[Member] = []
        self._lateness: list[float] = []
        self._is_over = False
        self._visits = 0

    async def run(self, seconds: float) -> Report:
        """Let all come, watch for so long, and account for what they saw."""
        await self._let_in()
        coming = [asyncio.create_task(self._come_and_go(holding)) for holding in self._returning]
        await asyncio.sleep(_SETTLE_SECONDS)
        gc.collect()
        gc.freeze()
        self._begin_anew()
        print(f"{time.time():.3f}", flush=True)
        watching = asyncio.create_task(self._watch_itself())
        await asyncio.sleep(seconds)
        watching.cancel()
        self._is_over = True
        await asyncio.gather(*coming)
        now = time.time()
        for holding, member in zip(self._readers, self._members, strict=True):
            holding.until = now
            member.leave(politely=False)
        return self._report()

    def _some_pairs(self) -> list[str]:
        return self._dice.sample(self._pairs, SUBSCRIPTIONS)

    async def _let_in(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, holding in enumerate(self._readers):
            await asyncio.sleep(began + number / _RAMP_PER_SECOND - loop.time())
            member = Member(self.seen, holding)
            await member.connect(self._host, self._port)
            await member.follow()
            self._members.append(member)

    def _begin_anew(self) -> None:
        """What was seen so far does not count: all came at once."""
        self.seen.delays.clear()
        self.seen.answered_ms.clear()
        self.seen.resumed = self.seen.told_otherwise = self.seen.finals_resumed = self._visits = 0

    async def _come_and_go(self, holding: Holding) -> None:
        cycle = _STAY_SECONDS + _AWAY_SECONDS
        await asyncio.sleep(self._dice.random() * cycle)
        while not self._is_over:
            ends = asyncio.get_running_loop().time() + cycle
            try:
                await self._visit(holding)
            except (OSError, TimeoutError) as error:
                self.seen.broken.append(f"a client could not come back: {error or type(error).__name__}")
            await asyncio.sleep(ends - asyncio.get_running_loop().time())

    async def _visit(self, holding: Holding) -> None:
        self._visits += 1
        if holding.since and self._visits % _LOSES_PLACE_ONE_IN == 0:
            holding.lose_place()
        member = Member(self.seen, holding)
        try:
            await member.connect(self._host, self._port)
            await member.follow()
            await asyncio.sleep(_STAY_SECONDS)
            await self._check(holding)
        finally:
            member.leave(politely=self._visits % 2 == 0)

    async def _check(self, holding: Holding) -> None:
        """Whether it has what others had heard by now; it may still be on its way where the machine is busy."""
        holding.until = now = time.time()
        while lacking := holding.lacks(self.seen, now):
            if time.time() > now + _LATE_SECONDS:
                self.seen.broken += [f"a client that came back lacks {each}" for each in lacking]
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _watch_itself(self) -> None:
        while True:
            # The loop's own clock stands still while it works.
            due = time.monotonic() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self._lateness.append((time.monotonic() - due) * 1000)

    def _report(self) -> Report:
        seen = self.seen
        stay = seen.delays.get("stay", {})
        turning = {second for second in stay if second % 60 < _TURN_SECONDS}
        measured = {
            "clients that stay": _us(stay.values()),
            "  as a minute turns": _us(stay[second] for second in turning),
            "  at other times": _us(taken for second, taken in stay.items() if second not in turning),
            "clients that come back": _us(seen.delays.get("come back", {}).values()),
            "command → all answers": seen.answered_ms,
            "the clients' own lateness": self._lateness,
        }
        return Report(
            delays={name: _summed_up(taken) for name, taken in measured.items() if len(taken) > 1},
            p99_by_second=[_summed_up(_us([stay[second]])).p99 for second in sorted(stay) if len(stay[second]) > 1],
            accounts=[_account(holding) for holding in chain(self._readers, self._returning)],
            broken=seen.broken,
            visits=self._visits,
            resumed=seen.resumed,
            told_otherwise=seen.told_otherwise,
            finals_resumed=seen.finals_resumed,
            gaps=seen.gaps,
        )


def _us(parts: "Iterable[array[int]]") -> list[float]:
    """Milliseconds of all of them."""
    return [each / 1000 for each in chain.from_iterable(parts)]


def _summed_up(taken: list[float]) -> Delays:
    cuts = statistics.quantiles(taken, n=100)
    return Delays(len(taken), cuts[49], cuts[98], max(taken))


def _account(holding: Holding) -> Account:
    finals = {
        pair: {timestamp: rev for timestamp, rev in revs.items() if rank_of(rev) >= FINAL_RANK}
        for pair, revs in holding.revs.items()
    }
    return Account(holding.kind, list(holding.pairs), holding.since, holding.until, finals, holding.ranges)


def main() -> int:
    """Parse and be there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    for name in ("pairs", "readers", "returning"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def be_there() -> Report:
        pairs = load_pairs(options.pairs)
        crowd = Crowd(options.host, options.port, pairs, readers=options.readers, returning=options.returning)
        return await crowd.run(options.seconds)

    options.file.write_bytes(msgspec.json.encode(uvloop.run(be_there())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
