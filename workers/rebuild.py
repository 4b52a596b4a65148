"""``python -m workers rebuild``: compute larger candles again from the stored minutes."""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ingest.candle import Interval, Series
from workers.buckets import MAX_BUCKETS, Outcome
from workers.console import Output
from workers.exit_status import DIFFERENT, FINE
from workers.rollup import LEVELS, open_time
from workers.settings import Settings
from workers.store import CandleStore, make_store

_SHOWN: Final = (Outcome.WRITTEN, Outcome.UNCHANGED, Outcome.KEPT)


def rebuild(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Rebuild, print and return the exit status.

    Raises:
        WorkersError: If the store cannot be asked.
    """
    began_at = time.monotonic()
    minutes = Series(options.exchange, options.pair, Interval.M1)
    store = make_store(settings)
    try:
        first, last = store.edge(minutes, newest=False), store.edge(minutes, newest=True)
        if first is None or last is None:
            output.error(f"the store holds no minutes of {options.pair} on {options.exchange}")
            return DIFFERENT
        since = first if options.since is None else max(first, options.since)
        until = last if options.until is None else min(last, options.until)
        found = _rebuild(store, minutes, since, until, output)
    finally:
        store.close()
    _show(minutes, found, round(time.monotonic() - began_at, 1), output)
    return FINE


def _rebuild(
    store: CandleStore, minutes: Series, since: int, until: int, output: Output
) -> dict[Interval, Counter[Outcome]]:
    """Level by level, as each is made of the one below."""
    chunks = {interval: list(_chunks(interval, since, until)) for interval in LEVELS}
    found: dict[Interval, Counter[Outcome]] = {interval: Counter() for interval in LEVELS}
    with output.progress("candles", sum(len(chunk) for each in chunks.values() for chunk in each)) as done:
        for interval in LEVELS:
            for chunk in chunks[interval]:
                # Asked for each time: beside live traffic it moves on.
                newest = store.edge(minutes, newest=True) or until
                found[interval] += store.recompute(minutes._replace(interval=interval), chunk, newest)
                done(len(chunk))
    return found


def _chunks(interval: Interval, since: int, until: int) -> Iterator[range]:
    """The open times of every candle that a minute from ``since`` to ``until`` belongs to, some at a time."""
    length = interval.milliseconds
    opens = range(open_time(since, interval), until + 1, length)
    for start in range(0, len(opens), MAX_BUCKETS):
        yield opens[start : start + MAX_BUCKETS]


def _show(minutes: Series, found: dict[Interval, Counter[Outcome]], seconds: float, output: Output) -> None:
    if output.as_json:
        for interval, counts in found.items():
            output.line(
                {"exchange": minutes.exchange, "pair": minutes.pair, "interval": interval}
                | {str(outcome): counts[outcome] for outcome in _SHOWN}
            )
        return
    rows = [[interval.value, *(f"{counts[outcome]:,}" for outcome in _SHOWN)] for interval, counts in found.items()]
    output.table(["interval", *(f">{outcome}" for outcome in _SHOWN)], rows)
    output.say(f"{minutes.pair} on {minutes.exchange}, {seconds:g} s")
