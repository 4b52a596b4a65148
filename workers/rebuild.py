"""``python -m workers rebuild``: compute larger candles again from the stored minutes."""

import argparse
import time
from collections import Counter
from typing import Final

from ingest.candle import Interval, Series
from workers.buckets import Newest, Outcome, levels_of
from workers.console import Output
from workers.exit_status import DIFFERENT, FINE
from workers.rollup import LEVELS, open_time
from workers.settings import Settings
from workers.store import CandleStore, make_store

_SHOWN: Final = (Outcome.WRITTEN, Outcome.UNCHANGED)


def rebuild(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Rebuild, print and return the exit status.

    Raises:
        WorkersError: If the store cannot be asked.
    """
    began_at = time.monotonic()
    minutes = Series(options.exchange, options.pair, Interval.M1)
    store = make_store(settings)
    try:
        first, last = (store.edges([minutes], newest=newest).get(minutes) for newest in (False, True))
        if first is None or last is None:
            output.error(f"the store holds no minutes of {options.pair} on {options.exchange}")
            return DIFFERENT
        since = first if options.since is None else max(first, options.since)
        until = last if options.until is None else min(last, options.until)
        found = _rebuild(store, minutes, since, until, last, output)
    finally:
        store.close()
    _show(minutes, found, round(time.monotonic() - began_at, 1), output)
    return FINE


def _rebuild(
    store: CandleStore, minutes: Series, since: int, until: int, last: int, output: Output
) -> dict[Interval, Counter[Outcome]]:
    parts = list(levels_of((minutes, timestamp) for timestamp in _one_minute_of_each(since, until)))
    found: dict[Interval, Counter[Outcome]] = {interval: Counter() for interval in LEVELS}
    newest = Newest()
    newest.learn(minutes, last)
    with output.progress("candles", sum(map(len, parts))) as done:
        for part in parts:
            found[part[0].series.interval] += store.recompute(part, newest)
            done(len(part))
    return found


def _one_minute_of_each(since: int, until: int) -> range:
    """An open time in each of the smallest candles that a minute from ``since`` to ``until`` belongs to."""
    smallest = next(iter(LEVELS))
    return range(open_time(since, smallest), until + 1, smallest.milliseconds)


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
