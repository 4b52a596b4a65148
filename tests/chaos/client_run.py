"""``python -m tests.chaos.client_run --seconds 300``: kills each of our programs in turn under a client that counts.

A client follows the finals of every pair from the beginning of history on while every program of ours is killed once,
one after the other. In the end it must have told exactly the finals that the store holds: each once, ascending.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from signal import SIGKILL
from typing import Final

from pymongo.errors import PyMongoError

from deploy.native.programs import Turn, turn_of
from deploy.native.stack import ROOT
from ingest.candle import Candle
from tests.chaos.cluster import PAIRS, Cluster, Clusters
from tests.chaos.evidence import CandleKey, StoredCandle
from tests.chaos.keeper import wait_for
from tests.chaos.runner import FLOW_SECONDS, flows
from tests.chaos.taps.store import StoreReader
from web.client import stream

PORT_OFFSET: Final = 4000
#: So many market minutes that its clock hurries through five minutes (`SIM_SPEED` is 60), and some more.
SIM_START: Final = "-8h"
#: A killed bridge keeps its partitions for 45 s; a hole is left open for 60 s.
SETTLED_SECONDS: Final = 180.0
_LOOK_SECONDS: Final = 1.0
_FINAL: Final = ("final", "corrected")


@dataclass
class Outcome:
    """What a run found."""

    killed: list[str] = field(default_factory=list)
    #: Of each candle that was told: how often.
    told: "Counter[CandleKey]" = field(default_factory=Counter)
    #: Sentences, each a broken promise.
    violations: list[str] = field(default_factory=list)
    #: How long it took after the last kill until everything had been told (seconds).
    settled_seconds: float = 0.0


def our_programs(cluster: Cluster) -> list[str]:
    """Every program but the services."""
    return [name for name in cluster.keeper.names() if turn_of(name) is Turn.OURS]


async def run(cluster: Cluster, seconds: float) -> Outcome:
    """Kill every program once within so many seconds, and look at what the client told."""
    candles: list[Candle] = []
    outcome = Outcome()
    listener = asyncio.create_task(_listen(cluster, candles))
    programs = our_programs(cluster)
    for name in programs:
        await asyncio.to_thread(wait_for, f"{name} runs", partial(cluster.keeper.pid, name), FLOW_SECONDS)
        cluster.keeper.signal(name, SIGKILL)
        outcome.killed.append(name)
        await asyncio.wait({listener}, timeout=seconds / len(programs))
    cluster.keeper.hold_down("simulate")
    began = time.monotonic()
    store = StoreReader(cluster.mongo_uri)
    try:
        while not listener.done() and time.monotonic() - began < SETTLED_SECONDS:
            with suppress(PyMongoError):
                if not list(_differences(candles, await asyncio.to_thread(_finals, store))):
                    break
            await asyncio.wait({listener}, timeout=_LOOK_SECONDS)
        # Whatever were told twice would come at once.
        await asyncio.wait({listener}, timeout=_LOOK_SECONDS)
        outcome.settled_seconds = time.monotonic() - began
        outcome.violations = list(_differences(candles, _finals(store)))
    finally:
        store.close()
    if listener.done():
        outcome.violations.append(f"the client ended: {listener.exception()}")
    listener.cancel()
    outcome.told.update(_key(candle) for candle in candles)
    return outcome


async def _listen(cluster: Cluster, candles: list[Candle]) -> None:
    async with aclosing(
        stream(
            PAIRS, since=0, finals_only=True, url=cluster.rest_url, ws_url=cluster.ws_url, on_trouble=lambda text: None
        )
    ) as told:
        async for candle in told:
            candles.append(candle)


def _finals(store: StoreReader) -> dict[CandleKey, StoredCandle]:
    return {key: candle for key, candle in store.minutes().items() if candle.state in _FINAL}


def _differences(candles: Iterable[Candle], stored: dict[CandleKey, StoredCandle]) -> Iterator[str]:
    """How what was told differs from what is stored, as sentences."""
    if not stored:
        yield "nothing is stored"
    told: dict[CandleKey, Candle] = {}
    last: dict[str, int] = {}
    for candle in candles:
        if candle.timestamp <= last.get(candle.pair, -1):
            yield f"{_key(candle)}: told after {last[candle.pair]}"
        last[candle.pair] = candle.timestamp
        told[_key(candle)] = candle
    yield from (f"{key}: stored, not told" for key in sorted(stored.keys() - told.keys()))
    yield from (f"{key}: told, not stored" for key in sorted(told.keys() - stored.keys()))
    for key in told.keys() & stored.keys():
        # What is corrected after it was told is not told again.
        if stored[key].state == "final" and told[key].values != stored[key].values:
            yield f"{key}: told {told[key].values}, stored {stored[key].values}"


def _key(candle: Candle) -> CandleKey:
    return candle.exchange, candle.pair, candle.timestamp


def main() -> int:
    """Run, print what was found, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long the kills take together (default: 300)")
    seconds = parser.parse_args().seconds
    clusters = Clusters(ROOT / ".run" / "client-run", PORT_OFFSET, SIM_START=SIM_START)
    with clusters.prepared(), clusters.start() as cluster:
        wait_for("candles flow", lambda: flows(cluster), FLOW_SECONDS)
        outcome = asyncio.run(run(cluster, seconds))
    print(f"killed within {seconds:g} s: {', '.join(outcome.killed)}")
    print(f"told {outcome.told.total():,} finals of {len(PAIRS)} pairs, {len(outcome.told):,} different ones;")
    print(f"the last {outcome.settled_seconds:.0f} s after the last kill")
    for violation in outcome.violations[:20]:
        print(f"BROKEN: {violation}")
    if not outcome.violations:
        print("they are exactly the finals that the store holds, each once, ascending")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
