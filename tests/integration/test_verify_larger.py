"""What `verify` finds of larger candles on a real store: each planted difference by its name, and no other."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo import MongoClient

from ingest.candle import Candle, Interval, Series, State
from ingest.revision import make_rev
from tests.conftest import make_candle
from tests.integration.bridge_bench import BridgeBench, wait_until
from tests.integration.comparing import later, nobody_watches
from workers import larger_comparison
from workers.differences import Findings, Kind
from workers.documents import Document, document_id, series_hash
from workers.larger_comparison import LargerComparison
from workers.policies import PERSIST, ROLLUP
from workers.rollup import LEVELS, open_time
from workers.store import CandleStore

DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z
MINUTE_MS = 60_000
PER_DAY = {interval: 1440 // interval.minutes for interval in LEVELS}
ROLLUP_SECONDS = 15.0
#: Seconds ago that are within, and beyond, the time in which a running candle must be stored.
WITHIN, BEYOND = 10.0, 25.0


class Bench:
    """A store of one test."""

    def __init__(self, client: MongoClient[Document], database: str) -> None:
        self.candles = client[database]["candles"]
        self.store = CandleStore(client, database, "candles")

    def roll_up(self, *minutes: Candle) -> None:
        """Write minutes and what follows, as the bridge's jobs do."""
        assert self.store.write(minutes) == []
        self.store.roll_up(minutes)

    def compare(self, **options: Any) -> Findings:
        """Verify, without patience unless the options say otherwise."""
        findings = Findings()
        everything = {"rollup_seconds": ROLLUP_SECONDS, "wait_seconds": 0.0, **options}
        LargerComparison(self.store, nobody_watches, **everything).run(findings)
        return findings

    def alter(self, interval: Interval, number: int, **fields: Any) -> None:
        """Change a stored document behind the store's back."""
        done = self.candles.update_one({"_id": id_of(interval, number)}, {"$set": fields})
        assert done.modified_count == 1


@pytest.fixture
def larger(mongo_uri: str, database: str) -> Iterator[Bench]:
    """An empty store."""
    with MongoClient[Document](mongo_uri) as client:
        yield Bench(client, database)


def minute(number: int, state: State = State.FINAL, *, ago: float = 86_400.0, **fields: Any) -> Candle:
    """The numbered minute of the day, written so many seconds ago."""
    values: dict[str, Any] = {"close": Decimal(18_377 + number % 7), "volume": Decimal(1)} | fields
    written_us = time.time_ns() // 1000 - int(ago * 1_000_000)
    return make_candle(timestamp=DAY_MS + number * MINUTE_MS, state=state, written_us=written_us, **values)


def id_of(interval: Interval, number: int) -> ObjectId:
    series = Series("sim", "BTC-USD", interval)
    return document_id(series_hash(series), open_time(DAY_MS + number * MINUTE_MS, interval))


@contextmanager
def noted(looked: list[tuple[str, int, int]], what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress that is noted: what, its total, and how much was done in the end."""
    done: list[int] = []
    yield done.append
    looked.append((what, total, sum(done)))


def said(findings: Findings) -> list[tuple[Kind, str, int, str]]:
    """Kind, interval, minute of the day and reason of each difference."""
    found = []
    for each in findings.differences:
        candle = each.expected or each.stored
        assert candle is not None
        found.append((each.kind, candle.interval.value, (candle.timestamp - DAY_MS) // MINUTE_MS, each.reason))
    assert findings.counts == Counter(each.kind for each in findings.differences)
    return found


def test_what_the_jobs_leave_is_equal_and_empty_times_are_left_out(larger: Bench) -> None:
    for pair, days in (("BTC-USD", (0, 1, 9, 400)), ("ETH-USD", (0,))):
        for day in days:
            larger.roll_up(*(minute(day * 1440 + number, pair=pair) for number in range(0, 600) if number % 97))
    looked: list[tuple[str, int, int]] = []
    findings = Findings()

    LargerComparison(larger.store, partial(noted, looked), rollup_seconds=ROLLUP_SECONDS).run(findings)

    assert findings == Findings(larger=larger.candles.count_documents({"interval": {"$ne": "1m"}}))
    assert looked == [("comparing days of larger candles", 402, 402)]


def test_an_empty_store_is_equal(larger: Bench) -> None:
    assert larger.compare() == Findings()


@pytest.mark.parametrize(
    ("interval", "fields", "kind", "reason"),
    [
        (Interval.M5, {"high": Decimal128("18385.86")}, Kind.ALTERED, "high is 18385.86, expected 18385.85"),
        (Interval.D1, {"volume": Decimal128("1439")}, Kind.ALTERED, "volume is 1439, expected 1440"),
        (Interval.H1, {"close": Decimal128("NaN")}, Kind.ALTERED, "close is NaN, expected 18381"),
        (Interval.H1, {"minutes": Int64(57)}, Kind.ALTERED, "minutes is 57, expected 60"),
        (
            Interval.H4,
            {"state": "corrected"},
            Kind.ALTERED,
            "state is corrected, expected final; rank of rev is 3, expected 4",
        ),
        (
            Interval.M15,
            {"rev": Int64(make_rev(1, 1_606_200_000_000_000))},
            Kind.ALTERED,
            "rank of rev is 1, expected 3",
        ),
        (
            Interval.M30,
            {"state": "provisional", "rev": Int64(make_rev(2, 4_000_000_000_000_000 // 2))},
            Kind.OLDER,
            "state is provisional, expected final",
        ),
        (Interval.M5, {"pair": "BTC-EUR"}, Kind.ALTERED, "pair is BTC-EUR, expected BTC-USD"),
        (Interval.M5, {"close": "dear"}, Kind.ALTERED, "the document holds no candle"),
    ],
)
def test_what_was_altered_is_named_alone(
    larger: Bench, interval: Interval, fields: dict[str, Any], kind: Kind, reason: str
) -> None:
    larger.roll_up(*(minute(number) for number in range(1440)))
    larger.alter(interval, 125, **fields)

    findings = larger.compare()

    opens = 125 // interval.minutes * interval.minutes
    assert said(findings) == [(kind, interval.value, opens, reason)]
    assert findings.differences[0].document == str(id_of(interval, 125))
    assert findings.larger == sum(PER_DAY.values())


def test_a_missing_candle_is_named_alone(larger: Bench) -> None:
    larger.roll_up(*(minute(number) for number in range(1440)))
    larger.candles.delete_one({"_id": id_of(Interval.M30, 125)})

    findings = larger.compare()

    assert said(findings) == [(Kind.MISSING, "30m", 120, "not in the store")]


def test_a_closed_candle_that_lacks_a_correction_is_outdated_on_every_level(larger: Bench) -> None:
    larger.roll_up(*(minute(number) for number in range(1440)))
    larger.store.write([minute(125, State.CORRECTED, ago=BEYOND, low=Decimal(17_000))])

    findings = larger.compare()

    reason = "low is 18376.035, expected 17000; state is final, expected corrected"
    assert sorted(said(findings)) == sorted(
        (Kind.OLDER, interval.value, 125 // interval.minutes * interval.minutes, reason) for interval in LEVELS
    )


@pytest.mark.parametrize(("ago", "expected"), [(WITHIN, []), (BEYOND, [(Kind.OLDER, each.value) for each in LEVELS])])
def test_a_running_candle_has_its_time(larger: Bench, ago: float, expected: list[tuple[Kind, str]]) -> None:
    larger.roll_up(minute(0), minute(1, State.OPEN))
    larger.store.write([minute(1, ago=ago), minute(2, State.OPEN, ago=0.1)])

    found = said(larger.compare())

    assert sorted((kind, interval) for kind, interval, _, _ in found) == sorted(expected)
    assert {reason for _, _, _, reason in found} <= {
        "close is 18378, expected 18379; volume is 2, expected 3; minutes is 2, expected 3"
    }


def test_what_comes_right_while_it_waits_is_no_difference(larger: Bench) -> None:
    minutes = [minute(number) for number in range(300)]
    larger.store.write(minutes)
    began_at = time.monotonic()

    with later(1.0, lambda: larger.store.roll_up(minutes)):
        findings = larger.compare(wait_seconds=30.0)

    assert findings == Findings(larger=60 + 20 + 10 + 5 + 2 + 1)
    assert time.monotonic() - began_at < 15, "it waited on although everything was right"


def test_candles_of_minutes_that_were_deleted_are_counted_and_no_difference(larger: Bench) -> None:
    larger.roll_up(*(minute(number) for number in range(60)))
    larger.candles.delete_many({"interval": "1m", "timestamp": {"$lt": DAY_MS + 7 * MINUTE_MS}})

    findings = larger.compare()

    assert findings == Findings(larger=12 + 4 + 2 + 1 + 1 + 1, unexplained=2)


def test_only_days_from_the_given_time_on_are_compared(larger: Bench) -> None:
    for day in (0, 1):
        larger.roll_up(*(minute(day * 1440 + number) for number in range(0, 1440, 60)))
    larger.candles.delete_one({"_id": id_of(Interval.M5, 0)})

    second, both = larger.compare(since_ms=DAY_MS + 1800 * MINUTE_MS), larger.compare()

    assert second == Findings(larger=24 * 4 + 6 + 1)
    assert said(both) == [(Kind.MISSING, "5m", 0, "not in the store")]
    assert larger.compare(since_ms=DAY_MS + 4000 * MINUTE_MS) == Findings()


def test_more_differences_than_the_limit_are_counted(larger: Bench) -> None:
    for day in (0, 5, 10):
        larger.roll_up(*(minute(day * 1440 + number) for number in range(30)))
    larger.candles.delete_many({"interval": "5m"})

    findings = larger.compare(limit=8)

    assert findings.counts == {Kind.MISSING: 18}
    # The newest are named, in their order.
    assert [each.expected and (each.expected.timestamp - DAY_MS) // MINUTE_MS for each in findings.differences] == [
        *(7200 + number for number in (0, 5)),
        *(14_400 + number for number in range(0, 30, 5)),
    ]


def test_it_is_equal_beside_live_traffic_until_the_bridge_stands_still(
    bench: BridgeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(larger_comparison, "SLACK_SECONDS", 1.5)
    pairs = [f"P{number}-USD" for number in range(5)]
    stop = threading.Event()

    def traffic() -> None:
        """Twenty updates of each minute, each closed by its successor; five minutes in as many seconds."""
        for number in count():
            for step in range(20):
                if stop.wait(0.05):
                    return
                closed = [minute(number - 1, ago=0, pair=pair) for pair in pairs if number and not step]
                running = [minute(number, State.OPEN, ago=0, pair=pair, volume=Decimal(step)) for pair in pairs]
                bench.produce_candles([*closed, *running], 0)

    def compare(wait_seconds: float) -> Findings:
        findings = Findings()
        LargerComparison(bench.store, nobody_watches, rollup_seconds=0.5, wait_seconds=wait_seconds).run(findings)
        return findings

    thread = threading.Thread(target=traffic)
    bench.start_worker()
    bench.start_bridge(PERSIST, lease_seconds=5.0)
    running = bench.start_bridge(
        replace(ROLLUP, patience_seconds=0.5), lease_seconds=5.0, group=f"{bench.group}-rollup"
    )
    thread.start()
    try:
        days = [Series("sim", pair, Interval.D1) for pair in pairs]
        wait_until(lambda: all(made_of(bench.store, day) > 4 for day in days), "four minutes of each pair")
        beside = [compare(10.0) for _ in range(5)]
        running.stop()
        wait_until(lambda: compare(0.0).counts[Kind.OLDER] >= len(days), "every day is outdated")
    finally:
        stop.set()
        thread.join()

    assert [(each.counts, each.differences) for each in beside] == [(Counter(), [])] * 5
    assert all(each.larger >= 5 * len(LEVELS) for each in beside)


def made_of(store: CandleStore, series: Series) -> int:
    """Of how many minutes the newest candle of a series is made."""
    return sum(each.minutes for each in store.find(series, limit=1))
